"""Recordings become transcripts: each once for each way of transcribing."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixmo.errors import AudioError
from pixmo.execution.progress import SILENT, Progress
from pixmo.hashing import sha256_value
from pixmo.speech import speech_activity, windows
from pixmo.speech.hear import Heard, hear
from pixmo.speech.recogniser import Recogniser
from pixmo.speech.recordings import STAGE, Recording, find, record
from pixmo.speech.signals import Signals
from pixmo.speech.transcripts import spoken_row
from pixmo.workspace.withdrawals import read_withdrawn
from pixmo.workspace.workspace import SetAside, Workspace

METHOD = "pixmo-transcribe-2"  # changes with whatever of this room decides a text
PART_CLIPS = 1000
PART_SECONDS = 5.0  # a kill loses no more finished work than this, and the windows being heard


@dataclass(frozen=True)
class Transcribed:
    """What one run did."""

    transcribed: int  # recordings heard in this run
    known: int  # recordings that had their transcript already
    set_aside: int  # of the folder's input, now or before
    audio_seconds: float  # decoded length of what was heard
    speech_seconds: float
    withdrawn: int = 0  # recordings that nobody is to hear any more


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
    workspace: Workspace,
    folder: Path,
    recogniser: Recogniser,
    progress: Progress = SILENT,
    workers: int | None = None,
) -> Transcribed:
    """Every recording under `folder` has its newest transcript by this recogniser and language.

    What cannot be decoded or linked is set aside with its reason. Rows are written in the order of
    the recordings, in parts, so a run that was killed goes on where its last part ends. `workers`
    processes decode ahead of the recogniser (default: by its device).

    Raises:
        SpeechError: the folder, its metadata or the recogniser cannot be used.
        WorkspaceError: another process transcribes in this workspace.
    """
    language = workspace.settings.speech.language
    options_sha256 = sha256_value(options(recogniser, language))
    with workspace.lock("transcribe"):
        found = find(workspace, folder, progress)
        record(workspace, found)
        wanted = not_withdrawn(workspace, found.recordings)
        pending = without_transcript(workspace, wanted, options_sha256)
        unsaved = Unsaved(workspace)
        measured: list[Signals] = []
        audio_hours, begun = 0.0, time.monotonic()
        faults: list[SetAside] = []
        with progress.task("Transcribing", total=len(pending), unit="clips") as advance:

            def take(recording: Recording, heard: Heard | AudioError) -> None:
                nonlocal audio_hours
                if isinstance(heard, AudioError):
                    faults.append(fault(recording, heard))
                    unsaved.faults.append(faults[-1])
                else:
                    row = spoken_row(recording, heard, language, recogniser, options_sha256)
                    unsaved.rows.append(row)
                    measured.append(heard.prepared.signals)
                    audio_hours += heard.prepared.signals.duration_seconds / 3600
                unsaved.save_if_due()
                speed = audio_hours / ((time.monotonic() - begun) / 3600)
                advance(1, f"{audio_hours:.2f} h of sound, {speed:,.0f} × real time")

            try:
                hear(pending, recogniser, language, take, workers)
            finally:  # an interrupt loses nothing that is finished
                unsaved.save()
        workspace.mend(STAGE, folder, [*found.set_aside, *faults])
    return Transcribed(
        transcribed=len(measured),
        known=len(wanted) - len(pending),
        set_aside=len(found.set_aside) + len(faults),
        audio_seconds=sum(signals.duration_seconds for signals in measured),
        speech_seconds=sum(signals.speech_seconds for signals in measured),
        withdrawn=len(found.recordings) - len(wanted),
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


def not_withdrawn(workspace: Workspace, recordings: Sequence[Recording]) -> list[Recording]:
    """The recordings that neither who spoke nor whoever speaks for the image withdrew, in order."""
    gone = read_withdrawn(workspace)
    return [
        recording
        for recording in recordings
        if recording.sha256 not in gone.recordings and recording.image_sha256 not in gone.images
    ]


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


def fault(recording: Recording, error: AudioError) -> SetAside:
    """A recording that cannot be decoded, set aside."""
    reason, _, detail = str(error).partition(": ")
    return SetAside(STAGE, recording.sha256, recording.path, reason, detail)
