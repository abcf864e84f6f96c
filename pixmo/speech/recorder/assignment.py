"""Which image an annotator describes next: the one with the fewest recordings, never one twice.

All of it is in memory, and follows from what the workspace holds: images, recordings and skips.
An image that somebody is at counts as recorded until they are done or have been away for long.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

AWAY_SECONDS = 3600.0  # after which what somebody was at is free again
MOST_SKIPS = 3  # people who skipped an image, after whom nobody is asked for it


@dataclass
class Lease:
    """What an annotator is at."""

    image: str
    until: float  # seconds, on the caller's clock


class Assignment:
    """Hands out images, by their sha256, in the order in which they were added."""

    def __init__(self, per_image: int) -> None:
        self.per_image = per_image
        self.leases: dict[str, Lease] = {}
        self._levels: defaultdict[int, dict[str, None]] = defaultdict(dict)  # images by need
        self._need: dict[str, int] = {}  # an image's level: its recordings, and who is at it
        self._seen: defaultdict[str, set[str]] = defaultdict(set)  # by annotator
        self._skips: defaultdict[str, set[str]] = defaultdict(set)  # by image
        self._recorded: set[tuple[str, str]] = set()
        self._withdrawn: frozenset[str] = frozenset()

    def add(self, images: Iterable[str]) -> None:
        """The images can be handed out; known ones stay as they are."""
        for image in images:
            if image not in self._need:
                self._need[image] = 0
                self._levels[0][image] = None

    def withdraw(self, images: frozenset[str]) -> None:
        """These images, and no others, are handed out to nobody; who is at one is given another."""
        self._withdrawn = images
        for person in [one for one, lease in self.leases.items() if lease.image in images]:
            self._leave(person, self.leases[person].image)

    def knows(self, image: str) -> bool:
        """Whether it was added."""
        return image in self._need

    def has_recorded(self, annotator: str, image: str) -> bool:
        """Whether there is a recording of theirs."""
        return (annotator, image) in self._recorded

    def record(self, annotator: str, image: str) -> None:
        """The annotator has recorded the image: it is not handed to them again."""
        self._leave(annotator, image)
        if image in self._need and not self.has_recorded(annotator, image):
            self._move(image, +1)
        self._recorded.add((annotator, image))
        self._seen[annotator].add(image)

    def skip(self, annotator: str, image: str) -> None:
        """The annotator wants another image."""
        self._leave(annotator, image)
        self._seen[annotator].add(image)
        self._skips[image].add(annotator)

    def next(self, annotator: str, now: float) -> str | None:
        """The image that the annotator is at, else the one most in need; None: none is left."""
        for person in [one for one, lease in self.leases.items() if lease.until <= now]:
            self._leave(person, self.leases[person].image)
        lease = self.leases.get(annotator)
        image = lease.image if lease else self._most_needed(annotator)
        if image is not None:
            self.keep(annotator, now, image)
        return image

    def keep(self, annotator: str, now: float, image: str = "") -> None:
        """The annotator is still at their image; who is at none is at `image`, if they may be."""
        if annotator not in self.leases and self.knows(image) and self._is_for(annotator, image):
            self.leases[annotator] = Lease(image, 0)
            self._move(image, +1)
        if annotator in self.leases:
            self.leases[annotator].until = now + AWAY_SECONDS

    def _most_needed(self, annotator: str) -> str | None:
        levels = (self._levels[level] for level in range(self.per_image))
        images = (image for level in levels for image in level)
        return next((image for image in images if self._is_for(annotator, image)), None)

    def _is_for(self, annotator: str, image: str) -> bool:
        return (
            image not in self._seen[annotator]
            and image not in self._withdrawn
            and len(self._skips.get(image, ())) < MOST_SKIPS
        )

    def _leave(self, annotator: str, image: str) -> None:
        lease = self.leases.get(annotator)
        if lease and lease.image == image:
            del self.leases[annotator]
            self._move(image, -1)

    def _move(self, image: str, by: int) -> None:
        del self._levels[self._need[image]][image]
        self._need[image] += by
        self._levels[self._need[image]][image] = None
