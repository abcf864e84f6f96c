"""Lists as people speak them: "there's a cup and there's a plate" is "there's a cup and a plate".

Joined only where every item is a bare thing with its number: in "there's a cup and there's a plate
on the chair" the cup would move to the chair.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pixmo.speech.cleaning.tokens import Token, keys, starts_sentence, without
from pixmo.speech.cleaning.word_classes import (
    DETERMINERS,
    FUNCTION_WORDS,
    STARTERS,
    VERBS,
    each,
    is_number,
)

ENUMERATORS = (
    (("first", "of", "all"), ("first",), ("firstly",)),
    (("second", "of", "all"), ("second",), ("secondly",)),
    (("third",), ("thirdly",), ("fourth",), ("finally",), ("lastly",)),
)
LINKS = (("and", "then"), ("and", "also"), ("and",), ("then",), ())
# One starter may take over from another of its group.
EXISTS = (("there's",), ("there", "is"), ("there", "are"))
SEES = (("i", "see"), ("i", "can", "see"), ("we", "see"), ("we", "can", "see"), ("we", "have"))
LONGEST_ITEM = 4
DETERMINERS_OF_ITEMS = DETERMINERS - each("this that these those no any")


def drop_enumerators(tokens: list[Token]) -> list[Token]:
    """Without "first" and "second" before "there is": they number the telling, not the image."""
    found = [
        (place, rank, length)
        for place in range(len(tokens))
        for rank, length in [enumerator(tokens, place)]
        if length
    ]
    ranks = [rank for _, rank, _ in found]
    if 0 not in ranks or 1 not in ranks[ranks.index(0) :]:
        return tokens
    for place, _, length in reversed(found):
        tokens = without(tokens, place, place + length)
    return tokens


def enumerator(tokens: list[Token], place: int) -> tuple[int, int]:
    """The rank and the length of an enumerator at `place`; length 0 for none."""
    opens = starts_sentence(tokens, place) or tokens[place - 1].pauses
    if not opens and tokens[place - 1].key != "and":
        return 0, 0
    for rank, terms in enumerate(ENUMERATORS):
        for term in terms:
            end = place + len(term)
            said = tokens[place:end]
            if keys(said) != term or said[-1].ends_sentence:
                continue
            # "Fourth, I forgot": with its comma, it can be nothing else.
            stands_alone = starts_sentence(tokens, place) and said[-1].after == ","
            if stands_alone or starter(tokens, end):
                return rank, len(term)
    return 0, 0


def starter(tokens: Sequence[Token], place: int) -> tuple[str, ...]:
    """The beginning of a statement at `place`: "there is"; empty for none."""
    following = keys(tokens[place : place + 3])
    return next((words for words in STARTERS if following[: len(words)] == words), ())


@dataclass(frozen=True)
class Item:
    """One statement of a list: "and there's a plate"."""

    starter: tuple[str, ...]
    begin: int  # where its thing begins
    end: int


def join_lists(tokens: list[Token]) -> list[Token]:
    """Statements that only name one thing each become one statement."""
    place = 0
    while place < len(tokens):
        items = list_from(tokens, place)
        if len(items) > 1:
            tokens = joined(tokens, items)
        place += 1
    return tokens


def list_from(tokens: list[Token], place: int) -> list[Item]:
    """The items of a list that fills a sentence from `place` on; none if anything else is said."""
    if not starts_sentence(tokens, place):
        return []
    items: list[Item] = []
    while True:
        item = item_at(tokens, place, items)
        if item is None:
            return []
        items.append(item)
        if item.end == len(tokens) or tokens[item.end - 1].ends_sentence:
            return items
        place = item.end


def item_at(tokens: list[Token], place: int, items: Sequence[Item]) -> Item | None:
    """The item at `place`, behind `items`; None where something else stands."""
    if items:
        following = keys(tokens[place : place + 2])
        link = next(words for words in LINKS if following[: len(words)] == words)
        if not link and not tokens[place - 1].pauses:
            return None
        place += len(link)
    words = starter(tokens, place)
    group = next((group for group in (EXISTS, SEES) if words in group), None)
    if group is None or (items and items[0].starter not in group):
        return None
    begin = place + len(words)
    end = begin
    while end < min(len(tokens), begin + LONGEST_ITEM) and not ends_item(tokens, begin, end):
        end += 1
    if any(token.pauses or token.is_protected for token in tokens[place : end - 1]):
        return None
    return Item(words, begin, end) if is_bare_thing(tokens[begin:end]) else None


def ends_item(tokens: list[Token], begin: int, end: int) -> bool:
    """Whether the item that begins at `begin` has ended before `end`."""
    return end > begin and (tokens[end - 1].pauses or tokens[end].key in ("and", "then"))


def is_bare_thing(tokens: Sequence[Token]) -> bool:
    """Whether the tokens are a number or an article and a thing: "a cup", "two small plates"."""
    if len(tokens) < 2 or tokens[0].key not in DETERMINERS_OF_ITEMS:
        return False
    rest, last = keys(tokens[1:]), tokens[-1].key
    if any(word in FUNCTION_WORDS or word in VERBS for word in rest):
        return False
    # "a man running": who runs would be unclear in a list.
    return not (len(rest) > 1 and last.endswith(("ing", "ed"))) and not is_number(last)


def joined(tokens: list[Token], items: Sequence[Item]) -> list[Token]:
    """The items behind the first one's starter, with commas and a last "and"."""
    things = [tokens[item.begin : item.end] for item in items]
    marks = [","] * (len(things) - 2) + ["", things[-1][-1].after]
    named = []
    for thing, mark in zip(things, marks, strict=True):
        named += [*thing[:-1], replace(thing[-1], after=mark)]
    last = len(named) - len(things[-1])
    named.insert(last, Token("", "and", ""))
    return [*tokens[: items[0].begin], *named, *tokens[items[-1].end :]]
