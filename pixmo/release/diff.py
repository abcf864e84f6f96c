"""Two releases compared: which rows came, went, changed or moved, and why.

A row is known by its id. Its content is compared by a hash of the columns that both releases hold
under one type; only of rows whose hash differs are the columns looked at one by one. DuckDB joins
what it needs of the Parquet files and puts on the disk what does not fit into memory, so releases
of millions of rows are compared in the memory that is given.
"""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixmo.curate.curate import HASH_OR_NUMBER
from pixmo.dataset.manifest import Subset
from pixmo.dataset.reader import SPLITS, Release
from pixmo.errors import ReleaseError
from pixmo.execution.progress import SILENT, Progress
from pixmo.release.difference import (
    CHANGES,
    Cause,
    Difference,
    Figure,
    Flow,
    Retyped,
    SubsetDifference,
    steps,
)
from pixmo.release.row_files import ROW_FILES, write_rows
from pixmo.release.side import Side, refusals
from pixmo.release.statistics import words
from pixmo.release.unchanged import check_unchanged

if TYPE_CHECKING:
    import duckdb

MEMORY_GB = 1.0
FETCHED_ROWS = 10_000
# What is counted, the column that the rows need for it, and the SQL.
FIGURES = (
    ("rows", "id", "count(*)"),
    ("images", "image_sha256", "count(distinct image_sha256)"),
    ("annotators", "annotator", "count(distinct annotator)"),
    ("annotators", "annotators", "len(list_distinct(flatten(list(distinct annotators))))"),
    ("words a caption, mean", "caption", f"avg({words('caption')})"),
    ("transcripts", "transcripts", "sum(len(transcripts))"),
    ("hours of recordings", "duration_seconds", "sum(duration_seconds::decimal(18, 6)) / 3600"),
    ("words a question, mean", "question", f"avg({words('question')})"),
    ("words an answer, mean", "answer", f"avg({words('answer')})"),
    ("expressions", "label", "count(distinct label)"),
    ("points", "count", "sum(count)"),
    ("points a row, mean", "count", "avg(count)"),
    ("rows without a point", "count", "count(*) filter (count = 0)"),
    ("rows merged from several people's", "merged_from", "count(*) filter (len(merged_from) > 0)"),
    ("rows with a flag", "flags", "count(*) filter (len(flags) > 0)"),
)


def diff(
    before: Release,
    after: Release,
    rows: Path | None = None,
    progress: Progress = SILENT,
    memory_gb: float = MEMORY_GB,
    is_checked: bool = False,
) -> Difference:
    """What differs between two releases; `after` may be one whose manifest is not written yet.

    Every file that is compared is as it was released, unless `is_checked` says that it is known.

    With `rows`, that file (.parquet, .csv or .jsonl) holds every row that is not the same: subset,
    id, image_sha256, change, split_before, split_after, columns (that changed), and the verdict,
    step and reason that took a row away, or that had held an added one back.

    Raises:
        ReleaseError: a file of a release is missing or not what was released, an id stands twice
            in a subset, or `rows` ends in no known suffix.
    """
    import duckdb

    if rows is not None and rows.suffix not in ROW_FILES:
        raise ReleaseError(f"{rows} is none of {', '.join(ROW_FILES)}; name it so")
    stems = list(dict.fromkeys(s.stem for r in (before, after) for s in r.manifest.subsets))
    if not is_checked:
        for release in {before.root: before, after.root: after}.values():
            check_unchanged(release.root, release.manifest.row_files(), progress)
    with tempfile.TemporaryDirectory(prefix="pixmo-diff-") as spilled:
        limits = {"memory_limit": f"{memory_gb}GB", "temp_directory": spilled}
        with duckdb.connect(config={**limits}) as connection:
            connection.execute("set enable_progress_bar = false")
            connection.execute("set preserve_insertion_order = false")  # spares memory
            connection.execute(
                "create table fates (subset varchar, id varchar, image_sha256 varchar,"
                " change varchar, split_before varchar, split_after varchar, columns varchar[],"
                " verdict varchar, step varchar, reason varchar)"
            )
            with progress.task("Comparing", total=len(stems), unit="subsets") as advance:
                subsets = []
                for stem in stems:
                    sides = (Side("before", before, stem), Side("after", after, stem))
                    with refusals(sides):
                        subsets.append(Comparison(connection, stem, *sides).compare())
                    advance(1)
            if rows is not None:
                write_rows(connection, rows)
    return Difference(
        before.manifest.version,
        after.manifest.version,
        before.manifest.pixmo,
        after.manifest.pixmo,
        before.manifest.license,
        after.manifest.license,
        tuple(subsets),
    )


@dataclass(frozen=True)
class Comparison:
    """A subset of two releases, compared over a connection."""

    connection: "duckdb.DuckDBPyConnection"
    stem: str
    before: Side
    after: Side
    types: dict[str, dict[str, str]] = field(default_factory=dict)  # of columns, by side

    def compare(self) -> SubsetDifference:
        """What differs; `fates` has the rows that do."""
        for side in (self.before, self.after):
            self.connection.execute(
                f"create or replace temp view {side.name}_rows as {side.select_rows()}"
            )
            self.connection.execute(
                f"create or replace temp view {side.name}_verdicts as {side.select_verdicts()}"
            )
            described = self.connection.execute(f"describe {side.name}_rows").fetchall()
            self.types[side.name] = {name: kind for name, kind, *_ in described}
        self.pair()
        self.tell()
        (old, new) = (self.before.subset, self.after.subset)
        is_old, is_new = (bool(side.rows) for side in (self.before, self.after))
        flows = self.flows()
        count = {c: sum(flow.rows for flow in flows if flow.change == c) for c in CHANGES}
        types_old, types_new = self.types["before"], self.types["after"]
        both = is_old and is_new
        return SubsetDifference(
            stem=self.stem,
            name=(new or old or Subset(self.stem, self.stem, 0, {}, 0, (), "", "")).name,
            presence="both" if is_old == is_new else "new" if is_new else "gone",
            **count,
            flows=tuple(flow for flow in flows if flow.rows),
            columns_changed=self.columns_changed(),
            removed_because=self.causes("removed"),
            added_from=self.causes("added"),
            columns_added=tuple(c for c in types_new if both and c not in types_old),
            columns_removed=tuple(c for c in types_old if both and c not in types_new),
            columns_retyped=tuple(
                Retyped(c, kind, types_new[c])
                for c, kind in types_old.items()
                if both and c in types_new and types_new[c] != kind
            ),
            is_recipe_changed=bool(old and new and old.recipe_sha256 != new.recipe_sha256),
            steps=steps(old.funnel if old else (), new.funnel if new else ()),
            figures=self.figures(),
        )

    @property
    def compared(self) -> list[str]:
        """The columns that both hold under one type."""
        old, new = self.types["before"], self.types["after"]
        return [c for c in old if new.get(c) == old[c] and c not in ("id", "split")]

    def pair(self) -> None:
        """`pairs` holds every row of either side once, with its change.

        Raises:
            ReleaseError: an id stands twice.
        """
        columns = ", ".join(f'"{column}"' for column in self.compared) or "1"
        content = f"select id, image_sha256, split, hash({columns}) as content"
        self.connection.execute(
            "create or replace temp table pairs as select"
            " coalesce(old.id, new.id) as id,"
            " coalesce(old.image_sha256, new.image_sha256) as image_sha256,"
            " coalesce(old.split, '') as split_before, coalesce(new.split, '') as split_after,"
            " case when old.id is null then 'added' when new.id is null then 'removed'"
            " when old.content != new.content then 'changed'"
            " when old.split != new.split then 'moved' else 'same' end as change"
            f" from ({content} from before_rows) as old"
            f" full join ({content} from after_rows) as new on old.id = new.id"
        )
        ((old, new),) = self.connection.execute(
            "select count(*) filter (change != 'added'), count(*) filter (change != 'removed')"
            " from pairs"
        ).fetchall()
        if (old, new) != (self.before.rows, self.after.rows):
            raise ReleaseError(self.not_whole())

    def not_whole(self) -> str:
        """Which side does not hold as many rows, each with an id of its own, as it promises."""
        for side in (self.before, self.after):
            ((rows, ids),) = self.connection.execute(
                f"select count(*), count(distinct id) from {side.name}_rows"
            ).fetchall()
            if not rows == ids == side.rows:
                break
        return (
            f"{side.release.root} promises {side.rows} rows of {self.stem}, each with an id of its"
            f" own, and holds {rows} with {ids} ids; pixmo validate says what is wrong"
        )

    def tell(self) -> None:
        """`fates` has every row of the subset that is not the same, with why."""
        differing = ", ".join(
            f"""if(old."{c}" is distinct from new."{c}", '{c}', null)""" for c in self.compared
        )
        self.connection.execute(
            "create or replace temp table changes as"
            f" select old.id, list_filter([{differing or 'null'}], lambda name: name is not null)"
            " as columns"
            " from (select id from pairs where change = 'changed') as wanted"
            " join before_rows as old on old.id = wanted.id"
            " join after_rows as new on new.id = wanted.id"
        )
        self.connection.execute(
            "insert into fates select ?, id, image_sha256, change, split_before, split_after,"
            " coalesce(columns, []), coalesce(verdict, ''), coalesce(step, ''),"
            " coalesce(reason, '')"
            " from (from pairs where change != 'same') left join changes using (id)"
            # A row of both is in no verdicts; one that went is judged by the release after.
            " left join (select *, 'removed' as change from after_verdicts union all"
            "  select *, 'added' from before_verdicts) using (id, change)",
            [self.stem],
        )

    def flows(self) -> tuple[Flow, ...]:
        """How many rows went from which split to which."""
        found = self.connection.execute(
            "select change, split_before, split_after, count(*) from pairs group by all"
        ).fetchall()
        splits = ("", *SPLITS)
        found.sort(key=lambda row: (CHANGES.index(row[0]), *map(splits.index, row[1:3])))
        return tuple(Flow(*row) for row in found)

    def columns_changed(self) -> dict[str, int]:
        """Of the rows whose content changed, how many by which column."""
        return dict(
            self.connection.execute(
                "select unnest(columns) as name, count(*) as rows from changes group by name"
                " order by rows desc, name"
            ).fetchall()
        )

    def causes(self, change: str) -> tuple[Cause, ...]:
        """Why rows went or came, most frequent first."""
        rows: dict[tuple[str, str, str], int] = {}
        found = self.connection.execute(
            "select verdict, step, reason, count(*) from fates where subset = ? and change = ?"
            " group by all",
            [self.stem, change],
        )
        # Reasons name other rows and numbers: read in pieces, there may be one for each row.
        while some := found.fetchmany(FETCHED_ROWS):
            for verdict, step, reason, count in some:
                key = (verdict, step, HASH_OR_NUMBER.sub("#", reason))
                rows[key] = rows.get(key, 0) + count
        return tuple(
            Cause(*key, count) for key, count in sorted(rows.items(), key=lambda x: (-x[1], x[0]))
        )

    def figures(self) -> tuple[Figure, ...]:
        """What can be counted on either side."""
        values: dict[str, dict[str, Any]] = {}
        for side, types in self.types.items():
            known = {name: sql for name, needs, sql in FIGURES if needs in types}
            if getattr(self, side).rows:
                ((*found,),) = self.connection.execute(
                    f"select {', '.join(known.values())} from {side}_rows"
                ).fetchall()
                values[side] = dict(zip(known, found, strict=True))
        old, new = values.get("before", {}), values.get("after", {})
        return tuple(
            Figure(name, number(old.get(name)), number(new.get(name)))
            for name in dict.fromkeys(name for name, *_ in FIGURES)
            if name in old or name in new
        )


def number(value: Any) -> float | None:
    """A number of DuckDB's as Python's own; whole ones stay whole."""
    if value is None:
        return None
    return int(value) if float(value).is_integer() else float(value)
