"""Files of a release are as they were released, before anything is said of their rows.

Parquet need not notice a damaged byte: it would look like a row that somebody changed.
"""

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from shlex import quote

from pixmo.dataset.manifest import File, fault_of
from pixmo.errors import ReleaseError
from pixmo.execution.progress import SILENT, Progress
from pixmo.execution.threads import map_in_threads
from pixmo.hashing import sha256_file

HASHING_THREADS = 4


def check_unchanged(root: Path, files: Sequence[File], progress: Progress = SILENT) -> None:
    """Nothing, if these files of the release in `root` are, byte for byte, what was released.

    Raises:
        ReleaseError: one is missing or holds other bytes.
    """
    check_sizes(root, files)
    total = sum(file.bytes for file in files)
    with progress.task(f"Checking {root.name}", total=total, unit="bytes") as advance:
        check = partial(check_file, root)
        results = map_in_threads(check, files, HASHING_THREADS, threading.Event())
        for file, _ in zip(files, results, strict=True):
            advance(file.bytes)


def check_sizes(root: Path, files: Sequence[File]) -> None:
    """Nothing, if all files are there with as many bytes as were released; none is read.

    Raises:
        ReleaseError: one is missing or has more or fewer.
    """
    for file in files:
        if size_of(root / file.path) != file.bytes:
            check_file(root, file)


def check_file(root: Path, file: File) -> None:
    """Nothing, if the file is, byte for byte, what was released.

    Raises:
        ReleaseError: it is missing or holds other bytes.
    """
    path = root / file.path
    if fault := fault_of(file, size_of(path), lambda: sha256_file(path)):
        raise ReleaseError(
            f"{root}/{fault}; restore it from where it is whole, or build the release under another"
            f" name; pixmo verify {quote(str(root))} says what else is wrong"
        )


def size_of(path: Path) -> int | None:
    """The bytes of a file; None where there is none."""
    return path.stat().st_size if path.is_file() else None
