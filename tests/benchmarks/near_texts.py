"""Near-duplicate texts against datasketch and datatrove, on the same texts in one process."""

import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from random import Random
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa

from pixmo.curate.near_texts import (
    GRAM_WORDS,
    SLOTS,
    expected_recall,
    near_texts,
    slots_per_band,
)
from pixmo.text import normalise

DOCUMENTS = 20_000
WORDS = 200  # of a document
COPIES_IN = 50  # one document in this many is a copy of another
MOST_CHANGED = 12  # words of a copy
JACCARD = 0.7
PAIRS = 5_000  # of the set that measures the recall
STEPS = (0.7, 0.72, 0.75, 0.8, 0.9, 1.0)
SLOW = 10  # datatrove sees one document in this many: its rate is the same for fewer
VOCABULARY = 20_000
SEED = 0

Rows = list[tuple[str, str]]


def documents(count: int, copies: int) -> Rows:
    """Made-up captions, words as frequent as in a language, the last ones copies of the first."""
    rng = Random(SEED)
    letters = "abcdefghijklmnopqrstuvwxyz"
    known = ["".join(rng.choices(letters, k=rng.randint(2, 10))) for _ in range(VOCABULARY)]
    ranks = [1 / (rank + 5) for rank in range(VOCABULARY)]
    texts = [rng.choices(known, ranks, k=WORDS) for _ in range(count - copies)]
    for number in range(copies):
        words = list(texts[number])
        for place in rng.sample(range(WORDS), rng.randint(0, MOST_CHANGED)):
            words[place] = rng.choice(known)
        texts.append(words)
    return [(f"{number:08d}", written(words)) for number, words in enumerate(texts)]


def written(words: list[str]) -> str:
    """Words as sentences of ten."""
    starts = range(0, len(words), 10)
    return " ".join(" ".join(words[i : i + 10]).capitalize() + "." for i in starts)


def search(rows: Rows) -> set[tuple[str, str]]:
    """What pixmo finds: (dropped, kept)."""
    ids, texts = zip(*rows, strict=True)
    with duckdb.connect() as connection:
        table = pa.table({"id": ids, "ordinal": range(len(ids)), "caption": texts})
        connection.register("some_rows", table)
        found = near_texts(connection, "some_rows", "caption", JACCARD)
    columns = found.column("id").to_pylist(), found.column("kept_id").to_pylist()
    return set(zip(*columns, strict=True))


def search_with_datasketch(rows: Rows) -> None:
    """The same pairs as datasketch finds them: by signatures, not verified."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(JACCARD, num_perm=SLOTS)
    for row_id, text in rows:
        words = normalise(text).split()
        starts = range(max(1, len(words) - GRAM_WORDS + 1))
        signature = MinHash(num_perm=SLOTS)
        signature.update_batch([" ".join(words[i : i + GRAM_WORDS]).encode() for i in starts])
        if not index.query(signature):
            index.insert(row_id, signature)


def datatrove_signatures(split_at_spaces: bool) -> Callable[[Rows], None]:
    """datatrove's first stage: 14 buckets of 8 hashes of 5 words, written to disk.

    datatrove 0.10 needs spacy and xxhash below 4.
    """
    from datatrove.data import Document
    from datatrove.pipeline.dedup import MinhashDedupSignature

    def signatures(rows: Rows) -> None:
        with tempfile.TemporaryDirectory() as folder:
            stage = MinhashDedupSignature(folder)
            if split_at_spaces:
                stage.word_tokenizer = SimpleNamespace(word_tokenize=str.split)
            stage.run(Document(text=text, id=row_id) for row_id, text in rows)

    return signatures


def rate(work: Callable[[Rows], object], rows: Rows) -> float:
    """Documents per CPU-second of all threads, after what is done only once."""
    work(rows[:100])
    started = time.process_time()
    work(rows)
    return len(rows) / (time.process_time() - started)


def peers() -> dict[str, tuple[Callable[[], Callable[[Rows], None]], int]]:
    """How each peer is made, and of how many documents it sees one."""
    return {
        "datasketch: MinHash, LSH": (lambda: search_with_datasketch, 1),
        "datatrove: signatures only": (lambda: datatrove_signatures(False), SLOW),
        "datatrove: signatures only, split at spaces": (lambda: datatrove_signatures(True), SLOW),
    }


def true_pairs(rows: Rows) -> dict[tuple[str, str], float]:
    """Every pair at least as similar as asked, (later, earlier), by counting shared strings."""
    ids, texts = zip(*((row_id, normalise(text)) for row_id, text in rows), strict=True)
    with duckdb.connect() as connection:
        connection.register("texts", pa.table({"id": ids, "text": texts}))
        runs = f"list_aggregate(words[i : i + {GRAM_WORDS - 1}], 'string_agg', ' ')"
        connection.execute(
            "create temp table grams as select distinct id, unnest(list_transform("
            f"range(1, len(words) - {GRAM_WORDS} + 2), lambda i: {runs})) as gram"
            " from (select id, string_split(text, ' ') as words from texts)"
        )
        found = connection.execute(
            "with sizes as (select id, count(*) as size from grams group by id),"
            " pairs as (select a.id as later, b.id as earlier, count(*) as shared"
            " from grams a join grams b on a.gram = b.gram and a.id > b.id group by all)"
            " select later, earlier, shared / (a.size + b.size - shared) as jaccard from pairs"
            " join sizes a on later = a.id join sizes b on earlier = b.id"
            f" where jaccard >= {JACCARD}"
        ).fetchall()
    return {(later, earlier): jaccard for later, earlier, jaccard in found}


def run(count: int = DOCUMENTS, pairs: int = PAIRS) -> dict[str, Any]:
    """Documents per CPU-second of all, and the share of true pairs that pixmo finds."""
    rows = documents(count, count // COPIES_IN)
    ours = rate(search, rows)
    table: dict[str, list[str]] = {
        "pixmo: signatures, pairs, every one verified": [f"{ours:,.0f}", "1"]
    }
    for name, (make, one_in) in peers().items():
        try:
            theirs = rate(make(), rows[::one_in])
        except ImportError:
            table[name] = ["not installed", ""]
        else:
            table[name] = [f"{theirs:,.0f}", f"{ours / theirs:.1f}"]
    found, true = search(rows), true_pairs(rows)
    wrong = len(found - true.keys())
    recall = len(found & true.keys()) / len(true)
    table[f"recall of the {len(true):,} copies among them"] = [f"{recall:.4f}", ""]
    table["reported and below the similarity"] = [str(wrong), ""]
    rows = documents(2 * pairs, pairs)
    found, true = search(rows), true_pairs(rows)
    for least, most in pairwise(STEPS):
        some = [p for p, jaccard in true.items() if least <= jaccard < most or jaccard == most == 1]
        share = sum(pair in found for pair in some) / max(1, len(some))
        table[f"recall of {len(some):,} pairs of {least} to {most}"] = [f"{share:.4f}", ""]
    slots = slots_per_band(JACCARD)
    return {
        "title": f"Near-duplicates among {count:,} texts of {WORDS} words,"
        f" runs of {GRAM_WORDS} words, at a Jaccard similarity of {JACCARD}",
        "columns": ["documents per CPU-second", "times slower than pixmo"],
        "rows": table,
        "notes": [
            f"{SLOTS // slots} bands of {slots} slots find a pair of exactly {JACCARD}"
            f" with probability {expected_recall(JACCARD, slots):.4f}.",
            "CPU-seconds are user and system time of all threads. datatrove's first stage alone is"
            f" measured, on one document in {SLOW}; most of its time goes into spaCy's words, so it"
            " stands a second time with words split at spaces.",
        ],
    }
