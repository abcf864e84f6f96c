"""Transcripts become dense captions, one per image."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from pixmo.execution.progress import SILENT, Progress
from pixmo.hashing import sha256_value, short_id
from pixmo.speech.caption_writer import CLEANER, CaptionWriter
from pixmo.workspace.workspace import Workspace

METHOD = "pixmo-captions-1"
SHORTEST_SPEECH_SECONDS = 1.0  # what a recogniser hears in less is as good as invented
PART_IMAGES = 1000

# In the order in which images and recordings came; written transcripts behind spoken ones.
TRANSCRIPTS = """
select image_sha256, transcript_id, source, speech_seconds, current_transcripts.text
from current_transcripts
left join (select image_sha256, min(ordinal) as image_ordinal from images group by all)
    using (image_sha256)
left join (select recording_sha256, min(ordinal) as recording_ordinal from recordings group by all)
    using (recording_sha256)
order by image_ordinal, image_sha256, recording_ordinal nulls last, transcript_id
"""


@dataclass(frozen=True)
class Written:
    """What one run wrote."""

    written: int  # captions
    known: int  # captions whose transcripts have not changed
    empty: int  # captions, of both, of images about which nothing was heard


@dataclass(frozen=True)
class Described:
    """An image with everything said about it."""

    image_sha256: str
    transcript_ids: tuple[str, ...]
    texts: tuple[str, ...]  # those with speech in them
    caption_id: str


def write_captions(
    workspace: Workspace, progress: Progress = SILENT, writer: CaptionWriter = CLEANER
) -> Written:
    """Every image with a transcript has its newest caption by `writer` from all its transcripts.

    Raises:
        WorkspaceError: another process writes captions in this workspace.
    """
    options_sha256 = sha256_value(options(writer))
    with workspace.lock("captions"):
        described = images_described(workspace, options_sha256)
        current = current_captions(workspace)
        pending = [i for i in described if current.get(i.image_sha256) != i.caption_id]
        earlier = earlier_captions(workspace, pending)
        with progress.task("Writing captions", total=len(pending), unit="images") as advance:
            for start in range(0, len(pending), PART_IMAGES):
                rows = []
                for image in pending[start : start + PART_IMAGES]:
                    # Written before, then superseded, now asked for again: not written twice.
                    known = earlier.get(image.caption_id)
                    rows.append(known or row(image, writer, options_sha256))
                    advance(1)
                workspace.append("captions", rows)
    empty = sum(not image.texts for image in described)
    return Written(len(pending), len(described) - len(pending), empty)


def options(writer: CaptionWriter) -> dict[str, object]:
    """Everything that decides a caption beside its transcripts."""
    return {
        "method": METHOD,
        "shortest_speech_seconds": SHORTEST_SPEECH_SECONDS,
        "writer": writer.name,
        "writer_options": dict(writer.options),
    }


def images_described(workspace: Workspace, options_sha256: str) -> list[Described]:
    """Every image that has a transcript, in order of arrival."""
    with workspace.connect() as connection:
        transcripts = connection.execute(TRANSCRIPTS).fetchall()
    described = []
    for image_sha256, group in groupby(transcripts, key=itemgetter(0)):
        said = list(group)
        ids = tuple(transcript_id for _, transcript_id, *_ in said)
        texts = tuple(
            text
            for *_, source, speech_seconds, text in said
            if source == "written" or speech_seconds >= SHORTEST_SPEECH_SECONDS
        )
        # A written transcript keeps its id when its text is replaced, so the texts count too.
        caption_id = short_id(image_sha256, options_sha256, ids, texts)
        described.append(Described(image_sha256, ids, texts, caption_id))
    return described


def current_captions(workspace: Workspace) -> dict[str, str]:
    """The id of each image's newest caption."""
    with workspace.connect() as connection:
        query = "select image_sha256, caption_id from current_captions"
        return dict(connection.execute(query).fetchall())


def earlier_captions(workspace: Workspace, pending: Sequence[Described]) -> dict[str, Any]:
    """Rows that stand in the table already, by their id, of images that need another caption."""
    wanted = {image.caption_id for image in pending}
    table = workspace.read("captions")
    return {row["caption_id"]: row for row in table.to_pylist() if row["caption_id"] in wanted}


def row(image: Described, writer: CaptionWriter, options_sha256: str) -> dict[str, Any]:
    """The row of a caption that `writer` writes now."""
    return {
        "caption_id": image.caption_id,
        "image_sha256": image.image_sha256,
        "caption": writer.write(image.texts),
        "transcript_ids": list(image.transcript_ids),
        "writer": writer.name,
        "options_sha256": options_sha256,
    }
