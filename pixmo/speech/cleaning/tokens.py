"""A transcript as words with their punctuation, and back."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pixmo.speech.cleaning.word_classes import READING

EDGES = re.compile(r"(\W*)(.*?)(\W*)", re.DOTALL)
MISSING_SPACE = re.compile(r"(?<=[a-z][a-z][.!?])(?=[A-Z])|(?<=[a-z],)(?=[A-Za-z])")
MISPLACED_SPACE = re.compile(r"(?<=\w)\s+([,;])(?=[^\W\d])")
QUOTES = frozenset("\"'“”‘’«»()[]*")
PAUSES = frozenset(",;:—–")
ENDS = re.compile(r"(?<!\.)\.(?!\.)|[!?]")
ABBREVIATIONS = frozenset(("mr", "mrs", "ms", "dr", "st", "vs"))


@dataclass(frozen=True)
class Token:
    """A word with what stands before and behind it without a space."""

    before: str
    word: str
    after: str

    @cached_property
    def key(self) -> str:
        """The word for comparing."""
        return self.word.lower().replace("’", "'")

    @cached_property
    def ends_sentence(self) -> bool:
        """Whether a sentence ends behind it; an ellipsis is a pause, an abbreviation neither."""
        abbreviated = self.key in ABBREVIATIONS or re.search(r"[a-z]\.[a-z]", self.key)
        return bool(ENDS.search(self.after)) and not abbreviated

    @cached_property
    def pauses(self) -> bool:
        """Whether there is a comma or more behind it."""
        long_pause = ".." in self.after or "…" in self.after or self.ends_sentence
        return long_pause or not PAUSES.isdisjoint(self.after)

    @cached_property
    def is_protected(self) -> bool:
        """Whether it is quoted, bracketed or in capitals: what an image says is never touched."""
        in_capitals = len(self.word) > 1 and self.word.isupper()
        return in_capitals or not QUOTES.isdisjoint(self.before + self.after)


def tokenise(text: str) -> list[Token]:
    """The words of `text`; signs that stand alone belong to the word before them."""
    tokens: list[Token] = []
    waiting = ""
    for chunk in MISSING_SPACE.sub(" ", MISPLACED_SPACE.sub(r"\1 ", text)).split():
        match = EDGES.fullmatch(chunk)
        before, word, after = match.groups() if match else ("", chunk, "")
        if word:
            tokens.append(Token(waiting + before, word, after))
            waiting = ""
        elif tokens:
            space = "" if before[0] in ".,;:!?…" else " "
            tokens[-1] = replace(tokens[-1], after=tokens[-1].after + space + before)
        else:
            waiting += before + " "
    return tokens


def join(tokens: Sequence[Token]) -> str:
    """The text that `tokens` are of."""
    return " ".join(token.before + token.word + token.after for token in tokens)


def keys(tokens: Sequence[Token]) -> tuple[str, ...]:
    """The words for comparing."""
    return tuple(token.key for token in tokens)


def sentences(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """The tokens, sentence by sentence."""
    start = 0
    for end, token in enumerate(tokens, 1):
        if token.ends_sentence or end == len(tokens):
            yield list(tokens[start:end])
            start = end


def sentence(tokens: Sequence[Token]) -> list[Token]:
    """The words up to the end of the first sentence."""
    return next(sentences(tokens), [])


def clause(tokens: Sequence[Token], start: int) -> list[Token]:
    """The words from `start` up to the next pause."""
    for end in range(start, len(tokens)):
        if tokens[end].pauses:
            return list(tokens[start : end + 1])
    return list(tokens[start:])


def starts_sentence(tokens: Sequence[Token], place: int) -> bool:
    """Whether a sentence begins at `place`."""
    return place == 0 or tokens[place - 1].ends_sentence


def is_read_out(tokens: Sequence[Token], place: int, within: int) -> bool:
    """Whether the word stands `within` so many words behind "says", "called" or the like."""
    for before in range(place - 1, max(-1, place - 1 - within), -1):
        if tokens[before].pauses:
            return False
        if tokens[before].key in READING:
            return True
    return False


def without(tokens: Sequence[Token], start: int, end: int) -> list[Token]:
    """The tokens less those from `start` to before `end`.

    The end of a sentence that they held passes to the word before them.
    """
    kept = list(tokens[:start])
    last = tokens[end - 1]
    if last.ends_sentence and kept and not kept[-1].ends_sentence:
        after = kept[-1].after.rstrip(",;:—– ") + last.after
        kept[-1] = replace(kept[-1], after=after)
    return [*kept, *tokens[end:]]
