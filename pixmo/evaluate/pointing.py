"""Pointing: which predicted points hit, each with a true point of its own.

Source of the measure: Deitke et al. 2024, arXiv 2409.17146, appendix on pointing: precision, recall
and F1 of every expression, then their means. Where there are masks a point hits the thing in whose
mask it lies; else it hits the point from which it is at most `within` percent of the width away.

Which predicted point is whose: as many pairs are matched as can hit (`pixmo.agreement`). The paper
matches the points that are nearest in sum (Hungarian), and asks afterwards which of these pairs
hit. That can lose a hit to a nearer point of another thing, never win one, so a score here is its
score or higher, and says how many points are right for some matching at all.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pixmo.agreement import PointScore, distances, score
from pixmo.points import Point

VERSION = 2  # counted up when the same predictions would get another score
WITHIN_PERCENT = (5.0, 10.0)  # of the image's width; both are reported where there are no masks

Mask = npt.NDArray[np.bool_]


def score_by_distance(
    predicted: Sequence[Point],
    truth: Sequence[Point],
    within: float,
    height_over_width: float = 1.0,
) -> PointScore:
    """The score where a point hits a true one at most `within` percent of the width away.

    Points are in percent of width and of height; `height_over_width` makes them comparable.
    """
    return score(distances(predicted, truth, height_over_width), within)


def score_by_mask(predicted: Sequence[Point], masks: Sequence[Mask]) -> PointScore:
    """The score where a point hits a true one in whose mask, shape = (height, width), it lies."""
    apart = np.full((len(predicted), len(masks)), np.inf)
    for column, mask in enumerate(masks):
        height, width = mask.shape
        for row, (x, y) in enumerate(predicted):
            if 0 <= x <= 100 and 0 <= y <= 100:
                # The far edge belongs to the last pixel.
                pixel = min(int(y / 100 * height), height - 1), min(int(x / 100 * width), width - 1)
                if mask[pixel]:
                    apart[row, column] = 0
    return score(apart, within=0)
