"""The files of what was withdrawn, deleted where they hold nobody else's work."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from pixmo.dataset.unpack import unpacked
from pixmo.hashing import sha256_file
from pixmo.label.pictures import FOLDER as SERVED
from pixmo.release.withdraw import Request
from pixmo.speech.recorder.filing import FOLDER as RECORDER
from pixmo.speech.recorder.filing import filed_in, half_written
from pixmo.workspace.workspace import Workspace

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Erasing:
    """What erasing deletes, and what it cannot."""

    inside: tuple[Path, ...]  # files and folders of the workspace
    outside: tuple[Path, ...]  # files elsewhere, which are left

    @property
    def files(self) -> int:
        """How many files are deleted, those in folders, too."""
        return sum(map(files_in, self.inside))


def files_in(path: Path) -> int:
    """How many files a folder holds; 1 of a file."""
    return sum(one.is_file() for one in path.rglob("*")) if path.is_dir() else 1


def erasing(workspace: Workspace, request: Request) -> Erasing:
    """The files that hold what a request names: recordings and drafts, or pictures.

    Those that hold what others did, too, are not among them: exports, tables and releases.
    """
    with workspace.connect() as connection:
        asked = connection.execute(
            "select distinct kind, value from current_withdrawals where request = ?",
            [str(request)],
        ).fetchall()
        files = set(stored_files(workspace, connection, asked))
    if request.kind == "annotator":
        files.update(half_written(workspace, request.value))
    # Candidates with what they say, and whole releases that were fetched to be looked at.
    cached = (workspace.cache / name for name in ("curate", "published"))
    found = {path for path in (*copies(workspace, asked), *cached) if path.exists()}
    if request.kind == "annotator":
        folders = (workspace.root / RECORDER / name for name in ("drafts", "refused"))
        found |= {f / request.value for f in folders if has_own_folder(f, request.value)}
        for one in filed_in(workspace.audio / RECORDER):
            if one.annotator == request.value:
                files.update((workspace.audio / RECORDER).glob(f"*/{escape(one.recording_id)}.*"))
    inside = {path for path in files if path.resolve().is_relative_to(workspace.root)}
    return Erasing(tuple(sorted(found | inside)), tuple(sorted(files - inside)))


def has_own_folder(folder: Path, name: str) -> bool:
    """Whether `name`, which may be any text, names a folder directly in `folder`, and no link."""
    path = folder / name
    return path.name == name and path.is_dir() and path.resolve() == folder.resolve() / name


def stored_files(
    workspace: Workspace, connection: "duckdb.DuckDBPyConnection", asked: Sequence[tuple[str, str]]
) -> Iterator[Path]:
    """Yield the files that tables ever named for a recording or an image and that are it still."""
    for kind, table, key in (
        ("recording", "recordings", "recording_sha256"),
        ("image", "images", "image_sha256"),
    ):
        wanted = [value for one, value in asked if one == kind]
        rows = connection.execute(
            f"select distinct path, {key} from parts.{table} where list_contains($wanted, {key})",
            {"wanted": wanted},
        ).fetchall()
        for path, sha256 in rows:
            file = workspace.path(path)
            if file.is_file() and sha256_file(file) == sha256:
                yield file


def copies(workspace: Workspace, asked: Sequence[tuple[str, str]]) -> Iterator[Path]:
    """Yield the copies that pixmo made of recordings and images, to show them."""
    for kind, value in asked:
        if kind == "image":
            yield from (workspace.root / SERVED / "images").glob(f"{value}.*")
            yield workspace.cache / RECORDER / f"{value}.jpg"
            yield unpacked(workspace.unpacked, value)
        if kind == "recording":
            yield from (workspace.root / SERVED / "audio").glob(f"{value}.*")


def erase(workspace: Workspace, found: Erasing) -> None:
    """What `found` has inside the workspace is deleted; no table and no release is touched.

    Raises:
        WorkspaceError: another process transcribes or builds a release.
    """
    with workspace.lock("transcribe"), workspace.lock("release"):
        for path in found.inside:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
