"""Results of queries, kept on the disk by the content of what they were made from.

A result is found again as long as its key is the same, so a build after a change of one threshold
computes only what comes after it. Whatever is kept may be deleted: it is made again.
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pixmo.files import TEMPORARY_SUFFIX, is_running, sync_file, temporary_path
from pixmo.hashing import sha256_value

if TYPE_CHECKING:
    import duckdb

SUFFIX = ".duckdb"
LOG = ".wal"  # DuckDB's own, beside a file that is being written
KEY_DIGITS = 32


@dataclass(frozen=True)
class Cache:
    """Results in `folder`, a file each; without a folder, nothing is kept."""

    folder: Path | None
    state: object = None  # what all results depend on: the tables, versions; JSON-like

    def key(self, *made_from: object) -> str:
        """The name of what is made from these JSON-like values and the state."""
        return sha256_value([self.state, *made_from])[:KEY_DIGITS]

    def view(
        self,
        connection: "duckdb.DuckDBPyConnection",
        name: str,
        key: str,
        make: Callable[[str], object],
    ) -> None:
        """The temporary view `name` shows the result called `key`, with each row's `row_order`.

        Unless it is kept, `make(target)` makes it: it runs `create <target> as …`.
        """
        if self.folder is None:
            made = f"made_{key}"
            connection.execute(f"drop view if exists temp.{name}")
            make(f"or replace temp table {made}")
            show(connection, name, f"temp.{made}")
            return
        path = self.folder / f"{key}{SUFFIX}"
        if not is_attached(connection, key, path):
            keep(connection, path, make)
            if not is_attached(connection, key, path):
                raise OSError(f"{path} was deleted while it was in use; run the command again")
        show(connection, name, f"kept_{key}.result")

    def prune(self, most_bytes: int) -> None:
        """The results used last are kept, at most so many bytes; leftovers of killed runs go."""
        if self.folder is None or not self.folder.is_dir():
            return
        for path in self.folder.glob(f".*{TEMPORARY_SUFFIX}*"):
            process = path.name.removesuffix(LOG).removesuffix(TEMPORARY_SUFFIX).rpartition(".")[2]
            if not (process.isdigit() and is_running(int(process))):
                path.unlink(missing_ok=True)
        files = []
        for path in self.folder.glob(f"*{SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):  # another process prunes, too
                files.append((path.stat(), path))
        total = 0
        for status, path in sorted(files, key=lambda file: -file[0].st_mtime_ns):
            total += status.st_size
            if total > most_bytes:
                path.unlink(missing_ok=True)


def is_attached(connection: "duckdb.DuckDBPyConnection", key: str, path: Path) -> bool:
    """Whether a result is kept, and if so shown as `kept_<key>.result`; a damaged one goes."""
    import duckdb

    try:
        os.utime(path)
        connection.execute(f"attach if not exists {literal(path)} as kept_{key} (read_only)")
        connection.execute(f"from kept_{key}.result limit 0")
    except (FileNotFoundError, NotADirectoryError):
        return False
    except duckdb.Error:  # of a power cut, or a disk's fault
        connection.execute(f"detach database if exists kept_{key}")
        path.unlink(missing_ok=True)
        return False
    return True


def keep(
    connection: "duckdb.DuckDBPyConnection", path: Path, make: Callable[[str], object]
) -> None:
    """`path` holds what `make` made, for good."""
    with temporary_path(path) as temporary:
        log = temporary.with_name(temporary.name + LOG)
        temporary.unlink(missing_ok=True)  # of a killed process that had this one's number
        log.unlink(missing_ok=True)
        try:
            # A name of its own: what is made may need another result, which is made meanwhile.
            making = f"making_{path.stem}"
            connection.execute(f"attach {literal(temporary)} as {making}")
            try:
                make(f"table {making}.result")
            finally:
                connection.execute(f"detach {making}")
            sync_file(temporary)
            temporary.replace(path)
        finally:
            log.unlink(missing_ok=True)


def show(connection: "duckdb.DuckDBPyConnection", name: str, table: str) -> None:
    """The temporary view `name` shows a table and, as `row_order`, where each row stands in it."""
    connection.execute(
        f"create or replace temp view {name} as select *, rowid as row_order from {table}"
    )


def literal(path: Path) -> str:
    """`path` as a string in SQL."""
    return "'" + str(path).replace("'", "''") + "'"
