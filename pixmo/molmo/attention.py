"""Multi-head attention, used by the vision transformer, the connector and the language model."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Rotation = tuple[Tensor, Tensor]  # cosines and sines, each (batch, 1, length, head width / 2)


class Seen:
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
    """Scaled dot-product attention with linear maps before and after."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        mask: Tensor | None = None,
        rotation: Rotation | None = None,
        seen: Seen | None = None,
    ) -> Tensor:
        """What each query gathers from the keys, shape of `queries`.

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
        gathered = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        out: Tensor = self.out(gathered.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        """(batch, length, width) → (batch, heads, length, head width)."""
        batch, length, width = x.shape
        return x.view(batch, length, self.heads, width // self.heads).transpose(1, 2)


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Pairs (i, i + half) of the last axis turned by their angles: rotary position embedding.

    Source: Su et al. 2021, RoFormer, arXiv 2104.09864, in the half-split layout.
    """
    cosines, sines = rotation
    first, second = x.chunk(2, -1)
    return torch.cat([first * cosines - second * sines, second * cosines + first * sines], -1)
