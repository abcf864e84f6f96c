"""What turns sound into text, seen from the rest of the room."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pixmo.speech.audio import Samples


@dataclass(frozen=True)
class Segment:
    """A stretch of speech; times in seconds from the start of the sound it was heard in."""

    start: float
    end: float
    text: str
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    temperature: float


@dataclass(frozen=True)
class Recognition:
    """What was heard in one window."""

    segments: tuple[Segment, ...]
    language: str


class Recogniser(Protocol):
    """Hears windows of at most 30 s; an argument wherever sound becomes text."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def sha256(self) -> str:
        """The sha256 of its weights."""
        ...

    @property
    def options(self) -> Mapping[str, object]:
        """Everything else of its own that decides the text."""
        ...

    def recognise(self, windows: Sequence[Samples], language: str) -> list[Recognition]:
        """What is said in each window, in order."""
        ...
