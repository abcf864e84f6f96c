"""Texts that repeat an earlier one almost word for word."""

from collections.abc import Sequence
from dataclasses import dataclass

from datasketch import MinHash, MinHashLSH

from pixmo.text import normalise

GRAM_WORDS = 5
PERMUTATIONS = 128
# 32 bands of 4 rows find a pair of Jaccard similarity s with probability 1 - (1 - s^4)^32:
# 0.87 at 0.5, 0.9998 at 0.7. What they find too much is refused by the true similarity.
BANDS = (32, 4)
LEAST_JACCARD = 0.5
SEED = 1


@dataclass(frozen=True)
class NearText:
    """A text to drop, and the kept one that it repeats."""

    id: str
    kept_id: str
    jaccard: float  # shared word 5-grams over all word 5-grams of both


def near_texts(rows: Sequence[tuple[str, str]], min_jaccard: float) -> list[NearText]:
    """The rows (id, text) to drop so that hardly two of those left are alike; earlier rows stay.

    Every one reported is verified; one in 5,000 pairs at a similarity of 0.7 may be missed.
    """
    index = MinHashLSH(num_perm=PERMUTATIONS, params=BANDS)
    kept: dict[int, frozenset[str]] = {}
    found = []
    for number, (row_id, text) in enumerate(rows):
        grams = word_grams(text)
        signature = MinHash(num_perm=PERMUTATIONS, seed=SEED)
        signature.update_batch([gram.encode() for gram in sorted(grams)])
        matches = [(jaccard(grams, kept[other]), -other) for other in index.query(signature)]
        similarity, other = max(matches, default=(0.0, 0))
        if similarity >= min_jaccard:
            found.append(NearText(row_id, rows[-other][0], similarity))
        else:
            index.insert(number, signature)
            kept[number] = grams
    return found


def word_grams(text: str) -> frozenset[str]:
    """The runs of five words in a text; the whole of a shorter one."""
    words = normalise(text).split()
    starts = range(max(1, len(words) - GRAM_WORDS + 1))
    return frozenset(" ".join(words[i : i + GRAM_WORDS]) for i in starts)


def jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    """What two sets share, over what they hold together."""
    return len(first & second) / len(first | second)
