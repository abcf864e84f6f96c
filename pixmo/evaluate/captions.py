"""Captions beside what people said of the image: by their words, without a judge.

Not the cap F1 of Molmo (arXiv 2409.17146), which a language model judges statement by statement.
This one is made for every step of a training run, offline: it is the same on every machine, and it
knows no synonym, no sentence, and no script that puts no spaces between words.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pixmo.text import normalise

VERSION = 1  # counted up when the same captions would get another score
# Words that say nothing of one image.
SMALL_WORDS = (
    "a an the and or but of in on at to from by with without into onto over under for as than"
    " is are was were be been being has have had do does there here this that these those it"
    " its they them their he she his her i we you my our your who which what where when while"
    " not no some any each other also very more most just so then can could may might seem"
    " seems appear appears image picture photo see visible"
)
COMMON = frozenset(SMALL_WORDS.split())


@dataclass(frozen=True)
class LexicalScore:
    """Shares of distinct telling words."""

    precision: float  # of the caption's words those that somebody said of the image
    recall: float  # of the reference caption's words those that the caption has

    @property
    def f1(self) -> float:
        """The harmonic mean; 0 where nothing is shared."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def score(caption: str, reference: str, transcripts: Sequence[str]) -> LexicalScore:
    """The score of a caption beside the one that people's transcripts became, and these."""
    said = telling_words(caption)
    true = telling_words(reference)
    known = true.union(*map(telling_words, transcripts))
    return LexicalScore(
        precision=len(said & known) / len(said) if said else 0.0,
        recall=len(said & true) / len(true) if true else 0.0,
    )


def telling_words(text: str) -> set[str]:
    """The stems of the words that tell something: dogs and dog, standing and stand are one.

    Source: Porter's second stemmer for English, as in Snowball.
    """
    words = [word for word in normalise(text).split() if word not in COMMON]
    return set(english().stemWords(words))


@functools.cache
def english() -> Any:
    """The stemmer."""
    import snowballstemmer

    return snowballstemmer.stemmer("english")
