"""Which rows train and which test: by picture cluster, alike in every subset and version."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pixmo.curate.duplicates import Likeness
from pixmo.curate.step_kinds import Query
from pixmo.dataset.reader import SPLITS
from pixmo.hashing import unit_interval

TRAIN, *EVALUATION = SPLITS


@dataclass(frozen=True)
class Splits:
    """Shares of the splits, how alike pictures are that must share one, and which test best."""

    shares: Mapping[str, float]  # of the clusters, by split
    likeness: Likeness
    agreed: Query  # the images on which people agreed
    agreed_weight: float  # how many times as often their clusters go to validation and test


def place(
    clusters: Mapping[str, str],
    splits: Splits,
    agreed: Collection[str] = (),
    released: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The split of every cluster.

    `clusters` gives the cluster of every image; `agreed` are the images on which people agreed;
    `released` gives the split of those that a release has. A cluster with a released image stays
    where that is; with several, nearest to the test, so that no later model trains on what an
    earlier release tested with. Any other goes by its name and by whether people agreed on it.
    Of what no release has, the shares hold for all clusters together, so what people agree on moves
    some of the others: only a release settles where they are.
    """
    agreed_clusters = {clusters[image] for image in agreed if image in clusters}
    split: dict[str, str] = {}
    for image, of_image in (released or {}).items():
        if name := clusters.get(image):
            split[name] = nearest_to_test(of_image, split.get(name, TRAIN))
    names = set(clusters.values()) - split.keys()
    share = len(agreed_clusters & names) / max(1, len(names))
    others, preferred = weighted(splits.shares, splits.agreed_weight, share)
    for name in names:
        split[name] = split_of(name, preferred if name in agreed_clusters else others)
    return split


def nearest_to_test(*splits: str) -> str:
    """Of several splits the one that a picture must be in, not to train what tested or will."""
    return max(splits, key=SPLITS.index)


def weighted(
    shares: Mapping[str, float], weight: float, agreed: float
) -> tuple[dict[str, float], dict[str, float]]:
    """The shares of validation and test among the other clusters, and among those agreed on.

    Those of the latter, a share `agreed` of all, are `weight` times the others', or as many times
    as there is room for; together they are `shares`.
    """
    evaluation = sum(shares[split] for split in EVALUATION)
    if evaluation > agreed:
        weight = min(weight, (1 - agreed) / (evaluation - agreed))
    others = {split: shares[split] / (1 + agreed * (weight - 1)) for split in EVALUATION}
    return others, {split: weight * share for split, share in others.items()}


def split_of(cluster: str, shares: Mapping[str, float]) -> str:
    """The split of a cluster, by its name and the shares of validation and test alone."""
    position = unit_interval(f"split {cluster}")
    for split in reversed(EVALUATION):
        if position < shares[split]:
            return split
        position -= shares[split]
    return TRAIN
