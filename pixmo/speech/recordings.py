"""Recordings in a folder, each linked to its image.

A link is written in a `metadata.jsonl` or `metadata.csv` beside or above the recordings, in the
form of Hugging Face's AudioFolder: `file_name` (from the metadata file's folder), and optionally
`image`, `annotator`, `prompt`, `recorded_at`; other columns are ignored. Without an `image` it is
the image of the same file stem; behind `__` the stem may say whose recording it is. What the files
say now counts: a recording that was moved or whose metadata was corrected has a newer row.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixmo.errors import SpeechError
from pixmo.execution.progress import SILENT, Progress
from pixmo.hashing import sha256_file
from pixmo.speech.audio import SUFFIXES
from pixmo.text import as_text
from pixmo.workspace.image_links import NO_IMAGE, SEVERAL_IMAGES, SPEAKER_MARK, ImageLinks
from pixmo.workspace.lines import Values, read_lines
from pixmo.workspace.workspace import SetAside, Workspace

STAGE = "transcribe"
METADATA_NAMES = ("metadata.jsonl", "metadata.csv")
METADATA_COLUMNS = ("file_name", "image", "annotator", "prompt", "recorded_at")
UNKNOWN_ANNOTATOR = "unknown"


@dataclass(frozen=True)
class Recording:
    """A recording that is linked to its image."""

    sha256: str
    file: Path
    path: str  # as the table holds it
    image_sha256: str
    annotator: str = UNKNOWN_ANNOTATOR
    prompt: str | None = None
    recorded_at: str | None = None


@dataclass(frozen=True)
class Metadata:
    """What a line of a metadata file says of one recording."""

    file: Path
    number: int
    values: Values


@dataclass
class Found:
    """What a folder holds."""

    recordings: list[Recording] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)


def find(workspace: Workspace, folder: Path, progress: Progress = SILENT) -> Found:
    """The recordings under `folder` in the order of their paths, and all that cannot be one.

    Raises:
        SpeechError: there is no such folder, no recording in it, or a malformed metadata line.
    """
    files = list(visible_files(folder))
    if not any(file.suffix.lower() in SUFFIXES for file in files):
        raise SpeechError(f"{folder} holds no recording; pixmo reads {', '.join(SUFFIXES)}")
    metadata = read_metadata([*metadata_above(workspace, folder), *metadata_files(files)])
    found = Found()
    listed = set(files)
    top = absolute(folder)
    for file, said in metadata.items():
        if file not in listed and file.is_relative_to(top):
            path = as_text(workspace.relative(file))
            found.set_aside.append(
                SetAside(
                    STAGE,
                    path,
                    path,
                    "metadata names no file",
                    f"named in {as_text(workspace.relative(said.file))} line {said.number}",
                )
            )
    links = ImageLinks.of(workspace)
    with progress.task("Looking at recordings", total=len(files), unit="files") as advance:
        for file in files:
            if file.name not in METADATA_NAMES:
                item = examine(workspace, links, file, metadata.get(file))
                if isinstance(item, Recording):
                    found.recordings.append(item)
                else:
                    found.set_aside.append(item)
            advance(1)
    return without_copies(workspace, found)


def visible_files(folder: Path) -> Iterator[Path]:
    """The absolute paths of all files under `folder` that are not hidden, in a fixed order.

    Raises:
        SpeechError: `folder` is none, or one in it cannot be read.
    """
    folder = absolute(folder)
    if not folder.is_dir():
        raise SpeechError(f"{folder} is not a folder; name the one that holds the recordings")
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise SpeechError(f"{folder} cannot be read: {error.strerror}") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        # A link to a folder could lead back to where it stands.
        if entry.is_dir() and not entry.is_symlink():
            yield from visible_files(entry)
        else:
            yield entry


def absolute(path: Path) -> Path:
    """The path from the root, without `..`; a link keeps the name it was given."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def metadata_files(files: Iterable[Path]) -> list[Path]:
    """Those of the files that say what recordings are about."""
    return [file for file in files if file.name in METADATA_NAMES]


def metadata_above(workspace: Workspace, path: Path) -> list[Path]:
    """The metadata files in the folders above a file or folder, up to the workspace's own."""
    above = [f for f in absolute(path).parents if f.resolve().is_relative_to(workspace.root)]
    return [file for f in above for file in map(f.joinpath, METADATA_NAMES) if file.is_file()]


def read_metadata(files: list[Path]) -> dict[Path, Metadata]:
    """What the metadata files say, by the recording's absolute path.

    Raises:
        SpeechError: a line is malformed or names a file that another line names.
    """
    said: dict[Path, Metadata] = {}
    for file in files:
        for line in read_lines(file, METADATA_COLUMNS):
            name = line.values.get("file_name")
            fault = line.fault or ("" if name else "it has no file_name")
            target = absolute(file.parent / (name or ""))
            if target in said:
                other = said[target]
                fault = f"{name} is named in {other.file.name} line {other.number} already"
            if fault:
                raise SpeechError(f"{file} line {line.number}: {fault}; mend the line")
            said[target] = Metadata(file, line.number, line.values)
    return said


def examine(
    workspace: Workspace, links: ImageLinks, file: Path, said: Metadata | None
) -> Recording | SetAside:
    """The file as a recording with its image, or why it is none."""
    path = as_text(workspace.relative(file))
    if file.suffix.lower() not in SUFFIXES or not file.is_file():
        return SetAside(STAGE, path, path, "not a recording")
    try:
        sha256 = sha256_file(file)
    except OSError as error:
        return SetAside(STAGE, path, path, "cannot be read", error.strerror or "")
    values = said.values if said else {}
    image = values.get("image")
    if said and image:
        images = links.named(image, said.file.parent)
        looked_for = f"looked for {image}, named in {said.file.name} line {said.number}"
    else:
        images = links.of_recording(file)
        looked_for = f"looked for an image named {as_text(file.stem)}.*"
        if SPEAKER_MARK in looked_for:
            looked_for += f" or {as_text(file.stem.rpartition(SPEAKER_MARK)[0])}.*"
    if len(images) != 1:
        reason = SEVERAL_IMAGES if images else NO_IMAGE
        return SetAside(STAGE, sha256, path, reason, looked_for)
    return Recording(
        sha256,
        file,
        path,
        next(iter(images)),
        values.get("annotator") or UNKNOWN_ANNOTATOR,
        values.get("prompt"),
        values.get("recorded_at"),
    )


def without_copies(workspace: Workspace, found: Found) -> Found:
    """Each recording once: under the name in the table, if it is there still, else its first.

    A name that has no image owns nothing.
    """
    here = {recording.path: recording.sha256 for recording in found.recordings}
    unlinked = {item.path for item in found.set_aside}
    known = newest_rows(workspace)
    owners: dict[str, str] = {}
    kept = Found(set_aside=list(found.set_aside))
    for recording in found.recordings:
        if recording.sha256 not in owners:
            before = known.get(recording.sha256)
            path = before["path"] if before and before["image_sha256"] else recording.path
            is_there = path not in unlinked and recording.sha256 == (
                here.get(path) or hash_of(workspace.path(path))
            )
            owners[recording.sha256] = path if is_there else recording.path
        owner = owners[recording.sha256]
        if owner == recording.path:
            kept.recordings.append(recording)
        else:
            reason = "same bytes as another recording"
            kept.set_aside.append(
                SetAside(STAGE, recording.sha256, recording.path, reason, f"same as {owner}")
            )
    return kept


def hash_of(file: Path) -> str | None:
    """The sha256 of a file; None where there is none to read."""
    try:
        return sha256_file(file)
    except OSError:
        return None


def newest_rows(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """The row that counts of every recording in the table, by its sha256."""
    return {row["recording_sha256"]: row for row in workspace.read("recordings").to_pylist()}


def record(workspace: Workspace, found: Found) -> None:
    """The recordings stand in the table as they are now, and what was set aside in its own."""
    known = newest_rows(workspace)
    # A file that was replaced and is back as it was needs a newer row than what stood there since.
    newest_at = {row["path"]: row for row in workspace.read("recordings").to_pylist()}
    rows = []
    for recording in found.recordings:
        before = known.get(recording.sha256)
        row = {
            "recording_sha256": recording.sha256,
            "path": recording.path,
            "image_sha256": recording.image_sha256,
            "annotator": recording.annotator,
            "prompt": recording.prompt,
            "recorded_at": recording.recorded_at,
            "bytes": recording.file.stat().st_size,
            "ordinal": before["ordinal"] if before else len(known),
        }
        if row != before or row != newest_at.get(recording.path):
            rows.append(row)
            known[recording.sha256] = row
    workspace.append("recordings", rows)
    workspace.append(
        "recordings", [known[sha256] | {"image_sha256": None} for sha256 in lost(workspace, found)]
    )
    workspace.set_aside(found.set_aside)


def lost(workspace: Workspace, found: Found) -> list[str]:
    """The sha256 of the recordings that count and no longer have a file with an image.

    Their file has no image now, holds other bytes, or was moved to where it has none. One that is
    nowhere in this folder may stand elsewhere, or have been deleted once it was heard: it counts.
    """
    # Of what is no recording, or cannot be read, the bytes are not known.
    aside = {item.path: item.key for item in found.set_aside if item.key != item.path}
    seen = set(aside.values())
    with workspace.connect() as connection:
        query = "select recording_sha256, path from recordings order by ordinal"
        counting = connection.execute(query).fetchall()
    return [
        sha256
        for sha256, path in counting
        if path in aside or (sha256 in seen and hash_of(workspace.path(path)) != sha256)
    ]


def linked_since(workspace: Workspace) -> list[Recording]:
    """The recordings that were set aside for want of an image and have one now.

    Raises:
        SpeechError: a malformed metadata line.
    """
    with workspace.connect() as connection:
        query = (
            "select path from current_set_aside where stage = ? group by path"
            " having bool_and(reason = ?)"  # some cannot be decoded, either
        )
        paths = [path for (path,) in connection.execute(query, [STAGE, NO_IMAGE]).fetchall()]
    files = [file for file in map(workspace.path, sorted(paths)) if file.is_file()]
    links = ImageLinks.of(workspace)
    metadata = read_metadata(sorted({m for f in files for m in metadata_above(workspace, f)}))
    items = [examine(workspace, links, file, metadata.get(file)) for file in files]
    return [item for item in items if isinstance(item, Recording)]
