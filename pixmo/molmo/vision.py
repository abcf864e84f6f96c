"""The vision transformer: pixels of a crop → a feature for each patch.

Source: Dosovitskiy et al. 2020, arXiv 2010.11929; concatenating two layers' outputs as in Molmo.
"""

import torch
from torch import Tensor, nn

from pixmo.molmo.attention import Attention
from pixmo.molmo.sizes import Size

POSITION_BASE = 100.0  # longest wavelength over shortest; grids are at most some tens of patches
POSITION_SCALE = 0.5  # keeps positions from drowning the patches at the start of training


class VisionBlock(nn.Module):
    """Attention over the patches of a crop, then a two-layer perceptron; normalised before each."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        width = size.vision_width
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, size.vision_heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, size.vision_inner), nn.GELU(), nn.Linear(size.vision_inner, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(crops, patches, width) → the same shape."""
        normed = self.attention_norm(x)
        x = x + self.attention(normed, normed)
        out: Tensor = x + self.mlp(self.mlp_norm(x))
        return out


class VisionTransformer(nn.Module):
    """Crops → patch features."""

    positions: Tensor

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        self.patch_embedding = nn.Linear(3 * size.patch_pixels**2, size.vision_width)
        positions = sine_cosine_positions(size.patches_per_side, size.vision_width)
        self.register_buffer("positions", POSITION_SCALE * positions, persistent=False)
        self.blocks = nn.ModuleList(VisionBlock(size) for _ in range(size.vision_layers))

    def forward(self, pixels: Tensor) -> Tensor:
        """(crops, side, side, 3) of 0 to 255 → (crops, patches, feature width)."""
        x = self.patch_embedding(patches(pixels, self.size.patch_pixels)) + self.positions
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        return torch.cat([outputs[layer] for layer in self.size.feature_layers], -1)


def patches(pixels: Tensor, side: int) -> Tensor:
    """(crops, height, width, 3) of 0 to 255 → (crops, patches, side * side * 3) of -1 to 1."""
    crops, height, width, _ = pixels.shape
    scaled = pixels.float() / 127.5 - 1.0
    grid = scaled.view(crops, height // side, side, width // side, side, 3).transpose(2, 3)
    return grid.reshape(crops, -1, side * side * 3)


def sine_cosine_positions(side: int, width: int) -> Tensor:
    """Fixed positions of a side x side grid, row by row, shape (side * side, width).

    One half of the width tells the row, the other the column, each as sines and cosines of
    falling frequencies. Source: the two-dimensional form of Vaswani et al. 2017, as in MAE.
    """
    quarter = width // 4
    frequencies = POSITION_BASE ** -(torch.arange(quarter) / quarter)
    angles = torch.arange(side)[:, None] * frequencies
    line = torch.cat([angles.sin(), angles.cos()], 1)
    rows, columns = line.repeat_interleave(side, 0), line.repeat(side, 1)
    return torch.cat([rows, columns], 1)
