"""How results and progress are shown: bars and tables for people, JSON for scripts."""

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pixmo.files import plain

if TYPE_CHECKING:
    from pixmo.execution.progress import Advance


class Bars:
    """Progress bars on the terminal's error stream; nothing where it is no terminal."""

    @contextlib.contextmanager
    def task(self, description: str, total: int, unit: str) -> Iterator["Advance"]:
        """A bar that advances by the number of units it is called with, a note behind it."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        done = (
            (DownloadColumn(), TransferSpeedColumn())
            if unit == "bytes"
            else (MofNCompleteColumn(), TextColumn(unit))
        )
        console = Console(stderr=True)
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            *done,
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
            transient=False,
        ) as bars:
            bar = bars.add_task(description, total=total, note="")

            def advance(count: int, note: str = "") -> None:
                bars.update(bar, advance=count, note=note)

            yield advance


def say(text: str = "") -> None:
    """A line on the output."""
    typer.echo(text)


def as_json(value: Any) -> None:
    """A value, dataclasses and dates in it too, as indented JSON on the output."""
    typer.echo(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table in plain text, columns aligned, numbers to the right; a cell may be empty."""
    cells = [[str(value) for value in row] for row in rows]
    numeric = [
        any(row[n] for row in cells) and all(is_number(row[n]) for row in cells if row[n])
        for n in range(len(header))
    ]
    widths = [
        max(len(name), *(len(row[n]) for row in cells)) if cells else len(name)
        for n, name in enumerate(header)
    ]

    def line(values: Sequence[str]) -> str:
        padded = (
            value.rjust(width) if right else value.ljust(width)
            for value, width, right in zip(values, widths, numeric, strict=True)
        )
        return "  ".join(padded).rstrip()

    typer.echo(line(header))
    typer.echo("  ".join("─" * width for width in widths))
    for row in cells:
        typer.echo(line(row))


def is_number(cell: str) -> bool:
    """Whether a cell is a number."""
    return cell.replace(".", "", 1).lstrip("-").isdigit()


def fail(message: str) -> None:
    """One line on the error stream."""
    print(f"pixmo: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201


def warn(message: str) -> None:
    """One line on the error stream of something done that is hardly what was wanted."""
    fail(f"warning: {message}")


def note(message: str) -> None:
    """One line on the error stream of what a command found, and does about it."""
    fail(message)


def here(path: Path) -> str:
    """`path` relative to the current folder when inside it."""
    with contextlib.suppress(ValueError):
        return str(path.resolve().relative_to(Path.cwd()))
    return str(path)


def counts(result: Any, json_wanted: bool) -> None:
    """The fields of a result, as `name  value` lines or as JSON."""
    if json_wanted:
        as_json(result)
        return
    names = [field.name for field in dataclasses.fields(result)]
    width = max(len(name) for name in names)
    for name in names:
        value = getattr(result, name)
        if isinstance(value, float):
            value = f"{value:,.1f}"
        typer.echo(f"{name.replace('_', ' '):<{width}}  {value}")
