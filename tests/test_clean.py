"""pixmo.speech.cleaning.clean and its rules: planted disfluencies, exact answers."""

from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixmo.demo.describe import describe, write_description
from pixmo.demo.scenes import scene
from pixmo.speech.cleaning.clean import clean
from pixmo.speech.cleaning.word_classes import is_content
from pixmo.text import words
from tests.growth import grows_evenly

CLEANED = {
    # fillers
    "Um, there is a red circle.": "There is a red circle.",
    "there are, uh, two stars": "There are two stars.",
    "There is umm a dog, hmm, on the left.": "There is a dog on the left.",
    "The shapes are red, um, blue and green.": "The shapes are red, blue and green.",
    "A red circle, uh, a blue star and a ring.": "A red circle, a blue star and a ring.",
    "At first, um, glance I see two groups.": "At first glance I see two groups.",
    "It is larger than, er, the star.": "It is larger than the star.",
    "There is a dog, um.": "There is a dog.",
    "Okay, so, there is a dog.": "There is a dog.",
    "It is, you know, a big dog.": "It is a big dog.",
    "Um. Uh. There is a dog. Hmm.": "There is a dog.",
    # repetitions
    "The the circle is is red.": "The circle is red.",
    "I I can see a a star.": "I can see a star.",
    "It is on the on the left.": "It is on the left.",
    "There is, there is a dog.": "There is a dog.",
    "I see a an orange star.": "I see an orange star.",
    # false starts
    "There is a, there are two red circles.": "There are two red circles.",
    "there is a there are two red circles": "There are two red circles.",
    "There is a... there are two red circles.": "There are two red circles.",
    "It is, the sign says stop.": "The sign says stop.",
    "I see a, a thin line runs along the top.": "A thin line runs along the top.",
    "There are, at the top there is a ring.": "At the top there is a ring.",
    "The man is, the man has a hat.": "The man has a hat.",
    "I can see, um, I can see the the star.": "I can see the star.",
    "I see the the sign, it says stop.": "I see the sign, it says stop.",
    # corrections
    "There are three, no wait, two red circles.": "There are two red circles.",
    "there are three no wait two red circles": "There are two red circles.",
    "There are two. No wait, three red circles.": "There are three red circles.",
    "A red, I mean, blue star is at the top.": "A blue star is at the top.",
    "There is a large star, no wait, circle.": "There is a large circle.",
    "It is on the left, no wait, on the right.": "It is on the right.",
    "There is a dog, no, wait, a cat.": "There is a cat.",
    "There is a, no wait, there are two dogs.": "There are two dogs.",
    "There is a blue, no wait, orange ring.": "There is an orange ring.",
    "There are two circles, sorry, three circles.": "There are three circles.",
    "I see four stars at the top, no wait, five.": "I see five stars at the top.",
    "Um, there are are two, no wait, uh, three rings.": "There are three rings.",
    # "It is a well" is no better word for "is a well"
    "There is a well. Well, it's a well.": "There is a well. It's a well.",
    # what numbers the telling, to its end
    "First, there is a dog. Second, there is a cat. Third, the cow is brown. Fourth, I forgot.": (
        "There is a dog. There is a cat. The cow is brown. I forgot."
    ),
    # a ligature at the beginning
    "\ufb01sh swim there.": "Fish swim there.",
    # fillers behind fillers, words broken off
    "So there's like a dog.": "There's a dog.",
    "It's a, okay, so, there is a dog.": "There is a dog.",
    "There's a bl- blue ball.": "There's a blue ball.",
    "The ba- the background is grey.": "The background is grey.",
    # corrections of every kind
    "In front of the house, sorry, behind the house.": "Behind the house.",
    "The cup is next to the plate, no, behind the plate.": "The cup is behind the plate.",
    "There is a dog. Actually, two dogs.": "There are two dogs.",
    "There are two cups on it, sorry, three.": "There are three cups on it.",
    "A big brown dog, I mean a cat, is asleep.": "A cat is asleep.",
    "It's a horse, or rather a donkey.": "It's a donkey.",
    "There's a truck. Scratch that. There's a van.": "There's a van.",
    "I count five, no six, no, seven birds.": "I count seven birds.",
    "A red, uh, no, blue car.": "A blue car.",
    "There are two sorry three lamps.": "There are three lamps.",
    "The sofa is brown, or rather, dark brown.": "The sofa is dark brown.",
    "Two plates, make that three plates.": "Three plates.",
    # names keep their capital, and the beginning of a sentence loses it
    "It's Coke, I mean Pepsi.": "It's Pepsi.",
    "The map shows France, sorry, Italy.": "The map shows Italy.",
    "The sign says Paris, no, London.": "The sign says London.",
    "There are two. No wait. Three red circles.": "There are three red circles.",
    "The car is red. Sorry. Blue.": "The car is blue.",
    "I see a dog, no wait, A cat.": "I see a cat.",
    # a noun or a verb said twice is a stutter
    "There is a tree tree in the yard.": "There is a tree in the yard.",
    "She is sitting sitting on it.": "She is sitting on it.",
    "There is a man man holding his his cup.": "There is a man holding his cup.",
    "He's he's wearing a blue shirt.": "He's wearing a blue shirt.",
    "Then then people come.": "Then people come.",
    # lists
    "There's a cup and there's a plate and there's a fork.": "There's a cup, a plate and a fork.",
    "First there's a dog, second there's a cat.": "There's a dog and a cat.",
    # numbers
    "There are twenty three seats.": "There are 23 seats.",
    "Two thousand and five people stand here.": "2005 people stand here.",
    "Twelve thousand six hundred birds.": "12,600 birds.",
    "It is five meters tall and from nineteen eighty four.": "It is 5 meters tall and from 1984.",
    # spaces, capitals, full stops
    "  there  is a dog ,  it is big.it sits": "There is a dog, it is big.it sits.",
    "there is a dog.There is a cat": "There is a dog. There is a cat.",
    "what is it? it is a dog!": "What is it? It is a dog!",
    "i think i'm looking at 3.5 miles, i.e. far": "I think I'm looking at 3.5 miles, i.e. far.",
    "": "",
    " \n ": "",
    "um": "",
}

# Nothing here may be taken for a disfluency.
KEPT = (
    "There are can can dancers.",
    "There is a red, green and blue flag.",
    "It is very very small.",
    "The sign says 2 2 4.",
    "There are two two story houses.",
    'The sign says "um the the".',
    "It reads UM ER at the top.",
    "The nail is 5 mm long.",
    "There is no text.",
    "No, wait for the bus is what it says.",
    "I see a red circle, a red square and a red star.",
    "On the left, there is a man, on the right, there is a woman.",
    "I see a dog, no cat.",
    "There is a dog, I think, on the left.",
    "It is, I think, a dog.",
    "They actually like it.",
    "He had had enough.",
    "I know that that dog is brown.",
    "The red circle is on the left, no wait, the blue ring.",
    "Dr. Smith stands next to St. Paul's.",
    "There are, at the top, two rings.",
    "The price is $5, -3 °C & 50% off.",
    "Stop, stop, stop.",
    # said twice, what describes may be meant to
    "There is a long long driveway.",
    "A big big tree stands behind the dark dark forest.",
    "The driveway is long long.",
    "The wall is wet wet.",
    "The tree looks big big.",
    "I see a red red ball.",
    # two of the same kind are two
    "A man and a man and a woman are here.",
    "A man, a man and a woman are here.",
    # what was read off the image
    "The band is called The The.",
    "The letter A A.",
    "The shirt says Um, and the hat says Uh.",
    "The sign says no no no parking.",
    "The jersey says twenty three.",
    # a comma before "no", "sorry" and "wait" is no correction yet
    "There are three dogs, no two alike.",
    "There are blue circles, no red circles.",
    "People stand in line, wait in line and leave.",
    "The cup is on the table. No. It is under it.",
    # joined, the cup would move to the chair, and both would run
    "There's a cup and there's a plate on the chair.",
    "There's a dog and there's a man running.",
    "There's a sign says stop and there's a cat.",
    "First, there is a dog.",
    # more or less than one number
    "There are three cups, nine plates and twelve forks.",
    "At ten thirty, twenty first graders came.",
    "Two million people live here.",
    "There are, at the top, two rings that look old.",
    "The return value is the return value from above.",
    "The screen is 300 mm wide, in mm.",
    "The road goes on and on and on.",
)

OTHER_LANGUAGES = {
    ("de", "Er sitzt um den Tisch."): "Er sitzt um den Tisch.",
    ("de", "die Frau ,die um  die Uhr lacht"): "Die Frau, die um die Uhr lacht.",
    ("fr", "il y a un chat , un chat et un chien"): "Il y a un chat, un chat et un chien.",
    ("it", "i gatti e i cani"): "I gatti e i cani.",
    ("nl", "'s avonds er is licht"): "'s avonds er is licht.",
    ("zh", "有一只狗。"): "有一只狗。",
}

SPOKEN = (
    "um uh hmm er the a an there is are I i can see it red blue two three circle star left right"
    " no wait mean sorry actually on at top of and dog sign says stop so okay you know like 2 UM"
    " that had very Mr e.g"
)
VOCABULARY = st.sampled_from(SPOKEN.split())
MARKS = st.sampled_from(["", "", "", "", ",", ",", ".", "?", "...", "…", " -", ";", '"', ")", " &"])
TEXTS = st.lists(st.tuples(VOCABULARY, MARKS), max_size=30).map(
    lambda pairs: " ".join(word + mark for word, mark in pairs)
)


@pytest.mark.parametrize("text", CLEANED)
def test_planted_disfluencies(text: str) -> None:
    assert clean(text) == CLEANED[text]


@pytest.mark.parametrize(("language", "text"), OTHER_LANGUAGES)
def test_other_languages_keep_every_word(language: str, text: str) -> None:
    assert clean(text, language) == OTHER_LANGUAGES[language, text]


@pytest.mark.parametrize("text", KEPT)
def test_nothing_else_is_taken_away(text: str) -> None:
    assert clean(text) == text


def test_every_rule_works_in_a_long_transcript() -> None:
    text = " ".join(dirty for dirty in CLEANED if dirty.endswith("."))
    expected = " ".join(clean for dirty, clean in CLEANED.items() if dirty.endswith("."))
    assert clean(text) == expected


@settings(max_examples=300, deadline=None, database=None)
@given(TEXTS)
def test_cleaning_again_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@settings(max_examples=300, deadline=None, database=None)
@given(TEXTS)
def test_no_content_word_is_new_and_none_is_reordered(text: str) -> None:
    before = [word.lower() for word in words(text)]
    after = [word.lower() for word in words(clean(text))]
    assert not Counter(filter(is_content, after)) - Counter(filter(is_content, before))
    rest = iter(word for word in before if is_content(word))
    if not any(word in ("wait", "mean", "sorry", "actually") for word in before):
        # Without a correction, what is left stands in the order in which it was said.
        assert all(word in rest for word in after if is_content(word))


@settings(max_examples=100, deadline=None, database=None)
@given(st.text(max_size=60))
def test_any_text_can_be_cleaned(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert once == " ".join(once.split())


def test_sentences_begin_with_a_capital_and_end() -> None:
    text = clean("there is a dog. it is, um, big! is it? yes it is")
    assert text == "There is a dog. It is big! Is it? Yes it is."
    assert all(b[0].isupper() for a, b in pairwise(text.split()) if a[-1] in ".!?")


def test_written_descriptions_stay_as_they_are() -> None:
    for index in range(300):
        text = write_description(scene(5, index), Random(index))
        assert clean(text) == text


def test_spoken_descriptions_become_what_was_meant() -> None:
    """Word for word in all, and sign for sign but for a comma here and there."""
    exact = total = 0
    for index in range(60):
        told = describe(scene(6, index), Random(index))
        for said, meant in zip(told.spoken, told.clean, strict=True):
            assert words(clean(said)) == words(meant)
            exact += clean(said) == meant
            total += 1
    assert total > 1000
    assert exact / total > 0.99


def test_the_next_sentence_may_begin_with_the_same_words() -> None:
    text = "The purple stars are at the top. The purple stars are large."
    assert clean(f"I count three purple stars. {text}") == f"I count three purple stars. {text}"


@pytest.mark.parametrize("said", ["the ", "there is a ", "it was a ", "a bl- blue ", "two, no, "])
def test_a_loop_takes_no_longer_for_each_word(said: str) -> None:
    words = len(said.split())
    assert grows_evenly(2000, lambda size: said * (size // words), clean)
