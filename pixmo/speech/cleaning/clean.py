"""The deterministic cleaner: what somebody said, as they would have written it.

It takes away fillers, repetitions, false starts and what the speaker corrected, joins spoken lists,
writes numbers in one form, and mends spaces, capitals and full stops. It names nothing that was not
said, and where it is not sure it leaves the words as they are. Its rules are of English; of another
language it mends spaces, capitals and full stops only.
"""

from collections.abc import Sequence
from dataclasses import replace

from pixmo.speech.cleaning.corrections import drop_corrected
from pixmo.speech.cleaning.false_starts import drop_false_starts
from pixmo.speech.cleaning.fillers import drop_broken_words, drop_fillers, mend_articles
from pixmo.speech.cleaning.lists import drop_enumerators, join_lists
from pixmo.speech.cleaning.numbers import write_numbers
from pixmo.speech.cleaning.repetitions import drop_repetitions
from pixmo.speech.cleaning.tokens import Token, join, sentences, tokenise

ENGLISH = "en"
RULES = (
    *(drop_broken_words, drop_corrected, drop_fillers, drop_false_starts, drop_repetitions),
    *(mend_articles, drop_enumerators, join_lists, write_numbers),
)
FIRST_PERSON = frozenset(("i", "i'm", "i've", "i'd", "i'll"))
TERMINAL = tuple(".!?…。！？।؟۔")


def clean(text: str, language: str = ENGLISH) -> str:
    """`text` as clean sentences; cleaning it again changes nothing."""
    return " ".join(clean_sentences(text, language))


def clean_sentences(text: str, language: str = ENGLISH) -> list[str]:
    """`text` as clean sentences, one by one."""
    tokens = tokenise(text)
    while language == ENGLISH:
        before = tokens
        for rule in RULES:
            tokens = rule(tokens)
        if tokens == before:
            tokens = [with_capital_i(token) for token in tokens]
            break
    return [written(sentence) for sentence in sentences(tokens)]


def with_capital_i(token: Token) -> Token:
    """The word, with a capital if it is the English "I"."""
    return replace(token, word=token.word.capitalize()) if token.key in FIRST_PERSON else token


def written(sentence: Sequence[Token]) -> str:
    """A sentence with its capital, its full stop and its spaces."""
    words = list(sentence)
    first = words[0]
    before = first.before.lstrip(" ,;:.!?…-—–")
    # What begins with an apostrophe was cut off there: Dutch "'s avonds".
    capital = first.word.islower() and not before.endswith(("'", "’"))
    word = first.word[0].title() + first.word[1:] if capital else first.word
    words[0] = replace(first, before=before, word=word)
    last = words[-1]
    # Scripts without capitals have full stops of their own, or none.
    has_case = last.word.lower() != last.word.upper() or last.word[-1].isdigit()
    if has_case and not any(sign in last.after for sign in TERMINAL):
        words[-1] = replace(last, after=last.after.rstrip(" ,;:-—–") + ".")
    return join(words)
