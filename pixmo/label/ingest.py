"""Label Studio exports taken in: annotations kept whole, then parsed into rows.

Two steps, so that a kill at any moment costs nothing: (1) every annotation that is new is kept
whole in `annotations`; (2) every annotation that has no row yet is parsed. One that cannot be
parsed is tried again each time, to the same verdict, which `set_aside` keeps once.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pixmo.errors import LabelError
from pixmo.execution.progress import SILENT, Progress
from pixmo.label.exports import Export, find_exports, read_export
from pixmo.label.parse import READERS, Parsed, parse
from pixmo.label.values import Refusal
from pixmo.workspace.workspace import SetAside, Workspace

STAGE = "label"
VERSION = ("annotation_uid", "updated_at")  # what identifies one state of an annotation
PARSED_TABLES = tuple(table for table, _ in READERS.values())

Version = tuple[str, str]


@dataclass(frozen=True)
class Ingested:
    """What became of some exports."""

    exports: int
    added: int  # annotations, or new states of known ones
    known: int  # annotations that an earlier export held in the same state
    waiting: int  # tasks that nobody has annotated yet
    points: int  # rows new in `point_annotations`
    answers: int  # rows new in `answers`
    caption_reviews: int  # rows new in `caption_reviews`
    set_aside: int  # annotations newly set aside


def ingest(workspace: Workspace, paths: Sequence[Path], progress: Progress = SILENT) -> Ingested:
    """Every annotation of the exports is kept whole, and is a row or set aside with its reason.

    `paths` are JSON exports or folders of them. A malformed export leaves nothing of itself; the
    others are taken in all the same.

    Raises:
        LabelError: an export is missing or malformed; raised last, when everything else is done.
        WorkspaceError: another process is taking annotations in.
    """
    with workspace.lock("label"):
        intake = Intake(workspace)
        files, problems = find_files(paths)
        with progress.task("Reading exports", len(files), "exports") as advance:
            for file in files:
                try:
                    intake.keep(read_export(file))
                except LabelError as error:
                    problems.append(str(error))
                advance(1)
        parsed = intake.parse_pending(progress)
    if problems:
        done = "; every other export is taken in" if intake.exports else ""
        raise LabelError("; ".join(problems) + done)
    return Ingested(
        exports=intake.exports,
        added=intake.added,
        known=intake.known,
        waiting=intake.waiting,
        points=parsed["point_annotations"],
        answers=parsed["answers"],
        caption_reviews=parsed["caption_reviews"],
        set_aside=intake.set_aside,
    )


def find_files(paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The exports that `paths` name, each once, and what is wrong with those that name none."""
    files: dict[Path, None] = {}
    problems = []
    for path in paths:
        try:
            files.update(dict.fromkeys(find_exports([path])))
        except LabelError as error:
            problems.append(str(error))
    return list(files), problems


class Intake:
    """Annotations on their way into the tables, and those that are there already."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.exports = self.added = self.known = self.waiting = self.set_aside = 0
        self.versions = read_versions(workspace, "annotations")
        taken = workspace.read("exports")
        self.taken = set(
            zip(taken["export_sha256"].to_pylist(), taken["path"].to_pylist(), strict=True)
        )

    def keep(self, export: Export) -> None:
        """Step 1: what is new in an export is in `annotations`."""
        path = self.workspace.relative(export.path)
        rows, twice = [], []
        here: set[Version] = set()
        for raw in export.annotations:
            version = (raw.annotation_uid, raw.updated_at)
            if version in here:
                detail = f"in the state of {raw.updated_at}"
                twice.append(SetAside(STAGE, raw.annotation_uid, path, "exported twice", detail))
            elif version in self.versions:
                self.known += 1
            else:
                place = {"export_sha256": export.sha256, "export_path": path}
                rows.append(vars(raw) | place)
            here.add(version)
        self.set_aside += self.workspace.set_aside(twice)
        self.workspace.append("annotations", rows)
        if (export.sha256, path) not in self.taken:
            count = len(export.annotations)
            row = {"export_sha256": export.sha256, "path": path, "annotations": count}
            self.workspace.append("exports", [row])
        self.versions |= here
        self.exports += 1
        self.added += len(rows)
        self.waiting += export.waiting

    def parse_pending(self, progress: Progress) -> dict[str, int]:
        """Step 2: every annotation without a row has one or is set aside; rows new by table."""
        rows: dict[str, list[dict[str, Any]]] = {table: [] for table in PARSED_TABLES}
        refused = []
        pending = self.pending()
        with progress.task("Parsing annotations", len(pending), "annotations") as advance:
            for raw in pending:
                seen = parse_stored(raw)
                uid = raw["annotation_uid"]
                if isinstance(seen, Refusal):
                    path = raw["export_path"]
                    refused.append(SetAside(STAGE, uid, path, seen.reason, seen.detail))
                else:
                    version = {column: raw[column] for column in VERSION}
                    rows[seen.table].append(version | seen.row)
                advance(1)
        self.set_aside += self.workspace.set_aside(refused)
        for table, new in rows.items():
            self.workspace.append(table, new)
        return {table: len(new) for table, new in rows.items()}

    def pending(self) -> list[dict[str, Any]]:
        """The annotations that have no row in a parsed table, in the order they came."""
        done: set[Version] = set()
        for table in PARSED_TABLES:
            done |= read_versions(self.workspace, table)
        annotations = self.workspace.read("annotations")
        waits = pa.array([pair not in done for pair in version_pairs(annotations)], pa.bool_())
        return list(annotations.filter(waits).to_pylist())


def parse_stored(raw: dict[str, Any]) -> Parsed | Refusal:
    """The verdict on an annotation kept in `annotations`."""
    try:
        return parse(json.loads(raw["annotation_json"]), json.loads(raw["task_json"]))
    except RecursionError:
        return Refusal("malformed annotation", "nested too deeply")


def read_versions(workspace: Workspace, table: str) -> set[Version]:
    """The states of annotations that a table holds."""
    return set(version_pairs(workspace.read(table)))


def version_pairs(table: pa.Table) -> Iterable[Version]:
    """The states of annotations, row by row."""
    return zip(*(table.column(column).to_pylist() for column in VERSION), strict=True)
