"""The whole model: image tokens from the vision half, added to the language model's input."""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

from pixmo.molmo import weights
from pixmo.molmo.connector import Connector
from pixmo.molmo.data import Batch
from pixmo.molmo.language import Cache, Drop, LanguageModel, drop_at
from pixmo.molmo.losses import token_losses
from pixmo.molmo.sizes import Size
from pixmo.molmo.stages import Stage, StageName
from pixmo.molmo.vision import VisionTransformer

RESIDUAL_GAIN = 0.3  # of the maps that write into a residual stream, so that depth starts gently
EMBEDDING_DEVIATION = 0.05


class Vision(Protocol):
    """Pixels → patch features; ours or a pretrained one."""

    def __call__(self, pixels: Tensor) -> Tensor:
        """(crops, side, side, 3) of 0 to 255 → (crops, patches, feature width)."""

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Everything that is trained."""


class Language(Protocol):
    """Token vectors → the vectors that predict the next tokens; ours or a pretrained one."""

    def __call__(
        self,
        x: Tensor,
        segments: Tensor,
        positions: Tensor,
        cache: Cache | None = None,
        drop: Drop | None = None,
    ) -> Tensor:
        """x (batch, length, width); segments and positions (batch, length) → shape of `x`.

        With `cache`, the tokens come after those that it holds, and are held from now on.
        """

    def embedding(self, tokens: Tensor, /) -> Tensor:
        """(…) → (…, width)."""

    def logits(self, x: Tensor) -> Tensor:
        """(…, width) → (…, vocabulary)."""

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Everything that is trained."""

    @property
    def auxiliary_loss(self) -> Tensor | None:
        """What the last forward pass adds to the loss by itself; only a mixture of experts does."""


class Molmo(nn.Module):
    """Images and texts → the loss of every answer's tokens."""

    vision: Vision
    language: Language

    def __init__(self, size: Size, vocabulary_size: int, pretrained: bool = False) -> None:
        super().__init__()
        self.size = size
        self.vocabulary_size = vocabulary_size
        self.residual_dropout = 0.0
        self.z_loss = 0.0
        self.stage: StageName | None = None  # the last that it trained in
        self.vision = (
            weights.PretrainedVision(size, pretrained)
            if size.vision_backbone
            else VisionTransformer(size)
        )
        self.connector = Connector(size)
        self.language = (
            weights.PretrainedLanguage(size, vocabulary_size, pretrained)
            if size.language_backbone
            else LanguageModel(size, vocabulary_size)
        )
        for part in (self.vision, self.connector, self.language):
            if isinstance(part, VisionTransformer | Connector | LanguageModel):
                start(part)

    def train_as(self, stage: Stage) -> None:
        """From now on the model trains with the dropout and the z-loss of `stage`."""
        self.stage = stage.name
        self.residual_dropout, self.z_loss = stage.residual_dropout, stage.z_loss

    def forward(self, batch: Batch, cache: Cache | None = None) -> Tensor:
        """Vectors that predict each next token, shape (examples, length, width).

        An empty `cache` then holds the batch, for answers to be written token by token.
        """
        features = self.vision(batch.pixels)
        images = self.connector(features, batch.real, batch.windows)
        x = self.language.embedding(batch.tokens)
        x = x.flatten(0, 1).index_add(0, batch.slots, images.to(x.dtype)).view_as(x)
        return self.language(x, batch.segments, batch.positions, cache, self._drop(batch))

    def answer_losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Nats of every answer token, shape (n), and where in `tokens[:, 1:]` they are, a mask."""
        return self._token_losses(batch, 0.0), answered(batch)

    def loss(self, batch: Batch) -> Tensor:
        """The weighted mean loss of the batch's answer tokens, in nats; see `summed_loss`."""
        return self.summed_loss(batch) / batch.weights[:, 1:][answered(batch)].sum()

    def summed_loss(self, batch: Batch) -> Tensor:
        """The loss of every answer token times its weight, summed, in nats, with the z-loss in it.

        While a mixture of experts trains, also what uneven use of its experts costs.
        """
        weights = batch.weights[:, 1:][answered(batch)]
        loss = (self._token_losses(batch, self.z_loss) * weights).sum()
        auxiliary = self.language.auxiliary_loss
        return loss if auxiliary is None else loss + auxiliary * weights.sum()

    def _token_losses(self, batch: Batch, z_loss: float) -> Tensor:
        """The loss of every answer token, shape (n); nothing is asked of the others."""
        chosen = answered(batch)
        x, targets = self(batch)[:, :-1][chosen], batch.tokens[:, 1:][chosen]
        return token_losses(x, targets, self.language.logits, self.vocabulary_size, z_loss)

    def _drop(self, batch: Batch) -> Drop | None:
        """Dropout where an answer's token is predicted, while training."""
        if not (self.training and self.residual_dropout):
            return None
        places = nn.functional.pad(answered(batch), (0, 1))
        return drop_at(places, self.residual_dropout)


def answered(batch: Batch) -> Tensor:
    """Which of `tokens[:, 1:]` belong to an answer, shape (examples, length - 1)."""
    return batch.weights[:, 1:] > 0


def start(part: nn.Module) -> None:
    """The part's weights are random, those that write into a residual stream smaller."""
    part.apply(initialise)
    for name, parameter in part.named_parameters():
        if "blocks" in name and name.endswith(("out.weight", "down.weight", "mlp.2.weight")):
            parameter.data.mul_(RESIDUAL_GAIN)


def initialise(module: nn.Module) -> None:
    """Linear maps keep the variance of what they map; biases are zero; embeddings are small."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=EMBEDDING_DEVIATION)


def build(size: Size, vocabulary_size: int, seed: int, pretrained: bool = False) -> Molmo:
    """A model with random weights, the same for the same seed; no global state changes.

    With `pretrained` the backbones that the size names bring their weights; what they do not have
    stays random. Without it they bring their shape, and a checkpoint can be loaded into them.

    Raises:
        TrainingError: a backbone cannot be loaded, or does not fit the size.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Molmo(size, vocabulary_size, pretrained)
