"""One training run of the probe, in a process of its own: the release, its control, or pictures."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Literal

from pixmo.dataset.reader import SPLITS, Release
from pixmo.errors import ReleaseError
from pixmo.evaluate.answers import height_over_width
from pixmo.evaluate.gap import AnnotationLoss, losses_on_images
from pixmo.files import write_json
from pixmo.hashing import unit_interval
from pixmo.molmo import checkpoint, sizes
from pixmo.molmo import tokenizer as tokenizers
from pixmo.molmo.crops import Crops
from pixmo.molmo.data import Example, Packed, load_crops, pack, read_examples
from pixmo.molmo.model import build
from pixmo.molmo.sizes import Size
from pixmo.molmo.tokenizer import Tokenizer
from pixmo.molmo.train import TrainingOptions, train
from pixmo.validate import rendered, skills
from pixmo.validate.controls import shuffle_annotations
from pixmo.validate.skills import Answered

STEMS = ("cap", "ama", "points")
HELD_OUT_SPLITS = SPLITS[1:]
MOST_HELD_OUT_IMAGES = 512
# Of what is measured all rows of an image are read; of what is trained on some, others each time.
MEASURED_TEXT_TOKENS = 1000
MOST_LEARNT_IMAGES = 1536  # trained on, whose rows are measured
MOST_EPOCHS = 20  # over few images; more are remembered, and then agree with any
RESULT = "result.json"
RENDERED_SHARE = 0.5  # of the steps, for the rendered pictures
Arm = Literal["release", "control", "rendered"]


@dataclass(frozen=True)
class ProbeOptions:
    """What the probe trains."""

    steps: int = 1100  # of each run; fewer of rendered pictures
    seed: int = 0
    size: str = "probe-xs"

    @property
    def training(self) -> TrainingOptions:
        """The options of each run."""
        return TrainingOptions(steps=self.steps, seed=self.seed, batch_examples=32)

    @property
    def most_train_images(self) -> int:
        """Images that the steps can look at; more would never be seen."""
        return self.steps * self.training.batch_examples


@dataclass(frozen=True)
class ProbeRun:
    """What a run is to do."""

    release: Release
    options: ProbeOptions
    arm: Arm
    folder: Path
    key: str

    @property
    def most_steps(self) -> int:
        """How long the run trains at most. Rendered pictures are learnt early, or nothing is."""
        steps = self.options.steps
        return max(1, round(RENDERED_SHARE * steps)) if self.arm == "rendered" else steps

    def training(self, images: int) -> TrainingOptions:
        """How the run trains on so many images."""
        training = self.options.training
        steps = -(-MOST_EPOCHS * images // training.batch_examples)
        return replace(training, steps=min(self.most_steps, steps))


@dataclass(frozen=True)
class RunResult:
    """What came of a run."""

    losses: tuple[float, ...]  # of each step, nats a token
    held_out: tuple[AnnotationLoss, ...]
    learnt: tuple[AnnotationLoss, ...]  # of the rows trained on; none of the control's
    answered: tuple[Answered, ...]


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


@dataclass(frozen=True)
class Material:
    """What a run trains on and is measured on, with the images of both."""

    learnt: list[Example]
    learnt_images: list[Crops]
    held_out: list[Example]
    held_out_images: list[Crops]
    shapes: dict[str, float]  # height over width of each held-out image, by sha256


def gather(job: ProbeRun, size: Size) -> Material:
    """The material of a run.

    Raises:
        ReleaseError: an image or file of the release cannot be read.
    """
    if job.arm == "rendered":
        learnt, images = rendered.rendered(rendered.TRAIN_IMAGES, 0, size)
        held_out, others = rendered.rendered(rendered.HELD_OUT_IMAGES, 1, size)
        squares = {example.image_sha256: 1.0 for example in held_out}
        return Material(learnt, images, held_out, others, squares)
    learnt, held_out = read_probe_examples(job.release, job.options)
    if job.arm == "control":
        learnt = shuffle_annotations(learnt, job.options.seed)
    shapes = {
        one.image_sha256: height_over_width(
            str(job.release.image_path(one.image_url, one.image_sha256))
        )
        for one in held_out
    }
    images = [load_crops(job.release, example, size) for example in learnt]
    others = [load_crops(job.release, example, size) for example in held_out]
    return Material(learnt, images, held_out, others, shapes)


def run(job: ProbeRun, advance: Callable[[int], None]) -> RunResult:
    """The run is done and its model, losses and result are in its folder, the result last.

    `advance` is called with the number of steps just done.

    Raises:
        ReleaseError: an image or file of the release cannot be read.
        TrainingError: there is nothing to train on.
    """
    size = sizes.named(job.options.size)
    material = gather(job, size)
    texts = (one.prompt + one.answer for example in material.learnt for one in example.annotations)
    # Shuffling changes the texts' order alone, and the encoding does not depend on it.
    tokenizer = tokenizers.train(sorted(texts), size.vocabulary_size)
    training = job.training(len(material.learnt))
    packed, images = in_parts(material, tokenizer, size, training)
    model = build(size, tokenizer.vocabulary_size, job.options.seed)
    losses = []
    for loss in train(model, packed, images, training):
        losses.append(round(loss, 6))
        advance(1)
    whole = replace(size, most_text_tokens=MEASURED_TEXT_TOKENS)
    measured = losses_on_images(
        model, tokenizer, whole, material.held_out, material.held_out_images
    )
    most = MOST_LEARNT_IMAGES if job.arm == "release" else rendered.HELD_OUT_IMAGES
    learnt = (
        losses_on_images(
            model,
            tokenizer,
            whole,
            material.learnt[:most],
            material.learnt_images[:most],
        )
        if job.arm != "control"
        else []
    )
    answered = skills.ask(
        model, tokenizer, material.held_out, material.held_out_images, material.shapes
    )
    checkpoint.save(job.folder, model, tokenizer)
    result = RunResult(tuple(losses), tuple(measured), tuple(learnt), tuple(answered))
    write_json(job.folder / RESULT, {"key": job.key, **asdict(result)})
    return result


def in_parts(
    material: Material, tokenizer: Tokenizer, size: Size, training: TrainingOptions
) -> tuple[list[Packed], list[Crops]]:
    """As many sequences as the steps look at, each of some of an image's annotations in any order.

    Which ones is drawn anew for every epoch: short sequences of many images teach more for their
    time than long ones of few.
    """
    epochs = -(-training.steps * training.batch_examples // max(1, len(material.learnt)))
    packed, images = [], []
    for epoch in range(epochs):
        for example, crops in zip(material.learnt, material.learnt_images, strict=True):
            annotations = list(example.annotations)
            Random(f"{training.seed} {epoch} {example.image_sha256}").shuffle(annotations)
            one = pack(crops, annotations, tokenizer, size)
            if one.annotations:  # else the first is a question longer than the text may be
                packed.append(one)
                images.append(crops)
    return packed, images


def stored_result(folder: Path, key: str) -> RunResult | None:
    """The result of a finished run with this key; None where there is none.

    A result of another key, or one that another pixmo wrote, counts as none.
    """
    try:
        data: dict[str, Any] = json.loads((folder / RESULT).read_text("utf-8"))
        if data["key"] != key:
            return None
        held_out, learnt = (
            tuple(
                AnnotationLoss(**{**loss, "other_nats": tuple(loss["other_nats"])})
                for loss in data[name]
            )
            for name in ("held_out", "learnt")
        )
        answered = tuple(Answered(**one) for one in data["answered"])
        return RunResult(tuple(data["losses"]), held_out, learnt, answered)
    except (OSError, ValueError, KeyError, TypeError):
        return None
