"""Multi-head attention, used by the vision transformer, the connector and the language model."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

Rotation = tuple[Tensor, Tensor]  # cosines and sines, each (batch, 1, length, head width / 2)


class KeyValueCache:
    """Keys and values of earlier calls, each (batch, heads, length, head width)."""

    def __init__(self) -> None:
        self.key: Tensor | None = None
        self.value: Tensor | None = None

    def add(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and values so far, these last."""
        if self.key is not None and self.value is not None:
            key, value = torch.cat([self.key, key], 2), torch.cat([self.value, value], 2)
        self.key, self.value = key, value
        return key, value


class Attention(nn.Module):
    """Scaled dot-product attention with linear maps before and after.

    `inner` is the width of all heads together and of the result, that of the input if not given;
    `queries_per_key` heads share one head of keys and values (arXiv 2305.13245).
    """

    def __init__(
        self, width: int, heads: int, inner: int | None = None, queries_per_key: int = 1
    ) -> None:
        super().__init__()
        inner = inner or width
        self.head_width = inner // heads
        self.query = nn.Linear(width, inner)
        self.key = nn.Linear(width, inner // queries_per_key)
        self.value = nn.Linear(width, inner // queries_per_key)
        self.out = nn.Linear(inner, inner)

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        mask: "Tensor | BlockMask | None" = None,
        rotation: Rotation | None = None,
        seen: KeyValueCache | None = None,
    ) -> Tensor:
        """What each query gathers from the keys, (batch, m, inner width).

        queries (batch, m, width), keys (batch, n, width); `mask` is true where a query may look,
        broadcast to (batch, heads, m, n); `rotation` turns queries and keys by their positions.
        With `seen`, queries look at the keys of earlier calls, too, which stand before.
        """
        query = self._split(self.query(queries))
        key, value = self._split(self.key(keys)), self._split(self.value(keys))
        if rotation is not None:
            query, key = rotate(query, rotation), rotate(key, rotation)
        if seen is not None:
            key, value = seen.add(key, value)
        found = attend(query, key, value, mask)
        out: Tensor = self.out(found.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        """(batch, length, width) → (batch, heads, length, head width)."""
        batch, length, _ = x.shape
        return x.view(batch, length, -1, self.head_width).transpose(1, 2)


def attend(query: Tensor, key: Tensor, value: Tensor, mask: "Tensor | BlockMask | None") -> Tensor:
    """The mean of the values, weighted by softmax(query · key / sqrt(head width)) under `mask`.

    Each (batch, heads, length, head width); keys and values may have fewer heads.
    """
    shared = query.shape[1] // key.shape[1]
    is_dense = mask is None or isinstance(mask, Tensor)
    # A GPU has no fast kernel for a dense mask and shared heads; masks in blocks are sure only of
    # heads that are shared by a power of two.
    if shared > 1 and (is_dense or shared & (shared - 1)):
        key, value = (one.repeat_interleave(shared, 1) for one in (key, value))
        shared = 1
    if mask is None or isinstance(mask, Tensor):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    from torch.nn.attention.flex_attention import flex_attention

    # On a GPU it is fast only compiled; a block that is itself compiled takes it as it is.
    attention = cast("Callable[..., Tensor]", flex_attention)
    if query.is_cuda and not torch.compiler.is_compiling():
        attention = compiled(attention)
    return attention(query, key, value, block_mask=mask, enable_gqa=shared > 1)


@cache
def compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function, compiled once for all who call it."""
    return torch.compile(function)


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Pairs (i, i + half) of the last axis turned by their angles: rotary position embedding.

    Turned in the rotation's precision, given back in that of `x`.

    Source: Su et al. 2021, RoFormer, arXiv 2104.09864, in the half-split layout.
    """
    cosines, sines = rotation
    first, second = x.chunk(2, -1)
    turned = [first * cosines - second * sines, second * cosines + first * sines]
    return torch.cat(turned, -1).to(x.dtype)
