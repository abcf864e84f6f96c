"""Pairs of 64-bit hashes within a Hamming distance: none missed, none outside, none twice.

Both searches cut the 64 bits into blocks and compare only hashes that agree on some. Memory is some
arrays as long as the hashes and one piece of pairs, whatever the hashes are.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

HASH_BITS = 64
MOST_AGREEING = 4  # blocks in a mask; with more of them the masks themselves would cost most
FEWEST_BLOCKS = 3  # a table has a place for every content of a block: 2 ** 22 at most
ROUND_COST = 3000  # hashes; what a mask or a flip costs beyond its hashes
MEETING_COST = 0.1  # hashes; what comparing two costs beside sorting one
PIECE = 1 << 17  # pairs looked at together; what the processor's own memory holds
MOST_COMPARED = 1 << 27  # a tenth of a second, after which an interrupt is heard
# An odd number with its bits in no order: a product with it carries the bits under a mask up to its
# upper end (multiplicative hashing; Knuth, The Art of Computer Programming 3, section 6.4).
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
BY_TWO, BY_FOUR, BY_EIGHT, IN_EVERY_BYTE = (
    np.uint64((1 << 64) // divisor) for divisor in (3, 5, 17, 255)
)  # 0101…, 00110011…, 0000111100001111…, a one at the end of each byte
ONE, TWO, FOUR, TOP_BYTE = (np.uint64(bits) for bits in (1, 2, 4, 56))

Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Groups:
    """Numbers with the positions at which each of them stands."""

    values: Words  # shape = (groups,), ascending
    starts: Integers  # shape = (groups + 1,); group g stands at order[starts[g] : starts[g + 1]]
    order: Integers  # shape = (n,)

    @property
    def sizes(self) -> Integers:
        return np.diff(self.starts)


def near_pairs(
    hashes: Words,
    max_distance: int,
    label: Integers | None = None,
    agreeing: int | None = None,
) -> Iterator[tuple[Integers, Integers]]:
    """Yield, in pieces, every pair of `hashes` at most `max_distance` bits apart.

    Shape = (n,). A pair is (i, j) with i < j and comes once. With a `label` for each hash the pairs
    of one label are left out, and cost nothing. `agreeing` is k below, else the cheapest.

    Of d + k blocks two hashes at most d bits apart agree on k at least: they meet among those that
    are equal under one of the masks of k blocks (Manku, Jain, Das Sarma: Detecting Near-Duplicates
    for Web Crawling, 2007).
    """
    label = np.arange(len(hashes)) if label is None else label
    by_label = np.argsort(label, kind="stable")
    hashes, label = hashes[by_label], label[by_label]
    agreeing = agreeing_blocks(label, max_distance) if agreeing is None else agreeing
    for mask, passed_over in masks(max_distance, agreeing):
        for left, right in meetings(hashes, label, max_distance, mask, passed_over):
            left, right = by_label[left], by_label[right]
            yield np.minimum(left, right), np.maximum(left, right)


def agreeing_blocks(label: Integers, max_distance: int) -> int:
    """The number of blocks in a mask that makes the search cheapest, for hashes without pattern."""
    _, sizes = np.unique(label, return_counts=True)
    pairs = (len(label) ** 2 - int((sizes**2).sum())) // 2

    def cost(agreeing: int) -> float:
        blocks = max_distance + agreeing
        met = pairs / 2 ** (HASH_BITS * agreeing / blocks) if agreeing else pairs
        return math.comb(blocks, agreeing) * (ROUND_COST + len(label) + MEETING_COST * met)

    return min(range(MOST_AGREEING + 1), key=cost)


@functools.cache  # a recipe asks many times, mostly of few hashes
def masks(max_distance: int, agreeing: int) -> list[tuple[np.uint64, list[np.uint64]]]:
    """Masks such that hashes within `max_distance` bits are equal under at least one.

    With each come the blocks before its last one that are not in it.
    """
    blocks = cut(max_distance + agreeing)
    found = []
    for chosen in itertools.combinations(range(len(blocks)), agreeing):
        passed_over = sorted(set(range(max(chosen, default=0))) - set(chosen))
        found.append((ones([blocks[i] for i in chosen]), [ones([blocks[i]]) for i in passed_over]))
    return found


def cut(count: int) -> list[range]:
    """The bits of a hash in `count` blocks of about one width."""
    edges = [HASH_BITS * i // count for i in range(count + 1)] if count else []
    return [range(low, high) for low, high in itertools.pairwise(edges)]


def ones(blocks: list[range]) -> np.uint64:
    """The number whose ones are the bits of the blocks."""
    return np.uint64(sum(1 << bit for block in blocks for bit in block))


def neighbours(
    hashes: Words, max_distance: int, rounds: int
) -> Iterator[tuple[Integers, Integers]]:
    """Yield, `rounds` times, all hashes and those beside them, sorted under one mask or another.

    In linear time most of what lies in a clump comes beside something near.
    """
    every = masks(max_distance, MOST_AGREEING)
    for mask, _ in every[:: math.ceil(len(every) / rounds)]:
        _, order = sorted_under(hashes, mask)
        yield order[:-1], order[1:]


def meetings(
    hashes: Words, label: Integers, max_distance: int, mask: np.uint64, passed_over: list[np.uint64]
) -> Iterator[tuple[Integers, Integers]]:
    """Yield, in pieces, the near pairs of different label that meet under this mask first.

    `label` ascends.
    """
    bucket, order = sorted_under(hashes, mask)
    hashes, label = hashes[order], label[order]
    blocks = np.array(passed_over, np.uint64)
    pairs = np.empty((2, PIECE), np.int64)
    one = other = 0
    while one < len(order):
        count, one, other = compiled_compare()(
            bucket, hashes, label, max_distance, mask, blocks, one, other, pairs, MOST_COMPARED
        )
        if count:
            yield order[pairs[0, :count]], order[pairs[1, :count]]


def compare(
    bucket: Words,
    hashes: Words,
    label: Integers,
    max_distance: int,
    mask: np.uint64,
    passed_over: Words,
    one: int,
    other: int,
    pairs: Integers,
    most_compared: int,
) -> tuple[int, int, int]:
    """`pairs` is filled with those at most `max_distance` bits apart, from (one, other) on.

    Shapes: `bucket`, `hashes` and `label` (n,), sorted by bucket and then by label; `pairs` (2, m).
    Returns how many pairs were found and where to go on, after some more than `most_compared`
    comparisons or when `pairs` is full; nothing is left to compare when that is n.
    """
    found, compared, bucket_end, label_end = 0, 0, one, one
    while one < len(bucket) and compared < most_compared:
        if one == bucket_end:
            while bucket_end < len(bucket) and bucket[bucket_end] == bucket[one]:
                bucket_end += 1
        if one == label_end:
            while label_end < bucket_end and label[label_end] == label[one]:
                label_end += 1
        other = max(other, label_end)
        compared += bucket_end - other
        for right in range(other, bucket_end):
            differing = hashes[one] ^ hashes[right]
            # Sums of the ones in every 2, 4 and 8 bits, then of all bytes (Warren: Hacker's
            # Delight, section 5-1); compilers know it as the processor's own count.
            ones_of = differing - (differing >> ONE & BY_TWO)
            ones_of = (ones_of & BY_FOUR) + (ones_of >> TWO & BY_FOUR)
            ones_of = (ones_of + (ones_of >> FOUR)) & BY_EIGHT
            if ones_of * IN_EVERY_BYTE >> TOP_BYTE <= max_distance and differing & mask == 0:
                # A pair that agrees on a block passed over too has met under an earlier mask.
                is_new = True
                for block in passed_over:
                    is_new = is_new and differing & block != 0
                if is_new:
                    pairs[0, found], pairs[1, found] = one, right
                    found += 1
                    if found == pairs.shape[1]:
                        return found, one, right + 1
        one, other = one + 1, 0
    return found, one, other


@functools.cache
def compiled_compare() -> Callable[..., tuple[int, int, int]]:
    """`compare` as machine code; numba keeps it for later processes, where it may write."""
    import numba

    compiled: Callable[..., tuple[int, int, int]]
    try:
        compiled = numba.njit(compare, cache=True)
    except RuntimeError:  # neither the package's folder nor the user's own can be written
        compiled = numba.njit(compare)
    return compiled


def sorted_under(hashes: Words, mask: np.uint64) -> tuple[Words, Integers]:
    """Bucket numbers, ascending, and the hash that each is of; in a bucket the hashes keep order.

    Hashes that are equal under the mask are in one bucket; it may hold others too.
    """
    index_bits = np.uint64(len(hashes).bit_length())
    # Bucket above, index below: one sort of plain numbers, ten times faster than that of an index.
    packed = (hashes & mask) * MULTIPLIER >> index_bits << index_bits
    packed |= np.arange(len(hashes), dtype=np.uint64)
    packed.sort()
    order = packed & np.uint64((1 << int(index_bits)) - 1)
    return packed >> index_bits, order.astype(np.int64)


def near_between(
    hashes: Words, others: Words, max_distance: int, blocks: int | None = None
) -> Iterator[tuple[Integers, Integers]]:
    """Yield, in pieces and in no order, every (i, j) with hashes[i] near others[j].

    Near is at most `max_distance` bits apart. Shapes: (n,) and (m,) give (pairs,) twice. A hash
    that repeats is searched once; memory grows with n + m and not with the pairs.

    Of b blocks two hashes at most d bits apart differ in one by at most d / b bits: they meet when
    that block of an other is looked up with every so small number of its bits flipped (Norouzi,
    Punjani, Fleet: Fast Exact Search in Hamming Space with Multi-Index Hashing, 2014). `blocks` is
    b, else the cheapest.
    """
    ours, theirs = group(hashes), group(others)
    blocks = blocks or lookup_blocks(len(ours.values), len(theirs.values), max_distance)
    flips = max_distance // blocks
    for number, block in enumerate(cut(blocks)):
        earlier = [ones([one]) for one in cut(blocks)[:number]]
        for left, right in lookups(ours.values, theirs.values, block, flips):
            differing = ours.values[left] ^ theirs.values[right]
            near = np.flatnonzero(np.bitwise_count(differing) <= max_distance)
            differing = differing[near]
            new = np.ones(len(near), bool)
            for mask in earlier:
                new &= np.bitwise_count(differing & mask) > flips
            yield from members(ours, theirs, left[near[new]], right[near[new]])


def lookup_blocks(hashes: int, others: int, max_distance: int) -> int:
    """The number of blocks that makes lookups cheapest, for hashes without pattern."""

    def cost(blocks: int) -> float:
        width = HASH_BITS / blocks
        keys = sum(
            math.comb(math.ceil(width), flips) for flips in range(max_distance // blocks + 1)
        )
        once = hashes + others + 2**width
        return blocks * (once + keys * (ROUND_COST + others + others * hashes / 2**width))

    return min(range(FEWEST_BLOCKS, HASH_BITS + 1), key=cost)


def lookups(
    hashes: Words, others: Words, block: range, flips: int
) -> Iterator[tuple[Integers, Integers]]:
    """Yield, in pieces, every pair of a hash and an other that differ by few bits of the block."""
    low, width = np.uint64(block.start), len(block)
    contents = (hashes >> low).astype(np.int64) & ((1 << width) - 1)
    wanted = (others >> low).astype(np.int64) & ((1 << width) - 1)
    order, turn = np.argsort(contents), np.argsort(wanted)
    wanted = wanted[turn]  # neighbours in the table are looked up one after the other
    starts = np.append(0, np.cumsum(np.bincount(contents, minlength=1 << width)))
    for count in range(flips + 1):
        for flipped in itertools.combinations(range(width), count):
            key = wanted ^ sum(1 << bit for bit in flipped)
            for one, place in ranges(starts[key], starts[key + 1]):
                yield order[place], turn[one]


def ranges(
    starts: Integers, stops: Integers, piece: int = PIECE
) -> Iterator[tuple[Integers, Integers]]:
    """Yield, in pieces of at most `piece`, every (i, j) with starts[i] <= j < stops[i]."""
    owners = np.flatnonzero(stops > starts)
    starts, counts = starts[owners], (stops - starts)[owners]
    last = np.cumsum(counts)
    first = last - counts
    for low in range(0, int(last[-1]) if len(last) else 0, piece):
        high = min(low + piece, int(last[-1]))
        some = slice(np.searchsorted(last, low, "right"), np.searchsorted(first, high, "left"))
        lengths = np.minimum(last[some], high) - np.maximum(first[some], low)
        positions = np.arange(low, high) + np.repeat(starts[some] - first[some], lengths)
        yield np.repeat(owners[some], lengths), positions


def group(values: Words) -> Groups:
    """The distinct values, and where each stands."""
    order = np.argsort(values, kind="stable")
    ascending = values[order]
    starts = np.flatnonzero(np.append(True, ascending[1:] != ascending[:-1])[: len(values)])
    return Groups(ascending[starts], np.append(starts, len(values)), order)


def members(
    ours: Groups, theirs: Groups, left: Integers, right: Integers
) -> Iterator[tuple[Integers, Integers]]:
    """Yield, in pieces, every member of group left[i] of `ours` with every one of right[i]."""
    for pair, one in ranges(ours.starts[left], ours.starts[left + 1]):
        start, stop = theirs.starts[right[pair]], theirs.starts[right[pair] + 1]
        for place, other in ranges(start, stop):
            yield ours.order[one[place]], theirs.order[other]


def join(pieces: list[Integers]) -> Integers:
    """The pieces one after the other."""
    return np.concatenate(pieces) if pieces else np.zeros(0, np.int64)
