"""Means and gaps against scipy and against their definitions."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from pixmo.dataset.reader import Release
from pixmo.evaluate.gap import (
    AnnotationLoss,
    annotation_nats,
    by_image,
    held_out_losses,
    wrong_images,
)
from pixmo.evaluate.statistics import mean, paired_difference
from pixmo.molmo import data, tokenizer
from pixmo.molmo.data import Example
from pixmo.molmo.model import build
from pixmo.molmo.sizes import PROBE_XS
from tests.releases import write_release


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


def test_the_wrong_image_is_never_a_near_duplicate() -> None:
    clusters = ["a", "a", "b", "c", "c", "a"]
    examples = [Example("", str(n), cluster, ()) for n, cluster in enumerate(clusters)]
    assert wrong_images(examples) == [2, 2, 3, 5, 5, 2]
    with pytest.raises(ValueError, match="near-duplicates"):
        wrong_images(examples[:2])


def test_losses_are_averaged_over_each_image() -> None:
    losses = [
        AnnotationLoss("1", "ama", "x", 10, 5.0, 10.0),
        AnnotationLoss("2", "ama", "x", 4, 4.0, 8.0),
        AnnotationLoss("3", "cap", "x", 4, 99.0, 99.0),
        AnnotationLoss("4", "ama", "y", 2, 1.0, 1.0),
    ]
    found = by_image(losses, "ama")
    assert [(one.image_sha256, one.right, one.wrong) for one in found] == [
        ("x", 0.75, 1.5),
        ("y", 0.5, 0.5),
    ]


@torch.no_grad()
def test_an_annotations_nats_are_the_sum_over_its_answer(tmp_path: Path) -> None:
    release = Release.open(write_release(tmp_path / "v1", train=3, held_out=2))
    examples = data.read_examples(release, ["train"], ["cap", "ama"])
    made = tokenizer.train([one.answer for example in examples for one in example.annotations], 300)
    crops = [data.load_crops(release, example, PROBE_XS) for example in examples]
    packed = [
        data.pack(image, example.annotations, made, PROBE_XS)
        for image, example in zip(crops, examples, strict=True)
    ]
    model = build(PROBE_XS, made.vocabulary_size, seed=0)
    found = annotation_nats(model, packed, crops)
    for row, one in enumerate(packed):
        logits = model.language.logits(model(data.collate([one], [crops[row]])))[0].log_softmax(-1)
        for segment in range(1, len(one.annotations) + 1):
            expected = -sum(
                float(logits[at - 1, one.tokens[at]])
                for at in range(len(one.tokens))
                if one.segments[at] == segment and one.weights[at] > 0
            )
            assert found[row][segment - 1] == pytest.approx(expected, rel=1e-4)
    losses = held_out_losses(model, examples, packed, crops)
    assert [loss.kind for loss in losses] == ["cap", "ama", "ama"] * 3
    assert [loss.right_nats for loss in losses[:3]] == pytest.approx(found[0], rel=1e-4)
    assert losses[0].characters == len(examples[0].annotations[0].answer)
    (wrong,) = annotation_nats(model, packed[:1], [crops[1]])
    assert [loss.wrong_nats for loss in losses[:3]] == pytest.approx(wrong, rel=1e-4)
