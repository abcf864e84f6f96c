"""pixmo.images.store and .metadata: a folder in, rows and set-aside items out."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pixmo.errors import ImageError, WorkspaceError
from pixmo.hashing import sha256_file
from pixmo.images.fingerprint import fingerprint
from pixmo.images.store import PART_FILES, ImagesAdded, add_images
from pixmo.workspace.workspace import Workspace
from tests.workspaces import picture

SIZE = (48, 32)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    opened = Workspace.init(tmp_path / "world")
    opened.images.mkdir()
    return opened


def put(workspace: Workspace, name: str, seed: int) -> Path:
    path = workspace.images / name
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed, SIZE).save(path)
    return path


def rows(workspace: Workspace) -> list[dict[str, Any]]:
    return workspace.read("images").to_pylist()


def aside(workspace: Workspace) -> list[tuple[str, ...]]:
    return [tuple(row.values())[:5] for row in workspace.read("set_aside").to_pylist()]


def test_a_folder_is_taken_in_by_path_and_hidden_files_are_passed_over(
    workspace: Workspace,
) -> None:
    names = ["b.png", "a/z.JPG", "a/1.webp", "a/.hidden.png", ".thumbs/x.png", "c.bmp"]
    for seed, name in enumerate(names):
        put(workspace, name, seed)
    assert add_images(workspace, workspace.images) == ImagesAdded(4, 0, 0)
    found = rows(workspace)
    assert [row["path"] for row in found] == [
        f"images/{name}" for name in ("a/1.webp", "a/z.JPG", "b.png", "c.bmp")
    ]
    assert [row["ordinal"] for row in found] == [0, 1, 2, 3]
    first = fingerprint(workspace.images / "a/1.webp")
    (shown, *_) = workspace.read("image_thumbnails").to_pylist()
    assert {key: (found[0] | shown)[key] for key in vars(first)} == vars(first)
    assert found[0]["image_url"] is None


def test_again_changes_nothing_and_later_images_come_after(workspace: Workspace) -> None:
    put(workspace, "m.png", 1)
    add_images(workspace, workspace.images)
    before = rows(workspace)
    assert add_images(workspace, workspace.images) == ImagesAdded(0, 1, 0)
    assert rows(workspace) == before
    put(workspace, "a.png", 2)
    assert add_images(workspace, workspace.images) == ImagesAdded(1, 1, 0)
    assert [(row["path"], row["ordinal"]) for row in rows(workspace)] == [
        ("images/m.png", 0),
        ("images/a.png", 1),
    ]


def test_every_planted_defect_is_set_aside_with_its_reason(workspace: Workspace) -> None:
    first = put(workspace, "1.png", 1)
    (workspace.images / "2.png").write_bytes(first.read_bytes())
    cut = put(workspace, "3.jpg", 3)
    cut.write_bytes(cut.read_bytes()[:-200])
    (workspace.images / "4.txt").write_text("notes")
    moving = workspace.images / "5.gif"
    picture(5, SIZE).save(moving, save_all=True, append_images=[picture(6, SIZE)])
    (workspace.images / "6.png").symlink_to("nowhere.png")
    os.mkfifo(workspace.images / "7.png")
    put(workspace, "8.png", 8)
    expected = ImagesAdded(2, 0, 6)
    assert add_images(workspace, workspace.images) == expected
    assert [row["path"] for row in rows(workspace)] == ["images/1.png", "images/8.png"]
    same, damaged, text, gif, link, pipe = aside(workspace)
    assert same == (
        "images",
        sha256_file(first),
        "images/2.png",
        "same bytes as another image",
        "images/1.png",
    )
    assert damaged[1:4] == (sha256_file(cut), "images/3.jpg", "damaged image")
    assert text[1:4] == ("images/4.txt", "images/4.txt", "not an image")
    assert gif[1:4] == (sha256_file(moving), "images/5.gif", "more than one frame")
    assert link[1:4] == ("images/6.png", "images/6.png", "cannot be opened")
    assert pipe[1:4] == ("images/7.png", "images/7.png", "cannot be opened")
    assert add_images(workspace, workspace.images) == ImagesAdded(0, 2, 6)
    assert len(aside(workspace)) == 6


def test_a_name_that_is_no_utf8_is_set_aside(workspace: Workspace) -> None:
    put(workspace, "good.png", 1)
    odd = os.fsencode(workspace.images) + b"/\xff.png"
    Path(os.fsdecode(odd)).write_bytes(put(workspace, "other.png", 2).read_bytes())
    assert add_images(workspace, workspace.images) == ImagesAdded(2, 0, 1)
    assert aside(workspace)[0][2:4] == ("images/\\xff.png", "name is not UTF-8")


def test_new_bytes_at_a_known_path_are_a_new_image(workspace: Workspace) -> None:
    put(workspace, "1.png", 1)
    add_images(workspace, workspace.images)
    put(workspace, "1.png", 2)
    assert add_images(workspace, workspace.images) == ImagesAdded(1, 0, 0)
    assert add_images(workspace, workspace.images) == ImagesAdded(0, 1, 0)
    assert [row["path"] for row in rows(workspace)] == ["images/1.png"] * 2


def test_a_folder_elsewhere_keeps_its_absolute_path(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    picture(1, SIZE).save(tmp_path / "elsewhere/1.png")
    add_images(workspace, tmp_path / "world/../elsewhere")
    assert rows(workspace)[0]["path"] == str(tmp_path / "elsewhere/1.png")


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.csv"])
def test_metadata_gives_source_urls(workspace: Workspace, name: str) -> None:
    for seed, image in enumerate(["1.png", "a/2.png", "3.png", "4.png"]):
        put(workspace, image, seed)
    lines = {
        "metadata.jsonl": '{"file_name": "1.png", "image_url": "https://x.org/1.png", "n": 1}\n\n'
        '{"file_name": "a/2.png", "image_url": "https://x.org/2.png"}\n{"file_name": "3.png"}\n',
        "metadata.csv": "file_name,image_url\n1.png,https://x.org/1.png\n"
        "a/2.png,https://x.org/2.png\n3.png,\n",
    }
    (workspace.images / name).write_text(lines[name])
    assert add_images(workspace, workspace.images) == ImagesAdded(4, 0, 0)
    assert {row["path"]: row["image_url"] for row in rows(workspace)} == {
        "images/1.png": "https://x.org/1.png",
        "images/3.png": None,
        "images/4.png": None,
        "images/a/2.png": "https://x.org/2.png",
    }
    assert aside(workspace) == []


def test_metadata_gives_licences_and_a_later_one_counts(workspace: Workspace) -> None:
    for seed, image in enumerate(["1.png", "2.png", "3.png"]):
        put(workspace, image, seed)
    metadata = workspace.images / "metadata.jsonl"
    metadata.write_text(
        '{"file_name": "1.png", "license": " CC-BY-4.0 "}\n{"file_name": "2.png", "license": ""}\n'
    )
    add_images(workspace, workspace.images)
    assert [row["license"] for row in counted(workspace)] == ["CC-BY-4.0", None, None]
    metadata.write_text('{"file_name": "3.png", "license": "CC0-1.0"}')
    assert add_images(workspace, workspace.images) == ImagesAdded(0, 2, 0, updated=1)
    assert [row["license"] for row in counted(workspace)] == ["CC-BY-4.0", None, "CC0-1.0"]
    metadata.write_text('{"file_name": "3.png", "license": 4}')
    with pytest.raises(ImageError, match=r"metadata\.jsonl, line 1: license is 4; write its SPDX"):
        add_images(workspace, workspace.images)


def test_metadata_of_an_inner_folder_names_files_from_there(workspace: Workspace) -> None:
    put(workspace, "a/1.png", 1)
    line = '{"file_name": "1.png", "image_url": "https://x.org/1.png"}'
    (workspace.images / "a/metadata.jsonl").write_text(line)
    add_images(workspace, workspace.images)
    assert rows(workspace)[0]["image_url"] == "https://x.org/1.png"


def test_a_line_that_names_no_file_is_set_aside_and_a_late_url_counts(
    workspace: Workspace,
) -> None:
    put(workspace, "1.png", 1)
    add_images(workspace, workspace.images)
    (workspace.images / "metadata.jsonl").write_text(
        '{"file_name": "1.png", "image_url": "https://x.org/1.png"}\n{"file_name": "../9.png"}\n'
    )
    assert add_images(workspace, workspace.images) == ImagesAdded(0, 0, 1, updated=1)
    assert aside(workspace) == [
        ("images", "2", "images/metadata.jsonl", "metadata names no file", "9.png"),
    ]
    assert [row["image_url"] for row in counted(workspace)] == ["https://x.org/1.png"]
    assert add_images(workspace, workspace.images) == ImagesAdded(0, 1, 1)


def test_a_moved_image_stays_the_same_image(workspace: Workspace) -> None:
    put(workspace, "1.png", 1)
    put(workspace, "2.png", 2)
    add_images(workspace, workspace.images)
    before = counted(workspace)
    (workspace.images / "album").mkdir()
    (workspace.images / "1.png").rename(workspace.images / "album/one.png")
    assert add_images(workspace, workspace.images) == ImagesAdded(0, 1, 0, updated=1)
    after = counted(workspace)
    assert [row["path"] for row in after] == ["images/album/one.png", "images/2.png"]
    assert [row | {"path": ""} for row in after] == [row | {"path": ""} for row in before]
    assert workspace.local_images()[after[0]["image_sha256"]].is_file()
    assert add_images(workspace, workspace.images) == ImagesAdded(0, 2, 0)
    (workspace.images / "album/one.png").rename(workspace.images / "1.png")
    assert add_images(workspace, workspace.images) == ImagesAdded(0, 1, 0, updated=1)
    assert counted(workspace) == before


def counted(workspace: Workspace) -> list[dict[str, Any]]:
    """The images that count, in order of arrival."""
    with workspace.connect() as connection:
        found = connection.sql("select * from images order by ordinal")
        return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("metadata.jsonl", '{"file_name": "1.png"}\n{"file', "line 2: not JSON"),
        ("metadata.jsonl", '["1.png"]', "line 1: write"),
        ("metadata.jsonl", '{"image": "1.png"}', 'line 1: no "file_name"'),
        ("metadata.jsonl", '\n{"file_name": 1}', "line 2: file_name is 1; write a file's name"),
        (
            "metadata.jsonl",
            '{"file_name": "1.png"}\n{"file_name": "2.png", "image_ulr": "https://a.b/c"}',
            "line 2: image_ulr is unknown; did you mean image_url?",
        ),
        ("metadata.csv", "filename\n1.png\n", "filename is unknown; did you mean file_name?"),
        ("metadata.jsonl", '{"file_name": "\\ud800"}', 'line 1: no "file_name"'),
        ("metadata.jsonl", '{"file_name": "1.png", "image_url": "1.png"}', "line 1: image_url"),
        ("metadata.jsonl", '{"file_name": "1.png", "image_url": "http://["}', "line 1: image_url"),
        (
            "metadata.jsonl",
            '{"file_name": "1.png"}\n{"file_name": "./1.png"}',
            "line 2: 1.png stands",
        ),
        ("metadata.jsonl", "[" * 100_000, "line 1: not JSON"),
        ("metadata.csv", "file_name,image_url\n1.png\n", "line 2: not as many"),
        ("metadata.csv", "file_name\n1.png,x\n", "line 2: not as many"),
        ("metadata.csv", "name\n1.png\n", 'line 2: no "file_name"'),
        ("metadata.csv", 'file_name\n"1.png\n', "line 2: not CSV"),
        ("metadata.csv", b"file_name\n\xff.png\n", "cannot be read as UTF-8"),
    ],
)
def test_malformed_metadata_is_one_error_with_file_and_line(
    workspace: Workspace, name: str, text: str | bytes, where: str
) -> None:
    put(workspace, "1.png", 1)
    data = text if isinstance(text, bytes) else text.encode()
    (workspace.images / name).write_bytes(data)
    with pytest.raises(ImageError) as caught:
        add_images(workspace, workspace.images)
    assert str(caught.value).startswith(str(workspace.images / name))
    assert where in str(caught.value)
    assert "\n" not in str(caught.value)
    assert rows(workspace) == []


def test_a_folder_without_an_image_is_an_error_that_says_what_to_do(workspace: Workspace) -> None:
    with pytest.raises(ImageError, match=r"does not exist; name a folder"):
        add_images(workspace, workspace.images / "gone")
    with pytest.raises(ImageError, match=r"holds no image; pixmo reads \.png"):
        add_images(workspace, workspace.images)
    file = put(workspace, ".1.png", 1)
    with pytest.raises(ImageError, match=r"is not a folder; name the folder"):
        add_images(workspace, file)
    with pytest.raises(ImageError, match="holds no image"):
        add_images(workspace, workspace.images)


def test_two_at_once_are_refused(workspace: Workspace) -> None:
    put(workspace, "1.png", 1)
    with workspace.lock("images"), pytest.raises(WorkspaceError, match="busy with images"):
        add_images(workspace, workspace.images)


def test_other_processes_see_the_same(workspace: Workspace, tmp_path: Path) -> None:
    for seed in range(70):
        put(workspace, f"{seed:02d}.png", seed)
    (workspace.images / "99.png").write_bytes((workspace.images / "00.png").read_bytes())
    assert add_images(workspace, workspace.images, workers=2) == ImagesAdded(70, 0, 1)
    alone = Workspace.init(tmp_path / "alone")
    workspace.images.rename(alone.images)
    assert add_images(alone, alone.images, workers=0) == ImagesAdded(70, 0, 1)
    assert rows(alone) == rows(workspace)
    assert aside(alone) == aside(workspace)


class KilledError(Exception):
    """Stands for a kill."""


class CutOff:
    """A progress that dies after some images."""

    def __init__(self, images: int) -> None:
        self.left = images

    @contextlib.contextmanager
    def task(self, *_: object) -> Iterator[Callable[[int], None]]:
        def advance(count: int) -> None:
            self.left -= count
            if self.left < 0:
                raise KilledError

        yield advance


def many(workspace: Workspace) -> int:
    """More than a part of tiny images, a defect and a copy in each part; returns the files."""
    files = PART_FILES + 40
    for number in range(files):
        image = Image.new("L", (4, 4), number % 256)
        image.putpixel((0, 0), number // 256)
        image.save(workspace.images / f"{number:04d}.bmp")
    for number in (5, PART_FILES + 5):
        (workspace.images / f"{number:04d}a.png").write_bytes(b"broken")
        original = workspace.images / f"{number:04d}.bmp"
        (workspace.images / f"{number:04d}b.bmp").write_bytes(original.read_bytes())
    return files + 4


def test_cut_off_and_run_again_gives_the_same_rows(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = many(workspace)
    link = os.link

    def none_from(cut: int) -> Callable[[Any, Any], None]:
        left = iter(range(cut))

        def cut_off(source: Any, target: Any) -> None:
            if next(left, None) is None:
                raise KilledError
            link(source, target)

        return cut_off

    # Before and after what is set aside, after the thumbnails, after the images, and in part two.
    for cut, done in ((0, 0), (1, 0), (1, 0), (2, 1), (1, 1)):
        with monkeypatch.context() as patch:
            patch.setattr(os, "link", none_from(cut))
            with pytest.raises(KilledError):
                add_images(workspace, workspace.images, workers=0)
        assert len(rows(workspace)) == done * (PART_FILES - 2)
    with pytest.raises(KilledError):
        add_images(workspace, workspace.images, CutOff(PART_FILES + 10), workers=0)
    again = add_images(workspace, workspace.images, workers=0)
    assert again == ImagesAdded(files - PART_FILES - 2, PART_FILES - 2, 4)
    calm = Workspace.init(tmp_path / "calm")
    workspace.images.rename(calm.images)
    assert add_images(calm, calm.images, workers=0) == ImagesAdded(files - 4, 0, 4)
    assert rows(calm) == rows(workspace)
    assert aside(calm) == aside(workspace)
    assert [row["ordinal"] for row in rows(calm)] == list(range(files - 4))
