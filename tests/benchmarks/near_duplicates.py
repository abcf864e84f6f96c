"""Near-duplicate search beside faiss's exact binary index, and on pictures that are no dice rolls.

Each way runs in a process of its own. Without faiss (`pip install faiss-cpu`) only pixmo is run.
"""

import importlib.util
import multiprocessing
import resource
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from pixmo.curate.duplicates import Likeness, Pictures, clusters, duplicates
from pixmo.curate.hamming import Integers, Words, near_between, near_pairs

HASHES = 1_000_000
FEW_HASHES = HASHES // 10
PLANTED = HASHES // 1000  # hashes 0 to 11 bits from another
CLUMP = 1000  # pictures within a few bits of one
CHAIN = HASHES // 50  # pictures, each two bits from the last
WITHIN, BETWEEN = 6, 8  # bits of 64
LIKENESS = Likeness(8, 60)
SEED = 0

Pairs = tuple[Integers, Integers]


def hashes(count: int, seed: int = SEED) -> Words:
    """Random 64-bit hashes, some of them near others."""
    found = np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)
    return plant(found, found[:PLANTED])


def plant(among: Words, seeds: Words) -> Words:
    """`among`, the last of them changed into copies of `seeds`, each 0 to 11 bits away."""
    rng = np.random.default_rng(SEED)
    bits = np.argsort(rng.random((len(seeds), 64)), axis=1)[:, :11].astype(np.uint64)
    flipped = np.arange(11) < rng.integers(0, 12, (len(seeds), 1))
    changes = np.bitwise_or.reduce(flipped.astype(np.uint64) << bits, axis=1)
    among[len(among) - len(seeds) :] = seeds ^ changes
    return among


def pixmo_within(count: int) -> Pairs:
    """Every pair within the distance among so many hashes, sorted."""
    return gathered(near_pairs(hashes(count), WITHIN))


def gathered(pieces: Iterable[Pairs]) -> Pairs:
    """All pairs in order."""
    first, second = (np.concatenate(side) for side in zip(*pieces, strict=True))
    order = np.lexsort((second, first))
    return first[order], second[order]


def faiss_within(count: int) -> Pairs:
    """The same by faiss, which finds each pair twice and each hash near itself."""
    first, second = faiss_search(hashes(count), hashes(count), WITHIN)
    return first[first < second], second[first < second]


def lists() -> tuple[Words, Words]:
    """Pictures' hashes and evaluation hashes, some of them near each other."""
    ours = hashes(HASHES)
    return ours, plant(hashes(FEW_HASHES, SEED + 1), ours[PLANTED : 2 * PLANTED])


def pixmo_between() -> Pairs:
    """Every pair within the distance between the two lists."""
    return gathered(near_between(*lists(), BETWEEN))


def faiss_between() -> Pairs:
    """The same by faiss."""
    return faiss_search(*lists(), BETWEEN)


def faiss_search(ours: Words, theirs: Words, max_distance: int) -> Pairs:
    """Every pair within the distance, by faiss on one thread, sorted."""
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexBinaryFlat(64)
    index.add(theirs.view(np.uint8).reshape(-1, 8))
    queries = ours.view(np.uint8).reshape(-1, 8)
    limits, _, second = index.range_search(queries, max_distance + 1)  # it excludes its radius
    first = np.repeat(np.arange(len(ours)), np.diff(limits.astype(np.int64)))
    order = np.lexsort((second, first))
    return first[order], second[order].astype(np.int64)


def pictures(kind: str) -> Pictures:
    """Pictures of random hashes, some of them nearer than chance; the kinds are in `SKEWED`."""
    rng = np.random.default_rng(SEED)
    count = CHAIN if kind == "chain" else HASHES
    words = rng.integers(0, 2**64, (count, 5), dtype=np.uint64)
    if kind == "blank":
        words[:] = words[0]
    if kind == "chain":
        flipped = np.uint64(1) << rng.integers(0, 64, (count, 2), dtype=np.uint64)
        words[:, 0] = np.bitwise_xor.accumulate(flipped[:, 0] ^ flipped[:, 1])
        words[:, 1:] = words[0, 1:]
    if kind in ("clumps", "one clump"):
        clumped = count // 10
        size = CLUMP if kind == "clumps" else clumped
        middle = np.arange(clumped) // size * size
        flipped = np.uint64(1) << rng.integers(0, 64, (clumped, 4, 5), dtype=np.uint64)
        words[:clumped] = words[middle] ^ np.bitwise_or.reduce(flipped, axis=1)
    return Pictures([str(i) for i in range(count)], rng.integers(1, 9, count), words)


SKEWED = {
    "plain": f"{HASHES:,} pictures without pattern",
    "clumps": f"{HASHES:,}, a tenth in clumps of {CLUMP:,}",
    "one clump": f"{HASHES:,}, a tenth in one clump",
    "blank": f"one picture {HASHES:,} times",
    "chain": f"a chain of {CHAIN:,}, each 2 bits from the last",
}


def judged(kind: str) -> tuple[int, int]:
    """Clusters, and pictures to drop."""
    given = pictures(kind)
    return len(set(clusters(given, LIKENESS).values())), len(duplicates(given, LIKENESS))


def alone(way: Callable[..., Any], *arguments: Any) -> tuple[Any, float, int]:
    """What `way` returns in a process of its own, its CPU-seconds and its peak memory in MiB."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(watched, way, arguments).result()


def watched(way: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, float, int]:
    """What `alone` returns."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    found = way(*arguments)
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return found, seconds, peak_memory()


def peak_memory() -> int:
    """MiB that this process held at most; `getrusage` counts what its parent held, too."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    (kibibytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(kibibytes) >> 10


def beside(ours: tuple[Any, float, int], theirs: tuple[Any, float, int] | None) -> list[str]:
    """A row of the table."""
    (found, seconds, peak), cells = ours, ["–", "–", "–"]
    if theirs:
        same = all((one == other).all() for one, other in zip(found, theirs[0], strict=True))
        ratio = theirs[1] / seconds
        cells = [f"{theirs[1]:.1f}", f"{ratio:.1f}", "same pairs" if same else "OTHER PAIRS"]
    return [f"{seconds:.1f}", f"{peak:,}", *cells, f"{len(found[0]):,} pairs"]


def run() -> dict[str, Any]:
    """CPU-seconds, peak memory, and whether faiss finds the same."""
    faiss = importlib.util.find_spec("faiss") is not None
    alone(pixmo_within, 2 * PLANTED)  # the first search of this installation
    among = f"hashes among themselves, {WITHIN} of 64 bits"
    rows = {
        f"{FEW_HASHES:,} {among}": beside(
            alone(pixmo_within, FEW_HASHES), alone(faiss_within, FEW_HASHES) if faiss else None
        ),
        f"{HASHES:,} {among}": beside(alone(pixmo_within, HASHES), None),
        f"{HASHES:,} hashes against {FEW_HASHES:,}, {BETWEEN} of 64 bits": beside(
            alone(pixmo_between), alone(faiss_between) if faiss else None
        ),
    }
    for kind, name in SKEWED.items():
        (groups, gone), seconds, peak = alone(judged, kind)
        found = f"{groups:,} clusters, {gone:,} dropped"
        rows[name] = [f"{seconds:.1f}", f"{peak:,}", "–", "–", "–", found]
    return {
        "title": "Near-duplicate images: every pair within a distance",
        "columns": [
            *("CPU-seconds", "peak memory, MiB", "faiss, CPU-seconds", "times faster"),
            *("beside faiss", "found"),
        ],
        "rows": rows,
        "notes": [
            "Memory is the process's, Python and the hashes included; faiss is its exact"
            " IndexBinaryFlat on one thread. Pictures are clustered and their duplicates chosen"
            f" at {LIKENESS.max_distance} of 64 and {LIKENESS.max_distance_256} of 256 bits: both"
            " searches are in the figure. Each is a process of its own, which loads the libraries"
            " it needs and pixmo's machine code, kept since the first search of this installation."
            " Brute force is the reference of the property tests.",
        ],
    }
