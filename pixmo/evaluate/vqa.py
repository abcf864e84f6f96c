"""Answers beside those that people gave: exact, soft, relaxed for charts, by edit distance."""

import re
import unicodedata
from collections.abc import Sequence

import regex

VERSION = 1  # counted up when the same answers would get another score
ENOUGH_PEOPLE = 3  # who gave an answer make it fully right
CHART_TOLERANCE = 0.05  # of the true number
LEAST_SIMILARITY = 0.5  # below, an answer is another one and no slip of the pen

ARTICLES = {"a", "an", "the"}
NUMBERS = "zero one two three four five six seven eight nine ten"
DIGITS = {word: str(number) for number, word in enumerate(NUMBERS.split())} | {"none": "0"}
INNER_COMMA = re.compile(r"(?<=\d),(?=\d)")
# A full stop stays in a decimal, a sign before a number, an apostrophe in a word.
MARKS = regex.compile(r"(?!(?<=\d)\.(?=\d))(?![-+](?=\d)(?<!\w.))(?!')[^\p{L}\p{M}\p{N}\s]")
NUMBER = re.compile(r"[-+]?\d+(?:,\d{3})*(?:\.\d+)?")
UNITS = "$€£% "  # around a number of a chart


def normalise(answer: str) -> str:
    """An answer as the VQA challenge compares it: no case, marks or articles; digits for numbers.

    Source: Antol et al. 2015, VQA, arXiv 1505.00468, and its evaluation's description. Its table
    of contractions is left out: apostrophes are dropped instead, on both sides. An answer that is
    nothing but marks and articles, such as the letter A, stays as it is.
    """
    plain = unicodedata.normalize("NFKC", answer).lower().replace("’", "'")
    told = MARKS.sub(" ", INNER_COMMA.sub("", plain)).replace("'", "")
    words = [DIGITS.get(word, word) for word in told.split() if word not in ARTICLES]
    return " ".join(words or plain.split())


def exact(answer: str, truths: Sequence[str]) -> float:
    """1 where the answer is one of the truths, both normalised, else 0."""
    return float(normalise(answer) in {normalise(truth) for truth in truths})


def soft(answer: str, people: Sequence[str]) -> float:
    """The share in which people agree with the answer: three who gave it make it fully right.

    The mean over all subsets that leave one person out, of the people in it who gave the answer
    over three, 1 at most. Source: arXiv 1505.00468, section 4; there are ten people.
    """
    said = [normalise(one) == normalise(answer) for one in people]
    if len(said) == 1:
        return float(said[0])
    shares = [min(1.0, (sum(said) - one) / ENOUGH_PEOPLE) for one in said]
    return sum(shares) / len(shares)


def relaxed(answer: str, truth: str) -> float:
    """1 where a number is within 5 percent of the true one, or a text equal without case, else 0.

    Source: Masry et al. 2022, ChartQA, arXiv 2203.10244, after PlotQA. A truth of 0 must be met.
    """
    number, true_number = as_number(answer), as_number(truth)
    if number is not None and true_number is not None:
        return float(abs(number - true_number) <= CHART_TOLERANCE * abs(true_number))
    return float(answer.strip().lower() == truth.strip().lower())


def as_number(text: str) -> float | None:
    """The number that a text is, but for a unit around it; a percentage is its share of 1."""
    stripped = text.strip().strip(UNITS)
    if not NUMBER.fullmatch(stripped):
        return None
    value = float(stripped.replace(",", ""))
    return value / 100 if text.strip().endswith("%") else value


def anls(answer: str, truths: Sequence[str]) -> float:
    """The similarity to the nearest truth: 1 minus the edits over the longer one's characters.

    Under a half it is 0. Source: Biten et al. 2019, ST-VQA, arXiv 1905.13648, section 3, with a
    half itself counted, as the benchmark's evaluation does.
    """
    return max(similarity(answer, truth) for truth in truths)


def similarity(answer: str, truth: str) -> float:
    """What `anls` takes the most of."""
    from rapidfuzz.distance import Levenshtein

    one, other = " ".join(answer.lower().split()), " ".join(truth.lower().split())
    found = float(Levenshtein.normalized_similarity(one, other))
    return found if found >= LEAST_SIMILARITY else 0.0
