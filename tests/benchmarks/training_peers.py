"""One way to train, timed by itself: `python -m tests.benchmarks.training_peers NAME` prints JSON.

`pixmo` is the trainer's step, with all that a run has in it: micro-batches, dropout, z-loss,
clipping, schedules; `compiled` the same with compiled blocks. `padded` is the same model as one
would write it first: every image has the most crops, every text the longest length, the mask is
dense, logits are made for every token. `molmo2` is transformers' Molmo2ForConditionalGeneration of
the same dimensions on our batches. Each reads the same JPEG files through the trainer's workers,
and is timed from asking for a batch until its optimisers are done.
"""

import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset

from pixmo.molmo import cost, data, language, prompts, tokenizer, weights
from pixmo.molmo.crops import Crops, preprocess
from pixmo.molmo.data import Batch, Packed
from pixmo.molmo.device import precision_on
from pixmo.molmo.distributed import blocks
from pixmo.molmo.model import Molmo, build
from pixmo.molmo.optimisers import component_optimisers, stage_for
from pixmo.molmo.sizes import Size, named
from pixmo.molmo.stream import stream
from pixmo.molmo.train import Objective, answer_weight, mean_loss, training_step
from pixmo.molmo.training_run import timed
from pixmo.molmo.vision import patches
from tests.molmo_configs import with_configs

GPU_PEAK = 989e12  # operations a second of an H100 or H200 in bfloat16, dense, as its maker says
WORDS = ("a", "the", "red", "small", "circle", "left", "of", "under", "tree", "sky", "three")
WARM_UP, STEPS, WORKERS = 2, 6, 2
LENGTHS = 128  # of which a batch's length is a multiple: one block of FlexAttention


@dataclass(frozen=True)
class Shape:
    """What is trained on."""

    size: Size
    examples: int  # of a micro-batch
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
    return Shape(size, examples=2, words=160, picture=(200, 200))


def gpu_shape(folder: Path) -> Shape:
    """CLIP ViT-L/14 at 336 pixels before 0.5 B, random weights; at most 1 + 4 crops an image."""
    size = replace(with_configs(folder, named("molmo-0.5b")), most_crops=4)
    return Shape(size, examples=4, words=300, picture=(560, 560))


@dataclass(frozen=True)
class Gridded(Batch):
    """A batch, and what only Molmo2 asks for."""

    grids: Tensor  # (examples, 4), of the tokens of both grids of an image


class MicroBatches(Dataset[Batch]):
    """By step and number: images of many sizes and their texts, as a release would bring them."""

    per_step = 2

    def __init__(self, shape: Shape, folder: Path, is_padded: bool) -> None:
        """The images are in `folder`, written unless they were before."""
        self.shape, self.folder, self.is_padded = shape, folder, is_padded
        self.made = tokenizer.train([" ".join(WORDS)], 300)
        folder.mkdir(exist_ok=True)
        for number in range(shape.examples * self.per_step * (WARM_UP + STEPS)):
            path = self.path(number)
            if not path.exists():
                Image.fromarray(noise(shape, number)).save(path)

    def path(self, number: int) -> Path:
        """The file of an image."""
        return self.folder / f"{number}.jpg"

    def __getitem__(self, at: tuple[int, int]) -> Batch:
        """The micro-batch, its images decoded and cut."""
        first = (at[0] * self.per_step + at[1]) * self.shape.examples
        packed, images = [], []
        for number in range(first, first + self.shape.examples):
            with Image.open(self.path(number)) as image:
                images.append(preprocess(image.convert("RGB"), self.shape.size))
            packed.append(self.pack(number, images[-1]))
        grids = torch.tensor([[*a, *b] for a, b in (image.grids for image in images)])
        if self.is_padded:
            images = [full(self.shape, image) for image in images]
        length = self.shape.size.sequence_length if self.is_padded else LENGTHS
        batch = data.collate(packed, images, multiple=length)
        return Gridded(**{one.name: getattr(batch, one.name) for one in fields(Batch)}, grids=grids)

    def pack(self, number: int, image: Crops) -> Packed:
        """An image and three answers of many lengths."""
        rng = Random(number)
        most = [rng.randint(10, self.shape.words // n) for n in (1, 4, 4)]
        texts = [" ".join(rng.choices(WORDS, k=count)) for count in most]
        annotations = [prompts.question("", "What is it?", text) for text in texts]
        return data.pack(image, annotations, self.made, self.shape.size)


def noise(shape: Shape, number: int) -> npt.NDArray[np.uint8]:
    """The pixels of an image, of a size of its own."""
    rng = np.random.default_rng(number)
    tall, wide = (int(rng.integers(most // 3, most + 1)) for most in shape.picture)
    return rng.integers(0, 256, (tall, wide, 3), dtype=np.uint8)


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
    """The same loss, summed, from the logits of every token."""
    with dense_masks():
        logits = model.language.logits(model(batch)[:, :-1]).float()
    nats = F.cross_entropy(logits.transpose(1, 2), batch.tokens[:, 1:], reduction="none")
    return (nats * batch.weights[:, 1:]).sum()


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


def molmo2_loss(model: nn.Module, batch: Gridded, patch: int) -> Tensor:
    """Its own loss, the mean of the same answers, all of one weight, times our weight of them."""
    out = model(
        input_ids=batch.tokens,
        pixel_values=patches(batch.pixels, patch),
        image_token_pooling=batch.windows,
        image_grids=batch.grids,
        attention_mask=language.may_look(batch.segments, batch.segments).unsqueeze(1),
        position_ids=batch.positions,
        mm_token_type_ids=torch.zeros_like(batch.tokens),
        labels=batch.tokens.masked_fill(batch.weights == 0, -100),
    )
    loss: Tensor = out.loss * answer_weight(batch)
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


Step = Callable[[list[Batch], int], float]  # a step of training; gives the loss


def trainer(shape: Shape, device: torch.device, compiled: bool) -> tuple[nn.Module, Step]:
    """The model, and a step as a run makes it."""
    model = build(shape.size, shape.size.vocabulary_size, seed=0)
    stage = stage_for(shape.size, "finetune")
    model.train_as(stage)
    objective = Objective(model, precision_on(device, "auto")).to(device)
    for block in blocks(model) if compiled else ():
        block.compile()
    optimisers = component_optimisers(model, stage, stage.steps)

    def step(batches: list[Batch], number: int) -> float:
        return training_step(objective.train(), optimisers, batches, number).loss

    return objective, step


def plain(model: nn.Module, loss_of: Callable[[Batch], Tensor], device: torch.device) -> Step:
    """A step as one would write it first."""
    model.to(device).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=device.type == "cuda")
    dtype = precision_on(device, "auto")

    def step(batches: list[Batch], _number: int) -> float:
        weight = sum(answer_weight(batch) for batch in batches)
        total = 0.0
        for batch in batches:
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                loss = loss_of(batch) / weight
            loss.backward()
            total += loss.item()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return total

    return step


def peer(name: str, shape: Shape, device: torch.device) -> tuple[nn.Module, Step]:
    """The model of a peer, on the device, and its step."""
    torch.manual_seed(0)
    if name in ("pixmo", "compiled"):
        return trainer(shape, device, compiled=name == "compiled")
    if name == "molmo2":
        model = make_molmo2(shape.size)
        patch = shape.size.patch_pixels
        return model, plain(model, lambda batch: molmo2_loss(model, batch, patch), device)
    model = build(shape.size, shape.size.vocabulary_size, seed=0)
    return model, plain(model, partial(padded_loss, model), device)


@torch.no_grad()
def first_loss(model: nn.Module, batches: list[Batch]) -> float | None:
    """Of the untrained model without dropout and z-loss, in nats an answer token.

    None of transformers' own model: it starts from other weights.
    """
    if isinstance(model, Objective):
        return mean_loss(model, batches)
    if not isinstance(model, Molmo):
        return None
    device = batches[0].tokens.device
    with torch.autocast(device.type, precision_on(device, "auto"), enabled=device.type == "cuda"):
        total = sum(padded_loss(model.eval(), batch) for batch in batches)
    model.train()
    return float(total / sum(answer_weight(batch) for batch in batches))


def run(name: str, folder: Path) -> dict[str, float | None]:
    """What came of training with one of the peers."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    shape = gpu_shape(folder) if device.type == "cuda" else processor_shape()
    brought = MicroBatches(shape, folder / "images", is_padded=name == "padded")
    model, step = peer(name, shape, device)
    loss = first_loss(model, [brought[0, n].to(device) for n in range(brought.per_step)])
    seconds, waits, last = [], [], math.nan
    batches = stream(brought, range(WARM_UP + STEPS), WORKERS, pinned=device.type == "cuda")
    for number, (there, waited) in enumerate(timed(batches)):
        start = time.perf_counter()
        last = step([batch.to(device) for batch in there], number)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start + waited)
        waits.append(waited)
    if not math.isfinite(last):
        raise RuntimeError(f"the loss of {name} is {last}")
    timed_steps = range(WARM_UP, WARM_UP + STEPS)
    real = MicroBatches(shape, folder / "images", is_padded=False)
    work = [cost.work_of(real[n, part]) for n in timed_steps for part in range(real.per_step)]
    total = sum(seconds[WARM_UP:])
    peak = GPU_PEAK if device.type == "cuda" else peak_of_processor()
    return {
        "loss": loss,
        "first_step_seconds": seconds[0],
        "images_per_second": shape.examples * len(work) / total,
        "crops_per_second": sum(one.crops for one in work) / total,
        "tokens_per_second": sum(one.tokens for one in work) / total,
        "useful_share_of_peak": sum(cost.operations(shape.size, one).total for one in work)
        / total
        / peak,
        "waiting_share": sum(waits[WARM_UP:]) / total,
        "gpu_megabytes": torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else 0,
        "parameters": sum(one.numel() for one in model.parameters()),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(run(sys.argv[1], Path(place))))
