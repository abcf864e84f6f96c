"""Near pairs are exactly those within the distance, each once, whatever the hashes are."""

import itertools
from collections.abc import Iterable
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixmo.curate.hamming import (
    PIECE,
    Integers,
    Words,
    compare,
    compiled_compare,
    near_between,
    near_pairs,
    ranges,
)

BITS_64 = st.integers(0, 2**64 - 1)
FLIPS = st.sets(st.integers(0, 63), max_size=12)


@st.composite
def clumped_hashes(draw: st.DrawFn) -> list[int]:
    """Hashes of which many lie near each other: seeds, and copies with a few bits flipped."""
    seeds = draw(st.lists(BITS_64, min_size=1, max_size=6))
    hashes = list(seeds)
    for seed in seeds:
        copies = draw(st.lists(FLIPS, max_size=4))
        hashes += [seed ^ sum(1 << bit for bit in flips) for flips in copies]
    return draw(st.permutations(hashes))


def words(hashes: list[int]) -> Words:
    return np.array(hashes, np.uint64)


def gathered(pieces: Iterable[tuple[Integers, Integers]]) -> list[tuple[int, int]]:
    """All pairs, sorted; what is yielded twice stands there twice."""
    return sorted(
        pair for one, two in pieces for pair in zip(one.tolist(), two.tolist(), strict=True)
    )


def found_pairs(hashes: list[int], most: int, **options: object) -> list[tuple[int, int]]:
    """What `near_pairs` yields."""
    return gathered(near_pairs(words(hashes), most, **options))  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(clumped_hashes(), st.integers(0, 12), st.sampled_from([None, 0, 1, 2, 3, 4]))
def test_every_near_pair_is_found_once_and_no_other(
    hashes: list[int], most: int, agreeing: int | None
) -> None:
    n = range(len(hashes))
    brute = [(i, j) for i in n for j in n if i < j and (hashes[i] ^ hashes[j]).bit_count() <= most]
    assert found_pairs(hashes, most, agreeing=agreeing) == brute


@settings(max_examples=100, deadline=None)
@given(clumped_hashes(), st.integers(0, 12), st.sampled_from([0, 1, 3]), st.data())
def test_pairs_of_one_label_are_left_out(
    hashes: list[int], most: int, agreeing: int, data: st.DataObject
) -> None:
    labels = st.lists(st.integers(0, 3), min_size=len(hashes), max_size=len(hashes))
    label = data.draw(labels)
    every = found_pairs(hashes, most, agreeing=agreeing)
    found = found_pairs(hashes, most, agreeing=agreeing, label=np.array(label))
    assert found == [(i, j) for i, j in every if label[i] != label[j]]


def test_more_pairs_than_a_piece_holds_all_come() -> None:
    alike = [0xFEDCBA9876543210] * 600
    every = list(itertools.combinations(range(600), 2))
    assert len(every) > PIECE
    assert found_pairs(alike, 3) == every


@pytest.mark.parametrize("is_compiled", [False, True])
@pytest.mark.parametrize("room", [1, 2, 5])
@pytest.mark.parametrize("most_compared", [1, 4, 1 << 27])
def test_comparing_goes_on_where_it_stopped(
    is_compiled: bool, room: int, most_compared: int
) -> None:
    run = compiled_compare() if is_compiled else compare
    mask, none = np.uint64(1 << 63), words([])
    # The last is in a bucket with hashes that are not equal to it under the mask.
    bucket = words([1, 1, 1, 1, 1, 2, 2, 2, 3, 4, 4, 4])
    hashes = words([0, 1, 3, 7, 255, 0, 0, 1, 0, 5, 4, 4 | 1 << 63])
    label = np.array([0, 0, 1, 2, 3, 0, 0, 1, 0, 0, 1, 2])
    pairs = np.empty((2, room), np.int64)
    found, calls, one, other = [], 0, 0, 0
    while one < len(bucket):
        with np.errstate(over="ignore"):  # the product of the count's last step is cut to 64 bits
            count, one, other = run(
                bucket, hashes, label, 2, mask, none, one, other, pairs, most_compared
            )
        found += pairs[:, :count].T.tolist()
        calls += 1
    assert found == [[0, 2], [1, 2], [1, 3], [2, 3], [5, 7], [6, 7], [9, 10]]
    if room == 1 or most_compared == 1:
        assert calls > 6


def test_machine_code_that_nobody_may_keep_is_made_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    njit = numba.njit

    def refusing(function: Any, cache: bool = False) -> Any:
        if cache:
            raise RuntimeError("cannot cache function 'compare': no locator available")
        return njit(function)

    monkeypatch.setattr(numba, "njit", refusing)
    compiled_compare.cache_clear()
    assert found_pairs([1, 3, 0xFF], 1) == [(0, 1)]
    compiled_compare.cache_clear()


@settings(max_examples=200, deadline=None)
@given(clumped_hashes(), st.data(), st.integers(0, 12), st.sampled_from([None, 3, 4, 5, 7, 13, 30]))
def test_every_near_pair_between_two_lists_is_found_once_and_no_other(
    hashes: list[int], data: st.DataObject, most: int, blocks: int | None
) -> None:
    others = data.draw(st.lists(st.sampled_from(hashes), max_size=6))
    others = [other ^ sum(1 << bit for bit in data.draw(FLIPS)) for other in others]
    assert gathered(near_between(words(hashes), words(others), most, blocks)) == [
        (i, j)
        for i in range(len(hashes))
        for j in range(len(others))
        if (hashes[i] ^ others[j]).bit_count() <= most
    ]


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([5], []), ([], [5])])
def test_nothing_is_near_nothing(ours: list[int], theirs: list[int]) -> None:
    assert gathered(near_between(words(ours), words(theirs), 8)) == []
    assert found_pairs(ours, 8) == []


def test_a_hash_that_repeats_meets_all_its_repeats() -> None:
    blank = 2**63 + 2**40
    found = near_between(words([blank] * (PIECE + 7)), words([7, blank ^ 0b111, blank]), 3)
    assert gathered(found) == [(i, j) for i in range(PIECE + 7) for j in (1, 2)]


def test_among_many_without_pattern_the_planted_pairs_are_found() -> None:
    rng = np.random.default_rng(11)
    hashes = rng.integers(0, 2**64, 60_000, dtype=np.uint64)
    planted = []
    for i in range(300):
        flips = rng.choice(64, i % 11, replace=False)
        hashes[59_999 - i] = hashes[i] ^ np.uint64(sum(1 << int(bit) for bit in flips))
        planted += [(i, 59_999 - i)] if i % 11 <= 8 else []
    assert gathered(near_pairs(hashes, 8)) == planted
    between = gathered(near_between(hashes[:30_000], hashes[30_000:], 8))
    assert [(i, j + 30_000) for i, j in between] == planted


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=8), st.integers(1, 5))
def test_ranges_come_in_order_and_in_pieces(bounds: list[tuple[int, int]], piece: int) -> None:
    starts, stops = np.array([*zip(*bounds, strict=True)] or [[], []], np.int64)
    pieces = list(ranges(starts, stops, piece))
    assert all(len(owners) == piece for owners, _ in pieces[:-1])
    found = [pair for i, j in pieces for pair in zip(i.tolist(), j.tolist(), strict=True)]
    assert found == [(i, j) for i, (low, high) in enumerate(bounds) for j in range(low, high)]
