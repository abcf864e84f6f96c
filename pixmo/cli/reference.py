"""`docs/cli.md` and `docs/columns.md`, made from the commands and from `schemas/`.

`make docs` writes them; a test refuses them when they no longer say what the code says.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from pixmo import schema
from pixmo.cli.app import app
from pixmo.files import write_text

WIDTH_CHARACTERS = 80


def commands() -> Iterator[tuple[str, str]]:
    """The full name of every command and its help, groups before their commands."""

    def walk(command: Any, name: str, parent: Any) -> Iterator[tuple[str, str]]:
        context = command.context_class(
            command, info_name=name, parent=parent, terminal_width=WIDTH_CHARACTERS
        )
        yield context.command_path, command.get_help(context)
        for child_name, child in getattr(command, "commands", {}).items():
            yield from walk(child, child_name, context)

    yield from walk(typer.main.get_command(app), "pixmo", None)


def cli_reference() -> str:
    """The whole of `docs/cli.md`."""
    parts = ["# Command line", "", "Made by `make docs` from the commands themselves.", ""]
    for name, text in commands():
        parts += [f"## `{name}`", "", "```text", text, "```", ""]
    return "\n".join(parts)


def columns_reference() -> str:
    """The whole of `docs/columns.md`."""
    parts = ["# Columns", "", "Made by `make docs` from `schemas/`.", "", "# Subsets", ""]
    for stem in schema.stems():
        parts += columns_of(schema.subset(stem))
    parts += ["# Workspace tables", ""]
    for name in schema.table_names():
        parts += columns_of(schema.table(name))
    return "\n".join(parts)


def columns_of(promise: schema.Schema) -> list[str]:
    """One schema as a Markdown table."""
    lines = [f"## {promise.name}", "", promise.description, ""]
    lines += ["| column | type | null | what it holds |", "| --- | --- | --- | --- |"]
    for column in promise.columns:
        kind = column.type.replace("<", "\\<")
        name = f"**{column.name}**" if column.published else column.name
        null = "yes" if column.nullable else ""
        lines.append(f"| {name} | {kind} | {null} | {column.description} |")
    if any(column.published for column in promise.columns):
        lines += ["", "Bold: a column of the published PixMo subset."]
    return [*lines, ""]


def main() -> None:
    """Both files are up to date in the checkout."""
    docs = Path(__file__).parents[2] / "docs"
    write_text(docs / "cli.md", cli_reference())
    write_text(docs / "columns.md", columns_reference())


if __name__ == "__main__":
    main()
