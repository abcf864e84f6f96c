"""A real browser with a microphone that hears a file, and servers for it to open."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, Playwright, sync_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.conftest import hear_ctrl_c


def chromium() -> str:
    """The browser's program; where it is not installed, the test is left out, but not in CI."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        reason = "no Chromium: as root, `make test` installs it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@contextmanager
def browser(
    *arguments: str, heard: Path | None = None, playwright: Playwright | None = None
) -> Iterator[Browser]:
    """Chromium without a window; its microphone hears the WAV file once, or there is none.

    One `playwright` may have several of them at a time.
    """
    microphone = (
        "--use-fake-ui-for-media-stream",  # it is allowed
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={heard}%noloop",
    )
    options = [*arguments, *(microphone if heard else ())]
    if os.geteuid() == 0:
        options.append("--no-sandbox")  # root may not use it
    with nullcontext(playwright) if playwright else sync_playwright() as started:
        opened = started.chromium.launch(executable_path=chromium(), args=options)
        try:
            yield opened
        finally:
            opened.close()


@contextmanager
def serving(command: list[str], log: Path, ready: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A server runs that has printed `ready`; stopped by Ctrl-C afterwards, if it lives still."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, preexec_fn=hear_ctrl_c
        )
    try:
        deadline = time.monotonic() + 60
        while ready not in log.read_text("utf-8"):
            assert process.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < deadline, log.read_text("utf-8")
            time.sleep(0.05)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(30)


@contextmanager
def https_proxy(target: str, prefix: str, folder: Path) -> Iterator[str]:
    """A reverse proxy puts `target` under `prefix` on https; yields where."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=localhost", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )

    async def forward(request: Request) -> Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.request(
                request.method,
                f"{target}{request.url.path.removeprefix(prefix)}",
                content=await request.body(),
                headers={name: request.headers[name] for name in request.headers if name != "host"},
            )
        return Response(answer.content, answer.status_code, dict(answer.headers))

    methods = ["GET", "POST", "PATCH", "DELETE"]
    app = Starlette(routes=[Route(f"{prefix}/{{path:path}}", forward, methods=methods)])
    config = uvicorn.Config(
        app, port=0, log_level="warning", ssl_keyfile=str(key), ssl_certfile=str(certificate)
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"https://localhost:{port}{prefix}"
    server.should_exit = True
    thread.join(30)
