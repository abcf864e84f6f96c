"""The command that serves the page on which annotators speak."""

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from pixmo.cli import show
from pixmo.cli.app import WORKSPACE, app, open_workspace
from pixmo.text import counted

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@app.command()
def record(
    invite: Annotated[
        list[str] | None,
        typer.Option(help="Print a link for this annotator; may be given several times."),
    ] = None,
    revoke: Annotated[
        list[str] | None,
        typer.Option(help="Take back this annotator's links; alone, nothing is served."),
    ] = None,
    days: Annotated[
        float, typer.Option(min=0.01, max=3650, help="How long such a link is good.")
    ] = 30,
    host: Annotated[
        str, typer.Option(help="The address to listen on; 0.0.0.0: all of this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8502,
    workspace: WORKSPACE = Path(),
) -> None:
    """Serve the page on which annotators look at an image and speak, until Ctrl-C.

    Nobody sees it without a link of their own. Recordings come to audio/recorder/, for
    pixmo transcribe audio/. Browsers record on https and on this machine only: for others, put the
    server behind a proxy that speaks https, and say where in [record] public_url of pixmo.toml.

    While a recorder of this workspace runs already, --invite prints links to it and ends; --revoke
    holds for it at once.

    Example: pixmo record --invite anna --invite ben
    """
    from datetime import UTC, datetime, timedelta

    from pixmo.errors import SpeechError, WorkspaceError
    from pixmo.speech.recorder.filing import FOLDER
    from pixmo.speech.recorder.invites import Invites
    from pixmo.speech.recorder.recorder import Recorder, answered
    from pixmo.speech.recorder.server import LOCK, running_at, serve
    from pixmo.workspace.withdrawals import read_withdrawn

    opened = open_workspace(workspace)
    invites = Invites.of(opened.root / FOLDER)
    for name in revoke or []:
        invites.revoke(name)
        show.say(f"{name:<12}  links made until now are invalid")
        if name not in answered(opened.root / FOLDER):
            show.warn(f"nobody called {name} has opened a link so far; is that the name?")
    if revoke and not invite:
        return
    expires = datetime.now(UTC) + timedelta(days=days)
    for name in sorted(set(invite or []) & read_withdrawn(opened).annotators):
        raise SpeechError(
            f"{name} withdrew what they did and cannot be invited; if they changed their mind:"
            f" pixmo withdraw --annotator {name} --undo"
        )
    tokens = {name: invites.token(name, expires) for name in invite or []}
    public_url = opened.settings.record.public_url.rstrip("/")

    def links(url: str) -> None:
        for name, token in tokens.items():
            show.say(f"{name:<12}  {url}/a/{token}/")
        if tokens:
            show.say(f"each is one person's own, until {expires:%Y-%m-%d %H:%M} UTC")

    def started(url: str) -> None:
        links(public_url or url)
        if not tokens:
            show.say("nobody is invited by this; for a link: pixmo record --invite NAME")
        if host not in LOOPBACK and not public_url.startswith("https://"):
            show.warn(
                "browsers record on https only; put a proxy before it, and name it in"
                " [record] public_url of pixmo.toml"
            )
        show.say(f"listening at {url}  (Ctrl-C ends it)")

    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(opened.lock(LOCK))
        except WorkspaceError as error:
            running = public_url or running_at(opened.root / FOLDER)
            if not tokens:
                raise WorkspaceError(
                    f"the recorder of this workspace runs already, at {running}; for a link to it:"
                    " pixmo record --invite NAME"
                ) from error
            links(running)
            return
        recorder = Recorder(opened)
        if not recorder.pictures:
            raise WorkspaceError(
                "there is no image to describe; take some in first: pixmo images add images/"
            )
        late = recorder.file_what_was_submitted()
        if late:
            show.say(f"{counted(late, 'recording')} filed that an earlier server had not")
        if begun := recorder.drafts.unfinished():
            show.say(f"{counted(begun, 'recording')} begun and not submitted yet")
        serve(recorder, host, port, started)
        recordings = counted(len(recorder.inbox.filed), "recording")
        show.say(f"ended; {recordings} so far. Next: pixmo transcribe audio/")
