"""What was heard in overlapping windows, joined so that nothing is said twice or lost."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pixmo.speech.audio import SAMPLE_RATE
from pixmo.speech.recogniser import Segment
from pixmo.speech.speech_activity import Span
from pixmo.text import normalise

# Without times of words, one is guessed from its place in its segment.
TIME_TOLERANCE_SECONDS = 1.0
# One word is too often another "the"; measured on speech without pauses.
SHORTEST_RUN = 2
DIGITS = 3


@dataclass(frozen=True)
class TimedWord:
    """A word of a segment, and the second of its middle."""

    key: str
    time: float


def joined(
    windows: Sequence[Span], heard: Sequence[Sequence[Segment]]
) -> tuple[list[Segment], float | None]:
    """All segments heard in a recording's windows, and the largest disagreement between two.

    Times count from the start of the recording. The disagreement is None where no windows overlap.
    """
    segments: list[Segment] = []
    worst: float | None = None
    for number, (window, found) in enumerate(zip(windows, heard, strict=True)):
        before = windows[number - 1].end if number else 0
        if window.start >= before:
            segments += found
            continue
        overlap = (window.start / SAMPLE_RATE, before / SAMPLE_RATE)
        segments, disagreement = join(segments, found, overlap)
        worst = max(disagreement, worst or 0.0)
    return segments, worst


def join(
    left: Sequence[Segment], right: Sequence[Segment], overlap: tuple[float, float]
) -> tuple[list[Segment], float]:
    """The segments of two windows that overlap, each word once, and how much they disagree.

    Both are cut inside the longest run of words that both heard around the overlap, since the
    words at the very edge of a window are cut themselves; where they agree on too little, in the
    middle of the overlap. The disagreement is in [0, 1]: the share of what they heard in the
    overlap, as aligned, that not both heard alike.
    """
    left_words, right_words = timed_words(left), timed_words(right)
    tail = [w for w in left_words if w.time >= overlap[0] - TIME_TOLERANCE_SECONDS]
    head = [w for w in right_words if w.time <= overlap[1] + TIME_TOLERANCE_SECONDS]
    blocks = agreed(tail, head)
    run = max(blocks, key=lambda block: block.size, default=difflib.Match(0, 0, 0))
    if run.size < min(SHORTEST_RUN, len(tail), len(head)):
        blocks = []
    if blocks:
        kept = len(left_words) - len(tail) + run.a + run.size // 2
        dropped = run.b + run.size // 2
    elif tail and head:
        middle = sum(overlap) / 2
        kept = sum(word.time < middle for word in left_words)
        dropped = sum(word.time < middle for word in right_words)
    else:  # one of them heard nothing there; what the other heard would be lost
        kept, dropped = len(left_words), 0
    segments = [*first_words(left, kept), *without_first_words(right, dropped)]
    return segments, disagreement(tail, head, blocks, overlap)


def timed_words(segments: Sequence[Segment]) -> list[TimedWord]:
    """The words of the segments, each with its time."""
    return [
        TimedWord(normalise(text), (start + end) / 2)
        for segment in segments
        for text, (start, end) in zip(segment.text.split(), word_times(segment), strict=True)
    ]


def word_times(segment: Segment) -> list[tuple[float, float]]:
    """Where each word of the text begins and ends.

    By the recogniser's own times where it has one for each, else spread evenly.
    """
    count = len(segment.text.split())
    if len(segment.words) == count:
        return [(word.start, word.end) for word in segment.words]
    step = (segment.end - segment.start) / max(1, count)
    return [
        (segment.start + place * step, segment.start + (place + 1) * step) for place in range(count)
    ]


def agreed(tail: Sequence[TimedWord], head: Sequence[TimedWord]) -> list[difflib.Match]:
    """The runs of words that both heard, in order."""
    keys = [word.key for word in tail], [word.key for word in head]
    matcher = difflib.SequenceMatcher(None, *keys, autojunk=False)
    return [block for block in matcher.get_matching_blocks() if block.size]


def disagreement(
    tail: Sequence[TimedWord],
    head: Sequence[TimedWord],
    blocks: Sequence[difflib.Match],
    overlap: tuple[float, float],
) -> float:
    """The share of words in the overlap that not both heard, in [0, 1].

    What the right window heard before the first agreed word, the left one should have heard as
    well, and the other way round behind the last. The word at each window's edge is forgiven: the
    window begins or ends inside it.
    """
    if not blocks:
        inside = any(overlap[0] <= word.time <= overlap[1] for word in (*tail, *head))
        return 1.0 if inside else 0.0
    first, last = blocks[0], blocks[-1]
    before = max(0, first.b - 1)
    behind = max(0, len(tail) - (last.a + last.size) - 1)
    between = max(last.a + last.size - first.a, last.b + last.size - first.b)
    alike = sum(block.size for block in blocks)
    return round(1 - alike / (before + between + behind), DIGITS)


def first_words(segments: Sequence[Segment], count: int) -> list[Segment]:
    """The segments up to their `count`-th word; the one it stands in ends there."""
    kept = []
    for segment in segments:
        texts = segment.text.split()
        if count <= 0:
            break
        kept.append(segment if count >= len(texts) else part(segment, 0, count))
        count -= len(texts)
    return kept


def without_first_words(segments: Sequence[Segment], count: int) -> list[Segment]:
    """The segments behind their `count`-th word; the one it stands in begins there."""
    kept = []
    for segment in segments:
        texts = segment.text.split()
        if count < len(texts):
            kept.append(segment if count <= 0 else part(segment, count, len(texts)))
        count -= len(texts)
    return kept


def part(segment: Segment, first: int, end: int) -> Segment:
    """The words from `first` to before `end` of a segment, with their times."""
    times = word_times(segment)
    start, stop = times[first][0], times[end - 1][1]
    return replace(
        segment,
        start=start,
        end=stop,
        text=" ".join(segment.text.split()[first:end]),
        words=tuple(w for w in segment.words if start <= (w.start + w.end) / 2 <= stop),
    )
