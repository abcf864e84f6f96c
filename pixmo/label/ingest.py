"""Label Studio exports taken in: annotations parsed into rows, then kept whole.

What an export says of an annotation is a state. The newest by Label Studio's own clock counts, and
of states of one time the one taken in last: a task whose data was corrected is exported again under
the same time.

A state is parsed or set aside before it stands in `annotations`, and only what stands there counts;
so after a kill at any moment an earlier state still does, and the export, which is named in
`exports` last of all, is waiting still. States that were set aside are parsed again each time, for
a later pixmo may understand them.

A caption review counts for the caption it names and no other: it is set aside while there is no
such caption, and stands in `current_set_aside` once another caption of the image has replaced that.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pixmo.errors import LabelError
from pixmo.execution.progress import SILENT, Progress
from pixmo.hashing import sha256_file
from pixmo.label.exports import Export, find_exports, read_export
from pixmo.label.parse import READERS, Parsed, parse
from pixmo.label.values import Refusal
from pixmo.text import as_text
from pixmo.workspace.workspace import SetAside, Workspace

STAGE = "label"
NOT_AN_EXPORT = "not a JSON export"  # views.sql knows these two reasons
NO_SUCH_CAPTION = "review of a caption that is not there"
IDENTITY = ("annotation_uid", "updated_at", "state_sha256")  # what a row shares with its annotation
PARSED_TABLES = tuple(table for table, _ in READERS.values())


@dataclass(frozen=True)
class Ingested:
    """What became of some exports."""

    exports: int
    added: int  # annotations, or new states of known ones
    known: int  # annotations that an earlier export held in the same state
    tasks_without_annotation: int
    points: int  # rows new in `point_annotations`
    answers: int  # rows new in `answers`
    caption_reviews: int  # rows new in `caption_reviews`
    questions: int  # rows new in `questions`
    set_aside: int  # annotations, and files that are no exports, newly set aside


class MalformedExportsError(LabelError):
    """Some exports cannot be used; the others are taken in."""

    def __init__(self, problems: Sequence[str], ingested: Ingested) -> None:
        done = "; every other export is taken in" if ingested.exports else ""
        super().__init__("; ".join(problems) + done)
        self.problems = tuple(problems)  # a line each
        self.ingested = ingested


def ingest(workspace: Workspace, paths: Sequence[Path], progress: Progress = SILENT) -> Ingested:
    """Every annotation of the exports is kept whole, and is a row or set aside with its reason.

    `paths` are JSON exports or folders of them, whose other files are set aside. A malformed
    export leaves nothing of itself; the others are taken in all the same.

    Raises:
        MalformedExportsError: an export is missing or malformed; raised last, when all else is
            done.
        WorkspaceError: another process is taking annotations in.
    """
    with workspace.lock("label"):
        intake = Intake(workspace)
        intake.parse_again()
        found = find_exports(paths)
        intake.leave(file for file in found.others if file not in found.exports)
        with progress.task("Taking exports in", len(found.exports), "exports") as advance:
            for file in found.exports:
                try:
                    intake.keep(read_export(file))
                except LabelError as error:
                    found.problems.append(str(error))
                advance(1)
    ingested = Ingested(
        exports=intake.exports,
        added=intake.added,
        known=intake.known,
        tasks_without_annotation=intake.tasks_without_annotation,
        points=intake.parsed["point_annotations"],
        answers=intake.parsed["answers"],
        questions=intake.parsed["questions"],
        caption_reviews=intake.parsed["caption_reviews"],
        set_aside=intake.set_aside,
    )
    if found.problems:
        raise MalformedExportsError(found.problems, ingested)
    return ingested


def waiting_exports(workspace: Workspace) -> list[Path]:
    """The files in `exports/` that are not taken in as they are now, and are not set aside."""
    taken = exports_taken(workspace)
    aside = {
        row["path"]
        for row in workspace.read("set_aside").to_pylist()
        if (row["stage"], row["reason"]) == (STAGE, NOT_AN_EXPORT)
    }
    found = find_exports([workspace.exports])
    waiting = []
    for file in [*found.exports, *found.others]:
        path = as_text(workspace.relative(file))
        try:
            is_taken = (sha256_file(file), path) in taken
        except OSError:
            is_taken = False  # ingest says what is wrong with it
        if not is_taken and path not in aside:
            waiting.append(file)
    return waiting


class Intake:
    """Annotations on their way into the tables, and those that are there already."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.exports = self.added = self.known = self.set_aside = 0
        self.tasks_without_annotation = 0
        self.parsed = dict.fromkeys(PARSED_TABLES, 0)
        self.kept = states(workspace, "annotations")
        self.with_row = set[str]().union(*(states(workspace, table) for table in PARSED_TABLES))
        captions = workspace.read("captions")
        self.captions = set(captions["caption_id"].to_pylist())
        self.taken = exports_taken(workspace)

    def leave(self, files: Iterable[Path]) -> None:
        """Files that are no exports are set aside."""
        paths = [as_text(self.workspace.relative(file)) for file in files]
        items = [SetAside(STAGE, path, path, NOT_AN_EXPORT) for path in paths]
        self.set_aside += self.workspace.set_aside(items)

    def keep(self, export: Export) -> None:
        """What is new in an export is parsed or set aside, then kept whole."""
        path = as_text(self.workspace.relative(export.path))
        place = {"export_sha256": export.sha256, "export_path": path}
        new, twice = [], []
        here: set[tuple[str, str]] = set()
        for raw in export.annotations:
            version = (raw.annotation_uid, raw.updated_at)
            if version in here:
                detail = f"in the state of {raw.updated_at}"
                twice.append(SetAside(STAGE, raw.annotation_uid, path, "exported twice", detail))
            elif raw.state_sha256 in self.kept:
                self.known += 1
            else:
                new.append(vars(raw) | place)
            here.add(version)
        self.set_aside += self.workspace.set_aside(twice)
        self.parse(new)
        self.workspace.append("annotations", new)
        self.kept.update(row["state_sha256"] for row in new)
        if (export.sha256, path) not in self.taken:
            count = len(export.annotations)
            row = {"export_sha256": export.sha256, "path": path, "annotations": count}
            self.workspace.append("exports", [row])
        self.exports += 1
        self.added += len(new)
        self.tasks_without_annotation += export.tasks_without_annotation

    def parse_again(self) -> None:
        """What was set aside before is a row where it can be one now."""
        annotations = self.workspace.read("annotations")
        has_no_row = [state not in self.with_row for state in states_of(annotations)]
        self.parse(annotations.filter(pa.array(has_no_row, pa.bool_())).to_pylist())

    def parse(self, annotations: Iterable[dict[str, Any]]) -> None:
        """Each of the annotations that has no row yet has one or is set aside."""
        rows: dict[str, list[dict[str, Any]]] = {table: [] for table in PARSED_TABLES}
        aside = []
        for raw in annotations:
            if raw["state_sha256"] in self.with_row:
                continue
            seen = parse_stored(raw)
            uid, path = raw["annotation_uid"], raw["export_path"]
            if isinstance(seen, Refusal):
                aside.append(SetAside(STAGE, uid, path, seen.reason, seen.detail))
                continue
            rows[seen.table].append({column: raw[column] for column in IDENTITY} | seen.row)
            caption_id = seen.row.get("caption_id")
            if caption_id is not None and caption_id not in self.captions:
                aside.append(SetAside(STAGE, uid, path, NO_SUCH_CAPTION, f"caption {caption_id}"))
        self.set_aside += self.workspace.set_aside(aside)
        for table, new in rows.items():
            self.workspace.append(table, new)
            self.parsed[table] += len(new)
            self.with_row.update(row["state_sha256"] for row in new)


def parse_stored(raw: dict[str, Any]) -> Parsed | Refusal:
    """The verdict on an annotation kept in `annotations`."""
    try:
        return parse(json.loads(raw["annotation_json"]), json.loads(raw["task_json"]))
    except RecursionError:
        return Refusal("malformed annotation", "nested too deeply")


def states(workspace: Workspace, table: str) -> set[str]:
    """The states of annotations that a table holds."""
    return set(states_of(workspace.read(table)))


def states_of(rows: pa.Table) -> list[str]:
    """The state of each row."""
    return list(rows["state_sha256"].to_pylist())


def exports_taken(workspace: Workspace) -> set[tuple[str, str]]:
    """The sha256 and path of every export that was taken in whole."""
    taken = workspace.read("exports")
    return set(zip(taken["export_sha256"].to_pylist(), taken["path"].to_pylist(), strict=True))
