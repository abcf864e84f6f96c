"""What speakers say without meaning it: um and uh, asides, words said twice in a row.

Like every rule on tokens: it takes words away, adds none, and leaves alone what it is unsure of.
"""

import re
from dataclasses import replace

from pixmo.speech.tokens import Token, keys, starts_sentence, without
from pixmo.speech.word_classes import (
    ARTICLES,
    COLOURS,
    DETERMINERS,
    FUNCTION_WORDS,
    PRONOUNS,
    SIZES,
    VERBS,
    each,
    is_content,
    is_number,
    same_family,
)

FILLER = re.compile(r"u+h*m+|u+h+|e+r+m+|er|h+m+|mm+")
OPENERS = each("ah oh eh well okay ok so alright")  # before a comma
ASIDES = (("you", "know"), ("i", "mean"), ("let's", "see"), ("let", "me", "see"), ("like",))
ASIDES_BEGIN = frozenset(aside[0] for aside in ASIDES)
LONGEST_REPEATED_PHRASE = 4
SAID_TWICE_ON_PURPOSE = each("very really so many much more far had that no bye")


def drop_fillers(tokens: list[Token]) -> list[Token]:
    """Without um and uh, and without asides that commas set off."""
    place = 0
    while place < len(tokens):
        length = filler_length(tokens, place)
        if length:
            tokens = without(comma_of_filler_dropped(tokens, place, length), place, place + length)
        else:
            place += 1
    return tokens


def filler_length(tokens: list[Token], place: int) -> int:
    """How many words from `place` on are a filler."""
    token = tokens[place]
    if token.is_protected:
        return 0
    if FILLER.fullmatch(token.key) and not (
        token.key == "mm" and place and tokens[place - 1].word[-1].isdigit()
    ):
        return 1
    if token.key in OPENERS and starts_sentence(tokens, place) and token.after == ",":
        return 1
    if token.key not in ASIDES_BEGIN:
        return 0
    for aside in ASIDES:
        words = tokens[place : place + len(aside)]
        opens = place == 0 or tokens[place - 1].pauses
        if opens and keys(words) == aside and words[-1].after == ",":
            return len(aside)
    return 0


def comma_of_filler_dropped(tokens: list[Token], place: int, length: int) -> list[Token]:
    """The comma before a filler goes with it, unless it seems to part a list."""
    end = place + length
    if place == 0 or end >= len(tokens) or tokens[place - 1].after != ",":
        return tokens
    before, after = tokens[place - 1], tokens[end]
    if not tokens[end - 1].pauses or tokens[end - 1].ends_sentence:
        return tokens
    one, other = before.key, after.key
    if is_number(one) or one in COLOURS | SIZES:
        parts_a_list = same_family(one, other)
    else:
        begins = other in DETERMINERS or other in PRONOUNS
        parts_a_list = begins and is_content(one) and one not in VERBS
    if parts_a_list:
        return tokens
    return [*tokens[: place - 1], replace(before, after=""), *tokens[place:]]


def drop_repetitions(tokens: list[Token]) -> list[Token]:
    """Without words and short phrases that are said twice in a row."""
    place = 0
    while place < len(tokens):
        for length in range(LONGEST_REPEATED_PHRASE, 0, -1):
            if is_repeated(tokens, place, length):
                tokens = without(tokens, place, place + length)
                break
        else:
            place += 1
    return tokens


def is_repeated(tokens: list[Token], place: int, length: int) -> bool:
    """Whether the `length` words from `place` on are said again at once, and not on purpose."""
    if not alike(tokens, place, place + length):
        return False
    first = tokens[place : place + length]
    second = tokens[place + length : place + 2 * length]
    if len(second) < length or any(token.is_protected for token in (*first, *second)):
        return False
    if any(token.pauses for token in (*first[:-1], *second[:-1])) or first[-1].ends_sentence:
        return False
    function_words = [token.key in FUNCTION_WORDS for token in first]
    if first[-1].pauses and not all(function_words):
        return False
    if length == 1:
        one, other = first[0].key, second[0].key
        if one != other:  # "a an orange star": the second article is the one that was meant
            return second[0].word != "A" and not first[0].pauses
        return one not in SAID_TWICE_ON_PURPOSE and not is_number(one)
    return keys(first) == keys(second) and any(function_words)


def alike(tokens: list[Token], one: int, other: int) -> bool:
    """Whether there are two such words, and they are equal or both articles."""
    if other >= len(tokens):
        return False
    first, second = tokens[one].key, tokens[other].key
    return first == second or (first in ARTICLES and second in ARTICLES)
