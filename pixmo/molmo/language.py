"""The decoder-only language model, and which token may look at which.

Source: RMSNorm, SwiGLU and rotary positions as in Touvron et al. 2023, arXiv 2302.13971, but with
biases; segments as in Molmo's multi-annotation packing, arXiv 2409.17146, section 2, but an image
looks at all of itself.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixmo.molmo.attention import Attention, KeyValueCache, Rotation
from pixmo.molmo.data import PREFIX_SEGMENT
from pixmo.molmo.sizes import Size

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

# Torch 2.6 compiles attention in blocks to kernels that may fail in training (pytorch #146260).
HAS_BLOCK_TRAINING = not torch.__version__.startswith("2.6.")

Drop = Callable[[Tensor], Tensor]  # what becomes of a branch before it joins the residual stream


class LanguageBlock(nn.Module):
    """Masked attention, then a gated perceptron; normalised before each."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        width = size.width
        self.attention_norm = nn.RMSNorm(width)
        self.attention = Attention(width, size.heads, queries_per_key=size.queries_per_key)
        self.mlp_norm = nn.RMSNorm(width)
        self.gate = nn.Linear(width, size.inner)
        self.up = nn.Linear(width, size.inner)
        self.down = nn.Linear(size.inner, width)

    def forward(
        self,
        x: Tensor,
        mask: "Tensor | BlockMask",
        rotation: Rotation,
        seen: KeyValueCache | None = None,
        drop: Drop | None = None,
    ) -> Tensor:
        """(batch, length, width) → the same shape; `drop` is done to each of the two branches."""
        drop = drop or keep
        normed = self.attention_norm(x)
        x = x + drop(self.attention(normed, normed, mask, rotation, seen))
        normed = self.mlp_norm(x)
        return x + drop(self.down(F.silu(self.gate(normed)) * self.up(normed)))


class Cache:
    """What a language model keeps of the tokens it has read, so that none is read twice."""

    def __init__(self) -> None:
        self.blocks: dict[int, KeyValueCache] = defaultdict(KeyValueCache)
        self.segments: Tensor | None = None  # (batch, length) of all tokens read
        self.backbone: object = None  # what a pretrained model keeps, in its own form

    def read(self, segments: Tensor) -> Tensor:
        """The segments of all tokens, these last."""
        before = [] if self.segments is None else [self.segments]
        self.segments = torch.cat([*before, segments], 1)
        return self.segments


class LanguageModel(nn.Module):
    """Token vectors → the vectors that predict the next tokens; embedding and head are tied."""

    auxiliary_loss: Tensor | None = None  # what a mixture of experts would add

    def __init__(self, size: Size, vocabulary_size: int) -> None:
        super().__init__()
        self.head_width = size.width // size.heads
        self.rope_base = size.rope_base
        self.embedding = nn.Embedding(vocabulary_size, size.width)
        self.blocks = nn.ModuleList(LanguageBlock(size) for _ in range(size.layers))
        self.norm = nn.RMSNorm(size.width)

    def forward(
        self,
        x: Tensor,
        segments: Tensor,
        positions: Tensor,
        cache: Cache | None = None,
        drop: Drop | None = None,
    ) -> Tensor:
        """x (batch, length, width); segments and positions (batch, length) → shape of `x`.

        With `cache`, the tokens come after those that it holds, and are held from now on. With
        `drop`, every branch goes through it before it joins the residual stream.
        """
        mask = mask_of(segments, cache)
        rotation = rotation_at(positions, self.head_width, self.rope_base)
        for number, block in enumerate(self.blocks):
            x = block(x, mask, rotation, None if cache is None else cache.blocks[number], drop)
        out: Tensor = self.norm(x)
        return out

    def logits(self, x: Tensor) -> Tensor:
        """(…, width) → (…, vocabulary)."""
        return nn.functional.linear(x, self.embedding.weight)


def keep(branch: Tensor) -> Tensor:
    """The branch as it is."""
    return branch


def drop_at(places: Tensor, share: float) -> Drop:
    """Dropout of a `share` of a branch's values at `places` (batch, length), nowhere else.

    Images and prompts are read as they are; only where an answer is predicted must the model do
    without some of what it knows of language. Source: the public Molmo training code.
    """

    def drop(branch: Tensor) -> Tensor:
        return torch.where(places.unsqueeze(-1), F.dropout(branch, share), branch)

    return drop


def mask_of(segments: Tensor, cache: Cache | None = None) -> "Tensor | BlockMask":
    """Who may look where, (batch, 1, q, k); on a GPU in blocks, made once for all layers.

    With `cache`, at the tokens that it holds, too; it holds these from now on.
    """
    if cache is not None:
        return may_look(segments, cache.read(segments)).unsqueeze(1)
    if segments.is_cuda and HAS_BLOCK_TRAINING:
        return block_mask(segments)
    return may_look(segments, segments).unsqueeze(1)


def block_mask(segments: Tensor) -> "BlockMask":
    """Who may look where, in blocks: what no query of a block sees is never computed."""
    from torch.nn.attention.flex_attention import create_block_mask

    def of(batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return looks(query, key, segments[batch, query], segments[batch, key])

    batch, length = segments.shape
    return create_block_mask(of, batch, None, length, length, device=str(segments.device))


def may_look(asking: Tensor, all_segments: Tensor) -> Tensor:
    """Whether token q may look at token k, shape (batch, q, k), from their segments.

    `asking` (batch, q) are the last of `all_segments` (batch, k).
    """
    order = torch.arange(all_segments.shape[1], device=all_segments.device)
    of_query, of_key = asking[:, :, None], all_segments[:, None, :]
    return looks(order[-asking.shape[1] :, None], order[None, :], of_query, of_key)


def looks(query: Tensor, key: Tensor, of_query: Tensor, of_key: Tensor) -> Tensor:
    """Whether the token at place `query`, of segment `of_query`, may look at that at `key`.

    The image prefix looks at all of itself; an annotation's token at the prefix and at what comes
    before it in its own annotation. Padding is a segment of its own that nobody else sees.
    """
    same, prefix = of_query == of_key, of_key == PREFIX_SEGMENT
    return ((query >= key) & (same | prefix)) | (same & prefix)


def rotation_at(positions: Tensor, head_width: int, base: float) -> Rotation:
    """Cosines and sines of the angles at `positions`, each (batch, 1, length, head width / 2)."""
    half = head_width // 2
    frequencies = base ** -(torch.arange(half, device=positions.device) / half)
    angles = positions[:, None, :, None] * frequencies
    return angles.cos(), angles.sin()
