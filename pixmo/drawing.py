"""Images as people see them, and points drawn on them, to show what an answer points at."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pixmo.errors import ReleaseError
from pixmo.points import Point, clamp, is_near_image

if TYPE_CHECKING:
    from PIL import Image

# Formats that every browser shows, by Pillow's name, with their suffix.
SHOWN_BY_BROWSERS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif"}
FILL, RIM = (255, 45, 120), (255, 255, 255)
# Of the image's shorter side: seen at once, and hardly hides what is pointed at.
RADIUS_SHARE, LEAST_RADIUS_PIXELS = 0.022, 5


def read_upright(path: Path, longest_side: int) -> "Image.Image":
    """The image in a file as people see it, in RGB, no side longer than that; its format is kept.

    Raises:
        ReleaseError: it cannot be read.
    """
    from PIL import Image, ImageOps

    too_large = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    try:
        with Image.open(path) as opened:
            upright = ImageOps.exif_transpose(opened).convert("RGB")
            upright.format = opened.format
    except (OSError, ValueError, SyntaxError, *too_large) as error:
        raise ReleaseError(f"image {path} cannot be read: {error}; validate the release") from error
    upright.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    return upright


def draw_points(image: "Image.Image", points: Sequence[Point]) -> "Image.Image":
    """A copy of an upright image, in RGB, with a disc on each point; several have their numbers.

    Numbers are those of the order given, from 1. A point a little outside is drawn on the edge; one
    farther away cannot be drawn, and leaves its number out.
    """
    from PIL import ImageDraw, ImageFont

    drawn = image.convert("RGB") if image.mode != "RGB" else image.copy()
    pen = ImageDraw.Draw(drawn)
    radius = max(LEAST_RADIUS_PIXELS, round(RADIUS_SHARE * min(drawn.size)))
    for number, point in enumerate(points, 1):
        if not is_near_image(point):
            continue
        inside = clamp(point)
        x = min(int(inside.x / 100 * drawn.width), drawn.width - 1)
        y = min(int(inside.y / 100 * drawn.height), drawn.height - 1)
        rim = max(1, radius // 6)
        pen.circle((x, y), radius + rim, fill=RIM)
        pen.circle((x, y), radius, fill=FILL)
        if len(points) > 1:
            size = radius * (1.7 - 0.2 * len(str(number)))  # three digits fit, too
            pen.text((x, y), str(number), RIM, ImageFont.load_default(size), anchor="mm")
    return drawn
