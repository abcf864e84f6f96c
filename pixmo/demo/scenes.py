"""A world of pictures small enough to be described completely, the same for the same seed.

A picture is divided in three rows. A row holds one group of objects in a line, two groups left and
right, three single objects, one sign with a word, or nothing. Every fact that can be said about the
picture is in `Scene`.
"""

from dataclasses import dataclass
from random import Random

WIDTH, HEIGHT = 256, 192  # pixels
ROW_HEIGHT = HEIGHT / 3  # pixels
RADIUS = {"small": 15.5, "large": 23.0}  # pixels, half the width of an object

COLOURS = ("red", "green", "blue", "yellow", "orange", "purple", "white", "black")
SHAPES = ("circle", "square", "triangle", "star", "diamond", "heart", "ring", "cross")
ROUND_SHAPES = ("circle", "ring")  # nobody sees these tilt
BACKGROUNDS = (
    "light gray",
    "dark gray",
    "light brown",
    "dark brown",
    "light pink",
    "dark pink",
    "light blue",
    "dark green",
)
STYLES = ("flat", "outlined")
WORDS = (
    *("open", "closed", "stop", "sale", "exit", "push", "pull", "bus", "taxi", "hotel"),
    *("milk", "bread", "coffee", "water", "music", "bank", "park", "slow", "hello", "welcome"),
)
PLACES = (
    ("in the top left corner", "at the top", "in the top right corner"),
    ("on the left", "in the middle", "on the right"),
    ("in the bottom left corner", "at the bottom", "in the bottom right corner"),
)


@dataclass(frozen=True)
class Group:
    """Objects that look the same and stand together; `centres` in pixels, left to right."""

    count: int
    size: str
    colour: str
    shape: str
    row: int  # 0 top, 1 middle, 2 bottom
    column: int  # 0 left, 1 middle, 2 right
    tilted: bool
    centres: tuple[tuple[float, float], ...]

    @property
    def place(self) -> str:
        return PLACES[self.row][self.column]

    @property
    def radius(self) -> float:
        return RADIUS[self.size]


@dataclass(frozen=True)
class Sign:
    """One written word on a plate."""

    word: str
    colour: str
    letters: str
    row: int

    @property
    def place(self) -> str:
        return PLACES[self.row][1]


@dataclass(frozen=True)
class Line:
    """A thin line along the top or the bottom edge."""

    colour: str
    edge: str


@dataclass(frozen=True)
class Scene:
    """Everything there is to say about one picture."""

    name: str  # also seeds whatever is not a fact, such as the spots of the background
    groups: tuple[Group, ...]
    sign: Sign | None
    line: Line | None
    background: str
    style: str

    @property
    def empty_rows(self) -> tuple[int, ...]:
        used = {group.row for group in self.groups} | ({self.sign.row} if self.sign else set())
        return tuple(row for row in range(3) if row not in used)


def image_name(index: int) -> str:
    """The file name of a scene's picture."""
    return f"scene-{index:06d}.png"


def scene(seed: int, index: int) -> Scene:
    """The picture with this number in the world of this seed: two to four groups, none alike."""
    rng = Random(f"pixmo scene {seed} {index}")
    while True:
        sign_row = rng.choice((None, None, 0, 1, 2, 2))
        groups = _groups(rng, [row for row in range(3) if row != sign_row])
        kinds = {(group.colour, group.shape) for group in groups}
        if 2 <= len(groups) <= 4 and len(kinds) == len(groups):
            break
    return Scene(
        name=f"{seed}-{index:06d}",
        groups=groups,
        sign=None if sign_row is None else _sign(rng, sign_row),
        line=_line(rng) if rng.random() < 0.4 else None,
        background=rng.choice(BACKGROUNDS),
        style=rng.choice(STYLES),
    )


def _groups(rng: Random, rows: list[int]) -> tuple[Group, ...]:
    groups: list[Group] = []
    for row in rows:
        columns = rng.choices(([], [1], [0, 2], [0, 1, 2]), weights=(15, 45, 32, 8))[0]
        groups += [_group(rng, row, column, WIDTH / len(columns)) for column in columns]
    return tuple(groups)


def _group(rng: Random, row: int, column: int, width: float) -> Group:
    size = rng.choice(("small", "large"))
    most = int((width - 12) // (2 * RADIUS[size] + 3))
    count = rng.randint(1, min(6, most))
    shape = rng.choice(SHAPES)
    left = {0: 0.0, 1: (WIDTH - width) / 2, 2: WIDTH - width}[column]
    step = min(width / count, 2 * RADIUS[size] + 24)
    start = left + (width - step * count) / 2 + step / 2
    slack_x = max(0.0, min(4.0, step / 2 - RADIUS[size] - 1))
    slack_y = ROW_HEIGHT / 2 - RADIUS[size] - 3
    return Group(
        count=count,
        size=size,
        colour=rng.choice(COLOURS),
        shape=shape,
        row=row,
        column=column,
        tilted=shape not in ROUND_SHAPES and rng.random() < 0.25,
        centres=tuple(
            (
                round(start + step * i + rng.uniform(-slack_x, slack_x), 1),
                round((row + 0.5) * ROW_HEIGHT + rng.uniform(-slack_y, slack_y), 1),
            )
            for i in range(count)
        ),
    )


def _sign(rng: Random, row: int) -> Sign:
    colour = rng.choice(COLOURS)
    letters = "black" if colour in ("white", "yellow", "orange") else "white"
    return Sign(word=rng.choice(WORDS), colour=colour, letters=letters, row=row)


def _line(rng: Random) -> Line:
    return Line(colour=rng.choice(("black", "white")), edge=rng.choice(("top", "bottom")))
