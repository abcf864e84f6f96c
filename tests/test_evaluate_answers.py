"""Counts and answers are scored as their definitions have it, worked out by hand or slowly."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixmo.evaluate import counting, vqa
from pixmo.evaluate.counting import CountScore, count_said
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
        ("two dozen", None),
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


def test_counts_are_scored_for_every_true_count() -> None:
    answers, counts = ["2", "three", "many", "5", "none"], [2, 2, 2, 7, 1]
    assert counting.score(answers, counts) == CountScore(5, 1 / 5, 3 / 5, 4 / 5)
    assert counting.score_by_count(answers, counts) == {
        1: CountScore(1, 0.0, 1.0, 1.0),
        2: CountScore(3, 1 / 3, 2 / 3, 2 / 3),
        7: CountScore(1, 0.0, 0.0, 1.0),
    }


@pytest.mark.parametrize(
    ("answer", "truth", "same"),
    [
        ("The Dog.", "dog", True),
        ("dont", "don't", True),
        ("two", "2", True),
        ("1,000", "1000", True),
        ("3.5", "35", False),
        ("3.5", "3.5 ", True),
        ("red, white", "red white", True),
        ("an apple", "apple", True),
        ("theatre", "atre", False),
        ("none", "0", True),
        ("A", "a", True),
        ("The", "A", False),
        ("", "A", False),
        ("काल", "किल", False),
        ("-5", "5", False),
        ("C++", "C", True),
        ("it’s", "its", True),
        ("ﬁve", "5", True),
    ],
)
def test_answers_are_normalised_before_they_are_compared(
    answer: str, truth: str, same: bool
) -> None:
    assert vqa.exact(answer, ["something else", truth]) == same
    assert vqa.exact(truth, ["something else", answer]) == same


def soft_slowly(answer: str, people: Sequence[str]) -> float:
    """The mean over all groups of nine, of the people in it who gave the answer over three."""
    groups = list(itertools.combinations(people, len(people) - 1))
    return sum(min(1.0, group.count(answer) / 3) for group in groups) / len(groups)


@given(st.lists(st.sampled_from(["cat", "dog", "owl"]), min_size=2, max_size=12))
def test_an_answer_is_as_right_as_people_agree(people: list[str]) -> None:
    assert vqa.soft("Cat", people) == pytest.approx(soft_slowly("cat", people))


def test_of_ten_people_four_make_an_answer_right() -> None:
    rights = [vqa.soft("cat", ["a cat"] * yes + ["dog"] * (10 - yes)) for yes in range(5)]
    assert rights == pytest.approx([0.0, 0.3, 0.6, 0.9, 1.0])


@pytest.mark.parametrize(
    ("answer", "truth", "right"),
    [
        ("104.9", "100", 1),
        ("105.1", "100", 0),
        ("-100", "100", 0),
        ("$1,050", "1000", 1),
        ("52%", "0.5", 1),
        ("50%", "50", 0),  # half, and fifty
        ("0", "0", 1),
        ("0.01", "0", 0),
        ("Blue ", "blue", 1),
        ("blues", "blue", 0),
        ("12 apples", "12", 0),
    ],
)
def test_a_number_of_a_chart_may_be_off_by_a_twentieth(
    answer: str, truth: str, right: float
) -> None:
    assert vqa.relaxed(answer, truth) == right


def edits_slowly(one: str, other: str) -> int:
    """The fewest letters to insert, leave out or exchange."""
    if not one or not other:
        return len(one) + len(other)
    return min(
        edits_slowly(one[1:], other) + 1,
        edits_slowly(one, other[1:]) + 1,
        edits_slowly(one[1:], other[1:]) + (one[0] != other[0]),
    )


@given(st.text("abAB", max_size=5), st.lists(st.text("ab", max_size=5), min_size=1, max_size=3))
def test_a_slip_of_the_pen_costs_its_share_of_the_letters(answer: str, truths: list[str]) -> None:
    def similarity(truth: str) -> float:
        longest = max(len(answer), len(truth))
        share = 1 - edits_slowly(answer.lower(), truth) / longest if longest else 1.0
        return share if share >= 0.5 else 0.0

    assert vqa.anls(answer, truths) == pytest.approx(max(map(similarity, truths)))
