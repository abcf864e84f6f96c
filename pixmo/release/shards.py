"""Parquet files of a release: the same rows give the same bytes."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SHARD_BYTES = 256 << 20  # of rows in memory; one of text is a few times smaller on disk
ROW_GROUP_ROWS = 20_000  # what a viewer reads to show one page: tens of megabytes
IMAGE_ROW_GROUP_ROWS = 100  # the same of rows that hold their image


class ParquetFile:
    """A Parquet file that is written piece by piece, with checksums and an index of its pages.

    Its bytes depend on the rows, the schema and pyarrow's version alone.
    """

    def __init__(self, path: Path, schema: pa.Schema, row_group_rows: int = ROW_GROUP_ROWS) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.row_group_rows = row_group_rows
        self.rows = 0
        self.bytes = 0  # of the rows in memory
        self.waiting = schema.empty_table()  # less than a row group
        # Dictionaries hold an image of several rows once. Content-defined chunks were measured:
        # files grow by 1 %, and as much is new in a version that lacks a few rows of points.
        self.writer = pq.ParquetWriter(
            path, schema, compression="zstd", write_page_checksum=True, write_page_index=True
        )

    def add(self, table: pa.Table) -> None:
        """These rows come next."""
        self.rows += table.num_rows
        self.bytes += table.nbytes
        waiting = pa.concat_tables([self.waiting, table])
        whole = waiting.num_rows - waiting.num_rows % self.row_group_rows
        self.write(waiting.slice(0, whole))
        self.waiting = waiting.slice(whole)

    def write(self, rows: pa.Table) -> None:
        """These rows are row groups of their own."""
        if rows.num_rows:
            self.writer.write_table(rows.combine_chunks(), row_group_size=self.row_group_rows)

    def close(self) -> None:
        """The file is complete."""
        self.write(self.waiting)
        self.writer.close()


class Shards:
    """The files `<split>-00000-of-00002.parquet` … that hold the rows of a split, in order."""

    def __init__(
        self,
        folder: Path,
        split: str,
        schema: pa.Schema,
        shard_bytes: int = SHARD_BYTES,
        row_group_rows: int = ROW_GROUP_ROWS,
    ) -> None:
        self.folder, self.split, self.schema = folder, split, schema
        self.shard_bytes, self.row_group_rows = shard_bytes, row_group_rows
        self.files: list[ParquetFile] = []

    def add(self, table: pa.Table) -> None:
        """These rows come next, in a new shard if the last one is full."""
        if not self.files or self.files[-1].bytes >= self.shard_bytes:
            if self.files:
                self.files[-1].close()
            path = self.folder / f"{self.split}-{len(self.files):05d}.parquet"
            self.files.append(ParquetFile(path, self.schema, self.row_group_rows))
        self.files[-1].add(table)

    def close(self) -> dict[Path, int]:
        """All shards are complete, under names that say how many there are; their rows."""
        if self.files:
            self.files[-1].close()
        rows_of = {}
        for number, file in enumerate(self.files):
            name = f"{self.split}-{number:05d}-of-{len(self.files):05d}.parquet"
            rows_of[file.path.rename(self.folder / name)] = file.rows
        return rows_of


def write_parquet(
    path: Path,
    tables: Iterable[pa.Table],
    schema: pa.Schema,
    row_group_rows: int = ROW_GROUP_ROWS,
) -> int:
    """`path` holds the rows of all tables; returns how many there are."""
    file = ParquetFile(path, schema, row_group_rows)
    for table in tables:
        file.add(table)
    file.close()
    return file.rows
