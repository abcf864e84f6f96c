"""Transcripts that were typed, or come from elsewhere, taken in from a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixmo.errors import SpeechError
from pixmo.hashing import sha256_value, short_id
from pixmo.speech.recordings import UNKNOWN_ANNOTATOR
from pixmo.speech.transcripts import written_row
from pixmo.text import squeeze
from pixmo.workspace.image_links import ImageLinks
from pixmo.workspace.lines import Line, read_lines
from pixmo.workspace.withdrawals import Withdrawn, read_withdrawn, text_sha256
from pixmo.workspace.workspace import SetAside, Workspace

STAGE = "transcripts"
COLUMNS = ("image", "text", "annotator", "transcript_id")
OPTIONS = {"method": "pixmo-written-1"}
DECIDING = ("transcript_id", "image_sha256", "annotator", "text", "language")


@dataclass(frozen=True)
class Added:
    """What one run took in."""

    added: int  # transcripts that are new, or say something new
    known: int
    set_aside: int


def add_written(workspace: Workspace, path: Path) -> Added:
    """Every transcript in a JSON Lines or CSV file stands in the table, once.

    A line has `image` (as in a recording's metadata) and `text`, and may have `annotator` and
    `transcript_id`. A line with the transcript_id of an earlier file replaces what that said.
    Lines that cannot be used are set aside by their number.

    Raises:
        SpeechError: the file cannot be read.
        WorkspaceError: another process takes in transcripts.
    """
    if not path.is_file():
        raise SpeechError(f"{path} is not a file; name a .jsonl or .csv file of transcripts")
    with workspace.lock("written"):
        links = ImageLinks.of(workspace)
        gone = read_withdrawn(workspace)
        taken: dict[str, dict[str, Any]] = {}
        faults: list[SetAside] = []
        for line in read_lines(path, COLUMNS):
            item = examine(workspace, links, path, line)
            if not isinstance(item, SetAside) and item["transcript_id"] in taken:
                item = set_aside(workspace, path, line, "transcript given twice", "")
            elif not isinstance(item, SetAside) and is_withdrawn(item, gone):
                item = set_aside(workspace, path, line, "withdrawn", "")
            if isinstance(item, SetAside):
                faults.append(item)
            else:
                taken[item["transcript_id"]] = item
        known = current(workspace)
        rows = [row for row in taken.values() if deciding(row) not in known]
        workspace.append("transcripts", rows)
        workspace.set_aside(faults)
    return Added(len(rows), len(taken) - len(rows), len(faults))


def examine(
    workspace: Workspace, links: ImageLinks, path: Path, line: Line
) -> dict[str, Any] | SetAside:
    """The line as a row of the transcripts table, or why it is none."""
    image, text = line.values.get("image"), squeeze(line.values.get("text") or "")
    if line.fault:
        return set_aside(workspace, path, line, "malformed line", line.fault)
    if not text:
        return set_aside(workspace, path, line, "no text", f"image {image}")
    images = links.named(image, path.absolute().parent) if image else set()
    if len(images) != 1:
        reason = "more than one image for this transcript" if images else "no such image"
        return set_aside(workspace, path, line, reason, f"image {image}")
    [image_sha256] = images
    annotator = line.values.get("annotator") or UNKNOWN_ANNOTATOR
    transcript_id = line.values.get("transcript_id") or short_id(image_sha256, annotator, text)
    language = workspace.settings.speech.language
    return written_row(
        transcript_id, image_sha256, annotator, text, language, sha256_value(OPTIONS)
    )


def is_withdrawn(row: dict[str, Any], gone: Withdrawn) -> bool:
    """Whether who wrote it, or whoever speaks for its image, withdrew it."""
    return (
        row["annotator"] in gone.annotators
        or row["image_sha256"] in gone.images
        or row["transcript_id"] in gone.transcripts
        or text_sha256(row["image_sha256"], row["text"]) in gone.texts
    )


def set_aside(workspace: Workspace, path: Path, line: Line, reason: str, detail: str) -> SetAside:
    """The line, set aside."""
    return SetAside(STAGE, str(line.number), workspace.relative(path), reason, detail)


def current(workspace: Workspace) -> set[tuple[str, ...]]:
    """What decides each written transcript that counts now."""
    with workspace.connect() as connection:
        query = f"select {', '.join(DECIDING)} from current_transcripts where source = 'written'"
        return set(connection.execute(query).fetchall())


def deciding(row: dict[str, Any]) -> tuple[str, ...]:
    """What decides whether a transcript says something new."""
    return tuple(row[column] for column in DECIDING)
