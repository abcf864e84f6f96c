"""Rows of a release as prompts and answers, in the forms that Molmo trains on.

Source: the public Molmo training code and arXiv 2409.17146: the first stage asks for a caption or a
transcript by a style and a length hint. Other prompts are a user's turn; in fine-tuning all but
questions are tagged with their style. Points are text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from pixmo.points import Point, to_text

HINT_CHARACTERS = 15  # characters that one unit of a length hint stands for
HINT_NOISE_CHARACTERS = 25.0  # standard deviation: a hint is about right, not exact
HINT_SHARE = 0.9  # of the captions; the rest teaches captions without a hint
CAPTION_REQUEST = "Describe this image."


@dataclass(frozen=True)
class Annotation:
    """One thing to learn of an image: a prompt and the answer to give."""

    id: str
    kind: str  # the stem of its subset: cap, ama, points; or transcript, which is in cap, too
    prompt: str
    answer: str


def caption(row_id: str, text: str, rng: Random | None = None, tagged: bool = False) -> Annotation:
    """A dense caption; with `rng` the hint is noisy and sometimes left out, as in training.

    With `tagged` it is asked for in a user's turn, as in fine-tuning.
    """
    prompt = caption_prompt(length_hint(len(text), rng), tagged)
    return Annotation(row_id, "cap", prompt, f" {text}")


def caption_prompt(hint: str = "", tagged: bool = False) -> str:
    """What asks for a dense caption, about as long as a `length_hint` says."""
    style = f"long_caption{hint}:"
    return user_turn(f"{style} {CAPTION_REQUEST}") if tagged else f" {style}"


def transcript(row_id: str, text: str, rng: Random | None = None) -> Annotation:
    """What somebody said of the image; the hint as in `caption`."""
    return Annotation(
        row_id, "transcript", f" transcript{length_hint(len(text), rng)}:", f" {text}"
    )


def length_hint(characters: float, rng: Random | None = None) -> str:
    """A space and a length in HINT_CHARACTERS; with `rng` about so, and at times nothing."""
    if rng is not None:
        characters += rng.gauss(0.0, HINT_NOISE_CHARACTERS)
    hinted = rng is None or rng.random() < HINT_SHARE
    return f" {max(0, int(characters // HINT_CHARACTERS))}" if hinted else ""


def question(row_id: str, text: str, answer: str) -> Annotation:
    """A question of a user and its answer."""
    return Annotation(row_id, "ama", user_turn(text), f" {answer}")


def pointing(
    row_id: str, label: str, points: Sequence[Point], method: str, tagged: bool = False
) -> Annotation:
    """An expression and the points on it; counted where `method` is `counting`."""
    label = label.lower()
    if method == "counting":
        tag, request, answer = "point_count", f"How many {label} are there?", counting_text
    else:
        tag, request, answer = "pointing", f"Point to {label}", to_text
    prompt = user_turn(f"{tag}: {request}" if tagged else request)
    return Annotation(row_id, "points", prompt, f" {answer(points, label)}")


def counting_text(points: Sequence[Point], label: str) -> str:
    """The points, then how many they are: counting by pointing."""
    if not points:
        return to_text(points, label)
    return f"Counting the {to_text(points, label)} shows a total of {len(points)}."


def user_turn(text: str) -> str:
    """A user's message as the model reads it."""
    return f" User: {text} Assistant:"
