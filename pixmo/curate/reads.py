"""What a query depends on, as DuckDB itself parses it.

A step may depend on the rows alive, the workspace's tables and its own values alone: then the same
inputs give the same release, and what was computed once need not be computed again.
"""

import json
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

MADE_OF_VALUES = ("generate_series", "json_each", "json_tree", "range", "repeat", "unnest")
TIMES = ("current_date", "current_time", "current_timestamp", "localtime", "localtimestamp")
HARMLESS = ("error",)  # DuckDB counts it among what changes from call to call
# And not these, of which the second may speak of today and the others do.
CHANGING = ("ago", "age", "pg_conf_load_time", "pg_postmaster_start_time")

Node = dict[str, Any]


def parse(connection: "duckdb.DuckDBPyConnection", sql: str) -> list[Node] | None:
    """Every object in the parse of one SELECT, the outermost last.

    None where DuckDB has no words for it, as for a PIVOT.
    """
    ((text,),) = connection.execute("select json_serialize_sql(?)", [sql]).fetchall()
    nodes: list[Node] = []

    def keep(node: Node) -> Node:
        nodes.append(node)
        return node

    json.loads(text, object_hook=keep)
    return None if nodes[-1].get("error") else nodes


def definitions(parsed: list[Node]) -> Iterator[str]:
    """Yield the names that the query defines itself, by WITH."""
    for node in parsed:
        for entry in node.get("cte_map", {}).get("map", []):
            yield entry["key"].lower()


def relations(parsed: list[Node]) -> Iterator[str]:
    """Yield what is read `from`, as far as the query does not define it itself."""
    named = set(definitions(parsed))
    for node in parsed:
        if node.get("type") == "BASE_TABLE":
            parts = (node["catalog_name"], node["schema_name"], node["table_name"])
            name = ".".join(part for part in parts if part).lower()
            if name not in named:
                yield name


def changing(parsed: list[Node], changing_functions: Collection[str]) -> Iterator[str]:
    """Yield what is not the same at every run: files, the time, chance, settings, samples."""
    for node in parsed:
        function = str(node.get("function_name", ""))
        if node.get("type") == "TABLE_FUNCTION":
            function = node["function"]["function_name"]
            if function not in MADE_OF_VALUES:
                yield f"{function}()"
        elif function in changing_functions:
            yield f"{function}()"
        if node.get("type") == "COLUMN_REF" and node["column_names"][-1].lower() in TIMES:
            yield str(node["column_names"][-1])
        if node.get("sample"):
            yield "a sample"
        if node.get("type") == "SHOW_REF":
            yield "SHOW, DESCRIBE or SUMMARIZE"


def changing_functions(connection: "duckdb.DuckDBPyConnection") -> frozenset[str]:
    """The functions of DuckDB that may return another value at another run."""
    found = connection.execute(
        "select function_name from duckdb_functions() where stability != 'CONSISTENT'"
    ).fetchall()
    return frozenset(name for (name,) in found) - set(HARMLESS) | set(CHANGING)
