"""A submitted recording becomes a file of the workspace's inbox, with a line that says what it is.

audio/recorder/<day>/
  <recording id>.webm    one container with a length, of all parts, not encoded again
  metadata.jsonl         a line for each: file_name, image, annotator, prompt, recorded_at, seconds

A browser's own file has no length, since it was sent before its end was known.
"""

import errno
import itertools
import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pixmo.errors import AudioError, SpeechError
from pixmo.files import TEMPORARY_SUFFIX, json_line, replace_atomically, write_text
from pixmo.hashing import sha256_file
from pixmo.speech.audio import SAMPLE_RATE, decode, refusals
from pixmo.speech.recorder.drafts import Draft, Submission
from pixmo.speech.recorder.joining import join
from pixmo.workspace.workspace import SetAside, Workspace

STAGE = "record"
FOLDER, REFUSED = "recorder", "refused"
METADATA = "metadata.jsonl"
DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
TOLERANCE_SECONDS = 1.0  # a decoded recording is up to half a second shorter than its clock said


@dataclass(frozen=True)
class Length:
    """How long a recording is to be, in seconds."""

    least: float
    most: float

    def fault(self, seconds: float) -> str:
        """What is wrong with a recording that is so long; empty: nothing."""
        if seconds < self.least - TOLERANCE_SECONDS:
            return f"too short: {seconds:.1f} s, and {self.least:g} s are asked for"
        if seconds > self.most + TOLERANCE_SECONDS:
            return f"too long: {seconds:.1f} s, and {self.most:g} s are the most"
        return ""


@dataclass(frozen=True)
class Filed:
    """A recording in the inbox."""

    recording_id: str
    annotator: str
    image_sha256: str
    sha256: str  # of the file's bytes
    seconds: float


class TooShortError(AudioError):
    """The annotator is to go on speaking; `seconds` is what was heard of them."""

    def __init__(self, fault: str, seconds: float) -> None:
        super().__init__(fault)
        self.seconds = seconds


@dataclass
class Inbox:
    """Where recordings are filed, and which were."""

    workspace: Workspace
    length: Length
    prompt: str
    filed: dict[str, Filed] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)  # of recordings, by annotator
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        for one in filed_in(self.workspace.audio / FOLDER):
            self.filed[one.recording_id] = one
            self.counts[one.annotator] += 1

    def file(self, draft: Draft, submission: Submission) -> Filed:
        """The draft is in the inbox, and gone from where it arrived; once, however often asked.

        Raises:
            TooShortError: the draft is as it was; more can be said.
            AudioError: it can be no recording. It stands in `recorder/refused` with the reason.
        """
        if before := self.filed.get(submission.recording_id):
            draft.delete()
            return before
        try:
            whole, seconds = assemble(draft)
            if fault := self.length.fault(seconds):
                if seconds < self.length.least:
                    raise TooShortError(fault, seconds)
                raise AudioError(fault)
        except TooShortError:
            draft.reopen()
            raise
        except AudioError as error:
            self.refuse(draft, submission, str(error))
            raise
        return self.keep(whole, seconds, draft, submission)

    def keep(self, whole: Path, seconds: float, draft: Draft, submission: Submission) -> Filed:
        """The assembled recording and its line are in the inbox."""
        day = submission.recorded_at[: len("2026-01-31")]
        path = self.workspace.audio / FOLDER / day / f"{submission.recording_id}{whole.suffix}"
        filed = Filed(
            submission.recording_id,
            submission.annotator,
            submission.image_sha256,
            sha256_file(whole),
            round(seconds, 2),
        )
        line = {
            "file_name": path.name,
            "image": filed.image_sha256,
            "annotator": filed.annotator,
            "prompt": self.prompt,
            "recorded_at": submission.recorded_at,
            "seconds": filed.seconds,
            "sha256": filed.sha256,
        }
        replace_atomically(path, lambda temporary: temporary.write_bytes(whole.read_bytes()))
        with self.lock:  # recordings are filed in several threads
            metadata = path.parent / METADATA
            before = metadata.read_text("utf-8") if metadata.exists() else ""
            if before and not before.endswith("\n"):  # somebody edited it
                before += "\n"
            # A day's file is read and written whole: it is there, or it is as it was. Half a line
            # would keep `pixmo transcribe` from reading all others.
            write_text(metadata, f"{before}{json_line(line)}\n")
            self.filed[filed.recording_id] = filed
            self.counts[filed.annotator] += 1
        draft.delete()
        return filed

    def refuse(self, draft: Draft, submission: Submission, reason: str) -> None:
        """The draft is set aside with its reason; what was said is not lost."""
        folder = self.workspace.root / FOLDER / REFUSED / submission.annotator
        folder.mkdir(parents=True, exist_ok=True)
        # The answer to an earlier refusal may have been lost, and all of it been sent again.
        name = submission.recording_id
        names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
        target = next(path for path in map(folder.joinpath, names) if not path.exists())
        kind, _, detail = reason.partition(": ")
        path = self.workspace.relative(target)
        item = SetAside(STAGE, submission.recording_id, path, kind, detail)
        with self.lock:
            self.workspace.set_aside([item])
        draft.folder.rename(target)


def filed_in(folder: Path) -> Iterator[Filed]:
    """Yield what the recorder wrote of each recording.

    Raises:
        SpeechError: a line is none that the recorder wrote.
    """
    for path in sorted(folder.glob(f"*/{METADATA}")):
        for number, text in enumerate(path.read_text("utf-8").split("\n"), 1):
            if not text.strip():
                continue
            try:
                line = json.loads(text)
                name = Path(line["file_name"]).stem
                yield Filed(name, line["annotator"], line["image"], line["sha256"], line["seconds"])
            except (ValueError, KeyError, TypeError) as error:
                # Passed over, its image would be handed out again.
                raise SpeechError(
                    f"{path} line {number} is no line of the recorder; put right what was edited,"
                    " or move the file and its recordings to another folder of audio/"
                ) from error


def half_written(workspace: Workspace, annotator: str) -> Iterator[Path]:
    """Yield what a recorder that was killed left in the inbox of an annotator's recordings."""
    folder = workspace.audio / FOLDER
    theirs = {one.recording_id for one in filed_in(folder) if one.annotator == annotator}
    drafts = (workspace.root / FOLDER / "drafts").glob("*/*")
    theirs |= {draft.name for draft in drafts if draft.parent.name == annotator}
    for path in folder.glob(f"*/.*{TEMPORARY_SUFFIX}"):
        if path.name.removeprefix(".").partition(".")[0] in theirs:
            yield path


def assemble(draft: Draft) -> tuple[Path, float]:
    """A file of all parts beside them, and how many seconds of sound it holds.

    Raises:
        AudioError: a part is no sound, or none holds any.
    """
    try:
        whole = join(draft.parts, draft.folder)
        with refusals():
            return whole, len(decode(whole)) / SAMPLE_RATE
    except AudioError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in DISK_TROUBLE:
            raise error.__cause__ from None  # nothing is wrong with what was said
        raise
