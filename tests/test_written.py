"""pixmo.speech.written: transcripts from a file, each once."""

import json
from pathlib import Path
from typing import Any

import pytest

from pixmo.errors import SpeechError, WorkspaceError
from pixmo.images.store import add_images
from pixmo.speech.written import Added, add_written
from pixmo.workspace.workspace import Workspace
from tests.workspaces import picture


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    opened = Workspace.init(tmp_path / "world")
    opened.images.mkdir()
    for seed, name in enumerate(("dog.png", "cat.png")):
        picture(seed, (48, 32)).save(opened.images / name)
    add_images(opened, opened.images)
    return opened


def write(workspace: Workspace, *lines: object, name: str = "written.jsonl") -> Path:
    path = workspace.root / name
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("\n".join(texts) + "\n", "utf-8")
    return path


def rows(workspace: Workspace) -> list[dict[str, Any]]:
    return workspace.read("transcripts").to_pylist()


def texts(workspace: Workspace) -> list[str]:
    """What counts now, sorted."""
    with workspace.connect() as connection:
        found = connection.execute("select text from current_transcripts order by 1").fetchall()
    return [text for (text,) in found]


def test_a_written_transcript(workspace: Workspace) -> None:
    path = write(workspace, {"image": "dog.png", "text": " A  dog\nsits. ", "annotator": "anna"})
    assert add_written(workspace, path) == Added(1, 0, 0)
    [row] = rows(workspace)
    assert row["text"] == "A dog sits."
    assert (row["source"], row["annotator"], row["language"]) == ("written", "anna", "en")
    empty = ("recording_sha256", "avg_logprob", "no_speech_prob", "words_per_minute")
    assert all(row[name] is None for name in (*empty, "model", "model_sha256"))
    assert (row["duration_seconds"], row["speech_seconds"], row["segments"]) == (0, 0, [])
    assert 0 < row["compression_ratio"] < 2


def test_nothing_is_taken_in_twice(workspace: Workspace) -> None:
    first = {"image": "dog.png", "text": "A dog."}
    path = write(workspace, first, {"image": "cat.png", "text": "A cat."})
    assert add_written(workspace, path) == Added(2, 0, 0)
    assert add_written(workspace, path) == Added(0, 2, 0)
    more = write(workspace, {"image": "images/dog.png", "text": "A  dog."}, name="more.jsonl")
    assert add_written(workspace, more) == Added(0, 1, 0)
    csv = write(workspace, "text,image", '"A dog, again.",dog', name="more.csv")
    assert add_written(workspace, csv) == Added(1, 0, 0)
    assert texts(workspace) == ["A cat.", "A dog, again.", "A dog."]


def test_a_named_transcript_is_replaced(workspace: Workspace) -> None:
    line = {"image": "dog.png", "text": "A dgo.", "transcript_id": "t1"}
    add_written(workspace, write(workspace, line))
    mended = write(workspace, line | {"text": "A dog."})
    assert add_written(workspace, mended) == Added(1, 0, 0)
    assert add_written(workspace, mended) == Added(0, 1, 0)
    assert texts(workspace) == ["A dog."]
    assert len(rows(workspace)) == 2


def test_bad_lines_are_set_aside_by_number(workspace: Workspace) -> None:
    path = write(
        workspace,
        {"image": "dog.png", "text": "A dog."},
        "",
        "{broken",
        {"image": "bird.png", "text": "A bird."},
        {"text": "Something."},
        {"image": "dog.png", "text": "  "},
        {"image": "dog.png", "text": "A dog."},
        {"image": "dog.png", "text": ["A dog."]},
        '{"image": "dog.png", "text": "half \\ud83d"}',
        {"image": "cat.png", "text": "A cat."},
        {"image": "cat.png", "text": 5},
    )
    for _ in range(2):
        assert add_written(workspace, path).set_aside == 8
    assert texts(workspace) == ["A cat.", "A dog."]
    aside = workspace.read("set_aside").to_pylist()
    assert {row["stage"] for row in aside} == {"transcripts"}
    assert {row["path"] for row in aside} == {"written.jsonl"}
    assert [(row["key"], row["reason"]) for row in aside] == [
        ("3", "malformed line"),
        ("4", "no such image"),
        ("5", "no such image"),
        ("6", "no text"),
        ("7", "transcript given twice"),
        ("8", "malformed line"),
        ("9", "malformed line"),
        ("11", "malformed line"),
    ]
    assert aside[-1]["detail"] == "text is the number 5, no text; write text"


def test_a_misspelt_column_is_named_and_nothing_taken_in(workspace: Workspace) -> None:
    path = write(workspace, {"image": "dog.png", "text": "A dog.", "transcription": "other"})
    assert add_written(workspace, path).added == 1
    path = write(workspace, {"image": "cat.png", "text": "A cat."}, {"image": "dog", "txt": "A"})
    with pytest.raises(WorkspaceError, match=r"line 2: txt is unknown; did you mean text\?"):
        add_written(workspace, path)
    assert texts(workspace) == ["A dog."]


def test_files_that_cannot_be_used(workspace: Workspace) -> None:
    with pytest.raises(SpeechError, match=r"is not a file; name a .jsonl or .csv file"):
        add_written(workspace, workspace.root / "absent.jsonl")
    with pytest.raises(
        WorkspaceError, match=r"is neither .jsonl nor .csv; write it as one of these"
    ):
        add_written(workspace, write(workspace, "text", name="written.txt"))
    latin = workspace.root / "latin.jsonl"
    latin.write_bytes(b'{"image": "dog", "text": "caf\xe9"}')
    with pytest.raises(WorkspaceError, match=r"latin\.jsonl cannot be read: .*UTF-8 text"):
        add_written(workspace, latin)


def test_thousands_are_one_part(workspace: Workspace) -> None:
    lines = [{"image": "dog.png", "text": f"There are {n} dogs."} for n in range(4000)]
    path = write(workspace, *lines)
    assert add_written(workspace, path) == Added(4000, 0, 0)
    assert len(workspace.table("transcripts").parts()) == 1
    assert [row["text"] for row in rows(workspace)] == [line["text"] for line in lines]
