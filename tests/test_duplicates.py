"""Near-duplicates are exactly those within the distance, and texts within the similarity."""

from collections.abc import Iterator
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixmo.curate.duplicates import (
    Likeness,
    Pictures,
    clusters,
    compare,
    duplicates,
    near_pairs,
    parse_hashes,
)
from pixmo.curate.near_texts import jaccard, near_texts, word_grams
from tests.workspaces import prose

BITS_64 = st.integers(0, 2**64 - 1)
FLIPS = st.lists(st.integers(0, 63), max_size=12)


def distance(first: int, second: int) -> int:
    return (first ^ second).bit_count()


@st.composite
def clumped_hashes(draw: st.DrawFn) -> list[int]:
    """Hashes of which many lie near each other: seeds, and copies with a few bits flipped."""
    seeds = draw(st.lists(BITS_64, min_size=1, max_size=6))
    hashes = list(seeds)
    for seed in seeds:
        copies = draw(st.lists(FLIPS, max_size=4))
        hashes += [seed ^ sum(1 << bit for bit in set(flips)) for flips in copies]
    return draw(st.permutations(hashes))


@settings(max_examples=150, deadline=None)
@given(clumped_hashes(), st.integers(0, 10))
def test_every_near_pair_is_found_and_no_other(hashes: list[int], most: int) -> None:
    first, second = near_pairs(np.array(hashes, np.uint64), most)
    found = list(zip(first.tolist(), second.tolist(), strict=True))
    n = range(len(hashes))
    brute = [(i, j) for i in n for j in n if i < j and distance(hashes[i], hashes[j]) <= most]
    assert found == brute


def make_pictures(hashes: list[tuple[int, int]], pixels: list[int] | None = None) -> Pictures:
    """Pictures called 0, 1, … with these hashes of 64 and 256 bits."""
    return Pictures(
        [str(i) for i in range(len(hashes))],
        np.array(pixels or [1] * len(hashes), np.int64),
        parse_hashes([f"{short:016x}{long:064x}" for short, long in hashes]),
    )


def test_hashes_are_read_from_their_hexadecimal_digits() -> None:
    digits = "0123456789abcdef" + "f" * 16 + "0" * 15 + "1" + "8" + "0" * 15 + "0" * 16
    expected = [0x0123456789ABCDEF, 2**64 - 1, 1, 0x8000000000000000, 0]
    assert parse_hashes([digits]).tolist() == [expected]


def test_no_pictures_are_no_duplicates() -> None:
    assert duplicates(make_pictures([]), Likeness(8, 60)) == []
    assert clusters(make_pictures([]), Likeness(8, 60)) == {}


def test_a_pair_near_at_64_bits_must_be_near_at_256_too() -> None:
    pictures = make_pictures([(0, 0), (1, 2**61 - 1), (3, 2**60 - 1)])
    found = duplicates(pictures, Likeness(8, 60))
    assert [(d.sha256, d.kept_sha256, d.distance, d.distance_256) for d in found] == [
        ("2", "0", 2, 60)
    ]


def test_the_largest_stays_and_of_equals_the_first() -> None:
    pictures = make_pictures([(0, 0), (0, 0), (1, 1), (2**63, 0)], pixels=[5, 5, 9, 5])
    found = duplicates(pictures, Likeness(2, 2))
    assert {d.sha256: (d.kept_sha256, d.distance) for d in found} == {
        "0": ("2", 1),
        "1": ("2", 1),
        "3": ("2", 2),
    }


def test_of_a_chain_only_what_resembles_a_kept_picture_goes() -> None:
    chain = make_pictures([(0, 0), (0b11, 0), (0b1111, 0)])
    assert [d.sha256 for d in duplicates(chain, Likeness(2, 0))] == ["1"]
    assert set(clusters(chain, Likeness(2, 0)).values()) == {"0"}


@settings(max_examples=100, deadline=None)
@given(clumped_hashes(), st.integers(0, 8), st.randoms(use_true_random=False))
def test_what_is_left_holds_no_pair_and_what_went_had_one(
    hashes: list[int], most: int, rng: Random
) -> None:
    pixels = [rng.choice((1, 2, 3)) for _ in hashes]
    pictures = make_pictures([(h, h) for h in hashes], pixels)
    found = duplicates(pictures, Likeness(most, most))
    gone = {d.sha256 for d in found}
    left = [i for i in range(len(hashes)) if str(i) not in gone]
    assert not [
        (i, j) for i in left for j in left if i < j and distance(hashes[i], hashes[j]) <= most
    ]
    for d in found:
        dropped, kept = int(d.sha256), int(d.kept_sha256)
        assert kept in left
        assert d.distance == d.distance_256 == distance(hashes[dropped], hashes[kept]) <= most
        assert (-pixels[kept], kept) < (-pixels[dropped], dropped)


def components(hashes: list[int], most: int) -> Iterator[set[int]]:
    """Yield the connected components, found slowly."""
    left = set(range(len(hashes)))
    while left:
        reached, frontier = set(), {min(left)}
        while frontier:
            reached |= frontier
            frontier = {
                j
                for j in left - reached
                for i in frontier
                if distance(hashes[i], hashes[j]) <= most
            }
        left -= reached
        yield reached


@settings(max_examples=100, deadline=None)
@given(clumped_hashes(), st.integers(0, 8))
def test_clusters_are_components_named_by_their_first(hashes: list[int], most: int) -> None:
    found = clusters(make_pictures([(h, h) for h in hashes]), Likeness(most, most))
    expected = {str(i): str(min(c)) for c in components(hashes, most) for i in c}
    assert found == expected


def test_clusters_keep_their_names_when_pictures_are_added() -> None:
    rng = Random(5)
    hashes = [rng.getrandbits(64) for _ in range(200)]
    hashes += [h ^ (1 << rng.randrange(64)) for h in hashes[:50]]
    before = clusters(make_pictures([(h, h) for h in hashes[:220]]), Likeness(2, 2))
    after = clusters(make_pictures([(h, h) for h in hashes]), Likeness(2, 2))
    assert {sha256: after[sha256] for sha256 in before} == before


def test_equal_hashes_are_one_group_however_many() -> None:
    pictures = make_pictures([(7, 7)] * 20_000 + [(2**63, 9)])
    pairs = compare(pictures, Likeness(8, 60))
    assert len(pairs.members) == 2
    assert len(pairs.first) == 1
    assert len(duplicates(pictures, Likeness(8, 60))) == 20_000


def test_texts_that_repeat_are_found_with_their_true_similarity() -> None:
    texts = [prose(i) for i in range(60)]
    repeats = {f"copy-{i}": texts[i].replace(".", f" once more {i}.") for i in range(0, 60, 3)}
    rows = [(f"row-{i}", text) for i, text in enumerate(texts)] + list(repeats.items())
    found = near_texts(rows, 0.8)
    assert {near.id: near.kept_id for near in found} == {
        f"copy-{i}": f"row-{i}" for i in range(0, 60, 3)
    }
    for near in found:
        texts_of = dict(rows)
        both = word_grams(texts_of[near.id]), word_grams(texts_of[near.kept_id])
        assert near.jaccard == jaccard(*both) >= 0.8


def test_texts_are_found_as_brute_force_finds_them() -> None:
    rng = Random(3)
    rows = []
    for i in range(40):
        sentences = prose(i % 8, 160).split()
        for _ in range(rng.choice((0, 1, 2, 4, 8))):
            sentences[rng.randrange(160)] = "other"
        rows.append((f"{i:02d}", " ".join(sentences)))
    kept: list[tuple[str, frozenset[str]]] = []
    expected = []
    for row_id, text in rows:
        grams = word_grams(text)
        if any(jaccard(grams, other) >= 0.7 for _, other in kept):
            expected.append(row_id)
        else:
            kept.append((row_id, grams))
    found = near_texts(rows, 0.7)
    assert [near.id for near in found] == expected
    assert 5 < len(expected) < 35


@pytest.mark.parametrize("text", ["", "two words", "Zwei, Wörter!"])
def test_short_texts_are_compared_whole(text: str) -> None:
    found = near_texts([("a", text), ("b", text.upper()), ("c", text + " more")], 0.9)
    assert [(near.id, near.kept_id, near.jaccard) for near in found] == [("b", "a", 1.0)]
