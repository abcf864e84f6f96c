"""Scores and embeddings of images are taken in once, and what cannot be used says why."""

import csv
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixmo.curate.curate import curate
from pixmo.curate.recipe import load
from pixmo.errors import ImageError, WorkspaceError
from pixmo.images import measures
from pixmo.images.measures import MeasuresAdded, add_embeddings, add_scores
from pixmo.images.store import add_images
from pixmo.validate import suspects
from pixmo.workspace.workspace import Workspace
from tests.conftest import run_pixmo
from tests.workspaces import Planter, name, picture

Row = dict[str, Any]


@pytest.fixture
def planter(tmp_path: Path) -> Planter:
    planter = Planter(Workspace.init(tmp_path / "data"))
    for number in range(4):
        planter.image(name(number), picture(number))
    planter.write()
    return planter


def score(file: str, value: object, of: str = "nsfw", model: object = "mine") -> Row:
    return {"file": file, "name": of, "score": value, "model": model}


def embedding(file: str, value: object, model: object = "clip") -> Row:
    return {"file": file, "embedding": value, "model": model}


def write(path: Path, rows: list[Row]) -> Path:
    """The rows stand in a file of the kind that its suffix says."""
    names = list(dict.fromkeys(key for row in rows for key in row))
    if path.suffix == ".parquet":
        pq.write_table(pa.table({key: [row.get(key) for row in rows] for key in names}), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
    return path


def current(planter: Planter, table: str) -> list[tuple[Any, ...]]:
    """What counts now, by image's name."""
    names = {sha256: name for name, sha256 in planter.sha256.items()}
    with planter.workspace.connect() as connection:
        rows = connection.execute(f"from current_{table}").fetchall()
    return sorted((names[row[0]], *row[1:]) for row in rows)


def set_aside(workspace: Workspace) -> dict[int, tuple[str, str]]:
    """Why a row was set aside, by its number."""
    with workspace.connect() as connection:
        rows = connection.execute("select key, reason, detail from current_set_aside").fetchall()
    return {int(key): (reason, detail) for key, reason, detail in rows}


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_scores_are_taken_in_from_every_kind_of_file(planter: Planter, suffix: str) -> None:
    rows = [score(name(0), 0.25), score(name(1), 1e-300), score(name(0), -3.0, "123", "007")]
    file = write(planter.workspace.root / f"scores{suffix}", rows)
    assert add_scores(planter.workspace, file) == MeasuresAdded(3, 0, 0)
    assert current(planter, "image_scores") == [
        (name(0), "123", -3.0, "007"),
        (name(0), "nsfw", 0.25, "mine"),
        (name(1), "nsfw", 1e-300, "mine"),
    ]
    assert add_scores(planter.workspace, file) == MeasuresAdded(0, 3, 0)
    assert planter.workspace.read("image_scores").num_rows == 3


def test_an_image_goes_by_its_hash_or_its_path(planter: Planter, tmp_path: Path) -> None:
    workspace, sha256 = planter.workspace, planter.sha256
    (tmp_path / "there.png").write_bytes(b"no image that was taken in")
    rows: list[Row] = [
        {"image_sha256": sha256[name(0)].upper()},
        {"file": f"images/{name(1)}"},
        {"file": f"./{name(2)}"},
        {"file": str(workspace.images / name(3))},
        {"file": "there.png"},
        {"image_sha256": "ab" * 32},
        {},
        # The hash decides: a wrong one is not mended by a file.
        {"image_sha256": "cd" * 32, "file": f"./{name(2)}"},
    ]
    rows = [{"name": "x", "score": i, "model": "m"} | row for i, row in enumerate(rows)]
    assert add_scores(workspace, write(tmp_path / "s.jsonl", rows)) == MeasuresAdded(4, 0, 4)
    assert current(planter, "image_scores") == [(name(i), "x", float(i), "m") for i in range(4)]
    assert set_aside(workspace) == {
        5: ("no such image", "image there.png, score 4"),
        6: ("no such image", f"image {'ab' * 32}, score 5"),
        7: ("no image", "image , score 6"),
        8: ("no such image", f"image {'cd' * 32}, score 7"),
    }


def test_a_path_may_start_from_the_files_own_folder(planter: Planter) -> None:
    folder = planter.workspace.images / "lists"
    folder.mkdir()
    file = write(folder / "scores.csv", [score(f"../{name(1)}", 1.0)])
    assert add_scores(planter.workspace, file).added == 1


SCORES_SET_ASIDE: dict[str, Row] = {
    "no such image": score("nowhere.png", 0.5),
    "no name": score(name(1), 0.5, " "),
    "no model": score(name(1), 0.5, model=None),
    "no score": score(name(1), None),
    "score is not a number": score(name(1), float("nan")),
    "given twice": score(name(0), 0.75),
}


def test_scores_that_cannot_be_used_are_set_aside(planter: Planter) -> None:
    workspace = planter.workspace
    rows = [score(name(0), 0.5), *SCORES_SET_ASIDE.values(), score(name(2), float("inf"))]
    file = write(workspace.root / "s.parquet", rows)
    for known in (0, 1):
        assert add_scores(workspace, file) == MeasuresAdded(1 - known, known, 7)
        assert current(planter, "image_scores") == [(name(0), "nsfw", 0.5, "mine")]
        found = [set_aside(workspace)[key][0] for key in range(2, 9)]
        assert found == [*SCORES_SET_ASIDE, "score is not a number"]
    assert workspace.read("set_aside").num_rows == 7


def test_a_score_that_is_text_is_set_aside(planter: Planter) -> None:
    for suffix in (".csv", ".jsonl"):
        file = write(planter.workspace.root / f"s{suffix}", [score(name(0), "high")])
        assert add_scores(planter.workspace, file) == MeasuresAdded(0, 0, 1)
        reason = ("score is not a number", f"image {name(0)}, score high")
        assert set_aside(planter.workspace)[1] == reason


def test_what_was_mended_is_no_longer_set_aside(planter: Planter) -> None:
    workspace = planter.workspace
    file = write(workspace.root / "s.csv", [score("new.png", 0.5), score(name(0), "")])
    assert add_scores(workspace, file) == MeasuresAdded(0, 0, 2)
    picture(77).save(workspace.images / "new.png")
    add_images(workspace, workspace.images)
    assert add_scores(workspace, file) == MeasuresAdded(1, 0, 1)
    assert set_aside(workspace) == {2: ("no score", f"image {name(0)}")}


def test_the_newest_score_of_an_image_and_a_name_counts(planter: Planter) -> None:
    workspace, file = planter.workspace, planter.workspace.root / "s.csv"
    first, second = score(name(0), 0.5), score(name(0), 0.5, model="better")
    other = score(name(0), 0.5, "watermark")
    assert add_scores(workspace, write(file, [first])).added == 1
    for rows, added in (([first, other], 1), ([second], 1), ([second], 0), ([first], 1)):
        assert add_scores(workspace, write(file, rows)).added == added
        assert current(planter, "image_scores") == [
            (name(0), "nsfw", 0.5, rows[0]["model"]),
            (name(0), "watermark", 0.5, "mine"),
        ]


EMBEDDINGS_SET_ASIDE: dict[str, Row] = {
    "no such image": embedding("nowhere.png", [1.0, 2.0]),
    "no model": embedding(name(1), [1.0, 2.0], ""),
    "no embedding": embedding(name(1), []),
    "embedding holds what is not a number": embedding(name(1), [1.0, float("nan")]),
    "embedding is all zeros": embedding(name(1), [0.0, -0.0]),
    "another length than the model has": embedding(name(1), [1.0, 2.0, 3.0]),
    "given twice": embedding(name(0), [2.0, 1.0]),
}


def test_embeddings_that_cannot_be_used_are_set_aside(planter: Planter) -> None:
    workspace = planter.workspace
    good = [embedding(name(0), [1.0, 0.1]), embedding(name(0), [1.0, 2.0, 3.0], "other")]
    bad: list[object] = [None, [1.0, None], [1.0, 1e300], [float("inf"), 1.0]]
    rows = [*good, *EMBEDDINGS_SET_ASIDE.values(), *(embedding(name(2), value) for value in bad)]
    file = write(workspace.root / "e.parquet", rows)
    for known in (0, 2):
        assert add_embeddings(workspace, file) == MeasuresAdded(2 - known, known, 11)
        as_stored = pa.scalar(0.1, pa.float32()).as_py()
        assert current(planter, "image_embeddings") == [
            (name(0), "clip", [1.0, as_stored]),
            (name(0), "other", [1.0, 2.0, 3.0]),
        ]
        found = [set_aside(workspace)[key][0] for key in range(3, 14)]
        no_number = "embedding holds what is not a number"
        assert found == [*EMBEDDINGS_SET_ASIDE, "no embedding", *[no_number] * 3]
    assert set_aside(workspace)[8][1] == (
        f"image {name(1)}, 3 numbers, clip has 2; another model has another name"
    )


def test_a_model_keeps_the_length_that_it_has(planter: Planter) -> None:
    file = planter.workspace.root / "e.parquet"
    assert add_embeddings(planter.workspace, write(file, [embedding(name(0), [1.0])])).added == 1
    longer = [embedding(name(number), [1.0, 2.0]) for number in (1, 2)]
    rows = [*longer, embedding(name(3), [3.0])]
    assert add_embeddings(planter.workspace, write(file, rows)) == MeasuresAdded(1, 0, 2)
    assert {reason for reason, _ in set_aside(planter.workspace).values()} == {
        "another length than the model has"
    }


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.list_(pa.float32(), 2)])
def test_the_newest_embedding_of_an_image_and_a_model_counts(
    planter: Planter, kind: pa.DataType
) -> None:
    workspace, file = planter.workspace, planter.workspace.root / "e.parquet"
    for value, added in (([1.0, 0.0], 2), ([0.5, 0.25], 1), ([0.5, 0.25], 0), ([1.0, 0.0], 1)):
        values = pa.array([value, [3.0, 4.0]], kind)
        names = [name(0), name(1)]
        pq.write_table(
            pa.table({"file": names, "embedding": values, "model": ["clip", "clip"]}), file
        )
        assert add_embeddings(workspace, file) == MeasuresAdded(added, 2 - added, 0)
        assert current(planter, "image_embeddings") == [
            (name(0), "clip", value),
            (name(1), "clip", [3.0, 4.0]),
        ]


def test_a_large_file_becomes_parts_in_its_order(
    planter: Planter, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [embedding(name(i % 4), [float(i + 1)], f"model {i:04d}") for i in range(5000)]
    small = dataclasses.replace(measures.EMBEDDINGS, part_rows=2048)
    monkeypatch.setattr(measures, "EMBEDDINGS", small)
    file = write(planter.workspace.root / "e.parquet", rows)
    assert add_embeddings(planter.workspace, file) == MeasuresAdded(5000, 0, 0)
    assert len(planter.workspace.table("image_embeddings").parts()) > 1
    stored = planter.workspace.read("image_embeddings").column("embedding").to_pylist()
    assert stored == [[float(i + 1)] for i in range(5000)]


MISTAKES = {
    "a misspelt column": ("s.csv", "file,name,scores,model\na,b,1,c\n", "did you mean score?"),
    "no image": ("s.csv", "name,score,model\nb,1,c\n", "no column image_sha256 or file: its"),
    "a misspelt image": ("s.csv", "fiel,name,score,model\na,b,1,c\n", "did you mean file?"),
    "a missing column": (
        "s.jsonl",
        '{"file": "a", "score": 1, "model": "c"}',
        "s.jsonl has no column name: its columns are file, score, model; a row has image_sha256"
        " or file, name, model, score",
    ),
    "a field too few": ("s.csv", "file,name,score,model\na,b,1\n", "s.csv cannot be read"),
    "no JSON": ("s.jsonl", '{"file": "a"', "s.jsonl cannot be read"),
    "no Parquet": ("s.parquet", "file", "s.parquet cannot be read"),
    "nothing": ("s.jsonl", "", "s.jsonl has no column"),
    "another kind of file": ("s.txt", "x", "read from .parquet, .csv, .jsonl files"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_file_that_cannot_be_used_is_one_clear_line(mistake: str, planter: Planter) -> None:
    file, text, message = MISTAKES[mistake]
    path = planter.workspace.root / file
    path.write_text(text, "utf-8")
    with pytest.raises(ImageError) as raised:
        add_scores(planter.workspace, path)
    assert message in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not planter.workspace.table("image_scores").parts()


def test_embeddings_come_in_parquet_and_as_lists(planter: Planter) -> None:
    root = planter.workspace.root
    with pytest.raises(ImageError, match=r"nowhere\.parquet is not a file"):
        add_embeddings(planter.workspace, root / "nowhere.parquet")
    with pytest.raises(ImageError, match=r"image embeddings are read from \.parquet files"):
        add_embeddings(planter.workspace, write(root / "e.csv", [embedding(name(0), "[1]")]))
    with pytest.raises(ImageError, match=r"has no column embedding: did|no column embedding: its"):
        add_embeddings(planter.workspace, write(root / "e.parquet", [score(name(0), 1.0)]))
    numbers = write(root / "n.parquet", [embedding(name(0), 1.0)])
    with pytest.raises(ImageError, match=r"n\.parquet.* cannot be read: "):
        add_embeddings(planter.workspace, numbers)


def test_two_at_once_are_refused(planter: Planter) -> None:
    file = write(planter.workspace.root / "s.csv", [score(name(0), 1.0)])
    with planter.workspace.lock("image_scores"), pytest.raises(WorkspaceError, match="busy"):
        add_scores(planter.workspace, file)


STEP = """
[[step]]
sql = "images/score_above.sql"
name = "nsfw"
max_score = 0.5
"""


@pytest.mark.parametrize("stem", ["cap", "ama", "points"])
def test_images_that_score_above_a_bound_are_dropped(planter: Planter, stem: str) -> None:
    workspace = planter.workspace
    for number in range(4):
        planter.caption(name(number), f"Picture {number}.")
        planter.answer(f"answer {number}", name(number), "What?", "That.")
        planter.points(f"points {number}", name(number), [(1.0, 2.0)])
    planter.write()
    rows = [score(name(0), 0.5), score(name(1), 0.501), score(name(2), 0.9, "watermark")]
    add_scores(workspace, write(workspace.root / "s.csv", [*rows, score(name(2), 0.1)]))
    text = load(stem).path.read_text("utf-8")
    workspace.recipes.mkdir()
    recipe = workspace.recipes / f"{stem}.toml"
    recipe.write_text(text[: text.index("[[step]]")] + STEP, "utf-8")
    with workspace.connect() as connection:
        result = curate(connection, load(stem, workspace.recipes))
        [dropped] = result.dropped.to_pylist()
        kept = {row["image_sha256"] for row in result.kept.to_pylist()}
    assert kept == {planter.sha256[name(number)] for number in (0, 2, 3)}
    assert dropped["reason"] == "nsfw score is 0.501, above 0.5"
    assert json.loads(dropped["evidence"]) == {"name": "nsfw", "score": 0.501, "model": "mine"}
    assert result.funnel[0].reasons == {"nsfw score is #, above #": 1}


CONTRADICTS = """
[[step]]
sql = "images/contradicts.sql"
then = "flag"
subset = "{}"
min_nats = 2.0
"""


@pytest.mark.parametrize("stem", ["cap", "ama", "points"])
def test_rows_that_a_probe_finds_likelier_of_other_images_are_flagged(
    planter: Planter, stem: str
) -> None:
    workspace = planter.workspace
    for number in range(4):
        planter.caption(name(number), f"Picture {number}.")
        planter.answer(f"answer {number}", name(number), "What?", "That.")
        planter.points(f"points {number}", name(number), [(1.0, 2.0)])
    planter.write()
    text = load(stem).path.read_text("utf-8")
    workspace.recipes.mkdir()
    recipe = workspace.recipes / f"{stem}.toml"
    recipe.write_text(text[: text.index("[[step]]")] + CONTRADICTS.format(stem), "utf-8")

    def flagged() -> dict[str, list[str]]:
        with workspace.connect() as connection:
            rows = curate(connection, load(stem, workspace.recipes)).kept.to_pylist()
        return {row["id"]: row["flags"] for row in rows}

    ids = sorted(flagged())
    assert set(map(tuple, flagged().values())) == {()}  # no probe has said anything yet

    def said(probe: str, of: str, evidence: Sequence[float]) -> int:
        table = pa.Table.from_pylist(
            [
                {"subset": of, "id": row_id, "image_sha256": "", "trained_on": True}
                | {"evidence": value, "prompt": "", "answer": ""}
                for row_id, value in zip(ids, evidence, strict=True)
            ],
            schema=suspects.COLUMNS,
        )
        pq.write_table(table, workspace.root / "evidence.parquet")
        return suspects.remember(workspace, "v1", probe, workspace.root / "evidence.parquet")

    other = "ama" if stem == "cap" else "cap"
    assert said("first", stem, [-2.5, -1.9, 3.0, -9.0]) == 4
    assert said("first", stem, [-9.0, -9.0, -9.0, -9.0]) == 0  # known
    assert said("second", other, [-9.0, -9.0, -9.0, -9.0]) == 4
    flags = flagged()
    assert [bool(flags[row_id]) for row_id in ids] == [True, False, False, True]
    assert said("third", stem, [1.0, -4.0, 3.0, -9.0]) == 4
    flags = flagged()
    assert [bool(flags[row_id]) for row_id in ids] == [False, True, False, True]


def test_the_example_of_a_probes_evidence_is_that_step() -> None:
    for stem in ("cap", "ama", "points"):
        lines = load(stem).path.read_text("utf-8").splitlines()
        start = lines.index('# sql = "images/contradicts.sql"')
        example = [line.removeprefix("# ").partition("  ")[0] for line in lines[start - 1 :][:4]]
        assert example == CONTRADICTS.format(stem).split("\n")[1:5]


def test_the_example_in_every_recipe_is_that_step() -> None:
    for stem in ("cap", "ama", "points"):
        lines = load(stem).path.read_text("utf-8").splitlines()
        start = lines.index('# sql = "images/score_above.sql"')
        example = [line.removeprefix("# ").partition("  ")[0] for line in lines[start - 1 :][:4]]
        assert example == STEP.split("\n")[1:5]


def test_the_commands_say_what_became_of_the_rows(planter: Planter, pixmo: Path) -> None:
    workspace = planter.workspace
    write(workspace.root / "s.csv", [score(name(0), 0.5), score("nowhere.png", 0.5)])
    write(workspace.root / "e.parquet", [embedding(name(0), [1.0, 2.0])])
    shown = run_pixmo(pixmo, "images", "scores", "s.csv", cwd=workspace.root)
    assert shown.returncode == 0, shown.stderr
    assert "1  no such image" in shown.stdout
    shown = run_pixmo(pixmo, "images", "embeddings", "e.parquet", "--json", cwd=workspace.root)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout) == {"added": 1, "known": 0, "set_aside": 0}
