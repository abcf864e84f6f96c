"""One way to train, timed by itself: `python -m tests.benchmarks.training_peers NAME` prints JSON.

`pixmo` is our step. `padded` is the same model as one would write it first: every image has the
most crops, every text the longest length, the mask is dense, logits are made for every token.
`molmo2` is transformers' Molmo2ForConditionalGeneration of the same dimensions on our batches.
"""

import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from pixmo.molmo import cost, data, language, prompts, tokenizer, weights
from pixmo.molmo.crops import Crops, preprocess
from pixmo.molmo.data import Batch, Packed
from pixmo.molmo.model import Molmo, build
from pixmo.molmo.sizes import Size, named
from pixmo.molmo.vision import patches
from tests.molmo_configs import with_configs

GPU_PEAK = 989e12  # operations a second of an H100 or H200 in bfloat16, dense, as its maker says
WORDS = ("a", "the", "red", "small", "circle", "left", "of", "under", "tree", "sky", "three")
WARM_UP, STEPS = 2, 6
LENGTHS = 128  # of which a batch's length is a multiple: one block of FlexAttention


@dataclass(frozen=True)
class Shape:
    """What is trained on."""

    size: Size
    examples: int  # of a batch
    words: int  # of the longest answer
    picture: tuple[int, int]  # height and width of the largest


def processor_shape() -> Shape:
    """A small model from scratch; a step takes about a second."""
    size = replace(
        named("probe-s"),
        crop_pixels=112,
        patch_pixels=14,
        margin_patches=1,
        vision_width=192,
        vision_layers=4,
        vision_inner=768,
        pooled_width=192,
        connector_inner=704,
        width=256,
        layers=4,
        inner=704,
        vocabulary_size=2048,
        sequence_length=512,
    )
    return Shape(size, examples=4, words=160, picture=(200, 200))


def gpu_shape(folder: Path) -> Shape:
    """CLIP ViT-L/14 at 336 pixels before 0.5 B, random weights; at most 1 + 4 crops an image."""
    size = replace(with_configs(folder, named("molmo-0.5b")), most_crops=4)
    return Shape(size, examples=8, words=300, picture=(560, 560))


def examples(
    shape: Shape, made: tokenizer.Tokenizer, step: int
) -> tuple[list[Packed], list[Crops]]:
    """The images and texts of one step, of many sizes."""
    rng, noise = Random(step), np.random.default_rng(step)
    height, width = shape.picture
    images = []
    for _ in range(shape.examples):
        tall, wide = rng.randint(height // 3, height), rng.randint(width // 3, width)
        pixels = noise.integers(0, 256, (tall, wide, 3), dtype=np.uint8)
        images.append(preprocess(Image.fromarray(pixels), shape.size))
    packed = []
    for image in images:
        texts = [rng.choices(WORDS, k=rng.randint(10, shape.words // n)) for n in (1, 4, 4)]
        annotations = [prompts.question("", "What is it?", " ".join(text)) for text in texts]
        packed.append(data.pack(image, annotations, made, shape.size))
    return packed, images


def full(shape: Shape, image: Crops) -> Crops:
    """The image with as many crops as any may have; those that it has not are black padding."""
    missing = 1 + shape.size.most_crops - len(image.pixels)
    pixels = np.pad(image.pixels, ((0, missing), (0, 0), (0, 0), (0, 0)))
    return replace(image, pixels=pixels, real=np.pad(image.real, ((0, missing), (0, 0))))


@contextmanager
def dense_masks() -> Iterator[None]:
    """Attention under a dense mask on any device."""

    def dense(segments: Tensor, _cache: object = None) -> Tensor:
        return language.may_look(segments, segments).unsqueeze(1)

    before = language.mask_of
    language.mask_of = weights.mask_of = dense  # type: ignore[assignment]
    try:
        yield
    finally:
        language.mask_of = weights.mask_of = before


def padded_loss(model: Molmo, batch: Batch) -> Tensor:
    """The same loss, from the logits of every token."""
    with dense_masks():
        logits = model.language.logits(model(batch)[:, :-1]).float()
    nats = F.cross_entropy(logits.transpose(1, 2), batch.tokens[:, 1:], reduction="none")
    weighted = nats * batch.weights[:, 1:]
    return weighted.sum() / batch.weights[:, 1:].sum()


def make_molmo2(size: Size) -> nn.Module:
    """Transformers' model of our dimensions; its parts differ in little (norms, biases)."""
    import transformers

    config = transformers.Molmo2Config(
        vision_config={
            "hidden_size": size.vision_width,
            "intermediate_size": size.vision_inner,
            "num_hidden_layers": cost.vision_layers(size),
            "num_attention_heads": size.vision_heads,
            "num_key_value_heads": size.vision_heads,
            "head_dim": size.vision_width // size.vision_heads,
            "image_size": [size.crop_pixels, size.crop_pixels],
            "patch_size": size.patch_pixels,
        },
        adapter_config={
            "vision_feature_layer": [size.vision_layers + one for one in size.feature_layers],
            "hidden_size": size.vision_width,
            "num_attention_heads": size.vision_heads,
            "num_key_value_heads": size.vision_heads,
            "head_dim": size.vision_width // size.vision_heads,
            "intermediate_size": size.connector_inner,
            "text_hidden_size": size.width,
        },
        text_config={
            "hidden_size": size.width,
            "num_attention_heads": size.heads,
            "num_key_value_heads": size.heads // size.queries_per_key,
            "head_dim": size.width // size.heads,
            "vocab_size": size.vocabulary_size,
            "num_hidden_layers": size.layers,
            "intermediate_size": size.inner,
        },
        image_patch_id=tokenizer.PATCH,
    )
    return transformers.Molmo2ForConditionalGeneration(config)


def molmo2_loss(model: nn.Module, batch: Batch, grids: Tensor, patch: int) -> Tensor:
    """Its own loss, of the same answers, all of one weight."""
    out = model(
        input_ids=batch.tokens,
        pixel_values=patches(batch.pixels, patch),
        image_token_pooling=batch.windows,
        image_grids=grids,
        attention_mask=language.may_look(batch.segments, batch.segments).unsqueeze(1),
        position_ids=batch.positions,
        mm_token_type_ids=torch.zeros_like(batch.tokens),
        labels=batch.tokens.masked_fill(batch.weights == 0, -100),
    )
    loss: Tensor = out.loss
    return loss


def peak_of_processor() -> float:
    """Operations a second of this machine's matrix product in float32, the best of ten."""
    one, other = torch.randn(2, 2048, 2048)
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        one @ other
        seconds.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(seconds)


def run(name: str, folder: Path) -> dict[str, float]:
    """What came of training with one of the peers."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    shape = gpu_shape(folder) if device.type == "cuda" else processor_shape()
    made = tokenizer.train([" ".join(WORDS)], 300)
    vocabulary = shape.size.vocabulary_size
    torch.manual_seed(0)
    model: nn.Module = (
        build(shape.size, vocabulary, seed=0) if name != "molmo2" else make_molmo2(shape.size)
    )
    model.to(device).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=device.type == "cuda")
    autocast: Callable[[], object] = (
        (lambda: torch.autocast("cuda", torch.bfloat16)) if device.type == "cuda" else nullcontext
    )
    losses, seconds, preparing, work = [], [], [], []
    for step in range(WARM_UP + STEPS):
        start = time.perf_counter()
        packed, images = examples(shape, made, step)
        grids = torch.tensor([[*a, *b] for a, b in (image.grids for image in images)])
        if name == "padded":
            images = [full(shape, image) for image in images]
        length = shape.size.sequence_length if name == "padded" else LENGTHS
        batch = data.collate(packed, images, multiple=length)
        preparing.append(time.perf_counter() - start)
        work.append(cost.work_of(data.collate(*examples(shape, made, step))))
        batch = Batch(**{one.name: getattr(batch, one.name).to(device) for one in fields(batch)})
        start = time.perf_counter()
        with autocast():  # type: ignore[attr-defined]
            if isinstance(model, Molmo):
                loss = model.loss(batch) if name == "pixmo" else padded_loss(model, batch)
            else:
                loss = molmo2_loss(model, batch, grids.to(device), shape.size.patch_pixels)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
    timed = work[WARM_UP:]
    total = sum(seconds[WARM_UP:])
    useful = sum(cost.operations(shape.size, one).total for one in timed)
    peak = GPU_PEAK if device.type == "cuda" else peak_of_processor()
    if not math.isfinite(losses[-1]):
        raise RuntimeError(f"the loss of {name} is {losses[-1]}")
    return {
        "loss": losses[0],
        "first_step_seconds": seconds[0],
        "images_per_second": shape.examples * len(timed) / total,
        "crops_per_second": sum(one.crops for one in timed) / total,
        "tokens_per_second": sum(one.tokens for one in timed) / total,
        "useful_share_of_peak": useful / total / peak,
        "preparing_over_step": sum(preparing[WARM_UP:]) / total,
        "gpu_megabytes": torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else 0,
        "parameters": sum(one.numel() for one in model.parameters()),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(run(sys.argv[1], Path(place))))
