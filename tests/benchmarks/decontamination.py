"""Held-out pictures: how many distinct ones are taken for them, how many copies are found.

The pictures and the copies are those of `look_alikes`; here copies are mirrored, too, and distances
of 256 bits are tried beside the recipes' own.
"""

import sys
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from pixmo.curate.hamming import Words
from tests.benchmarks.look_alikes import CHANGES, CHARTS_AND_DOCUMENTS, KINDS, pictures, seen

PICTURES = 160  # of each kind
COPIED = 24  # of each kind
WITHIN = 10  # bits of 64
TRIED = (32, 40, 48, 60, 80, 256)  # bits of 256; the last asks for nothing
# Tables of one layout differ in their letters only, which no hash of coarse waves reads.
GROUPS = {
    "charts and pages": tuple(kind for kind in CHARTS_AND_DOCUMENTS if kind != "tables"),
    "tables": ("tables",),
    "photographs and scenes": ("like photographs", "drawn scenes"),
}


def alike(words: Words, others: Words, distance_256: int) -> np.ndarray[Any, Any]:
    """Whether each is like each other, shape = (n, m)."""
    bits = np.bitwise_count(words[:, None] ^ others)
    return (bits[..., 0] <= WITHIN) & (bits[..., 1:].sum(axis=2) <= distance_256)


def mirrored(images: list[Image.Image]) -> list[Image.Image]:
    """The images in a mirror."""
    return [ImageOps.mirror(image) for image in images]


def hashes(images: list[Image.Image]) -> Words:
    """The hashes of these images as files, shape = (n, 5)."""
    return pictures(seen(images)).hashes


def measure(kind: str, count: int, copied: int) -> dict[tuple[str, int], tuple[int, int]]:
    """For each way to be alike and each distance: how many pairs, or copies, are, and of how many.

    Distinct pictures are compared as they are and mirrored, copies with what they are copies of.
    """
    images = [KINDS[kind](number) for number in range(count)]
    own, flipped = hashes(images), hashes(mirrored(images))
    found: dict[tuple[str, int], tuple[int, int]] = {}
    pairs = np.triu(np.ones((count, count), bool), 1)
    for distance in TRIED:
        both = [alike(own, held_out, distance)[pairs].sum() for held_out in (own, flipped)]
        found["distinct", distance] = int(sum(both)), 2 * int(pairs.sum())
    for name, changes in CHANGES.items():
        copies = [[change(image) for image in images[:copied]] for change in changes]
        looks = [(hashes(some), own[:copied]) for some in copies]
        looks += [(hashes(mirrored(some)), flipped[:copied]) for some in copies]
        for distance in TRIED:
            hits = sum(np.diag(alike(copy, held_out, distance)).sum() for copy, held_out in looks)
            found[name, distance] = int(hits), len(looks) * copied
    return found


def run(count: int = PICTURES, copied: int = COPIED) -> dict[str, Any]:
    """Distinct pairs taken for one another and recall, at every distance tried."""
    rows = {}
    for group, kinds in GROUPS.items():
        measured = [measure(kind, count, copied) for kind in kinds]
        for distance in TRIED:
            cells = []
            for way in ("distinct", *CHANGES):
                hits, of = (sum(one[way, distance][i] for one in measured) for i in (0, 1))
                cells.append(
                    f"{100 * hits / of:.4f} %" if way == "distinct" else f"{hits / of:.3f}"
                )
            rows[f"{group}, {distance} of 256 bits"] = cells
    return {
        "title": "Held-out images: what is wrongly taken for one, which copies are found",
        "columns": ["distinct pairs alike", *(f"recall, {change}" for change in CHANGES)],
        "rows": rows,
        "notes": [
            f"{count} generated pictures of each kind, {copied} of them copied in every way, as"
            f" they are and mirrored, at {WITHIN} of 64 bits. 256 of 256 bits is how a list without"
            " the longer hash is judged."
        ],
    }


if __name__ == "__main__":
    for name, value in run(*map(int, sys.argv[1:3]))["rows"].items():
        print(name, *value, sep="  ")
