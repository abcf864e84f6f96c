"""Files as Label Studio shows them: images, upright, and recordings, in one folder; or by URL.

An image with an EXIF orientation is annotated in the frame in which it is displayed, and browsers
turn it or do not: so the file that is served is upright and says nothing of an orientation.
"""

import contextlib
import glob
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pixmo.drawing import SHOWN_BY_BROWSERS, read_upright
from pixmo.errors import LabelError, ReleaseError
from pixmo.files import create_atomically
from pixmo.workspace.workspace import Workspace

FOLDER = "label-studio"  # in the workspace
LOCAL_FILES = "/data/local-files/"  # where Label Studio shows files of its machine
UPRIGHT = 1  # EXIF's orientation of a picture that is not turned
LONGEST_SIDE = 1 << 16  # none is made smaller: a point is a share of it


@dataclass(frozen=True)
class Picture:
    """An image taken in."""

    sha256: str
    path: Path
    url: str | None
    format: str
    exif_orientation: int | None

    @property
    def is_served_as_it_is(self) -> bool:
        """Whether every browser shows the file upright."""
        return self.format in SHOWN_BY_BROWSERS and self.exif_orientation in (None, UPRIGHT)


def pictures(workspace: Workspace) -> dict[str, Picture]:
    """The images taken in, by their sha256, in the order in which they came."""
    with workspace.connect() as connection:
        rows = connection.execute(
            "select image_sha256, path, image_url, format, exif_orientation from images"
            " order by ordinal"
        ).fetchall()
    return {
        sha256: Picture(sha256, workspace.path(path), url, format_, orientation)
        for sha256, path, url, format_, orientation in rows
    }


@dataclass(frozen=True)
class ServedFiles:
    """The folder of the workspace that Label Studio serves, and the URLs of what is in it."""

    workspace: Workspace
    document_root: Path

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self.workspace.root / FOLDER

    @property
    def folders(self) -> tuple[Path, Path]:
        """What the server is to serve."""
        return self.folder / "images", self.folder / "audio"

    def has(self, sha256: str) -> bool:
        """Whether there is a file of an image."""
        return any((self.folder / "images").glob(f"{glob.escape(sha256)}.*"))

    def picture(self, picture: Picture) -> str:
        """The URL of an image, which is in the folder now.

        Raises:
            LabelError: the image cannot be read.
        """
        kept = picture.is_served_as_it_is
        suffix = f".{SHOWN_BY_BROWSERS[picture.format]}" if kept else ".png"
        file = self.folder / "images" / f"{picture.sha256}{suffix}"

        def write(path: Path) -> None:
            if kept:
                same_bytes(picture.path, path)
            else:
                read_upright(picture.path, LONGEST_SIDE).save(path, "PNG")

        return self.url(file, picture.path, write)

    def recording(self, sha256: str, recording: Path) -> str:
        """The URL of a recording, which is in the folder now.

        Raises:
            LabelError: it cannot be read.
        """
        file = self.folder / "audio" / f"{sha256}{recording.suffix}"
        return self.url(file, recording, lambda path: same_bytes(recording, path))

    def url(self, file: Path, source: Path, write: Callable[[Path], None]) -> str:
        """The URL of a file, written unless it is there."""
        if not file.exists():
            try:
                create_atomically(file, write)
            except (OSError, ReleaseError) as error:
                raise LabelError(f"{source} cannot be shown: {error}") from error
        return f"{LOCAL_FILES}?d={quote(str(file.relative_to(self.document_root)))}"


@dataclass(frozen=True)
class ServedBucket(ServedFiles):
    """The same files in a bucket, for which Label Studio makes presigned URLs as they are shown."""

    client: Any  # boto3's, for S3
    bucket: str
    prefix: str  # of all keys: empty, or with a slash at its end

    def url(self, file: Path, source: Path, write: Callable[[Path], None]) -> str:
        """What Label Studio presigns; the file is in the bucket now."""
        super().url(file, source, write)
        key = f"{self.prefix}{file.relative_to(self.folder)}"
        with self.refusals():
            found = self.client.list_objects_v2(Bucket=self.bucket, Prefix=key, MaxKeys=1)
            if not found.get("Contents"):
                self.client.upload_file(str(file), self.bucket, key)
        return f"s3://{self.bucket}/{key}"

    def prepare(self) -> None:
        """The bucket can be written, and holds something: Label Studio takes no empty prefix."""
        with self.refusals():
            self.client.put_object(
                Bucket=self.bucket, Key=f"{self.prefix}pixmo.txt", Body=b"shown in Label Studio\n"
            )

    @contextlib.contextmanager
    def refusals(self) -> Iterator[None]:
        """Whatever is wrong with the bucket is one error.

        Raises:
            StorageError: anything was.
        """
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (Boto3Error, BotoCoreError, ClientError) as error:
            raise StorageError(
                f"s3://{self.bucket}/{self.prefix} cannot be written ({error}); see [label_studio]"
                " bucket and s3_endpoint in pixmo.toml, and the keys in the environment"
            ) from error


class StorageError(LabelError):
    """Where images are to be shown from cannot be written, whichever image it is."""


def same_bytes(source: Path, path: Path) -> None:
    """`path` holds what `source` does, on the disk once where that can be."""
    try:
        os.link(source.resolve(strict=True), path)
    except OSError:
        shutil.copyfile(source, path)


def url_of(picture: Picture) -> str:
    """The image's own URL.

    Raises:
        LabelError: it has none.
    """
    if not picture.url or picture.exif_orientation not in (None, UPRIGHT):
        reason = "is turned by its EXIF orientation" if picture.url else "has no image_url"
        raise LabelError(
            f"image {picture.sha256} {reason}, so annotators would not see what its points mean;"
            ' set [label_studio] images = "local-files"'
        )
    return picture.url
