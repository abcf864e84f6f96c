"""What docs/publishing.md says to do is done, to the letter, on servers of this machine."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixmo.release.build import build_release
from pixmo.workspace.workspace import Workspace
from tests import hub_server, object_stores, workspaces
from tests.conftest import ROOT
from tests.hub_server import HubServer
from tests.object_stores import CREDENTIALS, client_of
from tests.published import contents

GUIDE = (ROOT / "docs/publishing.md").read_text("utf-8")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made, _ = workspaces.make(tmp_path_factory.mktemp("guide") / "data")
    build_release(made, "v1")
    return made


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with hub_server.running() as server:
        yield server


@pytest.fixture(scope="module")
def environment(hub: HubServer, pixmo: Path, workspace: Workspace) -> Iterator[dict[str, str]]:
    with object_stores.moto() as url, pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        client = client_of(url)
        client.create_bucket(Bucket="bucket")
        client.close()
        yield os.environ | {
            "PATH": f"{pixmo.parent}{os.pathsep}{os.environ['PATH']}",
            "AWS_ENDPOINT_URL": url,
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": hub_server.TOKEN,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HOME": str(workspace.root / ".huggingface"),
            "MINISIGN_PASSWORD": "",
        }


def test_every_command_of_the_guide_runs(
    workspace: Workspace, hub: HubServer, environment: dict[str, str]
) -> None:
    share = workspace.root / "share"
    blocks = re.findall(r"```bash\n(.*?)```", GUIDE, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) >= 10
    for line in lines:
        done = subprocess.run(
            ["bash", "-e", "-c", line.replace("/mnt/share", str(share))],
            cwd=workspace.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    release = contents(workspace.releases / "v1")
    unsigned = {path: data for path, data in release.items() if not path.endswith(".minisig")}
    assert contents(share / "my-dataset/v1") == unsigned
    assert contents(workspace.root / "copy-of-v1") == unsigned
    assert hub.datasets["org/name"].at("v1").keys() - {".gitattributes"} == unsigned.keys()
    assert "signature holds" in done.stdout  # the last command's, which checks it


def test_the_python_of_the_guide_loads_what_is_in_the_bucket(
    workspace: Workspace, environment: dict[str, str]
) -> None:
    """After the commands, which publish it."""
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nprint(captions.num_rows)"],
        cwd=workspace.root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 1
