"""Commands that look into recipes, and try ideas before a build."""

import json as jsons
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixmo.cli import show
from pixmo.cli.app import AS_JSON, WORKSPACE, app, open_workspace
from pixmo.text import counted

if TYPE_CHECKING:
    from pixmo.curate.recipe import Recipe

DONE = {"drop": "dropped", "set_apart": "set apart", "flag": "flagged"}
GOES = {"drop": "would go", "set_apart": "would be set apart", "flag": "would be flagged"}
SUBSET = Annotated[str, typer.Argument(help="cap, ama or points.")]

recipe = typer.Typer(
    help="Recipes: what a release holds and why; try an idea before building.",
    no_args_is_help=True,
)
app.add_typer(recipe, name="recipe")


@recipe.command("list")
def recipe_list(workspace: WORKSPACE = Path(), json: AS_JSON = False) -> None:
    """The recipe of every subset, and where it comes from.

    Example: pixmo recipe list
    """
    from pixmo import schema
    from pixmo.curate.recipe import load

    opened = open_workspace(workspace)
    recipes = {stem: load(stem, opened.recipes) for stem in schema.stems()}
    rows = [
        (stem, of.name, len(of.steps), of.license, show.here(of.path))
        for stem, of in recipes.items()
    ]
    header = ("subset", "name", "steps", "license", "recipe")
    if json:
        show.as_json([dict(zip(header, row, strict=True)) for row in rows])
    else:
        show.table(header, rows)


@recipe.command("show")
def recipe_show(subset: SUBSET, workspace: WORKSPACE = Path(), json: AS_JSON = False) -> None:
    """The steps of a recipe in their order, with their values.

    Example: pixmo recipe show cap
    """
    found = load_recipe(subset, workspace)
    if json:
        show.as_json(
            [
                {"step": s.name, "then": s.then, "values": s.values, "why": s.explanation}
                for s in found.steps
            ]
        )
        return
    show.say(f"{found.name}: {show.here(found.path)}")
    show.say(f"rows  {show.here(found.rows.path)}: {found.rows.explanation}")
    for number, step in enumerate(found.steps, 1):
        given = "".join(f" {name}={value}" for name, value in step.values.items())
        show.say(f"{number:>4}  {step.name}{given}  → {DONE[step.then]}")
        show.say(f"      {step.explanation}")


@recipe.command("check")
def recipe_check(workspace: WORKSPACE = Path()) -> None:
    """Whether every recipe and every query in it runs; at once, for no row is looked at.

    Example: pixmo recipe check
    """
    from pixmo.curate.trial import check
    from pixmo.release.build import load_recipes

    opened = open_workspace(workspace)
    recipes = load_recipes(opened)
    with opened.connect() as connection:
        for found in recipes:
            check(connection, found)
            own = found.files_in(opened.recipes)
            note = f", {len(own)} of its files this workspace's own" if own else ""
            show.say(f"{found.stem}: {counted(len(found.steps), 'step')} run{note}")


@recipe.command("copy")
def recipe_copy(
    subset: Annotated[str, typer.Argument(help="cap, ama, points, or a file: cap/pace.sql.")],
    workspace: WORKSPACE = Path(),
) -> None:
    """Put a recipe into the workspace's pipelines/, where it may be changed.

    The workspace's own files stand before those that ship, file by file. A file that is there
    already is left alone.

    Example: pixmo recipe copy cap
    """
    from pixmo import schema
    from pixmo.curate.recipe import find
    from pixmo.errors import RecipeError
    from pixmo.files import write_text

    opened = open_workspace(workspace)
    if subset in schema.stems():
        found = load_recipe(subset, workspace)
        names = [f"{subset}.toml", *dict.fromkeys(query.file for query in found.queries)]
    else:
        names = [subset]
    for name in names:
        target = opened.recipes / name
        if target.exists():
            show.say(f"kept    {show.here(target)}")
            continue
        source = find(name, None, RecipeError(f"pipelines/ that ship have no {name}"))
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text(target, source.read_text("utf-8"))
        show.say(f"copied  {show.here(target)}")


@recipe.command("try")
def recipe_try(
    step: Annotated[str, typer.Argument(help="A SQL file or a step, such as cap/too_short.sql.")],
    given: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Values to try.")
    ] = None,
    subset: Annotated[
        str, typer.Option(help="Whose step it is, where its folder does not say it.")
    ] = "",
    sample: Annotated[int, typer.Option(min=0, help="Rows shown.")] = 10,
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """How many and which rows a step would name, without building.

    It judges the rows that the steps before it leave; a step that the recipe does not have comes
    last. What was computed before is not computed again.

    Example: pixmo recipe try cap/too_short.sql min_words=80
    """
    from pixmo import schema
    from pixmo.curate.recipe import load_step
    from pixmo.curate.trial import parse_values, try_step
    from pixmo.errors import RecipeError
    from pixmo.release.build import opened as tables
    from pixmo.release.images import source_images, unusable

    folder, _, name = step.rpartition("/")
    stem = subset or folder
    if stem not in schema.stems():
        asked = f"there is no subset {subset};" if subset else f"{step}: of which subset?"
        raise RecipeError(f"{asked} --subset {', '.join(schema.stems())}")
    opened = open_workspace(workspace)
    file = step if step.endswith(".sql") else name
    tried = load_step(stem, file, parse_values(given or []), opened.recipes)
    found = load_recipe(stem, workspace)
    with tables(opened) as (connection, cache):
        faults = unusable(source_images(opened), by_size=True)
        trial = try_step(connection, found, tried, sample, faults, cache, show.Bars())
    if json:
        show.as_json(trial)
        return
    today = f"; with the recipe's own values {trial.now:,}" if trial.now is not None else ""
    asked = "".join(f" {name}={value}" for name, value in tried.values.items())
    show.say(
        f"{trial.step}{asked}: {trial.named:,} of {counted(trial.rows, 'row')}"
        f" {GOES[trial.then]}{today}"
    )
    for reason, count in trial.reasons.items():
        show.say(f"  {count:>8,}  {reason}")
    if trial.sample:
        show.say("\nsome of them")
        show.table(
            ("id", "reason", "row"),
            [(row.id, row.reason, " ".join(row.excerpt.split())) for row in trial.sample],
        )


@recipe.command("explain")
def recipe_explain(
    row: Annotated[str, typer.Argument(help="A row's id, or how it begins.")],
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """What every step of the recipe says of one row.

    Ids stand in a release's rows, in dropped/ and in what `pixmo recipe try` shows.

    Example: pixmo recipe explain 4b5fa4b0c7e1d2a9
    """
    from pixmo import schema
    from pixmo.curate.recipe import load
    from pixmo.curate.trial import explain
    from pixmo.release.build import opened as tables
    from pixmo.release.images import source_images, unusable
    from pixmo.release.versions import released_splits

    opened = open_workspace(workspace)
    recipes = [load(stem, opened.recipes) for stem in schema.stems()]
    with tables(opened) as (connection, cache):
        faults = unusable(source_images(opened), by_size=True)
        splits = released_splits(opened)
        found = explain(connection, recipes, row, faults, cache, show.Bars(), splits)
    if json:
        show.as_json(found)
        return
    show.say(f"{found.subset} {found.id}: {' '.join(found.excerpt.split())}")
    for said in found.said:
        verdict = f"{DONE[said.then]}: {said.reason}" if said.reason else "nothing"
        evidence = "" if said.evidence == "{}" else f"  {short(said.evidence)}"
        show.say(f"  {said.step:<24}  {verdict}{evidence}")
    if found.taken_by:
        show.say(f"not in the splits: {found.taken_by} was the first to take it")
    else:
        show.say(f"kept, in {found.split}, cluster {found.cluster[:12]}")


def short(evidence: str) -> str:
    """Evidence as `name=value` pairs."""
    return " ".join(f"{name}={value}" for name, value in jsons.loads(evidence).items())


def load_recipe(subset: str, workspace: Path) -> "Recipe":
    """The recipe of a subset as this workspace has it."""
    from pixmo import schema
    from pixmo.curate.recipe import load
    from pixmo.errors import RecipeError

    if subset not in schema.stems():
        raise RecipeError(f"{subset!r} is no subset; the subsets are {', '.join(schema.stems())}")
    return load(subset, open_workspace(workspace).recipes)
