"""One step over the rows still alive: verdicts, each with its reason and its evidence."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pixmo.curate.decontaminate import image_hits, text_hits
from pixmo.curate.duplicates import Pictures, duplicates, duplicates_table
from pixmo.curate.embeddings import embedded_duplicates
from pixmo.curate.near_texts import near_texts
from pixmo.curate.recipe import sql_error
from pixmo.curate.step_kinds import (
    HeldOutImagesStep,
    HeldOutTextsStep,
    NearEmbeddingsStep,
    NearImagesStep,
    NearTextsStep,
    Query,
    SqlStep,
    Step,
)
from pixmo.errors import RecipeError

if TYPE_CHECKING:
    import duckdb

VERDICT_COLUMNS = ("id", "reason")


def create_from(
    connection: "duckdb.DuckDBPyConnection",
    target: str,
    query: Query,
    parameters: Mapping[str, object] | None = None,
    select: str = "*",
    tail: str = "",
) -> list[str]:
    """`create <target>` holds `select` of what the query, as `selected`, selects; its columns.

    Raises:
        RecipeError: DuckDB refuses the query; the message names its file and line.
    """
    import duckdb

    head = f"create {target} as select {select} from (\n"
    try:
        connection.execute(f"{head}{query.sql}\n) as selected {tail}", parameters or None)
        name = target.rpartition("table ")[2]
        described = connection.execute(f"from {name} limit 0").description
    except duckdb.Error as error:
        raise sql_error(query.path, error, 1, parameters or {}) from error
    return [column[0] for column in described or []]


def judge(
    connection: "duckdb.DuckDBPyConnection",
    stem: str,
    step: Step,
    pictures: Callable[[], Pictures],
    target: str,
) -> None:
    """`create <target>` holds a row (id, reason, evidence) for every row of `stem` it names.

    `pictures` gives all images, for those steps that look at them. Evidence is a JSON object.
    """
    match step:
        case SqlStep():
            judge_by_sql(connection, stem, step, target)
        case NearImagesStep():
            judge_by_image(connection, stem, step, pictures(), target)
        case NearTextsStep():
            judge_by_text(connection, stem, step, target)
        case NearEmbeddingsStep():
            judge_by_embedding(connection, stem, step, pictures(), target)
        case HeldOutImagesStep():
            judge_by_held_out_image(connection, stem, step, pictures(), target)
        case HeldOutTextsStep():
            judge_by_held_out_text(connection, stem, step, target)


def judge_by_sql(
    connection: "duckdb.DuckDBPyConnection", stem: str, step: SqlStep, target: str
) -> None:
    """Verdicts are what the step selects; columns beyond id and reason are evidence."""
    path = step.query.path
    columns = create_from(connection, "or replace temp table found", step.query, step.parameters)
    missing = [name for name in VERDICT_COLUMNS if name not in columns]
    if missing:
        raise RecipeError(f"{path} selects no column {missing[0]}; it needs id and reason")
    if strange := first_id(connection, f"found anti join {stem} using (id)"):
        raise RecipeError(f"{path} selects id {strange}, which is not a row of {stem}")
    if blank := first_id(connection, "found where reason is null"):
        raise RecipeError(f"{path} gives no reason for row {blank}; a reason is never null")
    evidence = pack([name for name in columns if name not in VERDICT_COLUMNS])
    as_json = f"to_json(struct_pack({evidence}))::varchar" if evidence else "'{}'"
    connection.execute(
        f"create {target} as"
        f" select id, reason::varchar as reason, {as_json} as evidence from found"
        # A step may name a row twice; its first reason in alphabetical order counts.
        " qualify row_number() over (partition by id order by reason, evidence) = 1"
    )


def create_as(
    connection: "duckdb.DuckDBPyConnection",
    target: str,
    rows: pa.Table,
    select: str = "from found_rows",
) -> None:
    """`create <target>` holds what `select` selects; it knows `rows` as `found_rows`."""
    connection.register("found_rows", rows)
    try:
        connection.execute(f"create {target} as {select}")
    finally:
        connection.unregister("found_rows")


def first_id(connection: "duckdb.DuckDBPyConnection", relation: str) -> str:
    """The first id in a relation, for a message; empty where there is no row."""
    rows = connection.execute(f"select id from {relation} order by id limit 1").fetchall()
    return str(rows[0][0]) if rows else ""


def pack(columns: list[str]) -> str:
    """The arguments of struct_pack that keep the columns' names."""
    return ", ".join(f'"{name}" := "{name}"' for name in columns)


def judge_by_image(
    connection: "duckdb.DuckDBPyConnection",
    stem: str,
    step: NearImagesStep,
    pictures: Pictures,
    target: str,
) -> None:
    """Verdicts are the rows whose image resembles a larger or earlier one with rows alive."""
    found = duplicates(alive(connection, stem, pictures), step.likeness)
    create_as(
        connection,
        target,
        duplicates_table(found),
        " select id, 'near-duplicate of image ' || left(kept_sha256, 12) as reason,"
        " to_json(struct_pack(kept_image_sha256 := kept_sha256, distance, distance_256))::varchar"
        f" as evidence from {stem} join found_rows on image_sha256 = sha256",
    )


def judge_by_embedding(
    connection: "duckdb.DuckDBPyConnection",
    stem: str,
    step: NearEmbeddingsStep,
    pictures: Pictures,
    target: str,
) -> None:
    """Verdicts are the rows whose image's embedding is near that of a larger or earlier one.

    Raises:
        RecipeError: the step's model gave no image an embedding.
    """
    compared = alive(connection, stem, pictures)
    found = embedded_duplicates(connection, compared, step.model, step.min_cosine)
    create_as(
        connection,
        target,
        found,
        " select id, 'embedded like image ' || left(kept_sha256, 12) as reason,"
        " to_json(struct_pack(kept_image_sha256 := kept_sha256,"
        f" cosine := round(cosine, 4)))::varchar as evidence from {stem}"
        " join found_rows on image_sha256 = sha256",
    )


def alive(connection: "duckdb.DuckDBPyConnection", stem: str, pictures: Pictures) -> Pictures:
    """The pictures with rows alive."""
    rows = connection.execute(f"select distinct image_sha256 from {stem}").fetchall()
    sha256s = {sha256 for (sha256,) in rows}
    places = [place for place, sha256 in enumerate(pictures.sha256) if sha256 in sha256s]
    return pictures.only(np.array(places, np.int64))


def judge_by_held_out_image(
    connection: "duckdb.DuckDBPyConnection",
    stem: str,
    step: HeldOutImagesStep,
    pictures: Pictures,
    target: str,
) -> None:
    """Verdicts are the rows whose image is held out; the evidence says which one it hit.

    The reason names the source alone: reasons are counted, and keys would make each its own.
    """
    found = image_hits(connection, stem, alive(connection, stem, pictures), step.likeness)
    create_as(
        connection,
        target,
        found,
        " select id, kind || ' as an image of ' || source as reason,"
        " to_json(struct_pack(source, key, kind, distance, distance_256))::varchar as evidence"
        f" from {stem} join found_rows using (image_sha256)",
    )


def judge_by_held_out_text(
    connection: "duckdb.DuckDBPyConnection", stem: str, step: HeldOutTextsStep, target: str
) -> None:
    """Verdicts are the rows that hold a held-out question; the evidence says which one.

    The question itself is left out: the evidence is released, and evaluation data is not.

    Raises:
        RecipeError: the step names a column that the rows do not have.
    """
    check_columns(connection, stem, "decontaminate", step.column)
    found = text_hits(
        connection, stem, step.column, step.gram_words, step.min_share, step.min_words
    )
    create_as(
        connection,
        target,
        found,
        " select id, 'holds a question of ' || source as reason,"
        " to_json(struct_pack(source, key, share := round(share, 4)))::varchar as evidence"
        " from found_rows",
    )


def check_columns(
    connection: "duckdb.DuckDBPyConnection", stem: str, mechanism: str, *names: str | None
) -> None:
    """Nothing, if the rows have the columns that a step names.

    Raises:
        RecipeError: they lack one.
    """
    described = connection.execute(f"from {stem} limit 0").description or []
    for name in names:
        if name and name not in [column[0] for column in described]:
            raise RecipeError(f"{mechanism} of {stem}: rows.sql selects no column {name}")


def judge_by_text(
    connection: "duckdb.DuckDBPyConnection", stem: str, step: NearTextsStep, target: str
) -> None:
    """Verdicts are the rows whose text repeats an earlier row's; images give the order.

    Raises:
        RecipeError: the step names a column that the rows do not have.
    """
    check_columns(connection, stem, "near_duplicates", step.column, step.within)
    found = near_texts(
        connection, stem, step.column, step.min_jaccard, step.gram_words, step.within
    )
    create_as(
        connection,
        target,
        found,
        " select id, 'near-duplicate of row ' || kept_id as reason,"
        " to_json(struct_pack(kept_id, jaccard := round(jaccard, 4)))::varchar as evidence"
        " from found_rows",
    )
