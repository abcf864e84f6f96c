"""A row of a release leads back to the files that people made, whatever became of it."""

import json
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pixmo.dataset.reader import Release
from pixmo.errors import ReleaseError
from pixmo.hashing import sha256_bytes, sha256_file
from pixmo.label.ingest import ingest
from pixmo.release.build import build_release
from pixmo.release.released_rows import find_row, rows_of
from pixmo.release.trace import trace, traces
from pixmo.release.traced import AS_IT_WAS, CHANGED, GONE, Passed, Trace
from pixmo.release.withdraw import Request, withdraw
from pixmo.speech.captioning.captions import write_captions
from pixmo.speech.recordings import find, record
from pixmo.workspace.workspace import Workspace
from tests import label_studio_exports as ls
from tests import workspaces
from tests.conftest import Demo, run_pixmo
from tests.recorders import as_browsers_record
from tests.workspaces import Planter, picture, prose

LICENSE, URL = "CC-BY-4.0", "https://example.org/0.png"
PEOPLE = (2, 3)


def pointing(number: int, label: str, person: int, points: Sequence[tuple[float, float]]) -> Any:
    """An annotation `<label>-<person>`."""
    clicks = [*(ls.keypoint(x, y) for x, y in points), ls.presence("present")]
    names = {"unique_id": f"{label}-{person}", "completed_by": person}
    return ls.annotation(number, clicks, updated_at=f"2025-03-0{person}T22:16:08Z", **names)


def export(images: dict[str, str]) -> list[dict[str, Any]]:
    """Two people agree on the cups and differ on the plates; a fork is outside of its image."""
    two = [(10.0, 10.0), (40.0, 40.0)]
    told = (
        ("2.png", "cup", two, two),
        ("2.png", "plate", two, [(80.0, 80.0)]),
        ("3.png", "fork", [(150.0, 10.0)], None),
    )
    tasks = []
    for number, (image, label, *of_people) in enumerate(told):
        annotations = [
            pointing(10 * number + person, label, person, points)
            for person, points in zip(PEOPLE, of_people, strict=True)
            if points
        ]
        data = ls.points_data(image_sha256=images[image], label=label)
        tasks.append(ls.task(number, data, *annotations))
    return tasks


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Real files, and rows of every fate made from them; released as v1. Never to be changed."""
    root = tmp_path_factory.mktemp("untouched")
    planter = Planter(Workspace.init(root / "world"))
    for number in range(4):
        planter.image(f"{number}.png", picture(number), URL if number == 0 else None)
        planter.rows["images"][-1]["license"] = LICENSE
    audio = planter.workspace.audio
    audio.mkdir()
    (audio / "0.webm").write_bytes(as_browsers_record(root, 2.0))
    line = {"file_name": "0.webm", "image": "0.png", "annotator": "anna", "recorded_at": "noon"}
    (audio / "metadata.jsonl").write_text(json.dumps(line), "utf-8")
    sha256 = sha256_file(audio / "0.webm")
    planter.caption("0.png", prose(0), recording_sha256=sha256, annotator="anna")
    planter.caption("1.png", prose(1), **workspaces.WRITTEN, annotator="ben")
    workspace = planter.write()
    record(workspace, find(workspace, audio))
    write_captions(workspace)
    ls.write_export(workspace.exports / "points.json", export(planter.sha256))
    (caption,) = (
        row
        for row in workspace.read("captions").to_pylist()
        if row["image_sha256"] == planter.sha256["1.png"] and row["writer"] != workspaces.WRITER
    )
    said = ls.reviewed(
        99, result=[ls.mended_caption(prose(9)), ls.caption_verdict("accept")], unique_id="mended"
    )
    data = ls.cap_data(image_sha256=planter.sha256["1.png"], caption_id=caption["caption_id"])
    ls.write_export(workspace.exports / "reviews.json", [ls.task(99, data, said)])
    ingest(workspace, [workspace.exports])
    build_release(workspace, "v1")
    return workspace


@pytest.fixture
def workspace(untouched: Workspace, tmp_path: Path) -> Workspace:
    return Workspace.open(Path(shutil.copytree(untouched.root, tmp_path / "world")))


def released(workspace: Workspace) -> Release:
    return Release.open(workspace.releases / "v1")


def of(workspace: Workspace, row: str) -> Trace:
    return trace(workspace, released(workspace), row)


def caption_id(workspace: Workspace, image: str) -> str:
    """The id of the caption's row."""
    sha256 = sha256_file(workspace.images / image)
    return sha256_bytes(f"cap/{sha256}".encode())[:16]


def points_id(uid: str) -> str:
    """The id of an annotation's row."""
    return sha256_bytes(f"points/{uid}/{uid.partition('-')[0]}".encode())[:16]


def test_a_caption_leads_to_its_recording(workspace: Workspace) -> None:
    found = of(workspace, caption_id(workspace, "0.png"))
    assert (found.fate, found.subset, found.missing) == ("kept", "pixmo-cap", ())
    assert found.file == f"pixmo-cap/{found.split}-00000-of-00001.parquet"
    sha256 = sha256_file(workspace.images / "0.png")
    assert (found.image.url, found.image.license) == (URL, LICENSE)
    assert found.image.in_release == ""
    assert found.image.file is not None
    assert (found.image.file.path, found.image.file.sha256) == ("images/0.png", sha256)
    (said,) = found.transcripts
    assert (said.annotator, said.source, said.recorded_at) == ("anna", "speech", "noon")
    assert (said.model, said.text) == ("tiny", prose(0))
    assert said.recording is not None
    assert said.recording.path == "audio/0.webm"
    assert said.recording.sha256 == sha256_file(workspace.audio / "0.webm")
    assert said.recording.state == AS_IT_WAS
    assert found.caption is not None
    assert found.caption.writer == found.row["writer"]
    assert found.caption.review_uid == ""
    assert found.pixmo == released(workspace).manifest.pixmo
    names = [step.step for step in released(workspace).manifest.subset("cap").funnel]
    assert [step.step for step in found.steps] == names
    assert {step.what for step in found.steps} == {"passed"}


def test_a_mended_caption_leads_to_its_review(workspace: Workspace) -> None:
    found = of(workspace, caption_id(workspace, "1.png"))
    assert found.row["caption"] == prose(9)
    assert found.caption is not None
    assert found.caption.review_uid == "mended"
    (review,) = found.annotations
    assert (review.place, review.export.path) == ("/0/annotations/0", "exports/reviews.json")
    (said,) = found.transcripts
    assert (said.source, said.recording) == ("written", None)
    assert found.image.in_release == found.row["image_url"]
    assert (released(workspace).root / found.image.in_release).is_file()


def test_merged_points_lead_to_every_annotation(workspace: Workspace) -> None:
    found = of(workspace, points_id("cup-2"))
    assert found.row["merged_from"] == ["cup-2", "cup-3"]
    assert found.merged == (points_id("cup-3"),)
    assert found.missing == ()
    exported = json.loads((workspace.exports / "points.json").read_text("utf-8"))
    for one, person in zip(found.annotations, PEOPLE, strict=True):
        _, task, _, number = one.place.split("/")
        raw = exported[int(task)]["annotations"][int(number)]
        assert raw["unique_id"] == one.annotation_uid == f"cup-{person}"
        assert one.annotator == f"annotator-{person}"
        ids = {"annotation": raw["id"], "task": raw["task"], "project": raw["project"]}
        assert one.label_studio_ids == ids
        assert one.created_at == raw["created_at"]
        assert one.export.sha256 == sha256_file(workspace.exports / "points.json")


def test_what_was_dropped_or_set_apart_is_traced_too(workspace: Workspace) -> None:
    outside = of(workspace, points_id("fork-2"))
    assert (outside.fate, outside.split) == ("dropped", "")
    assert outside.reason.startswith("point outside the image")
    assert outside.steps[-1] == Passed("outside_image", "dropped")
    assert [one.annotation_uid for one in outside.annotations] == ["fork-2"]
    apart = of(workspace, points_id("plate-3"))
    assert (apart.fate, apart.file) == ("set apart", "apart/points.parquet")
    assert apart.steps[-1] == Passed("disagreement", "set apart")
    assert [one.annotation_uid for one in apart.annotations] == ["plate-3"]
    merged = of(workspace, points_id("cup-3"))
    assert merged.reason == f"merged into row {points_id('cup-2')}"
    assert [one.annotation_uid for one in merged.annotations] == ["cup-3"]


def test_a_beginning_names_a_row_if_no_other_begins_so(workspace: Workspace) -> None:
    row = points_id("cup-2")
    release = released(workspace)
    assert find_row(release, row[:8]).row["id"] == row
    with pytest.raises(ReleaseError, match="too short"):
        find_row(release, row[:5])
    with pytest.raises(ReleaseError, match="no row of"):
        find_row(release, "0123456789abcdef")
    with pytest.raises(ReleaseError, match="no row of"):
        find_row(release, "' or true or '")


def test_an_ambiguous_beginning_is_refused(tmp_path: Path) -> None:
    from pixmo import schema
    from tests.test_diff import row
    from tests.two_releases import write

    rows = schema.subset("points").table([row(1), row(2), row(10**15)])
    write(tmp_path / "v1", {"points": {"train": rows}})
    release = Release.open(tmp_path / "v1")
    with pytest.raises(ReleaseError, match=f"several rows .*{row(1)['id']} of pixmo-points"):
        find_row(release, "000000")
    assert find_row(release, "100000").row["id"] == row(10**15)["id"]


def test_a_file_that_is_not_what_was_released_answers_nothing(tmp_path: Path) -> None:
    from pixmo import schema
    from tests.test_diff import row
    from tests.two_releases import write

    rows = [schema.subset("points").table([row(10**15 + n), row(n)]) for n in (1, 2)]
    write(tmp_path / "v1", {"points": dict(zip(("train", "test"), rows, strict=True))})
    release = Release.open(tmp_path / "v1")
    train = tmp_path / "v1/pixmo-points/train-00000-of-00001.parquet"
    whole = train.read_bytes()

    def refused(start: str) -> str:
        with pytest.raises(ReleaseError) as error:
            find_row(release, start)
        return str(error.value)

    for said in (b"thing 1", row(1)["id"].encode()):  # a label is another; an id is
        damaged = bytearray(whole)
        damaged[damaged.index(said) + len(said) - 1] ^= 4
        train.write_bytes(damaged)
        assert f"{train} is not the file that was released" in refused(row(1)["id"])
        assert "pixmo verify" in refused(row(1)["id"])
        assert find_row(release, row(2)["id"]).split == "test"  # it stands in a whole file
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    train.write_bytes(whole[:footer] + bytes(3) + whole[footer:])  # no reader minds
    assert len(pq.read_table(train, partitioning=None)) == 2
    assert f"{train} is not the file" in refused(row(2)["id"])
    train.unlink()
    assert f"{train} is missing" in refused(row(2)["id"])
    train.write_bytes(whole)
    assert find_row(release, row(1)["id"]).split == "train"
    assert "no row of" in refused("0123456789abcdef")


def test_a_row_of_an_image_outside_the_release_is_refused(tmp_path: Path) -> None:
    from pixmo import schema
    from tests.test_diff import row
    from tests.two_releases import write

    rows = schema.subset("points").table([row(1, image_url="/etc/hostname")])
    write(tmp_path / "v1", {"points": {"train": rows}})
    release = Release.open(tmp_path / "v1")
    with pytest.raises(ReleaseError, match="names '/etc/hostname', which can be no file of a rel"):
        trace(Workspace.init(tmp_path / "world"), release, row(1)["id"])


@pytest.mark.parametrize("fault", [GONE, CHANGED])
def test_what_is_missing_is_said(workspace: Workspace, fault: str) -> None:
    files = [
        workspace.audio / "0.webm",
        workspace.images / "0.png",
        workspace.exports / "points.json",
    ]
    caption, points = caption_id(workspace, "0.png"), points_id("cup-2")
    for file in files:
        file.unlink() if fault == GONE else file.write_text("[]")
    assert set(of(workspace, caption).missing) == {
        f"image images/0.png is {fault}",
        f"recording audio/0.webm is {fault}",
    }
    assert of(workspace, points).missing == (f"export exports/points.json is {fault}",)


def test_a_dropped_row_without_a_candidate_says_so(workspace: Workspace) -> None:
    shutil.rmtree(workspace.root / "tables/point_annotations")
    found = of(workspace, points_id("fork-2"))
    assert found.missing == ("no candidate of this id is left: what it was made from is gone",)


def test_what_was_withdrawn_since_is_marked(workspace: Workspace) -> None:
    for request in (
        Request("annotator", "anna"),
        Request("annotator", "annotator-3"),
        Request("image", sha256_file(workspace.images / "2.png")),
    ):
        withdraw(workspace, request, "asked")
    (said,) = of(workspace, caption_id(workspace, "0.png")).transcripts
    assert said.is_withdrawn
    cups = of(workspace, points_id("cup-2"))
    assert [one.is_withdrawn for one in cups.annotations] == [False, True]
    assert cups.image.is_withdrawn
    assert not of(workspace, points_id("fork-2")).image.is_withdrawn


def test_the_command_says_it_and_fails_where_something_is_gone(
    workspace: Workspace, pixmo: Path
) -> None:
    row = caption_id(workspace, "0.png")
    told = run_pixmo(pixmo, "trace", row[:10], cwd=workspace.root)
    assert told.returncode == 0, told.stderr
    assert f"row         {row} of pixmo-cap, v1: kept" in told.stdout
    assert "recording audio/0.webm, recorded noon" in told.stdout
    assert "by anna" in told.stdout
    pointed = run_pixmo(pixmo, "trace", points_id("cup-2"), cwd=workspace.root)
    assert re.search(r"^points {6}\(\d+(\.\d+)?, \d", pointed.stdout, re.MULTILINE), pointed.stdout
    as_json = json.loads(run_pixmo(pixmo, "trace", row, "v1", "--json", cwd=workspace.root).stdout)
    assert as_json["transcripts"][0]["recording"]["path"] == "audio/0.webm"
    (workspace.audio / "0.webm").unlink()
    gone = run_pixmo(pixmo, "trace", row, cwd=workspace.root)
    assert gone.returncode == 1
    assert "audio/0.webm (gone)" in gone.stdout
    assert gone.stderr == "pixmo: recording audio/0.webm is gone\n"


def test_every_row_of_the_demo_leads_to_files(demo: Demo) -> None:
    workspace = Workspace.open(demo.folder)
    release = Release.open(workspace.releases / "v1")
    rows = list(rows_of(release))
    fates: Counter[str] = Counter()
    for found in traces(workspace, release, rows):
        assert found.missing == ()
        assert found.image.file is not None
        made_from = [one.recording for one in found.transcripts if one.source == "speech"]
        made_from += [one.export for one in found.annotations]
        assert found.transcripts or found.annotations
        assert all(source and source.state == AS_IT_WAS for source in made_from)
        assert all(one.place for one in found.annotations)
        fates[found.fate] += 1
    kept = sum(sum(subset.rows.values()) for subset in release.manifest.subsets)
    assert fates["kept"] == kept > 10_000
    assert fates["dropped"] > 10
