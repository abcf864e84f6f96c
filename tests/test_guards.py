"""pixmo.speech.guards: planted hallucinations are found, true speech is not."""

from dataclasses import replace

import pytest

from pixmo.speech.audio import SAMPLE_RATE
from pixmo.speech.guards import guards
from pixmo.speech.recogniser import Segment
from pixmo.speech.speech_activity import Span
from pixmo.speech.stock_phrases import STOCK_PHRASES
from pixmo.text import normalise


def segment(start: float, end: float, text: str, **values: float) -> Segment:
    usual = {
        "avg_logprob": -0.2,
        "compression_ratio": 1.3,
        "no_speech_prob": 0.05,
        "temperature": 0.0,
    }
    return Segment(start, end, text, **(usual | values))  # type: ignore[arg-type]


def spans(*seconds: tuple[float, float]) -> list[Span]:
    return [Span(int(start * SAMPLE_RATE), int(end * SAMPLE_RATE)) for start, end in seconds]


GOOD = [
    segment(0, 4, "There are two red circles at the top."),
    segment(4, 9, "The background is green, and a large star is on the left."),
]


def test_true_speech_trips_no_guard() -> None:
    found = guards(GOOD, spans((0.2, 3.8), (4.3, 8.9)))
    assert found.words_over_silence_share == 0
    assert found.stock_phrases == ()
    assert found.repeated_share == 0


def test_words_over_silence() -> None:
    invented = [*GOOD, segment(12, 20, "It is one two three.")]
    found = guards(invented, spans((0.2, 3.8), (4.3, 8.9)))
    assert found.words_over_silence_share == 0.2
    # A blip is not speech enough for five words; and a time off by a little is forgiven.
    blip = spans((0.2, 3.8), (4.3, 8.9), (15.0, 15.3))
    assert guards(invented, blip).words_over_silence_share == 0.2
    late = spans((0.2, 3.8), (4.3, 8.9), (11.0, 12.1), (19.9, 21.0))
    moment = [segment(9.5, 9.5, "Yes.")]
    assert guards(moment, late).words_over_silence_share == 1
    assert guards([replace(moment[0], start=9.05, end=9.05)], late).words_over_silence_share == 0


def test_nothing_heard_and_nothing_said() -> None:
    nothing = guards([], spans((0, 3)))
    assert (nothing.lowest_logprob, nothing.highest_temperature) == (None, None)
    assert (nothing.highest_compression_ratio, nothing.highest_no_speech_prob) == (None, None)
    silent = guards(GOOD, [])
    assert silent.words_over_silence_share == 1


def test_the_worst_of_all_segments() -> None:
    worst = segment(
        9, 10, "Um.", avg_logprob=-1.7, compression_ratio=2.9, no_speech_prob=0.8, temperature=0.6
    )
    found = guards([GOOD[0], worst, GOOD[1]], [])
    assert (found.lowest_logprob, found.highest_compression_ratio) == (-1.7, 2.9)
    assert (found.highest_no_speech_prob, found.highest_temperature) == (0.8, 0.6)


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("Thanks for watching!", "thanks for watching"),
        ("The sky is blue. Thank you for watching.", "thank you for watching"),
        ("the sky is blue and please subscribe", "please subscribe"),
        ("Subtitles by the Amara.org community", "amara org"),
        ("Sous-titres réalisés par la communauté d'Amara.org", "amara org"),
        ("Untertitel im Auftrag des ZDF für funk, 2017", "untertitel im auftrag des zdf für funk"),
        ("Субтитры сделал DimaTorzok", "субтитры сделал dimatorzok"),
        ("ご視聴ありがとうございました。", "ご視聴ありがとうございました"),
    ],
)
def test_stock_phrases(text: str, phrase: str) -> None:
    assert guards([GOOD[0], segment(9, 12, text)], []).stock_phrases == (phrase,)
    assert guards([segment(0, 2, text), segment(2, 4, text)], []).stock_phrases == (phrase,)


@pytest.mark.parametrize(
    "text",
    [
        "A banner says thanks for watching in red letters.",
        "The button below reads please subscribe to our newsletter today.",
        "Thank you.",
        "Subtitles are shown at the bottom.",
    ],
)
def test_what_an_image_shows_is_no_stock_phrase(text: str) -> None:
    assert guards([segment(0, 4, text)], []).stock_phrases == ()


def test_stock_phrases_are_written_as_texts_are_compared() -> None:
    assert [phrase for phrase in STOCK_PHRASES if normalise(phrase) != phrase] == []
