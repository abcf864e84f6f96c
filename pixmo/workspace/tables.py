"""Append-only tables: a folder of Parquet parts, each whole, each keeping its schema."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pixmo import schema
from pixmo.errors import WorkspaceError
from pixmo.files import create_atomically

PART = re.compile(r"part-(\d{8})\.parquet")


@dataclass(frozen=True)
class Table:
    """A table's folder and its promise."""

    name: str
    folder: Path

    @property
    def schema(self) -> schema.Schema:
        """The columns this table promises."""
        return schema.table(self.name)

    def parts(self) -> list[Path]:
        """The finished parts, oldest first; temporary files of writers are not among them."""
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if PART.fullmatch(path.name))

    def append(self, rows: Sequence[dict[str, Any]]) -> Path | None:
        """A new part holds `rows`, on the disk for good; None where there are none.

        Raises:
            SchemaError: a row does not keep the schema; nothing is written.
        """
        if not rows:
            return None
        return self.append_table(self.schema.table(rows, self.name))

    def append_table(self, table: pa.Table) -> Path:
        """A new part holds `table`, on the disk for good.

        Raises:
            SchemaError: it does not keep the schema; nothing is written.
        """
        self.schema.check(table, self.name)

        def write(path: Path) -> None:
            pq.write_table(table, path, compression="zstd", write_page_checksum=True)

        while True:
            path = self.folder / f"part-{self.next_number():08d}.parquet"
            # A part of that number can appear in between: another process writes here too.
            with contextlib.suppress(FileExistsError):
                create_atomically(path, write)
                return path

    def next_number(self) -> int:
        """One more than the newest part's number."""
        parts = self.parts()
        return int(parts[-1].stem.removeprefix("part-")) + 1 if parts else 0

    def read(self) -> pa.Table:
        """All rows, in the order they were appended, checked against their pages' checksums.

        Raises:
            WorkspaceError: a part is damaged or is not of this table.
        """
        tables = [self.read_part(path) for path in self.parts()]
        return pa.concat_tables([self.schema.arrow().empty_table(), *tables])

    def read_part(self, path: Path) -> pa.Table:
        """The rows of one part."""
        with refusals(path):
            part = pq.read_table(path, page_checksum_verification=True, partitioning=None)
        self.schema.check(part, str(path))
        return part.cast(self.schema.arrow())

    def check_footer(self, path: Path) -> None:
        """Nothing, if a part ends as a whole one does and holds this table's columns.

        Raises:
            WorkspaceError: it was cut short or overwritten.
        """
        with refusals(path):
            columns = pq.read_schema(path)
        self.schema.check(columns.empty_table(), str(path))


@contextlib.contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Whatever a damaged part makes pyarrow raise is a WorkspaceError."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise WorkspaceError(
            f"{path} is damaged ({error}); restore it, or delete it and run the step again"
        ) from error
