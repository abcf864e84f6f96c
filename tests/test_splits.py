"""Splits keep their shares, and nothing that is added later moves a picture."""

import pytest

from pixmo.curate.splits import split_of
from pixmo.dataset.reader import SPLITS
from pixmo.hashing import sha256_bytes

SHARES = {"train": 0.8, "validation": 0.15, "test": 0.05}
CLUSTERS = [sha256_bytes(str(i).encode()) for i in range(20_000)]


def test_splits_hold_their_shares() -> None:
    splits = [split_of(cluster, SHARES) for cluster in CLUSTERS]
    for split in SPLITS:
        assert splits.count(split) / len(splits) == pytest.approx(SHARES[split], abs=0.01)


def test_a_share_of_nothing_is_empty_and_of_all_is_full() -> None:
    for split in SPLITS:
        shares = {name: float(name == split) for name in SPLITS}
        assert {split_of(cluster, shares) for cluster in CLUSTERS[:500]} == {split}


def test_splits_are_the_same_on_every_machine_and_for_ever() -> None:
    splits = [split_of(cluster, SHARES) for cluster in CLUSTERS[:1000]]
    letters = "".join(split[0] + split[1] for split in splits)
    assert sha256_bytes(letters.encode())[:16] == "e18d9dae7124b27e"


def test_a_larger_test_share_takes_nothing_out_of_test() -> None:
    larger = {"train": 0.75, "validation": 0.15, "test": 0.1}
    was_test = [cluster for cluster in CLUSTERS if split_of(cluster, SHARES) == "test"]
    assert {split_of(cluster, larger) for cluster in was_test} == {"test"}
