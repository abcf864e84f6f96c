"""The two stages of training, caption then fine-tuning, as data: rates, warm-ups, batches, losses.

Nothing is frozen in either. A high rate and a short warm-up of the connector stand in for a stage
of its own. Source: arXiv 2409.17146, appendix A, and the public Molmo training code.
"""

from dataclasses import dataclass, replace
from typing import Literal

from pixmo.errors import TrainingError
from pixmo.molmo.sizes import Size

StageName = Literal["caption", "finetune"]

# What a token of an answer weighs in the loss: all the same; 1/sqrt(tokens of its answer), so that
# long answers count more than short ones, but not in proportion; 1/sqrt(annotations of its image).
Weighting = Literal["uniform", "root_tokens", "root_annotations"]


@dataclass(frozen=True)
class Component:
    """How one of vision, connector and language is trained."""

    learning_rate: float  # at the peak
    warmup_steps: int


@dataclass(frozen=True)
class Stage:
    """One stage of training; the optimiser is AdamW at 0.9, 0.95 without weight decay."""

    name: StageName
    vision: Component
    connector: Component
    language: Component
    batch_examples: int  # over all devices together
    steps: int
    weighting: Weighting
    final_share: float = 0.1  # of the peak learning rate, where the cosine ends
    gradient_norm: float = 1.0  # of each component; larger gradients are scaled down to it
    residual_dropout: float = 0.1  # of the language model, where an answer is predicted
    z_loss: float = 1e-4  # weight of the squared log-normaliser of the logits
    stems: tuple[str, ...] = ("cap",)  # subsets; of an image what stands first is packed first


CAPTION = Stage(
    name="caption",
    vision=Component(6e-6, 2000),
    connector=Component(2e-4, 200),
    language=Component(2e-5, 2000),
    batch_examples=128,
    steps=22_300,  # four epochs of PixMo-Cap
    weighting="uniform",
)
FINETUNE = Stage(
    name="finetune",
    vision=Component(5e-6, 200),
    connector=Component(5e-6, 200),
    language=Component(1e-5, 200),
    batch_examples=256,
    steps=30_000,
    weighting="root_annotations",
    stems=("ama", "points", "cap"),
)

# Random weights need larger steps than pretrained ones. Not measured on a GPU yet: the rates of
# transformers of these widths in the literature.
CAPTION_FROM_SCRATCH = replace(
    CAPTION,
    vision=Component(6e-4, 500),
    connector=Component(6e-4, 500),
    language=Component(6e-4, 500),
    batch_examples=64,
    steps=10_000,
)
FINETUNE_FROM_SCRATCH = replace(
    FINETUNE,
    vision=Component(2e-4, 200),
    connector=Component(2e-4, 200),
    language=Component(2e-4, 200),
    batch_examples=64,
    steps=5_000,
)

STAGES = ("caption", "finetune")


def stage_of(size: Size, name: str) -> Stage:
    """The stage `name` for a size: the published one where any half starts from weights.

    A half from random weights keeps the rate and the warm-up of one.

    Raises:
        TrainingError: no such stage.
    """
    if name not in STAGES:
        raise TrainingError(f"there is no stage {name!r}; there are {', '.join(STAGES)}")
    published, random = (
        (CAPTION, CAPTION_FROM_SCRATCH) if name == "caption" else (FINETUNE, FINETUNE_FROM_SCRATCH)
    )
    if not size.is_pretrained:
        return random
    return replace(
        published,
        vision=published.vision if size.vision_backbone else random.vision,
        language=published.language if size.language_backbone else random.language,
    )
