"""Agreement is what its definitions say, and what is published of it."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixmo.agreement import (
    PointAgreement,
    PointScore,
    cohen_kappa,
    distances,
    interval,
    krippendorff_alpha,
    match,
    nominal,
    pairwise_agreement,
    point_agreement,
    score,
)
from pixmo.points import Point

PERCENT = st.floats(0, 100)
PLACES = st.lists(st.builds(Point, PERCENT, PERCENT), max_size=5)

# Points


def best_slowly(apart: np.ndarray, within: float) -> tuple[int, float]:
    """The most pairs and their least sum, by trying every way to give each row a column."""
    if apart.shape[0] > apart.shape[1]:
        apart = apart.T
    ways = itertools.permutations(range(apart.shape[1]), apart.shape[0])
    found = [[apart[cell] for cell in enumerate(way) if apart[cell] <= within] for way in ways]
    return min(((len(near), sum(near)) for near in found), key=lambda one: (-one[0], one[1]))


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_most_points_are_matched_and_of_so_many_the_nearest(
    rows: int, columns: int, data: st.DataObject
) -> None:
    cell = st.one_of(st.floats(0, 10), st.sampled_from([0.0, 5.0, math.inf]))
    cells = data.draw(st.lists(cell, min_size=rows * columns, max_size=rows * columns))
    apart = np.array(cells).reshape(rows, columns)
    pairs = match(apart, within=5.0)
    assert pairs == sorted(pairs)
    for one in zip(*pairs, strict=True):
        assert len(set(one)) == len(one)
    assert all(apart[pair] <= 5.0 for pair in pairs)
    most, least = best_slowly(apart, 5.0)
    assert (len(pairs), sum(apart[pair] for pair in pairs)) == (most, pytest.approx(least))
    assert score(apart, 5.0) == PointScore(most / rows, most / columns)


@settings(max_examples=100, deadline=None)
@given(PLACES, PLACES, st.sampled_from([0.5, 1.0, 2.0]))
def test_distances_are_in_percent_of_the_width(
    first: list[Point], second: list[Point], ratio: float
) -> None:
    found = distances(first, second, ratio)
    assert found.shape == (len(first), len(second))
    for (row, p), (column, q) in itertools.product(enumerate(first), enumerate(second)):
        assert found[row, column] == pytest.approx(math.hypot(p.x - q.x, (p.y - q.y) * ratio))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([], [], PointAgreement(1.0, True)),
        ([Point(1, 1)], [], PointAgreement(0.0, False)),
        ([Point(1, 1)], [Point(9, 9)], PointAgreement(0.0, True)),
        ([Point(1, 1), Point(9, 9)], [Point(9, 8)], PointAgreement(pytest.approx(2 / 3), False)),
    ],
)
def test_annotators_agree_on_points_and_on_their_number(
    first: list[Point], second: list[Point], expected: PointAgreement
) -> None:
    assert point_agreement(first, second, 5.0) == expected
    assert point_agreement(second, first, 5.0) == expected


def test_a_tolerance_is_a_circle_in_an_image_that_is_no_square() -> None:
    low, high = [Point(50, 50)], [Point(50, 54)]  # 8 percent of the width in a portrait of 1 : 2
    assert [point_agreement(low, high, 5.0, ratio).f1 for ratio in (1.0, 2.0)] == [1.0, 0.0]


def test_every_two_annotators_are_compared_once() -> None:
    here, there = [Point(10, 10)], [Point(60, 60)]
    found = pairwise_agreement({"cy": here, "ann": here, "bob": there}, 5.0)
    assert {pair: one.f1 for pair, one in found.items()} == {
        ("ann", "bob"): 0.0,
        ("ann", "cy"): 1.0,
        ("bob", "cy"): 0.0,
    }
    tall = pairwise_agreement({"ann": [Point(5, 5)], "bob": [Point(5, 9)]}, 5.0, 2.0)
    assert tall == {("ann", "bob"): PointAgreement(0.0, True)}


# Verdicts


def by_table(table: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """What two annotators said, of whom the first is the row and the second the column."""
    said = [
        (row, column)
        for row, cells in enumerate(table)
        for column, times in enumerate(cells)
        for _ in range(times)
    ]
    return [one for one, _ in said], [other for _, other in said]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        # Cohen 1968, Psychological Bulletin 70, table 1, of 200 cases: (.70 - .41) / (1 - .41).
        ([[88, 14, 18], [10, 40, 10], [2, 6, 12]], 0.492),
        # Wikipedia, Cohen's kappa, of 50 proposals: (.7 - .5) / (1 - .5); and its two of equal .6.
        ([[20, 5], [10, 15]], 0.4),
        ([[45, 15], [25, 15]], 0.1304),
        ([[25, 35], [5, 35]], 0.2593),
    ],
)
def test_kappa_is_what_is_published(table: Sequence[Sequence[int]], expected: float) -> None:
    assert cohen_kappa(*by_table(table)) == pytest.approx(expected, abs=5e-4)


VERDICTS = st.lists(st.tuples(st.sampled_from("arx"), st.sampled_from("arx")), max_size=12)


@given(VERDICTS)
def test_kappa_is_what_its_definition_says(said: list[tuple[str, str]]) -> None:
    first, second = [one for one, _ in said], [other for _, other in said]
    found = cohen_kappa(first, second)
    if len({*first, *second}) < 2:
        assert math.isnan(found)
        return
    observed = sum(one == other for one, other in said) / len(said)
    by_chance = [one == other for one, other in itertools.product(first, second)]
    expected = sum(by_chance) / len(by_chance)
    assert found == pytest.approx((observed - expected) / (1 - expected))


def test_kappa_is_of_the_same_things() -> None:
    with pytest.raises(ValueError, match="shorter"):
        cohen_kappa(["accept", "reject"], ["accept"])


def alpha_slowly(
    units: Sequence[Sequence[float]], distance: Callable[[float, float], float]
) -> float:
    """From the definition: over all pairs of values within units, and over all pairs at all."""
    units = [unit for unit in units if len(unit) > 1]
    values = [value for unit in units for value in unit]
    observed = sum(
        distance(one, other) / (len(unit) - 1)
        for unit in units
        for one, other in itertools.permutations(unit, 2)
    ) / len(values)
    expected = sum(distance(one, other) for one, other in itertools.permutations(values, 2))
    return 1 - observed / (expected / (len(values) * (len(values) - 1)))


# Krippendorff 2011, Computing Krippendorff's alpha-reliability, sections A to C: an annotator a
# row, a thing a column, and a dot for what was not judged.
BINARY = ("0100000010", "1110010000")
TWO = ("aabbdcccedda", "babbbccceddd")
FOUR = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")


@pytest.mark.parametrize(
    ("rows", "distance", "expected"),
    [
        (BINARY, nominal, 0.095),
        (TWO, nominal, 0.692),
        (FOUR, nominal, 0.743),
        (FOUR, interval, 0.849),
    ],
)
def test_alpha_is_what_its_author_works_out(
    rows: tuple[str, ...], distance: Callable[[object, object], float], expected: float
) -> None:
    units = [[ord(said) for said in column if said != "."] for column in zip(*rows, strict=True)]
    assert krippendorff_alpha(units, distance) == pytest.approx(expected, abs=5e-4)


UNIT = st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), max_size=5)


@given(st.lists(UNIT, max_size=8), st.sampled_from([nominal, interval]))
def test_alpha_is_what_its_definition_says(
    units: list[list[float]], distance: Callable[[float, float], float]
) -> None:
    found = krippendorff_alpha(units, distance)
    if len({value for unit in units if len(unit) > 1 for value in unit}) < 2:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(alpha_slowly(units, distance))
