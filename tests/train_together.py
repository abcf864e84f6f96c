"""A short run of a tiny model, alone or by torchrun: `-m tests.train_together RELEASE FOLDER`."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from pixmo.dataset.reader import Release
from pixmo.molmo.optimisers import stage_for
from pixmo.molmo.training_run import RunOptions
from tests import molmo_configs

TINY = replace(molmo_configs.TINY, name="tiny")  # no probe: trains as the stages say


def options(root: Path) -> RunOptions:
    """What the run trains; dropout would draw other numbers in other processes."""
    stage = replace(stage_for(TINY, "finetune"), residual_dropout=0.0)
    return RunOptions(
        release=Release.open(root),
        stage=stage,
        size=TINY,
        steps=4,
        batch_examples=8,
        micro_batch=2,
        every=2,
        workers=0,
        device="cpu",
    )


def main() -> None:
    """The run is finished."""
    from pixmo.molmo.training_run import train_release

    torch.set_num_threads(1)
    train_release(options(Path(sys.argv[1])), Path(sys.argv[2]))


if __name__ == "__main__":
    main()
