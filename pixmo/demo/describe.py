"""What a person says of a scene, spoken or written; what can be asked and pointed at."""

from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from random import Random

from pixmo.demo import sentences as say
from pixmo.demo.hesitate import hesitate
from pixmo.demo.scenes import COLOURS, HEIGHT, SHAPES, WIDTH, Group, Scene
from pixmo.demo.sentences import NUMBERS, be, label, phrase, plural, sentence
from pixmo.points import Point

SPOKEN_WORDS = (150, 185)  # with pauses, 60 to 90 s at the speakers' 140 to 180 words a minute
WRITTEN_WORDS = (80, 110)
HELD_OUT_IN = 20  # one sentence in this many is never trained on


@dataclass(frozen=True)
class Description:
    """One telling of a scene, sentence by sentence: as spoken, and without the hesitations."""

    spoken: tuple[str, ...]
    clean: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(self.spoken)

    @property
    def clean_text(self) -> str:
        return " ".join(self.clean)


def is_held_out(text: str) -> bool:
    """Whether a sentence is kept from the recogniser's training: one in twenty, by its text."""
    return int(sha256(text.lower().encode()).hexdigest(), 16) % HELD_OUT_IN == 0


def describe(scene: Scene, rng: Random) -> Description:
    """What a speaker says in 60 to 90 s: the seven questions in order, and more of what there is.

    Source: the seven questions of PixMo's collection, arXiv 2409.17146.
    """
    target = rng.randint(*SPOKEN_WORDS)
    plan = _spoken_plan(scene, rng)
    extra = _extras(scene, rng)
    while sum(len(text.split()) for text in plan) < target and extra:
        more = extra.pop()
        if more not in plan:
            plan.insert(rng.randint(1, len(plan) - 1), more)
    clean = tuple(sentence(text) for text in plan)
    spoken = tuple(sentence(hesitate(text, rng)) for text in plan)
    return Description(spoken=spoken, clean=clean)


def write_description(scene: Scene, rng: Random) -> str:
    """A written transcript of 80 to 110 words: what and where first, then everything else."""
    target = rng.randint(WRITTEN_WORDS[0] + 3, WRITTEN_WORDS[1] - 12)
    plan = [rng.choice(say.what_and_where(group)) for group in scene.groups]
    if scene.sign:
        plan += rng.sample(say.written_text(scene)[:-1], 1)
    later = [
        rng.choice(say.background(scene)[:-1]),
        *rng.sample(list(say.relations(scene)), 2),
        rng.choice(say.style_and_colour(scene)),
        *_extras(scene, rng),
    ]
    for text in later:
        if sum(len(said.split()) for said in plan) < target and text not in plan:
            plan.append(text)
    return " ".join(sentence(text) for text in plan)


def _spoken_plan(scene: Scene, rng: Random) -> list[str]:
    plan = rng.sample(say.first_glance(scene), 1 + (rng.random() < 0.5))
    plan += [rng.choice(say.what_and_where(group)) for group in scene.groups]
    plan += [
        rng.choice(say.objects_and_counts(group)) for group in scene.groups if rng.random() < 0.5
    ]
    plan += rng.sample(say.written_text(scene), 3 if scene.sign else 1)
    plan += [rng.choice(say.positions(group)) for group in scene.groups if rng.random() < 0.5]
    plan += rng.sample(list(say.relations(scene)), 2)
    plan += rng.sample(list(say.details(scene)), 2)
    plan += rng.sample(say.background(scene), 2)
    plan += rng.sample(say.style_and_colour(scene), 2)
    return [*dict.fromkeys(plan), rng.choice(say.closing())]


def _extras(scene: Scene, rng: Random) -> list[str]:
    extra = [*say.relations(scene), *say.details(scene), *rng.sample(list(say.absences(scene)), 3)]
    for group in scene.groups:
        extra += rng.sample(say.objects_and_counts(group), 2) + rng.sample(say.positions(group), 2)
    rng.shuffle(extra)
    return list(dict.fromkeys(extra))


@dataclass(frozen=True)
class Expression:
    """What somebody points at, and every instance of it; none if it is absent."""

    label: str
    points: tuple[Point, ...]


def expressions(scene: Scene) -> tuple[Expression, ...]:
    """Every group by its name ("red circles", "blue star"), then two names of what is absent.

    The absent are hard: a colour and a shape that the picture has, but not together.
    """
    present = tuple(Expression(label(group), _points(group)) for group in scene.groups)
    absent = tuple(Expression(name, ()) for name in _absent_names(scene)[:2])
    return present + absent


def questions_and_answers(scene: Scene, rng: Random) -> list[tuple[str, str]]:
    """Questions about the scene with true answers, in random order."""
    pairs = [pair for group in scene.groups for pair in _about(group)]
    pairs.append(("What color is the background?", f"The background is {scene.background}."))
    if scene.sign:
        pairs.append(("What does the sign say?", f"The sign says {scene.sign.word}."))
    else:
        pairs.append(("Is there any text in the picture?", "No, there is no text in the picture."))
    absent = _absent_names(scene)[0]
    pairs.append((f"Are there any {absent}?", f"No, there are no {absent} in the picture."))
    rng.shuffle(pairs)
    return pairs


def _about(group: Group) -> list[tuple[str, str]]:
    names = f"{group.colour} {plural(group.shape)}"
    they = "It is" if group.count == 1 else "They are"
    return [
        (
            f"How many {names} are there?",
            f"There {be(group)} {NUMBERS[group.count]} {label(group)}.",
        ),
        (f"Where {be(group)} the {label(group)}?", f"{they} {group.place}."),
        (f"What is {group.place}?", f"There {be(group)} {phrase(group)} {group.place}."),
        (f"{be(group).title()} the {label(group)} large or small?", f"{they} {group.size}."),
    ]


def _points(group: Group) -> tuple[Point, ...]:
    return tuple(Point(100 * x / WIDTH, 100 * y / HEIGHT) for x, y in group.centres)


def _absent_names(scene: Scene) -> list[str]:
    """Plural names of what is not there; first those whose colour and shape are, but apart."""
    kinds = {(group.colour, group.shape) for group in scene.groups}
    colours, shapes = zip(*sorted(kinds), strict=True)
    near = [kind for kind in product(colours, shapes) if kind not in kinds]
    far = [kind for kind in product(COLOURS, SHAPES) if kind not in kinds]
    rng = Random(f"absent {scene.name}")
    rng.shuffle(near)
    rng.shuffle(far)
    return [f"{colour} {plural(shape)}" for colour, shape in dict.fromkeys(near + far)]
