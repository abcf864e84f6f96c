"""Evidence and misplaced shares against their definitions, and against what was planted."""

import math
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import pyarrow.parquet as pq
import pytest

from pixmo.evaluate.gap import AnnotationLoss
from pixmo.molmo.data import Example
from pixmo.molmo.prompts import Annotation
from pixmo.validate import suspects
from pixmo.validate.placement import evidence, misplaced_share
from pixmo.validate.probe_run import RunResult

KINDS, FACTS, OTHERS = 6, 3, 8
SURE = 0.9  # probability that the planted model gives to what an image shows


def nats(shown: Sequence[int], said: Sequence[int]) -> float:
    """What a model that is 90 % sure of each fact expects of an answer, by its definition."""
    right = sum(a == b for a, b in zip(shown, said, strict=True))
    wrong = (1 - SURE) / (KINDS - 1)
    return -right * math.log(SURE) - (FACTS - right) * math.log(wrong)


def world(
    misplaced: float, images: int = 400, seed: int = 0
) -> tuple[list[AnnotationLoss], set[str]]:
    """Answers of three facts to images, some of which show something else; and which these are."""
    rng = Random(seed)
    shown = [[rng.randrange(KINDS) for _ in range(FACTS)] for _ in range(images)]
    found, wrong = [], set()
    for number, facts in enumerate(shown):
        said = facts
        if rng.random() < misplaced:
            said = shown[rng.randrange(images)]
            wrong.add(str(number))
        own = nats(facts, said)
        others = [nats(shown[(number + 1 + n) % images], said) for n in range(OTHERS)]
        found.append(AnnotationLoss(str(number), "cap", str(number), 10, own, tuple(others)))
    return found, wrong


def test_evidence_is_that_of_its_definition() -> None:
    losses, _ = world(0.2, images=5)
    own, others = evidence(losses)
    for row, loss in enumerate(losses):
        for left_out in range(OTHERS):
            rest = [nats for n, nats in enumerate(loss.other_nats) if n != left_out]
            mean = sum(math.exp(-nats) for nats in rest) / len(rest)
            assert own[row, left_out] == pytest.approx(-loss.own_nats - math.log(mean))
            told = -loss.other_nats[left_out] - math.log(mean)
            assert others[row, left_out] == pytest.approx(told)


@pytest.mark.parametrize("misplaced", [0.0, 0.1, 0.3, 1.0])
def test_the_share_is_the_planted_one(misplaced: float) -> None:
    losses, wrong = world(misplaced)
    share = misplaced_share(losses)
    # The planted model is sure of what it sees; hardly a right answer contradicts its image.
    assert share.value == pytest.approx(len(wrong) / len(losses), abs=0.02 + 0.06 * misplaced)
    assert share.low <= share.value <= share.high
    assert share.units == 400


def test_the_share_is_of_contradiction_in_units_of_chance_cubed() -> None:
    lengths = (4, 9, 16)
    losses = [
        AnnotationLoss(str(n), "cap", str(n), length, float(n), (1.0, 2.0, 4.0 - n))
        for n, length in enumerate(lengths)
    ]
    sums = [0.0, 0.0]
    for row, length in enumerate(lengths):
        for place, found in enumerate(evidence(losses)):
            sums[place] += sum(max(0.0, -nats / length**0.5) ** 3 for nats in found[row])
    assert misplaced_share(losses).value == pytest.approx(sums[0] / sums[1])


def test_the_interval_covers_the_share_of_other_samples() -> None:
    expected = float(
        np.mean([misplaced_share(world(0.2, seed=seed)[0]).value for seed in range(40)])
    )
    inside = [
        share.low <= expected <= share.high
        for share in (misplaced_share(world(0.2, seed=100 + seed)[0]) for seed in range(60))
    ]
    assert sum(inside) >= 52


def test_what_depends_on_no_image_counts_as_misplaced() -> None:
    blind = [AnnotationLoss(str(n), "cap", str(n), 10, 3.0, (3.0,) * OTHERS) for n in range(10)]
    assert misplaced_share(blind).value == 1.0
    with pytest.raises(ValueError, match="two images"):
        misplaced_share(blind[:1])


def test_misplaced_rows_head_the_table_of_their_subset(tmp_path: Path) -> None:
    losses, wrong = world(0.1)
    examples = [
        Example(
            "", loss.id, loss.id, (Annotation(loss.id, "cap", " long_caption:", f" {loss.id}"),)
        )
        for loss in losses
    ]
    trained = RunResult((), tuple(losses[:100]), tuple(losses[100:]), ())
    suspects.write(tmp_path / "evidence.parquet", examples[100:], examples[:100], trained)
    rows = pq.read_table(tmp_path / "evidence.parquet").to_pylist()
    assert len(rows) == len(losses)
    first = rows[: len(wrong)]
    assert sum(row["id"] in wrong for row in first) / len(wrong) > 0.9
    assert [row["evidence"] for row in rows] == sorted(row["evidence"] for row in rows)
    assert {row["id"] for row in rows if not row["trained_on"]} == {str(n) for n in range(100)}
    assert rows[0]["answer"] == rows[0]["id"]
