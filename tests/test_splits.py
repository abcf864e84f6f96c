"""Splits keep their shares and prefer what people agreed on; a released picture stays."""

from dataclasses import replace
from pathlib import Path

import pytest

from pixmo.curate.duplicates import Likeness
from pixmo.curate.splits import Splits, place, split_of
from pixmo.curate.step_kinds import Query
from pixmo.dataset.reader import SPLITS
from pixmo.hashing import sha256_bytes

SHARES = {"train": 0.8, "validation": 0.15, "test": 0.05}
AGREED = Query("agreed.sql", Path("agreed.sql"), "", "")
PREFERRING = Splits(SHARES, Likeness(8, 60), AGREED, 4.0)
IMAGES = [sha256_bytes(str(i).encode()) for i in range(20_000)]
CLUSTERS = {image: image for image in IMAGES}


def shares_of(split: dict[str, str], clusters: list[str]) -> dict[str, float]:
    """What part of these clusters each split has."""
    found = [split[cluster] for cluster in clusters]
    return {name: found.count(name) / len(found) for name in SPLITS}


def test_splits_hold_their_shares() -> None:
    found = shares_of(place(CLUSTERS, PREFERRING), IMAGES)
    assert found == pytest.approx(SHARES, abs=0.01)


def test_a_share_of_nothing_is_empty_and_of_all_is_full() -> None:
    for split in SPLITS:
        shares = {name: float(name == split) for name in SPLITS}
        placed = place(CLUSTERS, replace(PREFERRING, shares=shares), IMAGES[:500])
        assert set(placed.values()) == {split}


def test_splits_are_the_same_on_every_machine_and_for_ever() -> None:
    placed = place(CLUSTERS, PREFERRING)
    letters = "".join(placed[image][0] + placed[image][1] for image in IMAGES[:1000])
    assert sha256_bytes(letters.encode())[:16] == "e18d9dae7124b27e"


def test_a_larger_test_share_takes_nothing_out_of_test() -> None:
    larger = {"train": 0.75, "validation": 0.15, "test": 0.1}
    was_test = [cluster for cluster in IMAGES if split_of(cluster, SHARES) == "test"]
    assert {split_of(cluster, larger) for cluster in was_test} == {"test"}


@pytest.mark.parametrize("agreed", [IMAGES[:2000], IMAGES[:15_000]], ids=["few", "most"])
def test_what_people_agreed_on_goes_to_evaluation_more_often(agreed: list[str]) -> None:
    placed = place(CLUSTERS, PREFERRING, agreed)
    assert shares_of(placed, IMAGES) == pytest.approx(SHARES, abs=0.01)
    preferred = shares_of(placed, agreed)
    others = shares_of(placed, IMAGES[len(agreed) :])
    for split in ("validation", "test"):
        assert preferred[split] / others[split] == pytest.approx(4, rel=0.25)


def test_shares_hold_when_there_is_no_room_for_the_whole_preference() -> None:
    shares = {"train": 0.2, "validation": 0.4, "test": 0.4}
    placed = place(CLUSTERS, replace(PREFERRING, shares=shares), IMAGES[:2000])
    assert shares_of(placed, IMAGES) == pytest.approx(shares, abs=0.01)
    assert shares_of(placed, IMAGES[:2000])["train"] == 0


def test_one_image_agreed_on_is_enough_for_its_cluster() -> None:
    pairs = {image: IMAGES[i - i % 2] for i, image in enumerate(IMAGES)}
    first, second = (
        place(pairs, PREFERRING, IMAGES[:2000:2]),
        place(pairs, PREFERRING, IMAGES[1:2000:2]),
    )
    assert first == second != place(pairs, PREFERRING)


def test_released_pictures_keep_their_split_whatever_people_agree_on_later() -> None:
    first = place(CLUSTERS, PREFERRING)
    released = {image: first[image] for image in IMAGES[:10_000]}
    later = place(CLUSTERS, PREFERRING, IMAGES[:10_000], released)
    assert {image: later[image] for image in released} == released
    assert place(CLUSTERS, PREFERRING, IMAGES[:10_000]) != later


def test_shares_hold_for_what_no_release_has() -> None:
    first = place(CLUSTERS, PREFERRING)
    released = {image: first[image] for image in IMAGES[:10_000]}
    later = place(CLUSTERS, PREFERRING, IMAGES[:10_000], released)
    assert shares_of(later, IMAGES[10_000:]) == pytest.approx(SHARES, abs=0.015)


@pytest.mark.parametrize("order", [1, -1])
def test_what_was_ever_tested_with_is_never_trained_on(order: int) -> None:
    a, b, c, d = IMAGES[:4]
    released = dict([(a, "train"), (b, "validation"), (c, "test")][::order])
    together = dict.fromkeys((a, b, c), a) | {d: d}
    placed = place(together, PREFERRING, (), released)
    assert placed == {a: "test", d: split_of(d, SHARES)}
    del released[c]
    assert place(together, PREFERRING, (), released)[a] == "validation"
