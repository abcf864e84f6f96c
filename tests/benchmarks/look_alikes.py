"""Pictures that are different and look alike, and copies that are the same and look different.

Charts of one program differ in a few lines, pages of text only in their letters. How many pairs of
them near-duplicate search merges, and how many copies of a picture it finds.
"""

import io
import itertools
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import matplotlib
import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from pixmo.curate.duplicates import Pictures, clusters, read_pictures
from pixmo.curate.recipe import load
from pixmo.demo.drawing import draw
from pixmo.demo.scenes import scene
from pixmo.images.fingerprint import Fingerprint, fingerprint
from tests.workspaces import prose

PICTURES = 240  # of each kind
COPIED = 40  # of each kind
LIKENESS = load("cap").splits.likeness
SEED = 0
WIDTH, HEIGHT = 640, 480  # pixels
FONT = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"


def chart(plot: Callable[[Axes, Random], None]) -> Callable[[int], Image.Image]:
    """A kind of picture: a chart of one program with these marks, title and axes of words."""

    def drawn(number: int) -> Image.Image:
        rng = Random(number)
        figure = Figure((WIDTH / 100, HEIGHT / 100), dpi=100)
        axes = figure.add_subplot()
        plot(axes, rng)
        words = prose(number, 6).split()
        axes.set_title(" ".join(words[:3]))
        axes.set_xlabel(words[3])
        axes.set_ylabel(words[4])
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        return Image.open(buffer).convert("RGB")

    return drawn


def bars(axes: Axes, rng: Random) -> None:
    """From four to ten bars with names."""
    names = prose(rng.randrange(10**6), rng.randint(4, 10)).split()
    axes.bar(names, [rng.uniform(5, 100) for _ in names], color=f"C{rng.randrange(10)}")


def lines(axes: Axes, rng: Random) -> None:
    """One to three random walks."""
    for _ in range(rng.randint(1, 3)):
        steps = np.random.default_rng(rng.randrange(10**6)).normal(size=60)
        axes.plot(steps.cumsum())


def dots(axes: Axes, rng: Random) -> None:
    """A cloud of dots."""
    cloud = np.random.default_rng(rng.randrange(10**6))
    x = cloud.normal(size=80)
    axes.scatter(x, rng.uniform(-2, 2) * x + cloud.normal(size=80))


def page(number: int) -> Image.Image:
    """A page of black text on white, in paragraphs."""
    rng = Random(number)
    image = Image.new("RGB", (HEIGHT, WIDTH), "white")
    pen = ImageDraw.Draw(image)
    font = ImageFont.truetype(FONT, 11)
    top = 40
    words = iter(prose(number, 800).split())
    while top < WIDTH - 50:
        for _ in range(rng.randint(3, 8)):
            pen.text((40, top), line_of(words, font, HEIGHT - 80), "black", font)
            top += 15
        pen.text((40, top), line_of(words, font, rng.randint(60, HEIGHT - 80)), "black", font)
        top += 27
    return image


def line_of(words: Iterator[str], font: ImageFont.FreeTypeFont, width: int) -> str:
    """The next words, as many as fit the width in pixels."""
    line = next(words)
    for word in words:
        if font.getlength(f"{line} {word}") > width:
            break
        line += f" {word}"
    return line


def table(number: int) -> Image.Image:
    """A table with a grey head, lines between rows, words on the left and numbers."""
    rng = Random(number)
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(image)
    font = ImageFont.truetype(FONT, 13)
    columns, rows = rng.randint(3, 6), rng.randint(8, 16)
    words = prose(number, columns + rows).split()
    pen.rectangle((20, 20, WIDTH - 20, 44), "lightgray")
    for column, row in itertools.product(range(columns), range(rows)):
        text = str(rng.randint(0, 9999))
        text = words[column] if not row else words[columns + row - 1] if not column else text
        pen.text((28 + column * 600 // columns, 24 + 26 * row), text, "black", font)
        pen.line((20, 44 + 26 * row, WIDTH - 20, 44 + 26 * row), "gray")
    return image


def photograph(number: int) -> Image.Image:
    """Like a photograph: noise strongest in its lowest frequencies, with shapes before it."""
    rng = np.random.default_rng(number)
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.fftfreq(WIDTH)) + 1 / WIDTH
    noise = rng.normal(size=(3, HEIGHT, WIDTH))
    waves = np.fft.ifft2(np.fft.fft2(noise) / frequency**1.2).real
    waves = 0.35 * waves + waves.mean(axis=0)
    waves = 128 + 50 * (waves - waves.mean()) / waves.std()
    image = Image.fromarray(waves.clip(0, 255).astype(np.uint8).transpose(1, 2, 0).copy())
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(2, 7)):
        x, y, wide, high = rng.integers((0, 0, 40, 40), (600, 440, 260, 200)).tolist()
        pen.ellipse((x, y, x + wide, y + high), tuple(rng.integers(0, 256, 3).tolist()))
    return image.filter(ImageFilter.GaussianBlur(0.8))


def drawn_scene(number: int) -> Image.Image:
    """A scene of the demo."""
    return draw(scene(SEED, number)).convert("RGB")


CHARTS_AND_DOCUMENTS = ("bar charts", "line charts", "scatter plots", "pages of text", "tables")
KINDS: dict[str, Callable[[int], Image.Image]] = {
    "bar charts": chart(bars),
    "line charts": chart(lines),
    "scatter plots": chart(dots),
    "pages of text": page,
    "tables": table,
    "like photographs": photograph,
    "drawn scenes": drawn_scene,
}


def encoded(form: str, quality: int) -> Callable[[Image.Image], Image.Image]:
    """A copy: encoded and decoded again."""

    def copy(image: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, form, quality=quality)
        return Image.open(buffer).convert("RGB")

    return copy


def resized(scale: float) -> Callable[[Image.Image], Image.Image]:
    """A copy: of another size."""
    return lambda image: image.resize(
        (round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS
    )


def cropped(left: float, top: float, right: float, bottom: float) -> Callable[[Image.Image], Any]:
    """A copy: without these shares of its width and height."""

    def copy(image: Image.Image) -> Image.Image:
        wide, high = image.size
        box = left * wide, top * high, (1 - right) * wide, (1 - bottom) * high
        return image.crop(tuple(round(edge) for edge in box))  # type: ignore[arg-type]

    return copy


CHANGES: dict[str, tuple[Callable[[Image.Image], Image.Image], ...]] = {
    "encoded again": (encoded("JPEG", 75), encoded("JPEG", 40), encoded("WEBP", 60)),
    "resized": (resized(0.5), resized(1.5)),
    "2 % cropped": (cropped(0.01, 0.01, 0.01, 0.01),),
    "2 % cropped, at left and top": (cropped(0.02, 0.02, 0, 0),),
    "4 % cropped": (cropped(0.02, 0.02, 0.02, 0.02),),
}


def seen(images: list[Image.Image]) -> list[Fingerprint]:
    """What is known of these images as files."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "image.png"
        found = []
        for image in images:
            image.save(file, compress_level=1)
            found.append(fingerprint(file))
    return found


def pictures(fingerprints: list[Fingerprint]) -> Pictures:
    """These images as a workspace has them, called 0, 1, …"""
    rows = [vars(one) | {"image_sha256": str(i)} for i, one in enumerate(fingerprints)]
    known = pa.Table.from_pylist(rows)
    connection = duckdb.connect()
    connection.register("seen", known)
    connection.execute("create table images as select *, image_sha256::int as ordinal from seen")
    connection.execute("create table image_thumbnails as select image_sha256, thumbnail from seen")
    return read_pictures(connection)


def merged(distinct: Pictures) -> int:
    """How many pairs of these distinct pictures share a cluster."""
    found = clusters(distinct, LIKENESS)
    return sum(count * (count - 1) // 2 for count in Counter(found.values()).values())


def share_merged(distinct: Pictures) -> str:
    """Merged pairs as a share of all pairs."""
    return f"{100 * merged(distinct) / math.comb(len(distinct), 2):.4f} %"


def share_near(distinct: Pictures) -> str:
    """Pairs whose hashes alone are near, as a share of all pairs."""
    first, second = np.triu_indices(len(distinct), 1)
    return f"{100 * len(distinct.near(first, second, LIKENESS)) / len(first):.4f} %"


def recall(images: list[Image.Image], originals: list[Fingerprint]) -> list[str]:
    """For each kind of change the share of copies that are alike with their originals."""
    cells = []
    every = np.arange(len(images))
    for changes in CHANGES.values():
        found = 0
        for change in changes:
            both = pictures([*originals, *seen([change(image) for image in images])])
            found += len(both.alike(every, every + len(images), LIKENESS))
        cells.append(f"{found / len(images) / len(changes):.3f}")
    return cells


def run() -> dict[str, Any]:
    """Merged pairs and recall for every kind of picture."""
    rows, of_kind = {}, {}
    for kind, make in KINDS.items():
        images = [make(number) for number in range(PICTURES)]
        of_kind[kind] = seen(images)
        found = recall(images[:COPIED], of_kind[kind][:COPIED])
        distinct = pictures(of_kind[kind])
        rows[kind] = [share_merged(distinct), share_near(distinct), *found]
    every = pictures([one for kind in CHARTS_AND_DOCUMENTS for one in of_kind[kind]])
    dashes = ["–"] * len(CHANGES)
    rows["all charts and documents"] = [share_merged(every), share_near(every), *dashes]
    return {
        "title": "Near-duplicate images: what is merged that should not be, what is found",
        "columns": [
            "distinct pairs merged",
            "near by hashes alone",
            *(f"recall, {change}" for change in CHANGES),
        ],
        "rows": rows,
        "notes": [
            f"{PICTURES} generated pictures of each kind, {COPIED} of them copied in every way, at"
            f" the recipes' {LIKENESS.max_distance} of 64 and {LIKENESS.max_distance_256} of 256"
            f" bits and a difference of {LIKENESS.max_difference:g}. A pair is merged when a chain"
            " of alike pictures connects it. Cropped by 2 %: 1 % of width and of height at every"
            " edge.",
        ],
    }
