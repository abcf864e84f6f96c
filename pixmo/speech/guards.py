"""Signs that a recogniser wrote what nobody said, beyond Whisper's own; a recipe decides."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import regex

from pixmo.speech.audio import SAMPLE_RATE
from pixmo.speech.recogniser import Segment
from pixmo.speech.speech_activity import Span
from pixmo.speech.stock_phrases import STOCK_PHRASES, SUBTITLE_CREDIT
from pixmo.text import normalise, words

YEAR = re.compile(r" (?:19|20)\d\d$")  # credits of broadcasters end with one
SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])")
NEARLY_NO_SPEECH = 0.1  # of a segment's time
TIME_TOLERANCE_SECONDS = 0.25  # of Whisper's times
RUN_WORDS = 8
RUN_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+")
DIGITS = 3


@dataclass(frozen=True)
class Guards:
    """Shares of 1; None is what cannot be said of a recording without speech or text."""

    words_over_silence_share: float  # of words in segments under which nobody speaks
    stock_phrases: tuple[str, ...]  # normalised, in order, each once
    repeated_share: float  # of runs of 8 words that occurred before
    lowest_logprob: float | None
    highest_temperature: float | None
    highest_compression_ratio: float | None
    highest_no_speech_prob: float | None


def guards(segments: Sequence[Segment], speech: Sequence[Span]) -> Guards:
    """The signs in what was heard; times of `segments` count from the recording's start."""
    text = " ".join(segment.text for segment in segments)
    counts = [len(words(segment.text)) for segment in segments]
    unspoken = sum(
        count
        for segment, count in zip(segments, counts, strict=True)
        if speech_share(segment, speech) < NEARLY_NO_SPEECH
    )
    return Guards(
        words_over_silence_share=round(unspoken / max(1, sum(counts)), DIGITS),
        stock_phrases=stock_phrases(segments),
        repeated_share=repeated_share(text),
        lowest_logprob=min((s.avg_logprob for s in segments), default=None),
        highest_temperature=max((s.temperature for s in segments), default=None),
        highest_compression_ratio=max((s.compression_ratio for s in segments), default=None),
        highest_no_speech_prob=max((s.no_speech_prob for s in segments), default=None),
    )


def speech_share(segment: Segment, speech: Sequence[Span]) -> float:
    """The share of the segment's time, give or take, in which somebody speaks."""
    start = segment.start - TIME_TOLERANCE_SECONDS
    end = segment.end + TIME_TOLERANCE_SECONDS
    spoken = sum(
        max(0.0, min(end, span.end / SAMPLE_RATE) - max(start, span.start / SAMPLE_RATE))
        for span in speech
    )
    return spoken / (end - start)


def stock_phrases(segments: Sequence[Segment]) -> tuple[str, ...]:
    """Whisper's stock phrases that are a whole segment, a sentence, or the end of the text."""
    found = dict.fromkeys(
        phrase
        for segment in segments
        for sentence in (segment.text, *SENTENCE_END.split(segment.text))
        for phrase in stock(normalise(sentence))
    )
    end = normalise(" ".join(segment.text for segment in segments))
    found |= dict.fromkeys(p for p in sorted(STOCK_PHRASES) if end.endswith(f" {p}"))
    return tuple(found)


def stock(sentence: str) -> Iterator[str]:
    """The stock phrase that a normalised sentence is, if it is one."""
    phrase = YEAR.sub("", sentence)
    if phrase in STOCK_PHRASES:
        yield phrase
    elif SUBTITLE_CREDIT in sentence:
        yield SUBTITLE_CREDIT


def repeated_share(text: str) -> float:
    """The share of runs of 8 words that occurred before; 0 where there is no run.

    Hyphens and apostrophes part words.
    """
    found = RUN_WORD.findall(text.lower())
    runs = [tuple(found[i : i + RUN_WORDS]) for i in range(len(found) - RUN_WORDS + 1)]
    return round(1 - len(set(runs)) / len(runs), DIGITS) if runs else 0.0
