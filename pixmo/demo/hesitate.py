"""Hesitations of somebody who talks freely: fillers, repeated words, false starts, corrections."""

from random import Random

from pixmo.demo.scenes import COLOURS, SHAPES
from pixmo.demo.sentences import NUMBERS

HESITATION = 0.3  # share of the sentences
REPEATABLE = frozenset(["the", "there", "a", "are", "is", "I", "in", "at", "on", "of", "it", "and"])


def hesitate(text: str, rng: Random) -> str:
    """The sentence as people say it: in three of ten with a hesitation."""
    if rng.random() >= HESITATION:
        return text
    return rng.choice((_filler, _filler, _repeat, _false_start, _correction))(text, rng)


def _filler(text: str, rng: Random) -> str:
    filler = rng.choice(("um", "uh"))
    words = text.split()
    at = rng.choice((0, 0, rng.randrange(len(words))))
    if at == 0:
        return f"{filler}, {text}"
    return " ".join([*words[: at - 1], words[at - 1].rstrip(",") + ",", f"{filler},", *words[at:]])


def _repeat(text: str, rng: Random) -> str:
    words = text.split()
    places = [i for i, word in enumerate(words) if word in REPEATABLE]
    if not places:
        return _filler(text, rng)
    at = rng.choice(places)
    return " ".join([*words[: at + 1], *words[at:]])


def _false_start(text: str, rng: Random) -> str:
    start = rng.choice(("there is a", "there are", "I can see", "I see a", "it is"))
    return f"{start}, {text}"


def _correction(text: str, rng: Random) -> str:
    """A wrong number or colour, taken back at once: "two, no wait, three"."""
    words = text.split()
    choices = [
        (i, rng.choice([other for other in family if other != word]))
        for i, word in enumerate(words)
        for family in (NUMBERS[2:], COLOURS, SHAPES)
        if word in family
    ]
    if not choices:
        return _false_start(text, rng)
    at, wrong = rng.choice(choices)
    excuse = rng.choice(("no wait", "I mean"))
    return " ".join([*words[:at], f"{wrong},", f"{excuse},", *words[at:]])
