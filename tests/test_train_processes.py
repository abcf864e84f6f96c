"""Two processes train one model, as on two GPUs, and agree with one process alone."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pixmo.errors import TrainingError
from pixmo.molmo import checkpoint, metrics
from pixmo.molmo.device import choose_device
from pixmo.molmo.training_run import train_release
from tests.conftest import ROOT
from tests.releases import write_release
from tests.train_together import options


def torchrun(*words: object) -> None:
    """Two processes have done `python WORDS`."""
    command = [Path(sys.executable).with_name("torchrun"), "--nproc-per-node", "2", *words]
    result = subprocess.run(
        [str(word) for word in command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def losses(run: Path) -> list[float]:
    return [row["loss"] for row in metrics.read(run)]


def test_two_processes_train_as_one_and_leave_the_same_checkpoint(tmp_path: Path) -> None:
    root = write_release(tmp_path / "release", 12, 4)
    one, two = tmp_path / "one", tmp_path / "two"
    finished = train_release(options(root), one)
    torchrun("-m", "tests.train_together", root, two)
    alone, together = metrics.read(one), metrics.read(two)
    assert len(alone) == len(together) == 4
    for row, other in zip(alone, together, strict=True):
        for name in row:
            if name in ("loss", "held_out_loss") or name.startswith("gradient_norm"):
                assert other[name] == pytest.approx(row[name], abs=1e-5), name
            elif name.startswith("learning_rate"):
                assert other[name] == row[name]
    assert finished is not None
    assert finished.held_out_loss == alone[-1]["held_out_loss"]
    assert (two / "samples.html").exists()
    for mine, theirs in zip(
        checkpoint.load(one)[0].parameters(), checkpoint.load(two)[0].parameters(), strict=True
    ):
        assert mine.shape == theirs.shape
        assert torch.allclose(mine, theirs, atol=2e-4)
    # One process goes on from what two have left.
    shutil.rmtree(two / "checkpoints/step-000004")
    train_release(options(root), two)
    assert losses(two) == pytest.approx(losses(one), abs=1e-5)


NESTED = """
import torch
from torch import nn
from torch.distributed.tensor import DTensor
from pixmo.molmo.distributed import join

class Mixture(nn.Module):
    def __init__(self):
        super().__init__()
        self.experts = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))

    def forward(self, x):
        return sum(expert(x) for expert in self.experts)

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(Mixture() for _ in range(2))

    def forward(self, x):
        return self.layers[1](self.layers[0](x))

with join("cpu") as group:
    model = Model()
    group.share(model, [])
    for parameter in model.parameters():
        assert isinstance(parameter, DTensor), parameter
        assert parameter.device_mesh.device_type == "cpu", parameter.device_mesh
    model(torch.ones(2, 4))
"""


def test_blocks_within_blocks_are_shared_on_the_device_that_is_asked_for() -> None:
    torchrun("--no-python", sys.executable, "-c", NESTED)


def test_a_device_that_is_not_there_is_named() -> None:
    assert choose_device("cpu") == "cpu"
    with pytest.raises(TrainingError, match="tpu"):
        choose_device("tpu")
    if not torch.cuda.is_available():
        assert choose_device("auto") == "cpu"
        with pytest.raises(TrainingError, match="--device cpu"):
            choose_device("cuda")
