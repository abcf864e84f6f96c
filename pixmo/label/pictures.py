"""Images as Label Studio shows them: upright files in one folder, or wherever their URLs lead.

An image with an EXIF orientation is annotated in the frame in which it is displayed, and browsers
turn it or do not: so the file that is served is upright and says nothing of an orientation.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from pixmo.drawing import read_upright
from pixmo.errors import LabelError, ReleaseError
from pixmo.files import create_atomically
from pixmo.workspace.workspace import Workspace

FOLDER = PurePosixPath("label-studio", "images")  # in the workspace
UPRIGHT = 1  # EXIF's orientation of a picture that is not turned
SHOWN_BY_BROWSERS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif"}
LONGEST_SIDE = 1 << 16  # none is made smaller: a point is a share of it
QUALITY = 95


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


def local_file_url(workspace: Workspace, picture: Picture, document_root: Path) -> str:
    """Where Label Studio serves the picture from the files below its document root.

    The file is there now.

    Raises:
        LabelError: the image cannot be read.
    """
    kept = picture.is_served_as_it_is
    suffix = SHOWN_BY_BROWSERS[picture.format] if kept else "png"
    file = workspace.root / FOLDER / f"{picture.sha256}.{suffix}"
    if not file.exists():
        try:
            create_atomically(file, lambda path: serve(picture, path))
        except (OSError, ReleaseError) as error:
            raise LabelError(f"{picture.path} cannot be shown: {error}") from error
    return f"/data/local-files/?d={quote(str(file.relative_to(document_root)))}"


def serve(picture: Picture, path: Path) -> None:
    """`path` holds the picture as browsers show it."""
    if not picture.is_served_as_it_is:
        read_upright(picture.path, LONGEST_SIDE).save(path, "PNG")
        return
    try:
        os.link(picture.path.resolve(strict=True), path)  # the same bytes, on the disk once
    except OSError:
        shutil.copyfile(picture.path, path)


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
