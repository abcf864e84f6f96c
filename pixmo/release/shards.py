"""Parquet files of a release: the same rows give the same bytes."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SHARD_BYTES = 256 << 20  # of rows in memory; a shard on disk is a few times smaller
ROW_GROUP_ROWS = 20_000  # what a viewer reads to show one page


def write_parquet(path: Path, table: pa.Table) -> None:
    """`path` holds `table`, with checksums and an index of its pages.

    Bytes depend on the rows, the schema and pyarrow's version alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        table.combine_chunks(),
        path,
        compression="zstd",
        row_group_size=ROW_GROUP_ROWS,
        write_page_checksum=True,
        write_page_index=True,
    )


def write_shards(
    folder: Path, split: str, table: pa.Table, shard_bytes: int = SHARD_BYTES
) -> Iterator[tuple[Path, int]]:
    """Yield (path, rows) of the files `<split>-00000-of-00002.parquet` … that hold `table`."""
    table = table.combine_chunks()
    shards = min(max(1, -(-table.nbytes // shard_bytes)), max(1, table.num_rows))
    edges = [table.num_rows * i // shards for i in range(shards + 1)]
    for i in range(shards):
        path = folder / f"{split}-{i:05d}-of-{shards:05d}.parquet"
        rows = table.slice(edges[i], edges[i + 1] - edges[i])
        write_parquet(path, rows)
        yield path, rows.num_rows
