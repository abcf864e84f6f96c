"""Points of several annotators on one expression and one image as one set.

Two points of different annotators may stand for one thing if they are at most a tolerance apart.
Points are joined into groups by complete linkage (agglomerative; Defays 1977, The Computer Journal
20), the nearest first: any two points of a group are within the tolerance, and no two of one
annotator. So who marks one thing twice counts once for it, and of two things that stand closer
together than the tolerance each keeps the points that are nearest to it. Annotators are all alike
to this: nobody's points are the ones that others are matched to.

A group that enough annotators pointed at is kept, at the median of its points along each axis;
points of the others are left out, with the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from pixmo.agreement import distances
from pixmo.errors import LabelError
from pixmo.points import Point

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class PointAnnotation:
    """Where somebody pointed; nowhere, if they said that there is none."""

    annotation_uid: str
    annotator: str
    points: Sequence[Point]  # percent of the displayed image, in the order clicked; finite


class Click(NamedTuple):
    """One point of an annotation."""

    annotation_uid: str
    point_index: int  # in its `points`, from 0


@dataclass(frozen=True)
class KeptPoint:
    """A point that enough annotators agree on."""

    point: Point  # the median along each axis of the points that it was merged from
    merged_from: tuple[Click, ...]  # one of each annotator who pointed there; sorted


@dataclass(frozen=True)
class LeftOut:
    """A point that too few annotators agree on."""

    click: Click
    reason: str


@dataclass(frozen=True)
class Consensus:
    """What annotators agree on. Every point given is in one `merged_from`, or left out."""

    points: tuple[KeptPoint, ...]  # by x, then y
    left_out: tuple[LeftOut, ...]  # by click
    annotators: int
    without_points: int  # of the annotators; no point kept means "none" only if these are enough


def consensus(
    annotations: Sequence[PointAnnotation],
    within: float,
    height_over_width: float = 1.0,
    share: float = 0.5,
) -> Consensus:
    """The points that more than a `share` of the annotators agree on.

    `within` is in percent of the image's width along both axes, for which `height_over_width` is
    needed (see `pixmo.agreement`). The points kept depend on nothing but where people pointed: on
    no order of annotators or clicks, and on no name.

    Raises:
        LabelError: an annotator, or an annotation, is there twice.
        ValueError: `share` is below 0 or not below 1.
    """
    if not 0 <= share < 1:
        raise ValueError(f"a share of annotators is from 0 to below 1, not {share:g}")
    require_distinct("annotator", [one.annotator for one in annotations])
    require_distinct("annotation", [one.annotation_uid for one in annotations])

    # Where distances are equal, the order decides; so it is made of the places alone.
    ordered = sorted(annotations, key=lambda one: (sorted(one.points), one.annotation_uid))
    clicks: list[Click] = []
    points: list[Point] = []
    people: list[int] = []
    for person, one in enumerate(ordered):
        for index, point in sorted(enumerate(one.points), key=lambda numbered: numbered[1]):
            clicks.append(Click(one.annotation_uid, index))
            points.append(point)
            people.append(person)

    kept: list[KeptPoint] = []
    left_out: list[LeftOut] = []
    for group in linked(people, distances(points, points, height_over_width), within):
        if len(group) > share * len(annotations):
            xs, ys = zip(*(points[number] for number in group), strict=True)
            merged_from = tuple(sorted(clicks[number] for number in group))
            kept.append(KeptPoint(Point(median(xs), median(ys)), merged_from))
        else:
            reason = f"only {len(group)} of {len(annotations)} annotators pointed there"
            left_out += [LeftOut(clicks[number], reason) for number in group]
    return Consensus(
        points=tuple(sorted(kept, key=lambda one: (one.point, one.merged_from))),
        left_out=tuple(sorted(left_out, key=lambda one: one.click)),
        annotators=len(annotations),
        without_points=sum(not one.points for one in annotations),
    )


def linked(
    people: Sequence[int], apart: "npt.NDArray[np.float64]", within: float
) -> list[list[int]]:
    """Numbers of points in groups, by complete linkage up to `within`, none with a person twice.

    `people` says whose each point is; `apart`, shape = (points, points), is symmetric. The two
    groups whose farthest points are nearest are joined first; of equally near ones those that make
    the largest group, so that people who point at the very same places, some of them twice, end up
    with just these; then those that come first.
    """
    import numpy as np

    groups = {number: [number] for number in range(len(people))}
    linkage: dict[int, dict[int, float]] = {number: {} for number in groups}
    queue: list[tuple[float, int, int, int]] = []

    def offer(one: int, other: int, farthest: float) -> None:
        linkage[one][other] = linkage[other][one] = farthest
        size = len(groups[one]) + len(groups[other])
        heappush(queue, (farthest, -size, one, other))

    for one, other in np.argwhere(np.triu(apart <= within, 1)).tolist():
        if people[one] != people[other]:
            offer(one, other, float(apart[one, other]))
    numbers = count(len(people))
    while queue:
        _, _, one, other = heappop(queue)
        if one not in groups or other not in groups:
            continue  # joined with a nearer one since
        joined = next(numbers)
        groups[joined] = groups.pop(one) + groups.pop(other)
        linkage[joined] = {}
        near_one, near_other = linkage.pop(one), linkage.pop(other)
        # What has somebody in common with one of them, or is too far from it, is not in both.
        for third in near_one.keys() & near_other.keys() & groups.keys():
            offer(third, joined, max(near_one[third], near_other[third]))
    return list(groups.values())


def require_distinct(kind: str, names: Sequence[str]) -> None:
    """No name is there twice.

    Raises:
        LabelError: one is.
    """
    for name in names:
        if names.count(name) > 1:
            raise LabelError(
                f"{kind} {name} is there twice for one image and expression;"
                " keep the newest annotation of each annotator"
            )
