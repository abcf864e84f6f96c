"""A release that was found to be what its manifest says, ready to be sent."""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixmo.dataset.manifest import File, unlisted
from pixmo.errors import ReleaseError
from pixmo.execution.progress import Progress
from pixmo.execution.threads import map_in_threads
from pixmo.publish.folder import Folder
from pixmo.publish.place import Contents, local_file, needed

READ_BYTES = 1 << 20
PART_BYTES = 8 << 20  # S3 takes no part under 5 MiB but the last
MOST_PARTS = 10_000  # of S3
HASHING_THREADS = 4


@dataclass(frozen=True)
class Shipment:
    """A release on its way."""

    source: Folder
    contents: Contents
    parts: Mapping[str, tuple[bytes, ...]]  # of each file the sha256 of its parts, in order

    @property
    def files(self) -> Sequence[File]:
        """What is sent before the manifest."""
        return self.contents.manifest.files

    @property
    def version(self) -> str:
        """The release's name."""
        return self.contents.manifest.version


def part_bytes(size: int) -> int:
    """The bytes of each part but the last of a file of `size` bytes."""
    mebibytes = -(-size // (MOST_PARTS * READ_BYTES))
    return max(PART_BYTES, mebibytes * READ_BYTES)


def pack(source: Folder, progress: Progress) -> Shipment:
    """The release in a folder, all its bytes compared with its manifest.

    Raises:
        ReleaseError: it is no whole release, or not the one that was built.
    """
    found = needed(source)
    sizes = source.files()
    manifest = found.manifest
    faults = unlisted(sizes, manifest)
    parts: dict[str, tuple[bytes, ...]] = {}

    def hashed(file: File) -> tuple[str, tuple[bytes, ...]]:
        if sizes.get(file.path) != file.bytes:
            return "", ()  # nothing has this sha256
        return hash_parts(local_file(source.root, file.path), file.bytes)

    total = sum(file.bytes for file in manifest.files)
    with progress.task("Checking files", total=total, unit="bytes") as advance:
        results = map_in_threads(hashed, manifest.files, HASHING_THREADS, threading.Event())
        for file, (sha256, parts[file.path]) in zip(manifest.files, results, strict=True):
            if sha256 != file.sha256:
                faults.append(f"{file.path} is missing or is not the file that was released")
            advance(file.bytes)
    if faults:
        more = f", and {len(faults) - 1} more like it" if faults[1:] else ""
        raise ReleaseError(
            f"{source.name} is not what its manifest says: {faults[0]}{more}; restore it from where"
            " it is whole, or build the release under another name"
        )
    return Shipment(source, found, parts)


def hash_parts(path: Path, size: int) -> tuple[str, tuple[bytes, ...]]:
    """The sha256 of a file of `size` bytes, and of each of its parts."""
    part = part_bytes(size)
    whole, digests, room = hashlib.sha256(), [hashlib.sha256()], part
    with path.open("rb") as file:
        while chunk := file.read(READ_BYTES):  # a part is a multiple of it
            if not room:
                digests.append(hashlib.sha256())
                room = part
            digests[-1].update(chunk)
            if size > part:  # else the only part is the whole
                whole.update(chunk)
            room -= len(chunk)
    return (whole if size > part else digests[0]).hexdigest(), tuple(d.digest() for d in digests)
