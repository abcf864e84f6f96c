"""What a speaker takes back: "three, no wait, two red circles" is "two red circles".

Something is taken back only where what follows says it anew, word for word: each word equals the
one it replaces or is of its family. A repair is a rough copy of what it repairs.
Source: Shriberg 1994, Preliminaries to a Theory of Speech Disfluencies (reparandum and repair).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pixmo.speech.tokens import Token, clause, keys
from pixmo.speech.word_classes import each, has_family, is_content, is_number, same_family

# Said between what is wrong and what is right.
CORRECTIONS = (("no", "wait"), ("wait", "no"), ("i", "mean"), ("no", "sorry"))
CORRECTIONS_AFTER_A_PAUSE = (
    *(("no", "actually"), ("or", "rather"), ("scratch", "that"), ("make", "that")),
    *(("sorry",), ("actually",), ("wait",)),
)
CORRECTIONS_BETWEEN_PAUSES = (("no",),)
CORRECTIONS_BEGIN = each("no wait i or scratch make sorry actually")
LONGEST_CORRECTION = 8  # words taken back
INDEFINITE = frozenset(("a", "an"))


def drop_corrected(tokens: list[Token]) -> list[Token]:
    """Without what the speaker took back: "three, no wait, two" is "two"."""
    while True:
        attempts = (repaired(tokens, *correction) for correction in corrections(tokens))
        mended = next((attempt for attempt in attempts if attempt is not None), None)
        if mended is None:
            return tokens
        tokens = mended


def repaired(tokens: list[Token], start: int, length: int) -> list[Token] | None:
    """The tokens without the correction at `start` and what it takes back; None when unsure."""
    end = start + length
    repair = clause(tokens, end)
    if not repair:
        return None
    for wrong in range(start - 1, max(-1, start - 1 - LONGEST_CORRECTION), -1):
        if tokens[wrong].is_protected or (tokens[wrong].ends_sentence and wrong < start - 1):
            return None
        taken_back = tokens[wrong:start]
        if replaces(repair, taken_back):
            return article_mended(continued(tokens[:wrong], tokens[end:]), wrong)
        if len(repair) == 1 and corrects_number(repair[0], taken_back):
            number = replace(tokens[wrong], word=repair[0].word)
            last = replace(taken_back[-1], after=repair[0].after)
            return [*tokens[:wrong], number, *taken_back[1:-1], last, *tokens[end + 1 :]]
    return None


def corrections(tokens: list[Token]) -> Iterator[tuple[int, int]]:
    """Where the speaker says that something was wrong, and in how many words."""
    for place in range(1, len(tokens)):
        if tokens[place].key not in CORRECTIONS_BEGIN:
            continue
        paused = tokens[place - 1].pauses
        for terms, possible in (
            (CORRECTIONS, True),
            (CORRECTIONS_AFTER_A_PAUSE, paused),
            (CORRECTIONS_BETWEEN_PAUSES, paused and tokens[place].pauses),
        ):
            for term in terms:
                said = tokens[place : place + len(term)]
                if possible and keys(said) == term and not said[-1].ends_sentence:
                    yield place, len(term)


def replaces(repair: Sequence[Token], wrong: Sequence[Token]) -> bool:
    """Whether `repair` says anew, word for word, all that `wrong` said."""
    if len(repair) < len(wrong):
        return False
    pairs = list(zip(keys(wrong), keys(repair), strict=False))
    if not same_family(*pairs[0]):
        return False
    return all(
        same_family(one, other) or (is_unknown(one) and is_unknown(other)) for one, other in pairs
    )


def is_unknown(word: str) -> bool:
    """Whether the word is of no family: it could be a thing of any kind."""
    return is_content(word) and not has_family(word)


def corrects_number(repair: Token, wrong: Sequence[Token]) -> bool:
    """Whether a number alone corrects the number that `wrong` begins with."""
    return len(wrong) > 1 and is_number(repair.key) and is_number(wrong[0].key)


def continued(before: list[Token], after: list[Token]) -> list[Token]:
    """`after` behind `before`; no capital in the middle of a sentence, none lost at its start."""
    first = after[0]
    if before and not before[-1].ends_sentence and first.word.istitle() and first.key != "i":
        first = replace(first, word=first.word.lower())
    return [*before, first, *after[1:]]


def article_mended(tokens: list[Token], place: int) -> list[Token]:
    """`a` or `an` before `place`, as the word there demands."""
    if place == 0 or tokens[place - 1].key not in INDEFINITE or tokens[place - 1].after:
        return tokens
    article = "an" if tokens[place].key[0] in "aeiou" else "a"
    if tokens[place - 1].word[0].isupper():
        article = article.capitalize()
    return [*tokens[: place - 1], replace(tokens[place - 1], word=article), *tokens[place:]]
