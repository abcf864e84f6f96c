"""Answers beside those that people gave: exact, soft, relaxed for charts, by edit distance.

Also what an answer in sentences says: which option, which number, whether the true words.
"""

import itertools
import math
import re
from collections.abc import Mapping, Sequence

VERSION = 2  # counted up when the same answers would get another score
ENOUGH_PEOPLE = 3  # who gave an answer make it fully right
CHART_TOLERANCE = 0.05  # of the true number
LEAST_SIMILARITY = 0.5  # below, an answer is another one and no slip of the pen

ARTICLES = {"a", "an", "the"}
NUMBERS = "zero one two three four five six seven eight nine ten"
DIGITS = {word: str(number) for number, word in enumerate(NUMBERS.split())} | {"none": "0"}
INNER_COMMA = re.compile(r"(?<=\d),(?=\d)")
THOUSANDS_COMMA = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
MARKS = ';/[]"{}()=+\\_-><@`,?!'  # the challenge's; others, such as $ % & : ., say something
STOP = re.compile(r"\.(?!\d)")  # of a sentence or abbreviation, not of a decimal
UNITS = "$€£% "  # around a number of a chart
# A letter that stands for an option. A and I are words where another word follows them.
LETTER = (
    r"(?<!\w)(?<!\w['’])(?:[B-HJ-Z]|[AI](?!\s+(?!(?:is|because|since)\b)[^\W\d_]))(?!\w|['’]\w|-\w)"
)
TEXT = " something "  # in an option's text's place: behind it, `a` is no letter of an option
BARE_LETTER = re.compile(r"\W*([A-Za-z])\W*")
FIRST_LETTER = re.compile(r"\A[\s*]*([A-Z])\**(?:[.):\]]\**(?=\s|$)|[^\S\n]*\n)")
ANSWER = r"(?i:\banswers?\b(?:\s+(?:is|would\s+be|must\s+be))?)"
ANSWERED_LETTER = re.compile(
    rf"(?:{ANSWER}|\\boxed)(?:[\s:*(\[{{'\"]|\\text)*(?:(?:option|choice)\s+)?[(*]*({LETTER})",
    re.IGNORECASE,
)
BRACKETED_LETTER = re.compile(r"[(\[]([A-Z])[)\]]")
NUMBER_SAID = re.compile(
    r"((?:(?<![\w.])[-+−])?(?<![\w.])(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?)(\s?(?:%|percent\b))?"
)
LIST = re.compile(r"\[([^\[\]]*)\]")
OPEN_DECIMALS = 2
SENTENCE_END = re.compile(r"[.!?;]\s+(?=\S)|\n")
CONCLUSION = re.compile(
    r".*(?:\b(?:is|are|be|so|thus|therefore|final|answer|result)\b|=)", re.IGNORECASE
)


def normalise(answer: str) -> str:
    """An answer as the VQA challenge compares it: no case, marks or articles; digits for numbers.

    Source: Antol et al. 2015, VQA, arXiv 1505.00468, and its evaluation: a mark is dropped where it
    stands beside a space anywhere in the answer, or a number there has a comma; else it parts two
    words. Its table of contractions is left out: apostrophes are dropped instead. An answer that is
    nothing but articles, such as the letter A, or nothing but marks, stays as it is.
    """
    plain = " ".join(answer.replace("’", "'").split())
    has_comma, told = INNER_COMMA.search(plain), plain
    for mark in MARKS:
        is_beside_space = f"{mark} " in plain or f" {mark}" in plain
        told = told.replace(mark, "" if has_comma or is_beside_space else " ")
    told = STOP.sub("", told).replace("'", "").lower()
    words = [DIGITS.get(word, word) for word in told.split()]
    said = [word for word in words if word not in ARTICLES]
    return " ".join(said or words) or plain.lower()


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
    value = without_unit(text)
    return value / 100 if value is not None and text.strip().endswith("%") else value


def without_unit(text: str) -> float | None:
    """The number that a text is, but for a unit around it and commas at thousands."""
    try:
        value = float(THOUSANDS_COMMA.sub("", text.strip().strip(UNITS)))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


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


def choice(answer: str, options: Mapping[str, str]) -> str | None:
    """The label of the option that an answer chooses; None where it chooses none.

    Options are texts by their labels: letters, or texts themselves. In this order: the answer is a
    letter or an option's text; begins with a letter as in a list; says `answer` and a letter; has a
    letter in brackets; has a letter that belongs to no option's text; has an option's text. The
    last of several counts. After the evaluation of Yue et al. 2023, MMMU, arXiv 2311.16502, which
    draws an option where none is said; here that is wrong.
    """
    if (bare := BARE_LETTER.fullmatch(answer)) and bare[1].upper() in options:
        return bare[1].upper()
    texts = {label: text.strip() for label, text in options.items() if text.strip()}
    for form in (squeezed, normalise):  # which takes -5 for 5, and x-1 for x+1
        same = [label for label, text in texts.items() if form(text) == form(answer)]
        if len(same) == 1:
            return same[0]
    rest = answer
    for text in sorted(texts.values(), key=len, reverse=True):
        if len(text) > 1:
            rest = whole(text).sub(TEXT, rest)
    for pattern, part in (
        (FIRST_LETTER, answer),
        (ANSWERED_LETTER, rest),
        (BRACKETED_LETTER, rest),
        (re.compile(f"({LETTER})"), rest),
    ):
        letters = [str(letter).upper() for letter in pattern.findall(part)]
        if found := [letter for letter in letters if letter in options]:
            return found[-1]
    said = [
        (match.end(), len(text), label)
        for label, text in texts.items()
        for match in whole(text).finditer(answer)
    ]
    return max(said)[2] if said else None


def squeezed(text: str) -> str:
    """A text without case, further white space and the full stop at its end."""
    return " ".join(text.lower().split()).rstrip(".")


def whole(text: str) -> re.Pattern[str]:
    """Matches a text as words of their own, without case; a part of a number is none."""
    return re.compile(rf"(?<!\w)(?<!\d\.){re.escape(text)}(?!\w|\.\d)", re.IGNORECASE)


def number_said(answer: str) -> tuple[float, ...]:
    """The number that an answer gives: the first after the last word `answer`, else the last.

    A percentage gives two, itself and its share of 1. Without digits, a word up to ten.
    """
    plain = INNER_COMMA.sub("", answer)
    after = re.split(ANSWER, plain)[-1]
    if match := NUMBER_SAID.search(after) if after != plain else None:
        return values_of(match)
    if matches := list(NUMBER_SAID.finditer(plain)):
        return values_of(matches[-1])
    words = [word for word in re.findall(r"\w+", answer.lower()) if word in DIGITS]
    return (float(DIGITS[words[-1]]),) if words else ()


def values_of(match: re.Match[str]) -> tuple[float, ...]:
    """What a match of `NUMBER_SAID` may stand for."""
    value = float(match[1].replace("−", "-"))
    if not math.isfinite(value):  # more digits than a float can hold
        return ()
    return (value, value / 100) if match[2] else (value,)


def integer(answer: str, truth: int) -> float:
    """1 where the number that an answer gives, without its decimals, is the true one, else 0.

    A percentage is no share of 1 here: cut off, each would be 0. Source: Lu et al. 2023, MathVista,
    arXiv 2310.02255, whose evaluation cuts decimals off; there a language model finds the number in
    the answer.
    """
    return float(any(math.trunc(value) == truth for value in number_said(answer)[:1]))


def decimal(answer: str, truth: float, decimals: int) -> float:
    """1 where the number that an answer gives, rounded, is the true one, else 0.

    Source: as of `integer`.
    """
    target = round(truth, decimals)
    return float(any(round(value, decimals) == target for value in number_said(answer)))


def number_list(answer: str, truth: str) -> float:
    """1 where an answer gives the numbers of the true list in its order, else 0.

    They are those of its last list in brackets, else all.
    """
    lists = LIST.findall(answer)
    return float(numbers_in(lists[-1] if lists else answer) == numbers_in(truth))


def numbers_in(text: str) -> list[float]:
    """All numbers in digits, a comma before a space or a sign being none of theirs."""
    return [values[0] for match in NUMBER_SAID.finditer(text) if (values := values_of(match))]


def open_answer(answer: str, truths: Sequence[str]) -> float:
    """1 where what an answer concludes has a truth, else 0.

    Conclusions are what stands in each sentence after its last `is`, `so`, `answer`, `=` and the
    like; the whole answer where it has none. A truth that is a number is had where one of theirs is
    the same with two decimals, any other where its words are. After the evaluation of MMMU, arXiv
    2311.16502, which also takes a text inside a word.
    """
    sentences = SENTENCE_END.split(answer.strip().rstrip("."))
    ends = [
        sentence[match.end() :] for sentence in sentences if (match := CONCLUSION.match(sentence))
    ]
    concluded = ends if any(end.strip() for end in ends) else [answer]
    return float(any(has(part, truth) for part, truth in itertools.product(concluded, truths)))


def has(text: str, truth: str) -> bool:
    """Whether a text has a truth: its number with two decimals, or its words."""
    number = without_unit(truth)
    if number is not None:
        target = round(number, OPEN_DECIMALS)
        said = numbers_in(INNER_COMMA.sub("", text))
        return any(round(value, OPEN_DECIMALS) == target for value in said)
    return whole(truth.strip()).search(text) is not None
