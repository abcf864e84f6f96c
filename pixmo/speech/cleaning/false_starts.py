"""Beginnings that a speaker gives up: "there is a, there are two circles".

Like every rule on tokens: it takes words away, adds none, and leaves alone what it is unsure of.
"""

from collections.abc import Sequence

from pixmo.speech.cleaning.tokens import Token, clause, keys, sentence, starts_sentence, without
from pixmo.speech.cleaning.word_classes import (
    ARTICLES,
    BE,
    CONJUNCTIONS,
    DANGLING,
    PREPOSITIONS,
    PRONOUNS,
    STARTERS,
    VERBS,
    is_content,
)

STARTERS_BEGIN = frozenset(starter[0] for starter in STARTERS)
LONGEST_FRAGMENT = 6
NEVER_BEHIND_AN_ARTICLE = ARTICLES | PRONOUNS | PREPOSITIONS | {"then"}


def drop_false_starts(tokens: list[Token]) -> list[Token]:
    """Without beginnings that were given up: "there is a, there are two"."""
    place = 0
    while place < len(tokens):
        length = false_start_length(tokens, place)
        if length:
            tokens = without(tokens, place, place + length)
        else:
            place += 1
    return tokens


def false_start_length(tokens: list[Token], place: int) -> int:
    """How many words from `place` on are a beginning that was given up."""
    opens = starts_sentence(tokens, place)
    if not opens and not tokens[place - 1].pauses:
        return 0
    for starter in STARTERS if tokens[place].key in STARTERS_BEGIN else ():
        end = place + len(starter)
        if keys(tokens[place:end]) != starter:
            continue
        with_article = end < len(tokens) and tokens[end].key in ARTICLES
        end += with_article and not tokens[end - 1].pauses
        fragment, rest = tokens[place:end], tokens[end:]
        if is_clean_break(fragment) and is_given_up(fragment, rest, opens):
            return len(fragment)
    return restart_length(tokens, place)


def is_clean_break(fragment: Sequence[Token]) -> bool:
    """Whether nothing in the fragment is quoted, and nothing but its end pauses."""
    return not any(token.is_protected for token in fragment) and not any(
        token.pauses for token in fragment[:-1]
    )


def is_given_up(fragment: Sequence[Token], rest: list[Token], opens_sentence: bool) -> bool:
    """Whether `rest` begins anew instead of going on with the fragment."""
    restarts = any(keys(rest[: len(starter)]) == starter for starter in STARTERS)
    if restarts and (fragment[-1].pauses or fragment[-1].key in ARTICLES):
        return True
    if restarts and "see" not in keys(fragment):
        return True
    has_verb = any(token.key in VERBS for token in sentence(rest))
    if not opens_sentence or not has_verb or fragment[-1].ends_sentence:
        return False
    last, following = fragment[-1].key, rest[0].key
    # An article said twice is a repetition: "I see the the sign".
    if last in ARTICLES and following in NEVER_BEHIND_AN_ARTICLE - {last}:
        return True
    return fragment[-1].pauses and not is_aside(rest)


def is_aside(rest: list[Token]) -> bool:
    """Whether `rest` opens with words between commas: "it is, I think, a star" goes on."""
    aside = clause(rest, 0)
    has_verb = any(token.key in VERBS for token in aside)
    behind = keys(rest[len(aside) :])
    restarts = any(behind[: len(starter)] == starter for starter in STARTERS)
    goes_on = bool(behind) and not aside[-1].ends_sentence
    return (
        goes_on
        and not restarts
        and behind[0] not in PRONOUNS
        and (not has_verb or (aside[0].key in PRONOUNS and len(aside) == 2))
    )


def restart_length(tokens: list[Token], place: int) -> int:
    """The length of a fragment that ends where nothing can end and is said again in full."""
    for end in range(place + 2, min(place + LONGEST_FRAGMENT, len(tokens) - 1) + 1):
        fragment = tokens[place:end]
        if not is_clean_break(fragment):
            return 0
        if fragment[-1].key not in DANGLING or fragment[-1].ends_sentence:
            continue
        if not fragment[-1].pauses:
            # "A man and a man" are two, and "the red one is the red one on top" says which.
            begins_again = keys(tokens[end : end + 2]) == keys(fragment[:2])
            if not begins_again or fragment[-1].key in CONJUNCTIONS | BE:
                continue
        elif tokens[end].key != fragment[0].key and not says_something(fragment):
            continue
        # Only what is left of the sentence: the next one may name the same things again.
        again = keys(sentence(tokens[end : end + len(fragment) + 3]))
        if all(word in again for word in keys(fragment) if is_content(word)):
            return len(fragment)
    return 0


def says_something(tokens: Sequence[Token]) -> bool:
    """Whether there is a word that says something of an image by itself."""
    return any(is_content(token.key) for token in tokens)
