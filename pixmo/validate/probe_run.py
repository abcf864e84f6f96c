"""One training run of the probe, on the release or on its control, in a process of its own."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pixmo.dataset.reader import Release
from pixmo.errors import ReleaseError
from pixmo.evaluate.gap import AnnotationLoss, held_out_losses
from pixmo.files import write_json
from pixmo.hashing import unit_interval
from pixmo.molmo import checkpoint, sizes
from pixmo.molmo import tokenizer as tokenizers
from pixmo.molmo.crops import Crops
from pixmo.molmo.data import Example, load_crops, pack, read_examples
from pixmo.molmo.model import build
from pixmo.molmo.train import TrainingOptions, train
from pixmo.validate.controls import shuffle_annotations

# Points are left out: in the steps of this probe coordinates are not learnt (gap 0.0002 after 600
# steps on points alone), and every point costs sixteen tokens.
STEMS = ("cap", "ama")
HELD_OUT_SPLITS = ("validation", "test")
MOST_HELD_OUT_IMAGES = 512
RESULT = "result.json"


@dataclass(frozen=True)
class ProbeOptions:
    """What the probe trains."""

    steps: int = 700  # of each of the two runs
    seed: int = 0
    size: str = "probe-xs"

    @property
    def training(self) -> TrainingOptions:
        """The options of each run."""
        return TrainingOptions(steps=self.steps, seed=self.seed)

    @property
    def most_train_images(self) -> int:
        """Images that the steps can look at; more would never be seen."""
        return self.steps * self.training.batch_examples


@dataclass(frozen=True)
class ProbeRun:
    """What a run is to do."""

    release: Release
    options: ProbeOptions
    is_control: bool
    folder: Path
    key: str


@dataclass(frozen=True)
class RunResult:
    """What came of a run."""

    losses: tuple[float, ...]  # of each step, nats a token
    held_out: tuple[AnnotationLoss, ...]


def read_probe_examples(
    release: Release, options: ProbeOptions
) -> tuple[list[Example], list[Example]]:
    """The images to train on and the held-out ones; a sample of fixed order where there are many.

    Images without a file are left out.
    """
    learnt = read_examples(release, ("train",), STEMS, options.seed)
    held_out = read_examples(release, HELD_OUT_SPLITS, STEMS)
    return (
        in_fixed_order(with_image(release, learnt))[: options.most_train_images],
        held_out_sample(with_image(release, held_out)),
    )


def in_fixed_order(examples: Iterable[Example]) -> list[Example]:
    """The examples in an order that mixes them, the same for every seed and release."""
    return sorted(examples, key=lambda example: unit_interval(example.image_sha256))


def held_out_sample(examples: Sequence[Example]) -> list[Example]:
    """At most MOST_HELD_OUT_IMAGES examples, in fixed order, where no subset crowds out another.

    Each subset is judged by itself, so it first gets its share, or all it has; then any are drawn.
    """
    ordered, share = in_fixed_order(examples), MOST_HELD_OUT_IMAGES // len(STEMS)
    shares = {
        example.image_sha256
        for stem in STEMS
        for example in [one for one in ordered if has_annotation(one, stem)][:share]
    }
    ordered.sort(key=lambda example: example.image_sha256 not in shares)
    return in_fixed_order(ordered[:MOST_HELD_OUT_IMAGES])


def has_annotation(example: Example, stem: str) -> bool:
    """Whether the example has an annotation of the subset."""
    return any(annotation.kind == stem for annotation in example.annotations)


def with_image(release: Release, examples: Iterable[Example]) -> list[Example]:
    """The examples whose image has a file."""
    return [example for example in examples if has_image(release, example)]


def has_image(release: Release, example: Example) -> bool:
    """Whether there is a file of the example's image."""
    try:
        release.image_path(example.image_url, example.image_sha256)
    except ReleaseError:
        return False
    return True


def run(job: ProbeRun, advance: Callable[[int], None]) -> RunResult:
    """The run is done and its model, losses and result are in its folder, the result last.

    `advance` is called with the number of steps just done.

    Raises:
        ReleaseError: an image or file of the release cannot be read.
        TrainingError: there is nothing to train on.
    """
    size = sizes.named(job.options.size)
    learnt, held_out = read_probe_examples(job.release, job.options)
    if job.is_control:
        learnt = shuffle_annotations(learnt, job.options.seed)
    texts = (one.prompt + one.answer for example in learnt for one in example.annotations)
    # Shuffling changes the texts' order alone, and the encoding does not depend on it.
    tokenizer = tokenizers.train(sorted(texts), size.vocabulary_size)
    crops: list[Crops] = [load_crops(job.release, example, size) for example in learnt + held_out]
    packed = [
        pack(image, example.annotations, tokenizer, size)
        for image, example in zip(crops, learnt + held_out, strict=True)
    ]
    model = build(size, tokenizer.vocabulary_size, job.options.seed)
    losses = []
    for loss in train(model, packed[: len(learnt)], crops[: len(learnt)], job.options.training):
        losses.append(round(loss, 6))
        advance(1)
    measured = held_out_losses(model, held_out, packed[len(learnt) :], crops[len(learnt) :])
    checkpoint.save(job.folder, model, tokenizer)
    result = RunResult(tuple(losses), tuple(measured))
    write_json(job.folder / RESULT, {"key": job.key, **asdict(result)})
    return result


def stored_result(folder: Path, key: str) -> RunResult | None:
    """The result of a finished run with this key; None where there is none.

    A result of another key, or one that another pixmo wrote, counts as none.
    """
    try:
        data: dict[str, Any] = json.loads((folder / RESULT).read_text("utf-8"))
        if data["key"] != key:
            return None
        held_out = tuple(AnnotationLoss(**loss) for loss in data["held_out"])
        return RunResult(tuple(data["losses"]), held_out)
    except (OSError, ValueError, KeyError, TypeError):
        return None
