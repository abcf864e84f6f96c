"""What the probe says of a release from what its runs measured, with planted measurements."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from pixmo.dataset.reader import Release
from pixmo.evaluate.gap import AnnotationLoss
from pixmo.molmo import tokenizer
from pixmo.molmo.crops import Crops
from pixmo.molmo.data import Example
from pixmo.molmo.prompts import Annotation, caption, question
from pixmo.molmo.sizes import PROBE_XS
from pixmo.molmo.train import TrainingOptions
from pixmo.validate import probe
from pixmo.validate.probe import (
    FEWEST_HELD_OUT_IMAGES,
    FEWEST_TRAIN_IMAGES,
    ProbeOptions,
    judge,
)
from pixmo.validate.probe_run import (
    MOST_EPOCHS,
    MOST_LEARNT_IMAGES,
    Material,
    ProbeRun,
    RunResult,
    in_parts,
)
from pixmo.validate.verdict import FAIL, INVALID, PASS, Verdict

TRAIN, HELD_OUT = 600, 80
STEMS = ("cap", "ama", "points")


def examples(count: int, start: int = 0, stems: Sequence[str] = STEMS) -> list[Example]:
    """Images with one row of each subset."""
    return [
        Example(
            "", str(n), str(n),
            tuple(Annotation(f"{stem}-{n}", stem, " ?", f" answer {n}") for stem in stems),
        )
        for n in range(start, start + count)
    ]  # fmt: skip


def losses(of: Sequence[Example], gap: float, right: float = 1.0) -> tuple[AnnotationLoss, ...]:
    """Losses a little apart; the own image better by `gap` nats of ten characters each."""
    rng = Random(len(of))
    return tuple(
        AnnotationLoss(
            one.id, one.kind, example.image_sha256, 10, 10 * right + rng.gauss(0, 0.1),
            tuple(10 * (right + gap) + rng.gauss(0, 0.3) for _ in range(4)),
        )
        for example in of
        for one in example.annotations
    )  # fmt: skip


def judged(
    learnt: Sequence[Example], held_out: Sequence[Example], stems: Sequence[str] = STEMS
) -> Verdict:
    """The verdict on a release from which everything is learnt well."""
    release = cast(
        Release, SimpleNamespace(stems=list(stems), manifest=SimpleNamespace(version="v1"))
    )
    trained = RunResult((1.0,), losses(held_out, 0.3), losses(learnt, 0.3, right=0.9), ())
    control = RunResult((1.0,), losses(held_out, 0.0), (), ())
    rendered = RunResult((1.0,), losses(examples(60), 0.3), losses(examples(60), 0.3), ())
    runs = (trained, control, rendered)
    return judge(release, ProbeOptions(), "key", (learnt, held_out), runs)


def test_everything_learnt_passes() -> None:
    found = judged(examples(TRAIN), examples(HELD_OUT, TRAIN))
    assert {one.stem: one.outcome for one in found.subsets} == dict.fromkeys(STEMS, PASS)
    assert (found.outcome, found.train_images, found.held_out_images) == (PASS, TRAIN, HELD_OUT)
    assert "rendered pictures pass in pixmo-cap, pixmo-ask-model-anything, pixmo-points" in (
        found.instrument_check
    )
    # Planted: 0.1 nats a character better on rows that were trained on.
    assert [one.memorised for one in found.subsets] == pytest.approx([0.1] * 3, abs=0.01)
    assert [one.repeated for one in found.subsets] == [0.0] * 3


def test_a_subset_with_few_images_to_train_on_is_not_judged() -> None:
    few = FEWEST_TRAIN_IMAGES - 1
    learnt = examples(few) + examples(TRAIN - few, few, stems=("cap",))
    found = judged(learnt, examples(HELD_OUT, TRAIN))
    outcomes = {one.stem: one.outcome for one in found.subsets}
    assert outcomes == {"cap": PASS, "ama": INVALID, "points": INVALID}
    assert f"{few} images to train on, 512 are needed" in found.subsets[1].reason
    assert found.outcome == PASS
    assert "not judged: pixmo-ask-model-anything, pixmo-points" in found.reason


def test_a_subset_that_no_row_of_was_trained_on_is_not_judged() -> None:
    found = judged(examples(TRAIN, stems=("cap",)), examples(HELD_OUT, TRAIN))
    assert [one.outcome for one in found.subsets] == [PASS, INVALID, INVALID]


def test_a_subset_that_the_probe_does_not_know_is_said_not_to_be_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probe, "GATES", {"cap": probe.GATES["cap"]})
    learnt, held_out = examples(TRAIN, stems=("cap",)), examples(HELD_OUT, TRAIN, stems=("cap",))
    found = judged(learnt, held_out, stems=("cap", "ama"))
    assert [one.outcome for one in found.subsets] == [PASS, INVALID]
    assert "ama     INVALID: the probe knows no gate for it" in found.text()


def test_answers_in_both_splits_are_counted() -> None:
    learnt, held_out = examples(TRAIN), examples(HELD_OUT, TRAIN)
    copied = replace(
        held_out[0],
        annotations=tuple(replace(one, answer=" answer 3") for one in held_out[0].annotations),
    )
    found = judged(learnt, [copied, *held_out[1:]])
    assert [one.repeated for one in found.subsets] == [1 / HELD_OUT] * 3


def test_shuffled_everything_fails() -> None:
    held_out = examples(HELD_OUT, TRAIN)
    release = cast(
        Release, SimpleNamespace(stems=list(STEMS), manifest=SimpleNamespace(version="v1"))
    )
    blind = RunResult((1.0,), losses(held_out, 0.0), losses(examples(TRAIN), 0.0), ())
    rendered = RunResult((1.0,), losses(examples(60), 0.3), losses(examples(60), 0.3), ())
    runs = (blind, blind, rendered)
    found = judge(release, ProbeOptions(), "key", (examples(TRAIN), held_out), runs)
    assert found.outcome == FAIL
    assert [one.outcome for one in found.subsets] == [FAIL] * 3


def test_the_docs_give_the_gates() -> None:
    page = (Path(__file__).parents[1] / "docs/validation.md").read_text("utf-8")
    for stem, name in (("cap", "captions"), ("ama", "answers"), ("points", "points")):
        gate = probe.GATES[stem]
        for told in (
            f"{name} {gate.gap:g}",
            f"{name} {gate.z:g}",
            f"{name} by {100 * gate.told:g} %",
            f"{name} {100 * gate.most_misplaced:g} %",
        ):
            assert told in page, told
    assert f"({FEWEST_TRAIN_IMAGES} to train on, {FEWEST_HELD_OUT_IMAGES} held out)" in page
    assert f"default {ProbeOptions().steps:,} steps" in page
    assert f"rows trained on, of {MOST_LEARNT_IMAGES:,} images" in page
    assert f"more\nthan {MOST_EPOCHS} times" in page


def test_few_images_are_not_looked_at_too_often() -> None:
    job = ProbeRun(cast(Release, None), ProbeOptions(steps=1000), "release", Path(), "")
    batch = job.options.training.batch_examples
    assert job.training(100_000).steps == 1000
    assert job.training(FEWEST_TRAIN_IMAGES).steps == MOST_EPOCHS * FEWEST_TRAIN_IMAGES // batch
    assert replace(job, arm="rendered").most_steps == 500


def test_every_epoch_shows_every_image_with_other_rows_first() -> None:
    made = tokenizer.train(["There is a red circle. What is it?"], 300)
    image = Crops(np.zeros((1, 64, 64, 3), np.uint8), np.ones((1, 64), np.float32),
                  np.zeros((16, 4), np.int64), ((4, 4),))  # fmt: skip
    rows = tuple(question(str(n), f"What is {n}?", "A red circle.") for n in range(8))
    long = question("long", "What? " * 200, "Nothing.")
    shown = [
        Example("", "a", "a", (caption("k", "There is a red circle."), *rows)),
        Example("", "b", "b", (long,)),
    ]
    material = Material(shown, [image, image], [], [], {})
    training = TrainingOptions(steps=10, batch_examples=2)
    packed, images = in_parts(material, made, PROBE_XS, training)
    # Ten epochs; the image whose only question is too long to read is left out.
    assert len(packed) == len(images) == 10
    firsts = {one.annotations[0].id for one in packed}
    assert len(firsts) > 3
    assert all(0 < len(one.annotations) < 9 for one in packed)
    again, _ = in_parts(material, made, PROBE_XS, training)
    assert [one.annotations for one in again] == [one.annotations for one in packed]
