"""The decoder-only language model, and which token may look at which.

Source: RMSNorm, SwiGLU and rotary positions as in Touvron et al. 2023, arXiv 2302.13971; the
segment mask as in Molmo's multi-annotation packing, arXiv 2409.17146, section 2.
"""

from collections import defaultdict

import torch
from torch import Tensor, nn

from pixmo.molmo.attention import Attention, Rotation, Seen
from pixmo.molmo.data import PREFIX_SEGMENT
from pixmo.molmo.sizes import Size


class LanguageBlock(nn.Module):
    """Masked attention, then a gated perceptron; normalised before each."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(width)
        self.attention = Attention(width, heads)
        self.mlp_norm = nn.RMSNorm(width)
        inner = 8 * width // 3  # as many weights as a plain perceptron of 4 * width
        self.gate = nn.Linear(width, inner)
        self.up = nn.Linear(width, inner)
        self.down = nn.Linear(inner, width)

    def forward(
        self, x: Tensor, mask: Tensor, rotation: Rotation, seen: Seen | None = None
    ) -> Tensor:
        """(batch, length, width) → the same shape."""
        normed = self.attention_norm(x)
        x = x + self.attention(normed, normed, mask, rotation, seen)
        normed = self.mlp_norm(x)
        out: Tensor = x + self.down(nn.functional.silu(self.gate(normed)) * self.up(normed))
        return out


class Cache:
    """What a language model keeps of the tokens it has read, so that none is read twice."""

    def __init__(self) -> None:
        self.blocks: dict[int, Seen] = defaultdict(Seen)
        self.segments: Tensor | None = None  # (batch, length) of all tokens read

    def read(self, segments: Tensor) -> Tensor:
        """The segments of all tokens, these last."""
        before = [] if self.segments is None else [self.segments]
        self.segments = torch.cat([*before, segments], 1)
        return self.segments


class LanguageModel(nn.Module):
    """Token vectors → the vectors that predict the next tokens; embedding and head are tied."""

    def __init__(self, size: Size, vocabulary_size: int) -> None:
        super().__init__()
        self.head_width = size.width // size.heads
        self.rope_base = size.rope_base
        self.embedding = nn.Embedding(vocabulary_size, size.width)
        self.blocks = nn.ModuleList(
            LanguageBlock(size.width, size.heads) for _ in range(size.layers)
        )
        self.norm = nn.RMSNorm(size.width)

    def forward(
        self, x: Tensor, segments: Tensor, positions: Tensor, cache: Cache | None = None
    ) -> Tensor:
        """x (batch, length, width); segments and positions (batch, length) → shape of `x`.

        With `cache`, the tokens come after those that it holds, and are held from now on.
        """
        mask = may_look(segments, segments if cache is None else cache.read(segments)).unsqueeze(1)
        rotation = rotation_at(positions, self.head_width, self.rope_base)
        for number, block in enumerate(self.blocks):
            x = block(x, mask, rotation, None if cache is None else cache.blocks[number])
        out: Tensor = self.norm(x)
        return out

    def logits(self, x: Tensor) -> Tensor:
        """(…, width) → (…, vocabulary)."""
        return nn.functional.linear(x, self.embedding.weight)


def may_look(asking: Tensor, all_segments: Tensor) -> Tensor:
    """Whether token q may look at token k, shape (batch, q, k), from their segments.

    The image prefix looks at all of itself; an annotation's token at the prefix and at what comes
    before it in its own annotation. Padding is a segment of its own that nobody else sees.
    `asking` (batch, q) are the last of `all_segments` (batch, k).
    """
    order = torch.arange(all_segments.shape[1], device=all_segments.device)
    earlier = order[-asking.shape[1] :, None] >= order[None, :]
    of_query, of_key = asking[:, :, None], all_segments[:, None, :]
    same, prefix = of_query == of_key, of_key == PREFIX_SEGMENT
    return (earlier & (same | prefix)) | (same & prefix)


def rotation_at(positions: Tensor, head_width: int, base: float) -> Rotation:
    """Cosines and sines of the angles at `positions`, each (batch, 1, length, head width / 2)."""
    half = head_width // 2
    frequencies = base ** -(torch.arange(half, device=positions.device) / half)
    angles = positions[:, None, :, None] * frequencies
    return angles.cos(), angles.sin()
