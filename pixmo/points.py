"""Points in percent of an image's width and height, and the text Molmo reads them as."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

# Published PixMo percent values lie in [-2, 102]: a click on the very edge lands just outside.
EDGE_TOLERANCE_PERCENT = 2.0
TAG = re.compile(r"<points?\b([^<>]*)>?")  # a model that is cut off leaves the last one open
PLACE = re.compile(r"""\b([xy])(\d*)\s*=\s*["']\s*(-?\d+(?:\.\d+)?)\s*%?\s*["']""")


class Point(NamedTuple):
    """A place in an image: percent of its width from the left, of its height from the top."""

    x: float
    y: float


def is_near_image(point: Point, tolerance: float = EDGE_TOLERANCE_PERCENT) -> bool:
    """Whether `point` lies in the image or at most `tolerance` percent outside it."""
    low, high = -tolerance, 100.0 + tolerance
    return low <= point.x <= high and low <= point.y <= high


def clamp(point: Point) -> Point:
    """`point` moved to the nearest place in the image."""
    return Point(min(max(point.x, 0.0), 100.0), min(max(point.y, 0.0), 100.0))


def distance(first: Point, second: Point) -> float:
    """Euclidean distance in percent, width and height counted alike."""
    return math.hypot(first.x - second.x, first.y - second.y)


def reading_order(points: Sequence[Point]) -> list[Point]:
    """Points sorted by x, then y: Molmo trains on sorted points (arXiv 2409.17146)."""
    return sorted(Point(round(x, 1), round(y, 1)) for x, y in points)


def to_text(points: Sequence[Point], label: str) -> str:
    """Molmo's text for `points`: one decimal, percent, sorted; `There are none.` for none."""
    if not points:
        return "There are none."
    ordered = reading_order(points)
    if len(ordered) == 1:
        x, y = ordered[0]
        return f'<point x="{x:.1f}" y="{y:.1f}" alt="{label}">{label}</point>'
    places = " ".join(f'x{n}="{x:.1f}" y{n}="{y:.1f}"' for n, (x, y) in enumerate(ordered, 1))
    return f'<points {places} alt="{label}">{label}</points>'


def from_text(text: str) -> list[Point]:
    """The points that a text in Molmo's forms gives, in order; what is no pair is passed over."""
    points = []
    for tag in TAG.finditer(text):
        places: dict[str, dict[str, float]] = {}
        for axis, number, value in PLACE.findall(tag[1]):
            places.setdefault(number, {})[axis] = float(value)
        points += [Point(at["x"], at["y"]) for at in places.values() if len(at) == 2]
    return points
