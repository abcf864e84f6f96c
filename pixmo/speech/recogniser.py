"""What turns sound into text, seen from the rest of the room."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pixmo.speech.audio import Samples


@dataclass(frozen=True)
class Word:
    """A word and its place; times in seconds from the start of the sound it was heard in."""

    start: float
    end: float
    word: str
    probability: float


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
    words: tuple[Word, ...] = ()  # where they were asked for


@dataclass(frozen=True)
class Window:
    """At most 30 s of sound, as a recogniser takes it in."""

    key: tuple[int, int]  # clip and number
    seconds: float
    features: Any  # what the recogniser's `features` made of the sound


@dataclass(frozen=True)
class Recognition:
    """What was heard in one window."""

    segments: tuple[Segment, ...]
    language_prob: float | None  # that it is the language asked for; None: it knows but one


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

    @property
    def device(self) -> str:
        """Where it computes: `cpu` or `cuda`."""
        ...

    @property
    def features(self) -> Callable[[Samples], Any]:
        """What it needs of a window's sound; other processes call it, so it can be pickled."""
        ...

    def recognise(
        self, windows: Iterable[Window], language: str
    ) -> Iterator[tuple[Window, Recognition]]:
        """What is said in each window, in whatever order they end; takes in only what it needs."""
        ...
