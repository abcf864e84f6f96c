"""Pictures whose embeddings point the same way: what a model of the user's own takes for one.

SemDeDup (arXiv 2303.09540) cuts the embeddings into k-means clusters and compares within each, so a
pair that a border parts is missed. Here kept pictures meet all others, in blocks, and nothing is
missed: a product of sketches, which is never below that of the embeddings, says where a product of
these is worth its while. The cost grows with the square all the same: all pictures times the kept
ones times the length of a sketch, halved.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pixmo.curate.duplicates import Pictures
from pixmo.curate.hamming import Integers
from pixmo.errors import RecipeError

if TYPE_CHECKING:
    import duckdb

Vectors = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

BEST = 1 << 10  # vectors settled at a time
OTHERS = 1 << 13  # vectors that meet the kept of these at a time: a product of 32 MiB
VERIFIED = 1 << 12  # pairs computed again at a time
BATCH = 8192  # rows
SKETCH = 64  # numbers of a sketch, but for its last
SAMPLE = 1 << 14  # vectors that tell how all of them differ
TOLERANCE = 1e-6  # of a cosine: embeddings are stored with seven digits
SLACK = 2.0**-23  # of a product of unit vectors, for every number of them, twice over
FOUND = pa.schema([("sha256", pa.string()), ("kept_sha256", pa.string()), ("cosine", pa.float64())])


@dataclass(frozen=True)
class Compared:
    """Vectors of length 1, shape = (n, numbers), and a sketch of each."""

    vectors: Vectors
    sketches: Vectors


def embedded_duplicates(
    connection: "duckdb.DuckDBPyConnection", pictures: Pictures, model: str, min_cosine: float
) -> pa.Table:
    """The pictures (sha256, kept_sha256, cosine) to drop so that no two of those left are alike.

    Pictures with an embedding by `model` are visited from the most pixels to the fewest, then in
    order of arrival; each is kept unless the cosine to a kept one is at least `min_cosine`, and
    `kept_sha256` is the best of these. Those without an embedding are left alone. What is held in
    memory is four bytes for every number: for a million pictures of 768, 3 GiB; sketches are 0.25.

    Raises:
        RecipeError: the model gave no image an embedding.
    """
    check_model(connection, model)
    ranked = pictures.only(np.argsort(-pictures.pixels, kind="stable"))
    places, vectors = read(connection, ranked, model)
    kept_of = keep_best(vectors, min_cosine)
    gone = np.flatnonzero(kept_of != np.arange(len(kept_of)))
    columns = [
        [ranked.sha256[i] for i in places[gone].tolist()],
        [ranked.sha256[i] for i in places[kept_of[gone]].tolist()],
        cosines(vectors, gone, kept_of[gone]),
    ]
    return pa.table(columns, schema=FOUND)


def check_model(connection: "duckdb.DuckDBPyConnection", model: str) -> None:
    """Nothing, if there are embeddings by `model`: a slip in its name would drop nothing, unseen.

    Raises:
        RecipeError: there are none.
    """
    found = connection.execute("select distinct model from image_embeddings order by 1").fetchall()
    models = [name for (name,) in found]
    if model not in models:
        there = f"there are those of {', '.join(models)}" if models else "there are none at all"
        raise RecipeError(
            f'near_duplicates = "embedding": no image has an embedding by {model}; {there};'
            " take them in with pixmo images embeddings"
        )


def read(
    connection: "duckdb.DuckDBPyConnection", ranked: Pictures, model: str
) -> tuple[Integers, Vectors]:
    """The places of the pictures with an embedding, ascending, and these, scaled to length 1."""
    turns = pa.table(
        {"image_sha256": pa.array(ranked.sha256, pa.string()), "place": np.arange(len(ranked))}
    )
    connection.register("embedded_turns", turns)
    chosen = "from current_image_embeddings join embedded_turns using (image_sha256) where model ="
    try:
        found = connection.execute(f"select place, len(embedding) {chosen} ?", [model]).fetchnumpy()
        places = np.sort(found["place"])
        length = int(found["len(embedding)"].max(initial=0))
        vectors = np.empty((len(places), length), np.float32)
        # A batch at a time into its place: sorting rows this wide would write them to the disk.
        rows = connection.sql(f"select place, embedding {chosen} ?", params=[model])
        for batch in rows.to_arrow_reader(BATCH):
            values = batch.column("embedding").flatten().to_numpy().reshape(len(batch), length)
            turn = np.searchsorted(places, batch.column("place").to_numpy())
            vectors[turn] = unit(values)
    finally:
        connection.unregister("embedded_turns")
    return places, vectors


def unit(vectors: npt.NDArray[np.floating]) -> Vectors:
    """The vectors scaled to length 1; in between in double precision, where no square overflows."""
    wide = vectors.astype(np.float64)
    scaled: Vectors = (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def sketch(vectors: Vectors) -> Vectors:
    """A few numbers for each, whose products are at least the vectors' own, but for `slack`.

    They are the vector's parts in the directions in which a sample lies most, and the length of
    what is left of it: two rests add to a product at most that of their lengths (Cauchy-Schwarz).
    """
    sample = vectors[:: len(vectors) // SAMPLE + 1].astype(np.float64)
    directions = np.linalg.eigh(sample.T @ sample).eigenvectors[:, -SKETCH:].astype(np.float32)
    sketches = np.empty((len(vectors), directions.shape[1] + 1), np.float32)
    for start in range(0, len(vectors), OTHERS):
        piece = slice(start, start + OTHERS)
        parts = vectors[piece] @ directions
        left = 1 - np.square(parts, dtype=np.float64).sum(axis=1)
        sketches[piece, :-1] = parts
        # More than is left, or rounding would hide a rest: its length is a root of little.
        sketches[piece, -1] = np.sqrt(np.maximum(left, 0) + slack(vectors))
    return sketches


def keep_best(vectors: Vectors, min_cosine: float) -> Integers:
    """The kept vector, the best of them, that each is near to; its own number for a kept one.

    `vectors`, shape = (n, numbers), have length 1, the best come first.
    """
    compared = Compared(vectors, sketch(vectors))
    alive: Integers = np.arange(len(vectors))
    kept_of = alive.copy()
    while len(alive):
        head, alive = alive[:BEST], alive[BEST:]
        kept_of[head] = head[settle(near(compared, head, head, min_cosine))]
        kept = head[kept_of[head] == head]
        stay = [alive[:0]]
        for start in range(0, len(alive), OTHERS):
            others = alive[start : start + OTHERS]
            is_near = near(compared, others, kept, min_cosine)
            gone = is_near.any(axis=1)
            kept_of[others[gone]] = kept[is_near[gone].argmax(axis=1)]
            stay.append(others[~gone])
        alive = np.concatenate(stay)
    return kept_of


def settle(is_near: Flags) -> Integers:
    """What `keep_best` returns for a few vectors of which all pairs are known."""
    kept_of: Integers = np.arange(len(is_near))
    waiting = np.ones(len(is_near), bool)
    for best in range(len(is_near)):
        if waiting[best]:
            kept_of[waiting & is_near[best]] = best
            kept_of[best] = best
            waiting &= ~is_near[best]
    return kept_of


def near(compared: Compared, first: Integers, second: Integers, min_cosine: float) -> Flags:
    """Whether each of `first` is near each of `second`, shape = (first, second)."""
    products = compared.sketches[first] @ compared.sketches[second].T
    may_be = products >= min_cosine - slack(compared.vectors)
    rows, columns = (np.flatnonzero(may_be.any(axis=axis)) for axis in (1, 0))
    is_near = np.zeros_like(may_be)
    is_near[np.ix_(rows, columns)] = near_in_full(
        compared.vectors, first[rows], second[columns], min_cosine
    )
    return is_near


def near_in_full(vectors: Vectors, first: Integers, second: Integers, min_cosine: float) -> Flags:
    """What `near` returns, by all numbers of the vectors.

    Products are in single precision; those too close to the bound to tell are computed again.
    """
    products = vectors[first] @ vectors[second].T
    is_near: Flags = products >= min_cosine + slack(vectors)
    one, other = np.nonzero((products >= min_cosine - slack(vectors)) & ~is_near)
    is_near[one, other] = cosines(vectors, first[one], second[other]) >= min_cosine - TOLERANCE
    return is_near


def slack(vectors: Vectors) -> float:
    """How far off a product of two of these vectors in single precision may be, at most."""
    return SLACK * vectors.shape[1] + TOLERANCE


def cosines(vectors: Vectors, first: Integers, second: Integers) -> npt.NDArray[np.float64]:
    """The cosine of vector first[i] and second[i] in double precision, some pairs at a time."""
    found = np.empty(len(first))
    for start in range(0, len(first), VERIFIED):
        piece = slice(start, start + VERIFIED)
        one, other = (vectors[side[piece]].astype(np.float64) for side in (first, second))
        scale = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        found[piece] = np.einsum("ij,ij->i", one, other) / scale
    return found
