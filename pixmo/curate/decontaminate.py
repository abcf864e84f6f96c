"""Rows that evaluation data would meet again: by their image, or by their question.

Images meet by their bytes, or by perceptual hashes, as they are or in a mirror, exactly: no pair
within the distance is missed, none outside it reported. Where a list of held-out hashes has only
64 bits for an image, these decide alone.

Questions meet by runs of words, as in the contamination study of PaLM (Chowdhery et al., arXiv
2204.02311, section 8), which takes 70 % of a question's runs of eight words. Candidates are those
that share one of a question's rarest runs (prefix filtering; Bayardo, Ma, Srikant: Scaling Up All
Pairs Similarity Search, 2007), so that a common phrase costs nothing and no hit is lost.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pixmo.curate.duplicates import Likeness, Pictures, equal_pictures, parse_hashes
from pixmo.curate.hamming import Integers, Words, join, near_between, ranges
from pixmo.curate.near_texts import BATCH, Grams, Hashes, grams_of, quoted
from pixmo.text import normalise

if TYPE_CHECKING:
    import duckdb

KINDS = ("same picture", "mirrored picture")
SAME_BYTES = "same bytes"
UNKNOWN = 511  # stands for a distance of 256 bits that a list does not give: more than any
NO_HASH = "0" * 64
IMAGE_HITS = pa.schema(
    [
        ("image_sha256", pa.string()),
        ("source", pa.string()),
        ("key", pa.string()),
        ("kind", pa.string()),
        ("distance", pa.int64()),
        ("distance_256", pa.int64()),
    ]
)
TEXT_HITS = pa.schema(
    [("id", pa.string()), ("source", pa.string()), ("key", pa.string()), ("share", pa.float64())]
)


@dataclass(frozen=True)
class HeldOutPictures:
    """Held-out pictures as they are and mirrored; equal looks once, by source and key the first."""

    source: list[str]
    key: list[str]
    hashes: Words  # shape = (n, 5): phash_64, then phash_256 in four words
    is_mirrored: Integers  # 0 or 1
    has_256: Integers  # 0 or 1

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class HeldOutQuestions:
    """Held-out questions, and the distinct runs of each as places in `runs`."""

    source: list[str]
    key: list[str]
    runs: Hashes  # ascending
    starts: Integers  # question q has the places[starts[q] : starts[q + 1]]
    places: Integers  # of each question the rarest first

    def __len__(self) -> int:
        return len(self.source)

    @property
    def sizes(self) -> Integers:
        """How many distinct runs each question has."""
        return np.diff(self.starts)


def image_hits(
    connection: "duckdb.DuckDBPyConnection", relation: str, pictures: Pictures, likeness: Likeness
) -> pa.Table:
    """The images of `relation`'s rows that are held out, each with the nearest that it hit.

    Columns as in IMAGE_HITS. Of several the same bytes come first, then the fewest bits of 64, of
    256, the picture as it is before its mirror image, then the order of source and key.
    `distance_256` is null where the held-out image has none. `pictures` are those of the relation.
    """
    same = connection.sql(
        f"select image_sha256, source, key, '{SAME_BYTES}' as kind, 0::bigint as distance,"
        " 0::bigint as distance_256"
        f" from (select distinct image_sha256 from {relation}) join held_out_images"
        " using (image_sha256) qualify row_number() over (partition by image_sha256"
        " order by source, key) = 1 order by image_sha256"
    ).to_arrow_table()
    known = set(same.column("image_sha256").to_pylist())
    alike = picture_hits(pictures, read_pictures(connection), likeness)
    rest = [hit for hit in alike if hit["image_sha256"] not in known]
    return pa.concat_tables([same.cast(IMAGE_HITS), pa.Table.from_pylist(rest, IMAGE_HITS)])


def read_pictures(connection: "duckdb.DuckDBPyConnection") -> HeldOutPictures:
    """The looks of all held-out images that have a perceptual hash."""
    rows = connection.execute(
        "select distinct on (is_mirrored, phash_64, phash_256) * from ("
        " select source, key, 0 as is_mirrored, phash_64, phash_256 from held_out_images"
        " union all"
        " select source, key, 1, mirrored_phash_64, mirrored_phash_256 from held_out_images)"
        " where phash_64 is not null order by source, key, is_mirrored"
    ).fetchall()
    return HeldOutPictures(
        [row[0] for row in rows],
        [row[1] for row in rows],
        parse_hashes([row[3] + (row[4] or NO_HASH) for row in rows]),
        np.array([row[2] for row in rows], np.int64),
        np.array([row[4] is not None for row in rows], np.int64),
    )


def picture_hits(
    pictures: Pictures, held_out: HeldOutPictures, likeness: Likeness
) -> Iterator[dict[str, object]]:
    """Yield, as IMAGE_HITS, the nearest held-out picture of every picture that is near one."""
    groups = equal_pictures(pictures.hashes)
    hashes = pictures.hashes[groups.order[groups.starts[:-1]]]
    none = np.iinfo(np.int64).max
    best = np.full(len(hashes), none)
    for one, other in near_between(hashes[:, 0], held_out.hashes[:, 0], likeness.max_distance):
        bits = np.bitwise_count(hashes[one] ^ held_out.hashes[other])
        distance = bits[:, 0].astype(np.int64)
        wide = bits[:, 1:].sum(axis=1, dtype=np.int64)
        wide[held_out.has_256[other] == 0] = UNKNOWN
        near = (wide <= likeness.max_distance_256) | (wide == UNKNOWN)
        rank = (distance * (UNKNOWN + 1) + wide) * 2 + held_out.is_mirrored[other]
        np.minimum.at(best, one[near], (rank * len(held_out) + other)[near])
    hits = np.repeat(best, groups.sizes)
    for place in np.flatnonzero(hits < none).tolist():
        rank, number = divmod(int(hits[place]), len(held_out))
        distance, bits_256 = divmod(rank // 2, UNKNOWN + 1)
        yield {
            "image_sha256": pictures.sha256[groups.order[place]],
            "source": held_out.source[number],
            "key": held_out.key[number],
            "kind": KINDS[rank % 2],
            "distance": distance,
            "distance_256": None if bits_256 == UNKNOWN else bits_256,
        }


def text_hits(
    connection: "duckdb.DuckDBPyConnection",
    relation: str,
    column: str,
    gram_words: int,
    min_share: float,
    min_words: int,
) -> pa.Table:
    """The rows of `relation` whose text holds a held-out question, each with the one it holds most.

    Columns as in TEXT_HITS. A row holds a question if at least the share `min_share` of the
    question's distinct runs of `gram_words` words stand in it; a question with fewer words than
    that is one run, which only a text of the same words has. Questions with fewer than `min_words`
    words are not looked for. Of equal shares the first by source and key counts.

    Rows are read a batch at a time: memory grows with the held-out questions alone.
    """
    questions = read_questions(connection, gram_words, min_words)
    hits = [TEXT_HITS.empty_table()]
    if questions is None:
        return hits[0]
    rows = connection.sql(
        f"select id, {quoted(column)}::varchar as text from {relation}"
        f" where {quoted(column)} is not null order by id"
    )
    for batch in rows.to_arrow_reader(BATCH):
        found, best, share = held(grams_of(batch.column("text"), gram_words), questions, min_share)
        columns = [
            batch.column("id").take(pa.array(found)).cast(pa.string()),
            pa.array([questions.source[q] for q in best], pa.string()),
            pa.array([questions.key[q] for q in best], pa.string()),
            pa.array(share),
        ]
        hits.append(pa.table(columns, schema=TEXT_HITS))
    return pa.concat_tables(hits)


def read_questions(
    connection: "duckdb.DuckDBPyConnection", gram_words: int, min_words: int
) -> HeldOutQuestions | None:
    """The held-out questions of enough words; of equal ones the first by source and key.

    None where there are none.
    """
    rows = connection.execute(
        "select distinct on (question) source, key, question from held_out_questions"
        " order by source, key, question"
    ).fetchall()
    rows = [row for row in rows if len(normalise(row[2]).split()) >= min_words]
    if not rows:
        return None
    grams = grams_of(pa.array([row[2] for row in rows], pa.string()), gram_words)
    owner, run = distinct(grams)
    runs, place, count = np.unique(run, return_inverse=True, return_counts=True)
    order = np.lexsort((place, count[place], owner))
    starts = np.searchsorted(owner, np.arange(len(rows) + 1))
    return HeldOutQuestions(
        [row[0] for row in rows], [row[1] for row in rows], runs, starts, place[order]
    )


def distinct(grams: Grams) -> tuple[Integers, Hashes]:
    """Every text's runs once: the number of the text, ascending, and the run."""
    owner = np.repeat(np.arange(len(grams.starts) - 1), np.diff(grams.starts))
    order = np.lexsort((grams.hashes, owner))
    owner, run = owner[order], grams.hashes[order]
    new = np.append(True, (owner[1:] != owner[:-1]) | (run[1:] != run[:-1]))[: len(run)]
    return owner[new], run[new]


def held(
    grams: Grams, questions: HeldOutQuestions, min_share: float
) -> tuple[Integers, Integers, "np.ndarray[tuple[int], np.dtype[np.float64]]"]:
    """The texts that hold a question, ascending, the one each holds most, and how much of it."""
    row, run = distinct(grams)
    place = np.searchsorted(questions.runs, run)
    place = np.minimum(place, len(questions.runs) - 1)
    is_known = questions.runs[place] == run
    row, place = row[is_known], place[is_known]
    # Sorted, so that whether a text has a run is a search.
    stands = row * len(questions.runs) + place
    sizes = questions.sizes
    needed = np.maximum(np.ceil(min_share * sizes - 1e-9).astype(np.int64), 1)
    by_run = rarest(questions, sizes - needed + 1)
    found: list[Integers] = []
    shared: list[Integers] = []
    for text, question in candidates(row, place, by_run, len(questions)):
        count = shared_runs(text, question, questions, stands)
        enough = count >= needed[question]
        found.append(text[enough] * len(questions) + question[enough])
        shared.append(count[enough])
    pairs, first = np.unique(join(found), return_index=True)
    text, question = np.divmod(pairs, len(questions))
    share = join(shared)[first] / sizes[question]
    order = np.lexsort((question, -share, text))
    text, question, share = text[order], question[order], share[order]
    is_best = np.append(True, text[1:] != text[:-1])[: len(text)]
    return text[is_best], question[is_best], share[is_best]


def rarest(questions: HeldOutQuestions, counts: Integers) -> tuple[Integers, Integers]:
    """The questions by run: those of run r, of whose rarest `counts` it is one, from starts[r]."""
    pieces = list(ranges(questions.starts[:-1], questions.starts[:-1] + counts))
    question = join([piece[0] for piece in pieces])
    place = questions.places[join([piece[1] for piece in pieces])]
    order = np.argsort(place, kind="stable")
    return np.searchsorted(place[order], np.arange(len(questions.runs) + 1)), question[order]


def candidates(
    row: Integers, place: Integers, by_run: tuple[Integers, Integers], count: int
) -> Iterator[tuple[Integers, Integers]]:
    """Yield, in pieces, texts and the questions one of whose rarest runs they have."""
    starts, question = by_run
    for one, other in ranges(starts[place], starts[place + 1]):
        pairs = np.unique(row[one] * count + question[other])
        yield np.divmod(pairs, count)


def shared_runs(
    text: Integers, question: Integers, questions: HeldOutQuestions, stands: Integers
) -> Integers:
    """How many distinct runs of question[i] stand in text[i]."""
    total = np.zeros(len(text), np.int64)
    for pair, at in ranges(questions.starts[question], questions.starts[question + 1]):
        wanted = text[pair] * len(questions.runs) + questions.places[at]
        found = np.searchsorted(stands, wanted)
        found = np.minimum(found, len(stands) - 1)
        total += np.bincount(pair[stands[found] == wanted], minlength=len(text))
    return total
