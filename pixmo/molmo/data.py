"""A release's rows, gathered by image and packed: one sequence an image, then batches of them.

    <bos> image tokens │ prompt answer <eos> │ prompt answer <eos> │ …
    segment 0          │ 1                   │ 2                   │
    positions 0 … p-1  │ p …                 │ p …                 │

All annotations of an image share its encoded image; the segments keep them from seeing each
other, and positions start again for each, so packing changes no prediction.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
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
from pixmo.molmo.stages import StageName, Weighting
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

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device; from pinned memory it is copied while the device computes."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """The batch in memory that a GPU can read by itself; a loader asks for it."""
        return self._each(torch.Tensor.pin_memory)

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Batch":
        """The batch with every tensor changed."""
        return replace(self, **{one.name: change(getattr(self, one.name)) for one in fields(self)})


def read_examples(
    release: Release,
    splits: Sequence[str],
    stems: Sequence[str],
    seed: int | None = None,
    stage: StageName | None = None,
) -> list[Example]:
    """The images of some splits with their annotations of some subsets, sorted by image_sha256.

    An image's annotations are in the order of `stems`: what stands first is packed first.

    With `seed`, length hints are noisy as in training; without, they are exact. With `stage`, what
    is annotated is asked for as in that stage.
    """
    found: dict[str, Example] = {}
    gathered: dict[str, list[Annotation]] = {}
    for stem in [stem for stem in stems if stem in release.stems]:
        rows = [row for split in splits for row in release.read(stem, split).to_pylist()]
        for row in sorted(rows, key=lambda row: str(row["id"])):
            if not (annotations := annotations_of(stem, row, seed, stage)):
                continue
            sha256 = row["image_sha256"]
            found.setdefault(sha256, Example(row["image_url"], sha256, row["cluster"], ()))
            gathered.setdefault(sha256, []).extend(annotations)
    return [
        Example(image.image_url, sha256, image.cluster, tuple(gathered[sha256]))
        for sha256, image in sorted(found.items())
    ]


def annotations_of(
    stem: str, row: Mapping[str, object], seed: int | None, stage: StageName | None = None
) -> list[Annotation]:
    """A row as what is trained on: often one annotation, none where it is left out.

    In the caption stage a caption comes with one of its transcripts, drawn by `seed`; without a
    seed it is the first.
    """
    annotation = annotation_of(stem, row, seed, stage)
    found = [] if annotation is None else [annotation]
    texts = row.get("transcripts")
    if stage == "caption" and isinstance(texts, list) and texts:
        rng = None if seed is None else Random(f"{seed} {row['id']} transcript")
        text = texts[0] if rng is None else rng.choice(texts)
        found.append(prompts.transcript(str(row["id"]), text, rng))
    return found


def annotation_of(
    stem: str, row: Mapping[str, object], seed: int | None, stage: StageName | None = None
) -> Annotation | None:
    """A row as an annotation; None where it is not trained on."""
    row_id, tagged = str(row["id"]), stage == "finetune"
    if stem == "cap":
        rng = None if seed is None else Random(f"{seed} {row_id}")
        return prompts.caption(row_id, str(row["caption"]), rng, tagged)
    if stem == "ama":
        return prompts.question(row_id, str(row["question"]), str(row["answer"]))
    raw = row["points"]
    points = [Point(p["x"], p["y"]) for p in raw] if isinstance(raw, list) else []
    if len(points) > MOST_POINTS:
        return None
    method = str(row["collection_method"])
    return prompts.pointing(row_id, str(row["label"]), points, method, tagged)


def load_crops(release: Release, example: Example, size: Size) -> Crops:
    """The crops of an example's image; errors as in `open_image`."""
    return preprocess(open_image(release, example), size)


def open_image(release: Release, example: Example) -> Image.Image:
    """An example's image, upright and in RGB.

    Raises:
        ReleaseError: there is no file for the image, or it is no image.
    """
    path = release.image_path(example.image_url, example.image_sha256)
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError) as error:
        raise ReleaseError(f"image {path} cannot be read: {error}; validate the release") from error


def image_tokens(crops: Crops) -> list[int]:
    """The tokens an image takes: each grid between marks, each row with an end."""
    tokens = []
    for rows, columns in crops.grids:
        tokens += [IMAGE_START, *([PATCH] * columns + [ROW_END]) * rows, IMAGE_END]
    return tokens


def pack(
    crops: Crops,
    annotations: Sequence[Annotation],
    tokenizer: Tokenizer,
    size: Size,
    weighting: Weighting = "root_tokens",
) -> Packed:
    """Image and annotations as one sequence, at most as long as the size allows.

    An answer longer than the size allows is cut; annotations past its text are left out.
    """
    prefix = [BOS, *image_tokens(crops)]
    tokens, segments = list(prefix), [PREFIX_SEGMENT] * len(prefix)
    positions, weights = list(range(len(prefix))), [0.0] * len(prefix)
    longest = min(len(prefix) + size.most_text_tokens, size.sequence_length)
    characters: list[int] = []
    for annotation in annotations:
        prompt = tokenizer.encode(annotation.prompt)
        answer, ends = tokenizer.encode_with_ends(annotation.answer)
        room = min(longest - len(tokens) - len(prompt), size.most_answer_tokens)
        if room < 1:
            break
        characters.append(len(annotation.answer) if len(answer) < room else ends[room - 1])
        answer = [*answer, EOS][:room]
        tokens += prompt + answer
        segments += [len(characters)] * (len(prompt) + len(answer))
        positions += range(len(prefix), len(prefix) + len(prompt) + len(answer))
        weight = len(answer) ** -0.5 if weighting == "root_tokens" else 1.0
        weights += [0.0] * len(prompt) + [weight] * len(answer)
    share = len(characters) ** -0.5 if weighting == "root_annotations" and characters else 1.0
    return Packed(
        np.array(tokens, np.int64),
        np.array(segments, np.int64),
        np.array(positions, np.int64),
        np.array(weights, np.float32) * np.float32(share),
        tuple(annotations[: len(characters)]),
        tuple(characters),
    )


def collate(packed: Sequence[Packed], images: Sequence[Crops], multiple: int = 1) -> Batch:
    """Sequences padded to the longest, and the crops of their images one after another.

    The length is a multiple of `multiple`: on a GPU a few lengths are compiled, not all.
    """
    longest = max(len(one.tokens) for one in packed)
    shape = (len(packed), -(-longest // multiple) * multiple)
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
