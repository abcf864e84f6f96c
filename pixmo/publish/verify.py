"""Every byte at a place is compared with the manifest there."""

import hashlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pixmo.dataset.manifest import File, fault_of, unlisted
from pixmo.execution.progress import SILENT, Progress
from pixmo.execution.threads import map_in_threads
from pixmo.publish.place import Contents, Readable, needed

READING_THREADS = 8


@dataclass(frozen=True)
class Verification:
    """What was found at a place."""

    place: str
    version: str
    manifest_sha256: str
    files: int  # that the manifest names
    bytes: int  # of them
    faults: tuple[str, ...]  # a line for every file that is missing, changed or too many
    is_signed: bool
    signed: str = ""  # the signature's trusted comment, if it was checked and holds

    @property
    def passed(self) -> bool:
        """Whether the place holds the release, all of it and nothing else."""
        return not self.faults


def verify(
    place: Readable,
    progress: Progress = SILENT,
    check_signature: Callable[[Contents], str] | None = None,
) -> Verification:
    """Every file at a place has been read and compared with the manifest.

    `check_signature` raises SignatureError where the signature does not hold, and returns its
    trusted comment.

    Raises:
        ReleaseError: there is no whole release.
        PublishError: the place cannot be read.
    """
    found = needed(place)
    manifest = found.manifest
    sizes = place.files()
    faults, signed = [], ""
    if check_signature:
        try:
            signed = check_signature(found)
        except SignatureError as error:
            faults.append(str(error))

    def fault(file: File) -> str:
        return fault_of(file, sizes.get(file.path), lambda: sha256_chunks(place.read(file.path)))

    total = sum(file.bytes for file in manifest.files)
    with progress.task("Verifying", total=total, unit="bytes") as advance:
        results = map_in_threads(fault, manifest.files, READING_THREADS, threading.Event())
        for file, line in zip(manifest.files, results, strict=True):
            faults += [line] if line else []
            advance(file.bytes)
    faults += unlisted(sizes, manifest)
    return Verification(
        place.name,
        manifest.version,
        found.sha256,
        len(manifest.files),
        total,
        tuple(faults),
        found.signature is not None,
        signed,
    )


class SignatureError(Exception):
    """A signature does not hold, or there is none; the message is a fault's line."""


def sha256_chunks(chunks: Iterable[bytes]) -> str:
    """The sha256 of what the chunks make together, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
