"""Means against scipy and against their definitions."""

import math

import numpy as np
import pytest
from scipy import stats

from pixmo.evaluate.statistics import mean, paired_difference


def test_a_paired_difference_is_scipys() -> None:
    rng = np.random.default_rng(1)
    first = rng.normal(1.0, 2.0, 40)
    second = first - rng.normal(0.3, 1.0, 40)
    found = paired_difference(list(first), list(second))
    test = stats.ttest_rel(first, second)
    assert found.value == pytest.approx(np.mean(first - second))
    assert found.standard_error == pytest.approx(stats.sem(first - second))
    assert found.z == pytest.approx(test.statistic)
    assert found.units == 40


def test_the_bootstrap_interval_is_scipys_and_the_same_every_time() -> None:
    values = list(np.random.default_rng(2).exponential(1.0, 60))
    found = mean(values)
    reference = stats.bootstrap((values,), np.mean, method="percentile", rng=0).confidence_interval
    assert found.low == pytest.approx(reference.low, abs=0.02)
    assert found.high == pytest.approx(reference.high, abs=0.02)
    assert mean(values) == found


def test_a_mean_without_spread_is_certain() -> None:
    assert mean([0.0, 0.0]).z == 0.0
    assert mean([2.0, 2.0]).z == math.inf
    with pytest.raises(ValueError, match="two values"):
        mean([1.0])
