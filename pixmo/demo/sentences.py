"""The sentences that are true of a scene, many ways to say each: the whole language of the sample.

Changing a word here means training the sample's recogniser again.
"""

from collections.abc import Iterator
from itertools import permutations

from pixmo.demo.scenes import COLOURS, SHAPES, Group, Scene

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
EMPTY_ROWS = ("the top", "the middle", "the bottom")


def plural(shape: str) -> str:
    return shape + ("es" if shape.endswith(("s", "x")) else "s")


def article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def label(group: Group) -> str:
    """The name of a group as people point at it: "red circle", "red circles"."""
    shape = group.shape if group.count == 1 else plural(group.shape)
    return f"{group.colour} {shape}"


def phrase(group: Group, *, size: bool = True) -> str:
    """The group with its number: "an orange star", "three small red circles"."""
    words = [group.size, label(group)] if size else [label(group)]
    number = article(words[0]) if group.count == 1 else NUMBERS[group.count]
    return " ".join([number, *words])


def be(group: Group) -> str:
    return "is" if group.count == 1 else "are"


def sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def first_glance(scene: Scene) -> list[str]:
    shown = [phrase(group) for group in scene.groups]
    number = NUMBERS[len(scene.groups)]
    with_text = "a sign" if scene.sign else "no text"
    return [
        f"this is a picture of {listed([phrase(group, size=False) for group in scene.groups])}",
        f"at first glance I see {number} groups of shapes",
        f"the picture shows {number} groups of shapes and {with_text}",
        f"this is a simple drawing with {number} groups of shapes",
        f"what I notice first is {shown[0]}",
        f"the first thing I see is {shown[-1]}",
        f"it looks like a simple drawing of {shown[0]} and {shown[1]}",
        f"I am looking at a drawing with {shown[-1]} and {shown[0]}",
        "this is a drawing of some shapes",
        "it looks like a picture of simple shapes",
    ]


def what_and_where(group: Group) -> list[str]:
    return [
        f"there {be(group)} {phrase(group)} {group.place}",
        f"{group.place} there {be(group)} {phrase(group)}",
        f"I can see {phrase(group)} {group.place}",
        f"{group.place}, I see {phrase(group)}",
        f"{phrase(group)} {be(group)} {group.place}",
        f"the picture has {phrase(group)} {group.place}",
        f"then there {be(group)} {phrase(group, size=False)} {group.place}",
    ]


def objects_and_counts(group: Group) -> list[str]:
    only = "only one" if group.count == 1 else NUMBERS[group.count]
    return [
        f"there {be(group)} {phrase(group)}",
        f"I can see {phrase(group)}",
        f"I count {only} {label(group)}",
        f"in total there {be(group)} {only} {label(group)}",
        f"the number of {group.colour} {plural(group.shape)} is {NUMBERS[group.count]}",
        f"there {be(group)} {phrase(group, size=False)}",
    ]


def written_text(scene: Scene) -> list[str]:
    if scene.sign is None:
        return [
            "there is no text in the picture",
            "I can not see any words",
            "there are no letters and no sign here",
            "nothing is written in this picture",
        ]
    word, colour, place = scene.sign.word, scene.sign.colour, scene.sign.place
    return [
        f"there is a sign that says {word}",
        f"the sign {place} says {word}",
        f"I can read the word {word}",
        f"the word {word} is written {place}",
        f"there is {article(colour)} {colour} sign {place} and it says {word}",
        f"the text on the {colour} sign is {word}",
        f"it says {word} in {scene.sign.letters} letters",
        f"the letters of the word {word} are {scene.sign.letters}",
    ]


def positions(group: Group) -> list[str]:
    return [
        f"the {label(group)} {be(group)} {group.place}",
        f"{group.place} I see the {label(group)}",
        f"as for the {label(group)}, {'it is' if group.count == 1 else 'they are'} {group.place}",
        f"you can find the {label(group)} {group.place}",
    ]


def relations(scene: Scene) -> Iterator[str]:
    """Where one group is against another: by rows, and by columns within a row."""
    for one, other in permutations(scene.groups, 2):
        first, second = label(one), label(other)
        if one.row < other.row:
            yield f"the {first} {be(one)} above the {second}"
            yield f"the {first} {be(one)} higher than the {second}"
        elif one.row > other.row:
            yield f"the {first} {be(one)} below the {second}"
            yield f"under the {second} there {be(one)} the {first}"
        elif one.column < other.column:
            yield f"the {first} {be(one)} to the left of the {second}"
        else:
            yield f"the {first} {be(one)} to the right of the {second}"
            yield f"next to the {second} I see {phrase(one)}"
    for group in scene.groups if scene.sign else ():
        if scene.sign and scene.sign.row != group.row:
            side = "above" if scene.sign.row < group.row else "below"
            yield f"the sign is {side} the {label(group)}"


def details(scene: Scene) -> Iterator[str]:
    for group in scene.groups:
        if group.tilted:
            yield f"the {label(group)} {be(group)} tilted a little"
            yield f"if you look closely, the {label(group)} {be(group)} not straight"
        if group.count > 2:
            yield f"the {label(group)} are side by side in a row"
            yield f"the {NUMBERS[group.count]} {label(group)} stand in a row"
        yield f"the {label(group)} {be(group)} {group.size}"
    for one, other in permutations(scene.groups, 2):
        if (one.size, other.size) == ("large", "small"):
            yield f"the {label(one)} {be(one)} larger than the {label(other)}"
        if (one.size, other.size) == ("small", "large"):
            yield f"the {label(one)} {be(one)} smaller than the {label(other)}"
    if scene.line:
        yield f"there is a thin {scene.line.colour} line along the {scene.line.edge} edge"
        yield f"a thin {scene.line.colour} line runs along the {scene.line.edge}"
    else:
        yield "there is no line along the edge"
    for row in scene.empty_rows:
        yield f"there is nothing {('at the top', 'in the middle', 'at the bottom')[row]}"
        yield f"{EMPTY_ROWS[row]} of the picture is empty"


def absences(scene: Scene) -> Iterator[str]:
    """What one could expect to see and does not."""
    shapes = {group.shape for group in scene.groups}
    shown = {group.colour for group in scene.groups}
    for shape in SHAPES:
        if shape not in shapes:
            yield f"there are no {plural(shape)} in this picture"
            yield f"I do not see any {plural(shape)}"
    for colour in COLOURS:
        if colour not in shown:
            yield f"no shape here is {colour}"


def background(scene: Scene) -> list[str]:
    colour = scene.background
    return [
        f"the background is {colour}",
        f"behind the shapes there is a {colour} background",
        f"the background is {colour} with soft spots",
        f"everything is on a soft {colour} background",
        f"the color of the background is {colour}",
        "in the background I see soft light and dark spots",
    ]


def style_and_colour(scene: Scene) -> list[str]:
    colours = sorted({group.colour for group in scene.groups}, key=COLOURS.index)
    outlines = {
        "flat": [
            "the shapes have no outline",
            "it is a flat drawing",
            "the style is flat and simple",
        ],
        "outlined": [
            "every shape has a thin black outline",
            "the shapes have clean black outlines",
            "the style is simple with black outlines",
        ],
    }[scene.style]
    colour = listed(colours)
    main = (
        [f"all the shapes are {colour}", f"the main color is {colour}"]
        if len(colours) == 1
        else [f"the main colors are {colour}", f"the shapes are {colour}"]
    )
    return [*outlines, *main, f"I see the {'color' if len(colours) == 1 else 'colors'} {colour}"]


def closing() -> list[str]:
    return [
        "that is all I can see",
        "that is everything in the picture",
        "I think that is all",
        "that is it",
    ]
