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
from pixmo.validate import verdict
from pixmo.validate.probe import FILE_NAME as VERDICT
from pixmo.validate.probe import RELEASE_RUN
from pixmo.validate.probe_run import (
    HELD_OUT_SPLITS,
    MEASURED_TEXT_TOKENS,
    STEMS,
    held_out_sample,
    with_image,
)

BETTER, WORSE, SAME = "better", "worse", "no different"
# Nats per character between models that differ in the seed alone. Three seeds on one release of the
# study in docs/validation.md gave 0.002, 0.0002 and 0.011; three are few, so more is allowed.
SEED_DEVIATION = {"cap": 0.004, "ama": 0.003, "points": 0.015}
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


def compare(
    newer: Release, newer_probe: Path, older: Release, older_probe: Path
) -> list[Comparison]:
    """Each subset of both releases, by what the models of their probes' folders predict.

    Judged are rows that the newer release holds out, on images whose near-duplicates the older has
    not trained on. The intervals hold the luck of the seed, too.

    Raises:
        TrainingError: the probes trained with other options, one has no model, or too few images
            are held out by both.
        ReleaseError: an image of the newer release cannot be read.
    """
    mine, theirs = (of_probe(probe) for probe in (newer_probe, older_probe))
    if mine != theirs:
        raise TrainingError(
            f"the probes of {newer.manifest.version} and {older.manifest.version} trained with"
            f" other options, {mine} and {theirs}; probe both with the same"
        )
    learnt = read_examples(older, ("train",), STEMS)
    seen = {name for one in learnt for name in (one.cluster, one.image_sha256)}
    held_out = with_image(newer, read_examples(newer, HELD_OUT_SPLITS, STEMS))
    unseen = [one for one in held_out if not seen & {one.cluster, one.image_sha256}]
    examples = held_out_sample(unseen)
    if len(examples) < FEWEST_IMAGES:
        raise TrainingError(
            f"{counted(len(examples), 'image')} are held out by {newer.manifest.version} and not"
            f" trained on by {older.manifest.version}; a comparison needs {FEWEST_IMAGES}"
        )
    examples = [cut(example) for example in examples]
    own, other = both_read(
        *(losses_of(probe / RELEASE_RUN, newer, examples) for probe in (newer_probe, older_probe))
    )
    found = []
    for stem in [stem for stem in STEMS if stem in older.stems]:
        pairs = list(zip(by_image(own, stem), by_image(other, stem), strict=True))
        if len(pairs) >= FEWEST_IMAGES:
            gained = with_seeds(mean([b.right - a.right for a, b in pairs]), stem)
            outcome = BETTER if gained.low > 0 else WORSE if gained.high < 0 else SAME
            found.append(Comparison(stem, outcome, gained, len(pairs)))
    return found


def of_probe(folder: Path) -> str:
    """What a probe trained, in words: its size, steps and seed.

    Raises:
        TrainingError: it has not trained.
    """
    try:
        found = verdict.read(folder / VERDICT)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{folder} holds no probe of this pixmo; run pixmo validate --train-probe there first"
        ) from error
    if not found.subsets:
        raise TrainingError(f"the probe in {folder} has not trained: {found.reason}")
    return f"{found.size}, {found.steps} steps, seed {found.seed}"


def both_read(
    mine: Sequence[AnnotationLoss], theirs: Sequence[AnnotationLoss]
) -> tuple[list[AnnotationLoss], list[AnnotationLoss]]:
    """The losses of rows that both models have read as far."""
    known = {(one.kind, one.id, one.characters): one for one in theirs}
    shared = [one for one in mine if (one.kind, one.id, one.characters) in known]
    return shared, [known[one.kind, one.id, one.characters] for one in shared]


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
