"""A recipe run over a workspace's tables: the rows kept, set apart and dropped, and why."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pixmo import schema
from pixmo.curate.duplicates import Pictures, clusters, read_pictures
from pixmo.curate.recipe import Recipe
from pixmo.curate.splits import split_of
from pixmo.curate.steps import create_from, first_id, judge
from pixmo.dataset.manifest import FunnelStep
from pixmo.errors import RecipeError
from pixmo.execution.progress import SILENT, Progress

if TYPE_CHECKING:
    import duckdb

IMAGE_FILE_STEP = "image_file"
IMAGE_FILE_EXPLANATION = "Images without a source URL whose file cannot be put into the release."
ADDED_BY_BUILD = ("cluster", "flags")  # columns of a subset's schema that rows.sql does not select
HASH_OR_NUMBER = re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,64}\b|(?<!\w)-?\d+(?:\.\d+)?")

VERDICT = ("step", "reason", "evidence")
DROPPED = pa.schema(
    [pa.field(name, pa.string(), nullable=False) for name in ("id", "image_sha256", *VERDICT)]
)


@dataclass(frozen=True)
class Curated:
    """What a recipe made of its candidates."""

    recipe: Recipe
    candidates: int
    # The schema's columns, then `split` and `ordinal` (the image's order of arrival); sorted by
    # ordinal and id. `image_url` is null where an image has no source URL.
    kept: pa.Table
    apart: pa.Table  # as `kept`, and the step, reason and evidence that set each row apart
    dropped: pa.Table  # DROPPED, in the order of the steps, then by image and id
    funnel: tuple[FunnelStep, ...]


def curate(
    connection: "duckdb.DuckDBPyConnection",
    recipe: Recipe,
    unusable_images: Mapping[str, str] | None = None,
    progress: Progress = SILENT,
) -> Curated:
    """The candidates of `recipe` are judged step by step over the tables of `connection`.

    `unusable_images` gives, by sha256, why an image's file cannot be used; its rows go first.

    Raises:
        RecipeError: a query cannot run, or does not give the columns it must.
    """
    stem = recipe.stem
    candidates = create_candidates(connection, recipe)
    pictures = read_pictures(connection)
    funnel = [drop_unusable(connection, stem, unusable_images or {})]
    with progress.task(f"Curating {recipe.name}", total=len(recipe.steps), unit="steps") as advance:
        for number, step in enumerate(recipe.steps, 1):
            judge(connection, stem, step, pictures_of(connection, stem, pictures))
            funnel.append(
                settle(connection, stem, number, step.name, step.explanation, step.then)
            )
            advance(1)
    cluster_of = clusters(pictures, recipe.splits.likeness)
    kept = whole_rows(connection, recipe, cluster_of, stem, ())
    set_apart = (
        f"(select rows.*, step, reason, evidence from {stem}_candidates as rows"
        f" join {stem}_gone as gone using (id) where then_what = 'set_apart')"
    )
    apart = whole_rows(connection, recipe, cluster_of, set_apart, VERDICT)
    dropped = connection.sql(
        f"select id, image_sha256, step, reason, evidence from {stem}_gone"
        " left join images using (image_sha256) where then_what = 'drop'"
        " order by step_number, ordinal nulls last, id"
    ).to_arrow_table()
    if not funnel[0].rows:
        funnel.pop(0)
    return Curated(recipe, candidates, kept, apart, dropped.cast(DROPPED), tuple(funnel))


def create_candidates(connection: "duckdb.DuckDBPyConnection", recipe: Recipe) -> int:
    """`<stem>_candidates` holds all; returns how many there are.

    `<stem>` shows those alive, and so does `candidates`, for steps that several subsets share.
    """
    stem, path = recipe.stem, recipe.rows.path
    columns = create_from(connection, f"{stem}_candidates", recipe.rows)
    for name in schema.subset(stem).column_names:
        if name not in columns and name not in ADDED_BY_BUILD:
            raise RecipeError(
                f"{path} selects no column {name}, which schemas/{stem}.toml promises"
            )
    if twice := first_id(connection, f"{stem}_candidates group by id having count(*) > 1"):
        raise RecipeError(f"{path} gives id {twice} to more than one row; an id is unique")
    if count(connection, f"{stem}_candidates where id is null or image_sha256 is null"):
        raise RecipeError(f"{path} gives a row a null id or image_sha256")
    connection.execute(
        f"create or replace temp table {stem}_gone (id varchar, image_sha256 varchar,"
        " step_number int, step varchar, reason varchar, evidence varchar, then_what varchar)"
    )
    connection.execute(
        f"create or replace temp table {stem}_flagged (id varchar, step_number int, step varchar)"
    )
    for name in (stem, "candidates"):
        connection.execute(
            f"create or replace temp view {name} as"
            f" select * from {stem}_candidates anti join {stem}_gone using (id)"
        )
    return count(connection, f"{stem}_candidates")


def count(connection: "duckdb.DuckDBPyConnection", relation: str) -> int:
    """The number of rows of a relation."""
    return int(connection.execute(f"select count(*) from {relation}").fetchall()[0][0])


def drop_unusable(
    connection: "duckdb.DuckDBPyConnection", stem: str, unusable: Mapping[str, str]
) -> FunnelStep:
    """Rows of images whose file cannot be used are dropped."""
    table = pa.table(
        {"sha256": sorted(unusable), "why": [unusable[sha256] for sha256 in sorted(unusable)]},
        pa.schema([("sha256", pa.string()), ("why", pa.string())]),
    )
    connection.register("unusable_images", table)
    connection.execute(
        "create or replace temp table verdicts as select id, why as reason, '{}' as evidence"
        f" from {stem} join unusable_images on image_sha256 = sha256"
    )
    connection.unregister("unusable_images")
    return settle(connection, stem, 0, IMAGE_FILE_STEP, IMAGE_FILE_EXPLANATION, "drop")


def settle(
    connection: "duckdb.DuckDBPyConnection",
    stem: str,
    number: int,
    name: str,
    explanation: str,
    then: str,
) -> FunnelStep:
    """The rows in `verdicts` are gone or flagged; returns the step's line of the funnel."""
    if then == "flag":
        connection.execute(
            f"insert into {stem}_flagged select id, ?, ? from verdicts", [number, name]
        )
    else:
        connection.execute(
            f"insert into {stem}_gone select id, image_sha256, ?, ?, reason, evidence, ?"
            f" from verdicts join {stem} using (id)",
            [number, name, then],
        )
    reasons: dict[str, int] = {}
    for reason, rows in connection.execute(
        "select reason, count(*) from verdicts group by reason"
    ).fetchall():
        general = HASH_OR_NUMBER.sub("#", reason)
        reasons[general] = reasons.get(general, 0) + rows
    return FunnelStep(
        step=name,
        explanation=explanation,
        then=then,
        rows=count(connection, "verdicts"),
        kept=count(connection, stem),
        reasons=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
    )


def pictures_of(connection: "duckdb.DuckDBPyConnection", stem: str, pictures: Pictures) -> Pictures:
    """The images of the rows still alive."""
    alive = {row[0] for row in connection.execute(f"select image_sha256 from {stem}").fetchall()}
    return pictures.only(
        np.array([i for i, sha256 in enumerate(pictures.sha256) if sha256 in alive], np.int64)
    )


def whole_rows(
    connection: "duckdb.DuckDBPyConnection",
    recipe: Recipe,
    cluster_of: Mapping[str, str],
    relation: str,
    verdict: Sequence[str],
) -> pa.Table:
    """The rows of a relation with flags, cluster, split and ordinal, sorted by ordinal and id.

    The columns called `verdict` (text) stand behind the others.
    """
    stem = recipe.stem
    if lost := first_id(connection, f"{relation} anti join images using (image_sha256)"):
        raise RecipeError(
            f"{recipe.path} keeps row {lost}, whose image is not in `images`;"
            f' add a step that drops such rows: sql = "{stem}/image_unknown.sql"'
        )
    table = connection.sql(
        f"select rows.*, ordinal, coalesce(flags, []) as flags from {relation} as rows"
        " join images using (image_sha256) left join (select id, list(step order by step_number)"
        f" as flags from {stem}_flagged group by id) using (id) order by ordinal, id"
    ).to_arrow_table()
    of_rows = [cluster_of[sha256] for sha256 in table.column("image_sha256").to_pylist()]
    split = {cluster: split_of(cluster, recipe.splits.shares) for cluster in set(of_rows)}
    table = table.append_column("cluster", pa.array(of_rows, pa.string()))
    table = table.append_column("split", pa.array([split[c] for c in of_rows], pa.string()))
    fields = [
        *schema.subset(stem).arrow(),
        pa.field("split", pa.string()),
        pa.field("ordinal", pa.int64()),
        *(pa.field(name, pa.string()) for name in verdict),
    ]
    # image_url is filled in when the release knows where its image files lie.
    target = pa.schema([f.with_nullable(True) if f.name == "image_url" else f for f in fields])
    try:
        return table.select(target.names).cast(target)
    except (pa.ArrowException, ValueError) as error:
        raise RecipeError(
            f"{recipe.rows.path} does not keep schemas/{stem}.toml: {error}"
        ) from error
