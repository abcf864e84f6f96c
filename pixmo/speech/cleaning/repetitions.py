"""What is said twice in a row without meaning: "the the circle", "there is, there is a dog".

Like every rule on tokens: it takes words away, adds none, and leaves alone what it is unsure of.
"""

from collections.abc import Sequence

from pixmo.speech.cleaning.tokens import Token, is_read_out, keys, starts_sentence, without
from pixmo.speech.cleaning.word_classes import (
    ARTICLES,
    BE,
    COLOURS,
    CONJUNCTIONS,
    DANGLING,
    DETERMINERS,
    FUNCTION_WORDS,
    PEOPLE,
    POSSESSIVES,
    PREPOSITIONS,
    READING,
    SHAPES,
    SIZES,
    VERBS,
    each,
    expanded,
    is_number,
    singular,
)

LONGEST_REPEATED_PHRASE = 5
JOINING = each("and or")
LINKS = each("then when where while if because as also just maybe about like him them")
SAID_TWICE_ON_PURPOSE = each(
    "very really so many much more far had that no bye pom yo cha choo tuk knock beep go ha la"
)


def drop_repetitions(tokens: list[Token]) -> list[Token]:
    """Without words and short phrases that are said twice in a row."""
    place = 0
    while place < len(tokens):
        restated = restated_length(tokens, place)
        if restated:
            tokens = without(tokens, place, place + restated)
            continue
        for length in range(LONGEST_REPEATED_PHRASE, 0, -1):
            if is_repeated(tokens, place, length):
                tokens = without(tokens, place, place + length)
                break
        else:
            place += 1
    return tokens


def restated_length(tokens: list[Token], place: int) -> int:
    """How many words from `place` on follow again in the other form: "they are they're"."""
    if not any("'" in token.key for token in tokens[place : place + 3]):
        return 0
    for length, again in ((2, 1), (1, 2)):
        middle, end = place + length, place + length + again
        said = tokens[place:end]
        if len(said) < 3 or any(token.is_protected for token in said) or said[0].pauses:
            continue
        first, second = expanded(keys(tokens[place:middle])), expanded(keys(tokens[middle:end]))
        if first == second and not tokens[middle - 1].ends_sentence:
            return length
    return 0


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
    reaches = 3 if length == 1 else 1
    if is_read_out(tokens, place, reaches) and not all_function(first):
        return False
    if is_name(first, second):
        return False
    if length == 1:
        return is_word_repeated(tokens, place)
    if keys(first) != keys(second) or not any(token.key in FUNCTION_WORDS for token in first):
        return False
    if any(token.key in JOINING for token in first):
        # "A man and a man and a woman" are three people; "on and on and on" says how far.
        begins_again = first[0].key in JOINING and first[-1].key in DANGLING - PREPOSITIONS
        return begins_again and all_function(first)
    if not first[-1].pauses or all_function(first) or cannot_end(first[-1]):
        return True
    return is_topic(tokens, place, length)


def is_word_repeated(tokens: list[Token], place: int) -> bool:
    """Whether a single word is repeated without meaning."""
    one, other = tokens[place], tokens[place + 1]
    if one.key != other.key:  # "a an orange star": the second article is the one that was meant
        begins_again = tuple(expanded([other.key])[:1]) == (one.key,)
        return begins_again or (other.word != "A" and not one.pauses)
    if one.key not in FUNCTION_WORDS and (one.pauses or may_describe(tokens, place)):
        return False
    # "The light is on, on the ceiling."
    if one.pauses and one.key in PREPOSITIONS and place and tokens[place - 1].key in BE:
        return False
    # "There are can can dancers": what can be done stands behind neither.
    if one.key == "can" and place and tokens[place - 1].key in BE | ARTICLES:
        return False
    # "What it is is a spoon."
    on_purpose = one.key == "is" and "what" in keys(tokens[max(0, place - 4) : place])
    return not on_purpose and one.key not in SAID_TWICE_ON_PURPOSE and not is_number(one.key)


def may_describe(tokens: list[Token], place: int) -> bool:
    """Whether a word said twice may stress what it says of a thing: "a long long driveway"."""
    word = tokens[place].key
    if word in COLOURS | SIZES:
        return True
    if is_closed(word) or word in READING or is_noun(word):
        return False
    if place and tokens[place - 1].key in BE and not word.endswith("ing"):
        return True
    again, after = tokens[place + 1], tokens[place + 2 : place + 3]
    return bool(after) and not again.pauses and not is_closed(after[0].key)


def is_closed(word: str) -> bool:
    """Whether the word is of a class of which all words are known, or a contraction."""
    return word in FUNCTION_WORDS | DETERMINERS | POSSESSIVES | VERBS | LINKS or "'" in word


def is_noun(word: str) -> bool:
    """Whether the word is known to name a thing."""
    return singular(word) in SHAPES | PEOPLE


def alike(tokens: list[Token], one: int, other: int) -> bool:
    """Whether there are two such words: equal, both articles, or "they" before "they're"."""
    if other >= len(tokens):
        return False
    first, second = tokens[one].key, tokens[other].key
    if first == second or (first in ARTICLES and second in ARTICLES):
        return True
    return other == one + 1 and expanded([second])[0] == first and not tokens[one].ends_sentence


def is_name(first: Sequence[Token], second: Sequence[Token]) -> bool:
    """Whether a capital in the middle of a sentence says that both belong together: "The The"."""
    again = second[0]
    return again.word[0].isupper() and again.word != "I" and not first[-1].after


def cannot_end(token: Token) -> bool:
    """Whether something must follow the word."""
    return token.key in DANGLING or token.key == "like"


def all_function(tokens: Sequence[Token]) -> bool:
    """Whether no word says something by itself."""
    return all(token.key in FUNCTION_WORDS for token in tokens)


def is_topic(tokens: list[Token], place: int, length: int) -> bool:
    """Whether a sentence begins with one thing said twice: "The roof, the roof is red"."""
    after = tokens[place + 2 * length : place + 2 * length + 1]
    return (
        starts_sentence(tokens, place)
        and tokens[place].key in POSSESSIVES | {"the"}
        and not tokens[place + 2 * length - 1].pauses
        and bool(after)
        and after[0].key not in CONJUNCTIONS
    )
