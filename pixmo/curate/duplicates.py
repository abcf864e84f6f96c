"""Pictures that look alike, found exactly: no pair within the distance missed, none outside it.

Two pictures are alike when their 64-bit perceptual hashes differ in at most `max_distance` bits and
their 256-bit hashes, which see more detail, in at most `max_distance_256`, and when their
thumbnails, laid over each other, differ by at most `max_difference`; those of equal hashes are.

Equal pictures are one group. Groups that a chain of alike pictures connects are one cluster; of a
cluster `duplicates` keeps the best, then the best that resembles none kept, and so on. So a clump
of pictures costs its length, a long chain its length times what is kept of it. In a crowd whose
hashes are near and whose thumbnails differ, as forms have them, each is compared with its nearest
only. What grows with the square, in time and not in memory, is telling hashes of one crowd apart.
"""

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pixmo.curate.hamming import (
    Groups,
    Integers,
    Words,
    group,
    members,
    near_between,
    near_pairs,
    neighbours,
    ranges,
)
from pixmo.curate.thumbnails import Looks, Thumbnails

if TYPE_CHECKING:
    import duckdb

WORDS_PER_PICTURE = 5  # one word of 64 bits for phash_64, four for phash_256
NEIGHBOUR_ROUNDS = 16
LINKS = 1 << 21  # kept before they are drawn together
LOOKED_AT = 8  # of the pictures near one: those whose hashes are nearest
LARGE = 1 << 15  # groups of a cluster; above, what resembles the kept is searched, not compared
BEST = 1 << 12  # groups of a large cluster that are settled at a time


@dataclass(frozen=True)
class Likeness:
    """How near two pictures must be to count as one."""

    max_distance: int  # bits of 64
    max_distance_256: int  # bits of 256
    max_difference: float = math.inf  # as `thumbnails.difference` has it


@dataclass(frozen=True)
class Pictures:
    """What is compared of some pictures, in order of arrival."""

    sha256: list[str]
    pixels: Integers  # shape = (n,), width times height
    hashes: Words  # shape = (n, 5): phash_64, then phash_256 in four words
    thumbnails: Thumbnails | None = None

    def __len__(self) -> int:
        return len(self.sha256)

    def only(self, indices: Integers) -> "Pictures":
        """These pictures, in this order."""
        return Pictures(
            [self.sha256[i] for i in indices],
            self.pixels[indices],
            self.hashes[indices],
            self.thumbnails,
        )

    @cached_property
    def looks(self) -> Looks | None:
        """What they look like from afar, where that is known."""
        return Looks(self.sha256, self.thumbnails) if self.thumbnails else None

    def alike(self, first: Integers, second: Integers, likeness: Likeness) -> Integers:
        """The positions i at which picture first[i] is like second[i]."""
        near = self.near(first, second, likeness)
        return near[self.verified(first[near], second[near], likeness)]

    def verified(
        self, first: Integers, second: Integers, likeness: Likeness
    ) -> npt.NDArray[np.bool_]:
        """Whether pictures first[i] and second[i], whose hashes are near, show the same."""
        if self.looks is None or likeness.max_difference == math.inf:
            return np.ones(len(first), bool)
        return ~self.looks.differ(first, second, likeness.max_difference)

    def near(self, first: Integers, second: Integers, likeness: Likeness) -> Integers:
        """The positions i at which the hashes of picture first[i] are near those of second[i]."""
        differing = self.hashes[first, 0] ^ self.hashes[second, 0]
        near: Integers = np.flatnonzero(np.bitwise_count(differing) <= likeness.max_distance)
        _, distance_256 = distances(self.hashes, first[near], second[near])
        return near[distance_256 <= likeness.max_distance_256]


@dataclass(frozen=True)
class Duplicate:
    """A picture to drop, and the kept one that it resembles."""

    sha256: str
    kept_sha256: str
    distance: int  # bits of 64
    distance_256: int  # bits of 256


class Chains:
    """Which of `count` things links connect; their memory stays bounded however many come."""

    def __init__(self, count: int) -> None:
        self._label: Integers = np.arange(count)
        self._links: list[tuple[Integers, Integers]] = []
        self._waiting = 0

    def link(self, first: Integers, second: Integers) -> None:
        """first[i] and second[i] are connected."""
        self._links.append((first, second))
        self._waiting += len(first)
        if self._waiting > LINKS:
            self.labels()

    def labels(self) -> Integers:
        """A number for each thing, equal for what is connected."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        if self._waiting:
            first, second = (np.concatenate(side) for side in zip(*self._links, strict=True))
            count = len(self._label)
            ends = self._label[first], self._label[second]
            graph = coo_array((np.ones(len(first), np.int8), ends), (count, count))
            self._label = connected_components(graph, directed=False)[1][self._label]
            self._links, self._waiting = [], 0
        return self._label


def read_pictures(connection: "duckdb.DuckDBPyConnection") -> Pictures:
    """All images of the workspace, in order of arrival."""
    found = connection.sql(
        "select image_sha256, width * height as pixels, phash_64 || phash_256 as hashes"
        " from images order by ordinal, image_sha256"
    ).to_arrow_table()
    sha256s = found.column("image_sha256").to_pylist()
    return Pictures(
        sha256s,
        found.column("pixels").to_numpy().astype(np.int64),
        parse_hashes(found.column("hashes").to_pylist()),
        Thumbnails(connection),
    )


def parse_hashes(texts: list[str]) -> Words:
    """Hexadecimal hashes as 64-bit words, shape = (n, 5)."""
    raw = np.frombuffer(bytes.fromhex("".join(texts)), dtype=">u8").astype(np.uint64)
    return raw.reshape(len(texts), WORDS_PER_PICTURE)


def equal_pictures(hashes: Words) -> Groups:
    """Pictures of equal hashes as groups, their first pictures first; `values` are the phash_64."""
    order = np.lexsort(hashes.T[::-1])
    changes = (hashes[order[1:]] != hashes[order[:-1]]).any(axis=1)
    starts = np.flatnonzero(np.append(True, changes)[: len(hashes)])
    return Groups(hashes[order[starts], 0], np.append(starts, len(hashes)), order)


def distances(hashes: Words, first: Integers, second: Integers) -> tuple[Integers, Integers]:
    """How far pictures lie from others, in bits of 64 and in bits of 256."""
    bits = np.bitwise_count(hashes[first] ^ hashes[second])
    return bits[:, 0].astype(np.int64), bits[:, 1:].sum(axis=1, dtype=np.int64)


def chained(pictures: Pictures, likeness: Likeness) -> Integers:
    """A number for each of these pictures, equal where a chain of alike pictures connects them.

    Their hashes ascend and are distinct. Only pictures with others near are looked at closer.
    """
    label = chained_by_hash(pictures, likeness)
    if pictures.looks is not None and likeness.max_difference < math.inf:
        some = np.flatnonzero(np.bincount(label)[label] > 1)
        label[some] = len(label) + chained_closely(pictures.only(some), likeness)
    return label


def chained_by_hash(pictures: Pictures, likeness: Likeness) -> Integers:
    """What `chained` returns where hashes alone decide."""
    short = pictures.hashes[:, 0]
    chains = Chains(len(pictures))

    def link(first: Integers, second: Integers) -> None:
        near = pictures.near(first, second, likeness)
        chains.link(first[near], second[near])

    # What is connected before the search begins need not be told apart by it.
    for first, second in neighbours(short, likeness.max_distance, NEIGHBOUR_ROUNDS):
        link(first, second)
    label = chains.labels()
    for first, second in unconnected(group(short), label, likeness.max_distance):
        apart = label[first] != label[second]
        link(first[apart], second[apart])
    return chains.labels()


def chained_closely(pictures: Pictures, likeness: Likeness) -> Integers:
    """What `chained` returns where thumbnails decide of what is near by its hashes.

    A crowd of forms has as many near pairs as the square of its number, and none of them holds. So
    of what is near a picture and not yet connected with it, the nearest are looked at, and after
    every turn that connected something, the nearest of what is left to those that are connected.
    """
    short = pictures.hashes[:, 0]
    chains = Chains(len(pictures))
    search = neighbours(short, likeness.max_distance, NEIGHBOUR_ROUNDS)
    for turn in itertools.count():
        label = chains.labels()
        asked = np.bincount(label)[label] > 1 if turn > 1 else np.ones(len(label), bool)
        first, second = nearest(pictures, search, label, asked, likeness)
        found = False
        # A tree of links connects as much as all of them; others are tried where one does not hold.
        while len(first):
            tree = spanning(label, first, second)
            held = tree[pictures.verified(first[tree], second[tree], likeness)]
            chains.link(first[held], second[held])
            label, found = chains.labels(), found or bool(len(held))
            left = np.delete(np.arange(len(first)), tree)
            left = left[label[first[left]] != label[second[left]]]
            first, second = first[left], second[left]
        if turn and not found:
            break
        search = unconnected(group(short), label, likeness.max_distance)
    return chains.labels()


def nearest(
    pictures: Pictures,
    search: Iterable[tuple[Integers, Integers]],
    label: Integers,
    asked: npt.NDArray[np.bool_],
    likeness: Likeness,
) -> tuple[Integers, Integers]:
    """Of the pairs found that are near and of two labels, those nearest to either picture.

    One of the two at least is `asked`, shape = (n,).
    """
    chosen: Integers = np.zeros((3, 0), np.int64)  # first, second, bits of 256
    for first, second in search:
        apart = np.flatnonzero((label[first] != label[second]) & (asked[first] | asked[second]))
        first, second = first[apart], second[apart]
        near = pictures.near(first, second, likeness)
        _, bits = distances(pictures.hashes, first[near], second[near])
        chosen = np.concatenate([chosen, np.stack([first[near], second[near], bits])], axis=1)
        if chosen.shape[1] > LINKS:
            chosen = chosen[:, nearest_of_either(chosen)]
    first, second, _ = chosen[:, nearest_of_either(chosen)]
    return first, second


def nearest_of_either(pairs: Integers) -> Integers:
    """The positions of pairs that are among the nearest of their first or of their second."""
    ends = np.concatenate([pairs[0], pairs[1]])
    order = np.lexsort((np.tile(pairs[2], 2), ends))
    starts = np.flatnonzero(np.diff(ends[order], prepend=-1))
    rank = np.arange(len(ends)) - np.repeat(starts, np.diff(starts, append=len(ends)))
    found: Integers = np.unique(order[rank < LOOKED_AT] % max(1, pairs.shape[1]))
    return found


def spanning(label: Integers, first: Integers, second: Integers) -> Integers:
    """The positions of links that connect as much as all of them, and no more than needed."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    count = len(label)
    ends = np.sort(np.stack([label[first], label[second]]), axis=0)
    _, some = np.unique(ends[0] * count + ends[1], return_index=True)
    # Weights are positions, so that a tree's links are known again; 0 would be no link.
    graph = coo_array((some + 1.0, (ends[0, some], ends[1, some])), (count, count))
    found: Integers = minimum_spanning_tree(graph.tocsr()).data.astype(np.int64) - 1
    return found


def unconnected(
    groups: Groups, label: Integers, max_distance: int
) -> Iterator[tuple[Integers, Integers]]:
    """Yield, in pieces, the pairs near at 64 bits, except of groups that one label fills."""
    starts = groups.starts[:-1]
    if not len(starts):
        return
    mixed = np.minimum.reduceat(label, starts) != np.maximum.reduceat(label, starts)
    own = len(label) + np.arange(len(starts))
    for left, right in near_pairs(groups.values, max_distance, np.where(mixed, own, label[starts])):
        yield from members(groups, groups, left, right)
    # Within a mixed group each meets those after it.
    after = np.where(np.repeat(mixed, groups.sizes), np.arange(len(label)) + 1, len(label))
    yield from ranges(after, np.repeat(groups.starts[1:], groups.sizes))


def clusters(pictures: Pictures, likeness: Likeness) -> dict[str, str]:
    """The cluster of every picture: the sha256 of the one in it that arrived first.

    A cluster is what a chain of alike pictures connects. Named by its first arrival, it keeps its
    name when pictures are added later, unless a new picture connects two clusters.
    """
    groups = equal_pictures(pictures.hashes)
    label = np.empty(len(pictures), np.int64)
    of_groups = chained(pictures.only(groups.order[groups.starts[:-1]]), likeness)
    label[groups.order] = np.repeat(of_groups, groups.sizes)
    _, first, cluster = np.unique(label, return_index=True, return_inverse=True)
    names = [pictures.sha256[i] for i in first.tolist()]
    return {sha256: names[i] for sha256, i in zip(pictures.sha256, cluster.tolist(), strict=True)}


def duplicates(pictures: Pictures, likeness: Likeness) -> list[Duplicate]:
    """The pictures to drop so that no two of those left are alike.

    Pictures are visited from the most pixels to the fewest, then in order of arrival; each is kept
    unless it resembles a kept one. So a chain of small changes loses only what resembles a kept
    picture, and every pair reported is within the distance.
    """
    ranked = pictures.only(np.argsort(-pictures.pixels, kind="stable"))
    groups = equal_pictures(ranked.hashes)
    best = groups.order[groups.starts[:-1]]  # a smaller number is a better rank
    label = chained(ranked.only(best), likeness)
    order = np.lexsort((best, label))
    best, label = best[order], label[order]
    kept_of = np.arange(len(ranked))
    size = np.bincount(label)[label]
    few = np.flatnonzero((size > 1) & (size <= LARGE))
    kept_of[best[few]] = best[few][keep_best(ranked.only(best[few]), label[few], likeness)]
    for large in np.unique(label[size > LARGE]).tolist():
        many = np.flatnonzero(label == large)
        kept_of[best[many]] = best[many][keep_best_of_many(ranked.only(best[many]), likeness)]
    kept_of[groups.order] = np.repeat(kept_of[groups.order[groups.starts[:-1]]], groups.sizes)
    return list(dropped(ranked, kept_of))


def keep_best(pictures: Pictures, cluster: Integers, likeness: Likeness) -> Integers:
    """The kept picture that each resembles; its own number for a kept one.

    `cluster` ascends, and within a cluster the best come first; all clusters take turns together.
    """
    alive: Integers = np.arange(len(pictures))
    kept_of = alive.copy()
    while len(alive):
        is_best = np.append(True, np.diff(cluster[alive]) != 0)
        best = np.maximum.accumulate(np.where(is_best, alive, 0))
        near = pictures.alike(alive, best, likeness)
        kept_of[alive[near]] = best[near]
        alive = np.delete(alive, near)
    return kept_of


def keep_best_of_many(pictures: Pictures, likeness: Likeness, at_a_time: int = BEST) -> Integers:
    """What `keep_best` returns for one large cluster.

    The best are settled at a time; what resembles those that they keep is then searched.
    """
    short = pictures.hashes[:, 0]
    alive: Integers = np.arange(len(pictures))
    kept_of = alive.copy()
    while len(alive):
        head, alive = alive[:at_a_time], alive[at_a_time:]
        kept_of[head] = head[keep_best(pictures.only(head), np.zeros_like(head), likeness)]
        kept = head[kept_of[head] == head]
        resembled = np.full(len(alive), len(pictures))
        for one, other in near_between(short[alive], short[kept], likeness.max_distance):
            near = pictures.alike(alive[one], kept[other], likeness)
            np.minimum.at(resembled, one[near], kept[other[near]])
        gone = resembled < len(pictures)
        kept_of[alive[gone]] = resembled[gone]
        alive = alive[~gone]
    return kept_of


def dropped(pictures: Pictures, kept_of: Integers) -> Iterator[Duplicate]:
    """Yield the pictures that are not kept themselves."""
    gone = np.flatnonzero(kept_of != np.arange(len(pictures)))
    kept = kept_of[gone]
    distance, distance_256 = distances(pictures.hashes, gone, kept)
    for row in zip(
        *(column.tolist() for column in (gone, kept, distance, distance_256)), strict=True
    ):
        yield Duplicate(pictures.sha256[row[0]], pictures.sha256[row[1]], *row[2:])


def duplicates_table(found: list[Duplicate]) -> pa.Table:
    """Duplicates as a table that SQL can join with rows."""
    names = ("sha256", "kept_sha256", "distance", "distance_256")
    kinds = (pa.string(), pa.string(), pa.int64(), pa.int64())
    schema = pa.schema(list(zip(names, kinds, strict=True)))
    return pa.Table.from_pylist([{n: getattr(d, n) for n in names} for d in found], schema)
