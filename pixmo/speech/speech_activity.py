"""Where in a recording somebody speaks."""

import contextlib
import functools
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pixmo.speech.audio import SAMPLE_RATE, Samples

OPTIONS: dict[str, float] = {
    "threshold": 0.5,  # probability of speech
    "min_speech_duration_ms": 250,
    "min_silence_duration_ms": 100,
    "speech_pad_ms": 30,
}


@dataclass(frozen=True)
class Span:
    """A stretch of a recording, in samples; `end` is the first sample behind it."""

    start: int
    end: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end - self.start) / SAMPLE_RATE


def speech_spans(samples: Samples) -> list[Span]:
    """The stretches with speech, in order and apart, by Silero's detector."""
    model = detector()  # first: importing the package sets torch's threads
    import silero_vad

    found = silero_vad.get_speech_timestamps_sequence(
        samples, model, sampling_rate=SAMPLE_RATE, **OPTIONS
    )
    return [Span(int(span["start"]), int(span["end"])) for span in found]


def speech_seconds(spans: Sequence[Span]) -> float:
    """Seconds of speech in all spans together."""
    return sum(span.end - span.start for span in spans) / SAMPLE_RATE


@functools.cache
def detector() -> Any:
    """Silero's detector over whole recordings; its weights come in its package.

    Many times faster than its form for streams, which is called for every 32 ms.
    """
    with one_thread(), warnings.catch_warnings():
        # It reads its file by calls that Python is phasing out.
        warnings.simplefilter("ignore", DeprecationWarning)
        import silero_vad

        return silero_vad.load_silero_vad(sequence=True)


def one_thread() -> contextlib.AbstractContextManager[None]:
    """Torch computes in one thread meanwhile.

    Importing silero-vad sets one thread for the whole process; the number there was comes back.
    """
    return torch_threads(1)


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Torch computes in so many threads meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
