"""What writes an image's caption from its transcripts; the deterministic writer is the default."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from pixmo.speech.clean import clean_sentences
from pixmo.speech.word_classes import ARTICLES, each
from pixmo.text import normalise

# Openings and links that say nothing of an image. Prepositions and "no" do, and so does the order.
EMPTY_WORDS = ARTICLES | each(
    "i we you can see is are am it it's there there's this that's picture image photo shows show"
    " has have also then and"
)


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

    def write(self, transcripts: Sequence[str]) -> str:
        """The caption; empty where nothing was said."""
        ...


class Cleaner:
    """Cleans every transcript and joins them, saying nothing twice. Offline, the same each time."""

    name = "cleaner-1"
    options: Mapping[str, object] = {"method": "pixmo-cleaner-1"}

    def write(self, transcripts: Sequence[str]) -> str:
        """The clean sentences of all transcripts in order, each statement where it comes first."""
        said: set[str] = set()
        kept = []
        for transcript in transcripts:
            for sentence in clean_sentences(transcript):
                what = statement(sentence)
                if what not in said:
                    said.add(what)
                    kept.append(sentence)
        return " ".join(kept)


def statement(sentence: str) -> str:
    """What a sentence says of the image, for comparing.

    "I can see a red circle" and "There is a red circle" say the same; "two red circles" does not,
    nor does anything in another order: left of is not right of.
    """
    words = normalise(sentence).split()
    return " ".join(word for word in words if word not in EMPTY_WORDS) or " ".join(words)


CLEANER = Cleaner()
