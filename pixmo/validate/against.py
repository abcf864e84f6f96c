"""A release beside an earlier one: which model predicts better what neither has seen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pixmo.dataset.reader import Release
from pixmo.errors import TrainingError
from pixmo.evaluate.gap import (
    BATCH_EXAMPLES,
    AnnotationLoss,
    annotation_nats,
    by_image,
    judged,
    judged_characters,
)
from pixmo.evaluate.statistics import Mean, mean
from pixmo.molmo import checkpoint
from pixmo.molmo.data import Example, load_crops, pack, read_examples
from pixmo.text import counted
from pixmo.validate.probe_run import (
    HELD_OUT_SPLITS,
    MEASURED_TEXT_TOKENS,
    STEMS,
    held_out_sample,
    with_image,
)

BETTER, WORSE, SAME = "better", "worse", "no different"
# Nats per character between models that differ in the seed alone: the deviation of four.
SEED_DEVIATION = {"cap": 0.001, "ama": 0.002, "points": 0.005}
QUANTILE = 1.96  # of the normal distribution, for 95 times in 100
FEWEST_IMAGES = 64
# Both models read the same part of an answer, which their tokens would end at different places.
MOST_CHARACTERS = 160


@dataclass(frozen=True)
class Comparison:
    """One subset of two releases, on rows that both hold out."""

    stem: str
    outcome: str  # BETTER, WORSE, SAME
    gained: Mean  # nats per character that the newer one's model predicts better
    images: int

    def text(self) -> str:
        """The comparison in one line."""
        return (
            f"{self.stem}: {self.outcome}, by {self.gained.value:.4f} nats a character"
            f" [{self.gained.low:.4f}, {self.gained.high:.4f}] on"
            f" {counted(self.images, 'image')}"
        )


def compare(newer: Release, newer_run: Path, older: Release, older_run: Path) -> list[Comparison]:
    """Each subset of both releases, by what their probes' models in the runs' folders predict.

    Judged are rows that the newer release holds out, on images whose near-duplicates the older has
    not trained on. The intervals hold the luck of the seed, too.

    Raises:
        TrainingError: a run has no model, or too few images are held out by both.
        ReleaseError: an image of the newer release cannot be read.
    """
    seen = {example.cluster for example in read_examples(older, ("train",), STEMS)}
    held_out = with_image(newer, read_examples(newer, HELD_OUT_SPLITS, STEMS))
    examples = held_out_sample([one for one in held_out if one.cluster not in seen])
    if len(examples) < FEWEST_IMAGES:
        raise TrainingError(
            f"{counted(len(examples), 'image')} are held out by {newer.manifest.version} and not"
            f" trained on by {older.manifest.version}; a comparison needs {FEWEST_IMAGES}"
        )
    examples = [cut(example) for example in examples]
    mine, theirs = (losses_of(run, newer, examples) for run in (newer_run, older_run))
    found = []
    for stem in STEMS:
        own, other = by_image(mine, stem), by_image(theirs, stem)
        if stem in older.stems and len(own) >= FEWEST_IMAGES:
            gained = with_seeds(
                mean([b.right - a.right for a, b in zip(own, other, strict=True)]), stem
            )
            outcome = BETTER if gained.low > 0 else WORSE if gained.high < 0 else SAME
            found.append(Comparison(stem, outcome, gained, len(own)))
    return found


def cut(example: Example) -> Example:
    """The example with the beginnings of its answers."""
    return replace(
        example,
        annotations=tuple(
            replace(one, answer=one.answer[:MOST_CHARACTERS]) for one in example.annotations
        ),
    )


def losses_of(run: Path, release: Release, examples: Sequence[Example]) -> list[AnnotationLoss]:
    """The losses of the model in a run's folder on each example's own image."""
    model, tokenizer = checkpoint.load(run)
    model.eval()
    size = replace(
        model.size,
        most_text_tokens=MEASURED_TEXT_TOKENS,
        most_answer_tokens=MOST_CHARACTERS + 1,  # and the token that ends it
    )
    found = []
    for start in range(0, len(examples), BATCH_EXAMPLES):
        chosen = examples[start : start + BATCH_EXAMPLES]
        images = [load_crops(release, example, size) for example in chosen]
        packed = [
            pack(image, example.annotations, tokenizer, size)
            for image, example in zip(images, chosen, strict=True)
        ]
        nats = annotation_nats(model, packed, images, [judged(one, tokenizer) for one in packed])
        for example, one, values in zip(chosen, packed, nats, strict=True):
            found += [
                AnnotationLoss(
                    annotation.id,
                    annotation.kind,
                    example.image_sha256,
                    judged_characters(annotation.answer[:characters]),
                    value,
                    (),
                )
                for annotation, characters, value in zip(
                    one.annotations, one.characters, values, strict=True
                )
            ]
    return found


def with_seeds(gained: Mean, stem: str) -> Mean:
    """The difference of two models with what their seeds add to its uncertainty."""
    error = (gained.standard_error**2 + 2 * SEED_DEVIATION[stem] ** 2) ** 0.5
    return replace(
        gained,
        standard_error=error,
        low=gained.value - QUANTILE * error,
        high=gained.value + QUANTILE * error,
    )
