"""The whole model: image tokens from the vision half, added to the language model's input."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixmo.molmo.connector import Connector
from pixmo.molmo.data import Batch
from pixmo.molmo.language import Cache, LanguageModel
from pixmo.molmo.sizes import Size
from pixmo.molmo.vision import VisionTransformer

RESIDUAL_GAIN = 0.3  # of the maps that write into a residual stream, so that depth starts gently
EMBEDDING_DEVIATION = 0.05


class Molmo(nn.Module):
    """Images and texts → the loss of every answer's tokens."""

    def __init__(self, size: Size, vocabulary_size: int) -> None:
        super().__init__()
        self.size = size
        self.vocabulary_size = vocabulary_size
        self.vision = VisionTransformer(size)
        self.connector = Connector(size)
        self.language = LanguageModel(size, vocabulary_size)
        self.apply(initialise)
        for name, parameter in self.named_parameters():
            if "blocks" in name and name.endswith(("out.weight", "down.weight", "mlp.2.weight")):
                parameter.data.mul_(RESIDUAL_GAIN)

    def forward(self, batch: Batch, cache: Cache | None = None) -> Tensor:
        """Vectors that predict each next token, shape (examples, length, width).

        An empty `cache` then holds the batch, for answers to be written token by token.
        """
        features = self.vision(batch.pixels)
        images = self.connector(features, batch.real, batch.windows)
        x = self.language.embedding(batch.tokens)
        x = x.flatten(0, 1).index_add(0, batch.slots, images).view_as(x)
        out: Tensor = self.language(x, batch.segments, batch.positions, cache)
        return out

    def answer_losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Nats of every answer token, shape (n), and where in `tokens[:, 1:]` they are, a mask.

        Logits are made for answer tokens only: nothing is asked of the others.
        """
        answered = batch.weights[:, 1:] > 0
        logits = self.language.logits(self(batch)[:, :-1][answered])
        return F.cross_entropy(logits, batch.tokens[:, 1:][answered], reduction="none"), answered

    def loss(self, batch: Batch) -> Tensor:
        """The weighted mean loss of the batch's answer tokens, in nats."""
        losses, answered = self.answer_losses(batch)
        weights = batch.weights[:, 1:][answered]
        return (losses * weights).sum() / weights.sum()


def initialise(module: nn.Module) -> None:
    """Linear maps keep the variance of what they map; biases are zero; embeddings are small."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=EMBEDDING_DEVIATION)


def build(size: Size, vocabulary_size: int, seed: int) -> Molmo:
    """A model with random weights, the same for the same seed; no global state changes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Molmo(size, vocabulary_size)
