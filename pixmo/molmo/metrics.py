"""What a run measures: a line of JSON for every step, and the same for TensorBoard."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pixmo.files import write_text

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FILE_NAME, TENSORBOARD = "metrics.jsonl", "tensorboard"


def has_tensorboard() -> bool:
    """Whether TensorBoard's files can be written."""
    return find_spec("tensorboard") is not None


class Metrics:
    """Measurements of a run, in its folder."""

    def __init__(self, folder: Path, done: int) -> None:
        """What stands there of steps after the first `done` is gone: they are made again."""
        self.path = folder / FILE_NAME
        keep_steps(self.path, done)
        self.board = open_board(folder / TENSORBOARD, done) if has_tensorboard() else None

    def write(self, step: int, values: dict[str, float]) -> None:
        """The values stand in the files, as those of this step; the first step is 1."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(name, value, step)
            self.board.flush()  # a kill would lose what a checkpoint says is done

    def show(self, step: int, name: str, image: Image.Image, text: str) -> None:
        """TensorBoard shows an image and what was answered of it."""
        if self.board is not None:
            self.board.add_image(name, np.asarray(image), step, dataformats="HWC")
            self.board.add_text(name, text, step)

    def close(self) -> None:
        """Everything is on the disk."""
        if self.board is not None:
            self.board.close()


def open_board(folder: Path, done: int) -> "SummaryWriter":
    """A writer of TensorBoard's files; it hides what was written of later steps than `done`."""
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=done + 1)


def keep_steps(path: Path, done: int) -> None:
    """Of the lines in `path`, those of the first `done` steps are left."""
    if path.exists():
        lines = path.read_text("utf-8").splitlines(keepends=True)
        # A line that a kill cut off is of no finished checkpoint.
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= done]
        write_text(path, "".join(kept))


def read(folder: Path) -> list[dict[str, float]]:
    """The measurements of every step of the run in `folder`."""
    return [json.loads(line) for line in (folder / FILE_NAME).read_text("utf-8").splitlines()]
