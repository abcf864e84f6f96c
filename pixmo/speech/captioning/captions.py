"""Transcripts become dense captions, one per image."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from pixmo.errors import SettingsError
from pixmo.execution.progress import SILENT, Progress
from pixmo.hashing import sha256_bytes, sha256_value, short_id
from pixmo.speech.captioning.caption_writer import Caption, CaptionWriter, Cleaner
from pixmo.speech.captioning.faithful import faithfulness
from pixmo.speech.captioning.language_model_writer import LanguageModelWriter
from pixmo.workspace.workspace import Workspace

if TYPE_CHECKING:
    import duckdb

METHOD = "pixmo-captions-3"
SHORTEST_SPEECH_SECONDS = 1.0  # what a recogniser hears in less is as good as invented
PART_IMAGES = 1000
PART_SECONDS = 60.0
FETCHED_ROWS = 1000

# In the order in which images and recordings came; written transcripts behind spoken ones.
TRANSCRIPTS = """
select said.image_sha256, transcript_id, source, speech_seconds, text
from current_transcripts as said
left join images using (image_sha256)
left join recordings using (recording_sha256)
order by images.ordinal, said.image_sha256, recordings.ordinal nulls last, transcript_id
"""


@dataclass(frozen=True)
class Written:
    """What one run wrote."""

    written: int  # captions
    known: int  # captions whose transcripts have not changed
    empty: int  # captions, of both, of images about which nothing was heard
    fell_back: int = 0  # of those written now, the ones that the writer left to another
    unanswered: int = 0  # captions that are still to be written: nobody answered


@dataclass(frozen=True)
class Described:
    """An image with everything said about it."""

    image_sha256: str
    transcript_ids: tuple[str, ...]
    texts: tuple[str, ...]  # those with speech in them
    transcripts_sha256: str
    caption_id: str


@dataclass
class Unsaved:
    """Captions that are not in the table yet."""

    workspace: Workspace
    rows: list[dict[str, Any]] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)

    def add(self, row: dict[str, Any]) -> None:
        """One more; all are saved once there are enough, or they are old enough."""
        self.rows.append(row)
        if len(self.rows) >= PART_IMAGES or time.monotonic() - self.since >= PART_SECONDS:
            self.save()

    def save(self) -> None:
        """Every caption is in the table."""
        # Taken over first: an interrupt in the middle must not make anything be saved twice.
        rows, self.rows, self.since = self.rows, [], time.monotonic()
        self.workspace.append("captions", rows)


def write_captions(
    workspace: Workspace, progress: Progress = SILENT, writer: CaptionWriter | None = None
) -> Written:
    """Every image with a transcript has its newest caption by `writer` from all its transcripts.

    Without a writer the one of the workspace's settings writes. Rows are written in the order of
    the images, in parts; whatever ends the run, what was finished is kept. Where the writer got
    no answer no row is written, and the next run asks again.

    Raises:
        LanguageModelError: the writer cannot be used.
        WorkspaceError: another process writes captions in this workspace.
    """
    with workspace.lock("captions"), workspace.connect() as connection:
        writer = writer or configured_writer(workspace)
        options_sha256 = sha256_value(options(writer))
        backlog = Backlog.find(connection, options_sha256)
        total = len(backlog.pending)
        with progress.task("Writing captions", total=total, unit="images") as advance:
            # Written before, then superseded, now asked for again: not written twice.
            restored = restore(workspace, backlog.pending, advance)
            images = (
                image
                for image in images_described(connection, options_sha256)
                if image.caption_id in backlog.pending and image.caption_id not in restored
            )
            fell_back, unanswered = write(workspace, images, writer, options_sha256, advance)
    known = backlog.described - total
    return Written(total - unanswered, known, backlog.empty, fell_back, unanswered)


def captions_to_write(workspace: Workspace) -> int:
    """How many captions `write_captions` would write by the workspace's own writer.

    All, where the settings do not say enough for it: `write_captions` says what is wrong.
    """
    try:
        options_sha256 = sha256_value(options(configured_writer(workspace)))
    except SettingsError:
        options_sha256 = ""
    with workspace.connect() as connection:
        return len(Backlog.find(connection, options_sha256).pending)


def configured_writer(workspace: Workspace) -> CaptionWriter:
    """The writer that the workspace's settings name.

    Raises:
        SettingsError: they do not say enough for it.
    """
    if workspace.settings.caption.writer == "language-model":
        return LanguageModelWriter(workspace)
    return Cleaner(workspace.settings.speech.language)


def write(
    workspace: Workspace,
    images: Iterator[Described],
    writer: CaptionWriter,
    options_sha256: str,
    advance: Callable[[int], None],
) -> tuple[int, int]:
    """Every image has a caption that is written now, but those of which `writer` heard nothing.

    Returns how many it left to another, and of how many it heard nothing.
    """
    begun: deque[Described] = deque()

    def transcripts() -> Iterator[Sequence[str]]:
        for image in images:
            begun.append(image)
            yield image.texts

    language = workspace.settings.speech.language
    unsaved = Unsaved(workspace)
    fell_back = unanswered = 0
    try:
        with closing(writer.captions(transcripts())) as captions:
            for caption in captions:
                image = begun.popleft()
                if caption is None:
                    unanswered += 1
                else:
                    unsaved.add(row(image, caption, options_sha256, language))
                    fell_back += caption.writer != writer.name
                advance(1)
    finally:  # an interrupt loses nothing that is finished
        unsaved.save()
    return fell_back, unanswered


def options(writer: CaptionWriter) -> dict[str, object]:
    """Everything that decides a caption beside its transcripts."""
    return {
        "method": METHOD,
        "shortest_speech_seconds": SHORTEST_SPEECH_SECONDS,
        "writer": writer.name,
        "writer_options": dict(writer.options),
    }


@dataclass(frozen=True)
class Backlog:
    """What there is to do."""

    described: int  # images with a transcript
    empty: int  # of them, those about which nothing was heard
    pending: set[str]  # ids of the captions that should count and do not

    @classmethod
    def find(cls, connection: "duckdb.DuckDBPyConnection", options_sha256: str) -> "Backlog":
        """What there is to do under these options."""
        query = "select image_sha256, caption_id from current_captions"
        current = dict(connection.execute(query).fetchall())
        described = empty = 0
        pending = set()
        for image in images_described(connection, options_sha256):
            described += 1
            empty += not image.texts
            if current.get(image.image_sha256) != image.caption_id:
                pending.add(image.caption_id)
        return cls(described, empty, pending)


def images_described(
    connection: "duckdb.DuckDBPyConnection", options_sha256: str
) -> Iterator[Described]:
    """Every image that has a transcript, in order of arrival, one by one."""
    cursor = connection.cursor().execute(TRANSCRIPTS)
    rows = (row for some in iter(lambda: cursor.fetchmany(FETCHED_ROWS), []) for row in some)
    for image_sha256, group in groupby(rows, key=itemgetter(0)):
        said = list(group)
        ids = tuple(transcript_id for _, transcript_id, *_ in said)
        texts = tuple(
            text
            for *_, source, speech_seconds, text in said
            if source == "written" or speech_seconds >= SHORTEST_SPEECH_SECONDS
        )
        # A written transcript keeps its id when its text is replaced, so the texts count too.
        # The view stale_captions says the same in SQL.
        lines = sorted((transcript_id, text) for _, transcript_id, *_, text in said)
        sha256 = sha256_bytes("\x1f".join(map("\x1e".join, lines)).encode())
        caption_id = short_id(image_sha256, options_sha256, ids, sha256)
        yield Described(image_sha256, ids, texts, sha256, caption_id)


def restore(workspace: Workspace, wanted: set[str], advance: Callable[[int], None]) -> set[str]:
    """What was ever written of the `wanted` captions is newest again; returns their ids."""
    restored: set[str] = set()
    table = workspace.table("captions")
    for part in table.parts():
        rows = {
            row["caption_id"]: row
            for row in table.read_part(part).to_pylist()
            if row["caption_id"] in wanted and row["caption_id"] not in restored
        }
        workspace.append("captions", list(rows.values()))
        restored |= rows.keys()
        advance(len(rows))
    return restored


def row(image: Described, caption: Caption, options_sha256: str, language: str) -> dict[str, Any]:
    """The row of a caption."""
    found = caption.faithfulness or faithfulness(caption.text, image.texts, language)
    return {
        "caption_id": image.caption_id,
        "image_sha256": image.image_sha256,
        "caption": caption.text,
        "transcript_ids": list(image.transcript_ids),
        "transcripts_sha256": image.transcripts_sha256,
        "writer": caption.writer,
        "options_sha256": options_sha256,
        "unsupported": list(found.unsupported),
        "lost": list(found.lost),
        "unsupported_share": found.unsupported_share,
        "lost_share": found.lost_share,
    }
