"""Which releases a workspace has."""

from pathlib import Path

from pixmo.dataset.manifest import FILE_NAME
from pixmo.errors import ReleaseError
from pixmo.workspace.workspace import Workspace


def complete_releases(workspace: Workspace) -> list[str]:
    """The versions whose manifest is there, in the order they were finished."""
    manifests = sorted(
        workspace.releases.glob(f"*/{FILE_NAME}"), key=lambda path: (path.stat().st_mtime_ns, path)
    )
    return [path.parent.name for path in manifests if not path.parent.name.startswith(".")]


def newest_release(workspace: Workspace) -> str:
    """The version that was finished last.

    Raises:
        ReleaseError: there is no release yet.
    """
    releases = complete_releases(workspace)
    if not releases:
        raise ReleaseError(
            f"{workspace.root} has no release yet; build one with: pixmo build-release v1"
        )
    return releases[-1]


def release_folder(workspace: Workspace, named: str) -> Path:
    """The folder of a release: `named` is its version or its folder's path; empty, the newest.

    Raises:
        ReleaseError: nothing is named and there is no release yet.
    """
    if Path(named).name != named:  # "./taken" is a path, too
        return Path(named).expanduser().resolve()
    return workspace.releases / (named or newest_release(workspace))
