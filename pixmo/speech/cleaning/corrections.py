"""What a speaker takes back: "three, no wait, two red circles" is "two red circles".

Something is taken back only where what follows says it anew: word for word (each word equals the
one it replaces or is of its family), or one whole noun phrase for another, or a phrase of place
about the same thing. A repair is a rough copy of what it repairs.
Source: Shriberg 1994, Preliminaries to a Theory of Speech Disfluencies (reparandum and repair).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pixmo.speech.cleaning.fillers import is_hesitation
from pixmo.speech.cleaning.tokens import Token, clause, keys
from pixmo.speech.cleaning.word_classes import (
    ARTICLES,
    DETERMINERS,
    FUNCTION_WORDS,
    POSSESSIVES,
    PREPOSITIONS,
    PRONOUNS,
    VERBS,
    expanded,
    is_number,
    is_thing,
    same_family,
    same_strict_family,
)

# Said between what is wrong and what is right; which pauses make it one.
ANYWHERE = (("no", "wait"), ("wait", "no"), ("no", "sorry"), ("scratch", "that"))
AFTER_A_PAUSE = (
    *(("no", "actually"), ("or", "rather"), ("or", "actually"), ("make", "that"), ("i", "mean")),
    *(("i", "meant"), ("my", "mistake"), ("excuse", "me"), ("sorry",), ("actually",), ("oops",)),
    *(("correction",), ("oh", "wait"), ("oh", "sorry")),
)
BETWEEN_PAUSES = (("no",), ("wait",), ("well",))
# Behind these even a full stop may stand: "There is a truck. Scratch that. There is a van."
SENTENCES = (*ANYWHERE, ("sorry",), ("correction",), ("my", "mistake"))
TERMS = sorted((*ANYWHERE, *AFTER_A_PAUSE, *BETWEEN_PAUSES), key=len, reverse=True)
TERMS_BEGIN = frozenset(term[0] for term in TERMS)
LONGEST_CORRECTION = 12  # words taken back
INDEFINITE = frozenset(("a", "an"))
NEVER_NAMES = FUNCTION_WORDS | DETERMINERS | POSSESSIVES
# "next to the house" is one phrase of place, and "to the house" none of its own.
BEFORE_A_PREPOSITION = frozenset(("next", "close", "far", "out"))


def drop_corrected(tokens: list[Token]) -> list[Token]:
    """Without what the speaker took back: "three, no wait, two" is "two"."""
    while True:
        attempts = (repaired(tokens, *correction) for correction in corrections(tokens))
        mended = next((attempt for attempt in attempts if attempt is not None), None)
        if mended is None:
            return tokens
        tokens = mended


def corrections(tokens: list[Token]) -> Iterator[tuple[int, int]]:
    """From where to before where the speaker says that something was wrong."""
    for start in range(1, len(tokens)):
        begins = tokens[start].key in TERMS_BEGIN or is_hesitation(tokens, start)
        if not begins or is_hesitation(tokens, start - 1):
            continue
        terms, end = terms_from(tokens, start)
        if terms and end < len(tokens) and is_correction(tokens, terms, start, end):
            yield start, end


def terms_from(tokens: list[Token], start: int) -> tuple[list[tuple[str, ...]], int]:
    """Every term in a row from `start` on, "no, uh, sorry, I mean", and where they end."""
    terms = []
    end = place = start
    while place < len(tokens) and not tokens[place].is_protected:
        said = keys(tokens[place : place + 2])
        term = next((term for term in TERMS if said[: len(term)] == term), None)
        if term is not None:
            terms.append(term)
            end = place = place + len(term)
        elif is_hesitation(tokens, place):
            place += 1
            end = place if terms else end
        else:
            break
    return terms, end


def is_correction(
    tokens: list[Token], terms: Sequence[tuple[str, ...]], start: int, end: int
) -> bool:
    """Whether the terms from `start` to before `end` say that something was wrong."""
    before, last = tokens[start - 1], tokens[end - 1]
    if last.ends_sentence and terms[-1] not in SENTENCES:
        return False
    if any(term in ANYWHERE for term in terms):
        return True
    if before.pauses and (last.pauses or any(term in AFTER_A_PAUSE for term in terms)):
        return "?" not in before.after
    # "five, no six", "two sorry three": nothing else is said like this, but "two, no one".
    one, other = before.key, tokens[end].key
    if before.ends_sentence or one == other or other == "one":
        return False
    # "A red square, no circles" denies.
    if terms == [("no",)] and not is_number(one):
        return False
    return same_strict_family(one, other)


@dataclass(frozen=True, order=True)
class Repair:
    """A way to understand a correction; the best is the greatest."""

    equal_words: int
    wrong: int  # where what was taken back begins; of equal repairs the nearest counts
    kept: int  # how many words at the end of what was said stand behind the repair


def repaired(tokens: list[Token], start: int, end: int) -> list[Token] | None:
    """The tokens without the terms and what they take back; None when unsure."""
    right = clause(tokens, end)
    best = max(repairs(tokens, start, right), default=None)
    if best is None:
        return None
    after_repair = end + len(right)
    if best.kept:
        rest = tokens[start - best.kept : start]
        inside = replace(right[-1], after="")
        last = replace(rest[-1], after=right[-1].after)
        right = [*right[:-1], inside, *rest[:-1], last]
    elif right[-1].after == "," and tokens[after_repair : after_repair + 1]:
        # The comma closed the aside: "the boy, I mean the girl, is".
        following = tokens[after_repair].key
        verb_follows = following in VERBS and expanded([following]) == [following]
        right = [*right[:-1], replace(right[-1], after="")] if verb_follows else right
    right = continued(tokens[: best.wrong], right, began=tokens[end - 1].ends_sentence)
    mended = [*tokens[: best.wrong], *right, *tokens[after_repair:]]
    return verb_mended(article_mended(mended, best.wrong), best.wrong)


def repairs(tokens: list[Token], start: int, right: Sequence[Token]) -> Iterator[Repair]:
    """Every way in which `right` may replace words before `start`."""
    for wrong in range(start - 1, max(-1, start - 1 - LONGEST_CORRECTION), -1):
        if tokens[wrong].is_protected or (tokens[wrong].ends_sentence and wrong < start - 1):
            return
        said = tokens[wrong:start]
        if not right or cuts_a_place(tokens, wrong, right[0]):
            continue
        one, other = expanded(keys(said)), expanded(keys(right))
        equal = sum(a == b for a, b in zip(one, other, strict=False))
        if copies(one, other) or refines(one, other):
            yield Repair(equal, wrong, 0)
        elif renames(said, right) or replaces_place(said, right):
            yield Repair(equal + (one[-1] == other[-1]), wrong, 0)
        elif replaces_part(keys(said), keys(right)):
            yield Repair(equal, wrong, len(said) - len(right))


def cuts_a_place(tokens: list[Token], wrong: int, repair: Token) -> bool:
    """Whether `wrong` is inside a phrase of place: at "of the house" of "in front of the house"."""
    word = tokens[wrong].key
    if word not in PREPOSITIONS or word == repair.key:
        return False
    return word == "of" or tokens[max(wrong - 1, 0)].key in BEFORE_A_PREPOSITION


def copies(wrong: Sequence[str], right: Sequence[str]) -> bool:
    """Whether `right` says anew, word for word, all that `wrong` said."""
    if len(right) < len(wrong):
        return False
    first, *pairs = zip(wrong, right, strict=False)
    if not same_family(*first) and not (len(wrong) == 1 and are_things(*first)):
        return False
    return all(same_family(one, other) or are_things(one, other) for one, other in pairs)


def refines(wrong: Sequence[str], right: Sequence[str]) -> bool:
    """Whether `right` says what `wrong` said with a word more: "brown", "dark brown"."""
    # "It is a well" is a sentence, and no better word for "is a well".
    has_word_more = len(right) == len(wrong) + 1 and right[0] not in PRONOUNS
    return has_word_more and list(right[1:]) == list(wrong)


def are_things(one: str, other: str) -> bool:
    """Whether each could be a thing of any kind."""
    return is_thing(one) and is_thing(other)


def renames(wrong: Sequence[Token], right: Sequence[Token]) -> bool:
    """Whether each begins with a determiner and names a thing: "a big dog", "a cat"."""
    if len(wrong) < 2 or any(token.pauses for token in wrong[:-1]):
        return False
    if not all(said[0].key in DETERMINERS for said in (wrong, right)):
        return False
    if wrong[0].key != right[0].key and not {wrong[0].key, right[0].key} <= ARTICLES:
        return False
    name = noun_phrase(right)
    if len(name) < 2 or len(noun_phrase(wrong)) < len(wrong):
        return False
    return are_things(wrong[-1].key, name[-1])


def noun_phrase(tokens: Sequence[Token]) -> tuple[str, ...]:
    """The determiner that the tokens begin with, and the words behind it up to the next phrase."""
    words = keys(tokens)
    for end, word in enumerate(words[1:], 1):
        if word in FUNCTION_WORDS or word in VERBS:
            return words[:end]
    return words


def replaces_place(wrong: Sequence[Token], right: Sequence[Token]) -> bool:
    """Whether each says where something is against the same thing: "behind the house"."""
    one, other = keys(wrong), keys(right)
    if one[-1] != other[-1] or any(token.pauses for token in wrong[:-1]):
        return False
    return (
        all(words[0] in PREPOSITIONS | BEFORE_A_PREPOSITION for words in (one, other))
        and len(other) > 1
        and VERBS.isdisjoint(one[1:] + other[1:])
    )


def replaces_part(wrong: Sequence[str], right: Sequence[str]) -> bool:
    """Whether `right` replaces the beginning of `wrong` only: "two cups on it, sorry, three"."""
    if len(right) >= len(wrong):
        return False
    pairs = list(zip(wrong, right, strict=False))
    if not any(one != other and same_strict_family(one, other) for one, other in pairs):
        return False
    if not all(one == other or same_strict_family(one, other) for one, other in pairs):
        return False
    return len(right) == 1 or wrong[len(right)] in PREPOSITIONS


def continued(before: list[Token], right: list[Token], *, began: bool) -> list[Token]:
    """The repair as it is written behind `before`; `began`: a sentence began with it.

    Only the capital of a sentence is lost; any other may be a name's: "Coke, I mean Pepsi".
    """
    first = right[0]
    is_of_sentence = began or first.key in NEVER_NAMES
    inside = bool(before) and not before[-1].ends_sentence
    if inside and is_of_sentence and first.word.istitle() and first.key != "i":
        first = replace(first, word=first.word.lower())
    return [first, *right[1:]]


def article_mended(tokens: list[Token], place: int) -> list[Token]:
    """`a` or `an` before `place`, as the word there demands."""
    if place == 0 or tokens[place - 1].key not in INDEFINITE or tokens[place - 1].after:
        return tokens
    article = "an" if tokens[place].key[0] in "aeiou" else "a"
    if tokens[place - 1].word[0].isupper():
        article = article.capitalize()
    return [*tokens[: place - 1], replace(tokens[place - 1], word=article), *tokens[place:]]


def verb_mended(tokens: list[Token], place: int) -> list[Token]:
    """`is` before `place` as "are" where several things are there now: "there are two"."""
    several = is_number(tokens[place].key) and tokens[place].key not in ("one", "1")
    if not several or keys(tokens[max(0, place - 2) : place]) != ("there", "is"):
        return tokens
    are = replace(tokens[place - 1], word="are")
    return [*tokens[: place - 1], are, *tokens[place:]]
