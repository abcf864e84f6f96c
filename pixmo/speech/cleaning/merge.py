"""Several transcripts of one image become one text that says nothing twice.

Whoever describes an image says the same twice only in two transcripts: within one, "It is red."
may be of two things. A sentence that refers back ("It is red.") is the same as another only if
what it refers to is, and it stays behind the sentence that it was said behind. Sentences that tell
things apart ("One is black. The other is white.") stay together: parted, they are of more things.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
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
TELLS_APART = each("one ones other others another both neither first second")
WORDS_THAT_REFER = 4  # how far into a sentence
SHORTEST_REPEATED = 3  # words; "Stop. Stop." may be what a sign says
Key = tuple[str, ...]  # what a sentence says, behind what the sentences say that it refers to


@dataclass(eq=False)
class Block:
    """Sentences that stand together, and what they say."""

    sentences: list[str]
    statements: list[str]
    is_whole: bool = False  # it tells things apart: no sentence of another transcript comes in

    def says_no_more_than(self, other: "Block") -> bool:
        """Whether all that the block says stands in the other, in whichever order."""
        return not Counter(self.statements) - Counter(other.statements)


@dataclass(frozen=True)
class Place:
    """Where a sentence stands: in which block, and how far into it."""

    block: Block
    number: int

    def can_take(self, sentence: str) -> bool:
        """Whether the sentence, at the block's end, refers to the same as right behind this one.

        "There is a dog. It is big." can take "It is brown.": the same word opens all in between.
        """
        if self.block.is_whole:
            return False
        opening = words(sentence.lower())[:1]
        between = self.block.sentences[self.number + 1 :]
        return all(words(said.lower())[:1] == opening for said in between)


def merge(transcripts: Sequence[Sequence[str]], language: str = ENGLISH) -> str:
    """The sentences of all transcripts in order, each statement where it comes first."""
    merged = Merged([], {})
    for transcript in transcripts:
        said, earlier = frozenset(merged.places), list(merged.blocks)
        for thread in threads(without_echoes(transcript), language):
            statements = [statement(sentence, language) for sentence in thread]
            if language == ENGLISH and any(map(tells_apart, thread[1:])):
                merged.add_whole(Block(thread, statements, is_whole=True), said, earlier)
            else:
                merged.add_each(thread, statements, said)
    return " ".join(sentence for block in merged.blocks for sentence in block.sentences)


@dataclass(frozen=True)
class Merged:
    """What is merged up to now."""

    blocks: list[Block]
    places: dict[Key, Place]

    def add_each(self, thread: list[str], statements: list[str], said: frozenset[Key]) -> None:
        """Every sentence of the thread that is not in `said` stands behind what it refers to."""
        for number, sentence in enumerate(thread):
            key = tuple(statements[: number + 1])
            if key in said:
                continue
            if number and self.places[key[:-1]].can_take(sentence):
                block = self.places[key[:-1]].block
                block.sentences.append(sentence)
                block.statements.append(key[-1])
            else:
                # Too much stands behind what it refers to: that is said again.
                block = Block(thread[: number + 1], statements[: number + 1])
                self.blocks.append(block)
            self.places[key] = Place(block, len(block.sentences) - 1)

    def add_whole(self, block: Block, said: frozenset[Key], earlier: list[Block]) -> None:
        """The block stands by itself, or in place of one of the `earlier` ones that says no more.

        The one replaced is no longer in `earlier`: what is there now is of this transcript.
        """
        if any(block.says_no_more_than(other) for other in earlier):
            return
        shorter = next((other for other in earlier if other.says_no_more_than(block)), None)
        if shorter is None:
            self.blocks.append(block)
        else:
            # In place: what is known of where its sentences stand must not lead nowhere.
            shorter.sentences, shorter.statements = block.sentences, block.statements
            shorter.is_whole = True
            earlier.remove(shorter)
            block = shorter
        for number in range(len(block.statements)):
            key = tuple(block.statements[: number + 1])
            if key not in said:
                self.places[key] = Place(block, number)


def threads(sentences: Sequence[str], language: str) -> Iterator[list[str]]:
    """The sentences, each together with those behind it that may refer to it."""
    thread: list[str] = []
    for sentence in sentences:
        tells = language == ENGLISH and tells_apart(sentence)
        if thread and not (tells or refers_back(sentence, language)):
            yield thread
            thread = []
        thread.append(sentence)
    if thread:
        yield thread


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


def tells_apart(sentence: str) -> bool:
    """Whether the sentence is of one of several things named before it: "The other is white"."""
    said = (word for word in normalise(sentence).split() if word not in EMPTY_WORDS)
    return next(said, "") in TELLS_APART


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
