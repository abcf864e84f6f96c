"""Means with their uncertainty."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Mean:
    """A mean over independent units, such as images."""

    value: float
    standard_error: float
    low: float  # of the bootstrap interval that covers the true mean 95 times in 100
    high: float
    units: int

    @property
    def z(self) -> float:
        """The mean in standard errors; 0 where all units are the same zero."""
        if self.standard_error == 0.0:
            return 0.0 if self.value == 0.0 else math.copysign(math.inf, self.value)
        return self.value / self.standard_error


def mean(values: Sequence[float], seed: int = 0) -> Mean:
    """The mean of at least two values, with standard error and bootstrap interval.

    Raises:
        ValueError: fewer than two values have no standard error.
    """
    if len(values) < 2:
        raise ValueError(f"a standard error needs two values or more, not {len(values)}")
    units = np.asarray(values, dtype=np.float64)
    low, high = bootstrap_interval(values, seed)
    return Mean(
        value=float(units.mean()),
        standard_error=float(units.std(ddof=1)) / math.sqrt(len(units)),
        low=low,
        high=high,
        units=len(units),
    )


def clustered_mean(values: Sequence[float], groups: Sequence[str], seed: int = 0) -> Mean:
    """The mean of values of which those of one group, such as an image, are no independent ones.

    Groups are drawn again, each with all its values; the standard error is that of these means.
    Source: the cluster bootstrap; Cameron, Gelbach, Miller 2008. `units` are the groups.

    Raises:
        ValueError: fewer than two groups have no standard error.
    """
    _, place = np.unique(np.asarray(groups), return_inverse=True)
    counts = np.bincount(place)
    if len(counts) < 2:
        raise ValueError(f"a standard error needs two groups or more, not {len(counts)}")
    sums = np.bincount(place, weights=np.asarray(values, np.float64))
    rng = np.random.default_rng(seed)
    drawn = (rng.integers(0, len(counts), len(counts)) for _ in range(RESAMPLES))
    means = [float(sums[some].sum() / counts[some].sum()) for some in drawn]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Mean(
        value=float(sums.sum() / counts.sum()),
        standard_error=float(np.std(means, ddof=1)),
        low=float(low),
        high=float(high),
        units=len(counts),
    )


def paired_difference(first: Sequence[float], second: Sequence[float], seed: int = 0) -> Mean:
    """The mean of `first` minus `second`, unit by unit.

    Raises:
        ValueError: the two are not of one length, or there are fewer than two units.
    """
    return mean([a - b for a, b in zip(first, second, strict=True)], seed)


def bootstrap_interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean. Source: Efron and Tibshirani 1993, ch. 13."""
    units = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    means = [units[rng.integers(0, len(units), len(units))].mean() for _ in range(RESAMPLES)]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)
