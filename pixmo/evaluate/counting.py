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
TOTAL = re.compile(r"\ba total of (\d+)\b", re.IGNORECASE)
# A number in digits, thousands apart by commas, or in words up to ninety-nine; no part of a word or
# of a decimal.
NUMBER = re.compile(
    r"(?<![\w.,])(?:(\d{1,3}(?:,\d{3})+|\d+)(?![\w]|[.,]\d)"
    rf"|((?:{'|'.join(NUMBERS)})(?:-(?:{'|'.join(UNITS.split()[1:10])}))?)(?!\w))",
    re.IGNORECASE,
)
NONE = re.compile(
    r"\b(?:none|nothing|no(?! (?:idea|way|clue|answer)\b)|(?:is|are)(?:n't| not) any)\b",
    re.IGNORECASE,
)
MARKUP = re.compile(r"<[^<>]*>")


@dataclass(frozen=True)
class CountScore:
    """How the answers to questions of one true count, or of all, do; shares of 1."""

    questions: int
    exact: float
    within_one: float
    valid: float  # that say a number, or that there is none


def count_said(answer: str) -> int | None:
    """The number that an answer gives: its total, else the last number said, else 0 for none.

    None where it gives none. Points' coordinates are no numbers said.
    """
    if totals := TOTAL.findall(answer):
        return int(totals[-1])
    said = MARKUP.sub(" ", answer)
    numbers = [number_of(match) for match in NUMBER.finditer(said)]
    if numbers:
        return numbers[-1]
    return 0 if NONE.search(said) else None


def number_of(match: re.Match[str]) -> int:
    """The number that a match of `NUMBER` stands for."""
    if match[1]:
        return int(match[1].replace(",", ""))
    return sum(NUMBERS[word] for word in match[2].lower().split("-"))


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
