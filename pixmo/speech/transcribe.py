"""Recordings become transcripts: each once for each way of transcribing."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pixmo.errors import AudioError
from pixmo.execution.progress import SILENT, Progress
from pixmo.hashing import sha256_value
from pixmo.speech import speech_activity, windows
from pixmo.speech.audio import SAMPLE_RATE, Samples, decode
from pixmo.speech.recogniser import Recogniser, Segment
from pixmo.speech.recordings import STAGE, Recording, find, record
from pixmo.speech.speech_activity import Span, speech_seconds, speech_spans
from pixmo.speech.transcripts import spoken_row
from pixmo.workspace.workspace import SetAside, Workspace

METHOD = "pixmo-transcribe-1"  # changes with whatever of this room decides a text
PART_CLIPS = 16
PART_SECONDS = 30.0  # a kill loses no more work than this


@dataclass(frozen=True)
class Transcribed:
    """What one run did."""

    transcribed: int  # recordings heard in this run
    known: int  # recordings that had their transcript already
    set_aside: int  # of the folder's input, now or before
    audio_seconds: float  # decoded length of what was heard
    speech_seconds: float


@dataclass
class Unsaved:
    """Finished work that is not in the tables yet."""

    workspace: Workspace
    rows: list[dict[str, Any]] = field(default_factory=list)
    faults: list[SetAside] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)

    def save_if_due(self) -> None:
        """Save, once there is enough to lose."""
        many = len(self.rows) + len(self.faults) >= PART_CLIPS
        if many or time.monotonic() - self.since >= PART_SECONDS:
            self.save()

    def save(self) -> None:
        """Everything finished is in the tables."""
        # Taken over first: an interrupt in the middle must not make anything be saved twice.
        rows, faults = self.rows, self.faults
        self.rows, self.faults, self.since = [], [], time.monotonic()
        self.workspace.set_aside(faults)
        self.workspace.append("transcripts", rows)


def transcribe(
    workspace: Workspace, folder: Path, recogniser: Recogniser, progress: Progress = SILENT
) -> Transcribed:
    """Every recording under `folder` has its newest transcript by this recogniser and language.

    What cannot be decoded or linked is set aside with its reason. Rows are written in the order of
    the recordings, in parts, so a run that was killed goes on where its last part ends.

    Raises:
        SpeechError: the folder, its metadata or the recogniser cannot be used.
        WorkspaceError: another process transcribes in this workspace.
    """
    language = workspace.settings.speech.language
    options_sha256 = sha256_value(options(recogniser, language))
    with workspace.lock("transcribe"):
        found = find(workspace, folder)
        recordings = record(workspace, found)
        pending = without_transcript(workspace, recordings, options_sha256)
        unsaved = Unsaved(workspace)
        heard: list[dict[str, Any]] = []
        faults = 0
        with progress.task("Transcribing", total=len(pending), unit="clips") as advance:
            try:
                for recording in pending:
                    try:
                        row = transcript(recording, recogniser, language, options_sha256)
                        unsaved.rows.append(row)
                        heard.append({k: row[k] for k in ("duration_seconds", "speech_seconds")})
                    except AudioError as error:
                        unsaved.faults.append(fault(recording, error))
                        faults += 1
                    unsaved.save_if_due()
                    advance(1)
            finally:  # an interrupt loses nothing that is finished
                unsaved.save()
    return Transcribed(
        transcribed=len(heard),
        known=len(recordings) - len(pending),
        set_aside=len(found.set_aside) + faults,
        audio_seconds=sum(row["duration_seconds"] for row in heard),
        speech_seconds=sum(row["speech_seconds"] for row in heard),
    )


def options(recogniser: Recogniser, language: str) -> dict[str, object]:
    """Everything that decides the text of a transcript."""
    return {
        "method": METHOD,
        "model_sha256": recogniser.sha256,
        "recogniser": dict(recogniser.options),
        "language": language,
        "speech_activity": speech_activity.OPTIONS,
        "windows": windows.OPTIONS,
    }


def without_transcript(
    workspace: Workspace, recordings: Sequence[Recording], options_sha256: str
) -> list[Recording]:
    """The recordings that were never heard under these options, in order.

    One that was, but has been heard under others since, gets its old row again as the newest.
    """
    with workspace.connect() as connection:
        current = dict(
            connection.execute(
                "select recording_sha256, options_sha256 from current_transcripts"
                " where source = 'speech'"
            ).fetchall()
        )
        ever = {
            recording
            for (recording,) in connection.execute(
                "select recording_sha256 from transcripts where options_sha256 = ?",
                [options_sha256],
            ).fetchall()
        }
    outdated = {r.sha256 for r in recordings if current.get(r.sha256) != options_sha256}
    if again := outdated & ever:
        rows = {
            row["recording_sha256"]: row
            for row in workspace.read("transcripts").to_pylist()
            if row["options_sha256"] == options_sha256 and row["recording_sha256"] in again
        }
        workspace.append("transcripts", list(rows.values()))
    return [r for r in recordings if r.sha256 in outdated - ever]


def transcript(
    recording: Recording, recogniser: Recogniser, language: str, options_sha256: str
) -> dict[str, Any]:
    """The row of a recording's transcript.

    Raises:
        AudioError: it cannot be decoded.
        ModelError: the recogniser cannot be used.
    """
    samples = decode(recording.file)
    speech = speech_spans(samples)
    return spoken_row(
        recording,
        hear(samples, speech, recogniser, language),
        language,
        len(samples) / SAMPLE_RATE,
        speech_seconds(speech),
        recogniser,
        options_sha256,
    )


def hear(
    samples: Samples, speech: Sequence[Span], recogniser: Recogniser, language: str
) -> list[Segment]:
    """What is said in the recording; times in seconds from its start.

    Where there is no speech the recogniser is not asked: over silence it invents sentences.
    """
    spans = windows.cut(samples, speech)
    if not spans:
        return []
    heard = recogniser.recognise([samples[span.start : span.end] for span in spans], language)
    segments = []
    for span, recognition in zip(spans, heard, strict=True):
        offset = span.start / SAMPLE_RATE
        segments += [
            replace(segment, start=segment.start + offset, end=segment.end + offset)
            for segment in recognition.segments
        ]
    return segments


def fault(recording: Recording, error: AudioError) -> SetAside:
    """A recording that cannot be decoded, set aside."""
    reason, _, detail = str(error).partition(": ")
    return SetAside(STAGE, recording.sha256, recording.path, reason, detail)
