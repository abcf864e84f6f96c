"""Commands that look at a workspace, and the demo."""

from pathlib import Path
from typing import Annotated

import typer

from pixmo.cli import show
from pixmo.cli.app import AS_JSON, WORKSPACE, app, open_workspace

SHOWN_CHARACTERS = 60  # of one value in a table on the terminal


@app.command()
def status(workspace: WORKSPACE = Path(), json: AS_JSON = False) -> None:
    """What there is, what waits, what to run next.

    Example: pixmo status
    """
    from pixmo.cli.status import status as read_status

    found = read_status(open_workspace(workspace))
    if json:
        show.as_json(found)
        return
    show.say(found.root)
    show.table(("table", "rows"), [(name, count) for name, count in found.rows.items() if count])
    if found.set_aside:
        show.say("\nset aside")
        show.table(("rows", "reason"), [(n, reason) for reason, n in found.set_aside.items()])
        show.say('  each one: pixmo sql "select * from current_set_aside"')
    show.say(f"\nreleases: {', '.join(found.releases) or 'none yet'}")
    show.say()
    if found.waiting:
        rows = [(item.what, item.count, item.command) for item in found.waiting]
        show.table(("waiting", "count", "run"), rows)
    else:
        show.say(found.hint)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One SQL statement.")],
    workspace: WORKSPACE = Path(),
    limit: Annotated[int, typer.Option(min=1, help="Rows shown in the table.")] = 50,
    json: AS_JSON = False,
) -> None:
    """Ask the tables, in DuckDB's SQL.

    `show tables` lists them.

    Example: pixmo sql "select reason, count(*) from current_set_aside group by all"
    """
    import duckdb

    from pixmo.errors import WorkspaceError

    with open_workspace(workspace).connect() as connection:
        try:
            if len(connection.extract_statements(query)) != 1:
                raise WorkspaceError("name exactly one SQL statement")
            found = connection.execute(query)
            header = [column[0] for column in found.description or []]
            rows = found.fetchall()
        except duckdb.Error as error:
            raise WorkspaceError(f"the query does not run: {error}") from error
    if json:
        if twice := next((name for name in header if header.count(name) > 1), None):
            raise WorkspaceError(f"two columns are called {twice}; rename one: {twice} as …")
        show.as_json([dict(zip(header, row, strict=True)) for row in rows])
        return
    show.table(header, [[shorten(value) for value in row] for row in rows[:limit]])
    if len(rows) > limit:
        show.say(f"… {len(rows) - limit} more rows: --limit {len(rows)}, or --json for all")


def shorten(value: object) -> str:
    """A value on one line, cut to what a terminal shows well."""
    text = " ".join(str(value).split())
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where the sample goes.")] = Path("pixmo-demo"),
    scenes: Annotated[int, typer.Option(help="Pictures in the sample's world.")] = 2400,
    seed: Annotated[int, typer.Option(help="The same seed makes the same sample.")] = 0,
) -> None:
    """Make a small sample and do the main job on it.

    A synthetic world: pictures, people who speak about them, annotators; made and used offline.
    A second run redoes nothing that is done.

    Exit status as of pixmo validate: 0, 1, or 2 where the probe could not tell. It takes 120 scenes
    or more; with fewer than some 800 the probe has too few images, and says INVALID.

    Example: pixmo demo my-demo
    """
    from pixmo.cli.validate import end
    from pixmo.demo.demo import run_demo

    summary = run_demo(folder, scenes, seed, show.Bars(), show.say)
    show.say(summary.text())
    end(summary.checks, summary.verdict)
