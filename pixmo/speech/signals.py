"""What can be measured of a recording's sound, before anything is recognised in it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixmo.speech.audio import SAMPLE_RATE, Samples
from pixmo.speech.speech_activity import Span, speech_seconds

FULL_SCALE = 32767 / 32768  # the highest that 16-bit samples reach
# A pure tone that just reaches full scale stays there for one sample unless it is below 30 Hz.
SHORTEST_CLIP = 2
QUIETEST_DBFS = -100.0  # of digital silence; one step of 16-bit samples is -90.3
EDGE_SECONDS = 0.2
DIGITS = 3


@dataclass(frozen=True)
class Signals:
    """Seconds, shares of 1, and levels in dB of full scale, where a full-scale sine has -3.01."""

    duration_seconds: float
    speech_seconds: float
    longest_silence_seconds: float  # without speech, the ends of the recording included
    rms_dbfs: float | None  # of the speech; None where there is none
    peak_dbfs: float
    clipped_share: float  # of samples in runs at full scale
    noise_dbfs: float | None  # of all that is no speech; None where all is
    starts_in_speech: bool  # within its first 200 ms
    is_cut_off: bool  # somebody speaks within its last 200 ms


def signals(samples: Samples, speech: Sequence[Span]) -> Signals:
    """The measures of a recording at 16 kHz, in which `speech` is in order and apart."""
    edge = int(EDGE_SECONDS * SAMPLE_RATE)
    pauses = list(silences(len(samples), speech))
    return Signals(
        duration_seconds=round(len(samples) / SAMPLE_RATE, DIGITS),
        speech_seconds=round(speech_seconds(speech), DIGITS),
        longest_silence_seconds=round(max(span.seconds for span in pauses), DIGITS),
        rms_dbfs=rms_dbfs(samples, speech),
        peak_dbfs=decibels(float(np.abs(samples).max(initial=0.0))),
        clipped_share=clipped_share(samples),
        noise_dbfs=rms_dbfs(samples, pauses),
        starts_in_speech=bool(speech) and speech[0].start < edge,
        is_cut_off=bool(speech) and speech[-1].end > len(samples) - edge,
    )


def silences(length: int, speech: Sequence[Span]) -> Iterator[Span]:
    """What lies before, between and behind the spans of speech; may be empty at the ends."""
    starts = [0, *(span.end for span in speech)]
    ends = [*(span.start for span in speech), length]
    return map(Span, starts, ends)


def rms_dbfs(samples: Samples, spans: Sequence[Span]) -> float | None:
    """The root mean square over all spans together; None where they hold nothing."""
    count = sum(span.end - span.start for span in spans)
    if not count:
        return None
    squares = sum(float(np.square(part(samples, span)).sum()) for span in spans)
    return decibels((squares / count) ** 0.5)


def part(samples: Samples, span: Span) -> NDArray[np.float64]:
    """The samples of a span, in a precision in which a sum of hours of them is exact enough."""
    return samples[span.start : span.end].astype(np.float64)


def decibels(level: float) -> float:
    """A level of at most 1 in dB of full scale."""
    if not level:
        return QUIETEST_DBFS
    return max(QUIETEST_DBFS, round(20 * math.log10(level), DIGITS))


def clipped_share(samples: Samples) -> float:
    """The share of samples that stay at full scale for two samples or longer.

    Only what was clipped at full scale is seen, not what was turned down afterwards.
    """
    at_full_scale = np.abs(samples) >= FULL_SCALE
    edges = np.flatnonzero(np.diff(at_full_scale, prepend=False, append=False))
    lengths = edges[1::2] - edges[::2]
    clipped = int(lengths[lengths >= SHORTEST_CLIP].sum())
    return round(clipped / len(samples), 6) if len(samples) else 0.0
