"""The promises of `schemas/`, read as data: columns of every table and every published subset.

    schemas/<stem>.toml          a published subset: what a row of a release holds
    schemas/tables/<table>.toml  a workspace table: what a row of its parts holds

A column is `name`, `type`, `nullable` (false unless said) and a `description`. Types are written as
`string`, `binary`, `int64`, `double`, `float`, `bool`, `list<TYPE>` and `struct<name: TYPE, …>`.
"""

import functools
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixmo.errors import SchemaError
from pixmo.hashing import sha256_value
from pixmo.resources import shared

if TYPE_CHECKING:
    import pyarrow as pa

PRIMITIVES = ("string", "binary", "int64", "double", "float", "bool")


@dataclass(frozen=True)
class Column:
    """One promised column."""

    name: str
    type: str
    description: str
    nullable: bool = False
    published: bool = False  # a column of the published PixMo subset, not one of ours

    def arrow(self) -> "pa.Field":
        """The column as a pyarrow field; its description is kept as metadata."""
        import pyarrow as pa

        metadata = {"description": self.description}
        return pa.field(self.name, arrow_type(self.type), self.nullable, metadata)


@dataclass(frozen=True)
class Schema:
    """The columns that a table or a subset promises, in order."""

    stem: str
    name: str  # of a subset: the published name, such as pixmo-cap
    description: str
    columns: tuple[Column, ...]

    @property
    def column_names(self) -> list[str]:
        """The names of the columns, in order."""
        return [column.name for column in self.columns]

    @property
    def sha256(self) -> str:
        """A hash of the promise itself: names, types and nullability in order."""
        return sha256_value([[c.name, c.type, c.nullable] for c in self.columns])

    def arrow(self) -> "pa.Schema":
        """The schema as pyarrow writes it."""
        import pyarrow as pa

        return pa.schema([column.arrow() for column in self.columns])

    def table(self, rows: Sequence[dict[str, Any]], where: str = "") -> "pa.Table":
        """`rows` as a pyarrow table that keeps this schema.

        Raises:
            SchemaError: a row has a key too many or too few, a null or a value of another type.
        """
        import pyarrow as pa

        expected = set(self.column_names)
        for number, row in enumerate(rows):
            if row.keys() != expected:
                wrong = ", ".join(sorted(row.keys() ^ expected))
                raise SchemaError(f"{where or self.stem}: row {number} differs in columns: {wrong}")
        try:
            table = pa.Table.from_pylist(list(rows), schema=self.arrow())
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise SchemaError(f"{where or self.stem}: {error}") from error
        self.check(table, where)
        return table

    def check(self, table: "pa.Table", where: str = "") -> None:
        """Nothing, if `table` keeps this schema.

        Raises:
            SchemaError: names, order, types or nulls differ; the message names the column.
        """
        place = where or self.stem
        if table.column_names != self.column_names:
            raise SchemaError(
                f"{place}: columns are {table.column_names}, promised are {self.column_names}"
            )
        for column in self.columns:
            found = table.schema.field(column.name).type
            if found != arrow_type(column.type):
                raise SchemaError(
                    f"{place}: column {column.name} is {found}, promised is {column.type}"
                )
            if not column.nullable and table.column(column.name).null_count:
                raise SchemaError(f"{place}: column {column.name} holds a null, none is allowed")


def arrow_type(text: str) -> "pa.DataType":
    """The pyarrow type that `text` names.

    Raises:
        SchemaError: no such type.
    """
    import pyarrow as pa

    text = text.strip()
    if text in PRIMITIVES:
        return {
            "string": pa.string(),
            "binary": pa.binary(),
            "int64": pa.int64(),
            "double": pa.float64(),
            "float": pa.float32(),
            "bool": pa.bool_(),
        }[text]
    if inner := re.fullmatch(r"list<(.+)>", text):
        # Parquet calls a list's child `element`; any other name would not read back as written.
        return pa.list_(pa.field("element", arrow_type(inner[1])))
    if inner := re.fullmatch(r"struct<(.+)>", text):
        members = [member.split(":", 1) for member in outer_members(inner[1])]
        return pa.struct([pa.field(name.strip(), arrow_type(kind)) for name, kind in members])
    raise SchemaError(f"there is no column type {text!r}; known are {', '.join(PRIMITIVES)}")


def sql_type(text: str) -> str:
    """DuckDB's name of the type that `text` names; `arrow_type` says what can be named."""
    text = text.strip()
    if text in PRIMITIVES:
        return {"string": "varchar", "binary": "blob", "int64": "bigint"}.get(text, text)
    if inner := re.fullmatch(r"list<(.+)>", text):
        return f"{sql_type(inner[1])}[]"
    members = [member.split(":", 1) for member in outer_members(text[len("struct<") : -1])]
    typed = [f'"{name.strip()}" {sql_type(kind)}' for name, kind in members]
    return f"struct({', '.join(typed)})"


def outer_members(text: str) -> list[str]:
    """`text` split at the commas that stand in no angle brackets."""
    members = [""]
    depth = 0
    for sign in text:
        depth += (sign == "<") - (sign == ">")
        if sign == "," and not depth:
            members.append("")
        else:
            members[-1] += sign
    return members


def load(path: Path) -> Schema:
    """The schema written in a TOML file.

    Raises:
        SchemaError: the file is no schema.
    """
    try:
        data = tomllib.loads(path.read_text("utf-8"))
        columns = tuple(Column(**column) for column in data["column"])
        schema = Schema(path.stem, data["name"], data["description"], columns)
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise SchemaError(f"{path}: not a schema: {error}") from error
    schema.arrow()
    return schema


def stems() -> list[str]:
    """The subsets' stems: `ama`, `cap`, `points`."""
    return sorted(path.stem for path in shared("schemas").glob("*.toml"))


def table_names() -> list[str]:
    """The names of the workspace tables."""
    return sorted(path.stem for path in shared("schemas", "tables").glob("*.toml"))


@functools.cache
def subset(stem: str) -> Schema:
    """The schema of a published subset.

    Raises:
        SchemaError: no such subset.
    """
    if stem not in stems():
        raise SchemaError(f"there is no subset {stem!r}; there are {', '.join(stems())}")
    return load(shared("schemas", f"{stem}.toml"))


@functools.cache
def table(name: str) -> Schema:
    """The schema of a workspace table.

    Raises:
        SchemaError: no such table.
    """
    if name not in table_names():
        raise SchemaError(f"there is no table {name!r}; there are {', '.join(table_names())}")
    return load(shared("schemas", "tables", f"{name}.toml"))
