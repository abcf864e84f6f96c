"""Texts that repeat an earlier one almost word for word, at any number of rows.

Candidates come from MinHash signatures (Broder 1997; slots filled as in Fast Similarity Sketching,
arXiv 1704.04370) of which a byte a slot is kept (b-bit minwise hashing, arXiv 0910.3349), cut into
bands (locality-sensitive hashing). Every candidate reported is verified on all of its runs.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pixmo.text import normalise

if TYPE_CHECKING:
    import duckdb

GRAM_WORDS = 5
LEAST_JACCARD = 0.6  # below, chance alone would draw all texts of a large set into one clump
SLOTS = 128  # of a signature
MOST_SLOTS = 8  # of a band: its key is one number of eight bytes
LEAST_RECALL = 0.985  # of pairs exactly as similar as asked; more similar ones are missed less
# What bounds the work where thousands of kept rows are half alike; others never come near it.
MOST_KEPT = 64  # rows to a key of a band
MOST_VERIFIED = 16  # candidates of a row
SEED = 1
BATCH = 8192  # rows
LAST = 2**63 - 1  # the place of a row without an ordinal
FOUND = pa.schema([("id", pa.string()), ("kept_id", pa.string()), ("jaccard", pa.float64())])

Bytes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

# What `normalise` makes of each ASCII character by itself; bytes of other characters stay.
SPACE = ord(" ")
ALONE = np.array([ord(normalise(chr(b)) or " ") if b < 128 else b for b in range(256)], np.uint8)
JOINTS = np.isin(np.arange(256), list(b"'-"))  # stay between two letters or digits
FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, of irregular bits: 2^64 over the golden ratio
HALF = np.uint64(32)  # bits


@dataclass(frozen=True)
class Grams:
    """The runs of words of some texts: those of text i are hashes[starts[i] : starts[i + 1]]."""

    hashes: Hashes
    starts: Places

    def of(self, text: int) -> Hashes:
        """One text's runs, each once, in order of their hashes."""
        return np.unique(self.hashes[self.starts[text] : self.starts[text + 1]])


@dataclass(frozen=True)
class Texts:
    """The rows with a text, in the order in which they may stay; a row's number is its place."""

    ids: pa.Array
    groups: Hashes  # rows of different groups are never compared
    signatures: Bytes  # rows × slots


def near_texts(
    connection: "duckdb.DuckDBPyConnection",
    relation: str,
    column: str,
    min_jaccard: float,
    gram_words: int = GRAM_WORDS,
    within: str | None = None,
) -> pa.Table:
    """The rows (id, kept_id, jaccard) to drop so that hardly two of those left are alike.

    Rows of `relation` are visited by `ordinal` (nulls last), then id. Each is kept unless it
    resembles a kept one: of all runs of `gram_words` words of both (the whole of a shorter text),
    at least the share `min_jaccard` is in both. `kept_id` is the most similar, the first of equals.
    With `within`, only rows that share its value are compared; null is no text and no value.

    Every row reported is verified, run by run as 64-bit hashes. `expected_recall` says how many
    pairs are found; the same ones on every machine. What is held in memory is 128 bytes and the id
    of every row, and the runs of the kept rows of one clump of texts with a band in common.
    """
    texts = read(connection, relation, column, gram_words, within)
    band_slots = slots_per_band(min_jaccard)
    clumps = find_clumps(texts, band_slots)
    members = in_clumps(clumps)
    found = Found(texts, min_jaccard, band_slots)
    for places, grams in read_again(connection, relation, column, gram_words, texts.ids, members):
        keys = np.stack(list(band_keys(texts, band_slots, places)), axis=1).tolist()
        for number, place in enumerate(places.tolist()):
            found.judge(place, int(clumps[place]), keys[number], grams.of(number))
    return found.table()


def slots_per_band(min_jaccard: float) -> int:
    """The most slots to a band, so the fewest candidates, of which the recall is still enough."""
    return max(
        slots
        for slots in range(1, MOST_SLOTS + 1)
        if slots == 1 or expected_recall(min_jaccard, slots) >= LEAST_RECALL
    )


def expected_recall(jaccard: float, band_slots: int) -> float:
    """The share of pairs of this similarity with a band in common: 1 - (1 - s^slots)^bands."""
    return float(1 - (1 - jaccard**band_slots) ** (SLOTS // band_slots))


def read(
    connection: "duckdb.DuckDBPyConnection",
    relation: str,
    column: str,
    gram_words: int,
    within: str | None,
) -> Texts:
    """The signatures of all rows, read once, a batch at a time."""
    group = f"hash({quoted(within)})" if within else "0"
    rows = connection.sql(
        f"select id, coalesce(ordinal, {LAST})::bigint as ordinal, {group}::ubigint as within,"
        f" {quoted(column)}::varchar as text from {relation} where {quoted(column)} is not null"
        + (f" and {quoted(within)} is not null" if within else "")
    )
    names = ["id", "ordinal", "within"]
    reader = rows.to_arrow_reader(BATCH)
    heads = [reader.schema.empty_table().select(names)]
    signatures: list[Bytes] = [np.empty((0, SLOTS), np.uint8)]
    for batch in reader:
        head = pa.Table.from_batches([batch]).select(names)
        # A copy: a column as DuckDB hands it over keeps its whole batch, with all its texts.
        heads.append(head.take(pa.array(np.arange(len(head)))))
        signatures.append(signatures_of(grams_of(batch.column("text"), gram_words)))
    head = pa.concat_tables(heads)
    order = pc.sort_indices(head, [("ordinal", "ascending"), ("id", "ascending")])
    head = head.take(order).combine_chunks()
    return Texts(
        head["id"].cast(pa.string()).combine_chunks(),
        head["within"].to_numpy(),
        np.concatenate(signatures)[order.to_numpy()],
    )


def read_again(
    connection: "duckdb.DuckDBPyConnection",
    relation: str,
    column: str,
    gram_words: int,
    ids: pa.Array,
    members: Places,
) -> Iterator[tuple[Places, Grams]]:
    """The places of `members` and their texts' grams, in the order of `members`, in batches."""
    turns = pa.table({"id": ids.take(pa.array(members)), "turn": np.arange(len(members))})
    connection.register("near_text_turns", turns)
    try:
        rows = connection.sql(
            f"select turn, {quoted(column)}::varchar as text"
            f" from {relation} join near_text_turns using (id) order by turn"
        )
        for batch in rows.to_arrow_reader(BATCH):
            grams = grams_of(batch.column("text"), gram_words)
            yield members[batch.column("turn").to_numpy()], grams
    finally:
        connection.unregister("near_text_turns")


def quoted(name: str) -> str:
    """A column's name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def grams_of(texts: pa.Array, gram_words: int) -> Grams:
    """The runs of `gram_words` words of every text; the whole of a shorter one."""
    # Without spaces at its ends a text splits into its words; an empty one into one empty word.
    words = pc.ascii_split_whitespace(pc.ascii_trim_whitespace(normalised(texts)))
    encoded = words.flatten().dictionary_encode()
    hashes = np.array([word_hash(word) for word in encoded.dictionary.to_pylist()], np.uint64)
    return rolled(hashes[encoded.indices.to_numpy()], words.offsets.to_numpy(), gram_words)


def word_hash(word: str) -> int:
    """64 bits of BLAKE2b, the same on every machine."""
    return int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")


def rolled(words: Hashes, starts: Places, gram_words: int) -> Grams:
    """A hash of every run of words that stays inside its text; texts start at `starts`.

    A text with fewer words is filled up with zeros, so that it is one run.
    """
    counts = np.diff(starts)
    filled = np.append(0, np.cumsum(np.maximum(counts, gram_words)))
    padded = np.zeros(filled[-1], np.uint64)
    padded[np.arange(len(words)) + np.repeat(filled[:-1] - starts[:-1], counts)] = words
    runs = len(padded) - gram_words + 1
    hashes: Hashes = np.zeros(runs, np.uint64)
    for offset in range(gram_words):
        hashes = hashes * FACTOR + padded[offset : offset + runs]
    inside = np.ones(runs, bool)
    inside[(filled[1:-1, None] - np.arange(1, gram_words)).ravel()] = False
    hashes = (hashes[inside] ^ (hashes[inside] >> HALF)) * FACTOR
    return Grams(hashes ^ (hashes >> HALF), filled - (gram_words - 1) * np.arange(len(filled)))


def normalised(texts: pa.Array) -> pa.Array:
    """Every text as `normalise` writes it, but with as many spaces as other marks stood there.

    ASCII texts are done all at once on their bytes, ten times as fast; `normalise` does the others,
    and the bytes of what it returned change no more.
    """
    others = pc.invert(pc.string_is_ascii(texts))
    done = [normalise(text) for text in texts.filter(others).to_pylist()]
    texts = pc.replace_with_mask(texts, others, pa.array(done, pa.string()))
    _, offsets, data = texts.buffers()
    starts = np.frombuffer(offsets, np.int32)[texts.offset :][: len(texts) + 1]
    raw = np.frombuffer(data or b"", np.uint8)[starts[0] : starts[-1]]
    starts = starts - starts[0]
    marked = ALONE[raw]
    joints = np.flatnonzero(JOINTS[raw])
    joints = joints[~np.isin(joints, np.concatenate([starts[:-1], starts[1:] - 1]))]
    inside = joints[(marked[joints - 1] != SPACE) & (marked[joints + 1] != SPACE)]
    marked[inside] = raw[inside]
    buffers = [None, pa.py_buffer(starts), pa.py_buffer(marked)]
    return pa.Array.from_buffers(pa.string(), len(texts), buffers)


def signatures_of(grams: Grams) -> Bytes:
    """A byte of every slot of every text's signature: texts × slots."""
    from rensa import RMinHash

    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        grams.hashes, grams.starts.astype(np.uint64), SLOTS, SEED
    )
    slots = np.array(matrix.to_rows(), np.uint32).reshape(-1, SLOTS)
    return ((slots * np.uint32(FACTOR >> HALF)) >> np.uint32(24)).astype(np.uint8)


def band_keys(texts: Texts, band_slots: int, places: Places | slice) -> Iterator[Hashes]:
    """For every band the keys of some rows: equal where the group and all slots of a band are."""
    signatures, groups = texts.signatures[places], texts.groups[places] * FACTOR
    for start in range(0, SLOTS - band_slots + 1, band_slots):
        key = np.zeros((len(signatures), MOST_SLOTS), np.uint8)
        key[:, :band_slots] = signatures[:, start : start + band_slots]
        yield key.view("<u8").ravel() ^ groups


def find_clumps(texts: Texts, band_slots: int) -> Places:
    """For every row the first place of its clump: of the rows that chains of shared bands join.

    A row is only ever compared inside its clump, so that one clump at a time is in memory.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = len(texts.ids)
    clumps: Places = np.arange(rows)
    for keys in band_keys(texts, band_slots, slice(None)):
        order = np.argsort(keys, kind="stable")
        same = np.flatnonzero(keys[order[1:]] == keys[order[:-1]])
        edges = clumps[order[same]], clumps[order[same + 1]]
        graph = coo_array((np.ones(len(same), bool), edges), (rows, rows))
        clumps = connected_components(graph, directed=False)[1][clumps]
    _, first, number = np.unique(clumps, return_index=True, return_inverse=True)
    places: Places = first[number]
    return places


def in_clumps(clumps: Places) -> Places:
    """The places of the rows that are not alone, clump by clump, in each by place."""
    members = np.flatnonzero(np.bincount(clumps, minlength=len(clumps))[clumps] > 1)
    return members[np.argsort(clumps[members], kind="stable")]


@dataclass
class Found:
    """Judges row after row of a clump and holds what it found."""

    texts: Texts
    min_jaccard: float
    band_slots: int
    rows: list[tuple[int, int, float]] = field(default_factory=list)
    clump: int = -1
    # Of the kept rows of this clump: their grams, and for every band the rows of each key.
    kept: dict[int, Hashes] = field(default_factory=dict)
    bands: list[dict[int, list[int]]] = field(default_factory=list)

    def judge(self, place: int, clump: int, keys: list[int], grams: Hashes) -> None:
        """The row is found if it resembles a kept row of its clump, else it is kept."""
        if clump != self.clump:
            self.clump, self.kept = clump, {}
            self.bands = [{} for _ in keys]
        met = set().union(*(b.get(key, ()) for b, key in zip(self.bands, keys, strict=True)))
        best, similarity = -1, 0.0
        for other in self.likely(place, met):
            score = jaccard(grams, self.kept[other])
            if score > similarity:
                best, similarity = other, score
        if best >= 0 and similarity >= self.min_jaccard:
            self.rows.append((place, best, similarity))
            return
        self.kept[place] = grams
        for band, key in zip(self.bands, keys, strict=True):
            rows = band.setdefault(key, [])
            if len(rows) < MOST_KEPT:
                rows.append(place)

    def likely(self, place: int, met: set[int]) -> list[int]:
        """Those of the same group whose signatures are most like the row's, if like enough.

        The share of equal slots is the similarity give or take its standard deviation; four of
        these lose a pair in 30,000.
        """
        if not met:
            return []
        others = np.array(sorted(met))
        signatures, groups = self.texts.signatures, self.texts.groups
        equal = (signatures[others] == signatures[place]).sum(axis=1)
        deviation = math.sqrt(self.min_jaccard * (1 - self.min_jaccard) / SLOTS)
        near = equal >= SLOTS * (self.min_jaccard - 4 * deviation)
        near &= groups[others] == groups[place]
        best = np.argsort(-equal[near], kind="stable")[:MOST_VERIFIED]
        likely: list[int] = np.sort(others[near][best]).tolist()
        return likely

    def table(self) -> pa.Table:
        """What was found, by place."""
        rows = sorted(self.rows)
        columns: list[Any] = [
            self.texts.ids.take(pa.array([row[end] for row in rows], pa.int64())) for end in (0, 1)
        ]
        columns.append(pa.array([row[2] for row in rows], pa.float64()))
        return pa.table(columns, schema=FOUND)


def jaccard(first: Hashes, second: Hashes) -> float:
    """What two sets share, over what they hold together; each sorted and without repeats."""
    shared = len(np.intersect1d(first, second, assume_unique=True))
    return shared / (len(first) + len(second) - shared)
