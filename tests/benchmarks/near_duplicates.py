"""Near-duplicate search against brute force, on the same hashes in the same process."""

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from pixmo.curate.duplicates import near_pairs

HASHES = 200_000
COPIES = 500  # of them, each 0 to 10 bits away from another
MAX_DISTANCE = 8  # bits of 64
ROUNDS = 1
SEED = 0

Words = npt.NDArray[np.uint64]


def hashes() -> Words:
    """Random 64-bit hashes, some of them near others."""
    rng = np.random.default_rng(SEED)
    found = rng.integers(0, 2**64, HASHES, dtype=np.uint64)
    for copy, bits in enumerate(rng.integers(0, 11, COPIES)):
        changed = sum(1 << int(bit) for bit in rng.choice(64, bits, replace=False))
        found[HASHES - 1 - copy] = found[copy] ^ np.uint64(changed)
    return found


def brute_force(values: Words) -> set[tuple[int, int]]:
    """Every pair within the distance, by comparing every pair."""
    pairs = set()
    for first in range(len(values) - 1):
        near = np.bitwise_count(values[first + 1 :] ^ values[first]) <= MAX_DISTANCE
        pairs |= {(first, first + 1 + int(offset)) for offset in np.flatnonzero(near)}
    return pairs


def run() -> dict[str, Any]:
    """CPU-seconds of both, the least of some rounds, and whether they agree."""
    values = hashes()
    ours, theirs, agree = [], [], True
    for _ in range(ROUNDS):
        started = time.process_time()
        first, second = near_pairs(values, MAX_DISTANCE)
        ours.append(time.process_time() - started)
        started = time.process_time()
        expected = brute_force(values)
        theirs.append(time.process_time() - started)
        agree &= expected == set(zip(first.tolist(), second.tolist(), strict=True))
    return {
        "title": f"Pairs within {MAX_DISTANCE} of 64 bits among {HASHES:,} hashes",
        "rows": {
            "brute force (numpy), CPU-seconds": round(min(theirs), 2),
            "pixmo, CPU-seconds": round(min(ours), 2),
            "times faster": round(min(theirs) / min(ours), 1),
            "same pairs": "yes" if agree else "no",
            "pairs": len(expected),
        },
    }
