"""Commands that say what became of rows, and where they come from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixmo.cli import show
from pixmo.cli.app import AS_JSON, WORKSPACE, app, open_workspace

if TYPE_CHECKING:
    from pixmo.release.difference import Difference, SubsetDifference
    from pixmo.release.traced import Source, Trace

MOST_CAUSES = 12  # lines of a subset; --json has all of them


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="A version, or the folder of a release.")],
    after: Annotated[str, typer.Argument(help="The later one; default: the newest.")] = "",
    rows: Annotated[
        Path | None,
        typer.Option(
            "--rows",
            help="Write every row that differs, and why, to this .parquet, .csv or .jsonl.",
            metavar="FILE",
        ),
    ] = None,
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Compare two releases: rows added, removed, changed or moved, and why.

    A row that went has its verdict: what dropped it or set it apart, and the reason; or it is no
    candidate any more. Columns, recipes and figures are compared, too.

    Example: pixmo diff v1 v2
    """
    from pixmo.dataset.reader import Release
    from pixmo.release.diff import diff as compare
    from pixmo.release.versions import release_folder

    opened = open_workspace(workspace)
    old, new = (Release.open(release_folder(opened, name)) for name in (before, after))
    found = compare(old, new, rows, show.Bars())
    if json:
        show.as_json(found)
        return
    show_difference(found)
    if rows:
        show.say(f"rows  {show.here(rows)}")


def show_difference(found: "Difference") -> None:
    """A comparison, for people."""
    show.say(f"{found.before} → {found.after}")
    for name, old, new in (
        ("made by pixmo", found.pixmo_before, found.pixmo_after),
        ("licence", found.license_before, found.license_after),
    ):
        if old != new:
            show.say(f"{name}: {old} → {new}")
    for subset in found.subsets:
        show.say()
        show_subset(subset)


def show_subset(subset: "SubsetDifference") -> None:
    """What became of one subset."""
    from pixmo.release.difference import GONE, NEW

    note = "" if subset.presence == "both" else f" ({subset.presence})"
    show.say(
        f"{subset.name}{note}: {subset.added:,} added, {subset.removed:,} removed,"
        f" {subset.changed:,} changed, {subset.moved:,} moved, {subset.same:,} the same"
    )
    for flow in subset.flows:
        if flow.change != "same":
            way = " → ".join(split for split in (flow.split_before, flow.split_after) if split)
            way = flow.split_after if flow.split_before == flow.split_after else way
            show.say(f"  {flow.rows:>8,} {flow.change:<8} {way}")
    for title, causes, none in (
        ("removed because", subset.removed_because, GONE),
        ("added; before, they were", subset.added_from, NEW),
    ):
        if causes:
            show.say(f"  {title}")
        for cause in causes[:MOST_CAUSES]:
            why = f"{cause.verdict} by {cause.step}: {cause.reason}" if cause.verdict else none
            show.say(f"    {cause.rows:>8,} {why}")
        if len(causes) > MOST_CAUSES:
            show.say(f"    and {len(causes) - MOST_CAUSES} more reasons: --json")
    if subset.columns_changed:
        show.say("  changed in")
        for name, count in subset.columns_changed.items():
            show.say(f"    {count:>8,} {name}")
    show_schema(subset)
    show_recipe(subset)
    lines = [
        (
            figure.name,
            number(figure.before),
            number(figure.after),
            change(figure.before, figure.after),
        )
        for figure in subset.figures
    ]
    if lines:
        show.table(["figure", "before", "after", "change"], lines)


def show_schema(subset: "SubsetDifference") -> None:
    """Columns that came, went or hold another type."""
    for name in subset.columns_added:
        show.say(f"  column {name} is new")
    for name in subset.columns_removed:
        show.say(f"  column {name} is gone")
    for retyped in subset.columns_retyped:
        show.say(f"  column {retyped.name} was {retyped.before} and is {retyped.after}")


def show_recipe(subset: "SubsetDifference") -> None:
    """Whether the recipe is another, and steps that name other rows."""
    if subset.presence == "both":
        show.say(f"  the recipe {'changed' if subset.is_recipe_changed else 'is the same'}")
    if subset.steps:
        show.say("  rows named by")
    for step in subset.steps:
        old, new = (
            "not there" if rows is None else f"{rows:,} {'row' if rows == 1 else 'rows'}"
            for rows in (step.rows_before, step.rows_after)
        )
        then = (
            f"; {step.then_before} → {step.then_after}"
            if step.then_before != step.then_after
            else ""
        )
        then = then if step.then_before and step.then_after else ""
        reworded = "; explained in other words" if step.is_reworded else ""
        show.say(f"    {step.step}: {old} → {new}{then}{reworded}")


def number(value: float | None) -> str:
    """A figure as a cell of a table."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.2f}"


def change(before: float | None, after: float | None) -> str:
    """How much a figure grew; empty where that does not show."""
    if before is None or after is None:
        return ""
    grown = number(after - before).removeprefix("-")
    if not float(grown):
        return ""
    return f"-{grown}" if after < before else f"+{grown}"


@app.command()
def trace(
    row: Annotated[str, typer.Argument(help="The row's id, or how it begins.")],
    version: Annotated[
        str, typer.Argument(help="A version, or the folder of a release; default: the newest.")
    ] = "",
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Walk a row of a release back to the files that people made.

    Rows that were dropped or set apart are found, too. The exit status is 1 where a file that the
    row was made from is gone or holds other bytes now.

    Example: pixmo trace 1f3a9c v1
    """
    from pixmo.dataset.reader import Release
    from pixmo.release.trace import trace as walk
    from pixmo.release.versions import release_folder

    opened = open_workspace(workspace)
    found = walk(opened, Release.open(release_folder(opened, version)), row, show.Bars())
    if json:
        show.as_json(found)
    else:
        show_trace(found)
    for line in found.missing:
        show.fail(line)
    if found.missing:
        raise typer.Exit(1)


def show_trace(found: "Trace") -> None:
    """Where a row comes from, for people."""
    place = f"{found.fate}, {found.split}" if found.split else found.fate
    show.say(f"row         {found.id} of {found.subset}, {found.release}: {place}")
    show.say(f"stands in   {found.file}")
    if found.reason:
        evidence = "" if found.evidence == "{}" else f"  {found.evidence}"
        show.say(f"because     {found.reason}{evidence}")
    for name in ("caption", "question", "answer", "label"):
        if name in found.row:
            show.say(f"{name:<11} {found.row[name]}")
    if "points" in found.row:
        places = (f"({point['x']:g}, {point['y']:g})" for point in found.row["points"])
        show.say(f"points      {' '.join(places) or 'none'}")
    image = found.image
    show.say(f"image       {image.sha256}{withdrawn(image.is_withdrawn)}")
    for name, value in (("url", image.url), ("licence", image.license)):
        if value:
            show.say(f"  {name:<9} {value}")
    if image.file:
        show.say(f"  file      {told(image.file)}")
    if image.in_release:
        show.say(f"  released  {image.in_release}")
    if found.caption:
        review = f", mended in {found.caption.review_uid}" if found.caption.review_uid else ""
        show.say(f"caption     {found.caption.caption_id} by {found.caption.writer}{review}")
    for said in found.transcripts:
        gone = withdrawn(said.is_withdrawn)
        show.say(f"transcript  {said.transcript_id}, {said.source}, by {said.annotator}{gone}")
        if said.recording:
            when = f", recorded {said.recorded_at}" if said.recorded_at else ""
            show.say(f"  recording {told(said.recording)}{when}")
            show.say(f"  sha256    {said.recording.sha256}")
            show.say(f"  heard by  {said.model}, weights {(said.model_sha256 or '')[:12]}")
    for one in found.annotations:
        gone = withdrawn(one.is_withdrawn)
        show.say(f"annotation  {one.annotation_uid} by {one.annotator}{gone}")
        show.say(f"  export    {told(one.export)}, at {one.place or '?'}")
        ids = ", ".join(f"{name} {value}" for name, value in one.label_studio_ids.items())
        show.say(f"  there     {ids}; updated {one.updated_at}")
    for row in found.merged:
        show.say(f"merged in   row {row}")
    show.say(f"made by     pixmo {found.pixmo}, recipe {found.recipe_sha256[:12]}")
    told_steps = ", ".join(
        step.step if step.what == "passed" else f"{step.step} ({step.what})" for step in found.steps
    )
    show.say(f"steps       {told_steps}")


def told(source: "Source") -> str:
    """A file and whether it is there."""
    return source.path if source.is_there else f"{source.path} ({source.state})"


def withdrawn(is_withdrawn: bool) -> str:
    """A remark on what was withdrawn since."""
    return "  (withdrawn)" if is_withdrawn else ""
