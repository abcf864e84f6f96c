"""A release on disk, read."""

import bisect
import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote

import pyarrow as pa
import pyarrow.parquet as pq

from pixmo.dataset import manifest as manifests
from pixmo.dataset.manifest import IMAGES, Manifest, is_file_of_release
from pixmo.dataset.unpack import unpack, unpacked
from pixmo.errors import ReleaseError
from pixmo.files import write_text
from pixmo.hashing import sha256_value

SPLITS = ("train", "validation", "test")


def why_unread(error: Exception) -> str:
    """Why a Parquet file cannot be read, in one line; of one that is gone Arrow gives the path."""
    if isinstance(error, FileNotFoundError):
        return os.strerror(errno.ENOENT)
    return " ".join(str(error).split())


@dataclass(frozen=True)
class Release:
    """A complete release, opened."""

    root: Path
    manifest: Manifest
    # Files of images that the release only names by URL, by sha256: a workspace has them.
    local_images: Mapping[str, Path] = field(default_factory=dict)
    unpacked: Path | None = None  # where images that stand in the rows become files

    @classmethod
    def open(
        cls,
        root: Path,
        local_images: Mapping[str, Path] | None = None,
        unpacked: Path | None = None,
    ) -> "Release":
        """The release in the folder `root`.

        Raises:
            ReleaseError: there is no such folder, or its manifest is missing or wrong.
        """
        if not root.is_dir():
            raise ReleaseError(
                f"there is no release at {root}; build it: pixmo build-release {quote(root.name)}"
            )
        return cls(root, manifests.read(root), local_images or {}, unpacked)

    @property
    def stems(self) -> list[str]:
        """The stems of the subsets that have rows."""
        return [subset.stem for subset in self.manifest.subsets if subset.rows]

    def splits(self, stem: str) -> list[str]:
        """The splits of a subset that have rows: some of train, validation, test, in that order."""
        rows = self.manifest.subset(stem).rows
        return [split for split in SPLITS if rows.get(split)]

    def read(self, stem: str, split: str) -> pa.Table:
        """The rows of one split of a subset, without images; none where the split is not there.

        Raises:
            ReleaseError: a promised file is missing or is no Parquet file.
        """
        from pixmo import schema

        promise = schema.subset(stem)
        tables = [promise.arrow().empty_table()]
        columns = promise.column_names if self.manifest.is_embedded else None
        for file in self.manifest.parquet(promise.name, split):
            try:
                path = self.root / file.path
                tables.append(pq.read_table(path, columns=columns, partitioning=None))
            except (OSError, pa.ArrowException) as error:
                raise ReleaseError(
                    f"{self.root / file.path} cannot be read: {why_unread(error)}"
                ) from error
        try:
            return pa.concat_tables(tables)
        except pa.ArrowException as error:
            raise ReleaseError(f"{self.root}: {stem}/{split} breaks its schema: {error}") from error

    def dropped(self, stem: str) -> pa.Table:
        """What was dropped of a subset: id, image_sha256, step, reason, evidence (JSON).

        Raises:
            ReleaseError: the release has no such subset, or the file cannot be read.
        """
        self.manifest.subset(stem)
        return self.read_file(f"dropped/{stem}.parquet")

    def apart(self, stem: str) -> pa.Table:
        """Rows set apart: the subset's columns, then split, step, reason, evidence (JSON).

        Raises:
            ReleaseError: the release has no such subset or set no row apart, or the file cannot be
                read.
        """
        if not self.manifest.subset(stem).apart:
            raise ReleaseError(f"release {self.manifest.version} set no row of {stem} apart")
        return self.read_file(f"apart/{stem}.parquet")

    def read_file(self, file: str) -> pa.Table:
        """A Parquet file of the release, by its path there.

        Raises:
            ReleaseError: it is missing or is no Parquet file.
        """
        path = self.root / file
        try:
            return pq.read_table(path, partitioning=None)
        except (OSError, pa.ArrowException) as error:
            raise ReleaseError(f"{path} cannot be read: {why_unread(error)}") from error

    def image_path(self, image_url: str, image_sha256: str) -> Path:
        """The file of a row's image; of an image in the rows a copy, which was unpacked.

        Raises:
            ReleaseError: it is not in the release, or named by URL only and there is no local copy;
                or the row names what lies outside the release.
        """
        path = self.file_inside(image_url, image_sha256) or self.local_images.get(image_sha256)
        if path is not None and path.is_file():
            return path
        if self.manifest.is_embedded and (copy := self.unpacked_image(image_sha256)):
            return copy
        raise ReleaseError(f"no file for image {image_url} (sha256 {image_sha256[:12]}…)")

    def file(self, path: str) -> Path:
        """Where a file that a row names is; the rows may come from a stranger.

        Raises:
            ReleaseError: it lies outside the release.
        """
        if not is_file_of_release(path):
            raise ReleaseError(
                f"{self.root}: a row names {path!r}, which can be no file of a release; validate it"
            )
        return self.root / path

    def file_inside(self, image_url: str, image_sha256: str) -> Path | None:
        """Where the release has the file of an image; None where it only names it, or embeds it.

        Raises:
            ReleaseError: the row names what lies outside the release.
        """
        if self.manifest.is_embedded:
            return None
        if "://" not in image_url:
            return self.file(image_url)
        begins = f"{IMAGES}/{image_sha256[:2]}/{image_sha256}"
        files = self.manifest.files  # sorted by path
        place = bisect.bisect_left(files, begins, key=lambda file: file.path)
        is_there = place < len(files) and files[place].path.startswith(begins)
        return self.root / files[place].path if is_there else None

    def unpacked_image(self, image_sha256: str) -> Path | None:
        """A file of an image that stands in the rows; None where none of them holds it.

        The first time, all of them are unpacked.

        Raises:
            ReleaseError: it is not said where to, or a file of the release cannot be read; or the
                row names what can be no image.
        """
        self.file(image_sha256)  # a stranger's may be a path to elsewhere
        if self.unpacked is None:
            raise ReleaseError(
                f"the images of {self.root} stand in its rows; open it with a folder to unpack to"
            )
        path = unpacked(self.unpacked, image_sha256)
        mark = self.unpacked / self.unpacked_mark
        if not path.is_file() and not mark.is_file():
            unpack(self.root, self.manifest, self.unpacked)
            write_text(mark, "")
        return path if path.is_file() else None

    @property
    def unpacked_mark(self) -> str:
        """A name of these bytes: it says that all of this release is unpacked."""
        return sha256_value([file.sha256 for file in self.manifest.files])
