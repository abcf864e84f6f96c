"""Which image a recording or a written transcript is about."""

import contextlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixmo.hashing import sha256_file
from pixmo.workspace.workspace import Workspace

NO_IMAGE = "no image for this recording"
SEVERAL_IMAGES = "more than one image for this recording"
SPEAKER_MARK = "__"  # photo__anna.webm is about the image photo.jpg


@dataclass(frozen=True)
class ImageLinks:
    """The images taken in, by every name that they go by; a name can be that of several."""

    workspace: Workspace
    hashes: dict[str, set[str]]
    paths: dict[str, set[str]]  # as the table holds them
    urls: dict[str, set[str]]
    names: dict[str, set[str]]
    stems: dict[str, set[str]]

    @classmethod
    def of(cls, workspace: Workspace) -> "ImageLinks":
        """The links to the images in the workspace's table."""
        tables: list[dict[str, set[str]]] = [defaultdict(set) for _ in range(5)]
        columns = ["image_sha256", "path", "image_url"]
        rows = workspace.read("images").select(columns).to_pylist()
        # The newest row of an image counts: it may have moved. Of two images in one place the newer
        # row: the file was replaced. What an image was called before means it still, unless another
        # one is called so now.
        newest: dict[str, dict[str, Any]] = {}
        for row in rows:
            newest.pop(row["image_sha256"], None)
            newest[row["image_sha256"]] = row
        current = {row["path"]: row for row in newest.values()}
        earlier = [row for row in rows if row is not current.get(row["path"])]
        for some in (list(current.values()), earlier):
            taken = [set(table) for table in tables]
            for row in some:
                sha256, path = row["image_sha256"], Path(row["path"])
                keys = (sha256, row["path"], row["image_url"], path.name, path.stem)
                for table, key, names in zip(tables, keys, taken, strict=True):
                    if key not in names:
                        table[key].add(sha256)
        return cls(workspace, *(dict(table) for table in tables))

    def named(self, name: str, folder: Path) -> set[str]:
        """The sha256 of the images that `name`, written in a file in `folder`, can mean.

        In this order: a sha256; a source URL; a path from `folder`, from the workspace's images/
        or from the workspace; a file name; a file name without suffix; a file with the bytes of an
        image that was taken in under another name.
        """
        files = [root / name for root in (folder, self.workspace.images, self.workspace.root)]
        found = self.hashes.get(name.lower()) or self.urls.get(name)
        for file in files:
            found = found or self.paths.get(self.workspace.relative(file))
        found = found or self.names.get(name) or self.stems.get(name)
        for file in files:
            # A name can be too long for any file, or a file unreadable: it names no image then.
            with contextlib.suppress(OSError):
                if not found and file.is_file():
                    found = self.hashes.get(sha256_file(file))
        return found or set()

    def of_recording(self, path: Path) -> set[str]:
        """The sha256 of the images with the recording's stem, or with its part before `__`."""
        return self.stems.get(path.stem) or self.stems.get(
            path.stem.rpartition(SPEAKER_MARK)[0], set()
        )
