"""pixmo.label.ingest and .exports: exports in, tables out, whatever happens in between."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pixmo.errors import LabelError, WorkspaceError
from pixmo.label.exports import timestamp
from pixmo.label.ingest import Ingested, ingest, waiting_exports
from pixmo.workspace.workspace import Workspace
from tests import label_studio_exports as ls
from tests.growth import grows_evenly
from tests.workspaces import Planter

PARSED = ("point_annotations", "answers", "caption_reviews")
TABLES = ("annotations", *PARSED, "set_aside", "exports")
LATER = "2025-03-10T09:00:00Z"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """It holds the caption that exports have reviews of."""
    workspace = Workspace.init(tmp_path / "world")
    write_caption(workspace, "c0ffee")
    return workspace


def write_caption(workspace: Workspace, caption_id: str) -> None:
    """The newest caption of the image that all tasks are about is `caption_id`."""
    planter = Planter(workspace, {"desk.png": ls.IMAGE_SHA256})
    planter.caption("desk.png", "A mug.")
    planter.rows["captions"][0]["caption_id"] = caption_id
    workspace.append("captions", planter.rows["captions"])


def rows(workspace: Workspace, table: str) -> list[dict[str, Any]]:
    return workspace.read(table).to_pylist()


def everything(workspace: Workspace) -> dict[str, list[dict[str, Any]]]:
    return {table: rows(workspace, table) for table in TABLES}


def current(workspace: Workspace, view: str) -> list[dict[str, Any]]:
    with workspace.connect() as connection:
        return connection.sql(f"select * from {view}").to_arrow_table().to_pylist()


def aside(workspace: Workspace) -> list[tuple[str, str, str]]:
    return [(row["key"], row["path"], row["reason"]) for row in rows(workspace, "set_aside")]


def uid(number: int) -> str:
    return str(ls.annotation(number, [])["unique_id"])


def test_an_export_becomes_rows_and_is_kept_whole(workspace: Workspace) -> None:
    path = ls.write_export(workspace.exports / "export.json", ls.three_tasks())
    assert ingest(workspace, [path]) == Ingested(1, 3, 0, 0, 1, 1, 1, 0, 0)
    kept = rows(workspace, "annotations")
    assert [row["subset"] for row in kept] == ["points", "ama", "cap"]
    assert {row["export_path"] for row in kept} == {"exports/export.json"}
    (points,) = rows(workspace, "point_annotations")
    assert points["annotation_uid"] == uid(1)
    assert points["updated_at"] == "2025-03-09T22:16:08.728378Z"
    assert points["points"] == [{"x": 61.25, "y": 40.5}, {"x": 12.5, "y": 88.0}]
    assert rows(workspace, "answers")[0]["verdict"] == "accept"
    assert rows(workspace, "caption_reviews")[0]["was_edited"]


def test_again_changes_nothing(workspace: Workspace) -> None:
    path = ls.write_export(workspace.exports / "export.json", ls.three_tasks())
    ingest(workspace, [path])
    before = everything(workspace)
    assert ingest(workspace, [workspace.exports, path]) == Ingested(1, 0, 3, 0, 0, 0, 0, 0, 0)
    assert everything(workspace) == before


def test_a_later_state_supersedes_an_earlier_one(workspace: Workspace) -> None:
    first = ls.write_export(
        workspace.exports / "1.json", [ls.task(1, ls.points_data(), ls.pointed())]
    )
    changed = ls.annotation(1, [ls.presence("none")], updated_at=LATER)
    second = ls.write_export(workspace.exports / "2.json", [ls.task(1, ls.points_data(), changed)])
    for order in ([first, second], [second, first]):
        other = Workspace.init(workspace.root / str(order[0].stem))
        assert ingest(other, order).added == 2
        assert len(rows(other, "point_annotations")) == 2
        (row,) = current(other, "current_point_annotations")
        assert (row["presence"], row["updated_at"]) == ("none", "2025-03-10T09:00:00.000000Z")


def test_an_annotation_skipped_afterwards_counts_no_more(workspace: Workspace) -> None:
    data = ls.points_data()
    ingest(
        workspace, [ls.write_export(workspace.exports / "1.json", [ls.task(1, data, ls.pointed())])]
    )
    gone = [ls.task(1, data, ls.skipped(1, updated_at=LATER))]
    ingest(workspace, [ls.write_export(workspace.exports / "2.json", gone)])
    assert current(workspace, "current_point_annotations") == []
    assert aside(workspace) == [(uid(1), "exports/2.json", "skipped by the annotator")]


def test_a_skipped_annotation_is_kept_whole_and_set_aside(workspace: Workspace) -> None:
    path = ls.write_export(
        workspace.exports / "export.json", [ls.task(2, ls.ama_data(), ls.skipped(2))]
    )
    assert ingest(workspace, [path]) == Ingested(1, 1, 0, 0, 0, 0, 0, 0, 1)
    assert [row["subset"] for row in rows(workspace, "annotations")] == ["ama"]
    assert aside(workspace) == [(uid(2), "exports/export.json", "skipped by the annotator")]


def test_exported_twice_in_one_export_is_set_aside(workspace: Workspace) -> None:
    task = ls.task(1, ls.points_data(), ls.pointed())
    path = ls.write_export(workspace.exports / "export.json", [task, task])
    assert ingest(workspace, [path]) == Ingested(1, 1, 0, 0, 1, 0, 0, 0, 1)
    assert aside(workspace) == [(uid(1), "exports/export.json", "exported twice")]
    assert ingest(workspace, [path]) == Ingested(1, 0, 1, 0, 0, 0, 0, 0, 0)
    assert len(rows(workspace, "point_annotations")) == len(aside(workspace)) == 1


def test_two_exports_that_overlap_set_nothing_aside(workspace: Workspace) -> None:
    ls.write_export(workspace.exports / "1.json", ls.three_tasks()[:2])
    ls.write_export(workspace.exports / "2.json", ls.three_tasks())
    assert ingest(workspace, [workspace.exports]) == Ingested(2, 3, 2, 0, 1, 1, 1, 0, 0)
    assert aside(workspace) == []


def test_tasks_that_nobody_annotated_wait(workspace: Workspace) -> None:
    predicted = ls.task(5, ls.points_data()) | {"predictions": [{"result": []}]}
    imported = ls.without(predicted, "annotations")
    drafted = ls.task(6, ls.points_data()) | {"drafts": [{"result": [ls.keypoint(1, 2)]}]}
    path = ls.write_export(workspace.exports / "export.json", [predicted, imported, drafted])
    assert ingest(workspace, [path]) == Ingested(1, 0, 0, 3, 0, 0, 0, 0, 0)


def test_two_annotators_of_one_task_are_two_rows(workspace: Workspace) -> None:
    task = ls.task(1, ls.points_data(), ls.pointed(1), ls.pointed(2, completed_by=8))
    ingest(workspace, [ls.write_export(workspace.exports / "export.json", [task])])
    found = [row["annotator"] for row in rows(workspace, "point_annotations")]
    assert found == ["annotator-7", "annotator-8"]


def test_an_old_server_without_unique_ids_is_read_all_the_same(workspace: Workspace) -> None:
    tasks = [ls.task(n, ls.points_data(), ls.without(ls.pointed(n), "unique_id")) for n in (1, 2)]
    path = ls.write_export(workspace.exports / "export.json", tasks)
    assert ingest(workspace, [path]).added == 2
    assert ingest(workspace, [path]).known == 2
    uids = {row["annotation_uid"] for row in rows(workspace, "annotations")}
    assert len(uids) == 2
    assert all(len(uid) == 16 for uid in uids)


def test_defects_are_set_aside_and_the_rest_is_done(workspace: Workspace) -> None:
    unlinked = ls.without(ls.points_data(), "image_sha256")
    stray = ls.annotation(6, [ls.keypoint(1, 2) | {"from_name": "box"}])
    tasks = [
        *ls.three_tasks(),
        ls.task(4, unlinked, ls.pointed(4)),
        ls.task(5, ls.points_data(), ls.annotation(5, [ls.keypoint(1, float("nan"))])),
        ls.task(6, {"image": "x"}, stray),
        ls.task(7, ls.ama_data(answer="\ud800"), ls.judged(7)),
    ]
    path = ls.write_export(workspace.exports / "export.json", tasks)
    assert ingest(workspace, [path]) == Ingested(1, 7, 0, 0, 1, 1, 1, 0, 4)
    assert aside(workspace) == [
        (uid(4), "exports/export.json", "task names no image"),
        (uid(5), "exports/export.json", "no presence"),
        (uid(6), "exports/export.json", "unknown control"),
        (uid(7), "exports/export.json", "task names no answer"),
    ]
    assert rows(workspace, "annotations")[5]["subset"] == "unknown"


MIN = [{"image": "x", "id": 1, "presence": "none", "annotator": 1, "annotation_id": 1}]
TASK = ls.task(1, ls.points_data(), ls.pointed())
MALFORMED = {
    "not JSON": (b"image,label\nx,y\n", "not JSON"),
    "cut off": (b'[{"id": 1, "annot', "not JSON"),
    "not text": (b"\xff\xfe\x00", "not JSON"),
    "nested": (b"[" * 100_000, "nested too deeply"),
    "huge number": (b"[" + b"9" * 5000 + b"]", "not JSON"),
    "no list": ({"tasks": []}, "no list of tasks"),
    "no task": ([TASK, 3], "task 2 is no object"),
    "JSON_MIN": (MIN, 'task 1 has no "data"'),
    "no annotations": ([ls.without(TASK, "annotations", "predictions")], "task 1 has no list of"),
    "annotations": ([TASK, TASK | {"annotations": {}}], "task 2 has no list of"),
    "no annotation": ([TASK | {"annotations": [ls.pointed(), 3]}], "task 1, annotation 2 is no"),
    "no id": (
        [TASK | {"annotations": [ls.without(ls.pointed(), "unique_id", "id")]}],
        'task 1, annotation 1 has no "unique_id"',
    ),
    "odd id": ([TASK | {"annotations": [ls.pointed(unique_id="\udead")]}], 'no "unique_id"'),
    "no time": ([TASK | {"annotations": [ls.pointed(updated_at=None)]}], '"updated_at" is None'),
    "odd time": (
        [TASK | {"annotations": [ls.pointed(updated_at="0001-01-01T00:00:00+05:00")]}],
        "no time",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_export_is_named_and_leaves_nothing_and_the_others_are_done(
    workspace: Workspace, case: str
) -> None:
    content, words = MALFORMED[case]
    bad = workspace.exports / "a.json"
    if isinstance(content, bytes):
        bad.parent.mkdir(parents=True)
        bad.write_bytes(content)
    else:
        ls.write_export(bad, content)
    good = ls.write_export(workspace.exports / "b.json", ls.three_tasks()[1:])
    with pytest.raises(LabelError) as caught:
        ingest(workspace, [bad, good])
    message = str(caught.value)
    assert words in message
    assert message.startswith(str(bad))
    assert "every other export is taken in" in message
    assert "\n" not in message
    assert {row["export_path"] for row in rows(workspace, "annotations")} == {"exports/b.json"}
    assert len(rows(workspace, "answers")) == len(rows(workspace, "caption_reviews")) == 1
    assert aside(workspace) == []


def test_a_missing_path_and_an_empty_folder_are_named_and_the_others_are_done(
    workspace: Workspace,
) -> None:
    empty = workspace.root / "empty"
    empty.mkdir()
    good = ls.write_export(workspace.exports / "b.json", ls.three_tasks())
    with pytest.raises(LabelError) as caught:
        ingest(workspace, [workspace.root / "gone.json", empty, good])
    assert "gone.json does not exist" in str(caught.value)
    assert "empty holds no .json file" in str(caught.value)
    assert len(rows(workspace, "annotations")) == 3


def test_two_at_once_are_refused(workspace: Workspace) -> None:
    path = ls.write_export(workspace.exports / "export.json", ls.three_tasks())
    with workspace.lock("label"), pytest.raises(WorkspaceError, match="busy with label"):
        ingest(workspace, [path])


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("2025-03-09T22:16:08.728378Z", "2025-03-09T22:16:08.728378Z"),
        ("2025-03-09T22:16:08Z", "2025-03-09T22:16:08.000000Z"),
        ("2025-03-09T23:16:08.5+01:00", "2025-03-09T22:16:08.500000Z"),
        ("2025-03-09 22:16:08", "2025-03-09T22:16:08.000000Z"),
    ],
)
def test_a_time_is_kept_in_one_form_that_sorts(written: str, kept: str) -> None:
    assert timestamp(written, "here") == kept


def defective_exports(workspace: Workspace) -> list[Path]:
    """Two exports with something of every kind."""
    twice = ls.task(4, ls.points_data(), ls.pointed(4))
    first = [*ls.three_tasks(), twice, twice, ls.task(5, ls.cap_data(), ls.skipped(5))]
    second = [
        ls.task(1, ls.points_data(), ls.pointed(1, updated_at=LATER)),
        ls.task(6, ls.ama_data(), ls.judged(6, completed_by=None)),
        *[ls.task(7, ls.ama_data(), ls.judged(7))] * 2,
    ]
    return [
        ls.write_export(workspace.exports / "1.json", first),
        ls.write_export(workspace.exports / "2.json", second),
    ]


class KilledError(Exception):
    """Stands for a kill just before a part of a table is published."""


def test_cut_off_before_any_write_and_run_again_gives_the_same_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm = Workspace.init(tmp_path / "calm")
    ingest(calm, defective_exports(calm))
    link, cuts = os.link, 0
    for cut in range(100):
        workspace = Workspace.init(tmp_path / f"cut-{cut}")
        exports = defective_exports(workspace)
        left: Iterator[int] = iter(range(cut))

        def cut_off(source: Any, target: Any, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise KilledError
            link(source, target)

        monkeypatch.setattr(os, "link", cut_off)
        try:
            ingest(workspace, exports)
            monkeypatch.undo()
            break
        except KilledError:
            monkeypatch.undo()
        cuts += 1
        assert everything(workspace) != everything(calm)
        ingest(workspace, exports)
        assert everything(workspace) == everything(calm)
    # Of each: set_aside twice, what is parsed (three tables, then two), annotations, exports.
    assert cuts == 7 + 6


def test_an_earlier_state_counts_until_the_newer_one_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link
    seen: list[tuple[str, int, int]] = []
    newer = [
        ls.task(1, ls.points_data(), ls.annotation(1, [ls.presence("none")], updated_at=LATER)),
        ls.task(2, ls.ama_data(), ls.skipped(2, updated_at=LATER)),
    ]
    while not seen or seen[-1] != ("none", 0, 0):
        workspace = Workspace.init(tmp_path / f"cut-{len(seen)}")
        path = workspace.exports / "export.json"
        ingest(workspace, [ls.write_export(path, ls.three_tasks())])
        ls.write_export(path, newer)
        left: Iterator[int] = iter(range(len(seen)))

        def cut_off(source: Any, target: Any, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise KilledError
            link(source, target)

        monkeypatch.setattr(os, "link", cut_off)
        with contextlib.suppress(KilledError):
            ingest(workspace, [path])
        monkeypatch.undo()
        (points,) = current(workspace, "current_point_annotations")
        answers = current(workspace, "current_answers")
        seen.append((points["presence"], len(answers), len(waiting_exports(workspace))))
    earlier, later = ("present", 1, 1), ("none", 0, 1)
    # Not before set_aside, point_annotations and annotations are all written.
    assert seen == [earlier, earlier, earlier, later, ("none", 0, 0)]


KILL_BETWEEN_PARSED_AND_KEPT = """
import os, pathlib, signal, sys
from pixmo.label.ingest import ingest
from pixmo.workspace.workspace import Workspace

link = os.link

def kill_at_annotations(source, target):
    if target.parent.name == "annotations":
        os.kill(os.getpid(), signal.SIGKILL)
    link(source, target)

os.link = kill_at_annotations
workspace = Workspace.open(pathlib.Path(sys.argv[1]))
ingest(workspace, [workspace.exports])
"""


def test_killed_between_parsed_and_kept_and_run_again_gives_the_same_tables(
    tmp_path: Path,
) -> None:
    calm, killed = (Workspace.init(tmp_path / name) for name in ("calm", "killed"))
    ingest(calm, defective_exports(calm))
    defective_exports(killed)
    command = [sys.executable, "-c", KILL_BETWEEN_PARSED_AND_KEPT, str(killed.root)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert rows(killed, "annotations") == []
    assert len(rows(killed, "point_annotations")) == 2
    assert current(killed, "current_point_annotations") == []
    assert len(waiting_exports(killed)) == 2
    again = ingest(killed, [killed.exports])
    assert (again.added, again.points, again.answers) == (8, 1, 1)
    assert everything(killed) == everything(calm)
    assert waiting_exports(killed) == []


def test_a_corrected_task_counts_though_its_annotation_is_as_old(workspace: Workspace) -> None:
    unlinked = [ls.task(1, ls.without(ls.points_data(), "image_sha256"), ls.pointed())]
    first = ls.write_export(workspace.exports / "2-wrong.json", unlinked)
    assert ingest(workspace, [first]).set_aside == 1
    right = [ls.task(1, ls.points_data(label="blue mugs"), ls.pointed())]
    second = ls.write_export(workspace.exports / "1-right.json", right)
    assert ingest(workspace, [second]) == Ingested(1, 1, 0, 0, 1, 0, 0, 0, 0)
    assert current(workspace, "current_set_aside") == []
    before = everything(workspace)
    ingest(workspace, [workspace.exports])  # by name the wrong one is last
    assert everything(workspace) == before
    reordered = [dict(reversed(task.items())) for task in right]
    reordered[0]["data"] = dict(reversed(reordered[0]["data"].items()))
    third = ls.write_export(workspace.exports / "3.json", reordered)
    assert ingest(workspace, [third]) == Ingested(1, 0, 1, 0, 0, 0, 0, 0, 0)
    (row,) = current(workspace, "current_point_annotations")
    assert row["label"] == "blue mugs"


def test_of_states_of_one_time_the_one_taken_in_last_counts(workspace: Workspace) -> None:
    for label in ("red mugs", "blue mugs", "cups"):
        tasks = [ls.task(1, ls.points_data(label=label), ls.pointed())]
        ingest(workspace, [ls.write_export(workspace.exports / f"{label}.json", tasks)])
    later = [ls.task(1, ls.points_data(label="jugs"), ls.pointed(updated_at=LATER))]
    newest = ls.write_export(workspace.exports / "jugs.json", later)
    (row,) = current(workspace, "current_point_annotations")
    assert row["label"] == "cups"
    ingest(workspace, [newest])
    plates = [ls.task(1, ls.points_data(label="plates"), ls.pointed())]
    ingest(workspace, [ls.write_export(workspace.exports / "plates.json", plates)])
    (row,) = current(workspace, "current_point_annotations")
    assert row["label"] == "jugs"  # the clock decides first


def still_aside(workspace: Workspace) -> list[tuple[str, str]]:
    return [(row["key"], row["reason"]) for row in current(workspace, "current_set_aside")]


def test_a_review_of_no_caption_is_set_aside_until_there_is_one(workspace: Workspace) -> None:
    tasks = [ls.task(3, ls.cap_data(caption_id="facade"), ls.reviewed())]
    path = ls.write_export(workspace.exports / "export.json", tasks)
    assert ingest(workspace, [path]) == Ingested(1, 1, 0, 0, 0, 0, 1, 0, 1)
    assert ingest(workspace, [path]).set_aside == 0
    (row,) = current(workspace, "current_set_aside")
    assert (row["key"], row["path"]) == (uid(3), "exports/export.json")
    assert row["reason"] == "review of a caption that is not there"
    assert row["detail"] == "caption facade"
    write_caption(workspace, "facade")
    assert still_aside(workspace) == []
    assert len(current(workspace, "current_caption_reviews")) == 1


def test_a_review_of_no_caption_that_names_one_since_is_set_aside_no_more(
    workspace: Workspace,
) -> None:
    for caption_id in ("facade", "c0ffee"):
        tasks = [ls.task(3, ls.cap_data(caption_id=caption_id), ls.reviewed())]
        ingest(workspace, [ls.write_export(workspace.exports / "export.json", tasks)])
    assert len(rows(workspace, "set_aside")) == 1
    assert still_aside(workspace) == []


def test_a_review_of_a_superseded_caption_is_shown_until_the_new_one_has_its_own(
    workspace: Workspace,
) -> None:
    first = [ls.task(3, ls.cap_data(), ls.reviewed())]
    ingest(workspace, [ls.write_export(workspace.exports / "1.json", first)])
    assert still_aside(workspace) == []
    write_caption(workspace, "facade")
    assert still_aside(workspace) == [(uid(3), "review of a caption that was superseded")]
    assert current(workspace, "current_set_aside")[0]["path"] == "exports/1.json"
    write_caption(workspace, "c0ffee")  # the earlier one again
    assert still_aside(workspace) == []
    write_caption(workspace, "facade")
    second = [ls.task(4, ls.cap_data(caption_id="facade"), ls.reviewed(4))]
    ingest(workspace, [ls.write_export(workspace.exports / "2.json", second)])
    assert still_aside(workspace) == []


def test_what_an_earlier_pixmo_could_not_parse_is_parsed_from_what_was_kept(
    workspace: Workspace, tmp_path: Path
) -> None:
    path = ls.write_export(workspace.exports / "export.json", ls.three_tasks())
    ingest(workspace, [path])
    other = Workspace.init(tmp_path / "other")
    other.append("annotations", rows(workspace, "annotations"))
    assert ingest(other, [path]) == Ingested(1, 0, 3, 0, 1, 1, 1, 0, 1)  # no caption is there
    assert rows(other, "point_annotations") == rows(workspace, "point_annotations")


def test_an_export_whose_name_is_no_text_is_taken_in_with_the_others(
    workspace: Workspace,
) -> None:
    for name, task in zip(
        ("a\udcff.json", "b.json", "c\udcff.json"), ls.three_tasks(), strict=True
    ):
        ls.write_export(workspace.exports / name, [task])
    ls.write_export(workspace.exports / "c\udcff.json", {})
    (workspace.exports / "d\udcff.txt").write_text("notes", "utf-8")
    with pytest.raises(LabelError, match="no list of tasks"):
        ingest(workspace, [workspace.exports])
    paths = [row["path"] for row in rows(workspace, "exports")]
    assert paths == ["exports/a\\udcff.json", "exports/b.json"]
    assert aside(workspace)[0][1] == "exports/d\\udcff.txt"
    assert [path.name for path in waiting_exports(workspace)] == ["c\udcff.json"]


def test_folders_are_read_and_other_files_set_aside(workspace: Workspace) -> None:
    ls.write_export(workspace.exports / "sub/deep/a.JSON", ls.three_tasks())
    ls.write_export(workspace.exports / ".hidden/b.json", {})
    ls.write_export(workspace.exports / "sub/.c.json", {})
    for name in ("notes.txt", "sub/export.csv"):
        (workspace.exports / name).write_text("x", "utf-8")
    (workspace.exports / "sub/up").symlink_to(workspace.exports)
    assert len(waiting_exports(workspace)) == 4
    assert ingest(workspace, [workspace.exports]) == Ingested(1, 3, 0, 0, 1, 1, 1, 0, 3)
    assert [row["path"] for row in rows(workspace, "exports")] == ["exports/sub/deep/a.JSON"]
    names = ["exports/notes.txt", "exports/sub/export.csv", "exports/sub/up"]
    assert aside(workspace) == [(name, name, "not a JSON export") for name in names]
    assert waiting_exports(workspace) == []
    assert ingest(workspace, [workspace.exports]).set_aside == 0


def test_an_export_of_another_suffix_is_taken_in_by_its_name(workspace: Workspace) -> None:
    path = ls.write_export(workspace.exports / "export.txt", ls.three_tasks())
    ls.write_export(workspace.exports / "b.json", ls.three_tasks()[:1])
    assert ingest(workspace, [path, workspace.exports]).set_aside == 0
    ingest(workspace, [workspace.exports])
    assert len(rows(workspace, "set_aside")) == 1
    assert still_aside(workspace) == []  # what is taken in is not set aside


def test_an_export_waits_again_when_it_is_written_anew(workspace: Workspace) -> None:
    assert waiting_exports(workspace) == []  # there is no folder
    path = ls.write_export(workspace.exports / "export.json", ls.three_tasks()[:1])
    assert waiting_exports(workspace) == [path]
    ingest(workspace, [path])
    assert waiting_exports(workspace) == []
    ls.write_export(path, ls.three_tasks())
    assert waiting_exports(workspace) == [path]


def test_more_annotations_take_no_longer_for_each(workspace: Workspace, tmp_path: Path) -> None:
    made = itertools.count()

    def prepare(size: int) -> tuple[Workspace, Path, int]:
        copy = tmp_path / f"copy-{next(made)}"
        shutil.copytree(workspace.root, copy)
        tasks = [ls.task(n, ls.points_data(), ls.pointed(n)) for n in range(size)]
        return Workspace.open(copy), ls.write_export(copy / "export.json", tasks), size

    def work(prepared: tuple[Workspace, Path, int]) -> None:
        copy, path, size = prepared
        assert ingest(copy, [path]).points == size

    assert grows_evenly(1_500, prepare, work)
