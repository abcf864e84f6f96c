"""What a place that holds a release can do, whether a folder, a bucket or a hub."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from pixmo.dataset.manifest import FILE_NAME, SIGNATURE, File, Manifest, parse
from pixmo.errors import PublishError, ReleaseError
from pixmo.execution.progress import Progress
from pixmo.hashing import sha256_bytes

if TYPE_CHECKING:
    from pixmo.publish.shipment import Shipment

READ_ATTEMPTS = 5  # without a byte in between
FIRST_DELAY_SECONDS = 0.5  # before the second attempt; doubled before each further one


@dataclass(frozen=True)
class Contents:
    """What a whole release says of itself, as it stands at a place."""

    manifest: Manifest
    manifest_bytes: bytes
    signature: bytes | None
    place: "Readable"

    @property
    def sha256(self) -> str:
        """The manifest's sha256: it names every byte of the release."""
        return sha256_bytes(self.manifest_bytes)


class Readable(Protocol):
    """Where files can be listed and read."""

    @property
    def name(self) -> str:
        """As a person writes it: s3://bucket/prefix, hf://org/name or a folder's path."""
        ...

    def files(self) -> dict[str, int]:
        """The bytes of every file there, by path; none where there is nothing."""
        ...

    def read(self, path: str) -> Iterator[bytes]:
        """Yield the bytes of a file in chunks.

        Raises:
            FileNotFoundError: there is no such file, said at the first chunk.
            PublishError: the place cannot be read.
        """
        ...


class Place(Readable, Protocol):
    """Where a release can be published."""

    def standing(self, manifest: Manifest) -> Contents | None:
        """The whole release that is there, and that another cannot replace."""
        ...

    def foreign(self, manifest: Manifest) -> Sequence[str]:
        """Paths of files there that keep this release from being published."""
        ...

    def holding(self, shipment: "Shipment") -> set[str]:
        """Paths of the release's files that are there already, byte for byte.

        Raises:
            PublishError: something is there, or on its way, that keeps the release from coming.
        """
        ...

    def receive(self, shipment: "Shipment", sends: Sequence[File], progress: Progress) -> None:
        """The whole release is there; nothing that was there is another thing now.

        `sends` are those of its files that are not there yet. Readers see the manifest last.
        """
        ...

    def making_way(self, release: Contents) -> Sequence[str]:
        """Paths of an older release's files there that are gone when this one is published."""
        ...

    def check_signable(self, release: Contents) -> None:
        """Nothing, if the signature of a release that is there can still be sent.

        Raises:
            PublishError: it cannot.
        """
        ...

    def complete(self, shipment: "Shipment") -> None:
        """Of a release that is there: its signature is there, and nothing a publisher left."""
        ...


def contents(place: Readable) -> Contents | None:
    """The release that is whole at a place, None where there is none.

    Raises:
        ReleaseError: its manifest is none, or names what is outside the release.
        PublishError: the place cannot be read.
    """
    try:
        found = b"".join(place.read(FILE_NAME))
    except FileNotFoundError:
        return None
    manifest = parse(found, f"{place.name}/{FILE_NAME}")
    try:
        signature = b"".join(place.read(SIGNATURE))
    except FileNotFoundError:
        signature = None
    return Contents(manifest, found, signature, place)


def needed(place: Readable) -> Contents:
    """The release that is whole at a place.

    Raises:
        ReleaseError: there is none, or its manifest is wrong.
        PublishError: the place cannot be read.
    """
    found = contents(place)
    if found is None:
        raise ReleaseError(f"{place.name} holds no whole release: it has no {FILE_NAME}")
    return found


def check_sizes(release: Contents) -> None:
    """Nothing, if every file of a release is where it stands, with as many bytes as promised.

    Raises:
        PublishError: one is not, or the place cannot be read.
    """
    place, sizes = release.place, release.place.files()
    for file in release.manifest.files:
        if sizes.get(file.path) != file.bytes:
            fault = "has another size" if file.path in sizes else "is missing"
            raise PublishError(
                f"{place.name} has the manifest of release {release.manifest.version}, but"
                f" {file.path} {fault} there; pixmo verify {place.name} says what else is wrong"
            )


def local_file(root: Path, path: str) -> Path:
    """Where a file of the release in the folder `root` is."""
    return root.joinpath(*PurePosixPath(path).parts)


def read_on(
    read_from: Callable[[int], Iterator[bytes]], broken: tuple[type[Exception], ...]
) -> Iterator[bytes]:
    """Yield what `read_from(0)` does; where it breaks, it goes on from the bytes it has.

    `broken` are the errors that another attempt may mend; the last of several is raised.
    """
    offset, attempt = 0, 1
    while True:
        try:
            for chunk in read_from(offset):
                offset, attempt = offset + len(chunk), 1
                yield chunk
        except broken:
            if attempt == READ_ATTEMPTS:
                raise
            time.sleep(FIRST_DELAY_SECONDS * 2 ** (attempt - 1))
            attempt += 1
        else:
            return
