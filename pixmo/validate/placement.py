"""Whether answers are on their own images, read from what a model expects on these and on others.

The evidence of an answer is how much likelier the model finds it on its own image than on an image
drawn from the others, in nats: a sample of the pointwise mutual information of answer and image. An
answer that was put on a wrong image is one more answer on one of the others, so its evidence is
distributed as theirs is, which is known; what contradicts its image does so by a whole caption's
facts, or all the digits of a place.

Source: pointwise V-information, Ethayarajh et al. 2021, arXiv 2110.08420, with the mean over other
images in the place of the model that sees none.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pixmo.evaluate.gap import AnnotationLoss
from pixmo.evaluate.statistics import CONFIDENCE, RESAMPLES, Mean

Floats = npt.NDArray[np.float64]
# What a small model gets wrong it gets wrong by little; cubes leave the sum to what is clear.
POWER = 3


def evidence(losses: Sequence[AnnotationLoss]) -> tuple[Floats, Floats]:
    """The evidence of each answer on its own image, and on every other image it was tried on.

    Both in nats, shape (answers, others): against the mean likelihood on the others but one, each
    left out in turn, so that what is compared was never in what it is compared with.
    """
    own = -np.array([loss.own_nats for loss in losses], np.float64)
    others = -np.array([loss.other_nats for loss in losses], np.float64)
    count = others.shape[1]
    left = np.stack([np.delete(others, i, 1) for i in range(count)], 1)
    expected = np.logaddexp.reduce(left, 2) - np.log(count - 1)
    return own[:, None] - expected, others - expected


def misplaced_share(losses: Sequence[AnnotationLoss], seed: int = 0) -> Mean:
    """How much answers contradict their images, as a share of what misplaced ones would.

    An answer contradicts its image by the evidence against this, in nats over the root of its
    characters, cubed. The share is 1 where all are on wrong images; where all are right, what the
    model gets wrong; between these in proportion, if the model does not know the rows by heart:
    what it was trained on contradicts less. The interval is a bootstrap over images.

    Raises:
        ValueError: fewer than two images have no interval.
    """
    own, others = evidence(losses)
    # Evidence adds up over an answer, and what is chance in it as the root of the answer's length.
    chance = np.sqrt([[max(1, loss.characters)] for loss in losses])
    contradiction, possible = (
        (np.maximum(-found / chance, 0.0) ** POWER).sum(1) for found in (own, others)
    )
    _, place = np.unique([loss.image_sha256 for loss in losses], return_inverse=True)
    observed = np.bincount(place, weights=contradiction)
    reference = np.bincount(place, weights=possible)
    images = len(reference)
    if images < 2:
        raise ValueError(f"an interval needs two images or more, not {images}")
    if not reference.sum():  # nothing depends on the image at all
        return Mean(1.0, 0.0, 1.0, 1.0, images)
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(0, images, images) for _ in range(RESAMPLES)]
    shares = [observed[some].sum() / max(reference[some].sum(), 1e-12) for some in drawn]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(shares, [tail, 1 - tail])
    value = float(observed.sum() / reference.sum())
    return Mean(value, float(np.std(shares, ddof=1)), float(low), float(high), images)
