"""The recorder as a server: one process of a workspace at a time, until it is stopped."""

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from pixmo.errors import SettingsError, WorkspaceError
from pixmo.files import write_text
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


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens, whose connections send at once what is written to them.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise SettingsError(
            f"{host} port {port} cannot be listened on ({error.strerror}); another program may"
            " have it: choose one with --port"
        ) from error
    # Else an answer's body waits for the confirmation of its head, which takes a browser 40 ms;
    # asyncio sees to it only where a socket names its protocol.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


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
