"""What the recorder knows and does for annotators; `app` puts it behind HTTP.

recorder/
  secret             signs the invitations
  id                 names the workspace to pages
  consents.jsonl     annotator, sha256 of the text that they saw, whether they agreed, when
  skips.jsonl        annotator, image, reason, when
  drafts/  refused/  what is being said, and what could not be filed: see `drafts` and `filing`
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import anyio.to_thread

from pixmo.drawing import SHOWN_BY_BROWSERS, read_upright
from pixmo.errors import AudioError, SettingsError
from pixmo.files import (
    append_json,
    appended_objects,
    replace_atomically,
    sweep_temporary,
    sync_file,
)
from pixmo.hashing import sha256_bytes
from pixmo.resources import shared
from pixmo.speech.recorder.assignment import Assignment
from pixmo.speech.recorder.drafts import Draft, Drafts, Submission
from pixmo.speech.recorder.filing import FOLDER, Filed, Inbox, Length
from pixmo.speech.recorder.invites import InviteError, Invites, workspace_id
from pixmo.workspace.withdrawals import Withdrawn, read_withdrawn
from pixmo.workspace.workspace import Workspace

FILED_AT_ONCE = 2  # recordings; more would only wait for the cores
LONGEST_SIDE = 4096  # pixels, of a picture in another format
LARGEST_SHOWN = 8_000_000  # bytes; a larger file is sent smaller
SKIP_REASONS = (
    "the image does not show",
    "there is nothing to say about it",
    "it shows a private person or private data",
    "it is disturbing",
    "another reason",
)


@dataclass(frozen=True)
class Picture:
    """An image that can be handed out."""

    path: Path
    format: str


@dataclass
class Recorder:
    """The recorder of one workspace, in one process.

    What goes to the disk for good does so in threads; who is at which image changes in one thread
    only, that of the requests.
    """

    workspace: Workspace
    invites: Invites = field(init=False)
    workspace_id: str = field(init=False)
    assignment: Assignment = field(init=False)
    drafts: Drafts = field(init=False)
    inbox: Inbox = field(init=False)
    consent_text: str = field(init=False)
    questions: Sequence[str] = field(init=False)
    consents: dict[tuple[str, str], bool] = field(init=False)  # by annotator and text
    pictures: dict[str, Picture] = field(default_factory=dict)
    _image_parts: set[str] = field(default_factory=set)
    _withdrawn: Withdrawn = field(init=False)
    _withdrawn_parts: list[str] | None = None  # the parts that it follows from
    _drawing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _busy: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    _filing: anyio.CapacityLimiter | None = None

    def __post_init__(self) -> None:
        settings = self.workspace.settings.record
        if settings.max_seconds < settings.min_seconds:
            raise SettingsError("pixmo.toml: [record] max_seconds is less than min_seconds")
        self.invites = Invites.of(self.folder)
        self.workspace_id = workspace_id(self.folder)
        self.drafts = Drafts(self.folder / "drafts")
        self.consent_text = self.text_of(settings.consent, "consent")
        questions = self.text_of(settings.questions, "questions").splitlines()
        self.questions = [line.strip() for line in questions if line.strip()]
        if not self.questions:
            raise SettingsError(f"pixmo.toml: [record] questions: {settings.questions} has none")
        self.inbox = Inbox(
            self.workspace,
            Length(settings.min_seconds, settings.max_seconds),
            prompt=" ".join(self.questions),
        )
        self.assignment = Assignment(settings.recordings_per_image)
        self.look_for_images()
        for annotator, image in self.recorded_before():
            self.assignment.record(annotator, image)
        for row in appended_objects(self.folder / "skips.jsonl"):
            self.assignment.skip(row["annotator"], row["image"])
        given = appended_objects(self.folder / "consents.jsonl")
        # The newest answer counts. Rows of earlier versions say nothing: only who agreed had one.
        self.consents = {
            (row["annotator"], row["text_sha256"]): row.get("agreed", True) for row in given
        }

    @property
    def folder(self) -> Path:
        """Where the recorder keeps what is not for the inbox."""
        return self.workspace.root / FOLDER

    def text_of(self, named: str, name: str) -> str:
        """The text in the file that the workspace names, else in the one that ships.

        Raises:
            SettingsError: it cannot be read.
        """
        path = (
            self.workspace.root / named if named else shared("annotation_ui", "cap", f"{name}.txt")
        )
        try:
            return path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise SettingsError(f"pixmo.toml: [record] {name}: {path}: {why}") from error

    def look_for_images(self) -> None:
        """What was taken in since is handed out, too."""
        table = self.workspace.table("images")
        for part in table.parts():
            if part.name in self._image_parts:
                continue
            rows = table.read_part(part).select(["image_sha256", "path", "format"]).to_pylist()
            for row in rows:
                path = self.workspace.path(row["path"])
                self.pictures[row["image_sha256"]] = Picture(path, row["format"])
            self.assignment.add(row["image_sha256"] for row in rows)
            self._image_parts.add(part.name)
        self.assignment.withdraw(self.withdrawn.images)

    @property
    def withdrawn(self) -> Withdrawn:
        """What was withdrawn, while the server runs, too."""
        parts = [part.name for part in self.workspace.table("withdrawals").parts()]
        parts += sorted(self._image_parts) if parts else []  # a withdrawn URL may name a new image
        if parts != self._withdrawn_parts:
            self._withdrawn, self._withdrawn_parts = read_withdrawn(self.workspace), parts
        return self._withdrawn

    def annotator(self, token: str) -> str:
        """Whose link it is.

        Raises:
            InviteError: it is no valid link, or who had it withdrew.
        """
        annotator = self.invites.annotator(token, datetime.now(UTC))
        if annotator in self.withdrawn.annotators:
            raise InviteError("what you recorded was withdrawn, so this link is closed")
        return annotator

    def recorded_before(self) -> set[tuple[str, str]]:
        """Annotator and image of every recording, those that nobody has transcribed yet, too."""
        with self.workspace.connect() as connection:
            query = "select annotator, image_sha256 from recordings"
            heard = set(connection.execute(query).fetchall())
        return heard | {(one.annotator, one.image_sha256) for one in self.inbox.filed.values()}

    @property
    def consent_sha256(self) -> str:
        """Names the consent text; of another text, people are asked again."""
        return sha256_bytes(self.consent_text.encode())

    def has_consent(self, annotator: str) -> bool:
        """Whether the annotator agreed to the text as it is now."""
        return self.consents.get((annotator, self.consent_sha256), False)

    def consent(self, annotator: str, *, agreed: bool) -> None:
        """The annotator's answer is on the disk, and counts."""
        text = self.consent_sha256
        said = {"annotator": annotator, "text_sha256": text, "at": now()}
        self.note("consents.jsonl", {**said, "agreed": agreed})
        self.consents[annotator, text] = agreed

    def next_image(self, annotator: str) -> str | None:
        """The image to describe; None where there is none for them."""
        self.look_for_images()
        return self.assignment.next(annotator, time.monotonic())

    async def skip(self, annotator: str, image: str, reason: str) -> None:
        """The annotator is not asked for this image again; why is on the disk."""
        row = {"annotator": annotator, "image": image, "reason": reason, "at": now()}
        await anyio.to_thread.run_sync(self.note, "skips.jsonl", row)
        self.assignment.skip(annotator, image)

    def note(self, name: str, row: Mapping[str, str | bool]) -> None:
        """A line of a file in the recorder's folder is on the disk."""
        append_json(self.folder / name, row)
        sync_file(self.folder / name)

    def draft(self, annotator: str, recording_id: str, image: str) -> Draft:
        """The annotator's draft with this id; they are at their image still.

        Who is at none, since the server began anew or they were away for long, is at `image`.
        """
        self.assignment.keep(annotator, time.monotonic(), image)
        return self.drafts.of(annotator, recording_id)

    async def submit(self, draft: Draft, submission: Submission) -> Filed:
        """The recording is filed; once, however often it is submitted.

        Raises:
            TooShortError: more is to be said.
            AudioError: it can be no recording, and was set aside with the reason.
        """
        if self._filing is None:
            self._filing = anyio.CapacityLimiter(FILED_AT_ONCE)
        async with self._busy[submission.annotator]:  # who submits twice waits for the first
            if submission.recording_id not in self.inbox.filed:
                await anyio.to_thread.run_sync(draft.submit, submission)
            filed = await anyio.to_thread.run_sync(
                self.file, draft, submission, limiter=self._filing
            )
            self.assignment.record(filed.annotator, filed.image_sha256)
            return filed

    def file(self, draft: Draft, submission: Submission) -> Filed:
        """As `submit`, at once; who is at which image stays as it is."""
        annotator, image = submission.annotator, submission.image_sha256
        if submission.recording_id not in self.inbox.filed:
            reason = ""
            if not self.assignment.knows(image):
                reason = "no such image: it was not taken in"
            elif self.assignment.has_recorded(annotator, image):
                reason = "second recording of an image by one person"
            if reason:
                self.inbox.refuse(draft, submission, reason)
                raise AudioError(reason)
        return self.inbox.file(draft, submission)

    def file_what_was_submitted(self) -> int:
        """Recordings that a server which was killed had not filed yet are; returns how many.

        What it had half written is gone.
        """
        for folder in (self.folder, self.workspace.audio / FOLDER):
            sweep_temporary(folder)
        filed = 0
        for draft, submission in list(self.drafts.submitted()):
            if submission.annotator in self.withdrawn.annotators:
                continue
            try:
                one = self.file(draft, submission)
            except (AudioError, OSError):
                # It stands in the refused ones or waits for more to be said, or the disk is full;
                # in none of these cases may it keep others from recording.
                continue
            self.assignment.record(one.annotator, one.image_sha256)
            filed += 1
        return filed

    async def shown(self, image: str) -> tuple[Path, str] | None:
        """A file that browsers show and its media type; None where there is no such image.

        Raises:
            ReleaseError: the image cannot be read.
        """
        picture = self.pictures.get(image)
        is_withdrawn = image in self.withdrawn.images
        if picture is None or is_withdrawn or not picture.path.is_file():
            return None
        if picture.format in SHOWN_BY_BROWSERS and picture.path.stat().st_size <= LARGEST_SHOWN:
            return picture.path, f"image/{picture.format.lower()}"
        smaller = self.workspace.cache / FOLDER / f"{image}.jpg"
        # One after another: each takes much memory, and two people may want the same.
        async with self._drawing:
            if not smaller.exists():
                await anyio.to_thread.run_sync(make_smaller, picture.path, smaller)
        return smaller, "image/jpeg"


def answered(folder: Path) -> set[str]:
    """Who was asked for consent and answered."""
    return {row["annotator"] for row in appended_objects(folder / "consents.jsonl")}


def make_smaller(path: Path, smaller: Path) -> None:
    """`smaller` is a JPEG of the image in `path`, upright.

    Raises:
        ReleaseError: the image cannot be read.
    """
    drawn = read_upright(path, LONGEST_SIDE)
    replace_atomically(smaller, lambda temporary: drawn.save(temporary, "JPEG", quality=90))


def now() -> str:
    """The time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
