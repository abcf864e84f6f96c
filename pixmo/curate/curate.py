"""A recipe run over a workspace's tables: the rows kept, set apart and dropped, and why."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pixmo import schema
from pixmo.curate.cache import Cache, show
from pixmo.curate.duplicates import Pictures, clusters, read_pictures
from pixmo.curate.functions import register
from pixmo.curate.merge import find_merged, overlay
from pixmo.curate.recipe import Recipe
from pixmo.curate.rows import Rows
from pixmo.curate.splits import place
from pixmo.curate.step_kinds import MergeStep, NearImagesStep, Step
from pixmo.curate.steps import create_as, create_from, first_id, judge
from pixmo.curate.withdrawn import WithdrawnStep, find_withdrawn
from pixmo.dataset.manifest import FunnelStep
from pixmo.errors import RecipeError
from pixmo.execution.progress import SILENT, Progress

if TYPE_CHECKING:
    import duckdb

ADDED_BY_BUILD = ("cluster", "flags")  # columns of a subset's schema that rows.sql does not select
HASH_OR_NUMBER = re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,64}\b|(?<!\w)-?\d+(?:\.\d+)?")
# Columns that the build adds, or that say what a step found.
RESERVED = ("cluster", "flags", "split", "row_order", "step", "reason", "evidence")
NOTHING_KEPT = Cache(None)

VERDICT = ("step", "reason", "evidence")
DROPPED = pa.schema(
    [pa.field(name, pa.string(), nullable=False) for name in ("id", "image_sha256", *VERDICT)]
)


@dataclass(frozen=True)
class ImageFileStep:
    """Drops rows of images that a release cannot hold; before every step of a recipe."""

    name = "image_file"
    explanation = "Images without a source URL whose file cannot be put into the release."
    then = "drop"


BuiltInStep = WithdrawnStep | ImageFileStep


@dataclass(frozen=True)
class Curated:
    """What a recipe made of its candidates."""

    recipe: Recipe
    candidates: int
    # The schema's columns, then `split`; by their images' order of arrival, then by id. `image_url`
    # is null where an image has no source URL.
    kept: Rows
    apart: Rows  # as `kept`, and the step, reason and evidence that set each row apart
    dropped: Rows  # DROPPED, in the order of the steps, then as `kept`
    funnel: tuple[FunnelStep, ...]


def curate(
    connection: "duckdb.DuckDBPyConnection",
    recipe: Recipe,
    unusable_images: Mapping[str, str] | None = None,
    progress: Progress = SILENT,
    cache: Cache = NOTHING_KEPT,
    released: Mapping[str, str] | None = None,
    is_placed: bool = False,
) -> Curated:
    """The candidates of `recipe` are judged step by step over the tables of `connection`.

    `unusable_images` gives, by sha256, why an image's file cannot be used; its rows go first.
    `released` gives, by sha256, the split that an image has and keeps. With `is_placed`, a recipe
    of the same splits has placed the images over the same connection.

    Raises:
        RecipeError: a query cannot run, or does not give the columns it must.
    """
    with progress.task(
        f"Curating {recipe.name}", total=len(recipe.steps) + 2, unit="steps"
    ) as advance:
        work = Curation(connection, recipe, cache)
        work.begin()
        advance(1)
        candidates = work.alive
        funnel = [line for line in work.begin_dropping(unusable_images or {}) if line.rows]
        for number, step in enumerate(recipe.steps, 1):
            work.judge(step)
            funnel.append(work.settle(number, step))
            advance(1)
        if not is_placed:
            work.place(released or {})
        result = Curated(
            recipe,
            candidates,
            work.kept(),
            work.apart(),
            work.dropped(),
            tuple(funnel),
        )
        advance(1)
    return result


@dataclass
class Curation:
    """A recipe at work over the tables of a connection.

    `<stem>` shows the candidates alive, and so does `candidates`, for steps that several subsets
    share; `verdicts` shows what the last step said.
    """

    connection: "duckdb.DuckDBPyConnection"
    recipe: Recipe
    cache: Cache = NOTHING_KEPT
    without_rows: bool = False  # only to see whether the queries run
    keeps_verdicts: bool = True  # in the cache, for who judges the same rows again
    key: str = field(default="", init=False)  # of the candidates
    merging_key: str = field(default="", init=False)  # of what `merging` shows

    @property
    def stem(self) -> str:
        """The subset's stem."""
        return self.recipe.stem

    @cached_property
    def pictures(self) -> Pictures:
        """All images of the workspace."""
        return read_pictures(self.connection)

    @property
    def alive(self) -> int:
        """How many rows no step has taken yet."""
        return self.count(self.stem)

    def count(self, relation: str) -> int:
        """The number of rows of a relation."""
        found = self.connection.execute(f"select count(*) from {relation}").fetchall()
        return int(found[0][0])

    def begin(self) -> None:
        """`<stem>_candidates` holds all candidates, sorted by image and id, and all are alive.

        Raises:
            RecipeError: rows.sql cannot run, or breaks the promise of the subset's schema.
        """
        stem, rows = self.stem, self.recipe.rows
        register(self.connection)
        self.key = self.cache.key(stem, rows.sql)
        self.cache.view(self.connection, f"{stem}_candidates", self.key, self.create_candidates)
        self.connection.execute(
            f"create or replace temp table {stem}_gone (id varchar, image_sha256 varchar,"
            " step_number int, step varchar, reason varchar, evidence varchar, then_what varchar)"
        )
        self.connection.execute(
            f"create or replace temp table {stem}_flagged"
            " (id varchar, step_number int, step varchar)"
        )
        self.connection.execute(
            f"create or replace temp view {stem}_flags as"
            " select id, list(step order by step_number) as flags"
            f" from {stem}_flagged group by id"
        )
        for name in (stem, "candidates"):
            self.connection.execute(
                f"create or replace temp view {name} as"
                f" select * from {stem}_candidates anti join {stem}_gone using (id)"
            )

    def create_candidates(self, target: str) -> None:
        """`target` holds what rows.sql selects, checked."""
        stem, path = self.stem, self.recipe.rows.path
        columns = create_from(
            self.connection,
            target,
            self.recipe.rows,
            tail="left join images using (image_sha256) order by ordinal nulls last, id"
            + (" limit 0" if self.without_rows else ""),
            select="selected.*, ordinal",
        )
        for name in RESERVED:
            if name in columns:
                raise RecipeError(f"{path} selects a column {name}, which is the build's own")
        for name in schema.subset(stem).column_names:
            if name not in columns and name not in ADDED_BY_BUILD:
                raise RecipeError(
                    f"{path} selects no column {name}, which schemas/{stem}.toml promises"
                )
        made = target.rpartition("table ")[2]
        if twice := first_id(self.connection, f"{made} group by id having count(*) > 1"):
            raise RecipeError(f"{path} gives id {twice} to more than one row; an id is unique")
        if self.count(f"{made} where id is null or image_sha256 is null"):
            raise RecipeError(f"{path} gives a row a null id or image_sha256")

    def begin_dropping(self, unusable: Mapping[str, str]) -> tuple[FunnelStep, FunnelStep]:
        """What was withdrawn is dropped, then rows of images whose file cannot be used.

        No recipe names these two steps, so that none can leave them out.
        """
        self.find_withdrawn()
        withdrawn = self.settle(-1, WithdrawnStep())
        self.find_unusable(unusable)
        return withdrawn, self.settle(0, ImageFileStep())

    def find_withdrawn(self) -> None:
        """`verdicts` shows the rows that were withdrawn."""
        likeness = self.recipe.splits.likeness
        find_withdrawn(self.connection, self.stem, lambda: self.pictures, likeness)

    def find_unusable(self, unusable: Mapping[str, str]) -> None:
        """`verdicts` shows the rows of images whose file cannot be used."""
        sha256s = sorted(unusable)
        create_as(
            self.connection,
            "or replace temp table found_unusable",
            texts(sha256=sha256s, why=[unusable[sha256] for sha256 in sha256s]),
            f"select id, why as reason, '{{}}' as evidence from {self.stem}"
            " join found_rows on image_sha256 = sha256",
        )
        self.connection.execute("create or replace temp view verdicts as from temp.found_unusable")

    def judge(self, step: Step) -> None:
        """`verdicts` shows a row (id, reason, evidence) for every alive row that `step` names.

        Raises:
            RecipeError: the step cannot run, or does not give the columns it must.
        """

        def make(target: str) -> None:
            if isinstance(step, MergeStep):
                find_merged(self.connection, self.stem, step, target)
            else:
                judge(self.connection, self.stem, step, lambda: self.pictures_for(step), target)

        # Near-duplicate images are looked for within the clusters, which the likeness makes.
        made_from = [step.identity, asdict(self.recipe.splits.likeness)]
        key = self.cache.key(self.key, self.gone(), *made_from)
        cache = self.cache if self.keeps_verdicts else NOTHING_KEPT
        if not isinstance(step, MergeStep):
            cache.view(self.connection, "verdicts", key, make)
            return
        cache.view(self.connection, "merging", key, make)
        self.merging_key = key
        self.connection.execute(
            "create or replace temp view verdicts as"
            " select id, reason, evidence from merging where id != kept_id"
        )

    def pictures_for(self, step: Step) -> Pictures:
        """The images that a step looks at; for near-duplicates those alone that are in a cluster.

        Clusters are searched once for all recipes; a step that asks for more likeness than they do
        finds nothing outside of them.
        """
        asks_more = isinstance(step, NearImagesStep) and all(
            asked <= given
            for asked, given in zip(
                astuple(step.likeness), astuple(self.recipe.splits.likeness), strict=True
            )
        )
        if not asks_more or self.without_rows:
            return self.pictures
        cluster_of = self.clusters()
        sizes = Counter(cluster_of.values())
        names = enumerate(self.pictures.sha256)
        some = [place for place, sha256 in names if sizes[cluster_of[sha256]] > 1]
        return self.pictures.only(np.array(some, np.int64))

    def gone(self) -> list[str]:
        """A number and a hash of the rows gone: together with the candidates, who is alive."""
        found = self.connection.execute(
            f"select count(*)::varchar, bit_xor(md5_number(id))::varchar from {self.stem}_gone"
        ).fetchall()
        return [str(value) for value in found[0]]

    def settle(self, number: int, step: Step | BuiltInStep, but: str = "") -> FunnelStep:
        """The rows in `verdicts` are gone or flagged; returns the step's line of the funnel.

        The row with the id `but` stays alive all the same.
        """
        if step.then == "flag":
            self.connection.execute(
                f"insert into {self.stem}_flagged select id, ?, ? from verdicts",
                [number, step.name],
            )
        else:
            self.connection.execute(
                f"insert into {self.stem}_gone select id, image_sha256, ?, ?, reason, evidence, ?"
                f" from verdicts join {self.stem} using (id) where id != ?",
                [number, step.name, step.then, but],
            )
        if isinstance(step, MergeStep):
            overlay(self.connection, self.stem, number)
            self.key = self.merging_key  # later steps see the new values
        reasons = self.reasons()
        return FunnelStep(
            step=step.name,
            explanation=step.explanation,
            then=step.then,
            rows=sum(reasons.values()),
            kept=self.alive,
            reasons=reasons,
        )

    def reasons(self) -> dict[str, int]:
        """Rows in `verdicts` by reason, most frequent first; numbers in reasons as #."""
        reasons: dict[str, int] = {}
        for reason, rows in self.connection.execute(
            "select reason, count(*) from verdicts group by reason"
        ).fetchall():
            general = HASH_OR_NUMBER.sub("#", reason)
            reasons[general] = reasons.get(general, 0) + rows
        return dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))

    def agreed(self) -> list[str]:
        """The images on which people agreed, as the recipe has it.

        Raises:
            RecipeError: the query cannot run, or selects no images.
        """
        query = self.recipe.splits.agreed
        columns = create_from(
            self.connection,
            "or replace temp table agreed",
            query,
            tail="limit 0" if self.without_rows else "",
        )
        if "image_sha256" not in columns:
            raise RecipeError(f"{query.path} selects no column image_sha256")
        found = self.connection.execute("select distinct image_sha256 from agreed order by all")
        return [sha256 for (sha256,) in found.fetchall()]

    def clusters(self) -> dict[str, str]:
        """The near-duplicate cluster of every image."""
        likeness = self.recipe.splits.likeness

        def make(target: str) -> None:
            found = clusters(self.pictures, likeness)
            rows = texts(image_sha256=list(found), cluster=list(found.values()))
            create_as(self.connection, target, rows)

        self.cache.view(
            self.connection, "clusters", self.cache.key("clusters", asdict(likeness)), make
        )
        rows = self.connection.execute("select image_sha256, cluster from clusters").fetchall()
        return dict(rows)

    def place(self, released: Mapping[str, str]) -> None:
        """`placed` shows the cluster and the split of every image.

        Raises:
            RecipeError: the recipe's query for the images on which people agreed is wrong.
        """
        cluster_of = self.clusters()
        split = place(cluster_of, self.recipe.splits, self.agreed(), released)
        rows = texts(
            image_sha256=list(cluster_of),
            cluster=list(cluster_of.values()),
            split=[split[cluster] for cluster in cluster_of.values()],
        )
        create_as(self.connection, "or replace temp table placed", rows)

    def kept(self) -> Rows:
        """The rows still alive."""
        stem = self.stem
        self.connection.execute(
            f"create or replace temp table {stem}_chosen as select row_order, cluster, split,"
            f" coalesce(flags, []) as flags from {stem} join"
            " placed using (image_sha256)"
            f" left join {stem}_flags using (id) order by row_order"
        )
        if lost := first_id(self.connection, f"{stem} anti join {stem}_chosen using (row_order)"):
            raise self.image_unknown(lost)
        self.connection.execute(
            f"create or replace temp view {stem}_kept as"
            f" select * from {stem}_candidates join {stem}_chosen using (row_order)"
        )
        return self.rows("kept", ())

    def apart(self) -> Rows:
        """The rows that a step set apart."""
        stem = self.stem
        if lost := first_id(
            self.connection,
            f"{stem}_gone anti join placed using (image_sha256) where then_what = 'set_apart'",
        ):
            raise self.image_unknown(lost)
        self.connection.execute(
            f"create or replace temp table {stem}_chosen_apart as"
            " select rows.row_order, cluster, split, coalesce(flags, []) as flags, step, reason,"
            f" evidence from {stem}_candidates as rows join {stem}_gone using (id)"
            " join placed on rows.image_sha256 = placed.image_sha256"
            f" left join {stem}_flags using (id) where then_what = 'set_apart'"
            " order by rows.row_order"
        )
        self.connection.execute(
            f"create or replace temp view {stem}_apart as"
            f" select * from {stem}_candidates join {stem}_chosen_apart using (row_order)"
        )
        return self.rows("apart", VERDICT)

    def image_unknown(self, row: str) -> RecipeError:
        """The error of a recipe that keeps a row whose image was never added."""
        return RecipeError(
            f"{self.recipe.path} keeps row {row}, whose image is not in `images`;"
            f' add a step that drops such rows: sql = "{self.stem}/image_unknown.sql"'
        )

    def rows(self, which: str, verdict: Sequence[str]) -> Rows:
        """The rows of the view `<stem>_<which>`, promised columns first."""
        # image_url is filled in when the release knows where its image files lie.
        fields = [
            f.with_nullable(True) if f.name == "image_url" else f
            for f in schema.subset(self.stem).arrow()
        ]
        fields += [pa.field(name, pa.string()) for name in ("split", *verdict)]
        view = f"{self.stem}_{which}"
        source = f"{self.recipe.rows.path} does not keep schemas/{self.stem}.toml"
        return Rows(self.connection, view, pa.schema(fields), source, self.count(view))

    def dropped(self) -> Rows:
        """The rows that a step dropped, with why."""
        view = f"{self.stem}_dropped"
        self.connection.execute(
            f"create or replace temp table {view}_in_order as select gone.*"
            f" from {self.stem}_gone as gone join {self.stem}_candidates using (id)"
            " where then_what = 'drop' order by step_number, row_order"
        )
        show(self.connection, view, f"temp.{view}_in_order")
        return Rows(self.connection, view, DROPPED, view, self.count(view))


def texts(**columns: list[str]) -> pa.Table:
    """A table of columns of text, also where there is no row."""
    return pa.table(columns, pa.schema([(name, pa.string()) for name in columns]))
