"""Label Studio's webhooks, listened for: each is a hint to pull soon, and nothing else.

A webhook may be lost, forged, or sent before what it tells of can be seen. So its body is not read,
and whatever it hints at is true only once a pull finds it.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from hmac import compare_digest

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pixmo.errors import SettingsError
from pixmo.label.push import known_project
from pixmo.label.studio import Studio
from pixmo.listening import listen
from pixmo.workspace.workspace import Workspace

SECRET = "PIXMO_WEBHOOK_SECRET"
HEADER = "X-Pixmo-Secret"
PATH = "/hook"
GRACE_SECONDS = 1


def secret() -> str:
    """The secret that webhooks carry.

    Raises:
        SettingsError: there is none, or no header can hold it.
    """
    value = os.environ.get(SECRET, "")
    if not value or not value.isascii() or not value.isprintable():
        raise SettingsError(
            f"{SECRET} is not set, or not printable ASCII; it keeps strangers from making pixmo"
            f" pull: export {SECRET}=$(openssl rand -hex 32)"
        )
    return value


@contextlib.contextmanager
def listening(host: str, port: int, told: Callable[[], None]) -> Iterator[int]:
    """A context in which `told` is called at each POST /hook with the secret; gives the port.

    Port 0: any that is free.

    Raises:
        SettingsError: there is no secret, or the address cannot be listened on.
    """
    wanted = secret().encode()

    async def hook(request: Request) -> Response:
        if not compare_digest(request.headers.get(HEADER, "").encode(), wanted):
            return Response(status_code=403)
        told()
        return Response(status_code=204)

    opened = listen(host, port)
    config = uvicorn.Config(
        Starlette(routes=[Route(PATH, hook, methods=["POST"])]),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    try:
        yield opened.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def register(workspace: Workspace, studio: Studio, subset: str, url: str) -> None:
    """Label Studio sends its webhooks of the subset's project to `url`, with the secret, once.

    Raises:
        SettingsError: there is no secret.
        LabelError: the server refuses the URL, as it does private ones unless it runs with
            SSRF_PROTECTION_ENABLED=false.
    """
    headers = {HEADER: secret()}
    project = known_project(workspace, studio, subset)
    if project is not None:
        studio.send_webhooks(project, url, headers)
