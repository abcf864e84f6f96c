"""Answers are scored as their definitions have it, worked out by hand or slowly."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixmo.evaluate import vqa


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
        ("-5", "5", True),
        ("C++", "C", True),
        ("it’s", "its", True),
        ("5 p.m.", "5 pm", True),
        ("U.S.A.", "USA", True),
        ("D.C.", "DC", True),
        ("A.", "A", True),
        ("50%", "50", False),
        ("$5", "5", False),
        ("10:30", "10 30", False),
        ("R&B", "R B", False),
        ("on/off", "on off", True),
        ("on/ off", "on off", True),
        ("red /on/off", "red onoff", True),  # a mark beside a space is dropped everywhere
        ("1,000 on/off", "1000 onoff", True),  # and all are beside a number's comma
        (".5", "5", False),
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
        ("14.", "14", 1),
        (".57", "0.57", 1),
        ("1e3", "1000", 1),
        ("1,5", "15", 0),
        ("1e999", "1e998", 0),
        ("inf", "nan", 0),
        ("NaN", "nan", 1),
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


OPTIONS = {"A": "a cat", "B": "vitamin C", "C": "vitamin B", "D": "7.5"}


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("B", "B"),
        ("b.", "B"),
        ("(B)", "B"),
        ("(B) a cat", "B"),
        ("B.", "B"),
        ("B) because", "B"),
        ("**B**", "B"),
        ("$\\boxed{B}$", "B"),
        ("B\nA cat is no vitamin.", "B"),
        ("A: it has fur", "A"),
        ("The answer is B", "B"),
        ("The answer is (B), not C.", "B"),
        ("The answer is B, not C.", "B"),
        ("The answer is B and not (C).", "B"),
        ("B) because C is wrong", "B"),
        ("B\nC is wrong.", "B"),
        ("It is (B), not C.", "B"),
        ("Answer: option D", "D"),
        ("Answer: b", "B"),
        ("the answer is d, not c", "D"),
        ("the answer is a", "A"),
        ("The answer is a dog", None),
        ("so \\boxed{b}", "B"),
        ("so $\\boxed{\\text{d}}$", "D"),
        ("the correct option is C", "C"),
        ("Between A and C, I choose C.", "C"),
        ("(A) is wrong, so it is (D)", "D"),
        ("A is right", "A"),
        ("C since it is round", "C"),
        ("Vitamin C", "B"),
        ("It shows vitamin B.", "C"),
        ("cat", "A"),
        ("It is 7.5", "D"),
        ("17.5", None),
        ("7", None),
        ("A man is in the picture", None),
        ("A cat, I think", "A"),
        ("I see nothing", None),
        ("An old lady", None),
        ("B-flat", None),
        ("E", None),
        ("The answer is A man", None),
        ("", None),
    ],
)
def test_the_option_that_an_answer_chooses(answer: str, label: str | None) -> None:
    assert vqa.choice(answer, OPTIONS) == label


def test_a_word_that_is_a_letter_chooses_nothing() -> None:
    options = {"A": "dog", "B": "owl", "I": "", "C": "black dog"}
    assert vqa.choice("A man is walking a dog", options) == "A"
    assert vqa.choice("A man", options) is None
    assert vqa.choice("I think so.", options) is None
    assert vqa.choice("it is a black dog", options) == "C"
    assert vqa.choice("an owl, no, a dog", options) == "A"
    assert vqa.choice("It is 7.5", {"A": "5", "B": "7"}) is None
    assert vqa.choice("the answer is a dog", {"A": "owl", "B": "dog"}) == "B"


def test_an_option_is_not_taken_for_one_that_differs_in_a_mark() -> None:
    options = {"A": "5", "B": "-5", "C": "x+1", "D": "x-1"}
    assert [vqa.choice(text, options) for text in options.values()] == list(options)
    assert vqa.choice("(-5)", options) == "B"


@pytest.mark.parametrize(
    ("answer", "numbers"),
    [
        ("14", (14,)),
        ("14 cm", (14,)),
        ("14cm.", (14,)),
        ("$1,045.50", (1045.5,)),
        ("52%", (52, 0.52)),
        ("52 percent of them", (52, 0.52)),
        ("-3.5", (-3.5,)),
        ("−3.5", (-3.5,)),
        ("between 2-3", (3,)),
        (".5", (0.5,)),
        ("1.5e-3 m", (0.0015,)),
        ("The answer is 14 for 2 of them", (14,)),
        ("2 of them, so the answer must be 14.", (14,)),
        ("I have no answer, 14 or so", (14,)),
        ("14 is the answer", (14,)),
        ("There are five.", (5,)),
        ("**Five**: one for each", (1,)),
        ("(five)", (5,)),
        ("H2O", ()),
        ("9" * 400, ()),
        ("many", ()),
    ],
)
def test_the_number_that_an_answer_says(answer: str, numbers: tuple[float, ...]) -> None:
    assert vqa.number_said(answer) == numbers


def test_numbers_are_rounded_as_math_vista_asks() -> None:
    assert vqa.integer("14.7 apples", 14)
    assert not vqa.integer("14.7 apples", 15)
    assert vqa.integer("95%", 95)
    assert not vqa.integer("95%", 0)
    assert vqa.decimal("1.249", 1.25, 2)
    assert not vqa.decimal("1.249", 1.2, 2)
    assert vqa.decimal("60%", 0.6, 1)
    assert vqa.decimal("60%", 60.0, 1)
    assert not vqa.decimal("", 0.0, 1)
    assert vqa.number_list("[1, 2] or rather [2007, 2008]", "[2007, 2008]")
    assert vqa.number_list("2007 and 2008", "[2007, 2008]")
    assert not vqa.number_list("[2008, 2007]", "[2007, 2008]")
    assert not vqa.number_list("[2007]", "[2007, 2008]")


@pytest.mark.parametrize(
    ("answer", "truth", "right"),
    [
        ("The answer is parabola.", "Parabola", True),
        ("parabola", "Parabola", True),
        ("Not a line but a parabola", "Parabola", True),
        ("parabolas", "Parabola", False),
        ("The parabola is a circle", "Parabola", False),  # the conclusion is another
        ("It is a line. It is a parabola", "Parabola", True),
        ("Thus x = 3.4286", "3.43", True),
        ("Thus 3.4286. So no line is there.", "3.43", True),
        ("SO IT IS A PARABOLA, not a circle", "circle", True),
        ("a circle, SO A PARABOLA", "circle", False),
        ("Thus x = 3.42", "3.43", False),
        ("x = 2, so y = 3", "2", False),
        ("$6,000", "6000", True),
        ("6000 dollars", "$6,000", True),
        ("1/3", "1/3", True),
        ("", "x", False),
    ],
)
def test_an_open_answer_is_what_it_concludes(answer: str, truth: str, right: bool) -> None:
    assert vqa.open_answer(answer, ["something else", truth]) == right
