"""Words of a text, the same way everywhere."""

import difflib
import functools
import re
import unicodedata
from collections.abc import Sequence

import regex

# Vowel signs of Devanagari and the like are marks: part of a word, which `re` does not know.
WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+(?:['’\-][\p{L}\p{M}\p{N}]+)*")


def words(text: str) -> list[str]:
    """The words of `text` in order, as written; hyphens and apostrophes stay inside a word."""
    found: list[str] = WORD.findall(text)
    return found


def normalise(text: str) -> str:
    """`text` lower-cased, in Unicode NFKC, its words joined by single spaces: for comparing.

    Of the two ways to write an apostrophe it has the straight one.
    """
    return " ".join(words(unicodedata.normalize("NFKC", text).lower().replace("’", "'")))


def counted(count: int, noun: str) -> str:
    """A count with its noun: 1 row, 2 rows."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def cell(text: str) -> str:
    """`text` as it fits into one cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def listed(words: Sequence[str]) -> str:
    """One or more words as a sentence lists them: a, b and c."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def squeeze(text: str) -> str:
    """`text` with every run of white space as one space and none at the ends."""
    return " ".join(text.split())


def as_text(name: str) -> str:
    """A file's name as a table can hold it: one that is no UTF-8 with its odd bytes spelled out."""
    return name.encode("utf-8", "backslashreplace").decode()


@functools.lru_cache
def misspelt(names: tuple[str, ...], known: tuple[str, ...]) -> str:
    """What to say of a name that is a slip for a known one which is not there; empty for none.

    A slip has the first letter and at most two letters too many or too few, so that imgae and
    Image are slips for image, and age and transcription are names of something else.
    """
    for right in known:
        if right in names:
            continue
        for name in names:
            written = re.sub(r"[\W_]+", "_", name.strip()).lower()
            blocks = difflib.SequenceMatcher(None, written, right).get_matching_blocks()
            wrong = len(written) + len(right) - 2 * sum(block.size for block in blocks)
            if name not in known and written[:1] == right[0] and wrong <= 2:
                return f"{name} is unknown; did you mean {right}?"
    return ""
