"""Windows that a recogniser can hear: at most 30 s, cut where nobody speaks.

Speech without a pause must be cut in the middle: there two windows overlap, so that every word is
whole in one of them; `overlaps` joins what was heard in both.
"""

from collections.abc import Sequence

import numpy as np

from pixmo.speech.audio import SAMPLE_RATE, Samples
from pixmo.speech.speech_activity import Span

OPTIONS = {
    "longest_seconds": 29.0,  # Whisper hears 30 s; the margins go on top
    "shortest_share": 0.6,  # speech without a pause is cut at its quietest spot behind this
    "longest_pause_seconds": 5.0,  # a longer pause separates windows; the model would fill it
    "overlap_seconds": 1.5,  # around such a cut, in both windows
    "margin_seconds": 0.2,  # before and after the speech
}
QUIET_SECONDS = 0.3  # the quietest spot is looked for at this width
HOP_SAMPLES = SAMPLE_RATE // 50


def cut(samples: Samples, speech: Sequence[Span]) -> list[Span]:
    """Windows that together hold all `speech`, in order, each at most 30 s.

    They are apart, but where speech without a pause had to be cut: there they overlap.
    """
    longest = int(OPTIONS["longest_seconds"] * SAMPLE_RATE)
    longest_pause = int(OPTIONS["longest_pause_seconds"] * SAMPLE_RATE)
    windows: list[Span] = []
    for span in speech:
        for piece in shortened(samples, span, longest):
            fits = windows and piece.end - windows[-1].start <= longest
            if fits and piece.start - windows[-1].end <= longest_pause:
                windows[-1] = Span(windows[-1].start, piece.end)
            else:
                windows.append(piece)
    return with_margins(windows, len(samples))


def shortened(samples: Samples, span: Span, longest: int) -> list[Span]:
    """`span` in overlapping pieces of at most `longest` samples, cut at the quietest spots."""
    half = int(OPTIONS["overlap_seconds"] * SAMPLE_RATE) // 2
    pieces = []
    start = span.start
    while span.end - start > longest:
        earliest = start + int(longest * OPTIONS["shortest_share"])
        middle = quietest(samples, earliest, start + longest - half)
        pieces.append(Span(start, middle + half))
        start = middle - half
    return [*pieces, Span(start, span.end)]


def quietest(samples: Samples, start: int, end: int) -> int:
    """The sample between `start` and `end` around which it is quietest."""
    hops = (end - start) // HOP_SAMPLES
    peaks = np.abs(samples[start : start + hops * HOP_SAMPLES]).reshape(hops, HOP_SAMPLES).max(1)
    width = int(QUIET_SECONDS * SAMPLE_RATE) // HOP_SAMPLES
    loudness = np.convolve(peaks, np.ones(width) / width, "valid")
    return start + (int(loudness.argmin()) + width // 2) * HOP_SAMPLES


def with_margins(windows: Sequence[Span], length: int) -> list[Span]:
    """The windows, each with a margin that ends half-way to its neighbour, if they are apart."""
    margin = int(OPTIONS["margin_seconds"] * SAMPLE_RATE)
    widened = []
    for number, window in enumerate(windows):
        before = window.start - (windows[number - 1].end if number else 0)
        last = number == len(windows) - 1
        after = (length if last else windows[number + 1].start) - window.end
        widened.append(
            Span(
                window.start - min(margin, max(0, before // 2) if number else before),
                window.end + min(margin, after if last else max(0, after // 2)),
            )
        )
    return widened
