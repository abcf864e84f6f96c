"""Which releases a workspace has."""

import itertools
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pixmo.curate.splits import TRAIN, nearest_to_test
from pixmo.dataset import manifest
from pixmo.dataset.manifest import FILE_NAME, File
from pixmo.dataset.reader import SPLITS
from pixmo.errors import ReleaseError
from pixmo.hashing import sha256_file
from pixmo.workspace.workspace import Workspace


def complete_releases(workspace: Workspace) -> list[str]:
    """The versions whose manifest is there, in the order they were built.

    Their manifests say it, so the order is the same in a copy. Of two that say the same, as one
    may that was built elsewhere, the time of the file does.
    """
    manifests = sorted(
        workspace.releases.glob(f"[!.]*/{FILE_NAME}"),
        key=lambda path: (ordinal_in(path), path.stat().st_mtime_ns, path),
    )
    return [path.parent.name for path in manifests]


def ordinal_in(path: Path) -> int:
    """The ordinal that a manifest gives its release; 0 where it has none or is damaged."""
    try:
        found = json.loads(path.read_bytes())["ordinal"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0
    return found if isinstance(found, int) else 0


def newest_release(workspace: Workspace) -> str:
    """The version that was built last.

    Raises:
        ReleaseError: there is no release yet.
    """
    releases = complete_releases(workspace)
    if not releases:
        raise ReleaseError(
            f"{workspace.root} has no release yet; build one with: pixmo build-release v1"
        )
    return releases[-1]


def released_splits(workspace: Workspace) -> dict[str, str]:
    """The split of every image that a release has in one, by sha256; of several that to test with.

    A row that was set apart has one, too.

    Raises:
        ReleaseError: a release's manifest, or a file of a release, is missing or damaged.
    """
    for folder in sorted(
        {path.parent.parent for path in workspace.releases.glob("[!.]*/*/*.parquet")}
    ):
        if not (folder / FILE_NAME).is_file():
            raise ReleaseError(
                f"{folder} has lost its {FILE_NAME}, and pictures stay in the splits of earlier"
                " releases; restore it, or delete the folder and with it what it tested with"
            )
    split_of: dict[str, str] = {}
    for version in complete_releases(workspace):
        folder = workspace.releases / version
        promised = manifest.read(folder)
        for subset, split in itertools.product(promised.subsets, SPLITS):
            for file in promised.parquet(subset.name, split):
                found = read_columns(folder, file, ["image_sha256"], is_exact=split != TRAIN)
                for image in found.column(0).unique().to_pylist():
                    split_of[image] = nearest_to_test(split, split_of.get(image, split))
        for file in promised.apart_files():
            found = read_columns(folder, file, ["image_sha256", "split"], is_exact=True)
            for image, split in zip(*found.to_pydict().values(), strict=True):
                split_of[image] = nearest_to_test(split, split_of.get(image, split))
    return split_of


def read_columns(folder: Path, file: File, columns: list[str], is_exact: bool) -> pa.Table:
    """Columns of a file of the release in `folder`; its bytes are compared if `is_exact`.

    Raises:
        ReleaseError: the file is missing or damaged.
    """
    path = folder / file.path
    try:
        if is_exact and sha256_file(path) != file.sha256:
            raise ValueError("its bytes are not those that were released")
        return pq.read_table(path, columns=columns, partitioning=None)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ReleaseError(
            f"{path} cannot be read, and pictures stay in the splits of earlier"
            f" releases: {' '.join(str(error).split())}; restore the file, or delete {folder}"
        ) from error


def release_folder(workspace: Workspace, named: str) -> Path:
    """The folder of a release: `named` is its version or its folder's path; empty, the newest.

    Raises:
        ReleaseError: nothing is named and there is no release yet, or it is no folder.
    """
    if "://" in named:
        raise ReleaseError(
            f"{named} is no release of this disk; copy it here and name its folder:"
            f" pixmo fetch {named} FOLDER"
        )
    if Path(named).name != named:  # "./taken" is a path, too
        folder = Path(named).expanduser().resolve()
    else:
        folder = workspace.releases / (named or newest_release(workspace))
    if folder.exists() and not folder.is_dir():
        raise ReleaseError(
            f"{folder} is a file and no release; give a version, or the folder of a release"
        )
    return folder
