"""Faithfulness: planted changes are found, untouched captions are not suspected."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixmo.demo.describe import Description, describe, write_description
from pixmo.demo.scenes import COLOURS, SHAPES, scene
from pixmo.demo.sentences import NUMBERS, plural
from pixmo.speech.captioning.caption_writer import Cleaner
from pixmo.speech.captioning.faithful import Faithfulness, faithfulness
from pixmo.speech.cleaning.word_forms import DIRECTIONS, stem
from pixmo.workspace.settings import CaptionSettings
from tests.growth import grows_evenly

IMAGES = 120
COLOUR_WORDS = (*COLOURS, "pink", "silver", "cyan")
SHAPE_WORDS = (*SHAPES, "spiral", "cube")
PLACES = {"left": "right", "right": "left", "top": "bottom", "bottom": "top", "above": "below"}
PLACES |= {"below": "above"}
Change = Callable[[list[str], Random], tuple[int, str] | None]

SUPPORTED = [
    ("Two grey dogs sit.", "there are 2 gray dogs sitting"),
    ("A man is riding a bicycle.", "I can see a man who rides a bicycle"),
    ("The image shows a cat, perhaps asleep.", "there's a cat. it might be asleep"),
    ("Twenty-three people stand near a car.", "There are 23 people standing next to a car"),
    ("The price is 15,000 dollars.", "the price is fifteen thousand dollars"),
    ("The circle is red.", "there's a red circle"),
    ("A red circle.", "there's a circle and, um, it is red"),
    ("A brown dog with a collar.", "there is a dog. it is brown and wears a collar"),
    ("There are three cups.", "There are two cups on it. No wait, three."),
    ("There are two red circles.", "I see red circles. There are two of them."),
    ("One dog stands under a tree.", "a dog is standing below a tree"),
    ("In the centre is a dog.", "there is a dog in the middle"),
    ("Red and blue balls lie there.", "I see red balls and blue balls lying there"),
    ("The women are smiling.", "a woman smiles"),
    ("A man without a hat.", "the man doesn't have a hat"),
    ("There are two cups.", "there are three, no wait, two cups"),
    ("The dog is right next to a left-hand glove.", "a dog next to the left hand glove"),
    ("", "there is a dog"),
    ("There are 205 sheep.", "two hundred and, um, five sheep"),
    ("A dog sleeps.", "there is a dog, no wait, a cat that sleeps"),
]
UNSUPPORTED = [
    ("A dog is on the left.", "there is a dog on the right", ("left",)),
    ("There are three dogs.", "there are two dogs", ("three dogs",)),
    ("A blue circle and a red star.", "a red circle and a blue star", ("blue circle", "red star")),
    ("Two dogs and three cats.", "three dogs and two cats", ("two dogs", "three cats")),
    ("The star is below the ring.", "the star is above the ring", ("below",)),
    ("A man wears no hat.", "the man is wearing a hat", ("no hat",)),
    ("The circle is blue.", "a red circle. a blue star.", ("blue",)),
    ("A dog sleeps on a sofa.", "there is a dog on a sofa", ("sleeps",)),
    ("There is one dog.", "there are two dogs", ("one dog",)),
    ("A dog.", "", ("dog",)),
    ("Two dogs.", "Two dogs, no wait, three dogs.", ("two dogs",)),
    ("A red ball.", "A red, sorry, a blue ball.", ("red ball",)),
    ("A dog on the left.", "a dog on the left, no wait, on the right", ("left",)),
]


@pytest.mark.parametrize(("caption", "said"), SUPPORTED)
def test_the_same_in_other_words_is_supported(caption: str, said: str) -> None:
    assert faithfulness(caption, [said]).unsupported == ()


@pytest.mark.parametrize(("caption", "said", "unsupported"), UNSUPPORTED)
def test_what_was_not_said_is_unsupported(
    caption: str, said: str, unsupported: tuple[str, ...]
) -> None:
    assert faithfulness(caption, [said]).unsupported == unsupported


def test_shares() -> None:
    said = ["There is a dog and a red ball.", "There is a cat."]
    assert faithfulness("There is a dog and a red ball. I see a cat.", said) == Faithfulness(
        (), (), 0.0, 0.0
    )
    assert faithfulness("", said) == Faithfulness((), ("dog", "red ball", "ball", "cat"), 0.0, 1.0)
    assert faithfulness("A dog and a bird.", said) == Faithfulness(
        ("bird",), ("red ball", "ball", "cat"), 0.5, 0.75
    )
    assert faithfulness("", []) == Faithfulness((), (), 0.0, 0.0)


def test_what_was_taken_back_is_not_lost() -> None:
    said = ["Um, there are three, no wait, two cups. There's a truck. Scratch that, there's a van."]
    assert faithfulness("There are two cups and a van.", said).lost == ()
    assert faithfulness("There are two cups.", said).lost == ("van",)


def test_other_languages_compare_words() -> None:
    said = ["Ein roter Ball liegt um den Tisch."]
    assert faithfulness("Ein roter Ball liegt um den Tisch.", said, "de").unsupported == ()
    changed = faithfulness("Ein blauer Ball liegt.", said, "de")
    assert changed.unsupported == ("blauer",)
    assert changed.lost == ("roter", "um", "den", "tisch")
    chinese = faithfulness("有一只猫。", ["有一只狗。"], "zh")
    assert (chinese.unsupported, chinese.lost) == (("猫",), ("狗",))


@pytest.mark.parametrize(
    "forms",
    [
        ("circle", "circles"),
        ("box", "boxes"),
        ("run", "running", "runs", "ran"),
        ("ride", "riding", "rides"),
        ("carry", "carries", "carried", "carrying"),
        ("stand", "standing", "stood"),
        ("dish", "dishes"),
        ("child", "children", "child's"),
        ("stop", "stopped"),
        ("call", "called", "calling"),
        ("gray", "grey", "greyish"),
    ],
)
def test_forms_of_a_word_have_one_stem(forms: tuple[str, ...]) -> None:
    assert len({stem(form) for form in forms}) == 1


def test_different_words_have_different_stems() -> None:
    different = "red ring king rug run bus glass grass string star stair tree three seed see"
    assert len({stem(word) for word in different.split()}) == len(different.split())


def sentences_of(index: int) -> tuple[Description, list[str]]:
    """A spoken description, and its clean sentences as words."""
    told = describe(scene(8, index), Random(f"faithful {index}"))
    return told, list(told.clean)


def test_untouched_captions_of_the_sample_are_supported_and_lose_nothing() -> None:
    for index in range(IMAGES):
        told, sentences = sentences_of(index)
        typed = write_description(scene(8, index), Random(index))
        for said in ([told.text], [told.text, typed]):
            found = faithfulness(Cleaner().write(said), said)
            assert (found.unsupported, found.lost) == ((), ())
        found = faithfulness(" ".join(sentences), [told.text])
        assert (found.unsupported, found.lost) == ((), ())


def swap(family: tuple[str, ...]) -> Change:
    def change(words: list[str], rng: Random) -> tuple[int, str] | None:
        places = [at for at, word in enumerate(words) if word.strip(".,") in family]
        if not places:
            return None
        at = rng.choice(places)
        old = words[at].strip(".,")
        return at, rng.choice([word for word in family if word != old])

    return change


def turn(words: list[str], rng: Random) -> tuple[int, str] | None:
    places = [at for at, word in enumerate(words) if word.strip(".,") in PLACES]
    if not places:
        return None
    at = rng.choice(places)
    return at, PLACES[words[at].strip(".,")]


CHANGES = {
    "colour": swap(COLOUR_WORDS),
    "number": swap(NUMBERS[2:]),
    "direction": turn,
    "noun": swap(tuple(plural(shape) for shape in SHAPE_WORDS)),
}


def same(word: str) -> str:
    return DIRECTIONS.get(word, stem(word))


def changed_captions(kind: str) -> Iterator[tuple[str, str, str, bool]]:
    """A caption with a word changed, what was said, the new word, whether that was never said."""
    for index in range(IMAGES):
        told, sentences = sentences_of(index)
        rng = Random(f"{kind} {index}")
        order = list(range(len(sentences)))
        rng.shuffle(order)
        for number in order:
            split = sentences[number].split()
            found = CHANGES[kind](split, rng)
            if found is None:
                continue
            at, new = found
            split[at] = split[at].replace(split[at].strip(".,"), new)
            caption = " ".join((*sentences[:number], " ".join(split), *sentences[number + 1 :]))
            heard = {same(key(word)) for word in told.text.split()}
            yield caption, told.text, new, same(new) not in heard
            break


def found_share(kind: str, never_said: bool) -> tuple[float, int]:
    """Which share of the changes is found, and of how many."""
    found = [
        any(new in word.split() for word in faithfulness(caption, [said]).unsupported)
        for caption, said, new, never in changed_captions(kind)
        if never == never_said
    ]
    return sum(found) / max(1, len(found)), len(found)


@pytest.mark.parametrize("kind", CHANGES)
def test_a_word_that_was_never_said_is_always_found(kind: str) -> None:
    share, of = found_share(kind, never_said=True)
    assert of >= 20
    assert share == 1.0


@pytest.mark.parametrize(
    ("kind", "floor"), [("colour", 0.75), ("number", 0.85), ("direction", 0.6), ("noun", 0.65)]
)
def test_a_word_that_was_said_of_something_else_is_mostly_found(kind: str, floor: float) -> None:
    share, of = found_share(kind, never_said=False)
    assert of >= 20
    assert share >= floor


def test_a_dropped_sentence_is_lost_where_it_alone_said_something() -> None:
    alone = 0
    for index in range(IMAGES):
        told, sentences = sentences_of(index)
        at = Random(index).randrange(len(sentences))
        rest = " ".join((*sentences[:at], *sentences[at + 1 :]))
        found = faithfulness(rest, [told.text])
        assert found.unsupported == ()
        said = {same(key(word)) for word in rest.split()}
        only_here = [word for word in sentences[at].split() if same(key(word)) not in said]
        named = [word for word in only_here if faithfulness(word, []).unsupported]
        assert bool(found.lost) >= bool(named)
        assert {key(word) for word in named} <= {
            part for word in found.lost for part in word.split()
        }
        alone += bool(named)
    assert alone >= 20


def test_the_default_parts_another_telling_from_one_that_stops_early() -> None:
    most = CaptionSettings().max_lost_share
    for index in range(IMAGES):
        told, sentences = sentences_of(index)
        other = describe(scene(8, index), Random(f"other {index}")).clean
        assert faithfulness(" ".join(other), [told.text]).lost_share <= most
        assert faithfulness(" ".join(sentences[:2]), [told.text]).lost_share > most


def key(word: str) -> str:
    return word.strip(".,").lower()


@settings(max_examples=100, deadline=None, database=None)
@given(
    st.text(max_size=80), st.lists(st.text(max_size=80), max_size=3), st.sampled_from(["en", "de"])
)
def test_any_text_can_be_compared(caption: str, said: list[str], language: str) -> None:
    found = faithfulness(caption, said, language)
    assert 0 <= found.unsupported_share <= 1
    assert 0 <= found.lost_share <= 1
    assert faithfulness(caption, [caption], language).unsupported == ()


def test_a_longer_caption_takes_no_longer_for_each_word() -> None:
    told, sentences = sentences_of(0)

    def prepare(times: int) -> tuple[str, str]:
        return " ".join(sentences * times), f"{told.text} " * times

    assert grows_evenly(4, prepare, lambda texts: faithfulness(texts[0], [texts[1]]))
