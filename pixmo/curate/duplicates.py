"""Pictures that look alike, found exactly: no pair within the distance missed, none outside it.

Two pictures are alike when their 64-bit perceptual hashes differ in at most `max_distance` bits and
their 256-bit hashes, which see more detail, in at most `max_distance_256`.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

if TYPE_CHECKING:
    import duckdb

HASH_BITS = 64
WORDS_PER_PICTURE = 5  # one word of 64 bits for phash_64, four for phash_256

Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Likeness:
    """How near two pictures must be to count as one."""

    max_distance: int  # bits of 64
    max_distance_256: int  # bits of 256


@dataclass(frozen=True)
class Pictures:
    """What is compared of some pictures, in order of arrival."""

    sha256: list[str]
    pixels: Integers  # shape = (n,), width times height
    hashes: Words  # shape = (n, 5): phash_64, then phash_256 in four words

    def __len__(self) -> int:
        return len(self.sha256)

    def only(self, indices: Integers) -> "Pictures":
        """These pictures, in this order."""
        return Pictures(
            [self.sha256[i] for i in indices], self.pixels[indices], self.hashes[indices]
        )


@dataclass(frozen=True)
class Duplicate:
    """A picture to drop, and the kept one that it resembles."""

    sha256: str
    kept_sha256: str
    distance: int  # bits of 64
    distance_256: int  # bits of 256


@dataclass(frozen=True)
class Pairs:
    """Groups of equal hashes, numbered by their first picture, and which groups are alike."""

    group_of: Integers  # shape = (n,), the group of each picture
    members: list[int]  # the first picture of each group
    first: Integers  # shape = (pairs,), groups; first < second
    second: Integers
    distance: Integers
    distance_256: Integers


def read_pictures(connection: "duckdb.DuckDBPyConnection") -> Pictures:
    """All images of the workspace, in order of arrival."""
    table = connection.sql(
        "select image_sha256, width * height as pixels, phash_64 || phash_256 as hashes"
        " from images order by ordinal, image_sha256"
    ).to_arrow_table()
    return Pictures(
        table.column("image_sha256").to_pylist(),
        table.column("pixels").to_numpy().astype(np.int64),
        parse_hashes(table.column("hashes").to_pylist()),
    )


def parse_hashes(texts: list[str]) -> Words:
    """Hexadecimal hashes as 64-bit words, shape = (n, 5)."""
    raw = np.frombuffer(bytes.fromhex("".join(texts)), dtype=">u8").astype(np.uint64)
    return raw.reshape(len(texts), WORDS_PER_PICTURE)


def near_pairs(hashes: Words, max_distance: int) -> tuple[Integers, Integers]:
    """Every pair of `hashes` (shape = (n,)) at most `max_distance` bits apart; first < second.

    Block method: cut into d + 3 blocks, two hashes within d bits agree on at least three whole
    blocks, so they meet among the hashes that are equal under one of the masks of three blocks.
    """
    count = len(hashes)
    found: Integers = np.zeros(0, np.int64)
    for mask in block_masks(max_distance):
        masked = hashes & mask
        order = np.argsort(masked, kind="stable")
        masked = masked[order]
        # Each is compared with the next, then the one after, while they still share the blocks:
        # memory stays at one array however large a bucket is.
        start: Integers = np.arange(count)
        met = [found]
        for offset in itertools.count(1):
            start = start[start + offset < count]
            start = start[masked[start] == masked[start + offset]]
            if not len(start):
                break
            left, right = order[start], order[start + offset]
            near = np.bitwise_count(hashes[left] ^ hashes[right]) <= max_distance
            left, right = left[near], right[near]
            met.append(np.minimum(left, right) * count + np.maximum(left, right))
        found = np.unique(np.concatenate(met))
    return found // max(count, 1), found % max(count, 1)


def block_masks(max_distance: int) -> Iterator[np.uint64]:
    """Yield masks such that any two hashes within `max_distance` agree under at least one."""
    blocks = max_distance + 3
    edges = [HASH_BITS * i // blocks for i in range(blocks + 1)]
    masks = [(1 << high) - (1 << low) for low, high in itertools.pairwise(edges)]
    for chosen in itertools.combinations(masks, 3):
        yield np.uint64(sum(chosen))


def compare(pictures: Pictures, likeness: Likeness) -> Pairs:
    """The groups of equal pictures and the pairs of groups that are alike."""
    _, first_of, group_of = np.unique(
        pictures.hashes, axis=0, return_index=True, return_inverse=True
    )
    # Groups are numbered by their first picture, so that a smaller number means a better rank.
    rank = np.argsort(first_of)
    number = np.empty_like(rank)
    number[rank] = np.arange(len(rank))
    members = first_of[rank]
    hashes = pictures.hashes[members]
    first, second = near_pairs(hashes[:, 0], likeness.max_distance)
    differing = hashes[first] ^ hashes[second]
    bits = np.bitwise_count(differing).astype(np.int64)
    distance, distance_256 = bits[:, 0], bits[:, 1:].sum(axis=1)
    alike = distance_256 <= likeness.max_distance_256
    return Pairs(
        number[group_of.reshape(-1)],
        members.tolist(),
        first[alike],
        second[alike],
        distance[alike],
        distance_256[alike],
    )


def clusters(pictures: Pictures, likeness: Likeness) -> dict[str, str]:
    """The cluster of every picture: the sha256 of the one in it that arrived first.

    A cluster is what a chain of alike pictures connects. Named by its first arrival, it keeps its
    name when pictures are added later, unless a new picture connects two clusters.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(pictures):
        return {}
    pairs = compare(pictures, likeness)
    groups = len(pairs.members)
    edges = coo_array(
        (np.ones(len(pairs.first), np.int8), (pairs.first, pairs.second)), (groups, groups)
    )
    _, component_of = connected_components(edges, directed=False)
    named: dict[int, str] = {}
    for group, picture in enumerate(pairs.members):
        named.setdefault(int(component_of[group]), pictures.sha256[picture])
    components = component_of[pairs.group_of]
    return {
        sha256: named[int(component)]
        for sha256, component in zip(pictures.sha256, components, strict=True)
    }


def duplicates(pictures: Pictures, likeness: Likeness) -> list[Duplicate]:
    """The pictures to drop so that no two of those left are alike.

    Pictures are visited from the most pixels to the fewest, then in order of arrival; each is kept
    unless it resembles a kept one. So a chain of small changes loses only what resembles a kept
    picture, and every pair reported is within the distance.
    """
    ranked = pictures.only(np.argsort(-pictures.pixels, kind="stable"))
    pairs = compare(ranked, likeness)
    # What each group resembles: a kept group and the two distances; itself as long as it is kept.
    match = {group: (group, 0, 0) for group in range(len(pairs.members))}
    for i in np.lexsort((pairs.first, pairs.second)).tolist():
        first, second = int(pairs.first[i]), int(pairs.second[i])
        if match[first][0] == first and match[second][0] == second:
            match[second] = first, int(pairs.distance[i]), int(pairs.distance_256[i])
    found = []
    for picture, group in enumerate(pairs.group_of.tolist()):
        kept_group, distance, distance_256 = match[group]
        kept = pairs.members[kept_group]
        if picture != kept:
            found.append(
                Duplicate(ranked.sha256[picture], ranked.sha256[kept], distance, distance_256)
            )
    return found


def duplicates_table(found: list[Duplicate]) -> pa.Table:
    """Duplicates as a table that SQL can join with rows."""
    names = ("sha256", "kept_sha256", "distance", "distance_256")
    kinds = (pa.string(), pa.string(), pa.int64(), pa.int64())
    schema = pa.schema(list(zip(names, kinds, strict=True)))
    return pa.Table.from_pylist([{n: getattr(d, n) for n in names} for d in found], schema)
