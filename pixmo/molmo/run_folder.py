"""Whose folder a training run's is: one run's, and one process's at a time."""

import contextlib
import fcntl
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from pixmo.errors import TrainingError
from pixmo.files import write_json
from pixmo.molmo import checkpoint
from pixmo.molmo.distributed import ProcessGroup

RUN, ROWS, LOCK = "run.json", "rows", ".lock"
SHORT_CHARACTERS = 60  # of two values told in an error


@contextlib.contextmanager
def claimed(folder: Path, identity: dict[str, object], group: ProcessGroup) -> Iterator[None]:
    """A context in which the folder is this run's, and no other process trains in it.

    Raises:
        TrainingError: it is another run's, or somebody trains in it now.
    """
    if not group.is_first:
        group.wait()
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TrainingError(f"another process trains in {folder}; let it end") from error
        claim(folder, identity)
        group.wait()
        yield


def claim(folder: Path, identity: dict[str, object]) -> None:
    """The folder says what is trained in it; a run that came to no checkpoint has no claim.

    Raises:
        TrainingError: it says something else.
    """
    path = folder / RUN
    if checkpoint.newest(folder) is None:
        if path.exists():
            shutil.rmtree(folder / ROWS, ignore_errors=True)  # of another release, maybe
        write_json(path, identity)
        return
    try:
        begun = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} cannot be read: {error}; delete {folder}") from error
    for name, value in identity.items():
        if begun.get(name) != value:
            raise TrainingError(
                f"{folder} holds another run, by its {name.replace('_', ' ')}"
                f"{told(begun.get(name), value)}; go on with what it was begun with, name another"
                " folder with --out, or delete it"
            )


def told(before: object, now: object) -> str:
    """Both values, where they are short."""
    is_short = not isinstance(before, dict) and len(f"{before}{now}") < SHORT_CHARACTERS
    return f" ({before}, not {now})" if is_short else ""
