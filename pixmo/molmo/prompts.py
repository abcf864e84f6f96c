"""Rows of a release as prompts and answers, in the forms that Molmo trains on.

Source: the public Molmo training code and arXiv 2409.17146: a caption's prompt is a style and a
length hint, other prompts are a user's turn; points are text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from pixmo.points import Point, to_text

HINT_CHARACTERS = 15  # characters that one unit of a length hint stands for
HINT_NOISE_CHARACTERS = 25.0  # standard deviation: a hint is about right, not exact
HINT_SHARE = 0.9  # of the captions; the rest teaches captions without a hint


@dataclass(frozen=True)
class Annotation:
    """One thing to learn of an image: a prompt and the answer to give."""

    id: str
    kind: str  # the stem of its subset: cap, ama, points
    prompt: str
    answer: str


def caption(row_id: str, text: str, rng: Random | None = None) -> Annotation:
    """A dense caption; with `rng` the hint is noisy and sometimes left out, as in training."""
    characters = float(len(text))
    if rng is not None:
        characters += rng.gauss(0.0, HINT_NOISE_CHARACTERS)
    hinted = rng is None or rng.random() < HINT_SHARE
    hint = max(0, int(characters // HINT_CHARACTERS)) if hinted else None
    return Annotation(row_id, "cap", caption_prompt(hint), f" {text}")


def caption_prompt(hint: int | None) -> str:
    """What asks for a dense caption, of about `hint` units of its length where there is one."""
    return " long_caption:" if hint is None else f" long_caption {hint}:"


def question(row_id: str, text: str, answer: str) -> Annotation:
    """A question of a user and its answer."""
    return Annotation(row_id, "ama", user_turn(text), f" {answer}")


def pointing(row_id: str, label: str, points: Sequence[Point], method: str) -> Annotation:
    """An expression and the points on it; counted where `method` is `counting`."""
    label = label.lower()
    if method == "counting":
        prompt = user_turn(f"How many {label} are there?")
        return Annotation(row_id, "points", prompt, f" {counting_text(points, label)}")
    return Annotation(
        row_id, "points", user_turn(f"Point to {label}"), f" {to_text(points, label)}"
    )


def counting_text(points: Sequence[Point], label: str) -> str:
    """The points, then how many they are: counting by pointing."""
    if not points:
        return to_text(points, label)
    return f"Counting the {to_text(points, label)} shows a total of {len(points)}."


def user_turn(text: str) -> str:
    """A user's message as the model reads it."""
    return f" User: {text} Assistant:"
