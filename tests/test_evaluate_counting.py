"""The number that an answer gives is found, and scored beside the true one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixmo.evaluate.answers import score_count
from pixmo.evaluate.counting import count_said
from pixmo.molmo.prompts import counting_text
from pixmo.points import Point


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        ("There are 3 dogs.", 3),
        ("3", 3),
        ("three", 3),
        ("I see Twenty-One birds", 21),
        ("two red cars and one blue car, so 3 in all", 3),
        ("1,204 seats", 1204),
        ("There are none.", 0),
        ("There isn't any.", 0),
        ("No dogs", 0),
        ("I cannot tell.", None),
        ("I have no idea, it is not clear", None),
        ("someone at the phone", None),  # `one` inside a word is no number
        ("", None),
        ("There is no one in the image.", 0),
        ("No one.", 0),
        ("I don't see any dogs.", 0),
        ("There aren’t any.", 0),
        ("There are 3 dogs, and the last one is asleep.", 3),
        ("I cannot see one", None),
        ("one", 1),
        ("a total of 1,200 people, 3 of them sit", 1200),
        ("a total of five dogs, 2 of them brown", 5),
        ("twenty five", 25),
        ("one hundred", None),
        ("a hundred and five", None),
        ("two dozen", None),
        ("3 hundred", None),
        ("dozens of them", None),
        ("12 (a dozen)", 12),
        ("two dozen eggs: 24", 24),
        ("3 dogs and hundreds of leaves", 3),
        ("5.0", 5),
        ("5.05", None),
        ("9" * 15, 10**15 - 1),
        ("9" * 16, None),
        ("9" * 5000, None),
        ("about 2.5 metres", None),
        ("a total of 12, of which 3 are red", 12),
        ("3rd", None),
        ("None of the 4 windows is open: 0", 0),
        ('<points x1="10.0" y1="20.5" x2="7" y2="8" alt="2 dogs">dogs</points>', None),
    ],
)
def test_the_number_that_an_answer_gives(answer: str, count: int | None) -> None:
    assert count_said(answer) == count


@given(st.lists(st.builds(Point, st.floats(0, 100), st.floats(0, 100)), max_size=12))
def test_an_answer_by_pointing_gives_its_total(points: list[Point]) -> None:
    assert count_said(counting_text(points, "dogs")) == len(points)


def test_counts_are_scored_over_all_and_by_the_true_count() -> None:
    assert score_count("There are 3.", 2) == {
        "count-2 exact": 0.0,
        "count-2 within one": 1.0,
        "count-2 exact of true count 2": 0.0,
        "count-2 within one of true count 2": 1.0,
    }
    assert set(score_count("2", 2).values()) == {1.0}
    assert set(score_count("4", 2).values()) == set(score_count("many", 0).values()) == {0.0}
