"""The `pixmo` command: its groups, its options, and how an error reaches a person."""

import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixmo import __version__
from pixmo.cli import show
from pixmo.errors import PixmoError

if TYPE_CHECKING:
    from pixmo.workspace.workspace import Workspace

app = typer.Typer(
    name="pixmo",
    help="Collect, curate, release and validate vision-language data that people spoke and pointed."
    "\n\nThe main job: pixmo transcribe audio/ → pixmo build-release v1 → pixmo validate"
    " --train-probe",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)

INTERRUPTED = 130  # the exit status of a program that Ctrl-C stopped
STOPPED = "stopped; what was finished is kept, run the same command to go on"
INTERRUPTED_QUERY = "Query interrupted"

WORKSPACE = Annotated[
    Path,
    typer.Option(
        "--workspace",
        "-w",
        help="The workspace's folder. Relative paths in arguments start from the current folder.",
        metavar="DIR",
    ),
]
AS_JSON = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def version(value: bool) -> None:
    """Print the version and stop."""
    if value:
        typer.echo(f"pixmo {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where in the code an error came from.")
    ] = False,
) -> None:
    """Options of every command."""


def open_workspace(folder: Path) -> "Workspace":
    """The workspace in `folder`."""
    from pixmo.workspace.workspace import Workspace

    return Workspace.open(folder)


def main() -> None:
    """Run the command line; whatever goes wrong is one line and an exit status.

    0: done. 1: it could not be done, the line says why. 2: wrong usage. 130: stopped by Ctrl-C.
    """
    try:
        app()
    except PixmoError as error:
        stop(str(error))
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        stop(f"{place}{error.strerror or error}")
    except SystemExit as status:
        if status.code == INTERRUPTED:  # typer turns Ctrl-C into this
            # People press it again while worker processes end; that would print tracebacks.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            show.fail(STOPPED)
        raise
    except Exception as error:  # noqa: BLE001 - the last place where a traceback can be kept away
        if INTERRUPTED_QUERY in str(error):  # DuckDB heard Ctrl-C first
            show.fail(STOPPED)
            sys.exit(INTERRUPTED)
        stop(
            f"unexpected {type(error).__name__}: {error}; this is a bug in pixmo, please report it"
            " with what `pixmo --debug …` prints"
        )


def stop(message: str) -> None:
    """End with status 1 and one line; with `--debug`, the traceback before it."""
    if "--debug" in sys.argv:
        traceback.print_exc()
    show.fail(message)
    sys.exit(1)
