"""S3 servers on this machine, and a proxy before them that breaks what a test says."""

import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from tests.conftest import ROOT

ENVIRONMENT = ROOT / ".object-stores"  # of `make test`: ministack and aws want another botocore
BUCKET = "data"
PATIENCE_SECONDS = 60
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": "/nowhere",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def program(name: str) -> Path:
    """A program of that environment; where it is not installed, the test is left out, not in CI."""
    found = ENVIRONMENT / "bin" / name
    if not found.exists():
        reason = f"no {name}: `make test` installs it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def client_of(endpoint: str) -> Any:
    """boto3's client of a server."""
    return boto3.client("s3", endpoint_url=endpoint)


@contextlib.contextmanager
def moto() -> Iterator[str]:
    """moto's server, empty: it keeps to conditions on PUT, and takes wrong checksums."""
    storage = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    storage.start()
    host, port = storage.get_host_and_port()
    url = f"http://{host}:{port}"
    httpx.post(f"{url}/moto-api/reset").raise_for_status()  # the servers of a process share all
    yield url
    storage.stop()


@contextlib.contextmanager
def ministack(folder: Path) -> Iterator[str]:
    """ministack: it refuses wrong checksums; its objects are files in `folder`."""
    port = free_port()
    settings = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SERVICES": "s3",
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(folder / "objects"),
        "TMPDIR": str(folder),
        "LOG_LEVEL": "ERROR",
    }
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [program("python"), "-m", "ministack"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, env=environment | settings, cwd=folder, stdout=log, stderr=log
        )
        try:
            answers(f"http://127.0.0.1:{port}", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait()


def answers(url: str, server: "subprocess.Popen[bytes]") -> None:
    """The server at `url` answers."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"{url}/_ministack/health")
            return
        time.sleep(0.05)
    pytest.fail(f"ministack did not start: status {server.poll()}")


PASS, CUT, LOSE, HOLD = "pass", "cut", "lose", "hold"


@dataclass
class Proxy:
    """Passes on what clients and a server say, but for what `fault` says of it.

    `fault` sees what a client sends as it comes, in chunks; it answers PASS, CUT (the connection
    ends, the chunk is not passed on), LOSE (the server hears it, its reply is lost) or HOLD (it
    is not passed on, and nothing more). `reply_fault` sees what the server answers, PASS or CUT.
    """

    target: str
    fault: Callable[[bytes], str]
    reply_fault: Callable[[bytes], str] = lambda _: PASS
    held: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """The proxy's URL."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=self.accept, args=(listener,), daemon=True).start()
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            # Only this wakes a thread that waits for connections.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)

    def accept(self, listener: socket.socket) -> None:
        """Serve every connection until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        """One connection, to its end."""
        host, port = self.target.removeprefix("http://").split(":")
        server = socket.create_connection((host, int(port)))
        losing = threading.Event()
        back = threading.Thread(
            target=pump, args=(server, client, losing, self.reply_fault), daemon=True
        )
        back.start()
        try:
            while chunk := client.recv(1 << 16):
                what = self.fault(chunk)
                if what == CUT:
                    break
                if what == HOLD:
                    self.held.set()
                    client.recv(1)  # until it is gone
                    break
                if what == LOSE:
                    losing.set()
                server.sendall(chunk)
        except OSError:
            pass
        finally:
            close(server)
            close(client)
            back.join()


def pump(
    source: socket.socket,
    target: socket.socket,
    losing: threading.Event,
    fault: Callable[[bytes], str],
) -> None:
    """What one says the other hears; once it is being lost, the connection ends instead."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(1 << 16):
            if losing.is_set() or fault(chunk) == CUT:
                break
            target.sendall(chunk)
    close(target)


def close(end: socket.socket) -> None:
    """A connection is gone, whoever waits at it."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
