"""Scores of points are those of the definition, tried over all ways to match."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixmo.evaluate.pointing import (
    PointScore,
    most_pairs,
    score,
    score_by_distance,
    score_by_mask,
)
from pixmo.points import Point

PERCENT = st.floats(0, 100)
PLACES = st.lists(st.builds(Point, PERCENT, PERCENT), max_size=5)


def most_slowly(hits: np.ndarray) -> int:
    """The most pairs, by trying every way to give each row a column of its own."""
    if hits.shape[0] > hits.shape[1]:
        hits = hits.T
    rows = range(hits.shape[0])
    ways = itertools.permutations(range(hits.shape[1]), hits.shape[0])
    return max(
        sum(hits[row, column] for row, column in zip(rows, way, strict=True)) for way in ways
    )


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_as_many_points_are_matched_as_can_be(rows: int, columns: int, data: st.DataObject) -> None:
    cells = data.draw(st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns))
    hits = np.array(cells).reshape(rows, columns)
    most = most_slowly(hits)
    assert most_pairs(hits) == most
    assert score(hits) == PointScore(most / rows, most / columns)


@settings(max_examples=200, deadline=None)
@given(PLACES, PLACES, st.floats(0.5, 50), st.sampled_from([0.5, 1.0, 2.0]))
def test_a_point_hits_within_a_share_of_the_width(
    predicted: list[Point], truth: list[Point], within: float, ratio: float
) -> None:
    hits = np.array(
        [[np.hypot(p.x - t.x, (p.y - t.y) * ratio) <= within for t in truth] for p in predicted]
    ).reshape(len(predicted), len(truth))
    assert score_by_distance(predicted, truth, within, ratio) == score(hits)


def test_a_point_at_the_distance_hits() -> None:
    for x, expected in ((45.0, 1.0), (44.9, 0.0)):
        assert score_by_distance([Point(x, 50)], [Point(50, 50)], 5.0).f1 == expected


def test_a_match_is_not_lost_to_a_nearer_one() -> None:
    # The first predicted point is nearest to the true point that the second one needs.
    found = score_by_distance([Point(50, 50), Point(55, 50)], [Point(46, 50), Point(51, 50)], 4.5)
    assert found == PointScore(1.0, 1.0)


@pytest.mark.parametrize(("predicted", "true", "expected"), [(0, 0, 1.0), (2, 0, 0.0), (0, 2, 0.0)])
def test_of_nothing_nothing_is_right(predicted: int, true: int, expected: float) -> None:
    found = score_by_distance([Point(1, 1)] * predicted, [Point(1, 1)] * true, 5.0)
    assert (found.precision, found.recall, found.f1) == (expected, expected, expected)


def test_one_point_on_two_things_hits_one_of_them() -> None:
    found = score_by_distance([Point(10, 10)], [Point(10, 10), Point(11, 10)], 5.0)
    assert (found.precision, found.recall) == (1.0, 0.5)
    assert found.f1 == pytest.approx(2 / 3)


def test_a_point_hits_the_thing_in_whose_mask_it_lies() -> None:
    left, right = np.zeros((4, 8), bool), np.zeros((4, 8), bool)
    left[:, :4], right[3, 7] = True, True
    inside = [Point(0, 0), Point(49.9, 99.9), Point(100, 100)]
    assert score_by_mask(inside, [left, right]) == PointScore(2 / 3, 1.0)
    assert score_by_mask([Point(50, 50)], [left, right]) == PointScore(0.0, 0.0)
    assert score_by_mask([Point(-1, 50), Point(10, 101)], [left]) == PointScore(0.0, 0.0)
    assert score_by_mask([Point(87.4, 100)], [right]) == PointScore(0.0, 0.0)
    assert score_by_mask([Point(87.6, 76)], [right]) == PointScore(1.0, 1.0)
