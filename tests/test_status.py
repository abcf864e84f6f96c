"""pixmo.cli.status: what waits, and what came after the newest release."""

from pathlib import Path

import pytest

from pixmo.cli.status import Status, status
from pixmo.curate.recipe import load
from pixmo.images.held_out import hold_out
from pixmo.images.measures import add_scores
from pixmo.images.store import add_images
from pixmo.release.build import build_release
from pixmo.speech.captioning.captions import write_captions
from pixmo.speech.recordings import find, record
from pixmo.workspace.workspace import Workspace
from tests import workspaces
from tests.workspaces import name, picture


def waiting(shown: Status) -> dict[str, int]:
    return {item.what: item.count for item in shown.waiting}


@pytest.fixture
def released(tmp_path: Path) -> Workspace:
    workspace, _ = workspaces.make(tmp_path)
    workspace.append("recordings", recordings(workspace, name(1)) + recordings(workspace, name(5)))
    write_captions(workspace)
    build_release(workspace, "v1")
    assert "release of what came after v1" not in waiting(status(workspace))
    return workspace


def test_a_source_url_that_came_late_calls_for_a_release(released: Workspace) -> None:
    picture(500).save(released.images / "new.png")  # an image nobody described changes nothing
    add_images(released, released.images)
    assert "release of what came after v1" not in waiting(status(released))
    line = f'{{"file_name": "{name(3)}", "image_url": "https://example.org/p03.png"}}'
    (released.images / "metadata.jsonl").write_text(line)
    assert add_images(released, released.images).updated == 1
    assert waiting(status(released))["release of what came after v1"] == 1


def test_a_corrected_annotator_calls_for_a_release(released: Workspace) -> None:
    [row] = recordings(released, name(1))
    released.append("recordings", [row | {"path": "audio/moved.wav"}])
    assert "release of what came after v1" not in waiting(status(released))
    released.append("recordings", [row | {"annotator": "bea"}])
    assert waiting(status(released))["release of what came after v1"] == 1
    folder = build_release(released, "v2")
    assert "release of what came after v2" not in waiting(status(released))
    assert "bea" in annotators(folder)


def annotators(release: Path) -> set[str]:
    from datasets import load_dataset

    rows = load_dataset(str(release), "pixmo-cap", cache_dir=str(release.parent / "cache"))
    return {one for split in rows.values() for row in split for one in row["annotators"]}


def recordings(workspace: Workspace, image: str) -> list[dict[str, object]]:
    """A row that links what was said about an image to it."""
    with workspace.connect() as connection:
        query = (
            "select recording_sha256, image_sha256 from current_transcripts"
            " join images using (image_sha256) where path = ? and recording_sha256 is not null"
        )
        found = connection.execute(query, [f"images/{image}"]).fetchall()
    said = {"path": f"audio/{image}.wav", "annotator": "ann", "prompt": None, "recorded_at": None}
    return [
        {"recording_sha256": sha256, "image_sha256": of, "bytes": 1, "ordinal": 0, **said}
        for sha256, of in found
    ]


def test_a_recording_linked_to_another_image_takes_its_caption_along(released: Workspace) -> None:
    [row], [other] = recordings(released, name(1)), recordings(released, name(5))
    released.append("recordings", [row | {"image_sha256": other["image_sha256"]}])
    # The other image has one transcript more now, and nobody has written its caption yet.
    assert waiting(status(released))["captions to write"] == 1
    folder = build_release(released, "v2")
    assert dropped(folder)[str(row["image_sha256"])] == "stale"
    write_captions(released)
    assert "captions to write" not in waiting(status(released))
    with released.connect() as connection:
        query = "select len(transcript_ids) from current_captions where image_sha256 = ?"
        assert connection.execute(query, [other["image_sha256"]]).fetchone() == (2,)


def dropped(release: Path) -> dict[str, str]:
    import pyarrow.parquet as pq

    rows = pq.read_table(release / "dropped/cap.parquet").to_pylist()
    return {row["image_sha256"]: row["step"] for row in rows}


def test_a_moved_recording_and_one_whose_image_came_later(tmp_path: Path) -> None:
    workspace = Workspace.init(tmp_path)
    workspace.images.mkdir()
    workspace.audio.mkdir()
    picture(1).save(workspace.images / "dog.png")
    add_images(workspace, workspace.images)
    for stem in ("dog", "cat"):
        (workspace.audio / f"{stem}.webm").write_text(stem)
    found = find(workspace, workspace.audio)
    record(workspace, found)
    assert waiting(status(workspace)) == {"recordings": 1}  # the dog's, which nobody heard yet
    picture(2).save(workspace.images / "cat.png")
    add_images(workspace, workspace.images)
    assert waiting(status(workspace)) == {"recordings": 2}


def test_a_recording_that_was_replaced_no_longer_counts(released: Workspace) -> None:
    [row] = recordings(released, name(1))
    assert spoken(released, str(row["recording_sha256"])) == 1
    released.append("recordings", [row | {"recording_sha256": "f" * 64, "ordinal": 9}])
    assert spoken(released, str(row["recording_sha256"])) == 0
    # It is back under another name: both count.
    released.append("recordings", [row | {"path": "audio/back.wav"}])
    assert spoken(released, str(row["recording_sha256"])) == 1


def spoken(workspace: Workspace, sha256: str) -> int:
    with workspace.connect() as connection:
        query = "select count(*) from current_transcripts where recording_sha256 = ?"
        [(count,)] = connection.execute(query, [sha256]).fetchall()
    return int(count)


def test_captions_wait_for_the_writer_that_the_settings_name(released: Workspace) -> None:
    def chosen(lines: str) -> dict[str, int]:
        (released.root / "pixmo.toml").write_text(f"[caption]\n{lines}\n", "utf-8")
        return waiting(status(Workspace.open(released.root)))

    with released.connect() as connection:
        [(described,)] = connection.execute("select count(*) from current_captions").fetchall()
    assert described > 1
    assert "captions to write" not in chosen('writer = "cleaner"')
    model = 'writer = "language-model"\nmodel = "small"'
    assert chosen(model)["captions to write"] == described
    assert chosen('writer = "language-model"')["captions to write"] == described  # which model?
    assert "captions to write" not in chosen("")


CALLS = "release of what came after v1"


def test_evaluation_data_that_came_later_calls_for_a_release(released: Workspace) -> None:
    assert CALLS not in waiting(status(released))
    (released.root / "benchmark.txt").write_text("What is the man holding in his left hand?\n")
    hold_out(released, str(released.root / "benchmark.txt"))
    assert CALLS in waiting(status(released))


def test_scores_call_for_a_release_if_a_recipe_asks_them(released: Workspace) -> None:
    scores = released.root / "nsfw.csv"
    scores.write_text(f"file,name,score,model\nimages/{name(1)},nsfw,0.1,mine\n")
    add_scores(released, scores)
    assert CALLS not in waiting(status(released))
    released.recipes.mkdir()
    text = load("cap").path.read_text("utf-8")
    step = '[[step]]\nsql = "images/score_above.sql"\nname = "nsfw"\nmax_score = 0.5\n'
    (released.recipes / "cap.toml").write_text(text + step, "utf-8")
    assert CALLS in waiting(status(released))
