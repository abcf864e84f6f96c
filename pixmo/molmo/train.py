"""Training: a fixed number of steps over packed examples, the same losses from the same seed."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

import torch
from torch import nn

from pixmo.errors import TrainingError
from pixmo.molmo.crops import Crops
from pixmo.molmo.data import Packed, collate
from pixmo.molmo.model import Molmo

LENGTH_POOL_BATCHES = 16  # shuffled examples sorted by length together: less padding, still mixed


@dataclass(frozen=True)
class TrainingOptions:
    """How to train."""

    steps: int
    seed: int = 0
    batch_examples: int = 16
    learning_rate: float = 3e-3  # peak; Muon's updates are scaled to AdamW's size
    warmup_steps: int = 50
    final_share: float = 0.1  # of the peak learning rate, where the cosine ends
    gradient_norm: float = 1.0  # larger gradients are scaled down to it


def train(
    model: Molmo, packed: Sequence[Packed], images: Sequence[Crops], options: TrainingOptions
) -> Iterator[float]:
    """Yield the loss of each step, in nats; afterwards the model is trained.

    In one thread on a CPU the losses are equal to the bit for equal inputs and seed.

    Raises:
        TrainingError: there is nothing to train on, or the loss is no number any more.
    """
    if not packed:
        raise TrainingError("there is no example to train on; the release's train split is empty")
    optimisers = make_optimisers(model, options.learning_rate)
    batches = batch_order([len(one.tokens) for one in packed], options)
    model.train()
    for step in range(options.steps):
        chosen = next(batches)
        loss = model.loss(collate([packed[i] for i in chosen], [images[i] for i in chosen]))
        model.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), options.gradient_norm)
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(step, options)
            optimiser.step()
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(f"the loss is {value} at step {step}; try a lower learning rate")
        yield value


def learning_rate(step: int, options: TrainingOptions) -> float:
    """A linear warm-up to the peak, then half a cosine down to its final share."""
    warmup = min(1.0, (step + 1) / options.warmup_steps)
    cosine = (1 + math.cos(math.pi * step / options.steps)) / 2
    return (
        options.learning_rate * warmup * (options.final_share + (1 - options.final_share) * cosine)
    )


def batch_order(lengths: Sequence[int], options: TrainingOptions) -> Iterator[list[int]]:
    """Yield batches of indices for ever: every epoch a new order, batches of like lengths.

    An epoch leaves out what does not fill its last batch; fewer examples than a batch are one.
    """
    rng = Random(options.seed)
    size = min(options.batch_examples, len(lengths))
    while True:
        order = list(range(len(lengths)))
        rng.shuffle(order)
        batches = []
        for start in range(0, len(order), size * LENGTH_POOL_BATCHES):
            pool = order[start : start + size * LENGTH_POOL_BATCHES]
            pool.sort(key=lambda i: lengths[i])
            batches += [pool[i : i + size] for i in range(0, len(pool) - size + 1, size)]
        rng.shuffle(batches)
        yield from batches


def make_optimisers(model: Molmo, learning_rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the model, AdamW for embeddings, gains and biases.

    An older torch has no Muon; there AdamW trains everything, and the probe's gates, which were
    measured with Muon, may not fit.
    Source: Jordan et al. 2024, Muon; scaled as in arXiv 2502.16982.
    """
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        inside = parameter.ndim == 2 and "embedding.weight" not in name
        (matrices if inside else others).append(parameter)
    adamw = partial(torch.optim.AdamW, lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.0)
    if not hasattr(torch.optim, "Muon"):
        return [adamw([*matrices, *others])]
    muon = torch.optim.Muon(
        matrices, lr=learning_rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"
    )
    return [muon, adamw(others)]
