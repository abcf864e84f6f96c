"""How large the splits of a release are, as its files say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from pixmo.dataset.manifest import File
from pixmo.release.content import Content

UNITS = ("B", "kB", "MB", "GB", "TB")
LEAST_OF_NEXT = 999.5  # rounded it would be 1000 of its unit
ONE_DIGIT = 9.95  # below it a digit is left behind the point


@dataclass(frozen=True)
class SplitSize:
    """What one split of a subset holds."""

    rows: int
    bytes: int  # of its columns, not compressed
    file_bytes: int


Sizes = Mapping[str, Mapping[str, SplitSize]]  # by the subset's name, then by split


def sizes(release: Path, content: Content, files: Sequence[File]) -> Sizes:
    """The size of every split; splits without rows are left out."""
    return {
        subset.recipe.name: {
            split: split_size(release, subset.recipe.name, split, files) for split in subset.splits
        }
        for subset in content.filled
    }


def split_size(release: Path, name: str, split: str, files: Sequence[File]) -> SplitSize:
    """The size of a split: of all its files together."""
    rows = columns = on_disk = 0
    for file in files:
        if file.path.startswith(f"{name}/{split}-"):
            read = pq.read_metadata(release / file.path)
            rows += read.num_rows
            columns += sum(read.row_group(n).total_byte_size for n in range(read.num_row_groups))
            on_disk += file.bytes
    return SplitSize(rows, columns, on_disk)


def readable(size: int) -> str:
    """A number of bytes, such as 12 B, 3.1 kB or 540 MB; 1 kB is 1000 B."""
    power = 0
    while size / 1000**power >= LEAST_OF_NEXT and power < len(UNITS) - 1:
        power += 1
    amount = size / 1000**power
    digits = 1 if power and amount < ONE_DIGIT else 0
    return f"{amount:,.{digits}f} {UNITS[power]}"
