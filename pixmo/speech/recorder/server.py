"""The recorder as a server: one process of a workspace at a time, until it is stopped."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import uvicorn

from pixmo.errors import WorkspaceError
from pixmo.files import write_text
from pixmo.listening import listen
from pixmo.speech.recorder.app import build_app
from pixmo.speech.recorder.recorder import Recorder

GRACE_SECONDS = 10  # for requests that are being answered when the server is to end
LOCK = "record"  # what a workspace calls this work


def serve(recorder: Recorder, host: str, port: int, told: Callable[[str], None]) -> None:
    """The recorder answers until Ctrl-C or SIGTERM; `told` gets its URL when it listens.

    Port 0: any that is free.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    listening = listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listening.getsockname()[1]}"
    config = uvicorn.Config(
        build_app(recorder),
        log_level="warning",
        access_log=False,  # an address is an invitation
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    path = address(recorder.folder)
    write_text(path, url)
    try:
        told(url)
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn passes it on when all is answered
            uvicorn.Server(config).run(sockets=[listening])
    finally:
        path.unlink(missing_ok=True)


def address(folder: Path) -> Path:
    """The file that says where the recorder of this folder is."""
    return folder / "address"


def running_at(folder: Path) -> str:
    """Where the recorder of this folder is, which runs.

    Raises:
        WorkspaceError: it does not listen yet.
    """
    try:
        return address(folder).read_text("utf-8")
    except FileNotFoundError as error:
        raise WorkspaceError("the recorder starts or ends just now; try again") from error
