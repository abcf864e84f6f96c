"""Steps of cap on what was said and written: each names what is planted for it, no look-alike."""

from collections.abc import Iterator

import pytest

from pixmo.speech.captioning.faithful import faithfulness
from pixmo.speech.cleaning.word_forms import NUMBERS
from tests.planted_captions import (
    HINDI,
    OTHER,
    TEXT,
    UNSPACED,
    Candidates,
    Planted,
    Said,
    candidates,
    caption,
    described,
    found_and_expected,
    long_text,
    planted_together,
    spoken,
)

# Thai puts spaces between clauses; no clause of one is in the other.
THAI_TAKES = (
    "แมวสีส้มตัวหนึ่ง นั่งอยู่บนโต๊ะไม้ ด้านหลังมีหน้าต่าง และต้นไม้สีเขียว นาฬิกาบนผนัง",
    "ท่าเรือเก่าแก่ ชายชราอ่านหนังสือพิมพ์ เรือประมงสีแดง นกนางนวลบินอยู่ ประภาคารริมทะเล",
)
IN_ONE_SENTENCE = TEXT.replace(". ", " ")


BEGIN = ("In this", "The main", "On the", "At the", "A big", "It was")


def pattern(number: int, *varied: int) -> str:
    """Six sentences that begin as those of every other number, but for the varied ones."""
    begin = [f"New{number} word" if place in varied else text for place, text in enumerate(BEGIN)]
    return ". ".join(f"{words} x{number} thing" for words in begin)


def unused(text: str, annotator: str = "ann") -> Said:
    """A transcript of a recording without speech, which its caption leaves out."""
    return spoken(text, annotator, speech_seconds=0.4)


KITCHEN = "There is a kettle on the stove, and next to it a jar with spoons and a red towel."
LONG = "A very long sentence, which is about nothing and takes more letters than others, is this"


def short_sentences(number: int) -> str:
    """Fifteen sentences that nobody says of another image."""
    return ". ".join(f"W{number} {place}" for place in range(15))


def long_sentences(number: int) -> str:
    """Eighteen of them."""
    return ". ".join(f"{LONG} W{number} {place}" for place in range(18))


KITTENS = spoken("Two kittens between dandelions play with marbles while raindrops are falling.")


PLANTED: Planted = {
    "too_short": (
        [
            caption("59", long_text(59)),
            caption("60", long_text(60)),
            caption("hindi", " ".join([HINDI] * 4)),
            caption("more hindi", " ".join([HINDI] * 5)),
            caption("sign", f"{long_text(57)} 欢迎光临北京大酒店"),
            *(caption(name, text) for name, text in UNSPACED.items()),
        ],
        {
            "59": ("only 59 words", {"words": 59}),
            "hindi": ("only 48 words", {"words": 48}),
            "sign": ("only 58 words", {"words": 58}),
        },
    ),
    "too_long": (
        [
            caption("1200", long_text(1200)),
            caption("1201", long_text(1201)),
            *(caption(name, "。 ".join([text] * 400)) for name, text in UNSPACED.items()),
        ],
        {"1201": ("1201 words", {"words": 1201})},
    ),
    "language": (
        [
            described("german", spoken(language="de")),
            described("austrian", spoken(language="de-AT")),
            described("american", spoken(language="en-US")),
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
            "austrian": ("a transcript is in de-AT, not in en", {"languages": ["de-AT"]}),
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
                {"unsupported_share": 0.11, "unsupported_words": 11},
            )
        },
    ),
    "unheard_number": (
        [
            caption("word", TEXT, values={"unsupported": ["red", "three circles"]}),
            caption("digits", TEXT, values={"unsupported": ["12 people"]}),
            caption("hyphen", TEXT, values={"unsupported": ["thirty-two baskets"]}),
            caption("no number", TEXT, values={"unsupported": ["red circles", "threesome"]}),
            caption("accepted", TEXT, values={"unsupported": ["two"]}, verdict="accept"),
        ],
        {
            "word": ('no transcript says "three circles"', {"unheard_numbers": 1}),
            "hyphen": ('no transcript says "thirty-two baskets"', {}),
            "digits": ('no transcript says "12 people"', {"unheard_numbers": 1}),
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
                {"lost_share": 0.31, "lost_words": 2},
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
            described("thai", *(spoken(text) for text in THAI_TAKES)),
            described("not used", spoken(), unused(OTHER), caption=TEXT),
            described("of those used", spoken(), unused(OTHER), spoken(OTHER), caption=TEXT),
        ],
        {
            "of those used": ("two transcripts share # of # telling words", {}),
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
            described("takes", *(spoken(f"{TEXT} Take {n}.", "careful") for n in range(5))),
            *(
                described(f"two takes {n}", *(spoken(f"{TEXT} It is {n}.", "twice"),) * 2)
                for n in range(4)
            ),
            *(
                described(f"not used {n}", unused(f"{TEXT} No {n}.", "idle"), spoken(KITCHEN))
                for n in range(6)
            ),
            # One of 20 sentences is long, and it alone is said again: its letters count, not it.
            *(
                described(
                    f"one long {n}", spoken(f"{LONG}. {LONG} so. {short_sentences(n)}", "lon")
                )
                for n in range(5)
            ),
            # Two short ones in a row of 20 long ones.
            *(
                described(f"two short {n}", spoken(f"So. It is. {long_sentences(n)}", "sho"))
                for n in range(5)
            ),
        ],
        {
            **{
                f"lazy {n}": (
                    "# percent of what one speaker says is said of other images too",
                    {"images": 5},
                )
                for n in range(5)
            },
            **{
                f"one long {n}": (
                    "# percent of what one speaker says is said of other images too",
                    {},
                )
                for n in range(5)
            },
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
            described("colour", spoken("Two red cars."), spoken("Three red cars, two blue cars.")),
            described("colours", spoken("Two red cars."), spoken("Three blue cars.")),
            described("some of them", spoken("Two red cars."), spoken("Three cars.")),
            described("stuff", spoken("Two glass doors."), spoken("Three glass walls.")),
            described("of one person", spoken("Two young men."), spoken("Three young men.")),
            described("women", spoken("Three women."), spoken("10 women.")),
            described("not used", spoken("Two dogs."), unused("Five dogs."), caption=TEXT),
            described("compound", spoken("Twenty-five dogs."), spoken("Thirty five dogs.")),
            described("end of it", spoken("Twenty-five dogs."), spoken("Three dogs.")),
            described("decimal", spoken("It is 2.5 meters."), spoken("It is 3 meters.")),
            described("hundreds", spoken("A hundred and two dogs."), spoken("Six dogs.")),
            described("chain", spoken("One hundred and twenty five men."), spoken("Three men.")),
            described("in words", spoken("It is two point five meters."), spoken("Three meters.")),
            described("at a point", spoken("At this point two dogs run."), spoken("Five dogs.")),
        ],
        {
            "differ": ("counts of dogs differ", {"thing": "dogs", "numbers": [2, 3]}),
            "colour": ("counts of red cars differ", {"thing": "red cars", "numbers": [2, 3]}),
            "of one person": ("counts of young men differ", {"numbers": [2, 3]}),
            "people": ("counts of people differ", {"thing": "people", "numbers": [5, 6]}),
            "women": ("counts of women differ", {"numbers": [3, 10]}),
            "at a point": ("counts of dogs differ", {"numbers": [2, 5]}),
        },
    ),
    "template": (
        [
            *(described(f"unknown {n}", spoken(pattern(n), "unknown")) for n in range(10)),
            *(described(f"pattern {n}", spoken(pattern(n), "pat")) for n in range(10)),
            *(described(f"varied {n}", spoken(pattern(n, n % 2), "val")) for n in range(20)),
            *(described(f"two free {n}", spoken(pattern(n, 1, n % 5), "fred")) for n in range(20)),
            *(described(f"short {n}", spoken(". ".join(BEGIN[:5]), "stu")) for n in range(10)),
            *(described(f"seldom {n}", spoken(pattern(n), "sel")) for n in range(4)),
            *(described(f"takes {n}", *(spoken(pattern(n), "tim"),) * 2) for n in range(4)),
            *(described(f"not a third {n}", spoken(pattern(n), "pro")) for n in range(10)),
            *(
                described(f"the others {n}", spoken(pattern(n, *range(6)), "pro"))
                for n in range(100, 124)
            ),
            *(described(f"mostly brief {n}", spoken(pattern(n), "bri")) for n in range(5)),
            *(described(f"brief {n}", spoken(f"{BEGIN[n % 5]} {n}.", "bri")) for n in range(45)),
            *(described(f"not used {n}", spoken(), unused(pattern(n), "uma")) for n in range(10)),
            *(described(f"used {n}", spoken(f"{BEGIN[n % 5]} {n}.", "uma")) for n in range(10)),
        ],
        {
            **{
                f"pattern {n}": ("one speaker tells 10 of 10 images by one pattern", {"images": 10})
                for n in range(10)
            },
            **{
                f"varied {n}": ("one speaker tells 10 of 20 images by one pattern", {})
                for n in range(20)
            },
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
        # What is common is judged by a sample, in which a word must come so often.
        for changed in ({"common_times": 60}, {"sampled": 20}, {"common_share": 1.0}):
            assert planted.judged("disagreeing", min_share=2.0, **changed).keys() > {"alien"}
        assert set(planted.judged("disagreeing", first_characters=20)) == set()


def test_every_number_that_faithfulness_misses_is_named() -> None:
    """Whatever word of a number the writer makes up."""
    images = []
    for number in (*NUMBERS, "thirty-two", "a hundred", "two thousand", "47"):
        made_up = faithfulness(f"{TEXT} There are {number} umbrellas.", [TEXT])
        values = {"unsupported": list(made_up.unsupported)}
        images.append(caption(number, TEXT, values=values))
    with candidates(images) as planted:
        assert set(planted.judged("unheard_number")) == {image.name for image in images}
