"""The main job on the sample, as a stranger does it: what was planted is found, nothing else."""

import json
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pixmo.dataset.reader import Release
from pixmo.hashing import sha256_file
from pixmo.workspace.workspace import Workspace
from tests.conftest import Demo

pytestmark = pytest.mark.slow

# The words that each planted fault must be given as its reason.
REASONS = {
    "broken image": "damaged image",
    "no image": "no image for this recording",
    "corrupt": "not a sound file",
    "skipped": "skipped by the annotator",
    "exported twice": "exported twice",
    "near-duplicate image": "near-duplicate",
    "silent": "no speech in the recording",
    "too short": "longest recording is",
    "looped": "repeat",
    "out of the image": "point outside the image",
    "same point twice": "are one spot",
    "present without a point": "said to be present, but no point",
    "rejected": "answer was rejected",
}

# The row that each annotation became.
ROW_IDS = {
    "cap": "select null, null",
    "ama": "select left(sha256('ama/' || annotation_uid), 16), annotation_uid from answers",
    "points": "select left(sha256('points/' || annotation_uid || '/' || label), 16), annotation_uid"
    " from point_annotations",
}


def planted(demo: Demo, table: str) -> dict[str, str]:
    """The planted faults that `table` must name, by key."""
    truth = json.loads((demo.folder / "truth/defects.json").read_text("utf-8"))
    assert {defect["fault"] for defect in truth} == set(REASONS)
    return {row["key"]: row["fault"] for row in truth if row["table"] == table}


def test_exactly_the_planted_input_is_set_aside(demo: Demo) -> None:
    rows = Workspace.open(demo.folder).read("set_aside").to_pylist()
    expected = planted(demo, "set_aside")
    found = {row["path"] if row["path"] in expected else row["key"]: row["reason"] for row in rows}
    assert len(rows) == len(found)
    assert found.keys() == expected.keys()
    for key, reason in found.items():
        assert REASONS[expected[key]] in reason


@pytest.mark.parametrize("stem", ["cap", "ama", "points"])
def test_exactly_the_planted_rows_are_dropped(demo: Demo, stem: str) -> None:
    dropped = pq.read_table(demo.folder / f"releases/v1/dropped/{stem}.parquet").to_pylist()
    with Workspace.open(demo.folder).connect() as connection:
        paths = dict(connection.execute("select image_sha256, path from images").fetchall())
        uids = dict(connection.execute(ROW_IDS[stem]).fetchall())
    expected = planted(demo, f"dropped/{stem}")
    found = {
        paths[row["image_sha256"]] if stem == "cap" else uids[row["id"]]: row["reason"]
        for row in dropped
    }
    assert len(found) == len(dropped)
    assert found.keys() == expected.keys()
    for key, reason in found.items():
        assert REASONS[expected[key]] in reason


def test_recordings_are_heard_with_few_errors(demo: Demo) -> None:
    line = re.search(r"Word error rate of (\d+) recordings .*: ([\d.]+) %", demo.output)
    assert line
    assert int(line[1]) >= 19
    assert float(line[2]) < 10.0


def test_transcripts_come_from_the_sound(demo: Demo) -> None:
    rows = [
        row
        for row in Workspace.open(demo.folder).read("transcripts").to_pylist()
        if row["source"] == "speech"
    ]
    assert len(rows) == 22  # all recordings but the one without an image and the corrupt one
    model = sha256_file(next((demo.folder / "models").iterdir()))
    for row in rows:
        assert row["model_sha256"] == model
        assert row["duration_seconds"] > 1
    spoken = [row for row in rows if row["words_per_minute"] and row["duration_seconds"] > 55]
    assert len(spoken) >= 20
    for row in spoken:
        assert 90 < row["words_per_minute"] < 260
        assert row["segments"][-1]["end"] <= row["duration_seconds"] + 1


def test_the_release_teaches_and_the_control_does_not(demo: Demo) -> None:
    verdict = json.loads((demo.folder / "runs/probe-v1/verdict.json").read_text("utf-8"))
    assert verdict["outcome"] == "PASS", verdict
    for name in ("subsets", "rendered"):
        outcomes = {one["stem"]: one["outcome"] for one in verdict[name]}
        assert outcomes == {"cap": "PASS", "ama": "PASS", "points": "PASS"}, verdict
    for subset in verdict["subsets"]:
        assert abs(subset["control_gap"]["value"]) < 0.003
    assert re.search(r"\bPASS\b", demo.output)


def test_the_summary_names_paths_that_exist(demo: Demo) -> None:
    for name in ("release", "card", "report", "probe"):
        line = re.search(rf"^  {name} +(\S+)$", demo.output, re.MULTILINE)
        assert line, name
        assert (demo.folder.parent / line[1]).exists(), line[1]


def state(folder: Path) -> dict[str, int]:
    """When every file was last written, in nanoseconds."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


def test_a_second_demo_redoes_nothing(demo: Demo) -> None:
    before = state(demo.folder)
    result = demo.run("demo", demo.folder.name, cwd=demo.folder.parent)
    assert result.returncode == 0, result.stderr
    assert state(demo.folder) == before
    assert result.stdout == demo.output


def test_datasets_loads_every_subset(demo: Demo, tmp_path: Path) -> None:
    from datasets import load_dataset

    release = Release.open(demo.folder / "releases/v1")
    for stem in release.stems:
        for split in release.splits(stem):
            name = release.manifest.subset(stem).name
            loaded = load_dataset(str(release.root), name, split=split, cache_dir=str(tmp_path))
            assert loaded.num_rows == release.manifest.subset(stem).rows[split]
            assert loaded[0] == release.read(stem, split).slice(0, 1).to_pylist()[0]


def fresh_copy(demo: Demo, tmp_path: Path, *left_out: str) -> Path:
    """The demo's workspace, without the folders left out."""
    folder = tmp_path / "copy"
    shutil.copytree(demo.folder, folder, ignore=shutil.ignore_patterns(*left_out))
    return folder


# The command's own program, which kills itself, as a power cut would, once the line at the end of
# the arguments has run and what it patched is called.
KILLED = """
import os, signal, sys

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

exec(sys.argv.pop())
from pixmo.cli.app import main
main()
"""
AFTER_THE_FIRST_PART = """
from pixmo.speech import transcribe
transcribe.PART_CLIPS, transcribe.PART_SECONDS = 5, 600.0
save = transcribe.Unsaved.save
transcribe.Unsaved.save = lambda unsaved: (save(unsaved), die())
"""
IN_THE_SECOND_SUBSET = """
from pixmo.release import write
written = []
write_subset = write.write_subset
write.write_subset = lambda *given: die() if written else written.append(1) or write_subset(*given)
"""


def run_killed(demo: Demo, patch: str, *command: str, cwd: Path) -> None:
    """The command killed itself where `patch` says."""
    python = demo.pixmo.with_name("python")
    killed = subprocess.run(
        [python, "-c", KILLED, *command, patch], cwd=cwd, capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr


def sorted_rows(folder: Path, name: str) -> list[str]:
    rows = Workspace.open(folder).read(name).to_pylist()
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


def tables(folder: Path, *names: str) -> dict[str, list[dict[str, Any]]]:
    workspace = Workspace.open(folder)
    return {name: workspace.read(name).to_pylist() for name in names}


def spoken_rows(folder: Path) -> int:
    """How many recordings have their transcript in the table."""
    sources = Workspace.open(folder).read("transcripts").column("source").to_pylist()
    return sources.count("speech")


def test_transcribe_killed_and_started_again_gives_the_same_tables(
    demo: Demo, tmp_path: Path
) -> None:
    folder = fresh_copy(demo, tmp_path, "releases", "runs", "tables")
    for command in (
        ("images", "add", "images/"),
        ("label", "ingest", "exports/"),
        ("transcripts", "add", "transcripts/written.jsonl"),
    ):
        done = demo.run(*command, cwd=folder)
        assert done.returncode == 0, done.stderr
    total = spoken_rows(demo.folder)
    run_killed(demo, AFTER_THE_FIRST_PART, "transcribe", "audio/", cwd=folder)
    saved = spoken_rows(folder)
    assert 0 < saved < total
    finished = demo.run("transcribe", "audio/", "--json", cwd=folder)
    assert finished.returncode == 0, finished.stderr
    counts = json.loads(finished.stdout)
    assert (counts["known"], counts["transcribed"]) == (saved, total - saved)
    names = ("recordings", "transcripts", "images", "point_annotations", "answers")
    assert tables(folder, *names) == tables(demo.folder, *names)
    # Captions and refusals of several commands: the same rows, whichever command came first.
    for name in ("captions", "set_aside"):
        assert sorted_rows(folder, name) == sorted_rows(demo.folder, name)


def test_build_killed_and_started_again_gives_the_same_bytes(demo: Demo, tmp_path: Path) -> None:
    folder = fresh_copy(demo, tmp_path, "releases", "runs")
    releases = folder / "releases"

    run_killed(demo, IN_THE_SECOND_SUBSET, "build-release", "v1", cwd=folder)
    assert list(releases.glob(".v1.building/*/*.parquet"))
    assert not (releases / "v1").exists()
    finished = demo.run("build-release", "v1", cwd=folder)
    assert finished.returncode == 0, finished.stderr
    assert bytes_of(releases) == bytes_of(demo.folder / "releases")
    again = demo.run("build-release", "v1", cwd=folder)
    assert again.returncode == 1
    assert len(again.stderr.splitlines()) == 1


def bytes_of(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_notebook_runs(demo: Demo, tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    (tmp_path / "pixmo-demo").symlink_to(demo.folder)
    path = Path(__file__).parents[1] / "notebooks/01_collect_and_release.ipynb"
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    started = time.monotonic()
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    assert time.monotonic() - started < 300
    pictures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) >= 3


def test_the_same_seed_makes_the_same_sample(demo: Demo, tmp_path: Path) -> None:
    from pixmo.demo.sample import make_sample

    made = json.loads((demo.folder / "sample.json").read_text("utf-8"))
    make_sample(tmp_path / "again", made["scenes"], made["seed"])
    for name in ("images", "audio", "transcripts", "exports", "truth", "models"):
        assert bytes_of(tmp_path / "again" / name) == bytes_of(demo.folder / name), name
