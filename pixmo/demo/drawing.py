"""Scenes drawn: large plain shapes on a softly spotted background, the same bytes every time."""

import io
import math
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pixmo.demo.scenes import HEIGHT, ROW_HEIGHT, WIDTH, Group, Scene, Sign, image_name, scene

OVERSAMPLING = 2  # drawn larger and reduced, for smooth edges
SPOT_MODES = 16  # cosines a side: as many as a perceptual hash of 256 bits looks at
COARSE_MODES = 8  # of them, as many as one of 64 bits looks at
COARSE_STRENGTH, FINE_STRENGTH = 5.5, 2.2  # grey levels of one cosine
TILT = math.radians(25)
TEXT_PIXELS = 30
OUTLINE_PIXELS = 2
INNER_RING = 0.52  # of the radius

RGB = {
    "red": (214, 40, 40),
    "green": (34, 153, 66),
    "blue": (36, 78, 204),
    "yellow": (246, 213, 46),
    "orange": (243, 133, 24),
    "purple": (124, 52, 168),
    "white": (250, 250, 250),
    "black": (18, 18, 18),
    # Backgrounds are pale, so that what stands on them is learnt in minutes.
    "light gray": (222, 222, 222),
    "dark gray": (176, 176, 178),
    "light brown": (232, 212, 184),
    "dark brown": (200, 172, 142),
    "light pink": (250, 216, 226),
    "dark pink": (236, 168, 192),
    "light blue": (204, 224, 246),
    "dark green": (170, 204, 174),
}

Outline = tuple[tuple[float, float], ...]  # corners around (0, 0), y down, radius 1


def draw_file(folder: Path, seed: int, index: int) -> None:
    """The picture of the scene with this number is a file in `folder`."""
    (folder / image_name(index)).write_bytes(png(scene(seed, index)))


def png(scene: Scene) -> bytes:
    """The scene as the bytes of a PNG file."""
    buffer = io.BytesIO()
    draw(scene).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def draw(scene: Scene) -> Image.Image:
    """The scene as an image of 256 x 192 pixels."""
    large = (WIDTH * OVERSAMPLING, HEIGHT * OVERSAMPLING)
    objects = Image.new("RGBA", large)
    pen = ImageDraw.Draw(objects)
    for group in scene.groups:
        for centre in group.centres:
            _draw_object(pen, group, centre, outlined=scene.style == "outlined")
    if scene.sign:
        _draw_sign(pen, scene.sign)
    if scene.line:
        top = 0 if scene.line.edge == "top" else large[1] - 3 * OVERSAMPLING
        pen.rectangle((0, top, large[0], top + 3 * OVERSAMPLING - 1), RGB[scene.line.colour])
    small = objects.reduce(OVERSAMPLING)
    image = _background(scene)
    image.paste(small, mask=small)
    return image


def _background(scene: Scene) -> Image.Image:
    """Plain colour with spots: low cosines with random signs, by which perceptual hashes differ.

    As many are positive as negative and none is weak, so that a hash, which compares them with
    their median, survives resizing, compression and a slight crop.
    """
    seed = int.from_bytes(sha256(f"spots {scene.name}".encode()).digest()[:8], "big")
    rng = np.random.default_rng(seed)
    mix = FINE_STRENGTH * _signs(rng, SPOT_MODES)
    mix[:COARSE_MODES, :COARSE_MODES] = COARSE_STRENGTH * _signs(rng, COARSE_MODES)
    mix *= rng.uniform(0.7, 1.3, mix.shape)
    mix[0, 0] = 0  # the brightness stays
    spots = _cosines(HEIGHT).T @ mix @ _cosines(WIDTH)
    levels = spots.round().astype(np.int16)
    channels = [(value + levels).clip(0, 255).astype(np.uint8) for value in RGB[scene.background]]
    return Image.fromarray(np.stack(channels, axis=-1))


def _signs(rng: np.random.Generator, side: int) -> NDArray[np.float64]:
    """As many 1 as -1 in a square, in random order; the first is 1, like brightness."""
    half = side * side // 2
    rest = rng.permutation(np.concatenate([np.ones(half - 1), -np.ones(half)]))
    signs: NDArray[np.float64] = np.concatenate([[1.0], rest]).reshape(side, side)
    return signs


@cache
def _cosines(length: int) -> NDArray[np.float64]:
    """The lowest cosines over so many pixels; shape = (modes, length)."""
    position = (np.arange(length) + 0.5) * math.pi / length
    waves: NDArray[np.float64] = np.cos(np.arange(SPOT_MODES)[:, None] * position)
    return waves


def _draw_object(
    pen: ImageDraw.ImageDraw, group: Group, centre: tuple[float, float], *, outlined: bool
) -> None:
    x, y = (value * OVERSAMPLING for value in centre)
    radius = group.radius * OVERSAMPLING
    fill = RGB[group.colour]
    edge = RGB["black"] if outlined else fill
    width = OUTLINE_PIXELS * OVERSAMPLING
    if group.shape in ("circle", "ring"):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill, edge, width)
        if group.shape == "ring":
            hole = radius * INNER_RING
            pen.ellipse((x - hole, y - hole, x + hole, y + hole), (0, 0, 0, 0))
            if outlined:
                pen.ellipse((x - hole, y - hole, x + hole, y + hole), None, edge, width)
        return
    corners = [(x + radius * dx, y + radius * dy) for dx, dy in _outline(group.shape, group.tilted)]
    pen.polygon(corners, fill)
    if outlined:
        pen.line([*corners, *corners[:2]], edge, width, joint="curve")


@cache
def _outline(shape: str, tilted: bool) -> Outline:
    corners = {
        "square": _polygon(4, 1.08, 45),
        "triangle": tuple((x, y + 0.12) for x, y in _polygon(3, 1.05, 0)),
        "star": _star(),
        "diamond": ((0, -1), (0.68, 0), (0, 1), (-0.68, 0)),
        "heart": _heart(),
        "cross": _cross(0.32),
    }[shape]
    if not tilted:
        return corners
    cosine, sine = math.cos(TILT), math.sin(TILT)
    return tuple((x * cosine - y * sine, x * sine + y * cosine) for x, y in corners)


def _polygon(sides: int, radius: float, turn: float) -> Outline:
    """A regular polygon with a corner at the top, turned by degrees."""
    angles = (math.radians(turn + 360 * i / sides) for i in range(sides))
    return tuple((radius * math.sin(angle), -radius * math.cos(angle)) for angle in angles)


def _star() -> Outline:
    outer, inner = _polygon(5, 1.03, 0), _polygon(5, 0.42, 36)
    return tuple(point for pair in zip(outer, inner, strict=True) for point in pair)


def _heart() -> Outline:
    """The usual parametric curve, seventeen units wide either side."""
    angles = (2 * math.pi * i / 40 for i in range(40))
    return tuple(
        (
            math.sin(t) ** 3,
            -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 16.5
            - 0.1,
        )
        for t in angles
    )


def _cross(arm: float) -> Outline:
    corners = [(-arm, -1.0), (arm, -1.0), (arm, -arm)]
    for _ in range(3):  # each quarter is the one before, turned
        corners += [(-y, x) for x, y in corners[-3:]]
    return tuple(corners)


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(TEXT_PIXELS * OVERSAMPLING)


def _draw_sign(pen: ImageDraw.ImageDraw, sign: Sign) -> None:
    font = _font()
    word = sign.word.upper()
    x, y = WIDTH * OVERSAMPLING / 2, (sign.row + 0.5) * ROW_HEIGHT * OVERSAMPLING
    half_width = pen.textlength(word, font) / 2 + 10 * OVERSAMPLING
    half_height = 22 * OVERSAMPLING
    pen.rounded_rectangle(
        (x - half_width, y - half_height, x + half_width, y + half_height),
        radius=4 * OVERSAMPLING,
        fill=RGB[sign.colour],
    )
    pen.text((x, y), word, RGB[sign.letters], font, anchor="mm")
