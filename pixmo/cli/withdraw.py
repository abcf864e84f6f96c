"""The command that takes rows out of releases to come."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixmo.cli import show
from pixmo.cli.app import AS_JSON, WORKSPACE, app, open_workspace
from pixmo.text import counted

if TYPE_CHECKING:
    from pixmo.release.withdraw import Request
    from pixmo.workspace.workspace import Workspace


@app.command()
def withdraw(
    annotator: Annotated[
        str, typer.Option(help="Take out all that this person recorded, wrote or annotated.")
    ] = "",
    image: Annotated[
        str, typer.Option(help="Take out this image: its sha256, path or name, or any file.")
    ] = "",
    url: Annotated[str, typer.Option(help="Take out the images of this source URL.")] = "",
    reason: Annotated[
        str, typer.Option(help="Why; it stays in the workspace, no release says it.")
    ] = "",
    erase: Annotated[
        bool, typer.Option("--erase", help="Delete their recordings, or the image's files, too.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take it back: it counts again.")] = False,
    listed: Annotated[
        bool, typer.Option("--list", help="Only show what was withdrawn, and who holds it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete files without asking.")] = False,
    workspace: WORKSPACE = Path(),
    json: AS_JSON = False,
) -> None:
    """Take a person's or an image's rows out of every release to come.

    What comes in again later stays out. Finished releases never change: those that hold such rows
    are listed, to be withdrawn from wherever they were published.

    Example: pixmo withdraw --annotator anna --reason "asked on 3 May"
    """
    from pixmo.errors import WorkspaceError
    from pixmo.release import withdraw as withdrawing
    from pixmo.release.held import search

    opened = open_workspace(workspace)
    asked = {k: v for k, v in (("annotator", annotator), ("image", image), ("url", url)) if v}
    if listed:
        show_standing(opened, json)
        return
    if len(asked) != 1:
        raise WorkspaceError("name one of --annotator, --image or --url; --list shows what is gone")
    request = withdrawing.request_of(opened, *next(iter(asked.items())))
    if undo:
        withdrawing.undo(opened, request, reason)
        if json:
            show.as_json({"request": str(request), "is_undone": True})
        else:
            show.say(f"{request} counts again; files that were erased are gone")
        return
    reason = reason or withdrawing.reason_of(opened, request) or ""
    if not reason:
        raise WorkspaceError("say why with --reason; it stays in the workspace")
    is_new = withdrawing.withdraw(opened, request, reason)
    if not json:  # before the search, which may take long or fail
        show.say(f"{request} {'is withdrawn' if is_new else 'was withdrawn already'}")
    if not withdrawing.is_here(opened, request):
        show.note(f"no image here has {request}; it holds for what comes in later")
    found = search(opened, request, show.Bars())
    for line in found.unreadable:
        show.note(line)
    if json:
        show.as_json(
            {
                "request": str(request),
                "is_new": is_new,
                "held_by": found.held,
                "unreadable": found.unreadable,
            }
        )
    else:
        for one in found.held:
            show.say(f"  {one.version} holds {counted(one.rows, 'row')} of {one.subset}")
        show.say(NEXT_AFTER_HELD if found.held else NEXT)
    if erase:
        erase_files(opened, request, yes)


NEXT = "the next release is without it: pixmo build-release"
NEXT_AFTER_HELD = (
    "a finished release never changes: take those back where they are published, and build anew:"
    " pixmo caption, then pixmo build-release"
)


def show_standing(workspace: "Workspace", json: bool) -> None:
    """What was withdrawn, and the releases that hold rows of it."""
    from pixmo.release import withdraw as withdrawing
    from pixmo.release.held import search

    requests, found = withdrawing.standing(workspace), search(workspace, progress=show.Bars())
    for line in found.unreadable:
        show.note(line)
    if json:
        show.as_json(
            {"withdrawals": requests, "held_by": found.held, "unreadable": found.unreadable}
        )
        return
    show.table(
        ["withdrawn", "reason", "images", "recordings", "transcripts", "annotations"],
        [
            (
                f"{one.request}{' (undone)' if one.is_undone else ''}",
                f"{one.reason}; undone: {one.undone_because}" if one.undone_because else one.reason,
                one.images,
                one.recordings,
                one.transcripts,
                one.annotations,
            )
            for one in requests
        ],
    )
    for one in found.held:
        show.say(f"{one.version} holds {counted(one.rows, 'row')} of {one.subset}")


def erase_files(workspace: "Workspace", request: "Request", yes: bool) -> None:
    """The files are deleted, once somebody said so."""
    from pixmo.release.erase import erase, erasing, files_in

    found = erasing(workspace, request)
    for path in found.outside:
        show.note(f"{path} lies outside of the workspace and is left; delete it yourself")
    if not found.inside:
        show.note("there is no file to delete")
        return
    for path in found.inside:
        within = f", a folder with {counted(files_in(path), 'file')}" if path.is_dir() else ""
        show.note(f"to delete: {show.here(path)}{within}")
    what = counted(found.files, "file")
    if not yes:
        try:
            is_wanted = typer.confirm(f"Delete {what} for good?", err=True)
        except typer.Abort:
            typer.echo(err=True)  # the question has no end of its line
            show.fail("nothing was deleted, nobody said yes; --yes deletes without asking")
            raise typer.Exit(1) from None
        if not is_wanted:
            show.note("nothing was deleted")
            return
    erase(workspace, found)
    show.note(f"{what} deleted; docs/provenance.md says what is left")
