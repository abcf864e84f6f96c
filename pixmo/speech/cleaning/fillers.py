"""What speakers say without meaning it: um and uh, asides, words broken off.

Like every rule on tokens: it takes words away, adds none, and leaves alone what it is unsure of.
"""

import re
from dataclasses import replace
from itertools import pairwise

from pixmo.speech.cleaning.tokens import Token, is_read_out, keys, starts_sentence, without
from pixmo.speech.cleaning.word_classes import (
    ARTICLES,
    COLOURS,
    DETERMINERS,
    PRONOUNS,
    SIZES,
    VERBS,
    each,
    is_content,
    is_number,
    same_family,
)

FILLER = re.compile(r"u+h*m+|u+h+|e+r+m+|er|h+m+|mm+|huh")
OPENERS = each("ah oh eh well okay ok so alright yeah yep anyway basically")
# Behind an opener without a comma: "so there is", "okay the man". Not "so many", "well dressed".
OPENED = each("there there's i i'm we we're it it's this the he he's she she's they they're in on")
ASIDES = (("you", "know"), ("i", "mean"), ("let's", "see"), ("let", "me", "see"), ("like",))
ASIDES_BEGIN = frozenset(aside[0] for aside in ASIDES)
# "there's like a dog", "we see, you know, a dog"; "it is like a dog" compares.
BEFORE_AN_ASIDE = (("there's",), ("there", "is"), ("there", "are"), ("see",))
LONGEST_BROKEN_PHRASE = 5


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
    if token.is_protected or is_read_out(tokens, place, 1):
        return 0
    if is_hesitation(tokens, place) or opens_for_nothing(tokens, place):
        return 1
    if token.key not in ASIDES_BEGIN:
        return 0
    for aside in ASIDES:
        words = tokens[place : place + len(aside)]
        if keys(words) != aside:
            continue
        opens = place == 0 or tokens[place - 1].pauses
        if opens and words[-1].after == ",":
            return len(aside)
        if aside[0] in ("like", "you") and is_bare_aside(tokens, place, len(aside)):
            return len(aside)
    return 0


def is_hesitation(tokens: list[Token], place: int) -> bool:
    """Whether the word is um, uh or the like, and neither a unit, a name nor read out."""
    token = tokens[place]
    if not FILLER.fullmatch(token.key) or token.is_protected or is_read_out(tokens, place, 1):
        return False
    if place == 0:
        return True
    is_unit = token.key == "mm" and not tokens[place - 1].pauses
    is_name = token.word[0].isupper() and not tokens[place - 1].pauses
    return not is_unit and not is_name


def opens_for_nothing(tokens: list[Token], place: int) -> bool:
    """Whether the word only opens a sentence: "So, there is"."""
    token = tokens[place]
    if token.key not in OPENERS:
        return False
    if not starts_sentence(tokens, place):
        # A well may stand between commas, in a list.
        return tokens[place - 1].pauses and token.after == "," and token.key != "well"
    follows = tokens[place + 1 : place + 2]
    if token.after in (",", ".", "...", "…") or not follows:
        return True
    says_more = follows[0].key in OPENED | OPENERS | {"and"}
    return not token.after and says_more and (token.key != "so" or follows[0].key != "and")


def is_bare_aside(tokens: list[Token], place: int, length: int) -> bool:
    """Whether an aside without commas stands before what is seen: "there's like a dog"."""
    end = place + length
    if end >= len(tokens):
        return False
    if tokens[end].key not in DETERMINERS and not is_number(tokens[end].key):
        return False
    if tokens[place - 1].pauses or tokens[end - 1].after not in ("", ","):
        return False
    before = keys(tokens[max(0, place - 2) : place])
    return any(before[-len(words) :] == words for words in BEFORE_AN_ASIDE)


def comma_of_filler_dropped(tokens: list[Token], place: int, length: int) -> list[Token]:
    """The comma before a filler goes with it, unless it seems to part a list."""
    end = place + length
    if place == 0 or end >= len(tokens) or tokens[place - 1].after != ",":
        return tokens
    # "It is, okay, the sign says stop" begins anew.
    if tokens[place].key in OPENERS:
        return tokens
    before, after = tokens[place - 1], tokens[end]
    if not tokens[end - 1].pauses or tokens[end - 1].ends_sentence:
        return tokens
    one, other = before.key, after.key
    if is_number(one) or one in COLOURS | SIZES:
        parts_a_list = same_family(one, other) or other in ARTICLES
    else:
        begins = other in DETERMINERS or other in PRONOUNS
        parts_a_list = begins and is_content(one) and one not in VERBS
        # "The dog is a, um, it looks": no list, but no sentence without the comma.
        parts_a_list = parts_a_list or (one in ARTICLES and other in PRONOUNS)
    if parts_a_list:
        return tokens
    return [*tokens[: place - 1], replace(before, after=""), *tokens[place:]]


def drop_broken_words(tokens: list[Token]) -> list[Token]:
    """Without words broken off and begun again: "a bl- blue bicycle", "the ba- the background"."""
    place = 0
    while place < len(tokens) - 1:
        begin = broken_begin(tokens, place)
        if begin is None:
            place += 1
        else:
            tokens = without(tokens, begin, place + 1)
            place = begin
    return tokens


def broken_begin(tokens: list[Token], place: int) -> int | None:
    """Where what is said again begins, if the word at `place` was broken off."""
    broken = tokens[place]
    if not broken.after.startswith("-") or broken.is_protected:
        return None
    for length in range(LONGEST_BROKEN_PHRASE + 1):
        begin, whole = place - length, place + 1 + length
        if begin < 0 or whole >= len(tokens) or tokens[begin].is_protected:
            return None
        again = keys(tokens[begin:place]) == keys(tokens[place + 1 : whole])
        if again and tokens[whole].key.startswith(broken.key):
            return begin
    return None


def mend_articles(tokens: list[Token]) -> list[Token]:
    """No comma or ellipsis behind an article: it was a pause for thought."""
    followed = [
        replace(token, after="") if thinks_behind(token, following) else token
        for token, following in pairwise(tokens)
    ]
    return [*followed, *tokens[-1:]]


def thinks_behind(article: Token, following: Token) -> bool:
    """Whether the first is an article with a pause, and the next is what it is of."""
    return (
        article.word in ARTICLES
        and article.after in (",", "...", "…")
        and is_content(following.key)
        and following.key != "what"
        and not following.word[0].isupper()
    )
