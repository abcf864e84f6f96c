"""Points of several people become one set, in which every one of them is accounted for."""

import itertools
from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixmo.agreement import distances
from pixmo.errors import LabelError
from pixmo.label.consensus import (
    Click,
    Consensus,
    KeptPoint,
    LeftOut,
    PointAnnotation,
    consensus,
    linked,
)
from pixmo.points import Point

WITHIN = 5.0
# Coarse places meet and tie often, fine ones hardly ever.
PLACE = st.one_of(st.integers(0, 12).map(float), st.floats(0, 30))
POINTS = st.lists(st.builds(Point, PLACE, PLACE), max_size=6)
SEVERAL = st.lists(POINTS, max_size=5)
SHARE = st.sampled_from([0.0, 0.5, 2 / 3])


def annotations(*said: Sequence[Point]) -> list[PointAnnotation]:
    """One annotation each."""
    return [PointAnnotation(f"u{n}", f"annotator-{n}", points) for n, points in enumerate(said)]


def clicks(found: Consensus) -> list[Click]:
    """All points accounted for."""
    merged = [click for one in found.points for click in one.merged_from]
    return merged + [one.click for one in found.left_out]


@settings(max_examples=300, deadline=None)
@given(SEVERAL, SHARE, st.sampled_from([0.5, 1.0, 2.0]))
def test_every_point_is_merged_or_left_out_once(
    said: list[list[Point]], share: float, ratio: float
) -> None:
    found = consensus(annotations(*said), WITHIN, ratio, share)
    given_points = [Click(f"u{n}", i) for n, points in enumerate(said) for i in range(len(points))]
    assert sorted(clicks(found)) == given_points
    assert found.annotators == len(said)
    assert found.without_points == sum(not points for points in said)


@settings(max_examples=300, deadline=None)
@given(SEVERAL, SHARE, st.sampled_from([0.5, 1.0, 2.0]))
def test_a_kept_point_is_one_of_enough_people_who_are_within_the_tolerance(
    said: list[list[Point]], share: float, ratio: float
) -> None:
    for kept in consensus(annotations(*said), WITHIN, ratio, share).points:
        uids = [click.annotation_uid for click in kept.merged_from]
        assert len(set(uids)) == len(uids) > share * len(said)
        merged = [said[int(uid[1:])][index] for uid, index in kept.merged_from]
        assert distances(merged, merged, ratio).max() <= WITHIN


@settings(max_examples=300, deadline=None)
@given(SEVERAL, SHARE, st.randoms())
def test_the_order_of_annotators_means_nothing(
    said: list[list[Point]], share: float, random: Random
) -> None:
    given_ones = annotations(*said)
    shuffled = random.sample(given_ones, len(given_ones))
    assert consensus(shuffled, WITHIN, share=share) == consensus(given_ones, WITHIN, share=share)


@settings(max_examples=300, deadline=None)
@given(SEVERAL, st.randoms())
def test_neither_names_nor_the_order_of_clicks_move_a_point(
    said: list[list[Point]], random: Random
) -> None:
    others = [random.sample(points, len(points)) for points in random.sample(said, len(said))]
    places = [
        [one.point for one in consensus(annotations(*people), WITHIN).points]
        for people in (said, others)
    ]
    assert places[0] == places[1]


@settings(max_examples=200, deadline=None)
@given(POINTS, st.integers(1, 5), SHARE)
def test_what_all_say_alike_is_what_they_say(
    points: list[Point], people: int, share: float
) -> None:
    found = consensus(annotations(*[points] * people), WITHIN, share=share)
    assert [one.point for one in found.points] == sorted(points)
    assert found.left_out == ()


def linked_slowly(people: list[int], points: list[Point], within: float) -> list[list[int]]:
    """By its definition: of all groups that may be joined, the nearest, until none is near."""
    groups = [[number] for number in range(len(points))]
    while True:
        near = []
        for one, other in itertools.combinations(groups, 2):
            both = one + other
            apart = distances([points[n] for n in one], [points[n] for n in other]).max()
            if len({people[n] for n in both}) == len(both) and apart <= within:
                near.append((apart, one, other))
        if not near:
            return groups
        _, one, other = min(near)
        groups = [group for group in groups if group not in (one, other)] + [one + other]


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 5), st.integers(0, 14), st.integers())
def test_points_are_linked_by_the_definition(people: int, count: int, seed: int) -> None:
    random = Random(seed)
    points = [Point(random.uniform(0, 15), random.uniform(0, 15)) for _ in range(count)]
    whose = [random.randrange(people) for _ in points]
    found = linked(whose, distances(points, points), WITHIN)
    expected = linked_slowly(whose, points, WITHIN)
    assert sorted(map(sorted, found)) == sorted(map(sorted, expected))


@given(st.lists(st.integers(1, 3), min_size=2, max_size=6))
def test_at_one_place_who_points_again_takes_nobody_away(times: list[int]) -> None:
    whose = [person for person, often in enumerate(times) for _ in range(often)]
    groups = linked(whose, np.zeros((len(whose), len(whose))), WITHIN)
    expected = [sum(often >= n for often in times) for n in range(1, max(times) + 1)]
    assert sorted(map(len, groups), reverse=True) == expected


@pytest.mark.parametrize("lines", itertools.permutations(["10", "14", "18"]))
def test_of_equal_distances_neither_order_nor_name_decides(lines: tuple[str, ...]) -> None:
    said = [[Point(float(x), 50) for x in line.split()] for line in lines]
    found = consensus(annotations(*said), WITHIN)
    assert [one.point.x for one in found.points] == [12]
    assert [said[int(one.click.annotation_uid[1:])][0].x for one in found.left_out] == [18]
    assert consensus(annotations(*said)[::-1], WITHIN) == found


@pytest.mark.parametrize("twice", [(10, 18), (18, 10)])
def test_of_equal_distances_no_order_of_clicks_decides(twice: tuple[int, int]) -> None:
    found = consensus(annotations([Point(14, 50)], [Point(x, 50) for x in twice]), WITHIN)
    assert [one.point.x for one in found.points] == [12]


def test_kept_points_are_by_x_then_y() -> None:
    said = [Point(30, 5), Point(10, 70), Point(10, 20)]
    nearer = [Point(30, 5), Point(10, 71), Point(10, 22)]  # joined in this order
    found = consensus(annotations(said, nearer), WITHIN)
    assert [one.point for one in found.points] == [Point(10, 21), Point(10, 70.5), Point(30, 5)]


@pytest.mark.parametrize("seed", range(10))
def test_planted_things_are_found_where_they_stand(seed: int) -> None:
    """Five people miss one thing in five, err by half a percent, and see one more each."""
    random = Random(seed)
    things = [Point(12.0 * x, 12.0 * y) for x in range(1, 8) for y in range(1, 8)]
    hits = [[thing for thing in things if random.random() < 0.8] for _ in range(5)]
    said = [
        [Point(random.gauss(x, 0.5), random.gauss(y, 0.5)) for x, y in hit] + [Point(20 * n, 0)]
        for n, hit in enumerate(hits)
    ]
    found = consensus(annotations(*[random.sample(one, len(one)) for one in said]), WITHIN)
    agreed = [thing for thing in things if sum(thing in hit for hit in hits) > 2]
    assert len(agreed) < len(things)
    apart = distances([one.point for one in found.points], agreed)
    assert sorted(apart.argmin(axis=1)) == list(range(len(agreed)))
    assert apart.min(axis=1).max() < 1.5


def test_a_majority_decides_and_the_rest_has_a_reason() -> None:
    here, there, once = Point(20, 20), Point(60, 60), Point(90, 10)
    found = consensus(
        annotations([here], [there, Point(21, 24)], [once, Point(22, 21)], [there], []), WITHIN
    )
    assert found == Consensus(
        points=(KeptPoint(Point(21, 21), (Click("u0", 0), Click("u1", 1), Click("u2", 1))),),
        left_out=(
            LeftOut(Click("u1", 0), "only 2 of 5 annotators pointed there"),
            LeftOut(Click("u2", 0), "only 1 of 5 annotators pointed there"),
            LeftOut(Click("u3", 0), "only 2 of 5 annotators pointed there"),
        ),
        annotators=5,
        without_points=1,
    )
    of_two = consensus(annotations([here], []), WITHIN)
    assert (of_two.points, of_two.without_points) == ((), 1)  # half is no majority
    assert consensus(annotations([here], []), WITHIN, share=0).points[0].point == here
    assert consensus([], WITHIN) == Consensus((), (), 0, 0)


def test_who_clicks_one_thing_twice_counts_once() -> None:
    found = consensus(annotations([Point(10, 10), Point(10.4, 10)], [Point(10.1, 10)], []), WITHIN)
    assert [one.merged_from for one in found.points] == [(Click("u0", 0), Click("u1", 0))]
    assert [one.click for one in found.left_out] == [Click("u0", 1)]


def test_things_closer_than_the_tolerance_stay_apart() -> None:
    first, second = [Point(x, 10) for x in (10, 12, 14)], [Point(x, 10) for x in (12, 14, 16)]
    found = consensus(annotations(first, second, first[1:]), WITHIN)
    # As many pairs as can be would take every point for its neighbour: 11, 13 and 15.
    assert [one.point.x for one in found.points] == [12, 14]
    assert [one.click for one in found.left_out] == [Click("u0", 0), Click("u1", 2)]


def test_a_tolerance_is_in_percent_of_the_width() -> None:
    said = annotations([Point(50, 50)], [Point(50, 54)])
    assert [len(consensus(said, WITHIN, ratio).points) for ratio in (1.0, 1.25, 2.0)] == [1, 1, 0]


def test_an_annotator_has_one_say() -> None:
    one, other = annotations([], [])
    again = PointAnnotation("u2", "annotator-0", [])
    with pytest.raises(LabelError, match="annotator annotator-0 is there twice for one image"):
        consensus([one, other, again], WITHIN)
    with pytest.raises(LabelError, match="annotation u1 is there twice"):
        consensus([one, other, PointAnnotation("u1", "annotator-2", [])], WITHIN)
    for share in (-0.1, 1.0):
        with pytest.raises(ValueError, match="from 0 to below 1"):
            consensus([one], WITHIN, share=share)
