"""Releases that are known to be wrong, made from the one in question."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from pixmo.molmo.data import Example


def shuffle_annotations(examples: Sequence[Example], seed: int) -> list[Example]:
    """The same images, each with all annotations of another one; the texts as a whole unchanged.

    The order is one random cycle, so that with two images or more none keeps its own annotations.
    Source: Sattolo 1986.
    """
    order = list(range(len(examples)))
    Random(seed).shuffle(order)
    following = dict(zip(order, [*order[1:], *order[:1]], strict=True))
    return [
        replace(example, annotations=examples[following[number]].annotations)
        for number, example in enumerate(examples)
    ]
