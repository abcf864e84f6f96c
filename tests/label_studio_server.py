"""A real Label Studio, installed into an environment of its own by `make test`."""

import fcntl
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest
from label_studio_sdk import LabelStudio, PredictionRequest
from PIL import Image
from playwright.sync_api import Page

from pixmo.images.store import add_images
from pixmo.workspace.workspace import Workspace
from tests.conftest import ROOT
from tests.workspaces import picture

ENVIRONMENT = ROOT / ".label-studio"
TEMPLATE = ENVIRONMENT / "template"  # a data folder after its migrations, which take half a minute
TOKEN = "0123456789abcdef0123456789abcdef01234567"
USER, PASSWORD = "lead@example.org", "a-password-for-tests"
PATIENCE_SECONDS = 180


def program() -> Path:
    """The server's program; where it is not installed, the test is left out, but not in CI."""
    found = ENVIRONMENT / "bin/label-studio"
    if not found.exists():
        reason = "no Label Studio: `make test` installs it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@dataclass
class Server:
    """A server that runs, or that was killed and can be started again where it was."""

    data: Path
    document_root: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.data.with_suffix(".log")

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """It answers."""
        settings = {
            "LABEL_STUDIO_USERNAME": USER,
            "LABEL_STUDIO_PASSWORD": PASSWORD,
            "LABEL_STUDIO_USER_TOKEN": TOKEN,
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
            "COLLECT_ANALYTICS": "false",
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(self.document_root),
            "SSRF_PROTECTION_ENABLED": "false",
        }
        command = [program(), "start", "--no-browser", "--internal-host", "127.0.0.1"]
        command += ["--port", str(self.port), "--data-dir", self.data]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                command, env=os.environ | settings, stdout=output, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.answers():
            assert self.process.poll() is None, self.log.read_text("utf-8", "replace")
            assert time.monotonic() < deadline, self.log.read_text("utf-8", "replace")
            time.sleep(0.2)

    def answers(self) -> bool:
        """Whether it does."""
        try:
            return httpx.get(f"{self.url}/health", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """It is gone, at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self) -> None:
        """It is gone, and so are the connections to it."""
        self.kill()
        if "client" in vars(self):
            self.http.close()

    @cached_property
    def client(self) -> LabelStudio:
        """Its API, as an annotator's browser would use it."""
        self.http = httpx.Client(trust_env=False, timeout=60)
        return LabelStudio(base_url=self.url, api_key=TOKEN, httpx_client=self.http)

    def annotate(self, task: int, *results: dict[str, Any], **more: Any) -> int:
        """A task has a further annotation; returns its id."""
        return int(self.client.annotations.create(task, result=list(results), **more).id)

    def annotate_at_once(self, project: int, results: dict[int, list[dict[str, Any]]]) -> None:
        """The tasks have an annotation each, all made in one moment: thousands in seconds."""
        self.client.projects.import_predictions(
            project,
            request=[PredictionRequest(task=task, result=made) for task, made in results.items()],
        )
        self.client.actions.create(
            id="predictions_to_annotations",
            project=project,
            selected_items={"all": True, "excluded": []},
        )


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """A server with no project; it may serve the files in `folder`."""
    program()
    with (ENVIRONMENT / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several processes test
        if not TEMPLATE.exists():
            fresh = Server(ENVIRONMENT / "making", folder, free_port())
            shutil.rmtree(fresh.data, ignore_errors=True)
            fresh.start()
            fresh.kill()
            fresh.data.rename(TEMPLATE)
    data = folder / "label-studio-data"
    shutil.copytree(TEMPLATE, data)
    server = Server(data, folder, free_port())
    server.start()
    try:
        yield server
    finally:
        server.close()


def log_in(page: Page, server: Server) -> None:
    """The page is that of the server's user."""
    page.set_default_timeout(30_000)
    page.goto(f"{server.url}/user/login/")
    page.fill("input[name=email]", USER)
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url("**/")


def click_at(page: Page, x: float, y: float) -> None:
    """A click at these percent of the image shown."""
    box = page.locator("img[alt=image]").bounding_box()
    assert box
    page.mouse.click(box["x"] + x / 100 * box["width"], box["y"] + y / 100 * box["height"])


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def make_workspace(server: Server, name: str) -> Workspace:
    """Four images, three upright and one turned by its EXIF orientation."""
    root = server.document_root / name
    (root / "images").mkdir(parents=True)
    for number in range(3):
        picture(number).save(root / f"images/photo {number}.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    picture(3).save(root / "images/turned.jpg", exif=exif)
    (root / "pixmo.toml").write_text(
        f'[label_studio]\nurl = "{server.url}"\ndocument_root = "{server.document_root}"\n'
    )
    workspace = Workspace.open(root)
    add_images(workspace, workspace.images)
    return workspace


def labels(workspace: Workspace, *names: str) -> Path:
    """A file that asks for points on every image."""
    path = workspace.root / "labels.jsonl"
    images = sorted(file.name for file in workspace.images.iterdir())
    rows = [{"image": image, "label": name} for image in images for name in names]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def tasks_of(server: Server, project: int) -> list[Any]:
    return list(server.client.tasks.list(project=project, fields="all"))


def count(workspace: Workspace, table: str) -> int:
    with workspace.connect() as connection:
        (found,) = connection.execute(f"select count(*) from {table}").fetchone() or (0,)
    return int(found)
