"""Releases of plain files, quickly made, for what only moves bytes."""

from collections.abc import Mapping
from pathlib import Path
from random import Random

from pixmo.dataset.manifest import FILE_NAME, Manifest, file_entry
from pixmo.execution.progress import SILENT
from pixmo.publish.folder import Folder
from pixmo.publish.shipment import PART_BYTES, Shipment, pack

PARTS = 3  # of the large file
LARGE = "pixmo-cap/train-00000-of-00001.parquet"
SIZES = {
    "README.md": 700,
    "empty.txt": 0,
    "images/a b/ä+&.png": 5_000,
    LARGE: (PARTS - 1) * PART_BYTES + 12_345,
    "pixmo-points/train-00000-of-00001.parquet": PART_BYTES,  # one part, to the byte
}


def plain_release(
    root: Path, version: str = "v1", seed: int = 0, sizes: Mapping[str, int] = SIZES
) -> Path:
    """A release in the folder `root`; its files are noise; returns it."""
    rng = Random(seed)
    for path, size in sizes.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        data = rng.randbytes(size)
        # A card is text, whatever it says.
        file.write_bytes(b"-" * size if path.endswith(".md") else data)
    write_manifest(root, version)
    return root


def write_manifest(root: Path, version: str = "v1") -> None:
    """The manifest promises the files as they are now."""
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    files = (file_entry(root, path) for path in paths)
    named = tuple(file for file in files if not file.path.startswith(FILE_NAME))
    Manifest(version, "0", "ODC-BY-1.0", (), named).write(root)


def packed(root: Path) -> Shipment:
    """A release, checked."""
    return pack(Folder(root), SILENT)


def contents(root: Path) -> dict[str, bytes]:
    """Every file in a folder, by path."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
