"""Several transcripts of one image become one text that says nothing twice.

Whoever describes an image says the same twice only in two transcripts: within one, "It is red."
may be of two things. A sentence that refers back ("It is red.") is the same as another only if
what it refers to is, and it stays behind the sentence that it was said behind.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pixmo.speech.cleaning.clean import ENGLISH
from pixmo.speech.cleaning.numbers import UNITS
from pixmo.speech.cleaning.word_classes import ARTICLES, each
from pixmo.text import normalise, words

# Openings and links that say nothing of an image. Prepositions and "no" do, and so does the order.
EMPTY_WORDS = ARTICLES | each(
    "i we you can see is are am it it's there there's this that's picture image photo shows show"
    " has have also then and"
)
REFERS_BACK = each(
    "he he's him his she she's her hers it it's its they they're them their theirs these those"
    " this that that's both neither others another here one ones"
)
WORDS_THAT_REFER = 4  # how far into a sentence
SHORTEST_REPEATED = 3  # words; "Stop. Stop." may be what a sign says
Key = tuple[str, ...]  # what a sentence says, behind what the sentences say that it refers to


@dataclass(frozen=True)
class Place:
    """Where a sentence stands: in which block, and how far into it."""

    block: list[str]
    number: int

    def can_take(self, sentence: str) -> bool:
        """Whether the sentence, at the block's end, refers to the same as right behind this one.

        "There is a dog. It is big." can take "It is brown.": the same word opens all in between.
        """
        opening = words(sentence.lower())[:1]
        return all(words(said.lower())[:1] == opening for said in self.block[self.number + 1 :])


def merge(transcripts: Sequence[Sequence[str]], language: str = ENGLISH) -> str:
    """The sentences of all transcripts in order, each statement where it comes first."""
    blocks: list[list[str]] = []
    places: dict[Key, Place] = {}
    for transcript in transcripts:
        said = frozenset(places)
        thread: list[str] = []  # the sentences that the next one may refer to
        key: Key = ()
        for sentence in without_echoes(transcript):
            what = statement(sentence, language)
            follows = bool(thread) and refers_back(sentence, language)
            before, key = key, (*key, what) if follows else (what,)
            thread = [*thread, sentence] if follows else [sentence]
            if key in said:
                continue
            if follows and places[before].can_take(sentence):
                block = places[before].block
                block.append(sentence)
            else:
                # Too much stands behind what it refers to: that is said again.
                block = list(thread)
                blocks.append(block)
            places[key] = Place(block, len(block) - 1)
    return " ".join(sentence for block in blocks for sentence in block)


def without_echoes(transcript: Sequence[str]) -> list[str]:
    """The sentences without those that are said again at once, word for word."""
    kept: list[str] = []
    for sentence in transcript:
        echo = bool(kept) and normalise(kept[-1]) == normalise(sentence)
        if not echo or len(words(sentence)) < SHORTEST_REPEATED or asks(kept[-1]) != asks(sentence):
            kept.append(sentence)
    return kept


def refers_back(sentence: str, language: str) -> bool:
    """Whether the sentence may say something of what was named before it.

    Of a language without rules any may: there only what whole transcripts begin with is the same.
    """
    if language != ENGLISH:
        return True
    opening = normalise(sentence).split()[:WORDS_THAT_REFER]
    return not REFERS_BACK.isdisjoint(opening)


def statement(sentence: str, language: str = ENGLISH) -> str:
    """What a sentence says of the image, for comparing.

    "I can see a red circle" and "There is a red circle" say the same; "two red circles" does not,
    nor does a question, nor anything in another order: left of is not right of.
    """
    said = normalise(sentence).split()
    if language == ENGLISH:
        said = [str(UNITS.get(word, word)) for word in said if word not in EMPTY_WORDS] or said
    # A text without letters or digits says what it shows.
    return " ".join(said or [sentence]) + ("?" if asks(sentence) else "")


def asks(sentence: str) -> bool:
    """Whether the sentence is a question."""
    return sentence.rstrip("\"'”’)»").endswith(("?", "？", "؟"))
