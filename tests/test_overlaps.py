"""pixmo.speech.overlaps: what two windows heard is joined with every word there once."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from pixmo.demo.recogniser import checkpoint
from pixmo.demo.training.evaluate import held_out_sentences, word_error_rate
from pixmo.demo.voice import Speaker, speak
from pixmo.speech import windows
from pixmo.speech.audio import SAMPLE_RATE, Samples
from pixmo.speech.overlaps import join, joined
from pixmo.speech.recogniser import Segment, Window, Word
from pixmo.speech.speech_activity import Span, one_thread
from pixmo.speech.whisper_model import WhisperRecogniser
from tests.sounds import silence


def segment(start: float, end: float, text: str) -> Segment:
    return Segment(start, end, text, -0.2, 1.3, 0.05, 0.0)


def spans(*seconds: tuple[float, float]) -> list[Span]:
    return [Span(int(start * SAMPLE_RATE), int(end * SAMPLE_RATE)) for start, end in seconds]


def texts(segments: Sequence[Segment]) -> str:
    return " ".join(segment.text for segment in segments)


def test_what_both_heard_is_said_once() -> None:
    left = [segment(0, 5, "The sky is blue."), segment(5, 10, "There are two red circ.")]
    right = [segment(8.5, 12, "two red circles at the top."), segment(12, 14, "That is all.")]
    both, disagreement = join(left, right, (8.5, 10.0))
    assert texts(both) == "The sky is blue. There are two red circles at the top. That is all."
    assert disagreement == 0  # the cut word at the edge is forgiven
    assert [(s.start, s.end) for s in both] == [
        (0, 5),
        (5.0, 8.0),
        (pytest.approx(8.5 + 3.5 / 6), 12.0),
        (12, 14),
    ]


def test_one_word_in_common_is_too_little() -> None:
    left = [segment(0, 10, "a b c d e f g h i the")]
    right = [segment(8.6, 13.6, "the v the x y")]
    both, disagreement = join(left, right, (8.6, 10.0))
    assert texts(both) == "a b c d e f g h i v the x y"
    assert disagreement == 1


def test_no_words_in_common_are_cut_in_the_middle_of_the_overlap() -> None:
    left = [segment(0, 10, "a b c d e f g h i j")]
    right = [segment(9, 15, "u v w x y z")]
    both, disagreement = join(left, right, (9.0, 10.0))
    assert texts(both) == "a b c d e f g h i u v w x y z"
    assert disagreement == 1


def test_what_only_one_heard_is_kept() -> None:
    left, right = [segment(0, 8, "a b c d")], [segment(18.5, 20.0, "x y z")]
    assert join(left, right, (18.5, 20.0)) == ([*left, *right], 1.0)
    assert join(left, [], (18.5, 20.0)) == (left, 0.0)
    assert join([], right, (18.5, 20.0)) == (right, 1.0)
    assert join([], [], (18.5, 20.0)) == ([], 0.0)


def test_disagreement_grows_with_what_was_heard_otherwise() -> None:
    left = [segment(0, 10, "a b c d e f g h i j k l one two three four five six")]
    found = []
    for said_again in ("one two three four five six", "one two red four five six", "one two x y z"):
        right = [segment(7.0, 12, f"{said_again} m n o p q r")]
        found.append(join(left, right, (7.0, 10.0))[1])
    assert found[0] == 0
    assert 0 < found[1] < found[2] <= 1
    # Two words alike; one more that only the right window heard, behind the one at its edge.
    right = [segment(7.0, 10, "x y five six")]
    assert join(left, right, (7.0, 10.0))[1] == pytest.approx(1 / 3, abs=0.001)


def test_every_word_of_a_planted_text_is_there_once() -> None:
    random = Random(3)
    numbers = [f"w{number}" for number in range(120)]
    for _ in range(50):
        cut, shared_words = random.randint(30, 90), random.randint(2, 6)
        overlap = (cut / 2, (cut + shared_words) / 2)  # two words a second
        left = [segment(0, overlap[1], " ".join(numbers[: cut + shared_words]))]
        right = [segment(overlap[0], 60, " ".join(numbers[cut:]))]
        both, disagreement = join(left, right, overlap)
        assert texts(both).split() == numbers
        assert disagreement == 0
        assert both[0].end == pytest.approx(both[1].start)


def test_windows_that_are_apart_are_left_as_they_are() -> None:
    heard = [[segment(0, 4, "a b")], [segment(5, 9, "a b")], []]
    apart = spans((0, 4.5), (4.5, 9), (12, 14))
    assert joined(apart, heard) == ([*heard[0], *heard[1]], None)
    overlapping = spans((0, 5.5), (4, 9), (12, 14))
    both, disagreement = joined(overlapping, [[segment(0, 5, "x y a b")], heard[1], []])
    assert (texts(both), disagreement) == ("x y a b", 0)


def test_times_of_words_are_used_and_kept() -> None:
    def with_words(start: float, *texts: str) -> Segment:
        words = tuple(Word(start + i, start + i + 0.9, text, 0.9) for i, text in enumerate(texts))
        end = words[-1].end
        return replace(segment(start, end, " ".join(texts)), words=words)

    left = with_words(0.0, "a", "b", "c", "d")
    right = with_words(2.0, "c", "d", "e")
    both, _ = join([left], [right], (2.0, 4.0))
    assert [word.word for one in both for word in one.words] == ["a", "b", "c", "d", "e"]
    assert [(one.start, one.end) for one in both] == [(0.0, 2.9), (3.0, 4.9)]


def continuous(sentences: list[str], speaker: Speaker) -> Samples:
    """The sentences without a pause between them that the detector would find."""
    pieces = []
    for sentence in sentences:
        samples = speak(sentence, speaker).samples
        audible = np.flatnonzero(np.abs(samples) > 0.01)
        pieces += [samples[audible[0] : audible[-1]], silence(0.1)]
    return np.concatenate(pieces)


def hear(recogniser: WhisperRecogniser, samples: Samples, spans: list[Span]) -> list[list[Segment]]:
    """What the recogniser hears in each span, with the recording's times."""
    asked = [
        Window((0, number), span.seconds, recogniser.features(samples[span.start : span.end]))
        for number, span in enumerate(spans)
    ]
    with one_thread():  # more are slower for so small a model
        heard = {window.key[1]: found for window, found in recogniser.recognise(asked, "en")}
    return [
        [
            replace(
                s, start=s.start + span.start / SAMPLE_RATE, end=s.end + span.start / SAMPLE_RATE
            )
            for s in heard[number].segments
        ]
        for number, span in enumerate(spans)
    ]


def test_continuous_speech_loses_nothing_by_overlapping_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut through speech, windows that overlap are heard no worse than windows that do not."""
    # Windows half as long as shipped: twice as many cuts, and none of the small model's loops over
    # half a minute of speech without a breath, which would hide what the cuts do.
    monkeypatch.setitem(windows.OPTIONS, "longest_seconds", 14.0)
    recogniser = WhisperRecogniser.load(str(checkpoint(tmp_path)), "cpu")
    sentences = iter(held_out_sentences(100))
    said, alone, overlapping = [], [], []
    for voice, rate in (("en-us", 150), ("en", 150)):
        spoken = [next(sentences) for _ in range(27)]
        samples = continuous(spoken, Speaker(voice, rate))
        assert 60 <= len(samples) / SAMPLE_RATE <= 90
        spans = windows.cut(samples, [Span(0, len(samples))])
        middles = [(a.end + b.start) // 2 for a, b in itertools.pairwise(spans)]
        apart = [Span(*pair) for pair in itertools.pairwise([0, *middles, len(samples)])]
        assert len(middles) > 3
        said.append(" ".join(spoken))
        alone.append(texts(joined(apart, hear(recogniser, samples, apart))[0]))
        overlapping.append(texts(joined(spans, hear(recogniser, samples, spans))[0]))
    assert word_error_rate(said, overlapping) <= word_error_rate(said, alone) < 0.25
