"""The deterministic cleaner: what somebody said, as they would have written it.

It takes away fillers, repetitions, false starts and what the speaker corrected, and mends spaces,
capitals and full stops. It adds no word (an article may change between a and an), and where it is
not sure it leaves the words as they are.
"""

from collections.abc import Sequence
from dataclasses import replace

from pixmo.speech.corrections import drop_corrected
from pixmo.speech.false_starts import drop_false_starts
from pixmo.speech.fillers import drop_fillers, drop_repetitions
from pixmo.speech.tokens import Token, join, sentences, tokenise

RULES = (drop_corrected, drop_fillers, drop_false_starts, drop_repetitions)
FIRST_PERSON = frozenset(("i", "i'm", "i've", "i'd", "i'll"))
TERMINAL = (".", "!", "?", "…")


def clean(text: str) -> str:
    """`text` as clean sentences; cleaning it again changes nothing."""
    return " ".join(clean_sentences(text))


def clean_sentences(text: str) -> list[str]:
    """`text` as clean sentences, one by one."""
    tokens = tokenise(text)
    while True:
        before = tokens
        for rule in RULES:
            tokens = rule(tokens)
        if tokens == before:
            break
    return [written(sentence) for sentence in sentences(tokens)]


def written(sentence: Sequence[Token]) -> str:
    """A sentence with its capital, its full stop and its spaces."""
    words = [
        replace(token, word=token.word.capitalize()) if token.key in FIRST_PERSON else token
        for token in sentence
    ]
    first, last = words[0], words[-1]
    capital = first.word.capitalize() if first.word.islower() else first.word
    words[0] = replace(first, before=first.before.lstrip(" ,;:.!?…-—–"), word=capital)
    if not any(sign in last.after for sign in TERMINAL):
        words[-1] = replace(words[-1], after=last.after.rstrip(" ,;:-—–") + ".")
    return join(words)
