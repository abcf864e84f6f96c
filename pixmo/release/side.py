"""One of two releases that are compared: its rows and verdicts as SQL."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pixmo.dataset.manifest import APART, Subset
from pixmo.dataset.reader import SPLITS, Release
from pixmo.errors import ReleaseError
from pixmo.workspace.workspace import literally


@dataclass(frozen=True)
class Side:
    """A subset of one of the two releases."""

    name: str  # before or after
    release: Release
    stem: str

    @property
    def subset(self) -> Subset | None:
        """What the manifest says of it; None where the release has none."""
        subsets = self.release.manifest.subsets
        return next((subset for subset in subsets if subset.stem == self.stem), None)

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(self.subset.rows.values()) if self.subset else 0

    def files(self, split: str) -> list[Path]:
        """The Parquet files of a split."""
        if self.subset is None:
            return []
        files = self.release.manifest.parquet(self.subset.name, split)
        return [self.release.root / file.path for file in files]

    def select_rows(self) -> str:
        """SQL for all rows, each with its split."""
        parts = [
            f"select *, '{split}' as split from {reading(files)}"
            for split in SPLITS
            if (files := self.files(split))
        ]
        nothing = "select '' as id, '' as image_sha256, '' as split limit 0"
        return " union all by name ".join(parts) or nothing

    def select_verdicts(self) -> str:
        """SQL for the rows that were candidates and are in no split: id, verdict, step, reason."""
        parts = ["(select '' as id, '' as verdict, '' as step, '' as reason limit 0)"]
        promised = {file.path for file in self.release.manifest.files}
        for folder, verdict in (("dropped", "dropped"), (APART, "set apart")):
            if (path := f"{folder}/{self.stem}.parquet") in promised:
                source = reading([self.release.root / path])
                parts.append(f"select id, '{verdict}' as verdict, step, reason from {source}")
        return " union all ".join(parts)


def reading(files: list[Path]) -> str:
    """SQL for the rows of Parquet files."""
    return f"read_parquet([{', '.join(map(literally, files))}], hive_partitioning = false)"


@contextlib.contextmanager
def refusals(sides: tuple[Side, Side]) -> Iterator[None]:
    """Whatever a missing or damaged file makes DuckDB raise is a ReleaseError."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        folders = " or ".join(str(side.release.root) for side in sides)
        why = " ".join(str(error).split())
        raise ReleaseError(
            f"{sides[0].stem} of {folders} cannot be compared: {why};"
            " pixmo validate says what is damaged"
        ) from error
