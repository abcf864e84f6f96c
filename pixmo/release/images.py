"""Images of a release: which of them travel inside it, as files or in the rows."""

import builtins
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import pyarrow as pa

from pixmo.dataset.manifest import EMBEDDED_COLUMN
from pixmo.errors import ReleaseError
from pixmo.execution.progress import SILENT, Progress
from pixmo.hashing import sha256_bytes, sha256_file
from pixmo.workspace.settings import ReleaseSettings
from pixmo.workspace.workspace import Workspace

GONE = "image file is gone"
CHANGED = "image file has changed"
UNREADABLE = "image file cannot be read"
SUFFIXES = {"JPEG": "jpg", "TIFF": "tif"}  # where it is not the format's name in lower case
# url: those without a source URL, as files; embedded: in the rows; files: as files.
Mode = Literal["url", "embedded", "files"]
MODES: tuple[Mode, ...] = get_args(Mode)
# What `datasets` stores of an image, and shows as one where the card declares it.
EMBEDDED = pa.field(EMBEDDED_COLUMN, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


@dataclass(frozen=True)
class SourceImage:
    """An image as the workspace has it."""

    sha256: str
    path: Path
    url: str | None
    format: str
    bytes: int
    license: str | None = None

    @property
    def place(self) -> str:
        """Where a release holds its file."""
        suffix = SUFFIXES.get(self.format, self.format.lower())
        return f"images/{self.sha256[:2]}/{self.sha256}.{suffix}"

    @property
    def release_url(self) -> str:
        """Where a release says the image is: its source URL, else its place in the release."""
        return self.url or self.place

    def read(self) -> builtins.bytes:
        """The file's bytes, which are those that were taken in.

        Raises:
            ReleaseError: they are not, or the file has gone.
        """
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise ReleaseError(f"{self.path} went away during the build: {error}") from error
        if sha256_bytes(data) != self.sha256:
            raise ReleaseError(f"{self.path} changed during the build; build again")
        return data


@dataclass(frozen=True)
class Travel:
    """How images travel with a release, and which of them may.

    One that has no source URL always does: nobody could get it elsewhere. Of the others those do
    whose licence allows it; the rest are named by URL.
    """

    mode: Mode = "url"
    is_forced: bool = False
    free_licenses: frozenset[str] = frozenset()  # SPDX names, in upper case

    @classmethod
    def of(cls, settings: ReleaseSettings, mode: Mode = "url", is_forced: bool = False) -> "Travel":
        """As the workspace's settings have it."""
        return cls(mode, is_forced, frozenset(settings.free_licenses.upper().split()))

    def is_free(self, image: SourceImage) -> bool:
        """Whether its licence allows a copy."""
        return (image.license or "").upper() in self.free_licenses

    def may(self, image: SourceImage) -> bool:
        """Whether a copy of the image may be given on."""
        return image.url is None or self.is_free(image) or self.is_forced

    def inside(self, images: Iterable[SourceImage], progress: Progress = SILENT) -> frozenset[str]:
        """The images that travel inside a release, by sha256; each has its file still."""
        images = list(images)
        without_url = {image.sha256 for image in images if image.url is None}
        if self.mode == "url":
            return frozenset(without_url)
        others = {image.sha256: image for image in images if image.url and self.may(image)}
        faults = unusable(others, progress, with_url=True)
        return frozenset(without_url | (others.keys() - faults.keys()))


def mode(name: str) -> Mode:
    """The way for images to travel that has this name.

    Raises:
        ReleaseError: there is none.
    """
    for known in MODES:
        if known == name:
            return known
    raise ReleaseError(f"--images {name}: images travel as one of {', '.join(MODES)}")


def source_images(workspace: Workspace) -> dict[str, SourceImage]:
    """The images of the workspace by sha256."""
    names = ["image_sha256", "path", "image_url", "format", "bytes", "license"]
    rows = workspace.read("images").select(names).to_pylist()
    return {
        row["image_sha256"]: SourceImage(
            row["image_sha256"],
            workspace.path(row["path"]),
            row["image_url"],
            row["format"],
            row["bytes"],
            row["license"],
        )
        for row in rows
    }


def unusable(
    images: Mapping[str, SourceImage],
    progress: Progress = SILENT,
    by_size: bool = False,
    with_url: bool = False,
) -> dict[str, str]:
    """Why a file cannot go into a release, by sha256; of images that have no source URL, or of all.

    Every byte is read, or with `by_size` none: then only a file of another size has changed.
    """
    files = [image for image in images.values() if with_url or image.url is None]
    faults = {}
    with progress.task("Checking image files", total=len(files), unit="images") as advance:
        for image in files:
            try:
                size = image.path.stat().st_size
                same = size == image.bytes and (by_size or sha256_file(image.path) == image.sha256)
                if not same:
                    faults[image.sha256] = CHANGED
            except FileNotFoundError:
                faults[image.sha256] = GONE
            except OSError:
                faults[image.sha256] = UNREADABLE
            advance(1)
    return faults


def copy_images(images: Sequence[SourceImage], release: Path, progress: Progress = SILENT) -> None:
    """Every one of these images lies in the release, its bytes checked on the way.

    Raises:
        ReleaseError: a file is not what it was when the build began.
    """
    with progress.task("Copying images", total=len(images), unit="images") as advance:
        for image in images:
            data = image.read()
            target = release / image.place
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            advance(1)


def embedded(
    table: pa.Table, images: Mapping[str, SourceImage], inside: frozenset[str]
) -> pa.Table:
    """The rows with their image in a first column; null where it does not travel.

    Raises:
        ReleaseError: a file is not what it was when the build began.
    """
    read: dict[str, dict[str, object]] = {}
    column = []
    for sha256 in table.column("image_sha256").to_pylist():
        if sha256 in inside and sha256 not in read:
            read[sha256] = {"bytes": images[sha256].read(), "path": images[sha256].place}
        column.append(read.get(sha256))
    return table.add_column(0, EMBEDDED, pa.array(column, EMBEDDED.type))
