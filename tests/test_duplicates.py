"""Near-duplicates are exactly those within the distance, and texts within the similarity."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pixmo import schema
from pixmo.curate import duplicates as module
from pixmo.curate import thumbnails
from pixmo.curate.duplicates import (
    Likeness,
    Pictures,
    clusters,
    duplicates,
    keep_best_of_many,
    parse_hashes,
)
from pixmo.curate.hamming import Words, near_pairs
from pixmo.curate.thumbnails import Floats, Levels, Thumbnails
from pixmo.images.fingerprint import thumbnail
from tests.benchmarks.look_alikes import table

BITS_64 = st.integers(0, 2**64 - 1)
FLIPS = st.sets(st.integers(0, 63), max_size=8)
LONG_FLIPS = st.sets(st.integers(0, 255), max_size=12)


def distance(first: int, second: int) -> int:
    return (first ^ second).bit_count()


@st.composite
def clumped_pictures(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Hashes of 64 and 256 bits of which many lie near each other in one, the other, or both."""
    seeds = draw(st.lists(st.tuples(BITS_64, st.integers(0, 2**256 - 1)), min_size=1, max_size=5))
    hashes = list(seeds)
    for short, long in seeds:
        for flips, long_flips in draw(st.lists(st.tuples(FLIPS, LONG_FLIPS), max_size=5)):
            near = (
                short ^ sum(1 << bit for bit in flips),
                long ^ sum(1 << bit for bit in long_flips),
            )
            hashes.append(near)
    return draw(st.permutations(hashes))


def likenesses() -> st.SearchStrategy[Likeness]:
    return st.builds(Likeness, st.integers(0, 8), st.integers(0, 12))


def make_pictures(hashes: list[tuple[int, int]], pixels: list[int] | None = None) -> Pictures:
    """Pictures called 0, 1, … with these hashes of 64 and 256 bits."""
    return Pictures(
        [str(i) for i in range(len(hashes))],
        np.array(pixels or [1] * len(hashes), np.int64),
        parse_hashes([f"{short:016x}{long:064x}" for short, long in hashes]),
    )


@pytest.fixture(scope="module", params=["as it ships", "little"])
def memory(request: pytest.FixtureRequest) -> Iterator[None]:
    """With little of it, links are drawn together, and clusters judged in parts, all the time."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "little":
            for name, value in {"LINKS": 3, "LARGE": 3, "BEST": 2}.items():
                patch.setattr(module, name, value)
        yield


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


def alike(one: tuple[int, int], other: tuple[int, int], likeness: Likeness) -> bool:
    return (
        distance(one[0], other[0]) <= likeness.max_distance
        and distance(one[1], other[1]) <= likeness.max_distance_256
    )


def kept_slowly(hashes: list[tuple[int, int]], pixels: list[int], likeness: Likeness) -> list[int]:
    """For each picture the kept one that it resembles, found by comparing with every kept one."""
    kept: list[int] = []
    kept_of = list(range(len(hashes)))
    for i in sorted(kept_of, key=lambda i: (-pixels[i], i)):
        resembled = [k for k in kept if alike(hashes[i], hashes[k], likeness)]
        kept_of[i] = resembled[0] if resembled else i
        kept += [] if resembled else [i]
    return kept_of


@pytest.mark.usefixtures("memory")
@settings(max_examples=60, deadline=None)
@given(clumped_pictures(), likenesses(), st.randoms(use_true_random=False))
def test_duplicates_are_those_that_comparing_all_finds(
    hashes: list[tuple[int, int]], likeness: Likeness, rng: Random
) -> None:
    pixels = [rng.choice((1, 2, 3)) for _ in hashes]
    found = duplicates(make_pictures(hashes, pixels), likeness)
    kept_of = kept_slowly(hashes, pixels, likeness)
    assert {int(d.sha256): int(d.kept_sha256) for d in found} == {
        i: kept for i, kept in enumerate(kept_of) if i != kept
    }
    for d in found:
        one, other = hashes[int(d.sha256)], hashes[int(d.kept_sha256)]
        assert (d.distance, d.distance_256) == (
            distance(one[0], other[0]),
            distance(one[1], other[1]),
        )


@settings(max_examples=60, deadline=None)
@given(clumped_pictures(), likenesses(), st.integers(1, 5))
def test_a_large_cluster_is_judged_as_a_small_one(
    hashes: list[tuple[int, int]], likeness: Likeness, at_a_time: int
) -> None:
    found = keep_best_of_many(make_pictures(hashes), likeness, at_a_time)
    assert found.tolist() == kept_slowly(hashes, [1] * len(hashes), likeness)


def components(count: int, is_alike: Callable[[int, int], bool]) -> Iterator[set[int]]:
    """Yield the connected components, found slowly."""
    left = set(range(count))
    while left:
        reached, frontier = set(), {min(left)}
        while frontier:
            reached |= frontier
            frontier = {j for j in left - reached for i in frontier if is_alike(i, j)}
        left -= reached
        yield reached


@pytest.mark.usefixtures("memory")
@settings(max_examples=60, deadline=None)
@given(clumped_pictures(), likenesses())
def test_clusters_are_components_named_by_their_first(
    hashes: list[tuple[int, int]], likeness: Likeness
) -> None:
    found = clusters(make_pictures(hashes), likeness)
    whole = components(len(hashes), lambda i, j: alike(hashes[i], hashes[j], likeness))
    assert found == {str(i): str(min(c)) for c in whole for i in c}


SHOWN = [table(0), table(1), table(2), Image.new("RGB", (40, 30), "white")]
LEVELS = np.array([np.frombuffer(thumbnail(image.convert("L")), np.uint8) for image in SHOWN])


@pytest.mark.usefixtures("memory")
@settings(max_examples=60, deadline=None)
@given(clumped_pictures(), likenesses(), st.data())
def test_pictures_near_by_their_hashes_are_looked_at_closer(
    hashes: list[tuple[int, int]], likeness: Likeness, data: st.DataObject
) -> None:
    # Pictures of equal hashes are one picture, whatever their thumbnails say.
    shows = {pair: data.draw(st.integers(-1, len(SHOWN) - 1)) for pair in sorted(set(hashes))}
    likeness = replace(likeness, max_difference=0.19)
    places = np.array([shows[pair] for pair in hashes])
    pixels = [data.draw(st.integers(1, 3)) for _ in hashes]
    known = [(str(i), LEVELS[place].tobytes()) for i, place in enumerate(places) if place >= 0]
    with duckdb.connect() as connection:
        connection.register("image_thumbnails", thumbnails_table(known))
        pictures = replace(make_pictures(hashes, pixels), thumbnails=Thumbnails(connection))
        in_clusters, found = clusters(pictures, likeness), duplicates(pictures, likeness)

    def is_alike(i: int, j: int) -> bool:
        same = shows[hashes[i]] == shows[hashes[j]] or -1 in (shows[hashes[i]], shows[hashes[j]])
        return alike(hashes[i], hashes[j], likeness) and same

    whole = components(len(hashes), is_alike)
    assert in_clusters == {str(i): str(min(c)) for c in whole for i in c}
    kept: list[int] = []
    gone = {}
    for i in sorted(range(len(hashes)), key=lambda i: (-pixels[i], i)):
        resembled = [k for k in kept if is_alike(i, k)]
        if resembled:
            gone[i] = resembled[0]
        else:
            kept.append(i)
    assert {int(d.sha256): int(d.kept_sha256) for d in found} == gone


def thumbnails_table(known: list[tuple[str, bytes]]) -> pa.Table:
    rows = [{"image_sha256": sha256, "thumbnail": pixels} for sha256, pixels in known]
    return schema.table("image_thumbnails").table(rows)


def test_a_word_of_two_clusters_is_searched_for_both() -> None:
    # The second picture resembles only the fourth. The fourth, third and first connect; and with
    # the hashes of 64 bits of the first and the third all that share one of them could be skipped.
    few, some, many = 0xF, 0xF << 10, 0xF << 20
    middle = few | many
    for short in range(1, 2**20, 2**17):
        hashes = [(short, middle ^ few), (short, middle ^ some)]
        hashes += [(short ^ 4, middle ^ many), (short ^ 4, middle)]
        assert set(clusters(make_pictures(hashes), Likeness(8, 4)).values()) == {"0"}


def random_words(count: int) -> Words:
    return np.random.default_rng(7).integers(0, 2**64, (count, 5), dtype=np.uint64)


def pictures_of(words: Words) -> Pictures:
    return Pictures([str(i) for i in range(len(words))], np.ones(len(words), np.int64), words)


def test_one_picture_however_often_costs_its_number() -> None:
    words = random_words(200_100)
    words[:200_000] = words[0]
    pictures = pictures_of(words)
    assert len(set(clusters(pictures, Likeness(8, 60)).values())) == 101
    found = duplicates(pictures, Likeness(8, 60))
    assert {d.kept_sha256 for d in found} == {"0"}
    assert len(found) == 199_999


def test_a_long_chain_is_one_cluster_that_loses_only_what_resembles_the_kept() -> None:
    length = 20_000
    rng = np.random.default_rng(3)
    flipped = np.uint64(1) << rng.integers(0, 64, (length, 2), dtype=np.uint64)
    words = np.zeros((length, 5), np.uint64)
    words[:, 0] = np.bitwise_xor.accumulate(flipped[:, 0] ^ flipped[:, 1])
    assert set(clusters(pictures_of(words), Likeness(4, 0)).values()) == {"0"}
    gone = {
        int(d.sha256): int(d.kept_sha256) for d in duplicates(pictures_of(words), Likeness(4, 0))
    }
    kept: list[int] = []
    for i in range(2000):  # the first are judged before all others
        near = np.bitwise_count(words[kept, 0] ^ words[i, 0]) <= 4
        if near.any():
            assert gone[i] == kept[int(near.argmax())]
        else:
            kept.append(i)
            assert i not in gone
    left = words[sorted(set(range(length)) - set(gone)), 0]
    assert not list(near_pairs(left, 4))


def test_a_large_clump_is_one_cluster() -> None:
    words = random_words(30_000)
    rng = np.random.default_rng(3)
    flipped = np.uint64(1) << rng.integers(0, 64, (20_000, 4, 5), dtype=np.uint64)
    words[:20_000] = words[0] ^ np.bitwise_or.reduce(flipped, axis=1)
    found = clusters(pictures_of(words), Likeness(8, 60))
    assert {found[str(i)] for i in range(20_000)} == {"0"}
    assert len(set(found.values())) == 10_001


def test_a_crowd_of_one_short_hash_is_told_apart_by_the_long_one() -> None:
    words = random_words(2_000)
    words[:, 0] = words[0, 0]
    words[1000:1400, 1:] = words[:400, 1:] ^ np.uint64(1 << 63)  # far away when sorted
    found = duplicates(pictures_of(words), Likeness(8, 60))
    assert {int(d.sha256): int(d.kept_sha256) for d in found} == {i + 1000: i for i in range(400)}
    assert len(set(clusters(pictures_of(words), Likeness(8, 60)).values())) == 1600


def test_clusters_keep_their_names_when_pictures_are_added() -> None:
    rng = Random(5)
    hashes = [rng.getrandbits(64) for _ in range(200)]
    hashes += [h ^ (1 << rng.randrange(64)) for h in hashes[:50]]
    before = clusters(make_pictures([(h, h) for h in hashes[:220]]), Likeness(2, 2))
    after = clusters(make_pictures([(h, h) for h in hashes]), Likeness(2, 2))
    assert {sha256: after[sha256] for sha256 in before} == before


def test_a_crowd_of_forms_is_compared_with_its_nearest_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # All near each other by their hashes; every tenth is a copy of the one before it.
    forms, bits = 300, np.random.default_rng(5).integers(0, 64, (300, 2))
    words = np.repeat(random_words(1), forms, axis=0)
    words[:, 1] ^= np.bitwise_or.reduce(np.uint64(1) << bits.astype(np.uint64), axis=1)
    words[:, 2] = np.arange(forms)
    shown = np.arange(forms)
    for copy in range(9, forms, 10):
        words[copy], shown[copy] = words[copy - 1], copy - 1
        words[copy, 4] ^= np.uint64(1)
    levels = np.random.default_rng(6).integers(0, 256, (forms, 8, 8), np.uint8)
    known = [
        (str(i), levels[look].repeat(8, 0).repeat(8, 1).tobytes()) for i, look in enumerate(shown)
    ]
    compared = 0
    really = thumbnails.difference

    def counting(first: Levels, second: Levels, enough: float) -> Floats:
        nonlocal compared
        compared += len(first)
        return really(first, second, enough)

    monkeypatch.setattr(thumbnails, "difference", counting)
    with duckdb.connect() as connection:
        connection.register("image_thumbnails", thumbnails_table(known))
        pictures = replace(pictures_of(words), thumbnails=Thumbnails(connection))
        first, second = np.triu_indices(forms, 1)
        assert len(pictures.near(first, second, FORMS)) == len(first)  # a crowd indeed
        found = {d.sha256: d.kept_sha256 for d in duplicates(pictures, FORMS)}
    assert found == {str(copy): str(copy - 1) for copy in range(9, forms, 10)}
    assert compared < 40 * forms < len(first)


FORMS = Likeness(12, 60, 0.19)


@pytest.mark.parametrize("members", [5, 60])
def test_copies_with_many_nearer_ones_are_connected_all_the_same(members: int) -> None:
    # Two clumps, each nearer to itself than to the other, and all the same picture.
    words = np.repeat(random_words(1), 2 * members, axis=0)
    words[:, 2] ^= np.arange(2 * members).astype(np.uint64)
    words[members:, 3] ^= np.uint64(2**40 - 1)
    same = Image.linear_gradient("L").resize((64, 64)).tobytes()
    with duckdb.connect() as connection:
        known = [(str(i), same) for i in range(2 * members)]
        connection.register("image_thumbnails", thumbnails_table(known))
        pictures = replace(pictures_of(words), thumbnails=Thumbnails(connection))
        assert set(clusters(pictures, FORMS).values()) == {"0"}
