"""The connector: four patches' features → one image token of the language model.

Source: arXiv 2409.17146, section 2: attention pooling over 2x2 windows with their mean as query.
The normalisation before it is ours.
"""

import torch
from torch import Tensor, nn

from pixmo.molmo.attention import Attention
from pixmo.molmo.sizes import Size

MOST_WINDOWS = 2**15  # pooled at once: attention on a GPU takes no batch over 65,535


class Connector(nn.Module):
    """Pools windows of patches and projects them to the language model's width."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        width = size.feature_width
        self.norm = nn.LayerNorm(width)
        self.all_padding = nn.Parameter(torch.zeros(width))
        self.some_padding = nn.Parameter(torch.zeros(width))
        self.pooling = Attention(width, size.vision_heads, inner=size.pooled_width)
        self.gate = nn.Linear(size.pooled_width, size.connector_inner)
        self.up = nn.Linear(size.pooled_width, size.connector_inner)
        self.down = nn.Linear(size.connector_inner, size.width)

    def forward(self, features: Tensor, real: Tensor, windows: Tensor) -> Tensor:
        """(image tokens, width of the language model).

        features (crops, patches, feature width); real (crops, patches), the share of image in a
        patch; windows (image tokens, 4), patches counted over all crops, negative where none.
        """
        share = real.unsqueeze(-1)
        marked = self.norm(features) + (share == 0) * self.all_padding
        marked = marked + ((share > 0) & (share < 1)) * self.some_padding
        flat = marked.flatten(0, 1)
        present = (windows >= 0).unsqueeze(-1)
        index = windows.clamp(min=0).flatten()
        four = flat.index_select(0, index).unflatten(0, windows.shape) * present
        parts = (torch.split(one, MOST_WINDOWS) for one in (four, present))
        pooled = torch.cat([self.pool(*part) for part in zip(*parts, strict=True)])
        out: Tensor = self.down(nn.functional.silu(self.gate(pooled)) * self.up(pooled))
        return out

    def pool(self, four: Tensor, present: Tensor) -> Tensor:
        """(n, 4, width) → (n, pooled width): the mean of the patches there asks, they answer."""
        mean = four.sum(1, keepdim=True) / present.sum(1, keepdim=True)
        mask = present.transpose(1, 2).unsqueeze(1)
        pooled: Tensor = self.pooling(mean, four, mask)
        return pooled.squeeze(1)
