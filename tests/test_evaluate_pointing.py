"""Points hit within a share of the width, or in a mask, each a true point of its own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixmo.agreement import PointScore, score
from pixmo.evaluate.pointing import score_by_distance, score_by_mask
from pixmo.points import Point

PERCENT = st.floats(0, 100)
PLACES = st.lists(st.builds(Point, PERCENT, PERCENT), max_size=5)


@settings(max_examples=200, deadline=None)
@given(PLACES, PLACES, st.floats(0.5, 50), st.sampled_from([0.5, 1.0, 2.0]))
def test_a_point_hits_within_a_share_of_the_width(
    predicted: list[Point], truth: list[Point], within: float, ratio: float
) -> None:
    apart = np.array(
        [[np.hypot(p.x - t.x, (p.y - t.y) * ratio) for t in truth] for p in predicted]
    ).reshape(len(predicted), len(truth))
    assert score_by_distance(predicted, truth, within, ratio) == score(apart, within)


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
