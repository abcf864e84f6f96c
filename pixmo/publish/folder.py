"""A folder as a place: a release is copied beside it and then renamed, whole."""

import contextlib
import errno
import fcntl
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pixmo.dataset.manifest import FILE_NAME, SIGNATURE, File, Manifest
from pixmo.errors import PublishError, ReleaseError
from pixmo.execution.progress import Progress
from pixmo.execution.threads import map_in_threads
from pixmo.files import create_atomically, sweep_temporary, sync_folder, sync_tree, temporary_path
from pixmo.hashing import CHUNK_BYTES, sha256_file
from pixmo.publish.place import Contents, Readable, contents, local_file
from pixmo.publish.verify import sha256_chunks

if TYPE_CHECKING:
    from pixmo.publish.shipment import Shipment

COPYING_THREADS = 8
RECEIVING = ".receiving"
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Folder:
    """A folder that holds a release, or will."""

    root: Path

    @property
    def name(self) -> str:
        """The folder's path."""
        return str(self.root)

    def files(self) -> dict[str, int]:
        """The bytes of every file there, by path."""
        return sizes_in(self.root)

    def read(self, path: str) -> Iterator[bytes]:
        """Yield the bytes of a file in chunks.

        Raises:
            FileNotFoundError: there is no such file.
        """
        with local_file(self.root, path).open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def standing(self, manifest: Manifest) -> Contents | None:  # noqa: ARG002
        """The whole release that is there.

        Raises:
            PublishError: it is no folder.
        """
        if self.root.exists() and not self.root.is_dir():
            raise PublishError(f"{self.root} is a file; name a folder for the release")
        return contents(self)

    def foreign(self, manifest: Manifest) -> Sequence[str]:  # noqa: ARG002
        """Whatever is there: a release is copied beside the folder, then takes its place."""
        others = self.root.iterdir() if self.root.is_dir() else ()  # such as empty folders
        return sorted(self.files()) or sorted(path.name for path in others)

    def making_way(self, release: Contents) -> Sequence[str]:  # noqa: ARG002
        """Nothing: another release is never replaced."""
        return ()

    def check_signable(self, release: Contents) -> None:
        """Nothing: a signature may come at any time."""

    def holding(self, shipment: "Shipment") -> set[str]:
        """Paths of the files that a publisher copied before it was killed.

        Raises:
            PublishError: the folder is inside of the release.
        """
        self.check_outside(shipment.source)
        return self.copied(shipment.contents)

    def check_outside(self, source: Readable) -> None:
        """Nothing, if the folder does not lie inside of the release that is to be copied to it.

        Raises:
            PublishError: it does, so the release would have files too many.
        """
        if isinstance(source, Folder) and source.root.resolve() in self.root.resolve().parents:
            raise PublishError(f"{self.root} is inside of the release itself; name another folder")

    def receive(self, shipment: "Shipment", sends: Sequence[File], progress: Progress) -> None:
        """The whole release is in the folder, on the disk for good."""
        self.take(shipment.source, shipment.contents, sends, progress)

    def complete(self, shipment: "Shipment") -> None:
        """Its signature is there."""
        self.add_signature(shipment.contents.signature)

    def add_signature(self, signature: bytes | None) -> None:
        """The signature, if there is one, stands beside the manifest, or another did before."""
        path = self.root / SIGNATURE
        if signature is not None and not path.exists():
            create_atomically(path, lambda temporary: temporary.write_bytes(signature))

    def staging(self, release: Contents) -> Path:
        """The hidden folder beside this one that holds what has been copied of a release."""
        return self.root.with_name(f".{self.root.name}.{release.sha256[:16]}{RECEIVING}")

    def copied(self, release: Contents) -> set[str]:
        """Paths of the release's files that stand in the staging folder, byte for byte."""
        staging = self.staging(release)
        sizes = sizes_in(staging)
        return {
            file.path
            for file in release.manifest.files
            if sizes.get(file.path) == file.bytes
            and sha256_file(local_file(staging, file.path)) == file.sha256
        }

    def take(
        self, source: Readable, release: Contents, sends: Sequence[File], progress: Progress
    ) -> None:
        """The whole release has been copied from another place into this folder.

        Raises:
            ReleaseError: a file is not there, or not what the manifest says.
            PublishError: the disk is full; or another release has come to the folder meanwhile.
        """
        staging = self.staging(release)
        with self.only_copier(staging):
            if self.has(release):  # another process was quicker
                shutil.rmtree(staging, ignore_errors=True)
                return
            sweep_temporary(staging)
            try:
                copy(source, staging, sends, progress)
                check_whole(staging, release)
                if release.signature is not None:
                    (staging / SIGNATURE).write_bytes(release.signature)
                (staging / FILE_NAME).write_bytes(release.manifest_bytes)
                sync_tree(staging)
                sync_folder(staging)
                staging.rename(self.root)
                sync_folder(self.root.parent)
            except OSError as error:
                if error.errno in FULL:
                    shutil.rmtree(staging, ignore_errors=True)
                    raise PublishError(
                        f"{self.root}: {os.strerror(error.errno)}; nothing is left there, make"
                        " room and run the same command again"
                    ) from error
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    raise PublishError(
                        f"{self.root} was filled by somebody else meanwhile"
                    ) from error
                raise

    @contextlib.contextmanager
    def only_copier(self, staging: Path) -> Iterator[None]:
        """The staging folder is there, and no other process copies into it.

        Raises:
            PublishError: another process does.
        """
        staging.mkdir(parents=True, exist_ok=True)
        handle = os.open(staging, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise PublishError(
                f"another process copies this release to {self.root}; let it end"
            ) from error
        finally:
            os.close(handle)

    def has(self, release: Contents) -> bool:
        """Whether this very release is whole in the folder."""
        manifest = self.root / FILE_NAME
        return manifest.is_file() and manifest.read_bytes() == release.manifest_bytes


def copy(source: Readable, target: Path, files: Sequence[File], progress: Progress) -> None:
    """These files are in the folder `target`, under their names only when they are whole."""

    def copy_one(file: File) -> None:
        path = local_file(target, file.path)
        with temporary_path(path) as temporary:
            if copied_sha256(source, file, temporary) != file.sha256:
                raise ReleaseError(
                    f"{source.name}: {file.path} is not the file that was released: its sha256"
                    f" differs; pixmo verify {source.name} says what else does"
                )
            temporary.replace(path)

    total = sum(file.bytes for file in files)
    with progress.task("Copying", total=total, unit="bytes") as advance:
        results = map_in_threads(copy_one, files, COPYING_THREADS, threading.Event())
        for file, _ in zip(files, results, strict=True):
            advance(file.bytes)


def check_whole(staging: Path, release: Contents) -> None:
    """Nothing, if every file of the release is in the staging folder.

    Raises:
        PublishError: what was there when the work was planned is gone.
    """
    sizes = sizes_in(staging)
    if any(sizes.get(file.path) != file.bytes for file in release.manifest.files):
        raise PublishError(f"{staging} has lost files meanwhile; run the same command again")


def copied_sha256(source: Readable, file: File, path: Path) -> str:
    """A file of `source` has been copied to `path`; returns the sha256 of what was copied.

    Raises:
        ReleaseError: it is not there.
    """

    def written() -> Iterator[bytes]:
        with path.open("wb") as target:
            for chunk in source.read(file.path):
                target.write(chunk)
                yield chunk

    try:
        return sha256_chunks(written())
    except FileNotFoundError as error:
        raise ReleaseError(f"{source.name}: {file.path} is missing") from error


def sizes_in(root: Path) -> dict[str, int]:
    """The bytes of every file in a folder, by path there; none where there is no folder."""
    return {
        path.relative_to(root).as_posix(): path.stat().st_size
        for path in root.rglob("*")
        if path.is_file()
    }
