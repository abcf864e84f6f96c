"""Recordings in a folder, each linked to its image.

A link is written in a `metadata.jsonl` or `metadata.csv` beside or above the recordings, in the
form of Hugging Face's AudioFolder: `file_name` (from the metadata file's folder), and optionally
`image`, `annotator`, `prompt`, `recorded_at`; other columns are ignored. Without an `image` it is
the image of the same file stem; behind `__` the stem may say whose recording it is.
"""

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pixmo.errors import SpeechError
from pixmo.hashing import sha256_file
from pixmo.speech.audio import SUFFIXES
from pixmo.speech.image_links import NO_IMAGE, SEVERAL_IMAGES, SPEAKER_MARK, ImageLinks
from pixmo.speech.lines import Values, read_lines
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


def find(workspace: Workspace, folder: Path) -> Found:
    """The recordings under `folder` in the order of their paths, and all that cannot be one.

    Raises:
        SpeechError: there is no such folder, no recording in it, or a malformed metadata line.
    """
    files = list(visible_files(folder))
    if not any(file.suffix.lower() in SUFFIXES for file in files):
        raise SpeechError(f"{folder} holds no recording; pixmo reads {', '.join(SUFFIXES)}")
    metadata = read_metadata([file for file in files if file.name in METADATA_NAMES])
    found = Found()
    listed = set(files)
    for file, said in metadata.items():
        if file not in listed:
            name = said.values["file_name"] or ""
            found.set_aside.append(
                SetAside(
                    STAGE,
                    str(said.number),
                    workspace.relative(said.file),
                    "metadata names no file",
                    name,
                )
            )
    links = ImageLinks.of(workspace)
    for file in files:
        if file.name not in METADATA_NAMES:
            item = examine(workspace, links, file, metadata.get(file))
            if isinstance(item, Recording):
                found.recordings.append(item)
            else:
                found.set_aside.append(item)
    return without_copies(workspace, found)


def visible_files(folder: Path) -> Iterator[Path]:
    """The absolute paths of all files under `folder` that are not hidden, in a fixed order.

    Raises:
        SpeechError: `folder` is none, or one in it cannot be read.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - a link keeps the name it was given
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
            target = Path(os.path.abspath(file.parent / (name or "")))  # noqa: PTH100
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


def as_text(name: str) -> str:
    """A file's name as a table can hold it: one that is no UTF-8 with its odd bytes spelled out."""
    return name.encode("utf-8", "backslashreplace").decode()


def without_copies(workspace: Workspace, found: Found) -> Found:
    """Each recording once: under the name in the table, else under its first."""
    columns = ["recording_sha256", "path"]
    owners = {
        row["recording_sha256"]: row["path"]
        for row in workspace.read("recordings").select(columns).to_pylist()
        if workspace.path(row["path"]).is_file()
    }
    kept = Found(set_aside=list(found.set_aside))
    for recording in found.recordings:
        owner = owners.setdefault(recording.sha256, recording.path)
        if owner == recording.path:
            kept.recordings.append(recording)
        else:
            reason = "same bytes as another recording"
            kept.set_aside.append(
                SetAside(STAGE, recording.sha256, recording.path, reason, f"same as {owner}")
            )
    return kept


def record(workspace: Workspace, found: Found) -> list[Recording]:
    """The recordings stand in the table, and what was set aside in its own.

    Returns the recordings with the image they were first linked to: their transcripts speak of it.
    A link that has changed since is set aside, not followed.
    """
    table = workspace.read("recordings").select(["recording_sha256", "image_sha256"])
    linked = {row["recording_sha256"]: row["image_sha256"] for row in table.to_pylist()}
    first_ordinal = len(table)
    new = [recording for recording in found.recordings if recording.sha256 not in linked]
    rows = [
        {
            "recording_sha256": recording.sha256,
            "path": recording.path,
            "image_sha256": recording.image_sha256,
            "annotator": recording.annotator,
            "prompt": recording.prompt,
            "recorded_at": recording.recorded_at,
            "bytes": recording.file.stat().st_size,
            "ordinal": first_ordinal + number,
        }
        for number, recording in enumerate(new)
    ]
    workspace.append("recordings", rows)
    kept = []
    for recording in found.recordings:
        image = linked.get(recording.sha256, recording.image_sha256)
        if image != recording.image_sha256:
            reason, detail = "linked to another image before", f"first {image}, now not followed"
            found.set_aside.append(
                SetAside(STAGE, recording.sha256, recording.path, reason, detail)
            )
        kept.append(dataclasses.replace(recording, image_sha256=image))
    workspace.set_aside(found.set_aside)
    return kept
