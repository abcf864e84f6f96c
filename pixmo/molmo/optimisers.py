"""What moves the weights: every component has its own peak rate, warm-up and clipping.

Source: arXiv 2409.17146, section 4, and the public Molmo training code.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from pixmo.molmo.model import Molmo
from pixmo.molmo.sizes import PROBE_XS, Size
from pixmo.molmo.stages import Component, Stage, stage_of

COMPONENTS = ("vision", "connector", "language")
PROBE_RATE = Component(learning_rate=3e-3, warmup_steps=50)
PROBE: dict[str, Any] = {
    "vision": PROBE_RATE,
    "connector": PROBE_RATE,
    "language": PROBE_RATE,
    "batch_examples": 16,
    "steps": 700,
    "weighting": "root_tokens",
    "residual_dropout": 0.0,
    "z_loss": 0.0,
}
ADAM_BETAS, ADAM_EPSILON, MUON_EPSILON = (0.9, 0.95), 1e-6, 1e-8


@dataclass(frozen=True)
class Schedule:
    """A learning rate over the steps: a linear warm-up times half a cosine to a final share.

    The cosine begins where the warm-up ends, as in Molmo. The probe's begins with the first step:
    so its gates were measured.
    """

    peak: float
    warmup_steps: int
    steps: int
    final_share: float  # of the peak, where the cosine ends
    cosine_from: int  # the step in which it begins

    def at(self, step: int) -> float:
        """The rate of a step; the first step is 0."""
        warmup = min(1.0, (step + 1) / max(1, self.warmup_steps))
        fallen = max(0, step - self.cosine_from)
        cosine = (1 + math.cos(math.pi * fallen / (self.steps - self.cosine_from))) / 2
        return self.peak * warmup * (self.final_share + (1 - self.final_share) * cosine)


@dataclass(frozen=True)
class ComponentOptimiser:
    """What moves one component: parameters that share a schedule and are clipped together."""

    name: str
    parameters: tuple[nn.Parameter, ...]
    torch_optimisers: tuple[torch.optim.Optimizer, ...]
    schedule: Schedule
    gradient_norm: float  # larger gradients are scaled down to it

    def clip(self) -> Tensor:
        """The gradients are no larger than `gradient_norm` together; returns the norm before."""
        return nn.utils.clip_grad_norm_(self.parameters, self.gradient_norm)

    def step(self, step: int) -> None:
        """The parameters have followed their gradients."""
        for optimiser in self.torch_optimisers:
            for group in optimiser.param_groups:
                group["lr"] = self.schedule.at(step)
            optimiser.step()


def component_optimisers(model: Molmo, stage: Stage, steps: int) -> tuple[ComponentOptimiser, ...]:
    """What moves the model through so many steps of a stage; the probe has a recipe of its own.

    Warm-ups keep their share of the stage's own steps, so that a short run reaches its peak.
    """

    def schedule(component: Component) -> Schedule:
        warmup = round(component.warmup_steps * min(1.0, steps / stage.steps))
        start = 0 if is_probe(model.size) else warmup
        return Schedule(component.learning_rate, warmup, steps, stage.final_share, start)

    if is_probe(model.size):
        return (probe_optimiser(model, schedule(stage.language), stage.gradient_norm),)
    optimisers = []
    for name in COMPONENTS:
        parameters = tuple(getattr(model, name).parameters())
        adam, at = adamw(parameters, ADAM_EPSILON), schedule(getattr(stage, name))
        optimisers.append(ComponentOptimiser(name, parameters, (adam,), at, stage.gradient_norm))
    return tuple(optimisers)


def stage_for(size: Size, name: str) -> Stage:
    """The stage `name` for a size; the probe's size keeps the probe's recipe in either.

    Raises:
        TrainingError: no such stage.
    """
    stage = stage_of(size, name)
    return replace(stage, **PROBE) if is_probe(size) else stage


def probe_optimiser(model: Molmo, schedule: Schedule, gradient_norm: float) -> ComponentOptimiser:
    """One for the whole model: Muon for its matrices, AdamW for the rest."""
    return ComponentOptimiser(
        "model", tuple(model.parameters()), muon_and_adamw(model), schedule, gradient_norm
    )


def is_probe(size: Size) -> bool:
    """Whether a model is of the probe's size, and trains as its gates were measured."""
    return size.name == PROBE_XS.name and not size.is_pretrained


def muon_and_adamw(model: Molmo) -> tuple[torch.optim.Optimizer, ...]:
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
    if not hasattr(torch.optim, "Muon"):
        return (adamw([*matrices, *others], MUON_EPSILON),)
    muon = torch.optim.Muon(matrices, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    return muon, adamw(others, MUON_EPSILON)


def adamw(parameters: Sequence[nn.Parameter], epsilon: float) -> torch.optim.AdamW:
    """AdamW without weight decay; its rate is set at every step."""
    fused = parameters[0].is_cuda  # one kernel for all parameters
    return torch.optim.AdamW(
        parameters, betas=ADAM_BETAS, eps=epsilon, weight_decay=0.0, fused=fused
    )
