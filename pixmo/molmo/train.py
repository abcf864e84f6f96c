"""Training: a fixed number of steps over packed examples, the same losses from the same seed."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor, nn

from pixmo.errors import TrainingError
from pixmo.molmo.crops import Crops
from pixmo.molmo.data import Batch, Packed, collate
from pixmo.molmo.distributed import ALONE, ProcessGroup, whole
from pixmo.molmo.generate import Request, generate
from pixmo.molmo.model import Molmo
from pixmo.molmo.optimisers import ComponentOptimiser, Schedule, probe_optimiser
from pixmo.molmo.tokenizer import Tokenizer

LEAST_WEIGHT = 1e-6  # of a batch in which no answer fits the text: its loss is zero
LENGTH_POOL_BATCHES = 16  # shuffled examples sorted by length together: less padding, still mixed


@dataclass(frozen=True)
class TrainingOptions:
    """How to train the probe."""

    steps: int
    seed: int = 0
    batch_examples: int = 16
    learning_rate: float = 3e-3  # peak; Muon's updates are scaled to AdamW's size
    warmup_steps: int = 50
    final_share: float = 0.1  # of the peak learning rate, where the cosine ends
    gradient_norm: float = 1.0  # larger gradients are scaled down to it

    @property
    def schedule(self) -> Schedule:
        """The learning rate over the steps."""
        return Schedule(self.learning_rate, self.warmup_steps, self.steps, self.final_share, 0)


@dataclass(frozen=True)
class Measured:
    """What a step found."""

    loss: float  # nats an answer token, before the step
    gradient_norms: dict[str, float]  # of each component, before clipping


class Objective(nn.Module):
    """A model, and what training makes small: the weighted losses of a batch's answers, summed.

    Whatever is asked of a model that several processes share is asked of this module as a whole:
    it gathers the weights.
    """

    def __init__(self, model: Molmo, precision: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.model = model
        self.precision = precision

    def forward(self, batch: Batch) -> Tensor:
        """The sum, in nats; while the model trains, with the z-loss and its like in it."""
        with self.autocast(batch.tokens.device):
            if self.training:
                return self.model.summed_loss(batch)
            losses, answered = self.model.answer_losses(batch)
            return (losses * batch.weights[:, 1:][answered]).sum()

    def answers(self, tokenizer: Tokenizer, requests: Sequence[Request]) -> list[str]:
        """What the model answers; blocks are not compiled for its many lengths."""
        device = next(self.parameters()).device
        with torch.compiler.set_stance("force_eager"), self.autocast(device):
            return list(generate(self.model, tokenizer, requests))

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """Matrix products are computed in `precision`; weights stay in 32 bits."""
        if self.precision == torch.float32:
            return nullcontext()
        return torch.autocast(device.type, self.precision)


def train(
    model: Molmo, packed: Sequence[Packed], images: Sequence[Crops], options: TrainingOptions
) -> Iterator[float]:
    """Yield the loss of each step, in nats; afterwards the model is trained.

    In one thread on a CPU the losses are equal to the bit for equal inputs and seed.

    Raises:
        TrainingError: there is nothing to train on, or the loss or a gradient is no number.
    """
    if not packed:
        raise TrainingError("there is no example to train on; the release's train split is empty")
    objective = Objective(model)
    optimiser = probe_optimiser(model, options.schedule, options.gradient_norm)
    order = batch_order([len(one.tokens) for one in packed], options)
    model.train()
    for step in range(options.steps):
        chosen = next(order)
        batch = collate([packed[i] for i in chosen], [images[i] for i in chosen])
        yield training_step(objective, [optimiser], [batch], step).loss


def training_step(
    objective: Objective,
    optimisers: Sequence[ComponentOptimiser],
    batches: Sequence[Batch],
    step: int,
    group: ProcessGroup = ALONE,
) -> Measured:
    """The model has made one step on the batches of all processes together, as if they were one.

    Gradients are shared after each batch, not after the last: until then every process would hold
    those of the whole model.

    The loss is the weighted mean over all their answers' tokens: each batch's sum is divided by
    the weight of all, so that it does not matter how the examples are cut into batches.

    Raises:
        TrainingError: the loss or a gradient is no number any more; the model is as it was.
    """
    weight = group.sum(torch.stack([answer_weight(batch) for batch in batches]).sum())
    weight = weight.clamp(min=LEAST_WEIGHT)
    objective.zero_grad(set_to_none=True)
    losses = []
    for batch in batches:
        loss: Tensor = objective(batch) / weight
        losses.append(loss.detach())
        # Processes that share weights take the mean of their gradients; the sum is wanted.
        (loss * group.size).backward()  # type: ignore[no-untyped-call]
    norms = {optimiser.name: whole(optimiser.clip()).item() for optimiser in optimisers}
    total = group.sum(torch.stack(losses).sum()).item()
    check_finite(total, norms, step)  # before anything is moved: a checkpoint may be due
    for optimiser in optimisers:
        optimiser.step(step)
    return Measured(total, norms)


def check_finite(loss: float, norms: Mapping[str, float], step: int) -> None:
    """The loss and the gradients' norms are numbers.

    Raises:
        TrainingError: one is not.
    """
    values = {"loss": loss} | {f"gradient of the {name}": norm for name, norm in norms.items()}
    for what, value in values.items():
        if not math.isfinite(value):
            raise TrainingError(f"the {what} is {value} at step {step}; try a lower learning rate")


@torch.no_grad()
def mean_loss(objective: Objective, batches: Iterable[Batch], group: ProcessGroup = ALONE) -> float:
    """The weighted mean loss over the batches of all processes, in nats; nothing is learnt.

    Every process brings as many batches.
    """
    objective.eval()
    sums = [torch.stack([objective(batch), answer_weight(batch)]) for batch in batches]
    loss, weight = group.sum(torch.stack(sums).sum(0)).tolist()
    return float(loss / max(weight, LEAST_WEIGHT))


def answer_weight(batch: Batch) -> Tensor:
    """What the answers' tokens weigh together."""
    weights = batch.weights[:, 1:]
    return weights[weights > 0].sum()


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
