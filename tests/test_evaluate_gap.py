"""What an image is worth to its annotations, beside other images, against its definition."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixmo.dataset.reader import Release
from pixmo.evaluate.gap import (
    AnnotationLoss,
    annotation_nats,
    by_image,
    judged,
    judged_characters,
    losses_on_images,
    other_images,
    with_image,
)
from pixmo.molmo import data, prompts, tokenizer
from pixmo.molmo.crops import Crops, preprocess
from pixmo.molmo.data import Example
from pixmo.molmo.model import build
from pixmo.molmo.sizes import PROBE_XS
from pixmo.points import from_text
from tests.releases import write_release


def test_other_images_are_never_near_duplicates() -> None:
    clusters = ["a", "a", "b", "c", "c", "a"]
    examples = [Example("", str(n), cluster, ()) for n, cluster in enumerate(clusters)]
    assert [tried[0] for tried in other_images(examples, 1)] == [2, 2, 3, 5, 5, 2]
    assert other_images(examples, 3)[0] == [2, 3, 4]
    assert other_images(examples, 4)[3] == [5, 0, 1, 2]
    assert other_images(examples[:3], 3)[0] == [2, 2, 2]
    with pytest.raises(ValueError, match="near-duplicates"):
        other_images(examples[:2])


def test_losses_are_averaged_over_each_image() -> None:
    losses = [
        AnnotationLoss("1", "ama", "x", 10, 5.0, (8.0, 12.0)),
        AnnotationLoss("2", "ama", "x", 4, 4.0, (8.0,)),
        AnnotationLoss("3", "cap", "x", 4, 99.0, (99.0,)),
        AnnotationLoss("4", "ama", "y", 2, 1.0, (1.0,)),
    ]
    found = by_image(losses, "ama")
    assert [(one.image_sha256, one.right, one.wrong) for one in found] == [
        ("x", 0.75, 1.5),
        ("y", 0.5, 0.5),
    ]


def test_of_an_answer_with_places_their_digits_are_judged() -> None:
    answer = ' <points x1="12.5" y1="80.0" x2="40.1" y2="7.3" alt="dog">dog</points>'
    made = tokenizer.train([answer, " There are none."], 300)
    image = Crops(np.zeros((1, 64, 64, 3), np.uint8), np.ones((1, 64), np.float32),
                  np.zeros((16, 4), np.int64), ((4, 4),))  # fmt: skip
    annotations = (
        prompts.pointing("1", "dog", from_text(answer), "pointing"),
        prompts.pointing("2", "cat", [], "pointing"),
    )
    packed = data.pack(image, annotations, made, replace(PROBE_XS, most_text_tokens=300))
    mask = judged(packed, made)
    tokens = packed.tokens[packed.weights > 0]
    said = "".join(made.decode([token]) for token in tokens[mask][: mask.sum()].tolist())
    assert said.startswith("12.580.040.17.3")
    assert said.removeprefix("12.580.040.17.3").strip() == "There are none."
    assert [judged_characters(one.answer) for one in annotations] == [15, len(" There are none.")]
    cut = data.pack(image, annotations, made, replace(PROBE_XS, most_answer_tokens=12))
    kept = cut.tokens[cut.segments == 1][-12:]
    seen = made.decode(kept.tolist())
    assert judged(cut, made)[:12].sum() == sum(
        len(number) for number in re.findall(r'="([\d.]+)"', seen)
    )


def test_another_image_may_take_more_tokens_or_fewer() -> None:
    size = replace(PROBE_XS, crop_pixels=48, margin_patches=1, most_crops=6)
    made = tokenizer.train(["What is it? A dog."], 300)
    rows = [prompts.question(str(n), "What is it?", "A dog.") for n in range(2)]
    wide, square = (preprocess(Image.new("RGB", shape), size) for shape in ((300, 60), (40, 40)))
    for one, other in ((wide, square), (square, wide)):
        found = with_image(data.pack(one, rows, made, size), other)
        expected = data.pack(other, rows, made, size)
        for name in ("tokens", "segments", "positions", "weights"):
            assert np.array_equal(getattr(found, name), getattr(expected, name)), name
    assert len(data.image_tokens(wide)) != len(data.image_tokens(square))


@torch.no_grad()
def test_an_annotations_nats_are_the_sum_over_what_is_judged(tmp_path: Path) -> None:
    release = Release.open(write_release(tmp_path / "v1", train=3, held_out=2))
    examples = data.read_examples(release, ["train"], ["cap", "ama", "points"])
    made = tokenizer.train([one.answer for example in examples for one in example.annotations], 300)
    size = replace(PROBE_XS, most_text_tokens=500)
    crops = [data.load_crops(release, example, size) for example in examples]
    packed = [
        data.pack(image, example.annotations, made, size)
        for image, example in zip(crops, examples, strict=True)
    ]
    model = build(PROBE_XS, made.vocabulary_size, seed=0)

    def slowly(row: int, image: Crops) -> list[float]:
        one, mask = packed[row], iter(judged(packed[row], made))
        logits = model.language.logits(model(data.collate([one], [image])))[0].log_softmax(-1)
        sums = [0.0] * len(one.annotations)
        for at in range(len(one.tokens)):
            if one.weights[at] > 0 and next(mask):
                sums[one.segments[at] - 1] -= float(logits[at - 1, one.tokens[at]])
        return sums

    found = annotation_nats(model, packed, crops, [judged(one, made) for one in packed])
    for row in range(3):
        assert found[row] == pytest.approx(slowly(row, crops[row]), rel=1e-4)
    losses = losses_on_images(model, made, size, examples, crops, others=2)
    assert [loss.kind for loss in losses] == ["cap", "ama", "ama", "points", "points"] * 3
    assert [loss.own_nats for loss in losses[:5]] == pytest.approx(found[0], rel=1e-4)
    assert losses[0].characters == len(examples[0].annotations[0].answer)
    for number, other in enumerate((1, 2)):
        expected = slowly(0, crops[other])
        assert [loss.other_nats[number] for loss in losses[:5]] == pytest.approx(expected, rel=1e-4)
