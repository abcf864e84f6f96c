"""Whose folder a training run's is: one run's, and one process's at a time.

Only a new or empty folder becomes a run's. Of a run whose last checkpoint is damaged, that one is
set aside under another name and the one before it is the last.
"""

import contextlib
import fcntl
import json
import shlex
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from pixmo.errors import TrainingError
from pixmo.files import TEMPORARY_SUFFIX, write_json
from pixmo.molmo import checkpoint
from pixmo.molmo.distributed import ProcessGroup

RUN, ROWS, LOCK = "run.json", "rows", ".lock"
SHORT_CHARACTERS = 60  # of two values told in an error
Note = Callable[[str], None]  # hears of what a person should know, in one line each


@contextlib.contextmanager
def claimed(
    folder: Path, identity: dict[str, object], group: ProcessGroup, note: Note
) -> Iterator[None]:
    """A context in which the folder is this run's, and no other process trains in it.

    Raises:
        TrainingError: it is another run's or no run's, or somebody trains in it now.
    """
    if not group.is_first:
        group.wait()
        yield
        return
    check_is_run(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TrainingError(f"another process trains in {folder}; let it end") from error
        claim(folder, identity)
        set_damaged_aside(folder, note)
        group.wait()
        yield


def check_is_run(folder: Path) -> None:
    """The folder is a run's, empty, or not there yet: nobody else's files get others among them.

    Raises:
        TrainingError: it is none of these.
    """
    if folder.exists() and not folder.is_dir():
        raise TrainingError(f"{folder} is a file; name a folder for the run with --out")
    if not folder.exists() or (folder / RUN).exists() or checkpoint.newest(folder):
        return
    # A run that is just beginning, or was killed while it began, has these.
    foreign = [
        path.name
        for path in folder.iterdir()
        if path.name != LOCK and path.suffix != TEMPORARY_SUFFIX
    ]
    if foreign:
        raise TrainingError(
            f"{folder} holds {min(foreign)} and no {RUN}: it is no training run's; name a new"
            " folder with --out"
        )


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
        if not isinstance(begun, dict):
            raise ValueError("it holds no JSON object")
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{path} cannot be read: {error}; its checkpoints stay as they are: put a copy of"
            f" {RUN} back to go on, or start a new run from the last of them:"
            f" pixmo train --init {shlex.quote(str(folder))} --out NEW"
        ) from error
    for name, value in identity.items():
        if begun.get(name) != value:
            raise TrainingError(
                f"{folder} holds another run, by its {name.replace('_', ' ')}"
                f"{told(begun.get(name), value)}; go on with what it was begun with, name another"
                " folder with --out, or delete it"
            )


def set_damaged_aside(folder: Path, note: Note) -> None:
    """The run's last checkpoint is one that it can go on from; damaged ones have other names.

    Raises:
        TrainingError: there are checkpoints, and all are damaged.
    """
    whole, damaged = checkpoint.newest_whole(folder, (checkpoint.WEIGHTS, checkpoint.OPTIMISERS))
    if damaged and whole is None:
        raise TrainingError(
            f"{'; '.join(damaged.values())}; put a whole copy back to go on, or name another folder"
            " with --out to train from the start"
        )
    for path, reason in damaged.items():
        places = (path.with_name(f"damaged-{path.name}-{number}") for number in count(1))
        aside = path.rename(next(place for place in places if not place.exists()))
        note(f"{reason}; it is kept as {aside.name}, and the run goes on from the one before")


def told(before: object, now: object) -> str:
    """Both values, where they are short."""
    is_short = not isinstance(before, dict) and len(f"{before}{now}") < SHORT_CHARACTERS
    return f" ({before}, not {now})" if is_short else ""
