"""Words of a text, the same way everywhere."""

import re
import unicodedata

WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")


def words(text: str) -> list[str]:
    """The words of `text` in order, as written; hyphens and apostrophes stay inside a word."""
    return WORD.findall(text)


def normalise(text: str) -> str:
    """`text` lower-cased, in Unicode NFKC, its words joined by single spaces: for comparing."""
    return " ".join(words(unicodedata.normalize("NFKC", text).lower()))


def squeeze(text: str) -> str:
    """`text` with every run of white space as one space and none at the ends."""
    return " ".join(text.split())
