"""Questions to a recipe, answered without building: does it run, what would go, why this row."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pixmo.curate.cache import Cache
from pixmo.curate.curate import NOTHING_KEPT, BuiltInStep, Curation, ImageFileStep
from pixmo.curate.recipe import Recipe
from pixmo.curate.step_kinds import Step
from pixmo.curate.withdrawn import WithdrawnStep
from pixmo.errors import RecipeError
from pixmo.execution.progress import SILENT, Progress

if TYPE_CHECKING:
    import duckdb

EXCERPTS = ("caption", "question", "label")  # what a row is known by, whichever it has
EXCERPT_CHARACTERS = 80


@dataclass(frozen=True)
class Named:
    """A row that a step names."""

    id: str
    reason: str
    evidence: str  # JSON
    excerpt: str


@dataclass(frozen=True)
class Trial:
    """What a step would do to the rows that come to it."""

    step: str
    then: str
    rows: int  # that come to it
    named: int
    reasons: dict[str, int]  # rows by reason, most frequent first; numbers in reasons as #
    sample: tuple[Named, ...]
    now: int | None  # rows that the recipe's own step names; None where it has none


@dataclass(frozen=True)
class Said:
    """What a step says of one row."""

    step: str
    then: str
    reason: str  # empty where it has nothing to say
    evidence: str  # JSON


@dataclass(frozen=True)
class Explained:
    """What every step of a recipe says of one row, the first ones to take it included."""

    id: str
    image_sha256: str
    subset: str
    excerpt: str
    said: tuple[Said, ...]
    taken_by: str  # the step; empty where the row is kept
    cluster: str
    split: str


def check(connection: "duckdb.DuckDBPyConnection", recipe: Recipe) -> None:
    """Nothing, if every query of the recipe runs; tried without a row, so at once.

    Raises:
        RecipeError: a query cannot run, or does not give the columns it must.
    """
    work = Curation(connection, recipe, without_rows=True)
    work.begin()
    work.agreed()
    for step in recipe.steps:
        work.judge(step)


def try_step(
    connection: "duckdb.DuckDBPyConnection",
    recipe: Recipe,
    tried: Step,
    sample: int,
    unusable_images: Mapping[str, str] | None = None,
    cache: Cache = NOTHING_KEPT,
    progress: Progress = SILENT,
) -> Trial:
    """What `tried` would name of the rows that the steps before it leave.

    It stands where the recipe has a step of its name; at the end where the recipe has none.
    `unusable_images` are as for `curate`.

    Raises:
        RecipeError: a query cannot run, or does not give the columns it must.
    """
    names = [step.name for step in recipe.steps]
    is_known = tried.name in names
    place = names.index(tried.name) if is_known else len(names)
    work = Curation(connection, recipe, cache)
    with progress.task(f"Trying {tried.name}", total=place + 2, unit="steps") as advance:
        work.begin()
        work.begin_dropping(unusable_images or {})
        advance(1)
        for number, step in enumerate(recipe.steps[:place], 1):
            work.judge(step)
            work.settle(number, step)
            advance(1)
        now = None
        if is_known:
            work.judge(recipe.steps[place])
            now = work.count("verdicts")
        work.judge(tried)
        advance(1)
    rows = connection.execute(
        f"select id, reason, evidence, {excerpt(connection, work.stem)} from verdicts"
        f" join {work.stem} using (id) order by md5(id) limit ?",
        [sample],
    ).fetchall()
    reasons = work.reasons()
    return Trial(
        tried.name,
        tried.then,
        work.alive,
        sum(reasons.values()),
        reasons,
        tuple(Named(*row) for row in rows),
        now,
    )


def explain(
    connection: "duckdb.DuckDBPyConnection",
    recipes: Sequence[Recipe],
    row: str,
    unusable_images: Mapping[str, str] | None = None,
    cache: Cache = NOTHING_KEPT,
    progress: Progress = SILENT,
    released: Mapping[str, str] | None = None,
) -> Explained:
    """Every step's verdict on the row whose id begins with `row`, of whichever subset.

    The first step that takes it decides; what later ones say is said as if it were still there.
    `unusable_images` and `released` are as for `curate`.

    Raises:
        RecipeError: no candidate of any recipe has this id, or several begin so.
    """
    found: list[tuple[str, str, Curation]] = []
    for recipe in recipes:
        work = Curation(connection, recipe, cache)
        work.begin()
        candidates = connection.execute(
            f"select id, {excerpt(connection, work.stem)} from {work.stem}"
            " where starts_with(id, ?) order by id limit 2",  # a whole id comes first
            [row],
        ).fetchall()
        found += [(row_id, text, work) for row_id, text in candidates]
    found = [one for one in found if one[0] == row] or found
    if len(found) > 1:
        raise RecipeError(f"several rows have an id that begins with {row}; name all of it")
    if not found:
        raise RecipeError(
            f"no candidate has the id {row}; ids stand in dropped/ and in the rows of a release"
        )
    row_id, text, work = found[0]
    work.begin()  # `candidates` are its own again
    return explain_in(work, row_id, text, unusable_images or {}, released or {}, progress)


def explain_in(
    work: Curation,
    row: str,
    text: str,
    unusable: Mapping[str, str],
    released: Mapping[str, str],
    progress: Progress,
) -> Explained:
    """The verdicts on one candidate of the recipe at work."""
    said: list[Said] = []
    steps = work.recipe.steps

    def hear(number: int, step: Step | BuiltInStep) -> None:
        found = work.connection.execute(
            "select reason, evidence from verdicts where id = ?", [row]
        ).fetchall()
        reason, evidence = found[0] if found else ("", "{}")
        said.append(Said(step.name, step.then, reason, evidence))
        work.settle(number, step, but=row)
        if reason and step.then != "flag":
            work.keeps_verdicts = False  # what is said from now on holds for this row alone

    with progress.task(f"Explaining {row}", total=len(steps), unit="steps") as advance:
        work.find_withdrawn()
        hear(-1, WithdrawnStep())
        work.find_unusable(unusable)
        hear(0, ImageFileStep())
        for number, step in enumerate(steps, 1):
            work.judge(step)
            hear(number, step)
            advance(1)
    work.place(released)
    ((image_sha256, cluster, split),) = work.connection.execute(
        f"select image_sha256, coalesce(cluster, ''), coalesce(split, '')"
        f" from {work.stem}_candidates left join placed using (image_sha256) where id = ?",
        [row],
    ).fetchall()
    taken_by = next((one.step for one in said if one.reason and one.then != "flag"), "")
    return Explained(
        row, image_sha256, work.recipe.name, text, tuple(said), taken_by, cluster, split
    )


def excerpt(connection: "duckdb.DuckDBPyConnection", stem: str) -> str:
    """SQL for the beginning of what a row says."""
    described = connection.execute(f"from {stem} limit 0").description or []
    names = [column[0] for column in described]
    known = next((name for name in EXCERPTS if name in names), "''")
    return f"left({known}, {EXCERPT_CHARACTERS})"


def parse_values(assignments: Sequence[str]) -> dict[str, Any]:
    """`name=value` as TOML understands the values; what is no TOML value is text.

    Raises:
        RecipeError: there is no `=`.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name.strip():
            raise RecipeError(f"{assignment!r} is not name=value, such as min_words=80")
        try:
            values[name.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            values[name.strip()] = value.strip()
    return values
