"""Every step of cap names what is planted for it, and leaves alone what only resembles it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from pixmo.curate.curate import Curated, curate
from pixmo.curate.recipe import load
from pixmo.curate.step_kinds import SqlStep
from pixmo.workspace.workspace import Workspace
from tests import planted_rows
from tests.conftest import ROOT
from tests.planted_captions import Candidates, Described, Picture, Said, candidates, plant, tell

TEXT = (
    "An elderly fisherman is mending a torn net on a wooden jetty. Beside him there are two wicker"
    " baskets with silver mackerel in them. A striped cat watches the baskets from a blanket."
    " Behind the jetty a lighthouse stands on a rocky headland, and the water of the harbour is"
    " calm with a greenish tint. On the right I can see the bow of a trawler and its rusty anchor."
)
OTHER = (
    "A crowded classroom with about twenty students at their desks. The teacher points to a"
    " blackboard with an equation on it in yellow chalk. Near the window there is a globe and a"
    " shelf of dictionaries. Most of the students wear navy uniforms, and one of them raises her"
    " hand. The ceiling has three fluorescent lamps, of which the middle one is switched off."
)
WRITTEN = Said(TEXT, "writer", is_spoken=False)


def spoken(text: str = TEXT, annotator: str = "ann", **values: Any) -> Said:
    return Said(text, annotator, {"words_per_minute": 165.0} | values)


def described(name: str, *said: Said, **more: Any) -> Described:
    return Described(name, said or (spoken(),), **more)


def caption(name: str, text: str, **more: Any) -> Described:
    """A written image whose caption is not its transcript."""
    return Described(name, (WRITTEN,), text, **more)


def long_text(words: int) -> str:
    """A text of so many words, most of them common."""
    return " ".join(["the", "a", "of", "and", "with"][place % 5] for place in range(words))


SILENT = spoken("Thanks for watching.", speech_seconds=0.4, stock_phrases=["thanks for watching"])
# Nothing is known of how this was recorded: another tool's transcripts.
UNMEASURED = Said(
    TEXT,
    values=dict.fromkeys(
        (
            *("language_prob", "avg_logprob", "words_over_silence_share", "no_speech_prob"),
            *("overlap_disagreement", "longest_silence_seconds", "rms_dbfs", "noise_dbfs"),
            *("clipped_share", "words_per_minute", "lowest_logprob", "highest_temperature"),
        )
    ),
)
EVERYWHERE = (
    described("good"),
    described("written", WRITTEN),
    described("both", spoken(), WRITTEN, caption=TEXT),
    described("unmeasured", UNMEASURED),
    described("silent beside good", spoken(), SILENT),
)
IN_ONE_SENTENCE = TEXT.replace(". ", " ")


def pattern(number: int) -> str:
    """Six sentences that begin as those of every other number."""
    begin = ("In this", "The main", "On the", "At the", "A big", "It was")
    return ". ".join(f"{words} x{number} thing" for words in begin)


KITTENS = spoken("Two kittens between dandelions play with marbles while raindrops are falling.")

# step: (images it names with reason and evidence, images that it must leave alone)
Expected = dict[str, tuple[str, dict[str, Any]]]
PLANTED: dict[str, tuple[list[Described], Expected]] = {
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
        ],
        {"brief": ("longest recording is 58.9 seconds", {"longest_seconds": 58.9})},
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
                {"spoken_share": 0.34, "speech_seconds": 34.0},
            )
        },
    ),
    "too_short": (
        [caption("59", long_text(59)), caption("60", long_text(60))],
        {"59": ("only 59 words", {"words": 59})},
    ),
    "too_long": (
        [caption("1200", long_text(1200)), caption("1201", long_text(1201))],
        {"1201": ("1201 words", {"words": 1201})},
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
    "language": (
        [
            described("german", spoken(language="de")),
            described("doubted", spoken(language_prob=0.49)),
            described("accent", spoken(language_prob=0.5)),
            caption("few", "The dog of red and blue " + "dog " * 60 + "IS"),
            caption("fewer", "the dog of red and blue " + "dog " * 60),
            caption("chinese", "照片里有一条安静的街道，左边是一家书店。"),
            described("accepted", spoken(language_prob=0.1), verdict="accept"),
        ],
        {
            "german": (
                "a transcript is in de, not in en",
                {"languages": ["de"], "language_prob": 0.98},
            ),
            "doubted": ("the recogniser doubts that this is en", {"language_prob": 0.49}),
            "fewer": (
                "hardly a common word of en in the caption",
                {"kinds_of_common_words": 3, "languages": ["en"]},
            ),
            "chinese": (
                "hardly a common word of en in the caption",
                {"kinds_of_common_words": 0},
            ),
        },
    ),
    "pasted": (
        [
            caption("answer", f"Certainly! Here is the caption. {TEXT}"),
            caption("refusal", f"As an AI, I see nothing. {TEXT}"),
            caption("link", f"{TEXT} See https://example.org"),
            caption("bold", f"**Scene** {TEXT}"),
            caption("list", f"{TEXT}\n- a dog"),
            caption("harmless", f"Here is a dog. There is a caption. A paid man - old. {TEXT}"),
            caption("accepted", f"**Scene** {TEXT}", verdict="accept"),
        ],
        {
            "answer": ('holds "Certainly! Here"', {"mark": "Certainly! Here"}),
            "refusal": ('holds "As an AI"', {"mark": "As an AI"}),
            "link": ('holds "https://"', {"mark": "https://"}),
            "bold": ('holds "**"', {"mark": "**"}),
            "list": ('holds "-"', {"mark": "-"}),
        },
    ),
    "disfluent": (
        [
            caption("stammers", f"Um, {long_text(98)} uh, the the"),
            caption("once", f"Um, {long_text(99)}"),
            caption("german", f"{long_text(96)} Er hammers um. That man has human hums"),
            caption("accepted", "um uh um", verdict="accept"),
        ],
        {
            "stammers": (
                "stammers 3 times in 102 words",
                {"stammers": ["Um", "uh", "the the"], "words": 102},
            ),
            "german": ("stammers 2 times in 104 words", {"stammers": ["Er", "um"]}),
        },
    ),
    "unheard": (
        [
            caption(
                "made up", TEXT, values={"unsupported_share": 0.11, "unsupported": ["zebra"] * 11}
            ),
            caption("reworded", TEXT, values={"unsupported_share": 0.1}),
            caption("accepted", TEXT, values={"unsupported_share": 0.9}, verdict="accept"),
        ],
        {
            "made up": (
                "11 percent of the words are in no transcript",
                {"unsupported_share": 0.11, "unsupported": ["zebra"] * 10},
            )
        },
    ),
    "unheard_number": (
        [
            caption("word", TEXT, values={"unsupported": ["red", "three circles"]}),
            caption("digits", TEXT, values={"unsupported": ["12 people"]}),
            caption("no number", TEXT, values={"unsupported": ["red circles", "threesome"]}),
            caption("accepted", TEXT, values={"unsupported": ["two"]}, verdict="accept"),
        ],
        {
            "word": ('no transcript says "three circles"', {"unheard": ["three circles"]}),
            "digits": ('no transcript says "12 people"', {"unheard": ["12 people"]}),
        },
    ),
    "lost": (
        [
            caption("forgot", TEXT, values={"lost_share": 0.31, "lost": ["dog", "cat"]}),
            caption("shorter", TEXT, values={"lost_share": 0.3}),
            caption("accepted", TEXT, values={"lost_share": 0.9}, verdict="accept"),
        ],
        {
            "forgot": (
                "31 percent of what was said is lost",
                {"lost_share": 0.31, "lost": ["dog", "cat"]},
            )
        },
    ),
    "disagreeing": (
        [
            described("another image", spoken(), spoken(OTHER)),
            described("one of three", spoken(), spoken(), spoken(OTHER)),
            described("four words", spoken(), spoken("kittens, dandelions, marbles, raindrops")),
            described("three words", spoken(), spoken("kittens, dandelions, marbles")),
            described("capitals", spoken("KITTENS, DANDELIONS, MARBLES, RAINDROPS"), KITTENS),
            described("accepted", spoken(), spoken(OTHER), verdict="accept"),
        ],
        {
            "another image": ("two transcripts share # of # telling words", {}),
            "one of three": ("two transcripts share # of # telling words", {}),
            "four words": (
                "two transcripts share 0 of 4 telling words",
                {"shared_words": 0, "telling_words": 4},
            ),
        },
    ),
    "boilerplate": (
        [
            described("accepted", spoken(f"{TEXT} This is. The end.", "lazy"), verdict="accept"),
            *(
                described(f"lazy {n}", spoken(f"{TEXT} This is {n}. The end.", "lazy"))
                for n in range(5)
            ),
            *(
                described(f"unknown {n}", spoken(f"{OTHER} The number is {n}.", "unknown"))
                for n in range(5)
            ),
            *(described(f"seldom {n}", spoken(f"{OTHER} Seldom {n}.", "rare")) for n in range(4)),
            *(
                described(f"no stop {n}", spoken(f"{IN_ONE_SENTENCE} {n}.", "endless"))
                for n in range(5)
            ),
        ],
        {
            f"lazy {n}": (
                "# percent of what lazy says is said of other images too",
                {"annotator": "lazy", "times": 5},
            )
            for n in range(5)
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
    "counts_disagree": (
        [
            described("differ", spoken("Two dogs."), spoken("I see 3 dogs and four cats.")),
            described("people", spoken("Five people."), spoken("six people.")),
            described("agree", spoken("Two dogs."), spoken("2 dogs.")),
            described("groups", spoken("Two dogs, three dogs."), spoken("3 dogs.")),
            described("one speaker", spoken("Two dogs, three dogs.")),
            described("one of them", spoken("Two dogs, three dogs."), spoken("A cat.")),
            described("things", spoken("Two dogs."), spoken("Three cats.")),
        ],
        {
            "differ": ("counts of dogs differ", {"thing": "dogs", "numbers": [2, 3]}),
            "people": ("counts of people differ", {"thing": "people", "numbers": [5, 6]}),
        },
    ),
    "template": (
        [
            *(described(f"unknown {n}", spoken(pattern(n), "unknown")) for n in range(10)),
            *(
                described(
                    f"pattern {n}",
                    spoken(
                        pattern(n),
                        "pat",
                    ),
                )
                for n in range(10)
            ),
            *(
                described(f"short {n}", spoken(f"In this x{n}. The main {n}. It was {n}.", "stu"))
                for n in range(10)
            ),
            *(
                described(
                    f"seldom {n}",
                    spoken(
                        pattern(n),
                        "sel",
                    ),
                )
                for n in range(9)
            ),
        ],
        {
            f"pattern {n}": (
                "pat tells 10 images by one pattern",
                {"times": 10, "annotator": "pat"},
            )
            for n in range(10)
        },
    ),
    "reading": (
        [
            described("reads", spoken(longest_silence_seconds=1.0, words_per_minute=144.0)),
            described(
                "second reads", WRITTEN, spoken(longest_silence_seconds=0.5, words_per_minute=150.0)
            ),
            described("pauses", spoken(longest_silence_seconds=1.1, words_per_minute=150.0)),
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
ELSEWHERE = ("image_unknown", "stale", "rejected")  # tests/test_curate.py


def test_every_step_is_planted() -> None:
    own = {
        step.name
        for step in load("cap").steps
        if isinstance(step, SqlStep) and step.query.path.parent.name == "cap"
    }
    assert own == PLANTED.keys() | set(ELSEWHERE)


@pytest.fixture(scope="module")
def planted() -> Iterator[Candidates]:
    """All images above, those of a step under its name; planted together, which is faster."""
    of_steps = [
        replace(image, name=f"{name}: {image.name}")
        for name, (images, _) in PLANTED.items()
        for image in images
    ]
    with candidates([*of_steps, *EVERYWHERE]) as all_planted:
        yield all_planted


@pytest.mark.parametrize("name", PLANTED)
def test_a_step_names_what_is_planted_and_nothing_else(name: str, planted: Candidates) -> None:
    images, expected = PLANTED[name]
    shown = [f"{name}: {image.name}" for image in images]
    planted.show(*shown, *(image.name for image in EVERYWHERE))
    found = {
        image.removeprefix(f"{name}: "): verdict for image, verdict in planted.judged(name).items()
    }
    assert found.keys() == expected.keys()
    for image, (reason, evidence) in expected.items():
        is_general = "#" in reason
        assert (general(found[image].reason) if is_general else found[image].reason) == reason
        assert {key: found[image].evidence[key] for key in evidence} == evidence


def general(reason: str) -> str:
    return " ".join("#" if word.isdigit() else word for word in reason.split())


def test_what_is_said_of_all_images_tells_nothing() -> None:
    """In a folder of one kind of image, no transcript disagrees because of the kind's words."""
    narrow = "there is a purple circle above yellow triangles beside several squares"
    images = [
        described(f"narrow {n}", spoken(f"{narrow} {'abcdefgh'[n % 8] * 6}"), spoken(narrow))
        for n in range(30)
    ]
    with candidates([*images, described("alien", spoken(TEXT), spoken(OTHER))]) as planted:
        assert set(planted.judged("disagreeing")) == {"alien"}
        # Without the guard on telling words there is nothing left to share.
        assert len(planted.judged("disagreeing", min_words=0, min_share=2.0)) > 0


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


def fluently(number: int) -> str:
    """A text without a stammer, of a picture of its own."""
    rng = Random(number)
    return tell(Picture.of(rng), rng, 150, 0)


def told(number: int, **values: Any) -> Said:
    """A good transcript of that picture."""
    return spoken(fluently(number), f"speaker {number}", **values)


def mixed() -> Iterator[tuple[Described, str, list[str]]]:
    """Images with the step that is to drop each, or the flags of those that stay."""
    for number in range(8):
        yield described(f"good {number}", told(number)), "", []
    typed = Said(fluently(8), "writer", is_spoken=False)
    yield described("both", told(8), typed, caption=fluently(8)), "", []
    yield described("cough", told(9, speech_seconds=0.5)), "no_speech", []
    yield described("brief", told(10, duration_seconds=30.0)), "recording_too_short", []
    yield described("waits", told(11, speech_seconds=20.0)), "mostly_silent", []
    yield described("terse", told(12), caption=long_text(40)), "too_short", []
    yield described("endless", told(13), caption=long_text(1300)), "too_long", []
    yield described("credits", told(14, stock_phrases=["please subscribe"])), "stock_phrase", []
    yield described("invented", told(15, words_over_silence_share=0.5)), "over_silence", []
    yield described("loop", told(16, repeated_share=0.6)), "looped", []
    yield described("lost windows", told(17, words_per_minute=60.0)), "pace", []
    yield described("guess", told(18, avg_logprob=-1.4)), "guessed", []
    yield described("dutch", told(19, language_prob=0.1)), "language", []
    yield described("assistant", told(20), caption=f"**Scene** {told(20).text}"), "pasted", []
    stammered = told(21).text.replace(". ", ". Um, uh, ")
    yield described("stammer", told(21), caption=stammered), "disfluent", []
    three = {"unsupported": ["three dogs"], "unsupported_share": 0.01}
    yield described("miscount", told(22), values=three), "unheard_number", []
    yield described("made up", told(23), values={"unsupported_share": 0.4}), "unheard", []
    yield described("forgot", told(24), values={"lost_share": 0.5}), "lost", []
    two = spoken(TEXT, "one"), spoken(OTHER, "another")
    yield described("two images", *two, caption=fluently(25)), "disagreeing", []
    for number in range(30, 35):
        text = f"{told(number).text[:200]} so it is. {TEXT}"
        yield described(f"lazy {number}", spoken(text, "lazy")), "boilerplate", []
    yield described("parrot", told(7)), "near_duplicate_text", []
    yield described("faint", told(40, rms_dbfs=-60.0, noise_dbfs=-90.0)), "", ["poor_sound"]
    both = ["poor_sound", "heard_unlike"]
    unlike = {"overlap_disagreement": 0.9, "clipped_share": 0.1}
    yield described("unlike", told(41, **unlike)), "", both
    counted = [replace(told(42), text=f"{told(42).text} {n} zebras.") for n in ("Two", "Five")]
    yield described("zebras", *counted, caption=told(42).text), "", ["counts_disagree"]
    for number in range(50, 60):
        begin = ("In this image", "The main", "On the", "Behind it", "The colours", "It was")
        told_so = fluently(number).split(". ")
        said = [f"{words} {told_so[place]}" for place, words in enumerate(begin)]
        patterned = spoken(f"{'. '.join(said)}. {told(number + 20).text}", "pat")
        yield described(f"pattern {number}", patterned), "", ["template"]
    yield described("reader", spoken(fluently(90), longest_silence_seconds=0.7)), "", ["reading"]
    accepted = told(91, language_prob=0.1, avg_logprob=-2.0, words_per_minute=20.0)
    yield described("accepted", accepted, verdict="accept"), "", []
    yield described("rejected", told(92), verdict="reject"), "rejected", []


@pytest.fixture(scope="module")
def curated(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[dict[str, str], Curated]]:
    """The whole recipe over `mixed`, and the images' names by the rows' ids."""
    workspace = Workspace.init(tmp_path_factory.mktemp("mixed"))
    images = [image for image, _, _ in mixed()]
    names = plant(workspace, images)
    workspace.append("images", [picture(image.name, place) for place, image in enumerate(images)])
    with workspace.connect() as connection:
        yield names, curate(connection, load("cap"))


def picture(name: str, ordinal: int) -> dict[str, Any]:
    """The row of an image that looks like no other."""
    print_of = Random(name)
    hashes = {f"phash_{bits}": f"{print_of.getrandbits(bits):0{bits // 4}x}" for bits in (64, 256)}
    return {**planted_rows.image(name), **hashes, "ordinal": ordinal}


def test_the_recipe_drops_exactly_the_planted_rows_each_by_its_step(
    curated: tuple[dict[str, str], Curated],
) -> None:
    names, result = curated
    rows = result.dropped.to_pylist()
    expected = {image.name: step for image, step, _ in mixed() if step}
    assert {names[row["id"]]: row["step"] for row in rows} == expected
    for row in rows:
        assert row["reason"]
        assert isinstance(json.loads(row["evidence"]), dict)


def test_signals_flag_rows_that_stay(curated: tuple[dict[str, str], Curated]) -> None:
    names, result = curated
    found = {names[row["id"]]: row["flags"] for row in result.kept.to_pylist()}
    assert found == {image.name: flags for image, step, flags in mixed() if not step}


def test_the_recipes_comments_say_what_was_measured() -> None:
    """At every default: its precision and recall, as they stand in `docs/benchmarks.json`."""
    measured = json.loads((ROOT / "docs/benchmarks.json").read_text("utf-8"))
    (rows,) = (result["rows"] for result in measured if result["benchmark"] == "cap_thresholds")
    blocks = load("cap").path.read_text("utf-8").split("[[step]]")
    for name, (setting, _, _, precision, recall, _) in rows.items():
        step, _, parameter = name.partition(" ")
        (block,) = (block for block in blocks if f'"cap/{step}.sql"' in block)
        line = next(line for line in block.splitlines() if line.startswith(parameter or "sql"))
        assert line.startswith(setting), name
        assert f"# {precision} / {recall}" in line, name
