"""The positive control: rendered pictures, described, asked about and pointed at without a mistake.

Whatever is true of a release, a probe that does not learn these in its steps cannot judge one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from random import Random

from PIL import Image, ImageDraw

from pixmo.hashing import short_id
from pixmo.molmo import prompts
from pixmo.molmo.crops import Crops, preprocess
from pixmo.molmo.data import Example
from pixmo.molmo.sizes import Size
from pixmo.points import Point, distance

TRAIN_IMAGES, HELD_OUT_IMAGES = 1536, 128
SIDE = 64  # pixels
COLOURS = {
    "red": (214, 40, 40),
    "green": (34, 153, 66),
    "blue": (36, 78, 204),
    "yellow": (246, 213, 46),
}
SHAPES = ("circle", "square", "triangle")
COLUMNS, ROWS = ("left", "center", "right"), ("top", "middle", "bottom")
RADII = (4.5, 6.5)  # pixels, least and most
MOST_KINDS, MOST_OF_A_KIND = 3, 3
LIGHTEST, DARKEST = 255, 205  # of the background


@dataclass(frozen=True)
class Thing:
    """One shape in a picture; centre and radius in pixels."""

    kind: str
    x: float
    y: float
    radius: float

    @property
    def point(self) -> Point:
        """Its centre in percent."""
        return Point(100 * self.x / SIDE, 100 * self.y / SIDE)

    @property
    def place(self) -> str:
        """Which ninth of the picture it is in."""
        return f"{ROWS[int(3 * self.y / SIDE)]} {COLUMNS[int(3 * self.x / SIDE)]}"


def rendered(images: int, seed: int, size: Size) -> tuple[list[Example], list[Crops]]:
    """So many pictures with everything annotated on them, and their crops."""
    examples, crops = [], []
    for number in range(images):
        rng = Random(f"rendered {seed} {number}")
        things = scatter(rng)
        name = short_id("rendered", str(seed), str(number))
        examples.append(Example(name, name, name, annotate(name, things, rng)))
        crops.append(preprocess(draw(things, rng), size))
    return examples, crops


def scatter(rng: Random) -> list[Thing]:
    """Shapes of some kinds, apart from one another; at least one."""
    kinds = rng.sample([" ".join(kind) for kind in product(COLOURS, SHAPES)], MOST_KINDS)
    things: list[Thing] = []
    for kind in kinds[: rng.randint(1, MOST_KINDS)]:
        for _ in range(rng.randint(1, MOST_OF_A_KIND)):
            radius = rng.uniform(*RADII)
            inner = (radius + 1, SIDE - radius - 1)
            thing = Thing(kind, rng.uniform(*inner), rng.uniform(*inner), radius)
            if all(is_apart(thing, other) for other in things):
                things.append(thing)
    return things


def is_apart(thing: Thing, other: Thing) -> bool:
    """Whether two shapes leave a pixel between them, as circles."""
    needed = 100 * (thing.radius + other.radius + 1) / SIDE
    return distance(thing.point, other.point) > needed


def draw(things: Sequence[Thing], rng: Random) -> Image.Image:
    """The picture, SIDE x SIDE pixels, on a light background."""
    light = [rng.randint(DARKEST, LIGHTEST) for _ in range(3)]
    image = Image.new("RGB", (SIDE, SIDE), (light[0], light[1], light[2]))
    pen = ImageDraw.Draw(image)
    for thing in things:
        colour, shape = thing.kind.split()
        x, y, radius = thing.x, thing.y, thing.radius
        box = (x - radius, y - radius, x + radius, y + radius)
        if shape == "circle":
            pen.ellipse(box, COLOURS[colour])
        elif shape == "square":
            pen.rectangle(box, COLOURS[colour])
        else:
            pen.polygon([(x, y - radius), (box[0], box[3]), (box[2], box[3])], COLOURS[colour])
    return image


def annotate(name: str, things: Sequence[Thing], rng: Random) -> tuple[prompts.Annotation, ...]:
    """A caption, a question and its answer, two kinds pointed at and one counted."""
    ordered = sorted(things, key=lambda thing: (ROWS.index(thing.place.split()[0]), thing.x))
    told = ", ".join(f"a {thing.kind} at the {thing.place}" for thing in ordered)
    kinds = sorted({thing.kind for thing in things})
    rng.shuffle(kinds)
    found = [prompts.caption(f"{name}-cap", f"There is {told}.")]
    places = [thing.place for thing in things]
    if alone := [thing for thing in things if places.count(thing.place) == 1]:
        asked = rng.choice(alone)
        question = f"What is at the {asked.place}?"
        found.append(prompts.question(f"{name}-ama", question, f"A {asked.kind}."))
    for kind, method in zip(
        [*kinds[:2], kinds[0]], ("pointing", "pointing", "counting"), strict=False
    ):
        points = [thing.point for thing in things if thing.kind == kind]
        found.append(prompts.pointing(f"{name}-{kind}-{method}", kind, points, method))
    return tuple(found)
