"""Descriptions: everything they say is true of the scene, in a small vocabulary."""

import re
from itertools import pairwise
from random import Random

import pytest

from pixmo.demo.describe import (
    describe,
    expressions,
    is_held_out,
    questions_and_answers,
    write_description,
)
from pixmo.demo.hesitate import hesitate
from pixmo.demo.scenes import (
    BACKGROUNDS,
    COLOURS,
    HEIGHT,
    PLACES,
    SHAPES,
    WIDTH,
    WORDS,
    Group,
    Scene,
    scene,
)
from pixmo.demo.sentences import NUMBERS, plural

SCENES = [scene(6, index) for index in range(200)]
SINGULAR = {plural(shape): shape for shape in SHAPES} | {shape: shape for shape in SHAPES}
SHAPE = "|".join(sorted(SINGULAR, key=len, reverse=True))
NUMBER = {"a": 1, "an": 1, "one": 1} | {word: i for i, word in enumerate(NUMBERS) if i}
PLACE = {place: (r, c) for r, row in enumerate(PLACES) for c, place in enumerate(row)}
COUNTED = re.compile(
    rf"\b({'|'.join(NUMBER)}) (?:(small|large) )?({'|'.join(COLOURS)}) ({SHAPE})\b", re.I
)
NAMED = re.compile(rf"\b({'|'.join(COLOURS)}) ({SHAPE})\b")
PLACED = re.compile(rf"({'|'.join(PLACE)})", re.I)


def facts(one: Scene) -> dict[tuple[str, str], Group]:
    return {(group.colour, group.shape): group for group in one.groups}


def check(one: Scene, text: str) -> int:
    """How many facts a sentence states; each is compared with the scene."""
    known = facts(one)
    counted = COUNTED.findall(text)
    for number, size, colour, shape in counted:
        group = known[colour, SINGULAR[shape]]
        assert group.count == NUMBER[number.lower()], text
        assert size in ("", group.size), text
        assert (shape in SHAPES) == (group.count == 1), text
    named = [(colour, SINGULAR[shape]) for colour, shape in NAMED.findall(text)]
    assert all(kind in known for kind in named), text
    places = PLACED.findall(text)
    if len(named) == 1 and len(places) == 1:
        group = known[named[0]]
        assert PLACE[places[0].lower()] == (group.row, group.column), text
    if found := re.search(rf"({'|'.join(BACKGROUNDS)})", text):
        assert found[1] == one.background, text
    if found := re.search(rf"\b(?:says|word|is) ({'|'.join(WORDS)})\b", text):
        assert one.sign is not None
        assert one.sign.word == found[1], text
    if " above " in text or " higher " in text or " below " in text:
        upper = " above " in text or " higher " in text
        if len(named) == 2:
            rows = [known[kind].row for kind in named]
            assert (rows[0] < rows[1]) if upper else (rows[0] > rows[1]), text
    return len(counted) + len(named) + len(places)


def test_every_fact_that_is_spoken_is_true() -> None:
    stated = 0
    for index, one in enumerate(SCENES):
        for text in describe(one, Random(index)).clean:
            stated += check(one, text)
    assert stated > 20 * len(SCENES)


def test_every_fact_that_is_written_is_true() -> None:
    for index, one in enumerate(SCENES):
        text = write_description(one, Random(index))
        assert sum(check(one, part + ".") for part in text.split(".")) > 8
        assert 80 <= len(text.split()) <= 110
        beginning = text.split(".")[: len(one.groups)]
        assert {kind for part in beginning for kind in NAMED.findall(part)} == {
            (colour, shape if group.count == 1 else plural(shape))
            for (colour, shape), group in facts(one).items()
        }


def test_a_wrong_fact_would_be_seen() -> None:
    one = SCENES[0]
    group = one.groups[0]
    wrong = next(colour for colour in COLOURS if (colour, group.shape) not in facts(one))
    with pytest.raises(KeyError):
        check(one, f"There is a {wrong} {group.shape}.")


def test_the_same_seed_tells_the_same() -> None:
    assert describe(SCENES[1], Random(5)) == describe(SCENES[1], Random(5))
    assert describe(SCENES[1], Random(5)) != describe(SCENES[1], Random(6))


def test_a_description_is_long_varied_and_hesitant() -> None:
    told = [describe(one, Random(index)) for index, one in enumerate(SCENES)]
    assert all(145 <= len(one.text.split()) <= 245 for one in told)
    assert all(len(one.spoken) == len(one.clean) for one in told)
    sentences = [text for one in told for text in one.clean]
    assert len(set(sentences)) > 0.5 * len(sentences)
    changed = [a != b for one in told for a, b in zip(one.spoken, one.clean, strict=True)]
    assert 0.25 < sum(changed) / len(changed) < 0.35
    spoken = " ".join(one.text for one in told)
    assert all(words in spoken for words in (" um, ", " uh, ", ", no wait, ", ", I mean, "))
    repeats = sum(a == b for a, b in pairwise(spoken.split()))
    assert repeats > 50


def test_the_vocabulary_is_small() -> None:
    words = {
        word.strip(".,").lower()
        for index, one in enumerate(SCENES)
        for word in describe(one, Random(index)).text.split()
    }
    assert 150 <= len(words) <= 200


def test_a_hesitation_keeps_the_words_in_their_order() -> None:
    rng = Random(1)
    text = "there are three red circles at the top"
    for _ in range(300):
        remaining = iter(word.strip(",") for word in hesitate(text, rng).split())
        assert all(word in remaining for word in text.split())


def test_held_out_sentences_are_one_in_twenty_by_their_text() -> None:
    texts = {
        text for index, one in enumerate(SCENES) for text in describe(one, Random(index)).spoken
    }
    share = sum(map(is_held_out, texts)) / len(texts)
    assert 0.03 < share < 0.07
    assert is_held_out("There Are Two.") == is_held_out("there are two.")


def test_expressions_point_at_every_instance_and_at_nothing_absent() -> None:
    for one in SCENES:
        known = facts(one)
        *present, absent_a, absent_b = expressions(one)
        assert len(present) == len(one.groups)
        for expression in present:
            colour, shape = expression.label.split()
            group = known[colour, SINGULAR[shape]]
            centres = [(p.x * WIDTH / 100, p.y * HEIGHT / 100) for p in expression.points]
            assert centres == [pytest.approx(centre) for centre in group.centres]
        for expression in (absent_a, absent_b):
            colour, shape = expression.label.split()
            assert (colour, SINGULAR[shape]) not in known
            assert expression.points == ()


def test_answers_are_true() -> None:
    for index, one in enumerate(SCENES):
        pairs = questions_and_answers(one, Random(index))
        assert pairs == questions_and_answers(one, Random(index))
        for question, answer in pairs:
            if answer.startswith("No, there are no"):
                kinds = {(colour, SINGULAR[shape]) for colour, shape in NAMED.findall(answer)}
                assert not kinds & set(facts(one))
            else:
                check(one, answer)
            if question.startswith(("Where is ", "Is the ")):
                assert answer.startswith("It is")
            if question.startswith(("Where are ", "Are the ")):
                assert answer.startswith("They are")
            if question == "What does the sign say?":
                assert one.sign is not None
                assert answer == f"The sign says {one.sign.word}."
            if found := re.match(rf"How many (\w+) ({SHAPE}) are there\?", question):
                group = facts(one)[found[1], SINGULAR[found[2]]]
                assert f" {NUMBERS[group.count]} " in answer
