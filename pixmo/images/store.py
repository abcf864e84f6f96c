"""Images taken in: a folder's files as rows of `images`, what cannot be used in `set_aside`."""

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixmo.errors import ImageError
from pixmo.execution.local import map_ordered
from pixmo.execution.progress import SILENT, Progress
from pixmo.hashing import sha256_file
from pixmo.images import metadata
from pixmo.images.fingerprint import SUFFIXES, Fingerprint, Unreadable, examine
from pixmo.images.metadata import Source
from pixmo.workspace.workspace import SetAside, Workspace

STAGE = "images"
PART_FILES = 512  # files looked at between two writes: what a kill can cost
GIVEN = ("image_url", "license")  # what metadata beside an image may say of it
READABLE = tuple(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)


@dataclass(frozen=True)
class ImagesAdded:
    """What became of a folder's files."""

    added: int
    known: int  # taken in before, from this path
    set_aside: int  # files and lines of metadata that cannot be used, now or before
    updated: int = 0  # known, and moved here since or given another source URL or licence since


@dataclass(frozen=True)
class Candidate:
    """A file to look at."""

    path: Path
    stored: str  # its path as tables hold it
    known: frozenset[str] = frozenset()  # sha256 of the images taken in from this path


@dataclass(frozen=True)
class Known:
    """A file that was taken in before."""

    image_sha256: str


Seen = Known | Fingerprint | Unreadable
Given = dict[str, str | None]


def add_images(
    workspace: Workspace,
    folder: Path,
    progress: Progress = SILENT,
    workers: int | None = None,
) -> ImagesAdded:
    """Every image in `folder` and below has a row in `images`; every other file is set aside.

    Files are taken in the order of their paths, in parts: a killed run, started again, ends with
    the rows that an undisturbed one ends with.

    Raises:
        ImageError: there is no such folder, it holds no image, or its metadata is malformed.
        WorkspaceError: another process is taking images in.
    """
    files = find_files(folder)
    images = [file for file in files if file.suffix.lower() in READABLE]
    if not images:
        raise ImageError(
            f"{folder} holds no image; pixmo reads {', '.join(READABLE)} there and in its folders;"
            " convert others, such as HEIC, to JPEG"
        )
    sources = metadata.read_sources([file for file in files if file.name in metadata.NAMES])
    files = [file for file in files if file.name not in metadata.NAMES]
    with workspace.lock("images"):
        intake = Intake(workspace, sources)
        intake.check_sources(files)
        candidates = [intake.candidate(file) for file in files]
        with progress.task("Fingerprinting images", len(files), "images") as advance:
            looks = map_ordered(look, candidates, workers)
            for count, (file, seen) in enumerate(zip(candidates, looks, strict=True), 1):
                intake.take(file, seen)
                if count % PART_FILES == 0 or count == len(candidates):
                    intake.write()
                advance(1)
    return ImagesAdded(intake.added, intake.known, intake.set_aside, intake.updated)


def find_files(folder: Path) -> list[Path]:
    """The files in `folder` and below, sorted by relative path; hidden ones are passed over.

    Raises:
        ImageError: there is no such folder.
    """
    if not folder.exists():
        raise ImageError(f"{folder} does not exist; name a folder of images")
    if not folder.is_dir():
        raise ImageError(f"{folder} is not a folder; name the folder that the image lies in")
    return sorted(visible_files(folder), key=lambda file: file.parts)


def visible_files(folder: Path) -> Iterator[Path]:
    """The files in `folder` and below whose names do not begin with a dot, in no order.

    Raises:
        ImageError: a folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise ImageError(f"{error.filename} cannot be listed ({error.strerror}); mend its rights")

    for place, folders, names in os.walk(os.path.normpath(folder), onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in names if not name.startswith("."))


def look(file: Candidate) -> Seen:
    """What a file is. Runs in a worker process."""
    if not metadata.is_text(str(file.path)):
        return Unreadable("name is not UTF-8", "rename the file")
    if file.path.suffix.lower() not in READABLE:
        ending = file.path.suffix or "no suffix"
        return Unreadable("not an image", f"{ending}; read are {', '.join(READABLE)}")
    try:
        if file.known and (sha256 := sha256_file(file.path)) in file.known:
            return Known(sha256)
    except OSError as error:
        return Unreadable("cannot be opened", error.strerror or str(error))
    return examine(file.path)


class Intake:
    """Rows and set-aside items on their way into the tables, and what is there already."""

    def __init__(self, workspace: Workspace, sources: dict[Path, Source]) -> None:
        self.workspace = workspace
        self.sources = sources
        self.added = self.known = self.updated = self.set_aside = 0
        self.rows: list[dict[str, Any]] = []
        self.thumbnails: list[dict[str, Any]] = []
        self.items: list[SetAside] = []
        self.newest: dict[str, dict[str, Any]] = {}  # the newest row of each image_sha256
        self.sha256s_at: dict[str, set[str]] = {}  # of each stored path
        self.newest_at: dict[str, str] = {}  # the one of them that counts there
        for row in workspace.read("images").to_pylist():
            self.remember(row)

    def remember(self, row: dict[str, Any]) -> None:
        """An image is known by its bytes and by its path."""
        self.newest[row["image_sha256"]] = row
        self.sha256s_at.setdefault(row["path"], set()).add(row["image_sha256"])
        self.newest_at[row["path"]] = row["image_sha256"]

    def candidate(self, file: Path) -> Candidate:
        """A file together with what is known of its path."""
        stored = self.workspace.relative(file)
        stored = stored.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        return Candidate(file, stored, frozenset(self.sha256s_at.get(stored, ())))

    def check_sources(self, files: list[Path]) -> None:
        """Lines of metadata that name no file of the folder are put aside."""
        relative = self.workspace.relative
        for file in sorted(self.sources.keys() - set(files)):
            source = self.sources[file]
            self.put_aside(
                str(source.line),
                relative(source.metadata),
                "metadata names no file",
                relative(file),
            )

    def take(self, file: Candidate, seen: Seen) -> None:
        """A file that was looked at becomes a row, an item set aside, or nothing new."""
        source = self.sources.get(file.path)
        given = {name: getattr(source, name, None) for name in GIVEN}
        if isinstance(seen, Unreadable):
            self.put_aside(seen.sha256 or file.stored, file.stored, seen.reason, seen.detail)
        elif seen.image_sha256 in self.newest:
            self.meet_again(file.stored, given, self.newest[seen.image_sha256])
        elif isinstance(seen, Fingerprint):
            self.add(file.stored, given, seen)

    def meet_again(self, stored: str, given: Given, row: dict[str, Any]) -> None:
        """A file with the bytes of a known image is its file, its new place, or a copy of it."""
        is_its_file = stored == row["path"]
        counts_there = self.newest_at.get(stored) == row["image_sha256"]
        if not is_its_file and not self.is_gone(row):
            reason = "same bytes as another image"
            self.put_aside(row["image_sha256"], stored, reason, row["path"])
        elif (
            is_its_file
            and counts_there
            and all(value in (None, row[name]) for name, value in given.items())
        ):
            self.known += 1
        else:
            new = {name: value or row[name] for name, value in given.items()}
            self.update(row, path=stored, **new)

    def put_aside(self, key: str, path: str, reason: str, detail: str) -> None:
        """A file, or a line of metadata, cannot be used."""
        self.set_aside += 1
        self.items.append(SetAside(STAGE, key, path, reason, detail))

    def is_gone(self, row: dict[str, Any]) -> bool:
        """Whether the image is no longer where its row says: no file, or another one."""
        try:
            return sha256_file(self.workspace.path(row["path"])) != str(row["image_sha256"])
        except OSError:
            return True

    def add(self, path: str, given: Given, seen: Fingerprint) -> None:
        """A file is a new image."""
        self.added += 1
        place = {"path": path, "ordinal": len(self.newest)}
        row = dataclasses.asdict(seen) | place | given
        thumbnail = row.pop("thumbnail")
        self.thumbnails.append({"image_sha256": seen.image_sha256, "thumbnail": thumbnail})
        self.rows.append(row)
        self.remember(self.rows[-1])

    def update(self, row: dict[str, Any], **changed: str | None) -> None:
        """A known image has a newer row, which counts from now on; its ordinal stays."""
        self.updated += 1
        self.rows.append(row | changed)
        self.remember(self.rows[-1])

    def write(self) -> None:
        """What has gathered is in the tables for good."""
        self.workspace.set_aside(self.items)
        # First, so that no image lacks one; after a kill between the two it stands there twice.
        self.workspace.append("image_thumbnails", self.thumbnails)
        self.workspace.append("images", self.rows)
        self.items, self.rows, self.thumbnails = [], [], []
