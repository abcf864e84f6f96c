"""Which rows train and which test: by picture cluster, alike in every subset and version."""

from collections.abc import Mapping

from pixmo.hashing import unit_interval


def split_of(cluster: str, shares: Mapping[str, float]) -> str:
    """The split of a near-duplicate cluster.

    It depends on the cluster's name and the shares alone, so rows added later move nothing, and
    pictures that look alike are never on both sides.
    """
    place = unit_interval(f"split {cluster}")
    for split in ("test", "validation"):
        if place < shares[split]:
            return split
        place -= shares[split]
    return "train"
