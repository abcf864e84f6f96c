"""Counting: the number that an answer gives."""

import re

VERSION = 2  # counted up when the same answers would get another score
UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
TEENS = "fifteen sixteen seventeen eighteen nineteen"
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBERS = {word: number for number, word in enumerate([*UNITS.split(), *TEENS.split()])} | {
    word: 10 * number for number, word in enumerate(TENS.split(), 2)
}
ANY_NUMBER = "|".join(NUMBERS)
# A number in digits, thousands apart by commas, or in words up to ninety-nine; no part of a word or
# of a decimal, but for one of zeros.
NUMBER = re.compile(
    r"(?<![\w.,])(?:(\d{1,3}(?:,\d{3})+|\d+)(?:\.0+)?(?!\w|[.,]\d)"
    rf"|((?:{ANY_NUMBER})(?:[ -](?:{'|'.join(UNITS.split()[1:10])}))?)(?!\w))",
    re.IGNORECASE,
)
MOST_DIGITS = 15  # of a count; what is longer counts nothing
TOTAL = re.compile(r"\ba total of $", re.IGNORECASE)
# `one` that stands for a thing, and nobody; and what is not told exactly, or larger than the words
# above reach, as in `two dozen`, `3 hundred and five`.
NO_COUNT = re.compile(
    r"\b(?:(?:the|this|that|which|each|any|every|last|first|next|other|another|see) one|no one"
    rf"|(?:(?:{ANY_NUMBER}|[\d,]+)[ -]){{0,3}}(?:hundred|thousand|million|dozen)s?"
    rf"(?:[ -](?:and|{ANY_NUMBER}|hundreds?|thousands?)\b)*)\b",
    re.IGNORECASE,
)
NONE = re.compile(
    r"\b(?:none|nothing|nobody|no(?! (?:idea|way|clue|answer)\b)"
    r"|(?:is|are|do|does|can)(?:n't|not| not) (?:see )?any)\b",
    re.IGNORECASE,
)
MARKUP = re.compile(r"<[^<>]*(?:>|$)")  # a model that is cut off leaves the last one open


def count_said(answer: str) -> int | None:
    """The number that an answer gives: its total, else the last number said, else 0 for none.

    None where it gives none, or a number of more than MOST_DIGITS digits. Points' coordinates are
    no numbers said; neither are words for numbers over ninety-nine, nor `one` for a thing, as in
    `the last one`.
    """
    said = " ".join(MARKUP.sub(" ", answer.replace("’", "'")).split())
    spans = [one.span() for one in NO_COUNT.finditer(said)]
    found = [
        match
        for match in NUMBER.finditer(said)
        if not any(start <= match.start() < end for start, end in spans)
    ]
    totals = [match for match in found if TOTAL.search(said[: match.start()])]
    if found:
        return number_of((totals or found)[-1])
    return 0 if NONE.search(said) else None


def number_of(match: re.Match[str]) -> int | None:
    """The number that a match of `NUMBER` stands for; None for one of too many digits."""
    if match[1]:
        digits = match[1].replace(",", "")
        return int(digits) if len(digits) <= MOST_DIGITS else None
    return sum(NUMBERS[word] for word in re.split("[ -]", match[2].lower()))
