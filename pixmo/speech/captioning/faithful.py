"""What a caption says that no transcript supports, and what of the transcripts it does not hold.

Pure and fast, for any writer's caption. Words are compared by their stems; numbers, colours,
directions and negations must be said of the same thing as well, where it is plain of what they are
said: "a blue circle" is not supported by "a red circle and a blue star". Synonyms are not known: a
threshold must leave room for them.

These four are supported by the clean transcripts only: what a speaker took back is no longer said,
and a number with a filler in it is whole there. Any other word is supported by the transcripts as
they were heard, too, since the cleaner may take away too much. What was taken back may be missing.

A direction is said of all the things that its sentence names, not of one against another: "the
woman left of the man" is supported by "the man left of the woman".
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pixmo.speech.cleaning.clean import ENGLISH, clean_sentences
from pixmo.speech.cleaning.merge import refers_back
from pixmo.speech.cleaning.numbers import number_end, number_of, year_of
from pixmo.speech.cleaning.tokens import Token, join, keys, sentences, tokenise
from pixmo.speech.cleaning.word_classes import FUNCTION_WORDS, SIZES, each
from pixmo.speech.cleaning.word_forms import (
    COLOUR_STEMS,
    DIRECTIONS,
    NEGATION,
    NEGATIONS,
    NUMBERS,
    stem,
)
from pixmo.text import words

NUMBER, COLOUR, DIRECTION, DENIAL, PLAIN = "number", "colour", "direction", "denial", "plain"
# What any writer may add or leave out: hedges, and words about the picture and who looks at it.
IGNORED = FUNCTION_WORDS | each(
    "be been being do done doing having could should may might must shall us me my your our ours"
    " his her him its their them those here also too just very really quite rather some any each"
    " every all both other others another such so as if while when where what whose how up down"
    " off out over near close next beside besides along toward towards about around like well"
    " still only even then now i've let's don't maybe perhaps probably possibly likely apparently"
    " seem appear look think guess believe suppose kind sort bit lot thing something image picture"
    " photo photograph scene view shot see show visible display depict feature contain include"
    " first second third finally firstly secondly thirdly lastly overall described description"
    " find i you notice um uh er hmm okay oh ah yeah yes wait mean sorry actually during because"
    " since that's"
)
IGNORED_STEMS = frozenset(stem(word) for word in IGNORED)
# These support a word without being it: "a dog" supports "one dog".
IMPLIED = {"a": (NUMBER, "1"), "an": (NUMBER, "1"), "over": (DIRECTION, "above")}
# Everything can be in a corner: they tell nothing of what something is said of.
PARTS = each("corner corners side sides edge edges row rows half part parts area group groups")
LONGEST_PHRASE = 12  # words from a number or a colour to what it is of
RIGHT_AS_ADVERB = each("next now there here behind above below beside away")
BEFORE_A_SIDE = each("the far top bottom upper lower his her its their")
DIGITS = re.compile(r"\d[\d,]*(?:\.\d+)?")
CONTRACTED = re.compile(r"['’](?:m|re|ve|d|ll|s)$")
UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


@dataclass(frozen=True)
class Faithfulness:
    """How a caption and the transcripts of its image agree."""

    unsupported: tuple[str, ...]  # what the caption says and no transcript does, in order
    lost: tuple[str, ...]  # what the clean transcripts say and the caption does not, each once
    unsupported_share: float  # of the caption's content words; 0 for an empty caption
    lost_share: float  # of what the clean transcripts say, each once; 0 for empty ones


@dataclass(frozen=True)
class Said:
    """A content word, and what it is said of."""

    text: str  # as written, in small letters
    stem: str
    kind: str
    named: str = ""  # the first word of what it is plainly said of: "circle" of "two circles"
    things: frozenset[str] = frozenset()  # stems of that
    around: frozenset[str] = frozenset()  # where that is not plain, stems of what it may be said of
    implied: bool = False  # it supports, and asks for no support

    @property
    def shown(self) -> str:
        """The word for people: a number or a colour with what it is of."""
        return f"{self.text} {self.named}".rstrip()


def faithfulness(caption: str, transcripts: Sequence[str], language: str = ENGLISH) -> Faithfulness:
    """What `caption` adds to `transcripts`, and what it leaves out of them."""
    clean = [clean_sentences(transcript, language) for transcript in transcripts]
    reference = [word for text in clean for word in content(" ".join(text), language)]
    heard = [word for text in transcripts for word in content(text, language)]
    support = reference + [word for word in heard if word.kind == PLAIN]
    written = content(caption, language)
    asked = [word for word in written if not word.implied]
    unsupported = [word.shown for word in missing(asked, support)]
    said = {(word.kind, word.stem, word.things): word for word in reference if not word.implied}
    distinct = list(said.values())
    lost = [word.shown for word in missing(distinct, written)]
    return Faithfulness(
        tuple(unsupported),
        tuple(lost),
        len(unsupported) / len(asked) if asked else 0.0,
        len(lost) / len(distinct) if distinct else 0.0,
    )


def missing(asked: Sequence[Said], given: Sequence[Said]) -> Iterator[Said]:
    """Every word of `asked` that nothing of `given` says."""
    by_stem: dict[tuple[str, str], list[Said]] = {}
    for word in given:
        by_stem.setdefault((word.kind, word.stem), []).append(word)
    for word in asked:
        same = by_stem.get((word.kind, word.stem), [])
        if not any(supports(other, word) for other in same):
            yield word


def supports(given: Said, asked: Said) -> bool:
    """Whether two equal words may be said of the same thing."""
    of, may_be_of = given.things or given.around, asked.things or asked.around
    return asked.kind == PLAIN or not may_be_of or not of or not of.isdisjoint(may_be_of)


def content(text: str, language: str) -> list[Said]:
    """Every content word of the text, in order; in a language without rules every word."""
    if language != ENGLISH:
        return [Said(word, word, PLAIN) for word in plain_words(text)]
    said: list[Said] = []
    before: frozenset[str] = frozenset()  # what the sentence before named
    for sentence in sentences(tokenise(text)):
        marks = list(marked(sentence))
        named = frozenset(mark.stem for mark in marks if mark.is_thing)
        around = named | before if refers_back(join(sentence), language) else named
        said += [of_things(marks, at, around) for at, mark in enumerate(marks) if mark.kind]
        before = named or before
    # "One" by itself stands for a thing, and counts nothing.
    return [word for word in said if word.text != "one" or word.things]


def plain_words(text: str) -> list[str]:
    """The words for comparing; where a script puts no spaces between them, its signs one by one."""
    text = unicodedata.normalize("NFKC", text).lower()
    return words(UNSPACED.sub(r" \g<0> ", text))


@dataclass(frozen=True)
class Mark:
    """A word of a sentence with its kind; one without a kind only parts phrases."""

    text: str
    stem: str = ""
    kind: str = ""
    pauses: bool = False
    implied: bool = False

    @property
    def is_thing(self) -> bool:
        """Whether something can be said of it."""
        return self.kind == PLAIN and self.text not in SIZES | PARTS


def marked(sentence: Sequence[Token]) -> Iterator[Mark]:
    """The words of a sentence, each with its kind; a number of several words as one."""
    place = 0
    while place < len(sentence):
        end = max(number_end(sentence, place), place + 1)
        run = sentence[place:end]
        number = number_of(keys(run)) or year_of(keys(run))
        if number:
            yield Mark(" ".join(keys(run)), str(number), NUMBER, run[-1].pauses)
        else:
            for at in range(place, end):
                following = sentence[at + 1].key if at + 1 < len(sentence) else ""
                yield from marks_of(sentence[at], sentence[at - 1].key if at else "", following)
        place = end


def marks_of(token: Token, previous: str, following: str) -> Iterator[Mark]:
    """The marks of one token: "left-hand" is two words, "isn't" denies."""
    if DIGITS.fullmatch(token.word):
        yield Mark(token.word, token.word.replace(",", ""), NUMBER, token.pauses)
        return
    if token.key.endswith("n't"):
        yield Mark(token.key, NEGATION, DENIAL, token.pauses)
        return
    if token.key == "right" and following in RIGHT_AS_ADVERB and previous not in BEFORE_A_SIDE:
        return
    parts = [part for word in words(token.key) for part in word.split("-")]
    for number, part in enumerate(parts, 1):
        yield mark_of(CONTRACTED.sub("", part), token.pauses and number == len(parts))


def mark_of(word: str, pauses: bool) -> Mark:
    """The word with its kind."""
    if word in IMPLIED:
        kind, value = IMPLIED[word]
        return Mark(word, value, kind, pauses, implied=True)
    if word in NUMBERS:
        return Mark(word, str(NUMBERS[word]), NUMBER, pauses)
    if word in DIRECTIONS:
        return Mark(word, DIRECTIONS[word], DIRECTION, pauses)
    if word in NEGATIONS:
        return Mark(word, NEGATION, DENIAL, pauses)
    end = stem(word)
    if end in COLOUR_STEMS:
        return Mark(word, end, COLOUR, pauses)
    return Mark(word, end, "" if end in IGNORED_STEMS else PLAIN, pauses)


def of_things(marks: Sequence[Mark], at: int, around: frozenset[str]) -> Said:
    """The word at `at` with the things behind it that it is said of: "two red circles"."""
    mark = marks[at]
    things: list[Mark] = []
    if mark.kind in (NUMBER, COLOUR, DENIAL):
        for place in range(at + 1, min(len(marks), at + LONGEST_PHRASE)):
            parted = marks[place - 1].pauses or not marks[place].kind
            if marks[place].is_thing and not marks[place - 1].pauses:
                things.append(marks[place])
            elif things or (parted and not goes_on(marks, at, place)):
                break
    named = things[0].text if things else ""
    stems = frozenset(thing.stem for thing in things)
    return Said(mark.text, mark.stem, mark.kind, named, stems, around, mark.implied)


def goes_on(marks: Sequence[Mark], at: int, place: int) -> bool:
    """Whether a phrase goes on behind `place`: "red and blue circles", "not wearing a hat"."""
    if marks[at].kind == DENIAL:
        return not marks[place - 1].pauses
    following = marks[place : place + 2]
    is_joined = marks[place - 1].pauses or marks[place].text in ("and", "or")
    return is_joined and any(mark.kind == marks[at].kind and not mark.implied for mark in following)
