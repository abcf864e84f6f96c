"""What annotators are saying, as it arrives: pieces appended in order, resumed where they stopped.

recorder/drafts/<annotator>/<recording id>/
  0.part  1.part …   what the browser recorded, a part for every time that it began anew
  image              the sha256 of the image that they are speaking about
  submitted.json     what the annotator submitted it as; not there yet while they are speaking
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pixmo.errors import SpeechError
from pixmo.files import write_json

RECORDING_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MOST_PARTS = 100  # times that a browser began anew
MOST_BYTES = 64_000_000  # of a recording; ninety seconds of uncompressed stereo are 35 MB
IMAGE, SUBMITTED = "image", "submitted.json"


class OffsetError(SpeechError):
    """A piece does not continue what has arrived; `offset` is where to go on."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"continue at byte {offset}")
        self.offset = offset


class TooLargeError(SpeechError):
    """More was sent than a recording can be."""


@dataclass(frozen=True)
class Submission:
    """What an annotator says that a recording is."""

    recording_id: str
    annotator: str
    image_sha256: str
    recorded_at: str  # when they began, ISO 8601


@dataclass(frozen=True)
class Draft:
    """One recording that arrives."""

    folder: Path

    @property
    def parts(self) -> list[Path]:
        """What has arrived, in order."""
        return sorted(self.folder.glob("*.part"), key=lambda path: int(path.stem))

    @property
    def sizes(self) -> list[int]:
        """The bytes of each part."""
        return [path.stat().st_size for path in self.parts]

    @property
    def image(self) -> str:
        """The sha256 of the image that it is about; empty where nobody has said so far."""
        path = self.folder / IMAGE
        return path.read_text("utf-8") if path.exists() else ""

    def is_about(self, image: str) -> None:
        """The draft, of which something has arrived, is about this image for good."""
        (self.folder / IMAGE).write_text(image, "utf-8")

    def append(self, part: int, offset: int, piece: bytes) -> int:
        """The piece stands at `offset` of a part, which has so many bytes now.

        Raises:
            OffsetError: something is missing before it, or it is there already.
            TooLargeError: the recording would become too large, or be of too many parts.
        """
        sizes = self.sizes
        if part >= MOST_PARTS:
            raise TooLargeError(f"a recording has at most {MOST_PARTS} parts")
        if part > len(sizes):
            raise OffsetError(0)
        if sum(sizes) + len(piece) > MOST_BYTES:
            raise TooLargeError(f"a recording has at most {MOST_BYTES // 1_000_000} MB")
        there = sizes[part] if part < len(sizes) else 0
        if offset != there:
            raise OffsetError(there)
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{part}.part").open("ab") as file:
            file.write(piece)
        return there + len(piece)

    def submit(self, submission: Submission) -> None:
        """It is whole, on the disk for good, and says what it is."""
        for part in self.parts:
            with part.open("rb") as file:
                os.fsync(file.fileno())
        write_json(self.folder / SUBMITTED, asdict(submission))

    def reopen(self) -> None:
        """The annotator goes on speaking."""
        (self.folder / SUBMITTED).unlink(missing_ok=True)

    def delete(self) -> None:
        """Nothing of it is left here."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class Drafts:
    """The recordings that arrive."""

    folder: Path

    def of(self, annotator: str, recording_id: str) -> Draft:
        """The draft with this id; nobody reaches another's."""
        return Draft(self.folder / annotator / recording_id)

    def submitted(self) -> Iterator[tuple[Draft, Submission]]:
        """Yield those that were submitted, and not filed: the server ended in between."""
        for path in sorted(self.folder.glob(f"*/*/{SUBMITTED}")):
            yield Draft(path.parent), Submission(**json.loads(path.read_text("utf-8")))

    def unfinished(self) -> int:
        """How many were begun and not submitted."""
        begun = {path.parent for path in self.folder.glob("*/*/0.part")}
        return sum(not (folder / SUBMITTED).exists() for folder in begun)
