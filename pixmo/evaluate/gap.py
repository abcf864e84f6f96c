"""The image gap: how much worse held-out answers are predicted with another image than with theirs.

Where an answer holds coordinates, only these are judged: how many points there are and what they
are called is known without looking where. Losses are in nats per judged character, so that
models with different tokenizers can be compared.
"""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from pixmo.molmo.crops import Crops
from pixmo.molmo.data import PREFIX_SEGMENT, Example, Packed, collate, image_tokens, pack
from pixmo.molmo.model import Molmo
from pixmo.molmo.sizes import Size
from pixmo.molmo.tokenizer import BOS, Tokenizer

BATCH_EXAMPLES = 32
OTHER_IMAGES = 4  # an answer is tried on
PLACE = re.compile(r"""\b[xy]\d*=["'](-?[\d.]+)["']""")

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class AnnotationLoss:
    """How well one answer is predicted."""

    id: str
    kind: str  # the stem of its subset
    image_sha256: str
    characters: int  # judged of the answer, as far as the model reads it
    own_nats: float  # of what is judged, given its own image
    other_nats: tuple[float, ...]  # the same, given each of some other images

    @property
    def right(self) -> float:
        """Nats per character with its own image."""
        return self.own_nats / self.characters

    @property
    def wrong(self) -> float:
        """Mean nats per character with another image; no number where none was tried."""
        if not self.other_nats:
            return math.nan
        return sum(self.other_nats) / len(self.other_nats) / self.characters


@dataclass(frozen=True)
class ImageLoss:
    """The mean over the annotations of one kind on one image, in nats per character."""

    image_sha256: str
    right: float
    wrong: float


def other_images(examples: Sequence[Example], count: int = OTHER_IMAGES) -> list[list[int]]:
    """For each example the numbers of `count` others, none a near-duplicate of its own image.

    Each image serves about as often as any other: the next ones in order, over its cluster. With
    fewer examples the same ones serve again.

    Raises:
        ValueError: all images are one cluster.
    """
    total = len(examples)
    others = []
    for number, example in enumerate(examples):
        following = ((number + step) % total for step in range(1, total))
        found: list[int] = []
        for i in following:
            if examples[i].cluster != example.cluster:
                found.append(i)
            if len(found) == count:
                break
        if not found:
            raise ValueError("all held-out images are near-duplicates of one another")
        others.append([found[i % len(found)] for i in range(count)])
    return others


def losses_on_images(
    model: Molmo,
    tokenizer: Tokenizer,
    size: Size,
    examples: Sequence[Example],
    images: Sequence[Crops],
    others: int = OTHER_IMAGES,
) -> list[AnnotationLoss]:
    """The losses of every annotation with its own and with other images, in the examples' order.

    `size` is the model's, with as much text as is to be read of an image.
    """
    tried = other_images(examples, others)
    model.eval()
    whole = [
        pack(image, example.annotations, tokenizer, size)
        for image, example in zip(images, examples, strict=True)
    ]
    by_length = sorted(range(len(examples)), key=lambda i: len(whole[i].tokens))
    losses: dict[int, list[AnnotationLoss]] = {}
    for start in range(0, len(examples), BATCH_EXAMPLES):
        chosen = by_length[start : start + BATCH_EXAMPLES]
        masks = [judged(whole[i], tokenizer) for i in chosen]
        own = annotation_nats(model, [whole[i] for i in chosen], [images[i] for i in chosen], masks)
        nats = []
        for number in range(others):
            shown = [images[tried[i][number]] for i in chosen]
            packed = [with_image(whole[i], image) for i, image in zip(chosen, shown, strict=True)]
            nats.append(annotation_nats(model, packed, shown, masks))
        for row, i in enumerate(chosen):
            losses[i] = [
                AnnotationLoss(
                    one.id,
                    one.kind,
                    examples[i].image_sha256,
                    judged_characters(one.answer[:characters]),
                    own[row][place],
                    tuple(other[row][place] for other in nats),
                )
                for place, (one, characters) in enumerate(
                    zip(whole[i].annotations, whole[i].characters, strict=True)
                )
            ]
    return [loss for i in range(len(examples)) for loss in losses[i]]


def with_image(packed: Packed, image: Crops) -> Packed:
    """The same annotations after another image, which may take more or fewer tokens."""
    prefix = [BOS, *image_tokens(image)]
    text = packed.segments != PREFIX_SEGMENT
    more = len(prefix) - int((~text).sum())
    return replace(
        packed,
        tokens=np.concatenate([np.array(prefix, np.int64), packed.tokens[text]]),
        segments=np.concatenate(
            [np.full(len(prefix), PREFIX_SEGMENT, np.int64), packed.segments[text]]
        ),
        positions=np.concatenate(
            [np.arange(len(prefix), dtype=np.int64), packed.positions[text] + more]
        ),
        weights=np.concatenate([np.zeros(len(prefix), np.float32), packed.weights[text]]),
    )


def judged_characters(answer: str) -> int:
    """The characters of an answer that are judged."""
    places = [len(match[1]) for match in PLACE.finditer(answer)]
    return sum(places) if places else len(answer)


def judged(packed: Packed, tokenizer: Tokenizer) -> Mask:
    """Which of a sequence's answer tokens are judged, in order; shape (answer tokens)."""
    masks = []
    for segment, annotation in enumerate(packed.annotations, 1):
        count = int(((packed.segments == segment) & (packed.weights > 0)).sum())
        read = annotation.answer[: packed.characters[segment - 1]]
        spans = [match.span(1) for match in PLACE.finditer(read)]
        _, ends = tokenizer.encode_with_ends(annotation.answer)
        inside = [
            not spans or any(low < end and start < high for low, high in spans)
            for start, end in zip([0, *ends], ends, strict=False)
        ]
        masks.append(np.array([*inside, not spans][:count]))
    return np.concatenate(masks) if masks else np.zeros(0, np.bool_)


@torch.no_grad()
def annotation_nats(
    model: Molmo, packed: Sequence[Packed], images: Sequence[Crops], masks: Sequence[Mask]
) -> list[list[float]]:
    """The nats of what is judged of each example's answers, in order."""
    batch = collate(packed, images)
    losses, answered = model.answer_losses(batch)
    losses = losses * torch.from_numpy(np.concatenate(masks))
    rows, columns = answered.nonzero(as_tuple=True)
    segments = batch.segments[rows, columns + 1]
    sums = torch.zeros(len(packed), int(batch.segments.max()) + 1, dtype=torch.float64)
    sums.index_put_((rows, segments), losses.double(), accumulate=True)
    return [sums[row, 1 : 1 + len(one.annotations)].tolist() for row, one in enumerate(packed)]


def by_image(losses: Sequence[AnnotationLoss], kind: str) -> list[ImageLoss]:
    """The losses of one kind, averaged over each image: images are the independent units."""
    grouped: dict[str, list[AnnotationLoss]] = defaultdict(list)
    for loss in losses:
        if loss.kind == kind:
            grouped[loss.image_sha256].append(loss)
    return [
        ImageLoss(
            sha256,
            right=sum(loss.right for loss in group) / len(group),
            wrong=sum(loss.wrong for loss in group) / len(group),
        )
        for sha256, group in sorted(grouped.items())
    ]
