"""Counting: the number that an answer gives, beside the true one.

Source of the measures: Deitke et al. 2024, arXiv 2409.17146: exact, off by one at most, and both
for every true count, for large counts are harder.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

VERSION = 1  # counted up when the same answers would get another score
UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
TEENS = "fifteen sixteen seventeen eighteen nineteen"
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBERS = {word: number for number, word in enumerate([*UNITS.split(), *TEENS.split()])} | {
    word: 10 * number for number, word in enumerate(TENS.split(), 2)
}
# A number in digits, thousands apart by commas, or in words up to ninety-nine; no part of a word or
# of a decimal.
NUMBER = re.compile(
    r"(?<![\w.,])(?:(\d{1,3}(?:,\d{3})+|\d+)(?![\w]|[.,]\d)"
    rf"|((?:{'|'.join(NUMBERS)})(?:[ -](?:{'|'.join(UNITS.split()[1:10])}))?)(?!\w))",
    re.IGNORECASE,
)
TOTAL = re.compile(r"\ba total of $", re.IGNORECASE)
# Not exactly told, or larger than the words above reach: no number is taken from it.
LARGE = re.compile(r"\b(?:hundreds?|thousands?|millions?|dozens?)\b", re.IGNORECASE)
# `one` that stands for a thing, and nobody.
NO_COUNT = re.compile(
    r"\b(?:(?:the|this|that|which|each|any|every|last|first|next|other|another|see) one|no one)\b",
    re.IGNORECASE,
)
NONE = re.compile(
    r"\b(?:none|nothing|nobody|no(?! (?:idea|way|clue|answer)\b)"
    r"|(?:is|are|do|does|can)(?:n't|not| not) (?:see )?any)\b",
    re.IGNORECASE,
)
MARKUP = re.compile(r"<[^<>]*(?:>|$)")  # a model that is cut off leaves the last one open


@dataclass(frozen=True)
class CountScore:
    """How the answers to questions of one true count, or of all, do; shares of 1."""

    questions: int
    exact: float
    within_one: float
    valid: float  # that say a number, or that there is none


def count_said(answer: str) -> int | None:
    """The number that an answer gives: its total, else the last number said, else 0 for none.

    None where it gives none, or a number in words over ninety-nine. Points' coordinates are no
    numbers said, and neither is `one` for a thing, as in `the last one`.
    """
    said = " ".join(MARKUP.sub(" ", answer.replace("’", "'")).split())
    if LARGE.search(said):
        return None
    counts = [one.span() for one in NO_COUNT.finditer(said)]
    found = [
        match
        for match in NUMBER.finditer(said)
        if not any(start <= match.start() < end for start, end in counts)
    ]
    totals = [match for match in found if TOTAL.search(said[: match.start()])]
    if found:
        return number_of((totals or found)[-1])
    return 0 if NONE.search(said) else None


def number_of(match: re.Match[str]) -> int:
    """The number that a match of `NUMBER` stands for."""
    if match[1]:
        return int(match[1].replace(",", ""))
    return sum(NUMBERS[word] for word in re.split("[ -]", match[2].lower()))


def score(answers: Sequence[str], counts: Sequence[int]) -> CountScore:
    """How `answers` do beside the true `counts`; at least one."""
    said = [count_said(answer) for answer in answers]
    pairs = list(zip(said, counts, strict=True))
    return CountScore(
        questions=len(pairs),
        exact=sum(one == count for one, count in pairs) / len(pairs),
        within_one=sum(one is not None and abs(one - count) <= 1 for one, count in pairs)
        / len(pairs),
        valid=sum(one is not None for one in said) / len(pairs),
    )


def score_by_count(answers: Sequence[str], counts: Sequence[int]) -> dict[int, CountScore]:
    """How `answers` do for each true count, ascending."""
    grouped: dict[int, list[str]] = defaultdict(list)
    for answer, count in zip(answers, counts, strict=True):
        grouped[count].append(answer)
    return {count: score(group, [count] * len(group)) for count, group in sorted(grouped.items())}
