"""Evaluation data held out: hashes of its images and its questions, for recipes to compare with."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixmo.execution.local import map_ordered
from pixmo.execution.progress import SILENT, Progress
from pixmo.hashing import sha256_bytes, sha256_file
from pixmo.images.evaluation_sets import DIGITS, HUB, Item, open_source
from pixmo.images.fingerprint import Fingerprint, Unreadable, examine_mirrored
from pixmo.text import as_text
from pixmo.workspace.workspace import SetAside, Workspace

STAGE = "held-out"
PART_ITEMS = 512  # between two writes: what a kill can cost
# In memory at a time: the bytes of a dataset's images, against only the names of files.
MOST_ROWS, MOST_FILES = 512, 1 << 16

Row = dict[str, Any]


@dataclass(frozen=True)
class HeldOutAdded:
    """What became of a source's images and questions."""

    images: int  # new
    questions: int  # new
    known: int  # held out before
    set_aside: int  # images that cannot be used


@dataclass(frozen=True)
class Known:
    """An image that was held out before."""


@dataclass(frozen=True)
class Candidate:
    """An item, and the bytes that were known by its key before."""

    item: Item
    known: frozenset[str]  # sha256


Seen = Fingerprint | Unreadable | Known | None


def hold_out(
    workspace: Workspace,
    source: str,
    questions: str = "",
    name: str = "",
    progress: Progress = SILENT,
    workers: int | None = None,
) -> HeldOutAdded:
    """Every image of `source` has a row in `held_out_images`, every question one in the other.

    `evaluation_sets` says what a source is. Rows and the card call it `name`, else as
    `name_of` does. What is held out already under that name adds nothing; a killed run, started
    again, ends with the rows that an undisturbed one ends with.

    Raises:
        HeldOutError: the source cannot be read.
        ImageError: the folder cannot be listed.
        WorkspaceError: another process is at it.
    """
    with workspace.lock(STAGE):
        opened = open_source(source, questions)
        called = name or name_of(workspace, source)
        intake = Intake(workspace, called, source, opened.is_folder)
        most = MOST_FILES if opened.is_folder else MOST_ROWS
        with progress.task("Holding out", opened.total, opened.unit) as advance:
            for items in batches(opened.items, most):
                candidates = [intake.candidate(item) for item in items]
                looks = map_ordered(look, candidates, workers)
                for count, (item, seen) in enumerate(zip(items, looks, strict=True), 1):
                    intake.take(item, seen)
                    if count % PART_ITEMS == 0:
                        intake.write()
                    advance(1)
                intake.write()
        if not source.startswith(HUB):
            workspace.mend(STAGE, Path(source), intake.all_aside)
    return HeldOutAdded(
        intake.added["held_out_images"],
        intake.added["held_out_questions"],
        intake.known,
        len(intake.all_aside),
    )


def name_of(workspace: Workspace, source: str) -> str:
    """What a source is called: in the workspace its place, elsewhere its own name.

    Releases say it, and the folders above it are nobody's business.
    """
    if source.startswith(HUB):
        return source
    stored = workspace.relative(Path(source).resolve())
    return as_text(Path(stored).name if Path(stored).is_absolute() else stored)


def batches(items: Iterator[Item], most: int) -> Iterator[list[Item]]:
    """Yield the items, at most so many at a time."""
    while batch := list(itertools.islice(items, most)):
        yield batch


def look(candidate: Candidate) -> Seen:
    """What an item's image is; None where it has none. Runs in a worker process."""
    image = candidate.item.image
    if image is None or isinstance(image, Unreadable):
        return image
    if candidate.known:
        try:
            sha256 = sha256_bytes(image) if isinstance(image, bytes) else sha256_file(image)
        except OSError as error:
            return Unreadable("cannot be opened", error.strerror or str(error))
        if sha256 in candidate.known:
            return Known()
    return examine_mirrored(image)


class Intake:
    """Rows and set-aside items on their way into the tables, and what is there already."""

    def __init__(self, workspace: Workspace, name: str, source: str, is_folder: bool) -> None:
        self.workspace = workspace
        self.name = name
        self.source = source
        self.is_folder = is_folder
        self.known = 0
        self.added = {"held_out_images": 0, "held_out_questions": 0}
        self.rows: dict[str, list[Row]] = {table: [] for table in self.added}
        self.all_aside: list[SetAside] = []
        self.written_aside = 0
        self.there: dict[str, set[tuple[Any, ...]]] = {}
        self.sha256s: dict[str, set[str]] = {}  # of the images called by each key
        for table in self.added:
            rows = [r for r in workspace.read(table).to_pylist() if r["source"] == name]
            self.there[table] = {tuple(row.values()) for row in rows}
            for row in rows:
                if row.get("image_sha256"):
                    self.sha256s.setdefault(row["key"], set()).add(row["image_sha256"])

    def candidate(self, item: Item) -> Candidate:
        """An item together with what is known by its key."""
        return Candidate(item, frozenset(self.sha256s.get(item.key, ())))

    def take(self, item: Item, seen: Seen) -> None:
        """An item that was looked at becomes a row, is set aside, or is known."""
        if isinstance(seen, Known):
            self.known += 1
        elif isinstance(seen, Unreadable):
            aside = SetAside(STAGE, item.key, self.path_of(item), seen.reason, seen.detail)
            self.all_aside.append(aside)
        elif isinstance(seen, Fingerprint):
            self.add("held_out_images", item, {name: getattr(seen, name) for name in DIGITS})
        elif item.hashes is not None:
            self.add("held_out_images", item, item.hashes)
        else:
            self.add("held_out_questions", item, {"question": item.question})

    def path_of(self, item: Item) -> str:
        """The file that an item is, or stands in, as tables hold it."""
        if self.source.startswith(HUB):
            return self.source
        place = Path(self.source)
        return as_text(self.workspace.relative(place / item.key if self.is_folder else place))

    def add(self, table: str, item: Item, values: Row) -> None:
        """A row of the table, unless it is there."""
        row = {"source": self.name, "key": item.key} | values
        if tuple(row.values()) in self.there[table]:
            self.known += 1
            return
        self.there[table].add(tuple(row.values()))
        self.rows[table].append(row)
        self.added[table] += 1

    def write(self) -> None:
        """What has gathered is in the tables for good."""
        self.workspace.set_aside(self.all_aside[self.written_aside :])
        self.written_aside = len(self.all_aside)
        for table, rows in self.rows.items():
            self.workspace.append(table, rows)
            rows.clear()
