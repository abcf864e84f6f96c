"""What writes an image's caption from its transcripts; the deterministic writer is the default."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pixmo.speech.captioning.faithful import Faithfulness
from pixmo.speech.cleaning.clean import ENGLISH, clean_sentences
from pixmo.speech.cleaning.merge import merge


@dataclass(frozen=True)
class Caption:
    """What was written of an image, and by whom: a writer may leave it to another."""

    text: str
    writer: str
    faithfulness: Faithfulness | None = None  # where the writer judged its caption already


class CaptionWriter(Protocol):
    """Writes one caption from all transcripts of an image."""

    @property
    def name(self) -> str:
        """What people call it, with its version."""
        ...

    @property
    def options(self) -> Mapping[str, object]:
        """Everything that decides the caption beside the transcripts."""
        ...

    def captions(self, images: Iterable[Sequence[str]]) -> Generator[Caption | None, None, None]:
        """The caption of each image, in order, from its transcripts; empty where there are none.

        None where there may be one another day: nothing is written then. Images are asked for one
        by one, and only as captions are taken away.
        """
        ...


@dataclass(frozen=True)
class Cleaner:
    """Cleans every transcript and joins them, saying nothing twice. Offline, the same each time."""

    language: str = ENGLISH  # ISO 639-1, of all transcripts

    @property
    def name(self) -> str:
        return "cleaner-4"

    @property
    def options(self) -> Mapping[str, object]:
        return {"method": "pixmo-cleaner-4", "language": self.language}

    def captions(self, images: Iterable[Sequence[str]]) -> Generator[Caption, None, None]:
        """The caption of each image, in order."""
        for transcripts in images:
            yield Caption(self.write(transcripts), self.name)

    def write(self, transcripts: Sequence[str]) -> str:
        """The clean sentences of all transcripts in order, each statement where it comes first."""
        clean = [clean_sentences(transcript, self.language) for transcript in transcripts]
        return merge(clean, self.language)
