"""Images that a release holds in its rows become files."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pixmo.dataset.manifest import EMBEDDED_COLUMN, Manifest
from pixmo.errors import ReleaseError
from pixmo.files import replace_atomically
from pixmo.hashing import sha256_bytes

PIECE_ROWS = 100  # whose images are in memory at once


def unpacked(folder: Path, image_sha256: str) -> Path:
    """Where the file of an image is, once it is unpacked."""
    return folder / image_sha256[:2] / image_sha256


def embedded_sha256s(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield id, image_sha256 and the sha256 of the image itself, of the rows that hold one."""
    with pq.ParquetFile(path) as parquet:
        names = ["id", "image_sha256", EMBEDDED_COLUMN]
        for batch in parquet.iter_batches(PIECE_ROWS, columns=names):
            for row in batch.to_pylist():
                if (image := row[EMBEDDED_COLUMN]) is not None:
                    yield row["id"], row["image_sha256"], sha256_bytes(image["bytes"])


def unpack(root: Path, manifest: Manifest, folder: Path) -> None:
    """Every image in the rows of the release in `root` is a file in `folder`; others are kept.

    Raises:
        ReleaseError: a file of the release cannot be read, or an image is not that of its row.
    """
    for file in manifest.files:
        if not file.path.endswith(".parquet") or file.path.startswith("dropped/"):
            continue
        path = root / file.path
        try:
            with pq.ParquetFile(path) as parquet:
                names = ["image_sha256", EMBEDDED_COLUMN]
                for batch in parquet.iter_batches(PIECE_ROWS, columns=names):
                    unpack_rows(batch, folder)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise ReleaseError(f"{path} cannot be read: {' '.join(str(error).split())}") from error


def unpack_rows(rows: pa.RecordBatch, folder: Path) -> None:
    """The images of these rows are files in `folder`."""
    for row in rows.to_pylist():
        image, sha256 = row[EMBEDDED_COLUMN], row["image_sha256"]
        target = unpacked(folder, sha256)
        if image is None or target.is_file():
            continue
        data: bytes = image["bytes"]
        if sha256_bytes(data) != sha256:
            raise ValueError(f"an image has another sha256 than {sha256[:12]}…")
        replace_atomically(target, lambda temporary, data=data: temporary.write_bytes(data))  # type: ignore[misc]
