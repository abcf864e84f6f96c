"""One step over the rows still alive: verdicts, each with its reason and its evidence."""

from typing import TYPE_CHECKING

import pyarrow as pa

from pixmo.curate.duplicates import Likeness, Pictures, duplicates, duplicates_table
from pixmo.curate.near_texts import near_texts
from pixmo.curate.recipe import NearImagesStep, NearTextsStep, Query, SqlStep, Step, sql_error
from pixmo.errors import RecipeError

if TYPE_CHECKING:
    import duckdb

VERDICT_COLUMNS = ("id", "reason")


def create_from(
    connection: "duckdb.DuckDBPyConnection",
    name: str,
    query: Query,
    parameters: dict[str, object] | None = None,
) -> list[str]:
    """A temporary table called `name` holds what `query` selects; returns its columns.

    Raises:
        RecipeError: DuckDB refuses the query; the message names its file and line.
    """
    import duckdb

    head = f"create or replace temp table {name} as\n"
    try:
        connection.execute(head + query.sql, parameters or None)
    except duckdb.Error as error:
        raise sql_error(query.path, error, 1, parameters or {}) from error
    return list(connection.table(name).columns)


def judge(connection: "duckdb.DuckDBPyConnection", stem: str, step: Step, alive: Pictures) -> None:
    """The table `verdicts` holds a row (id, reason, evidence) for every row of `stem` to drop.

    `alive` are the images of the rows still there. Evidence is a JSON object.
    """
    match step:
        case SqlStep():
            judge_by_sql(connection, stem, step)
        case NearImagesStep():
            judge_by_image(connection, stem, step.likeness, alive)
        case NearTextsStep():
            judge_by_text(connection, stem, step)


def judge_by_sql(connection: "duckdb.DuckDBPyConnection", stem: str, step: SqlStep) -> None:
    """Verdicts are what the step selects; columns beyond id and reason are evidence."""
    path = step.query.path
    columns = create_from(connection, "selected", step.query, dict(step.parameters))
    missing = [name for name in VERDICT_COLUMNS if name not in columns]
    if missing:
        raise RecipeError(f"{path} selects no column {missing[0]}; it needs id and reason")
    if strange := first_id(connection, f"selected anti join {stem} using (id)"):
        raise RecipeError(f"{path} selects id {strange}, which is not a row of {stem}")
    if blank := first_id(connection, "selected where reason is null"):
        raise RecipeError(f"{path} gives no reason for row {blank}; a reason is never null")
    evidence = pack([name for name in columns if name not in VERDICT_COLUMNS])
    as_json = f"to_json(struct_pack({evidence}))::varchar" if evidence else "'{}'"
    connection.execute(
        "create or replace temp table verdicts as"
        f" select id, reason::varchar as reason, {as_json} as evidence from selected"
        # A step may name a row twice; its first reason in alphabetical order counts.
        " qualify row_number() over (partition by id order by reason, evidence) = 1"
    )


def first_id(connection: "duckdb.DuckDBPyConnection", relation: str) -> str:
    """The first id in a relation, for a message; empty where there is no row."""
    rows = connection.execute(f"select id from {relation} order by id limit 1").fetchall()
    return str(rows[0][0]) if rows else ""


def pack(columns: list[str]) -> str:
    """The arguments of struct_pack that keep the columns' names."""
    return ", ".join(f'"{name}" := "{name}"' for name in columns)


def judge_by_image(
    connection: "duckdb.DuckDBPyConnection", stem: str, likeness: Likeness, alive: Pictures
) -> None:
    """Verdicts are the rows whose image resembles a larger or earlier one with rows alive."""
    connection.register("found_images", duplicates_table(duplicates(alive, likeness)))
    connection.execute(
        "create or replace temp table verdicts as"
        " select id, 'near-duplicate of image ' || left(kept_sha256, 12) as reason,"
        " to_json(struct_pack(kept_image_sha256 := kept_sha256, distance, distance_256))::varchar"
        f" as evidence from {stem} join found_images on image_sha256 = sha256"
    )
    connection.unregister("found_images")


def judge_by_text(connection: "duckdb.DuckDBPyConnection", stem: str, step: NearTextsStep) -> None:
    """Verdicts are the rows whose text repeats an earlier row's; images give the order."""
    rows = connection.execute(
        f'select id, "{step.column}" from {stem} left join images using (image_sha256)'
        " order by ordinal nulls last, id"
    ).fetchall()
    found = near_texts(rows, step.min_jaccard)
    columns = {
        "id": [near.id for near in found],
        "kept_id": [near.kept_id for near in found],
        "jaccard": [round(near.jaccard, 4) for near in found],
    }
    kinds = {"id": pa.string(), "kept_id": pa.string(), "jaccard": pa.float64()}
    connection.register("found_texts", pa.table(columns, pa.schema(list(kinds.items()))))
    connection.execute(
        "create or replace temp table verdicts as"
        " select id, 'near-duplicate of row ' || kept_id as reason,"
        " to_json(struct_pack(kept_id, jaccard))::varchar as evidence from found_texts"
    )
    connection.unregister("found_texts")
