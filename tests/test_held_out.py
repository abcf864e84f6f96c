"""pixmo.images.held_out and .evaluation_sets: evaluation data in, hashes and questions out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import ImageOps

from pixmo.errors import HeldOutError
from pixmo.hashing import sha256_bytes, sha256_file
from pixmo.images.fingerprint import fingerprint
from pixmo.images.held_out import HeldOutAdded, hold_out
from pixmo.workspace.workspace import Workspace
from tests.conftest import run_pixmo
from tests.workspaces import picture

A, B = "0123456789abcdef", "f" * 16
LONG, SHA256 = "0f" * 32, "1e" * 32
NO_HASHES = dict.fromkeys(
    ("image_sha256", "phash_64", "phash_256", "mirrored_phash_64", "mirrored_phash_256")
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.init(tmp_path / "world")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images, the second in a folder of its own."""
    place = tmp_path / "benchmark"
    (place / "deep").mkdir(parents=True)
    picture(1).save(place / "one.png")
    picture(2).save(place / "deep/two.jpg")
    return place


def images(workspace: Workspace) -> list[dict[str, Any]]:
    return workspace.read("held_out_images").to_pylist()


def questions(workspace: Workspace) -> list[tuple[str, ...]]:
    return [tuple(row.values()) for row in workspace.read("held_out_questions").to_pylist()]


def aside(workspace: Workspace) -> list[tuple[str, ...]]:
    with workspace.connect() as connection:
        return connection.execute(
            "select stage, key, path, reason from current_set_aside order by all"
        ).fetchall()


def test_a_folder_gives_the_hashes_of_its_images_and_of_their_mirror_images(
    workspace: Workspace, folder: Path, tmp_path: Path
) -> None:
    assert hold_out(workspace, str(folder)) == HeldOutAdded(2, 0, 0, 0)
    rows = images(workspace)
    assert [(row["source"], row["key"]) for row in rows] == [
        ("benchmark", "deep/two.jpg"),
        ("benchmark", "one.png"),
    ]
    ImageOps.mirror(picture(1)).save(tmp_path / "mirrored.png")
    seen, mirrored = fingerprint(folder / "one.png"), fingerprint(tmp_path / "mirrored.png")
    assert list(rows[1].values())[2:] == [
        sha256_file(folder / "one.png"),
        seen.phash_64,
        seen.phash_256,
        mirrored.phash_64,
        mirrored.phash_256,
    ]
    assert seen.phash_64 != mirrored.phash_64


def test_the_same_source_again_adds_nothing_and_a_changed_file_its_new_bytes(
    workspace: Workspace, folder: Path
) -> None:
    hold_out(workspace, str(folder))
    assert hold_out(workspace, str(folder)) == HeldOutAdded(0, 0, 2, 0)
    assert len(workspace.table("held_out_images").parts()) == 1
    picture(3).save(folder / "one.png")
    assert hold_out(workspace, str(folder)) == HeldOutAdded(1, 0, 1, 0)
    assert hold_out(workspace, str(folder), name="again") == HeldOutAdded(2, 0, 0, 0)
    assert [row["key"] for row in images(workspace)].count("one.png") == 3


def test_a_damaged_file_is_set_aside_until_it_is_mended(workspace: Workspace, folder: Path) -> None:
    whole = (folder / "one.png").read_bytes()
    (folder / "one.png").write_bytes(whole[:200])
    (folder / "answers.json").write_text("{}", "utf-8")
    assert hold_out(workspace, str(folder)) == HeldOutAdded(1, 0, 0, 2)
    assert aside(workspace) == [
        ("held-out", "answers.json", str(folder / "answers.json"), "not an image"),
        ("held-out", "one.png", str(folder / "one.png"), "damaged image"),
    ]
    (folder / "one.png").write_bytes(whole)
    assert hold_out(workspace, str(folder)) == HeldOutAdded(1, 0, 1, 1)
    assert [row[1] for row in aside(workspace)] == ["answers.json"]


def test_a_source_in_the_workspace_is_called_by_its_place(workspace: Workspace) -> None:
    (workspace.root / "eval").mkdir()
    (workspace.root / "eval/asked.txt").write_text("\n What is the time?\n\nWho?\r\n", "utf-8")
    assert hold_out(workspace, str(workspace.root / "eval/asked.txt")).questions == 2
    assert questions(workspace) == [
        ("eval/asked.txt", "2", "What is the time?"),
        ("eval/asked.txt", "4", "Who?"),
    ]


def test_a_list_of_hashes_says_what_it_knows(workspace: Workspace, tmp_path: Path) -> None:
    lines = [SHA256.upper(), A, f"{B}, {LONG}", "", f"{A}\t{LONG}"]
    (tmp_path / "hashes.txt").write_text("\n".join(lines), "utf-8")
    assert hold_out(workspace, str(tmp_path / "hashes.txt")) == HeldOutAdded(4, 0, 0, 0)
    expected = [
        {"image_sha256": SHA256},
        {"phash_64": A},
        {"phash_64": B, "phash_256": LONG},
        {"phash_64": A, "phash_256": LONG},
    ]
    assert images(workspace) == [
        {"source": "hashes.txt", "key": key} | NO_HASHES | given
        for key, given in zip(("1", "2", "3", "5"), expected, strict=True)
    ]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_table_gives_hashes_and_questions_with_keys(
    workspace: Workspace, tmp_path: Path, suffix: str
) -> None:
    rows = [
        {"key": "a", "phash_64": A, "mirrored_phash_64": B, "asked": "Who is it?"},
        {"key": "", "phash_64": "", "mirrored_phash_64": "", "asked": "Where?"},
        {"key": 0, "phash_64": "", "mirrored_phash_64": "", "asked": "When?"},
    ]
    file = tmp_path / f"table{suffix}"
    if suffix == ".csv":
        text = "\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)])
    else:
        text = "\n".join(map(json.dumps, rows))
    file.write_text(text, "utf-8")
    assert hold_out(workspace, str(file), questions="asked") == HeldOutAdded(1, 3, 0, 0)
    assert hold_out(workspace, str(file), questions="asked") == HeldOutAdded(0, 0, 4, 0)
    key = {"source": file.name, "key": "a"}
    assert images(workspace) == [key | NO_HASHES | {"phash_64": A, "mirrored_phash_64": B}]
    number = "3" if suffix == ".csv" else "2"
    assert questions(workspace) == [
        (file.name, "a", "Who is it?"),
        (file.name, number, "Where?"),
        (file.name, "0", "When?"),
    ]


def table_of(folder: Path) -> datasets.Dataset:
    """Three rows: an image and a question, a damaged image, and neither."""
    columns = {
        "picture": [(folder / "one.png").read_bytes(), b"no image", None],
        "question": ["What is it?", "Why?", "  "],
    }
    rows = [{"bytes": data, "path": None} if data else None for data in columns["picture"]]
    features = datasets.Features(
        {"picture": datasets.Image(decode=False), "question": datasets.Value("string")}
    )
    held = datasets.Dataset.from_dict({**columns, "picture": rows}, features)
    return held.cast_column("picture", datasets.Image())


def save_folder(rows: datasets.Dataset, place: Path) -> str:
    rows.save_to_disk(place / "saved")
    return str(place / "saved")


def save_parquet(rows: datasets.Dataset, place: Path) -> str:
    rows.to_parquet(place / "rows.parquet")
    return str(place / "rows.parquet")


def save_for_hub(rows: datasets.Dataset, place: Path) -> str:
    (place / "hub").mkdir()
    rows.to_parquet(place / "hub/test-00000-of-00001.parquet")
    rows.select([2]).to_parquet(place / "hub/train-00000-of-00001.parquet")
    return f"hf:{place / 'hub'}::test"


@pytest.mark.parametrize("save", [save_folder, save_parquet, save_for_hub])
def test_a_dataset_gives_stored_bytes_and_questions(
    workspace: Workspace,
    folder: Path,
    tmp_path: Path,
    save: Callable[[datasets.Dataset, Path], str],
) -> None:
    source = save(table_of(folder), tmp_path)
    called = source if source.startswith("hf:") else Path(source).name
    assert hold_out(workspace, source) == HeldOutAdded(1, 2, 0, 1)
    (row,) = images(workspace)
    seen = fingerprint(folder / "one.png")
    assert row["source"] == called
    assert (row["key"], row["image_sha256"], row["phash_256"]) == (
        "0",
        seen.image_sha256,
        seen.phash_256,
    )
    assert questions(workspace) == [(called, "0", "What is it?"), (called, "1", "Why?")]
    assert aside(workspace) == [("held-out", "1", source, "not an image")]
    assert hold_out(workspace, source) == HeldOutAdded(0, 0, 3, 1)


def test_several_images_of_a_row_and_images_as_plain_bytes_are_all_read(
    workspace: Workspace, folder: Path, tmp_path: Path
) -> None:
    one, two = ((folder / name).read_bytes() for name in ("one.png", "deep/two.jpg"))
    plain = {"bytes": pa.array([one]), "path": pa.array([None], pa.string())}
    struct = pa.StructArray.from_arrays(list(plain.values()), list(plain))
    many = pa.ListArray.from_arrays(
        pa.array([0, 2], pa.int32()),
        pa.StructArray.from_arrays(
            [pa.array([None, two], pa.binary()), pa.array([str(folder / "one.png"), None])],
            ["bytes", "path"],
        ),
    )
    pq.write_table(pa.table({"first": struct, "others": many}), tmp_path / "rows.parquet")
    assert hold_out(workspace, str(tmp_path / "rows.parquet")) == HeldOutAdded(3, 0, 0, 0)
    assert {row["key"]: row["image_sha256"] for row in images(workspace)} == {
        "0 first 0": sha256_bytes(one),
        "0 others 1": sha256_bytes(one),
        "0 others 2": sha256_bytes(two),
    }


def test_a_list_may_be_one_that_sha256sum_wrote(workspace: Workspace, tmp_path: Path) -> None:
    first, second = sha256_bytes(b"a"), sha256_bytes(b"b")
    lines = f"{first}  img/a b.png\n{second} *img/b.png\n"
    (tmp_path / "list.txt").write_text(lines, "utf-8")
    assert hold_out(workspace, str(tmp_path / "list.txt")) == HeldOutAdded(2, 0, 0, 0)
    assert [row["image_sha256"] for row in images(workspace)] == [first, second]


def test_a_mended_image_of_a_file_is_set_aside_no_more(
    workspace: Workspace, folder: Path, tmp_path: Path
) -> None:
    good = (folder / "one.png").read_bytes()
    for data, aside in ((b"torn", 1), (good, 0)):
        rows = pa.table({"image": [{"bytes": data, "path": None}]})
        pq.write_table(rows, tmp_path / "rows.parquet")
        assert hold_out(workspace, str(tmp_path / "rows.parquet")).set_aside == aside
        assert len(workspace.still_set_aside()) == aside


WRONG: dict[str, tuple[str, bytes, str, str]] = {
    "no hash": ("h.txt", f"{A}\nxyz".encode(), "", "line 2: 'xyz' is no hash; write a sha256"),
    "a header": ("h.txt", f"sha256\n{A}\n".encode(), "", "line 1: 'sha256' is no hash; write a"),
    "questions too": ("h.txt", f"Who?\n{A} x\n".encode(), "", "line 1: 'Who?' is no hash"),
    "a hash too short": ("h.txt", f"{'a1' * 30}\n".encode(), "", "line 1: 'a1a1"),
    "a hash unnamed": (
        "h.csv",
        f"question,image_sha\nWho?,{'a1' * 32}".encode(),
        "",
        "line 2: image_sha looks like a hash; call it one of image_sha256, phash_64",
    ),
    "misspelt": (
        "h.csv",
        f"question,phash64\nWho?,{'0' * 16}".encode(),
        "",
        "line 2: phash64 is unknown; did you mean phash_64?",
    ),
    "no UTF-8": ("h.txt", b"\xff\xfe", "", "cannot be read as UTF-8"),
    "short": ("h.jsonl", b'{"phash_64": "12"}', "", "line 1: phash_64 is '12'; write 16 hex"),
    "long only": (
        "h.jsonl",
        json.dumps({"phash_256": LONG}).encode(),
        "",
        "phash_256 without phash_64",
    ),
    "no question": ("h.csv", b"a,b\n1,2", "", "line 2: no question, and none of image_sha256"),
    "a number": ("h.jsonl", b'{"question": 3}', "", "line 1: question is no text"),
    "no JSON": ("h.jsonl", b"{", "", "line 1: not JSON"),
    "form": ("h.zip", b"", "", "is of no form that is read; name a folder of images"),
    "no Parquet": ("h.parquet", b"PAR1", "", "h.parquet cannot be read"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_refused_whole(workspace: Workspace, tmp_path: Path, name: str) -> None:
    file, data, column, says = WRONG[name]
    (tmp_path / file).write_bytes(data)
    with pytest.raises(HeldOutError) as caught:
        hold_out(workspace, str(tmp_path / file), column)
    assert says in str(caught.value)
    assert (images(workspace), questions(workspace)) == ([], [])


def test_what_is_not_there_is_said(workspace: Workspace, folder: Path, tmp_path: Path) -> None:
    rows = table_of(folder)
    hub = save_for_hub(rows, tmp_path).removesuffix("test")
    parquet = save_parquet(rows, tmp_path)
    datasets.DatasetDict({"test": rows, "dev": rows}).save_to_disk(tmp_path / "both")
    pq.write_table(pa.table({"query": ["Who?"]}), tmp_path / "query.parquet")
    (tmp_path / "empty").mkdir()
    for source, column, says in (
        (str(tmp_path / "nowhere"), "", "nowhere does not exist; name a folder"),
        (str(tmp_path / "empty"), "", "empty holds no image"),
        (str(folder), "asked", "which has no column asked"),
        (str(tmp_path / "both"), "", "holds several splits; name one of dev, test"),
        (hub, "", "has the splits train, test; name one: hf:"),
        (f"{hub}nope", "", "cannot be read"),
        ("hf:a:b:c:d", "", "is not hf:NAME:CONFIG:SPLIT"),
        (parquet, "query", "has no column query, only picture, question"),
        (parquet, "picture", "picture is no text"),
        (str(tmp_path / "query.parquet"), "", "no column of images and no question, only query"),
    ):
        with pytest.raises(HeldOutError) as caught:
            hold_out(workspace, source, column)
        assert says in str(caught.value)


def test_the_command(workspace: Workspace, folder: Path, pixmo: Path) -> None:
    (folder / "torn.png").write_bytes(b"")
    result = run_pixmo(pixmo, "held-out", "add", "../benchmark", cwd=workspace.root)
    assert result.returncode == 0, result.stderr
    assert [line.split() for line in result.stdout.splitlines()[:4]] == [
        ["images", "2"],
        ["questions", "0"],
        ["known", "0"],
        ["set", "aside", "1"],
    ]
    assert "not an image" in result.stdout
    result = run_pixmo(pixmo, "held-out", "add", "nowhere", cwd=workspace.root)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("pixmo: nowhere does not exist; name a folder of images")
