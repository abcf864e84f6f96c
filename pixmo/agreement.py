"""How alike people say it: points of one expression on one image, and verdicts on the same things.

How far two points are apart is Euclidean and in percent of the image's width along both axes, so
that a tolerance is a circle in the image as people see it, whatever its shape.

Which point is whose: as many pairs are matched as lie within the tolerance, each point in one pair
at most, and of the ways to do that the one with the least sum of distances. Nearest in sum alone
would lose a pair to a nearer point of another thing.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import TYPE_CHECKING, TypeVar

from pixmo.points import Point

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Value = TypeVar("Value", bound=Hashable)


@dataclass(frozen=True)
class PointScore:
    """How points do beside those that they should be; shares of 1."""

    precision: float  # of the points those that are matched
    recall: float  # of those that they should be the ones that are matched

    @property
    def f1(self) -> float:
        """The harmonic mean, the same in both directions; 0 where nothing is matched."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


@dataclass(frozen=True)
class PointAgreement:
    """How alike two annotators point; the same in both directions."""

    f1: float  # 1 where both say that there is none, 0 where one of them does
    counts_agree: bool


def point_agreement(
    first: Sequence[Point],
    second: Sequence[Point],
    within: float,
    height_over_width: float = 1.0,
) -> PointAgreement:
    """How alike two annotators point at one expression on one image; no points mean "none".

    Points are in percent of width and of height, `within` in percent of the width.
    """
    found = score(distances(first, second, height_over_width), within)
    return PointAgreement(found.f1, len(first) == len(second))


def pairwise_agreement(
    points: Mapping[str, Sequence[Point]], within: float, height_over_width: float = 1.0
) -> dict[tuple[str, str], PointAgreement]:
    """The `point_agreement` of every two annotators, whose names are sorted."""
    return {
        (one, other): point_agreement(points[one], points[other], within, height_over_width)
        for one, other in combinations(sorted(points), 2)
    }


def distances(
    first: Sequence[Point], second: Sequence[Point], height_over_width: float = 1.0
) -> "npt.NDArray[np.float64]":
    """How far apart points are, in percent of the image's width, shape = (first, second).

    Points are in percent of width and of height; `height_over_width` makes them comparable.
    """
    import numpy as np

    places, others = (np.array(points, np.float64).reshape(-1, 2) for points in (first, second))
    apart = places[:, None] - others[None]
    found: npt.NDArray[np.float64] = np.hypot(apart[..., 0], apart[..., 1] * height_over_width)
    return found


def match(apart: "npt.NDArray[np.float64]", within: float) -> list[tuple[int, int]]:
    """Pairs (row, column) at most `within` apart that share no row and no column, rows ascending.

    They are as many as can be, and of so many the nearest in sum. `apart` may be infinite.
    Source: the assignment problem (Kuhn 1955, Naval Research Logistics Quarterly 2), as in SciPy.
    """
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    near = apart <= within
    if not near.any():
        return []
    # One pair too few costs more than all others together can save.
    too_far = apart[near].max() * min(apart.shape) + 1
    rows, columns = linear_sum_assignment(np.where(near, apart, too_far))
    return [
        (int(row), int(column))
        for row, column in zip(rows, columns, strict=True)
        if near[row, column]
    ]


def score(apart: "npt.NDArray[np.float64]", within: float) -> PointScore:
    """The score of points (rows) beside those that they should be (columns), `apart` each.

    Where there should be none, to have none is right.
    """
    rows, columns = apart.shape
    if not rows or not columns:
        return PointScore(1.0, 1.0) if rows == columns else PointScore(0.0, 0.0)
    found = len(match(apart, within))
    return PointScore(found / rows, found / columns)


def cohen_kappa(first: Sequence[Value], second: Sequence[Value]) -> float:
    """How alike two annotators judge the same things, in the same order: 1 always, 0 by chance.

    NaN where nothing was judged, or both always say the same one thing.

    Source: Cohen 1960, A coefficient of agreement for nominal scales.

    Raises:
        ValueError: one of them judged more things than the other.
    """
    same = sum(one == other for one, other in zip(first, second, strict=True))
    count = len(first)
    said, said_by_other = Counter(first), Counter(second)
    by_chance = sum(times * said_by_other[value] for value, times in said.items())
    # Both over their number of pairs, `count` and its square; in whole numbers nothing is rounded.
    if by_chance == count**2:
        return float("nan")
    return (same * count - by_chance) / (count**2 - by_chance)


def nominal(one: Hashable, other: Hashable) -> float:
    """How unlike two names are: 0 or 1."""
    return float(one != other)


def interval(one: float, other: float) -> float:
    """How unlike two numbers are whose differences mean something: the square of theirs."""
    return (one - other) ** 2


def krippendorff_alpha(
    units: Sequence[Sequence[Value]], distance: Callable[[Value, Value], float]
) -> float:
    """How alike any number of annotators judge: 1 always, 0 by chance, below 0 less than by chance.

    1 less the disagreement within units over that of all their values. A unit holds what was said
    of one thing, by however many; one with fewer than two values says nothing and is passed over.
    `distance` is `nominal` for verdicts, `interval` for numbers. NaN where all values are the same.
    Source: Krippendorff 2011, Computing Krippendorff's alpha-reliability.
    """
    judged = [unit for unit in units if len(unit) > 1]
    everything = [value for unit in judged for value in unit]
    expected = disagreement(everything, distance)
    if not expected:
        return float("nan")
    within = sum(disagreement(unit, distance) / (len(unit) - 1) for unit in judged)
    return 1 - within / (expected / (len(everything) - 1))


def disagreement(values: Sequence[Value], distance: Callable[[Value, Value], float]) -> float:
    """The distances of all ordered pairs of values, summed."""
    times = Counter(values)
    pairs = permutations(times, 2)
    return sum(times[one] * times[other] * distance(one, other) for one, other in pairs)
