"""Rows that say the same as one row: the others are gone, and what is left has new values.

A merging query selects `id`, `kept_id` and `reason` of every row that it merges; the row that is
left names itself. Columns that the rows have, too, take the place of that row's own; others are
evidence.
"""

from typing import TYPE_CHECKING

from pixmo.curate.step_kinds import MergeStep
from pixmo.curate.steps import create_from, first_id, pack
from pixmo.errors import RecipeError

if TYPE_CHECKING:
    import duckdb

MERGE_COLUMNS = ("id", "kept_id", "reason")
NOT_NEW = (*MERGE_COLUMNS, "evidence", "row_order")


def find_merged(
    connection: "duckdb.DuckDBPyConnection", stem: str, step: MergeStep, target: str
) -> None:
    """`create <target>` holds every row of `stem` that is merged: id, kept_id, reason, evidence.

    Evidence is a JSON object; then come the new values, those of a row that goes of no meaning.

    Raises:
        RecipeError: the query cannot run, or does not give what a merging one must.
    """
    path = step.query.path
    columns = create_from(connection, "or replace temp table found", step.query, step.parameters)
    missing = [name for name in MERGE_COLUMNS if name not in columns]
    if missing:
        raise RecipeError(f"{path} selects no column {missing[0]}; it needs id, kept_id, reason")
    for wrong, fault in (
        (f"found anti join {stem} using (id)", f"which is not a row of {stem}"),
        ("found group by id having count(*) > 1", "twice; a row is merged once"),
        ("found where reason is null", "without a reason"),
        (
            "found where kept_id is null"
            " or kept_id not in (select id from found where id = kept_id)",
            "whose kept_id is no row that names itself",
        ),
    ):
        if row := first_id(connection, wrong):
            raise RecipeError(f"{path} selects id {row}, {fault}")
    known = columns_of(connection, stem)
    new = [name for name in columns if name in known and name != "id"]
    evidence = pack([name for name in columns if name not in (*MERGE_COLUMNS, *new)])
    as_json = f"to_json(struct_pack({evidence}))::varchar" if evidence else "'{}'"
    values = "".join(f', "{name}"' for name in new)
    connection.execute(
        f"create {target} as"
        f" select id, kept_id, reason::varchar as reason, {as_json} as evidence{values} from found"
    )


def overlay(connection: "duckdb.DuckDBPyConnection", stem: str, number: int) -> None:
    """`<stem>_candidates` shows the rows left by `merging` with their new values.

    They have the flags of the rows that go, too. `number` is the step's.
    """
    candidates = f"{stem}_candidates"
    connection.execute(
        f"insert into {stem}_flagged"
        f" select kept_id, step_number, step from {stem}_flagged join merging using (id)"
        f" except select id, step_number, step from {stem}_flagged"
    )
    new = [name for name in columns_of(connection, "merging") if name not in NOT_NEW]
    if not new:
        return
    values = ", ".join(
        f'case when merged.id is null then rows."{name}" else merged."{name}" end as "{name}"'
        for name in new
    )
    before, merged = f"{candidates}_{number}", f"{stem}_merged_{number}"
    connection.execute(
        f"create or replace temp table {merged} as select * from merging where id = kept_id"
    )
    connection.execute(f"drop view if exists temp.{before}")
    connection.execute(f"alter view temp.{candidates} rename to {before}")
    connection.execute(
        f"create temp view {candidates} as select rows.* replace ({values})"
        f" from temp.{before} as rows left join {merged} as merged on rows.id = merged.id"
    )


def columns_of(connection: "duckdb.DuckDBPyConnection", relation: str) -> list[str]:
    """The names of its columns."""
    described = connection.execute(f"from {relation} limit 0").description or []
    return [column[0] for column in described]
