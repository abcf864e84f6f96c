"""Fixtures that several files share."""

import os
import signal
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from tests.local_model_server import LocalModelServer, serving

if TYPE_CHECKING:
    from tests.label_studio_server import Server

ROOT = Path(__file__).parents[1]


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes test, each file has one, and what shares a fixture here has one.

    The longest come first: a process that began one last would be waited for by all others.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group(shared_by(item) or item.path.name))
    items.sort(key=lambda item: (not shared_by(item), item.get_closest_marker("slow") is None))


def shared_by(item: pytest.Item) -> str:
    """The costly fixture that a test shares with those of other files, if it does."""
    names = getattr(item, "fixturenames", ())
    return next((name for name in ("demo", "label_studio") if name in names), "")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Torch computes in one thread: on busy cores two wait for each other."""
    torch.set_num_threads(1)


@dataclass(frozen=True)
class Demo:
    """The demo as a stranger gets it: from the wheel, in an empty environment."""

    folder: Path  # the workspace
    pixmo: Path  # the command
    output: str  # what `pixmo demo` printed

    def run(self, *words: object, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """`pixmo WORDS`, run in `cwd` (default: the demo's workspace)."""
        return run_pixmo(self.pixmo, *words, cwd=cwd or self.folder)


def run_pixmo(command: Path, *words: object, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """`pixmo WORDS` in another process, offline, its output as text."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(cwd / ".huggingface")}
    return subprocess.run(
        [command, *map(str, words)],
        cwd=cwd,
        env=os.environ | offline,
        capture_output=True,
        text=True,
        check=False,
    )


def hear_ctrl_c() -> None:
    """A process hears Ctrl-C, though tests that run in the background do not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="session")
def pixmo() -> Path:
    """The `pixmo` command of this environment."""
    return Path(sys.executable).with_name("pixmo")


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The whole demo, done once: from the wheel, in an empty environment, run elsewhere."""
    folder = tmp_path_factory.mktemp("stranger")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    (wheel,) = folder.glob("pixmo-*.whl")
    venv.create(folder / "venv", with_pip=True)
    pip = [folder / "venv/bin/python", "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--constraint", ROOT / "constraints.txt", wheel], check=True)
    command = folder / "venv/bin/pixmo"
    result = run_pixmo(command, "demo", "world", cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return Demo(folder / "world", command, result.stdout)


@pytest.fixture(scope="session")
def label_studio_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Server"]:
    """A Label Studio that serves the files of every workspace in its `document_root`."""
    from tests.label_studio_server import running

    with running(tmp_path_factory.mktemp("label-studio")) as server:
        yield server


@pytest.fixture
def label_studio(label_studio_of_all: "Server") -> "Server":
    """The same, and it runs, whatever the test before did to it."""
    if not label_studio_of_all.answers():
        label_studio_of_all.start()
    return label_studio_of_all


@pytest.fixture
def server() -> Iterator[LocalModelServer]:
    """A server with a language model, for captions."""
    with serving() as local:
        yield local


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come soon, and whoever is waited for in vain is abandoned soon."""
    monkeypatch.setattr("pixmo.language_models.chat_completions.FIRST_DELAY_SECONDS", 0.01)
    monkeypatch.setattr("pixmo.execution.threads.GRACE_SECONDS", 2.0)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
