"""Image files of a release: those without a source URL travel inside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pixmo.errors import ReleaseError
from pixmo.execution.progress import SILENT, Progress
from pixmo.hashing import sha256_bytes, sha256_file
from pixmo.workspace.workspace import Workspace

GONE = "image file is gone"
CHANGED = "image file has changed"
UNREADABLE = "image file cannot be read"
SUFFIXES = {"JPEG": "jpg", "TIFF": "tif"}  # where it is not the format's name in lower case


@dataclass(frozen=True)
class SourceImage:
    """An image as the workspace has it."""

    sha256: str
    path: Path
    url: str | None
    format: str
    bytes: int

    @property
    def release_url(self) -> str:
        """Where a release says the image is: its source URL, else its place in the release."""
        suffix = SUFFIXES.get(self.format, self.format.lower())
        return self.url or f"images/{self.sha256[:2]}/{self.sha256}.{suffix}"


def source_images(workspace: Workspace) -> dict[str, SourceImage]:
    """The images of the workspace by sha256."""
    names = ["image_sha256", "path", "image_url", "format", "bytes"]
    rows = workspace.read("images").select(names).to_pylist()
    return {
        row["image_sha256"]: SourceImage(
            row["image_sha256"],
            workspace.path(row["path"]),
            row["image_url"],
            row["format"],
            row["bytes"],
        )
        for row in rows
    }


def unusable(
    images: Mapping[str, SourceImage], progress: Progress = SILENT, by_size: bool = False
) -> dict[str, str]:
    """Why a file cannot go into a release, by sha256, for images that have no source URL.

    Every byte is read, or with `by_size` none: then only a file of another size has changed.
    """
    files = [image for image in images.values() if image.url is None]
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


def copy_images(images: list[SourceImage], release: Path, progress: Progress = SILENT) -> None:
    """Every image without a source URL lies in the release, its bytes checked on the way.

    Raises:
        ReleaseError: a file is not what it was when the build began.
    """
    inside = [image for image in images if image.url is None]
    with progress.task("Copying images", total=len(inside), unit="images") as advance:
        for image in inside:
            try:
                data = image.path.read_bytes()
            except OSError as error:
                raise ReleaseError(f"{image.path} went away during the build: {error}") from error
            if sha256_bytes(data) != image.sha256:
                raise ReleaseError(f"{image.path} changed during the build; build again")
            target = release / image.release_url
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            advance(1)
