"""Steps of cap on what was heard: each names what is planted for it, not what resembles it."""

from collections.abc import Iterator

import pytest

from tests.planted_captions import (
    OTHER,
    SILENT,
    TEXT,
    UNSPACED,
    WRITTEN,
    Candidates,
    Planted,
    Said,
    candidates,
    caption,
    described,
    found_and_expected,
    planted_together,
    spoken,
)

# Under a second of speech, and no pause in it; no caption is written from it.
BREATH = spoken(
    "Hello there everyone.",
    speech_seconds=0.95,
    duration_seconds=1.1,
    longest_silence_seconds=0.1,
    words_per_minute=198.0,
)

PLANTED: Planted = {
    "no_speech": (
        [
            described("cough", spoken(speech_seconds=0.9, duration_seconds=70.0)),
            described("a second", spoken(speech_seconds=1.0)),
            caption("empty", ""),
        ],
        {
            "cough": (
                "no speech in the recording",
                {"speech_seconds": 0.9, "duration_seconds": 70.0},
            ),
            "empty": ("caption is empty", {"speech_seconds": 0.0, "duration_seconds": 0.0}),
        },
    ),
    "recording_too_short": (
        [
            described("brief", spoken(duration_seconds=58.9)),
            described("enough", spoken(duration_seconds=59.0)),
            described("one is enough", spoken(duration_seconds=10.0), spoken()),
            described("long silence", spoken(duration_seconds=20.0), SILENT, caption=TEXT),
        ],
        {
            "brief": ("longest recording is 58.9 seconds", {"longest_seconds": 58.9}),
            "long silence": ("longest recording is 20.0 seconds", {"longest_seconds": 20.0}),
        },
    ),
    "mostly_silent": (
        [
            described("waits", spoken(duration_seconds=100.0, speech_seconds=34.0)),
            described("pauses", spoken(duration_seconds=100.0, speech_seconds=36.0)),
            described("typed too", spoken(duration_seconds=100.0, speech_seconds=9.0), WRITTEN),
            described(
                "one waits", spoken(duration_seconds=100.0, speech_seconds=20.0), spoken(OTHER)
            ),
        ],
        {
            "waits": (
                "only 34 percent of the recording is speech",
                {"spoken_share": 0.34},
            )
        },
    ),
    "stock_phrase": (
        [
            described("credited", spoken(stock_phrases=["please subscribe"])),
            described("second", WRITTEN, spoken(stock_phrases=["b", "a"])),
            described("accepted", spoken(stock_phrases=["please subscribe"]), verdict="accept"),
        ],
        {
            "credited": ('heard "please subscribe"', {"stock_phrases": ["please subscribe"]}),
            "second": ('heard "a"', {"stock_phrases": ["a", "b"]}),
        },
    ),
    "over_silence": (
        [
            described(
                "invented",
                spoken(),
                spoken(OTHER, words_over_silence_share=0.21, no_speech_prob=0.9),
            ),
            described("at the edge", spoken(words_over_silence_share=0.2)),
            described("accepted", spoken(words_over_silence_share=0.9), verdict="accept"),
        ],
        {
            "invented": (
                "21 percent of the words are over silence",
                {"words_over_silence_share": 0.21, "no_speech_prob": 0.9},
            )
        },
    ),
    "looped": (
        [
            described("loop", spoken(repeated_share=0.21, compression_ratio=3.1)),
            described("chorus", spoken(repeated_share=0.2)),
            described("written loop", Said(TEXT, is_spoken=False, values={"repeated_share": 0.9})),
            caption(
                "writer's loop", "It is red. A dog. it IS red. a DOG. It is red. A dog. The end."
            ),
            caption("said twice", "It is red. It is red. A dog. A cat. The sky. The end."),
        ],
        {
            "loop": (
                "21 percent of its runs of 8 words repeat",
                {"repeated": 0.21, "compression_ratio": 3.1},
            ),
            "written loop": ("90 percent of its runs of 8 words repeat", {"repeated": 0.9}),
            "writer's loop": ("57 percent of the caption's sentences repeat", {"repeated": 0.571}),
        },
    ),
    "pace": (
        [
            described("lost", spoken(words_per_minute=89.0)),
            described("slow", spoken(words_per_minute=90.0)),
            described("fast", spoken(words_per_minute=330.0)),
            described("invented", spoken(words_per_minute=360.0)),
            described("one of two", spoken(), spoken(OTHER, words_per_minute=30.0)),
            described("accepted", spoken(words_per_minute=30.0), verdict="accept"),
            *(
                described(name, spoken(text, words_per_minute=9.0))
                for name, text in UNSPACED.items()
            ),
        ],
        {
            "lost": ("only 1.5 words a second of speech", {"slowest_words_per_second": 1.48}),
            "invented": ("6.0 words a second of speech", {"fastest_words_per_second": 6.0}),
            "one of two": ("only 0.5 words a second of speech", {"slowest_words_per_second": 0.5}),
        },
    ),
    "guessed": (
        [
            described("guess", spoken(), spoken(OTHER, avg_logprob=-1.01, highest_temperature=0.8)),
            described("unsure", spoken(avg_logprob=-1.0)),
            described("accepted", spoken(avg_logprob=-2.0), verdict="accept"),
        ],
        {
            "guess": (
                "mean log-probability of a token is -1.01",
                {"avg_logprob": -1.01, "highest_temperature": 0.8},
            )
        },
    ),
    "poor_sound": (
        [
            described("clipped", spoken(clipped_share=0.0051)),
            described("loud", spoken(clipped_share=0.005)),
            described("faint", spoken(rms_dbfs=-45.1, noise_dbfs=-90.0)),
            described("quiet", spoken(rms_dbfs=-45.0, noise_dbfs=-90.0)),
            described("noisy", spoken(), spoken(rms_dbfs=-20.0, noise_dbfs=-29.9)),
            described("room", spoken(rms_dbfs=-20.0, noise_dbfs=-30.0)),
        ],
        {
            "clipped": ("0.5 percent of the samples are clipped", {"clipped_share": 0.0051}),
            "faint": ("speech at -45 dB of full scale", {"rms_dbfs": -45.1}),
            "noisy": ("speech only 10 dB above the noise", {"signal_to_noise_db": 9.9}),
        },
    ),
    "heard_unlike": (
        [
            described("unlike", spoken(), spoken(overlap_disagreement=0.51)),
            described("nearly", spoken(overlap_disagreement=0.5)),
        ],
        {
            "unlike": (
                "51 percent of the words in an overlap of two windows are not alike",
                {"overlap_disagreement": 0.51},
            )
        },
    ),
    "reading": (
        [
            described("reads", spoken(longest_silence_seconds=1.0, words_per_minute=144.0)),
            described(
                "second reads", WRITTEN, spoken(longest_silence_seconds=0.5, words_per_minute=150.0)
            ),
            described("pauses", spoken(longest_silence_seconds=1.1, words_per_minute=150.0)),
            described("hardly a second", spoken(words_per_minute=100.0), BREATH, caption=TEXT),
            described("slow", spoken(longest_silence_seconds=1.0, words_per_minute=143.0)),
            described(
                "stammers",
                spoken(f"Um, {TEXT}", longest_silence_seconds=1.0, words_per_minute=150.0),
            ),
            described(
                "silences",
                spoken(longest_silence_seconds=1.0, words_per_minute=150.0, speech_seconds=40.0),
            ),
            described(
                "apart",
                spoken(longest_silence_seconds=1.0, words_per_minute=100.0),
                spoken(longest_silence_seconds=3.0, words_per_minute=150.0),
            ),
        ],
        {
            "reads": (
                "no pause over 1.0 seconds at 2.4 words a second, and no stammer",
                {"longest_silence_seconds": 1.0, "words_per_second": 2.4, "spoken_share": 0.8},
            ),
            "second reads": ("no pause over 0.5 seconds at 2.5 words a second, and no stammer", {}),
        },
    ),
}


@pytest.fixture(scope="module")
def planted() -> Iterator[Candidates]:
    yield from planted_together(PLANTED)


@pytest.mark.parametrize("name", PLANTED)
def test_a_step_names_what_is_planted_and_nothing_else(name: str, planted: Candidates) -> None:
    found, expected = found_and_expected(name, PLANTED, planted)
    assert found == expected


def test_a_transcript_without_speech_is_not_judged(planted: Candidates) -> None:
    """It is not in the caption either: `pixmo caption` leaves it out."""
    planted.show("silent beside good")
    row = planted.rows()["silent beside good"]
    assert row["stock_phrases"] == []
    assert row["fastest_words_per_second"] == row["slowest_words_per_second"]
    assert len(row["transcripts"]) == len(row["spoken_shares"]) == 2


def test_written_transcripts_have_no_sound(planted: Candidates) -> None:
    planted.show("written")
    row = planted.rows()["written"]
    assert (row["is_spoken"], row["words"] > 60, row["repeated_share"]) == (False, True, 0.0)
    for name in ("slowest_words_per_second", "language_prob", "spoken_share", "rms_dbfs"):
        assert row[name] is None
    assert row["words_per_second"] == [None]


def test_a_parameter_moves_the_threshold() -> None:
    with candidates([described("fast", spoken(words_per_minute=240.0))]) as planted:
        assert set(planted.judged("pace", max_words_per_second=3.9)) == {"fast"}
        assert set(planted.judged("pace", max_words_per_second=4.1)) == set()
