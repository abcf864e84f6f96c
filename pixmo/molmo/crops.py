"""An image as the model sees it: the resized whole image, then overlapping crops of a larger one.

Each crop brings a margin of context on every side; where two crops meet, the margins are dropped
again, so that every patch of the enlarged image counts once. Two by two patches become one image
token. Source: Deitke et al. 2024, arXiv 2409.17146, section 2, and its public pre-processor's
token counts, which the tests hold.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from pixmo.molmo.sizes import Size

POOLED = 2  # patches along each side of a pooling window
NO_PATCH = -1  # in a window at the edge of a grid with an odd number of patches


@dataclass(frozen=True)
class Crops:
    """The pixels of one image, and which patches make which image token."""

    pixels: npt.NDArray[np.uint8]  # (crops, side, side, 3); the whole image is crop 0
    real: npt.NDArray[np.float32]  # (crops, patches per crop): share that is image, not padding
    windows: npt.NDArray[np.int64]  # (image tokens, 4): patches over all crops, or NO_PATCH
    grids: tuple[tuple[int, int], ...]  # rows and columns of tokens: whole image, then crops


def choose_grid(height: int, width: int, size: Size) -> tuple[int, int]:
    """Rows and columns of crops that enlarge the image least, or shrink it least if all shrink.

    Of equals, the grid with the fewest crops.
    """
    margin = 2 * size.margin_patches * size.patch_pixels
    step = size.crop_pixels - margin
    # A margin belongs to no crop's own window; an image inside it still has an extent.
    extent_y, extent_x = max(height - margin, 1), max(width - margin, 1)
    grids = [
        (rows, columns)
        for rows in range(1, size.most_crops + 1)
        for columns in range(1, size.most_crops // rows + 1)
    ]
    grids.sort(key=lambda grid: (grid[0] * grid[1], grid[0]))
    scales = [min(rows * step / extent_y, columns * step / extent_x) for rows, columns in grids]
    enlarging = [scale for scale in scales if scale >= 1]
    return grids[scales.index(min(enlarging) if enlarging else max(scales))]


def preprocess(image: Image.Image, size: Size) -> Crops:
    """The crops of an upright RGB image."""
    side, per_crop = size.patches_per_side, size.patches_per_crop
    whole, whole_real = resize_and_pad(image, size.crop_pixels, size.crop_pixels, size)
    pixels, real = [whole], [whole_real.ravel()]
    patch_grids: list[npt.NDArray[np.int64]] = [
        np.arange(per_crop, dtype=np.int64).reshape(side, side)
    ]
    if size.most_crops:
        rows, columns = choose_grid(image.height, image.width, size)
        inner = side - 2 * size.margin_patches
        outer = 2 * size.margin_patches
        height = (rows * inner + outer) * size.patch_pixels
        width = (columns * inner + outer) * size.patch_pixels
        large, large_real = resize_and_pad(image, height, width, size)
        for row in range(rows):
            for column in range(columns):
                y, x = row * inner, column * inner
                pixels.append(_cut(large, y * size.patch_pixels, x * size.patch_pixels, size))
                real.append(large_real[y : y + side, x : x + side].ravel())
        patch_grids.append(joined_grid(rows, columns, size) + per_crop)
    pooled = [pool_windows(grid) for grid in patch_grids]
    return Crops(
        pixels=np.stack(pixels),
        real=np.stack(real),
        windows=np.concatenate([windows.reshape(-1, POOLED**2) for windows in pooled]),
        grids=tuple((windows.shape[0], windows.shape[1]) for windows in pooled),
    )


def resize_and_pad(
    image: Image.Image, height: int, width: int, size: Size
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """The image fitted into height x width pixels in its own proportions, black around it.

    Also the share of image in every patch, shape (height, width) in patches.
    """
    scale = min(height / image.height, width / image.width)
    new_height = min(height, max(1, round(image.height * scale)))
    new_width = min(width, max(1, round(image.width * scale)))
    resized = image.resize((new_width, new_height), Image.Resampling.BILINEAR)
    top, left = (height - new_height) // 2, (width - new_width) // 2
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[top : top + new_height, left : left + new_width] = np.asarray(resized)
    inside = np.zeros((height, width), np.float32)
    inside[top : top + new_height, left : left + new_width] = 1.0
    patch = size.patch_pixels
    shares = inside.reshape(height // patch, patch, width // patch, patch).mean((1, 3))
    return canvas, shares


def joined_grid(rows: int, columns: int, size: Size) -> npt.NDArray[np.int64]:
    """The patches of rows x columns crops as one grid, margins dropped where crops meet.

    Patches are numbered crop by crop, row by row within a crop, from 0.
    """
    side, margin = size.patches_per_side, size.margin_patches
    numbers = np.arange(rows * columns * side**2, dtype=np.int64)
    crops = numbers.reshape(rows, columns, side, side)
    lines = []
    for row in range(rows):
        top, bottom = _kept(row, rows, side, margin)
        line = []
        for column in range(columns):
            left, right = _kept(column, columns, side, margin)
            line.append(crops[row, column, top:bottom, left:right])
        lines.append(np.concatenate(line, axis=1))
    return np.concatenate(lines, axis=0)


def pool_windows(grid: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The 2x2 windows of a grid of patches, shape (rows, columns, 4); NO_PATCH fills odd edges."""
    rows, columns = grid.shape
    padding = ((0, rows % POOLED), (0, columns % POOLED))
    even = np.pad(grid, padding, constant_values=NO_PATCH)
    rows, columns = even.shape[0] // POOLED, even.shape[1] // POOLED
    windows = even.reshape(rows, POOLED, columns, POOLED).transpose(0, 2, 1, 3)
    return windows.reshape(rows, columns, POOLED**2)


def _kept(index: int, count: int, side: int, margin: int) -> tuple[int, int]:
    """First and past-the-last patch that crop `index` of `count` keeps along one axis."""
    return (0 if index == 0 else margin), (side if index == count - 1 else side - margin)


def _cut(pixels: npt.NDArray[np.uint8], top: int, left: int, size: Size) -> npt.NDArray[np.uint8]:
    """One crop of the enlarged image."""
    return pixels[top : top + size.crop_pixels, left : left + size.crop_pixels]
