"""Numbers in one form: words up to twelve, digits above and before units of measure.

That is how newspapers print them, and recognisers write either. Digits stay as they are, since
they may have been read off the image; so does whatever is not plainly one number.
"""

from collections.abc import Sequence
from dataclasses import replace

from pixmo.speech.cleaning.tokens import Token, is_read_out, keys
from pixmo.speech.cleaning.word_classes import TEENS_IN_ORDER, TENS_IN_ORDER, UNITS_IN_ORDER, each

UNITS = {word: value for value, word in enumerate(UNITS_IN_ORDER, 1)}
TEENS = {word: value for value, word in enumerate(TEENS_IN_ORDER, 10)}
TENS = {word: 10 * value for value, word in enumerate(TENS_IN_ORDER, 2)}
SCALES = {"hundred": 100, "thousand": 1000}
LARGEST_WORD = 12
MEASURES = each(
    "percent meter meters metre metres centimeter centimeters centimetre centimetres millimeter"
    " millimeters kilometer kilometers kilometre kilometres inch inches mile miles gram grams"
    " kilogram kilograms liter liters litre litres degrees dollars euros"
)
BEFORE_A_YEAR = each("in from year since of until circa dated")
NOT_BEHIND_A_NUMBER = each(
    "million billion hundreds thousands something odd first second third fourth fifth sixth seventh"
    " eighth ninth point"
)


def number_of(words: Sequence[str]) -> int | None:
    """The number that the words spell, None if they spell none or more than one."""
    total, rest = 0, [part for word in words for part in word.split("-")]
    for scale, limit in (("thousand", 1000), ("hundred", 10)):
        if scale in rest:
            at = rest.index(scale)
            times = number_of(rest[:at])
            if times is None or times >= limit or (limit == 10 and times < 1):
                return None
            total += times * SCALES[scale]
            rest = rest[at + 1 :]
            rest = rest[1:] if rest[:1] == ["and"] and len(rest) > 1 else rest
            if not rest:
                return total
    below = below_hundred(rest)
    return None if below is None else total + below


def below_hundred(words: Sequence[str]) -> int | None:
    """The number of at most two words, "twenty" "three"."""
    match words:
        case [word]:
            return (UNITS | TEENS | TENS).get(word)
        case [tens, unit] if tens in TENS and unit in UNITS:
            return TENS[tens] + UNITS[unit]
    return None


def year_of(words: Sequence[str]) -> int | None:
    """The year that the words spell as two numbers, "nineteen" "eighty" "four"."""
    century, rest = below_hundred(words[:1]), below_hundred(words[1:])
    if century is None or rest is None or not 13 <= century <= 20 or rest < 10:
        return None
    return century * 100 + rest


def write_numbers(tokens: list[Token]) -> list[Token]:
    """Every number above twelve, and every measured one, is in digits."""
    place = 0
    while place < len(tokens):
        end = number_end(tokens, place)
        digits = in_digits(tokens, place, end) if end > place else ""
        if digits:
            first, last = tokens[place], tokens[end - 1]
            number = replace(first, word=digits, after=last.after)
            tokens = [*tokens[:place], number, *tokens[end:]]
        place = max(end, place + 1)
    return tokens


def number_end(tokens: Sequence[Token], place: int) -> int:
    """Where the run of number words from `place` on ends."""
    end = place
    while end < len(tokens) and (end == place or not tokens[end - 1].after):
        linked = tokens[end].key == "and" and end > place and tokens[end - 1].key in SCALES
        if not linked and not is_number_word(tokens[end]):
            break
        end += 1
    return end - 1 if end > place and tokens[end - 1].key == "and" else end


def is_number_word(token: Token) -> bool:
    """Whether the word, or each part of it, is of a number: "twenty", "twenty-three"."""
    known = UNITS.keys() | TEENS.keys() | TENS.keys() | SCALES.keys()
    return not token.is_protected and all(part in known for part in token.key.split("-"))


def in_digits(tokens: Sequence[Token], place: int, end: int) -> str:
    """The number from `place` to before `end` in digits; empty where it stays in words."""
    words = keys(tokens[place:end])
    before = tokens[place - 1] if place else None
    following = tokens[end].key if end < len(tokens) and not tokens[end - 1].after else ""
    is_name = before is not None and tokens[place].word[0].isupper() and not before.pauses
    if is_name or following in NOT_BEHIND_A_NUMBER or is_read_out(tokens, place, 3):
        return ""
    if before is not None and not before.after and before.word[-1].isdigit():
        return ""
    number = number_of(words)
    if number is None and before is not None and before.key in BEFORE_A_YEAR:
        return str(year_of(words) or "")
    if number is None or (number <= LARGEST_WORD and following not in MEASURES):
        return ""
    return f"{number:,}" if number >= 10_000 else str(number)
