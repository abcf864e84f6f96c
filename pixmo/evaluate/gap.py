"""The image gap: how much worse held-out answers are predicted with another image than with theirs.

Losses are in nats per character, so that models with different tokenizers can be compared.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pixmo.molmo.crops import Crops
from pixmo.molmo.data import Example, Packed, collate
from pixmo.molmo.model import Molmo

BATCH_EXAMPLES = 32


@dataclass(frozen=True)
class AnnotationLoss:
    """How well one held-out answer is predicted."""

    id: str
    kind: str  # the stem of its subset
    image_sha256: str
    characters: int  # of the answer, as far as the model reads it
    right_nats: float  # of the whole answer and its end, given its own image
    wrong_nats: float  # the same, given another image

    @property
    def right(self) -> float:
        """Nats per character with its own image."""
        return self.right_nats / self.characters

    @property
    def wrong(self) -> float:
        """Nats per character with another image."""
        return self.wrong_nats / self.characters


@dataclass(frozen=True)
class ImageLoss:
    """The mean over the annotations of one kind on one image, in nats per character."""

    image_sha256: str
    right: float
    wrong: float


def wrong_images(examples: Sequence[Example]) -> list[int]:
    """For each example the number of another one, whose image is no near-duplicate of its own.

    Each image serves about as often as any other: the next one in order, over its cluster.

    Raises:
        ValueError: all images are one cluster.
    """
    count = len(examples)
    others = []
    for number, example in enumerate(examples):
        following = ((number + step) % count for step in range(1, count))
        other = next((i for i in following if examples[i].cluster != example.cluster), None)
        if other is None:
            raise ValueError("all held-out images are near-duplicates of one another")
        others.append(other)
    return others


def held_out_losses(
    model: Molmo, examples: Sequence[Example], packed: Sequence[Packed], images: Sequence[Crops]
) -> list[AnnotationLoss]:
    """The losses of every annotation with the right and a wrong image, in the examples' order."""
    others = wrong_images(examples)
    model.eval()
    losses: list[AnnotationLoss] = []
    for start in range(0, len(examples), BATCH_EXAMPLES):
        chosen = range(start, min(start + BATCH_EXAMPLES, len(examples)))
        batch = [packed[i] for i in chosen]
        right = annotation_nats(model, batch, [images[i] for i in chosen])
        wrong = annotation_nats(model, batch, [images[others[i]] for i in chosen])
        for i, right_nats, wrong_nats in zip(chosen, right, wrong, strict=True):
            losses += [
                AnnotationLoss(one.id, one.kind, examples[i].image_sha256, characters, *nats)
                for one, characters, *nats in zip(
                    packed[i].annotations, packed[i].characters, right_nats, wrong_nats, strict=True
                )
            ]
    return losses


@torch.no_grad()
def annotation_nats(
    model: Molmo, packed: Sequence[Packed], images: Sequence[Crops]
) -> list[list[float]]:
    """The nats of each example's answers, in order.

    The images must take as many tokens as the ones the sequences were packed with.
    """
    batch = collate(packed, images)
    losses, answered = model.answer_losses(batch)
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
