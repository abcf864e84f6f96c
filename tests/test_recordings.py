"""pixmo.speech.recordings, .image_links, .lines: what a folder holds, and of which image."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from pixmo.errors import PixmoError, SpeechError
from pixmo.hashing import sha256_file
from pixmo.images.store import add_images
from pixmo.speech.recordings import Found, find, linked_since, record
from pixmo.workspace.workspace import Workspace
from tests.sounds import sweep, write_sound
from tests.workspaces import picture

IMAGES = ("dog.png", "cat.png", "cat__big.png", "town/street.png", "sea/street.png")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    opened = Workspace.init(tmp_path / "world")
    for seed, name in enumerate(IMAGES):
        path = opened.images / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(seed, (48, 32)).save(path)
    add_images(opened, opened.images)
    opened.audio.mkdir()
    return opened


def put(workspace: Workspace, name: str, content: str = "") -> Path:
    """A file that is unlike every other one, unless `content` says what it holds."""
    path = workspace.audio / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content or f"the sound of {name}")
    return path


def images(workspace: Workspace) -> dict[str, str]:
    """The path of every image by its sha256."""
    rows = workspace.read("images").to_pylist()
    return {row["image_sha256"]: row["path"].removeprefix("images/") for row in rows}


def linked(workspace: Workspace, found: Found) -> dict[str, str]:
    """The image of every recording, by their paths."""
    names = images(workspace)
    return {r.path.removeprefix("audio/"): names[r.image_sha256] for r in found.recordings}


def reasons(found: Found) -> dict[str, str]:
    return {item.path.removeprefix("audio/"): item.reason for item in found.set_aside}


def test_by_file_stem(workspace: Workspace) -> None:
    for name in ("dog.webm", "cat__anna.WAV", "cat__big.ogg", "deep/er/dog.m4a", "cat__big__2.mp3"):
        put(workspace, name)
    for name in ("dog-2.webm", "street.webm", "notes.txt", ".hidden.webm", ".trash/dog.webm"):
        put(workspace, name)
    found = find(workspace, workspace.audio)
    assert list(linked(workspace, found).items()) == [
        ("cat__anna.WAV", "cat.png"),
        ("cat__big.ogg", "cat__big.png"),
        ("cat__big__2.mp3", "cat__big.png"),
        ("deep/er/dog.m4a", "dog.png"),
        ("dog.webm", "dog.png"),
    ]
    assert reasons(found) == {
        "dog-2.webm": "no image for this recording",
        "notes.txt": "not a recording",
        "street.webm": "more than one image for this recording",
    }


def test_by_metadata(workspace: Workspace, tmp_path: Path) -> None:
    sha256 = next(sha256 for sha256, path in images(workspace).items() if path == "sea/street.png")
    copy = tmp_path / "elsewhere.png"
    copy.write_bytes((workspace.images / "cat.png").read_bytes())
    named = {
        "a.webm": "dog.png",
        "b.webm": "town/street.png",
        "c.webm": "images/sea/street.png",
        "d.webm": "../../images/cat.png",
        "e.webm": sha256.upper(),
        "f.webm": "cat__big",
        "g.webm": str(copy),
        "h.webm": "street.png",
        "i.webm": "bird.png",
        "dog.webm": "",
    }
    lines = ["﻿file_name,annotator,image,mood"]
    lines += [f'{name},"anna, b.",{image},good' for name, image in named.items()]
    for name in named:
        put(workspace, f"2024/{name}")
    put(workspace, "2024/metadata.csv", "\r\n".join(lines))
    found = find(workspace, workspace.audio)
    assert linked(workspace, found) == {
        "2024/a.webm": "dog.png",
        "2024/b.webm": "town/street.png",
        "2024/c.webm": "sea/street.png",
        "2024/d.webm": "cat.png",
        "2024/dog.webm": "dog.png",
        "2024/e.webm": "sea/street.png",
        "2024/f.webm": "cat__big.png",
        "2024/g.webm": "cat.png",
    }
    assert {recording.annotator for recording in found.recordings} == {"anna, b."}
    assert reasons(found) == {
        "2024/h.webm": "more than one image for this recording",
        "2024/i.webm": "no image for this recording",
    }
    assert "bird.png, named in metadata.csv line 10" in found.set_aside[1].detail


def test_what_the_metadata_says_stands_in_the_table(workspace: Workspace) -> None:
    write_sound(workspace.audio / "x.wav", sweep(0.1, 8000), 8000)
    put(workspace, "dog.webm")
    line = '{"file_name": "x.wav", "image": "cat", "annotator": 7, "prompt": "What?", "more": [1]'
    put(
        workspace,
        "metadata.jsonl",
        f'\n{line}, "recorded_at": "2026-01-01T10:00:00Z"}}\n{{"file_name": "gone.wav"}}\n',
    )
    found = find(workspace, workspace.audio)
    record(workspace, found)
    rows = workspace.read("recordings").to_pylist()
    shared: dict[str, Any] = {"annotator": "unknown", "prompt": None, "recorded_at": None}
    dog, x = (recording.sha256 for recording in found.recordings)
    by_name = {path: sha256 for sha256, path in images(workspace).items()}
    assert rows == [
        {
            **{"recording_sha256": dog, "path": "audio/dog.webm", "bytes": 21, "ordinal": 0},
            **shared,
            "image_sha256": by_name["dog.png"],
        },
        {
            **{"recording_sha256": x, "path": "audio/x.wav", "bytes": 1678, "ordinal": 1},
            **{"annotator": "7", "prompt": "What?", "recorded_at": "2026-01-01T10:00:00Z"},
            "image_sha256": by_name["cat.png"],
        },
    ]
    [aside] = workspace.read("set_aside").to_pylist()
    assert aside == {
        "stage": "transcribe",
        "key": "audio/gone.wav",
        "path": "audio/gone.wav",
        "reason": "metadata names no file",
        "detail": "named in audio/metadata.jsonl line 3",
        "is_mended": False,
    }


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metadata.jsonl", '{"file_name": "a.wav"}\n{broken\n', "metadata.jsonl line 2: not JSON"),
        ("metadata.jsonl", '["a.wav"]', "metadata.jsonl line 1: not an object"),
        ("metadata.jsonl", '{"image": "dog"}', "metadata.jsonl line 1: it has no file_name"),
        ("metadata.jsonl", '{"file_name": ["a"]}', "line 1: file_name is no text: "),
        (
            "metadata.jsonl",
            '{"file_name": "a.wav"}\n{"file_name": "./a.wav"}',
            "line 2: ./a.wav is named in metadata.jsonl line 1 already",
        ),
        ("metadata.jsonl", '{"file_name": "\\ud83d"}', "line 1: file_name holds half a character"),
        ("metadata.csv", "file_name,image\na.wav\n", "metadata.csv line 2: has not the 2 fields"),
        ("metadata.csv", "file_name\na.wav,b\n", "metadata.csv line 2: has not the 1 fields"),
        ("metadata.csv", 'file_name\n"a.wav\n', "metadata.csv behind line 1: not CSV"),
        ("metadata.csv", "image\ndog\n", "metadata.csv line 2: it has no file_name"),
        (
            "metadata.jsonl",
            '{"file_name": "a.wav"}\n{"file_name": "b.wav", "anotator": "ann"}',
            "metadata.jsonl line 2: anotator is unknown; did you mean annotator?",
        ),
        ("metadata.csv", "file_name,imgae\n", "line 1: imgae is unknown; did you mean image?"),
        ("metadata.jsonl", '{"file_name": "a.wav", "prompt": 5}', "prompt is the number 5"),
    ],
)
def test_malformed_metadata_names_file_and_line(
    workspace: Workspace, name: str, content: str, message: str
) -> None:
    put(workspace, "a.wav")
    put(workspace, name, content)
    with pytest.raises(PixmoError) as raised:
        find(workspace, workspace.audio)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_folders_that_cannot_be_used(workspace: Workspace) -> None:
    with pytest.raises(SpeechError, match=r"holds no recording; pixmo reads .*webm"):
        find(workspace, workspace.audio)
    with pytest.raises(SpeechError, match="nowhere is not a folder; name the one that holds"):
        find(workspace, workspace.root / "nowhere")
    path = put(workspace, "dog.webm")
    with pytest.raises(SpeechError, match=r"dog\.webm is not a folder"):
        find(workspace, path)


def test_copies_and_their_first_name(workspace: Workspace) -> None:
    put(workspace, "dog.webm", "woof")
    put(workspace, "dog__b.webm", "woof")
    put(workspace, "bird.webm", "woof")  # has no image, so it can own nothing
    found = find(workspace, workspace.audio)
    assert linked(workspace, found) == {"dog.webm": "dog.png"}
    assert reasons(found) == {
        "bird.webm": "no image for this recording",
        "dog__b.webm": "same bytes as another recording",
    }
    record(workspace, found)
    # A copy that sorts first does not take the name over, and not from another folder either.
    put(workspace, "a/dog__a.webm", "woof")
    again = find(workspace, workspace.audio)
    assert linked(workspace, again) == {"dog.webm": "dog.png"}
    alone = find(workspace, workspace.audio / "a")
    assert alone.recordings == []
    assert alone.set_aside[0].detail == "same as audio/dog.webm"


def test_odd_files_are_set_aside(workspace: Workspace) -> None:
    put(workspace, "dog.webm")
    os.mkfifo(workspace.audio / "pipe.webm")
    (workspace.audio / "loop.webm").symlink_to("loop.webm")
    (workspace.audio / "round").symlink_to(workspace.audio)
    (workspace.audio / "cat.webm").symlink_to(put(workspace, "elsewhere.webm"))
    (workspace.audio / os.fsdecode(b"\xff.webm")).write_text("a name that is no UTF-8")
    found = find(workspace, workspace.audio)
    assert list(linked(workspace, found)) == ["cat.webm", "dog.webm"]
    assert reasons(found) == {
        "elsewhere.webm": "no image for this recording",
        "loop.webm": "not a recording",
        "pipe.webm": "not a recording",
        "round": "not a recording",
        "\\udcff.webm": "no image for this recording",
    }
    record(workspace, found)


def test_corrected_metadata_and_a_move_count_from_now_on(workspace: Workspace) -> None:
    put(workspace, "dog.webm", "woof")
    put(workspace, "cat.webm")
    record(workspace, find(workspace, workspace.audio))
    names = {path: sha256 for sha256, path in images(workspace).items()}
    line = '{"file_name": "dog.webm", "image": "cat__big.png", "annotator": "bea"}'
    put(workspace, "metadata.jsonl", line)
    record(workspace, find(workspace, workspace.audio))
    workspace.path("audio/cat.webm").rename(workspace.audio / "cat__moved.webm")
    for _ in range(2):  # what says the same again adds no row
        record(workspace, find(workspace, workspace.audio))
    assert len(workspace.read("recordings")) == 4
    with workspace.connect() as connection:
        query = "select path, image_sha256, annotator, ordinal from recordings order by ordinal"
        rows = connection.execute(query).fetchall()
    assert rows == [
        ("audio/cat__moved.webm", names["cat.png"], "unknown", 0),
        ("audio/dog.webm", names["cat__big.png"], "bea", 1),
    ]


def test_a_file_that_is_back_as_it_was_counts_again(workspace: Workspace) -> None:
    counting = []
    for content in ("first", "second", "first", "first"):
        put(workspace, "dog.webm", content)
        found = find(workspace, workspace.audio)
        record(workspace, found)
        with workspace.connect() as connection:
            rows = connection.execute("select recording_sha256 from recordings").fetchall()
        assert rows == [(found.recordings[0].sha256,)]
        counting.append(len(workspace.read("recordings")))
    assert counting == [1, 2, 3, 3]


def test_recordings_that_swapped_their_names_follow_their_bytes(workspace: Workspace) -> None:
    put(workspace, "dog.webm", "woof")
    put(workspace, "cat.webm", "meow")
    record(workspace, find(workspace, workspace.audio))
    put(workspace, "dog.webm", "meow")
    put(workspace, "cat.webm", "woof")
    found = find(workspace, workspace.audio)
    assert linked(workspace, found) == {"dog.webm": "dog.png", "cat.webm": "cat.png"}
    assert found.set_aside == []
    record(workspace, found)
    with workspace.connect() as connection:
        paths = connection.execute("select path from recordings order by path").fetchall()
    assert paths == [("audio/cat.webm",), ("audio/dog.webm",)]


def test_a_renamed_recording_whose_old_name_is_used_again(workspace: Workspace) -> None:
    put(workspace, "dog.webm", "woof")
    record(workspace, find(workspace, workspace.audio))
    put(workspace, "cat.webm", "woof")
    put(workspace, "dog.webm", "another dog")
    found = find(workspace, workspace.audio)
    assert linked(workspace, found) == {"dog.webm": "dog.png", "cat.webm": "cat.png"}


def test_a_link_corrected_to_what_is_not_there_takes_the_old_one_back(workspace: Workspace) -> None:
    put(workspace, "dog.webm")
    record(workspace, find(workspace, workspace.audio))
    put(workspace, "metadata.jsonl", '{"file_name": "dog.webm", "image": "late.png"}')
    for _ in range(2):
        record(workspace, find(workspace, workspace.audio))
    with workspace.connect() as connection:
        assert connection.execute("from recordings").fetchall() == []
        query = "select path, reason from current_set_aside"
        assert connection.execute(query).fetchall() == [
            ("audio/dog.webm", "no image for this recording")
        ]
    assert len(workspace.read("recordings")) == 2
    picture(77, (48, 32)).save(workspace.images / "late.png")
    add_images(workspace, workspace.images)
    assert [recording.path for recording in linked_since(workspace)] == ["audio/dog.webm"]
    found = find(workspace, workspace.audio)
    assert linked(workspace, found) == {"dog.webm": "late.png"}
    record(workspace, found)
    with workspace.connect() as connection:
        assert len(connection.execute("from recordings").fetchall()) == 1


def test_metadata_above_the_folder_counts(workspace: Workspace) -> None:
    put(workspace, "deep/er/x.webm")
    put(workspace, "y.webm")
    put(
        workspace,
        "metadata.jsonl",
        '{"file_name": "deep/er/x.webm", "image": "dog.png"}\n{"file_name": "gone.webm"}',
    )
    found = find(workspace, workspace.audio / "deep")
    assert linked(workspace, found) == {"deep/er/x.webm": "dog.png"}
    assert reasons(found) == {}  # gone.webm would lie outside of this folder


def test_an_image_name_that_no_file_can_have_names_none(workspace: Workspace) -> None:
    put(workspace, "dog.webm")
    url = f"https://example.org/{'x' * 300}.png"
    put(workspace, "metadata.jsonl", f'{{"file_name": "dog.webm", "image": "{url}"}}')
    assert reasons(find(workspace, workspace.audio)) == {"dog.webm": "no image for this recording"}


def test_a_recording_whose_image_came_later_waits(workspace: Workspace) -> None:
    for name in ("bird.webm", "fish.webm", "whale.webm"):
        put(workspace, name)
    put(workspace, "metadata.jsonl", '{"file_name": "fish.webm", "image": "late"}')
    record(workspace, find(workspace, workspace.audio))
    assert linked_since(workspace) == []
    for seed, name in enumerate(("bird.png", "late.png"), 50):
        picture(seed, (48, 32)).save(workspace.images / name)
    add_images(workspace, workspace.images)
    paths = [recording.path for recording in linked_since(workspace)]
    assert paths == ["audio/bird.webm", "audio/fish.webm"]


def test_new_recordings_are_appended_in_order(workspace: Workspace) -> None:
    put(workspace, "dog.webm")
    record(workspace, find(workspace, workspace.audio))
    put(workspace, "cat.webm")
    put(workspace, "dog__2.webm")
    record(workspace, find(workspace, workspace.audio))
    rows = workspace.read("recordings").to_pylist()
    assert [(row["path"], row["ordinal"]) for row in rows] == [
        ("audio/dog.webm", 0),
        ("audio/cat.webm", 1),
        ("audio/dog__2.webm", 2),
    ]


def counting(workspace: Workspace) -> dict[str, str]:
    """The image of every recording that counts, by their paths in audio/."""
    names = images(workspace)
    with workspace.connect() as connection:
        rows = connection.execute("select path, image_sha256 from recordings").fetchall()
    return {path.removeprefix("audio/"): names[sha256] for path, sha256 in rows}


def take_in(workspace: Workspace, folder: str = "") -> Found:
    found = find(workspace, workspace.audio / folder)
    record(workspace, found)
    return found


def test_a_copy_without_an_image_in_another_folder_takes_nothing_back(workspace: Workspace) -> None:
    put(workspace, "dog.webm", "woof")
    take_in(workspace)
    put(workspace, "new/foo.webm", "woof")
    found = take_in(workspace, "new")
    assert reasons(found) == {"new/foo.webm": "no image for this recording"}
    assert counting(workspace) == {"dog.webm": "dog.png"}
    # Moved there, it has no image any more.
    workspace.path("audio/dog.webm").unlink()
    take_in(workspace, "new")
    assert counting(workspace) == {}


def test_a_linked_copy_wins_over_the_name_in_the_table_that_lost_its_image(
    workspace: Workspace,
) -> None:
    put(workspace, "dog.webm", "woof")
    take_in(workspace)
    put(workspace, "metadata.jsonl", '{"file_name": "dog.webm", "image": "late.png"}')
    put(workspace, "cat.webm", "woof")
    for _ in range(2):
        found = take_in(workspace)
        assert linked(workspace, found) == {"cat.webm": "cat.png"}
        assert reasons(found) == {"dog.webm": "no image for this recording"}
        assert counting(workspace) == {"cat.webm": "cat.png"}
    assert len(workspace.read("recordings")) == 2


@pytest.mark.parametrize(
    ("line", "content", "reason"),
    [
        ('{"file_name": "x.webm", "image": "late"}', "noise", "no image for this recording"),
        (
            '{"file_name": "x.webm", "image": "street"}',
            "x",
            "more than one image for this recording",
        ),
        ('{"file_name": "x.webm", "image": "dog"}', "meow", "same bytes as another recording"),
    ],
)
def test_a_recording_whose_file_is_another_or_lost_its_link_counts_no_more(
    workspace: Workspace, line: str, content: str, reason: str
) -> None:
    put(workspace, "cat.webm", "meow")
    put(workspace, "x.webm", "x")
    put(workspace, "metadata.jsonl", '{"file_name": "x.webm", "image": "dog"}')
    take_in(workspace)
    assert counting(workspace) == {"cat.webm": "cat.png", "x.webm": "dog.png"}
    put(workspace, "x.webm", content)
    put(workspace, "metadata.jsonl", line)
    for _ in range(2):
        assert reasons(take_in(workspace)) == {"x.webm": reason}
        assert counting(workspace) == {"cat.webm": "cat.png"}
    assert len(workspace.read("recordings")) == 3
    put(workspace, "x.webm", "x")
    put(workspace, "metadata.jsonl", '{"file_name": "x.webm", "image": "dog"}')
    take_in(workspace)
    assert counting(workspace) == {"cat.webm": "cat.png", "x.webm": "dog.png"}


def test_a_recording_that_was_deleted_once_it_was_heard_counts(workspace: Workspace) -> None:
    put(workspace, "dog.webm")
    put(workspace, "cat.webm")
    put(workspace, "metadata.jsonl", '{"file_name": "dog.webm", "image": "dog"}')
    take_in(workspace)
    workspace.path("audio/dog.webm").unlink()
    assert reasons(take_in(workspace)) == {"dog.webm": "metadata names no file"}
    assert counting(workspace) == {"cat.webm": "cat.png", "dog.webm": "dog.png"}


def test_a_recording_moved_away_from_its_image_leaves_its_name_to_another(
    workspace: Workspace,
) -> None:
    put(workspace, "dog.webm", "woof")
    take_in(workspace)
    put(workspace, "foo.webm", "woof")
    put(workspace, "dog.webm", "another dog")
    for _ in range(2):
        found = take_in(workspace)
        assert linked(workspace, found) == {"dog.webm": "dog.png"}
        assert counting(workspace) == {"dog.webm": "dog.png"}


def test_of_two_images_saved_under_one_name_the_newer_is_meant(workspace: Workspace) -> None:
    put(workspace, "dog.webm")
    path = workspace.images / "dog.png"
    first = path.read_bytes()
    [before] = find(workspace, workspace.audio).recordings
    picture(60, (48, 32)).save(path)
    add_images(workspace, workspace.images)
    [after] = find(workspace, workspace.audio).recordings
    assert after.image_sha256 == sha256_file(path) != before.image_sha256
    # The replaced one is still meant by its hash.
    put(workspace, "metadata.csv", f"file_name,image\ndog.webm,{before.image_sha256}\n")
    [by_hash] = find(workspace, workspace.audio).recordings
    assert by_hash.image_sha256 == before.image_sha256
    workspace.path("audio/metadata.csv").unlink()
    path.write_bytes(first)
    for updated in (1, 0):
        assert add_images(workspace, workspace.images).updated == updated
        [again] = find(workspace, workspace.audio).recordings
        assert again.image_sha256 == before.image_sha256


def test_what_metadata_above_a_folder_names_in_it_is_mended_there(workspace: Workspace) -> None:
    put(workspace, "deep/dog.webm")
    put(workspace, "metadata.jsonl", '{"file_name": "deep/gone.webm"}')
    take_in(workspace, "deep")
    [item] = workspace.still_set_aside()
    assert item.path == "audio/deep/gone.webm"
    put(workspace, "metadata.jsonl", '{"file_name": "deep/dog.webm"}')
    found = take_in(workspace, "deep")
    workspace.mend("transcribe", workspace.audio / "deep", found.set_aside)
    assert workspace.still_set_aside() == set()


def test_an_image_that_came_late_is_of_no_use_to_what_cannot_be_decoded(
    workspace: Workspace,
) -> None:
    put(workspace, "bird.webm")
    found = take_in(workspace)
    [item] = found.set_aside
    picture(50, (48, 32)).save(workspace.images / "bird.png")
    add_images(workspace, workspace.images)
    assert [recording.path for recording in linked_since(workspace)] == ["audio/bird.webm"]
    # A run that was stopped has not mended the first fault yet.
    workspace.set_aside([dataclasses.replace(item, reason="not a sound file")])
    assert linked_since(workspace) == []
