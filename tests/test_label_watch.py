"""pixmo.label.watch and .webhooks against a real Label Studio."""

import os
import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from pixmo.errors import LabelError, SettingsError
from pixmo.label.push import push
from pixmo.label.studio import Studio, connected
from pixmo.label.watch import Watch, pushed_subsets, retry_seconds
from pixmo.label.webhooks import HEADER, SECRET, listening, register
from pixmo.workspace.workspace import Workspace
from tests.conftest import hear_ctrl_c
from tests.label_studio_exports import presence
from tests.label_studio_server import (
    TOKEN,
    Server,
    count,
    free_port,
    labels,
    make_workspace,
    tasks_of,
)

pytestmark = pytest.mark.slow  # real servers or a real browser

PATIENCE_SECONDS = 30.0


@pytest.fixture
def server(label_studio: Server) -> Server:
    return label_studio


@pytest.fixture
def workspace(
    server: Server, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Workspace:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    monkeypatch.setenv(SECRET, "a secret for tests")
    return make_workspace(server, request.node.name)


@pytest.fixture
def studio(server: Server, workspace: Workspace) -> Iterator[Studio]:
    with connected(server.url) as reached:
        yield reached


class Watching:
    """`pixmo label watch`, and the lines that it says."""

    def __init__(self, pixmo: Path, workspace: Workspace, *options: object) -> None:
        self.process = subprocess.Popen(
            [pixmo, "label", "watch", "-w", workspace.root, *map(str, options)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=hear_ctrl_c,
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line.strip())

    def line(self) -> str:
        """The next line that is said, soon."""
        return self.lines.get(timeout=PATIENCE_SECONDS)

    def stop(self) -> list[str]:
        """Ctrl-C ends it well; returns what it said that nobody has read yet."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(PATIENCE_SECONDS) == 0
        self.reader.join()
        return [self.lines.get() for _ in range(self.lines.qsize())]


@contextmanager
def watching(pixmo: Path, workspace: Workspace, *options: object) -> Iterator[Watching]:
    """A watch that is over afterwards, whatever happened."""
    watch = Watching(pixmo, workspace, *options)
    try:
        yield watch
    finally:
        watch.process.kill()
        watch.process.communicate()
        watch.reader.join()


def test_a_webhook_brings_an_annotation_at_once(
    server: Server, workspace: Workspace, studio: Studio, pixmo: Path
) -> None:
    pushed = push(workspace, studio, "points", labels(workspace, "red dots"))
    one, two, *_ = tasks_of(server, pushed.project)
    server.annotate(one.id, presence("none"))
    port = free_port()
    url = f"http://127.0.0.1:{port}/hook"
    options = ("--every", 3600, "--port", port, "--webhook", url)
    with watching(pixmo, workspace, *options) as watch:
        assert watch.line() == f"listening for webhooks at 127.0.0.1 port {port}"
        assert watch.line() == "watching points  (Ctrl-C ends it)"
        assert watch.line() == "points: 1 annotation, 1 point annotation"
        server.annotate(two.id, presence("none"))
        assert watch.line() == "points: 1 annotation, 1 point annotation"
        assert count(workspace, "current_point_annotations") == 2
        assert watch.stop() == ["ended; came: 2 annotations, 2 point annotations"]
    register(workspace, studio, "points", url)
    (hook,) = server.client.webhooks.list(project=str(pushed.project))
    assert (hook.headers, hook.send_payload) == ({HEADER: os.environ[SECRET]}, False)


def test_a_server_that_is_away_is_waited_for(
    server: Server, workspace: Workspace, studio: Studio, pixmo: Path
) -> None:
    pushed = push(workspace, studio, "points", labels(workspace, "red dots"))
    one, *_ = tasks_of(server, pushed.project)
    server.kill()
    url = f"http://127.0.0.1:{free_port()}/hook"
    with watching(pixmo, workspace, "--every", 1, "--webhook", url) as watch:
        assert watch.line() == "watching points  (Ctrl-C ends it)"
        away = f"Label Studio at {server.url} is away; trying again, at least once a minute"
        assert watch.line() == away
        time.sleep(5)  # some tries
        assert watch.lines.empty()  # it is said once
        server.start()
        server.annotate(one.id, presence("none"))
        came = "points: 1 annotation, 1 point annotation"
        assert {watch.line(), watch.line()} == {came, "all is well again"}
        (hook,) = server.client.webhooks.list(project=str(pushed.project))
        assert hook.url == url
        server.kill()
        assert watch.line() == away
        assert watch.stop() == ["ended; came: 1 annotation, 1 point annotation"]


def test_a_weekend_without_the_server_ends_no_watch() -> None:
    assert [retry_seconds(tries) for tries in (1, 2, 5, 6, 5000)] == [2, 4, 32, 60, 60]


def test_another_pull_beside_it_does_not_end_a_watch(workspace: Workspace, studio: Studio) -> None:
    push(workspace, studio, "points", labels(workspace, "red dots"))
    said: list[str] = []
    watch = Watch(workspace, studio, ["points"], 3600, said.append)
    with workspace.lock("pull"):
        assert "busy with pull" in (watch.round() or "")
    assert watch.round() is None


def test_hints_that_never_cease_hold_up_no_pull(workspace: Workspace, studio: Studio) -> None:
    watch = Watch(workspace, studio, ["points"], 3600, print)
    is_over = threading.Event()

    def hint_often() -> None:
        while not is_over.wait(0.05):
            watch.hint()

    hinting = threading.Thread(target=hint_often)
    hinting.start()
    started = time.monotonic()
    watch.waited(PATIENCE_SECONDS)
    assert time.monotonic() - started < 5
    is_over.set()
    hinting.join()
    watch.hint()
    watch.end()
    assert watch.waited(PATIENCE_SECONDS) == "end"


def test_only_those_who_know_the_secret_are_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    hints: list[None] = []
    monkeypatch.setenv(SECRET, "a secret for tests")
    with listening("127.0.0.1", 0, lambda: hints.append(None)) as port:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            for wrong in ({}, {HEADER: "another"}, {HEADER: "sécret".encode("latin-1")}):
                assert client.post("/hook", headers=wrong).status_code == 403
            assert client.get("/hook", headers={HEADER: "a secret for tests"}).status_code == 405
            assert hints == []
            answer = client.post("/hook", headers={HEADER: "a secret for tests"}, json={"x": 1})
            assert answer.status_code == 204
            assert len(hints) == 1
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as endless:
            endless.sendall(
                b"POST /hook HTTP/1.1\r\nHost: here\r\nContent-Length: 1000000000000\r\n"
                b"X-Pixmo-Secret: a secret for tests\r\n\r\n"
            )
            assert endless.recv(100).startswith(b"HTTP/1.1 204")  # the body is not waited for
        with pytest.raises(SettingsError, match="choose one with --port"):
            listening("127.0.0.1", port, print).__enter__()
    monkeypatch.delenv(SECRET)
    with pytest.raises(SettingsError, match=f"{SECRET} is not set"):
        listening("127.0.0.1", 0, print).__enter__()


def test_only_what_was_pushed_is_watched(workspace: Workspace, studio: Studio) -> None:
    with pytest.raises(LabelError, match="no project was pushed from here; first"):
        pushed_subsets(workspace, [])
    push(workspace, studio, "points", labels(workspace, "red dots"))
    assert pushed_subsets(workspace, []) == ["points"]
    with pytest.raises(LabelError, match="no project of ama was pushed"):
        pushed_subsets(workspace, ["points", "ama"])
    with pytest.raises(
        LabelError, match="there is no subset dots; name some of ama, cap, points, questions"
    ):
        pushed_subsets(workspace, ["dots"])
