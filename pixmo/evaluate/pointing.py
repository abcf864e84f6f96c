"""Pointing: which predicted points hit, each with a true point of its own.

Source of the measure: Deitke et al. 2024, arXiv 2409.17146, appendix on pointing: precision, recall
and F1 of every expression, then their means. Where there are masks a point hits the thing in whose
mask it lies; else it hits the point from which it is at most `within` percent of the width away.

Which predicted point is whose: as many pairs are matched as can hit. The paper matches the points
that are nearest in sum (Hungarian), and asks afterwards which of these pairs hit. That can lose a
hit to a nearer point of another thing, never win one, so a score here is its score or higher, and
says how many points are right for some matching at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pixmo.points import Point

VERSION = 2  # counted up when the same predictions would get another score
WITHIN_PERCENT = (5.0, 10.0)  # of the image's width; both are reported where there are no masks

Hits = npt.NDArray[np.bool_]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class PointScore:
    """How the points of one expression do; shares of 1."""

    precision: float  # of the predicted points those that hit
    recall: float  # of the true points those that were hit

    @property
    def f1(self) -> float:
        """The harmonic mean; 0 where nothing hit."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def score_by_distance(
    predicted: Sequence[Point],
    truth: Sequence[Point],
    within: float,
    height_over_width: float = 1.0,
) -> PointScore:
    """The score where a point hits a true one at most `within` percent of the width away.

    Points are in percent of width and of height; `height_over_width` makes them comparable.
    """
    places, targets = in_widths(predicted, height_over_width), in_widths(truth, height_over_width)
    distances = np.linalg.norm(places[:, None] - targets[None], axis=2)
    return score(distances <= within)


def score_by_mask(predicted: Sequence[Point], masks: Sequence[Mask]) -> PointScore:
    """The score where a point hits a true one in whose mask, shape = (height, width), it lies."""
    hits = np.zeros((len(predicted), len(masks)), bool)
    for column, mask in enumerate(masks):
        height, width = mask.shape
        for row, (x, y) in enumerate(predicted):
            if 0 <= x <= 100 and 0 <= y <= 100:
                # The far edge belongs to the last pixel.
                pixel = min(int(y / 100 * height), height - 1), min(int(x / 100 * width), width - 1)
                hits[row, column] = mask[pixel]
    return score(hits)


def score(hits: Hits) -> PointScore:
    """The score of predicted points (rows) that could hit true ones (columns), each once.

    As many pairs are matched as can be. Where there is no true point, to predict none is right.
    """
    predicted, true = hits.shape
    if not predicted or not true:
        return PointScore(1.0, 1.0) if predicted == true else PointScore(0.0, 0.0)
    found = most_pairs(hits)
    return PointScore(found / predicted, found / true)


def most_pairs(hits: Hits) -> int:
    """The most pairs (row, column) that hit and share no row and no column.

    Source: Hopcroft and Karp 1973, as in SciPy.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    matched = maximum_bipartite_matching(csr_array(hits), perm_type="column")
    return int((matched >= 0).sum())


def in_widths(points: Sequence[Point], height_over_width: float) -> npt.NDArray[np.float64]:
    """The points in percent of the width along both axes, shape = (n, 2)."""
    return np.array(points, np.float64).reshape(-1, 2) * (1.0, height_over_width)
