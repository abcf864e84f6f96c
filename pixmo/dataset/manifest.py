"""`manifest.json`: what a release holds, to the byte; written last, so it means complete."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pixmo.errors import ReleaseError
from pixmo.files import write_json
from pixmo.hashing import sha256_file

FILE_NAME = "manifest.json"
IMAGES = "images"  # the folder of image files
EMBEDDED = "embedded"  # `images` of a release whose images stand in its rows
EMBEDDED_COLUMN = "image"  # where they do
SIGNATURE = f"{FILE_NAME}.minisig"  # written beside it later, so it names no file of the release
APART = "apart"  # the folder of the rows that were set apart, a file a subset


@dataclass(frozen=True)
class File:
    """One file of a release."""

    path: str  # relative to the release, with forward slashes
    sha256: str
    bytes: int
    rows: int | None = None  # of a Parquet file


@dataclass(frozen=True)
class FunnelStep:
    """What one step of a recipe did."""

    step: str
    rows: int  # that it named
    kept: int  # still in the splits after it
    reasons: dict[str, int]  # rows by reason, most frequent first; numbers in reasons as #
    explanation: str = ""  # why it names rows, in the recipe's words
    then: str = "drop"  # what became of them: drop, set_apart or flag

    @property
    def gone(self) -> int:
        """Rows that left the splits by it."""
        return 0 if self.then == "flag" else self.rows


@dataclass(frozen=True)
class Subset:
    """One subset of a release."""

    stem: str  # cap, ama, points
    name: str  # pixmo-cap …: the folder and the config's name
    candidates: int  # rows before the first step
    rows: dict[str, int]  # by split; splits without rows are left out
    apart: int  # rows set apart: whole, and in none of the splits' files
    funnel: tuple[FunnelStep, ...]
    recipe_sha256: str
    schema_sha256: str


@dataclass(frozen=True)
class Manifest:
    """Everything a release promises."""

    version: str
    pixmo: str  # the tool's version
    license: str
    subsets: tuple[Subset, ...]
    files: tuple[File, ...]  # every file but the manifest, sorted by path
    images: str = "url"  # how images travel: url, embedded, files

    @property
    def is_embedded(self) -> bool:
        """Whether rows hold their images, in a column more than their schema promises."""
        return self.images == EMBEDDED

    def subset(self, stem: str) -> Subset:
        """The subset with this stem.

        Raises:
            ReleaseError: the release has none.
        """
        for subset in self.subsets:
            if subset.stem == stem:
                return subset
        stems = ", ".join(subset.stem for subset in self.subsets)
        raise ReleaseError(f"release {self.version} has no subset {stem!r}; it has {stems}")

    def parquet(self, name: str, split: str) -> list[File]:
        """The Parquet files of one split of the subset called `name`, in order."""
        return [file for file in self.files if file.path.startswith(f"{name}/{split}-")]

    def apart_files(self) -> list[File]:
        """The Parquet files of the rows that were set apart, in order."""
        return [file for file in self.files if file.path.startswith(f"{APART}/")]

    def write(self, release: Path) -> None:
        """The release in this folder is complete."""
        write_json(release / FILE_NAME, asdict(self))


def read(release: Path) -> Manifest:
    """The manifest of the release in this folder.

    Raises:
        ReleaseError: there is none, or it is no manifest.
    """
    path = release / FILE_NAME
    if not path.is_file():
        raise ReleaseError(f"{release} is not a complete release: it has no {FILE_NAME}")
    return parse(path.read_bytes(), str(path))


def parse(content: bytes, name: str) -> Manifest:
    """The manifest that these bytes are; messages call it `name`.

    Raises:
        ReleaseError: it is no manifest.
    """
    try:
        data: Any = json.loads(content.decode("utf-8"))
        if not isinstance(data, dict):
            raise TypeError("it holds no JSON object")
        subsets = tuple(
            Subset(**{**subset, "funnel": tuple(FunnelStep(**step) for step in subset["funnel"])})
            for subset in data.pop("subsets")
        )
        files = tuple(File(**file) for file in data.pop("files"))
        return Manifest(**data, subsets=subsets, files=files)
    except KeyError as error:
        raise ReleaseError(f"{name} is not a manifest: it lacks {error}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise ReleaseError(f"{name} is not a manifest: {error}") from error


def file_entry(release: Path, path: Path, rows: int | None = None) -> File:
    """The manifest's line for a file of the release."""
    relative = path.relative_to(release).as_posix()
    return File(relative, sha256_file(path), path.stat().st_size, rows)


def differences(release: Path, manifest: Manifest) -> Iterator[str]:
    """Yield a line for every file that is missing, changed or not in the manifest."""
    promised = {file.path: file for file in manifest.files}
    for path, file in promised.items():
        found = release / path
        if not found.is_file():
            yield f"{path} is missing"
        elif found.stat().st_size != file.bytes or sha256_file(found) != file.sha256:
            yield f"{path} is not the file that was released: its sha256 differs"
    for found in sorted(release.rglob("*")):
        path = found.relative_to(release).as_posix()
        if found.is_file() and path not in promised and path not in (FILE_NAME, SIGNATURE):
            yield f"{path} is not in the manifest"
