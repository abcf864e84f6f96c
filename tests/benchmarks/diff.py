"""`pixmo diff` on releases of millions of rows, beside a pandas merge of the same files.

Each way runs in a process of its own, with the releases on the disk before it starts.
"""

import multiprocessing
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pixmo import schema
from pixmo.dataset.reader import SPLITS, Release
from pixmo.release.diff import diff
from tests.two_releases import write

ROWS = 2_000_000  # of each release
SLOW = 10  # pandas sees one row in this many
POINTS_A_ROW = 3
REMOVED, ADDED, CHANGED, MOVED = 0.03, 0.03, 0.05, 0.02  # shares of the rows
SEED = 0

Told = Counter[tuple[str, str, str]]  # rows by change and both splits


def points(ids: np.ndarray) -> pa.Table:
    """A row of points for each id; labels are left to the caller."""
    count = len(ids)
    each = np.random.default_rng(SEED).random((count * POINTS_A_ROW, 2)) * 100
    pairs = pa.StructArray.from_arrays([pa.array(each[:, 0]), pa.array(each[:, 1])], ["x", "y"])
    starts = pa.array(np.arange(0, count * POINTS_A_ROW + 1, POINTS_A_ROW, dtype=np.int32))
    empty = pa.array(np.zeros(count + 1, dtype=np.int32))
    no_text = pa.ListArray.from_arrays(empty, pa.array([], pa.string()))
    image, text = (
        pa.array(np.char.mod(form, value)) for form, value in (("%064x", ids // 5), ("%016x", ids))
    )
    columns = {
        "image_url": image,
        "image_sha256": image,
        "points": pa.ListArray.from_arrays(starts, pairs),
        "count": pa.array(np.full(count, POINTS_A_ROW)),
        "label": text,
        "collection_method": pa.repeat("pointing", count),
        "id": text,
        "raw_points": pa.ListArray.from_arrays(empty, pairs.slice(0, 0)),
        "raw_label": pa.repeat("", count),
        "annotator": pa.array(np.char.mod("%d", ids % 100)),
        "annotation_uid": text,
        "merged_from": no_text,
        "cluster": image,
        "flags": no_text,
    }
    promise = schema.subset("points").arrow()
    return pa.table({name: columns[name] for name in promise.names}).cast(promise)


def make(folder: Path, rows: int) -> Told:
    """`folder` holds v1 and v2, of about so many rows each; how they differ."""
    rng = np.random.default_rng(SEED)
    ids = rng.permutation(rows + int(rows * ADDED)).astype(np.int64)
    table = points(ids)
    split = rng.integers(0, len(SPLITS), len(ids))
    changes, moves = (rng.random(len(ids)) < share for share in (CHANGED, MOVED))
    later = np.where(moves, (split + 1) % len(SPLITS), split)
    is_old = ids < rows
    is_new = ~is_old | (rng.random(len(ids)) >= REMOVED)
    for version, there, of_row, number in (
        ("v1", is_old, split, ids % 1000),
        ("v2", is_new, later, np.where(changes, ids % 1000 + 1000, ids % 1000)),
    ):
        place = table.schema.get_field_index("label")
        labels = pa.array(np.char.mod("thing %d", number))
        shown = table.set_column(place, table.schema.field(place), labels)
        parts = {
            name: shown.filter(pa.array(there & (of_row == place)))
            for place, name in enumerate(SPLITS)
        }
        write(folder / version, {"points": parts})
    names = np.array(["", *SPLITS])
    before, after = names[np.where(is_old, split + 1, 0)], names[np.where(is_new, later + 1, 0)]
    kept = np.where(changes, "changed", np.where(moves, "moved", "same"))
    change = np.where(~is_old, "added", np.where(~is_new, "removed", kept))
    return Counter(zip(change.tolist(), before.tolist(), after.tolist(), strict=True))


def by_pixmo(folder: Path) -> Told:
    """As `pixmo diff` tells it."""
    before, after = (Release.open(folder / version) for version in ("v1", "v2"))
    (subset,) = diff(before, after).subsets
    return Counter({(f.change, f.split_before, f.split_after): f.rows for f in subset.flows})


def by_pandas(folder: Path) -> Told:
    """As a merge of all columns tells it."""
    old, new = (
        pd.concat(
            pq.read_table(next((folder / version / "pixmo-points").glob(f"{split}-*")))
            .to_pandas()
            .assign(split=split)
            for split in SPLITS
        )
        for version in ("v1", "v2")
    )
    merged = old.merge(new, on="id", how="outer", suffixes=("_old", "_new"), indicator=True)
    differs = np.zeros(len(merged), bool)
    for name in old.columns.drop(["id", "split"]):
        one, other = merged[f"{name}_old"], merged[f"{name}_new"]
        if name in ("points", "raw_points", "merged_from", "flags"):
            one, other = one.map(str), other.map(str)
        differs |= (one != other).to_numpy()
    before, after = (merged[f"split_{side}"].fillna("").to_numpy(str) for side in ("old", "new"))
    kept = np.where(differs, "changed", np.where(before != after, "moved", "same"))
    change = np.where(before == "", "added", np.where(after == "", "removed", kept))
    return Counter(zip(change.tolist(), before.tolist(), after.tolist(), strict=True))


def measured(tell: Callable[[Path], Told], folder: Path) -> tuple[Told, float, int]:
    """What it tells, in which seconds, and how many MB the process took for it at most."""
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = tell(folder)
    seconds = time.perf_counter() - begun
    return told, seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024


def alone(tell: Callable[[Path], Told], folder: Path) -> tuple[Told, float, int]:
    """As `measured`, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measured, tell, folder).result()


def run(rows: int = ROWS) -> dict[str, Any]:
    """Seconds and memory of each, which must tell the same."""
    shown: dict[str, list[str]] = {}
    for count, ways in ((rows, (by_pixmo,)), (rows // SLOW, (by_pixmo, by_pandas))):
        with tempfile.TemporaryDirectory() as folder:
            expected = alone_making(Path(folder), count)
            for tell in ways:
                told, seconds, megabytes = alone(tell, Path(folder))
                if told != expected:
                    raise AssertionError(f"{tell.__name__} tells {told}, planted was {expected}")
                name = f"{'pixmo diff' if tell is by_pixmo else 'pandas merge'}, {count:,} rows"
                shown[name] = [f"{seconds:.1f}", f"{count / seconds:,.0f}", f"{megabytes:,}"]
    return {
        "title": "Two releases compared",
        "columns": ["seconds", "rows a second", "MB above the start"],
        "rows": shown,
        "notes": [
            f"Rows of points, {POINTS_A_ROW} a row, in each of two releases of which"
            f" {REMOVED:.0%} of the rows went, {ADDED:.0%} came, {CHANGED:.0%} changed and"
            f" {MOVED:.0%} moved. Both tell what was planted. DuckDB is given 1 GB."
        ],
    }


def alone_making(folder: Path, rows: int) -> Told:
    """As `make`, in a process of its own: its memory is nobody else's."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(make, folder, rows).result()


if __name__ == "__main__":
    print(run())
