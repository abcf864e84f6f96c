"""Rows in a database, in their order; read piece by piece, for all may not fit into memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pixmo.errors import RecipeError

if TYPE_CHECKING:
    import duckdb

PIECE_ROWS = 20_000


@dataclass(frozen=True)
class Rows:
    """The rows of a view, ordered by its column `row_order`; there as long as the connection is."""

    connection: "duckdb.DuckDBPyConnection"
    view: str
    schema: pa.Schema
    source: str  # what to name where the rows break the schema
    num_rows: int

    def tables(self, piece_rows: int = PIECE_ROWS) -> Iterator[pa.Table]:
        """Yield the rows in order, under the schema, at most `piece_rows` at a time.

        Raises:
            RecipeError: the rows break the schema.
        """
        names = ", ".join(f'"{name}"' for name in self.schema.names)
        ((first, last),) = self.query("min(row_order), max(row_order)")
        # A range of places is read without looking at what lies outside it, and sorted by itself.
        for low in range(first or 0, (last if last is not None else -1) + 1, piece_rows):
            table = self.connection.sql(
                f"select {names} from {self.view} where row_order >= {low}"
                f" and row_order < {low + piece_rows} order by row_order"
            ).to_arrow_table()
            try:
                yield table.cast(self.schema)
            except (pa.ArrowException, ValueError) as error:
                raise RecipeError(f"{self.source}: {error}") from error

    def query(self, select: str, tail: str = "", parameters: Any = None) -> list[tuple[Any, ...]]:
        """What `select … from the rows <tail>` gives."""
        return self.connection.execute(
            f"select {select} from {self.view} {tail}", parameters
        ).fetchall()

    def values(self, expression: str) -> np.ndarray[Any, Any]:
        """An expression's value for every row, in no particular order."""
        found = self.connection.execute(f"select {expression} as value from {self.view}")
        values: np.ndarray[Any, Any] = found.fetchnumpy()["value"]
        return values

    def to_pylist(self) -> list[dict[str, Any]]:
        """All rows; for few."""
        return [row for table in self.tables() for row in table.to_pylist()]
