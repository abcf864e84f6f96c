"""A release's rows, gathered by image and packed: one sequence an image, then batches of them.

    <bos> image tokens │ prompt answer <eos> │ prompt answer <eos> │ …
    segment 0          │ 1                   │ 2                   │
    positions 0 … p-1  │ p …                 │ p …                 │

All annotations of an image share its encoded image; the segments keep them from seeing each
other, and positions start again for each, so packing changes no prediction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps

from pixmo.dataset.reader import Release
from pixmo.errors import ReleaseError
from pixmo.molmo import prompts
from pixmo.molmo.crops import NO_PATCH, Crops, preprocess
from pixmo.molmo.prompts import Annotation
from pixmo.molmo.sizes import Size
from pixmo.molmo.tokenizer import BOS, EOS, IMAGE_END, IMAGE_START, PATCH, ROW_END, Tokenizer
from pixmo.points import Point

PREFIX_SEGMENT = 0
PADDING_SEGMENT = -1
MOST_POINTS = 40  # expressions with more are not trained on, as in Molmo


@dataclass(frozen=True)
class Example:
    """One image and everything annotated on it."""

    image_url: str
    image_sha256: str
    cluster: str
    annotations: tuple[Annotation, ...]


@dataclass(frozen=True)
class Packed:
    """An example as tokens; arrays of one length."""

    tokens: npt.NDArray[np.int64]
    segments: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]  # of the loss of predicting this token; 0 in prompts
    annotations: tuple[Annotation, ...]  # those that fitted; annotation i is segment i + 1
    characters: tuple[int, ...]  # of each annotation's answer, as far as it fitted


@dataclass(frozen=True)
class Batch:
    """Some packed examples and their images as tensors."""

    tokens: torch.Tensor  # (examples, length)
    segments: torch.Tensor
    positions: torch.Tensor
    weights: torch.Tensor
    pixels: torch.Tensor  # (crops of all examples, side, side, 3), uint8
    real: torch.Tensor  # (crops of all examples, patches per crop)
    windows: torch.Tensor  # (image tokens of all examples, 4)
    slots: torch.Tensor  # (image tokens of all examples): where in tokens.flatten() they stand


def read_examples(
    release: Release, splits: Sequence[str], stems: Sequence[str], seed: int | None = None
) -> list[Example]:
    """The images of some splits with their annotations of some subsets, sorted by image_sha256.

    An image's annotations are in the order of `stems`: what stands first is packed first.

    With `seed`, length hints are noisy as in training; without, they are exact.
    """
    found: dict[str, Example] = {}
    gathered: dict[str, list[Annotation]] = {}
    for stem in [stem for stem in stems if stem in release.stems]:
        rows = [row for split in splits for row in release.read(stem, split).to_pylist()]
        for row in sorted(rows, key=lambda row: str(row["id"])):
            annotation = annotation_of(stem, row, seed)
            if annotation is None:
                continue
            sha256 = row["image_sha256"]
            found.setdefault(sha256, Example(row["image_url"], sha256, row["cluster"], ()))
            gathered.setdefault(sha256, []).append(annotation)
    return [
        Example(image.image_url, sha256, image.cluster, tuple(gathered[sha256]))
        for sha256, image in sorted(found.items())
    ]


def annotation_of(stem: str, row: Mapping[str, object], seed: int | None) -> Annotation | None:
    """A row as an annotation; None where it is not trained on."""
    row_id = str(row["id"])
    if stem == "cap":
        rng = None if seed is None else Random(f"{seed} {row_id}")
        return prompts.caption(row_id, str(row["caption"]), rng)
    if stem == "ama":
        return prompts.question(row_id, str(row["question"]), str(row["answer"]))
    raw = row["points"]
    points = [Point(p["x"], p["y"]) for p in raw] if isinstance(raw, list) else []
    if len(points) > MOST_POINTS:
        return None
    return prompts.pointing(row_id, str(row["label"]), points, str(row["collection_method"]))


def load_crops(release: Release, example: Example, size: Size) -> Crops:
    """The crops of an example's image, upright and in RGB.

    Raises:
        ReleaseError: there is no file for the image, or it is no image.
    """
    return read_crops(release.image_path(example.image_url, example.image_sha256), size)


def read_crops(path: Path, size: Size) -> Crops:
    """The crops of the image in a file, upright and in RGB.

    Raises:
        ReleaseError: it is no image.
    """
    try:
        with Image.open(path) as image:
            return preprocess(ImageOps.exif_transpose(image).convert("RGB"), size)
    except (OSError, ValueError) as error:
        raise ReleaseError(f"image {path} cannot be read: {error}; validate the release") from error


def image_tokens(crops: Crops) -> list[int]:
    """The tokens an image takes: each grid between marks, each row with an end."""
    tokens = []
    for rows, columns in crops.grids:
        tokens += [IMAGE_START, *([PATCH] * columns + [ROW_END]) * rows, IMAGE_END]
    return tokens


def pack(
    crops: Crops, annotations: Sequence[Annotation], tokenizer: Tokenizer, size: Size
) -> Packed:
    """Image and annotations as one sequence.

    An answer longer than the size allows is cut; annotations past its text are left out. A token
    weighs 1/sqrt(tokens of the answer): long answers count more than short ones, but not in
    proportion (uniform weights leave counting to the seed).
    """
    prefix = [BOS, *image_tokens(crops)]
    tokens, segments = list(prefix), [PREFIX_SEGMENT] * len(prefix)
    positions, weights = list(range(len(prefix))), [0.0] * len(prefix)
    characters: list[int] = []
    for annotation in annotations:
        prompt = tokenizer.encode(annotation.prompt)
        answer, ends = tokenizer.encode_with_ends(annotation.answer)
        room = size.most_text_tokens - (len(tokens) - len(prefix)) - len(prompt)
        room = min(room, size.most_answer_tokens)
        if room < 1:
            break
        characters.append(len(annotation.answer) if len(answer) < room else ends[room - 1])
        answer = [*answer, EOS][:room]
        tokens += prompt + answer
        segments += [len(characters)] * (len(prompt) + len(answer))
        positions += range(len(prefix), len(prefix) + len(prompt) + len(answer))
        weights += [0.0] * len(prompt) + [len(answer) ** -0.5] * len(answer)
    return Packed(
        np.array(tokens, np.int64),
        np.array(segments, np.int64),
        np.array(positions, np.int64),
        np.array(weights, np.float32),
        tuple(annotations[: len(characters)]),
        tuple(characters),
    )


def collate(packed: Sequence[Packed], images: Sequence[Crops]) -> Batch:
    """Sequences padded to the longest, and the crops of their images one after another."""
    shape = (len(packed), max(len(one.tokens) for one in packed))
    tokens, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    segments = np.full(shape, PADDING_SEGMENT, np.int64)
    weights = np.zeros(shape, np.float32)
    windows, patches = [], 0
    for row, (one, crops) in enumerate(zip(packed, images, strict=True)):
        length = len(one.tokens)
        tokens[row, :length], segments[row, :length] = one.tokens, one.segments
        positions[row, :length], weights[row, :length] = one.positions, one.weights
        windows.append(np.where(crops.windows == NO_PATCH, NO_PATCH, crops.windows + patches))
        patches += crops.real.size
    return Batch(
        tokens=torch.from_numpy(tokens),
        segments=torch.from_numpy(segments),
        positions=torch.from_numpy(positions),
        weights=torch.from_numpy(weights),
        pixels=torch.from_numpy(np.concatenate([crops.pixels for crops in images])),
        real=torch.from_numpy(np.concatenate([crops.real for crops in images])),
        windows=torch.from_numpy(np.concatenate(windows)),
        slots=torch.from_numpy(np.flatnonzero(tokens == PATCH)),
    )
