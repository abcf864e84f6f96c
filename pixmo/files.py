"""Writes that are whole or absent: temporary name, fsync, rename, fsync of the folder."""

import contextlib
import dataclasses
import json
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from errno import ENOTDIR
from pathlib import Path
from typing import Any

TEMPORARY_SUFFIX = ".tmp"
FLUSHING_THREADS = 16


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def temporary_path(path: Path) -> Iterator[Path]:
    """A hidden sibling of `path` to write to, unique to this process; gone afterwards.

    Where it cannot be written, the error names `path`, or what it cannot be in.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR), str(path.parent)) from error
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        if str(error.filename) == str(temporary):
            error.filename = str(path)
        raise


def sync_file(path: Path) -> None:
    """Flush a written file to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_tree(folder: Path) -> None:
    """Every file and folder in `folder` would survive a power cut."""
    paths = list(folder.rglob("*"))
    # A disk commits what several threads ask for at once in one go.
    with ThreadPoolExecutor(FLUSHING_THREADS) as pool:
        for _ in pool.map(sync_file, [path for path in paths if path.is_file()]):
            pass
        for _ in pool.map(sync_folder, [path for path in paths if path.is_dir()]):
            pass


def replace_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """`path` holds what `write(temporary_path)` wrote, or still what it held before."""
    with temporary_path(path) as temporary:
        write(temporary)
        sync_file(temporary)
        temporary.replace(path)
        sync_folder(path.parent)


def create_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """`path` holds what `write(temporary_path)` wrote, and nothing was overwritten.

    Raises:
        FileExistsError: `path` is already there; it is left as it was.
    """
    with temporary_path(path) as temporary:
        write(temporary)
        sync_file(temporary)
        os.link(temporary, path)  # unlike a rename, a link never replaces
        sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """`path` holds `text` in UTF-8 with line feeds, whole or not at all."""
    replace_atomically(path, lambda temporary: temporary.write_text(text, "utf-8", newline="\n"))


def write_json(path: Path, value: object) -> None:
    """`path` holds `value` as indented JSON with keys in the order given."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def json_line(value: object) -> str:
    """A value as JSON in one line that UTF-8 can hold: without halves of character pairs."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()


def append_json(path: Path, value: object) -> None:
    """`path` has a further line of JSON, whoever else appends to it; a kill may cut it short.

    It is not forced to the disk: a power cut may lose the last lines.
    """
    # The line break comes first: a line that a kill cut short does not run into the next.
    line = f"\n{json_line(value)}".encode()
    # In one piece: other processes may append to the same file.
    with path.open("ab", buffering=0) as file:
        file.write(line)


def appended_objects(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects that lines of `path` hold, none where it is not there.

    A line that a kill cut short is passed over.
    """
    for line in path.read_bytes().splitlines() if path.exists() else []:
        with contextlib.suppress(ValueError):
            if isinstance(value := json.loads(line), dict):
                yield value


def plain(value: Any) -> Any:
    """A value in what JSON knows: a number that is none (NaN) or infinite is null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int | str | None) else str(value)


def sweep_temporary(folder: Path) -> int:
    """Leftovers of killed writers in `folder` are gone; returns how many.

    A leftover names the process that wrote it; those of a living process are kept.
    """
    swept = 0
    for path in folder.rglob(f".*{TEMPORARY_SUFFIX}"):
        process = path.name.removesuffix(TEMPORARY_SUFFIX).rpartition(".")[2]
        if process.isdigit() and is_running(int(process)):
            continue
        path.unlink(missing_ok=True)
        swept += 1
    return swept


def is_running(process: int) -> bool:
    """Whether a process of this number lives on this machine."""
    try:
        os.kill(process, 0)  # signal 0 asks, and does nothing
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
