"""The rows that differ between two releases, in a file."""

from pathlib import Path
from typing import TYPE_CHECKING

from pixmo.files import replace_atomically

if TYPE_CHECKING:
    import duckdb

ROW_FILES = {".parquet": "parquet", ".csv": "csv", ".jsonl": "json"}


def write_rows(connection: "duckdb.DuckDBPyConnection", path: Path) -> None:
    """The file holds all of `fates`, sorted by subset and id; it is whole or not there."""
    kind = ROW_FILES[path.suffix]
    # A table cell is no list: names of columns stand behind one another there.
    columns = "* replace (array_to_string(columns, ' ') as columns)" if kind == "csv" else "*"

    def write(temporary: Path) -> None:
        target = str(temporary).replace("'", "''")
        connection.execute(
            f"copy (select {columns} from fates order by subset, id)"
            f" to '{target}' (format {kind}{', header' if kind == 'csv' else ''})"
        )

    replace_atomically(path, write)
