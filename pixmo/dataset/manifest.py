"""`manifest.json`: what a release holds, to the byte; written last, so it means complete."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from pixmo.errors import ReleaseError
from pixmo.files import write_json
from pixmo.hashing import sha256_file

FILE_NAME = "manifest.json"
IMAGES = "images"  # the folder of image files
EMBEDDED = "embedded"  # `images` of a release whose images stand in its rows
EMBEDDED_COLUMN = "image"  # where they do
SIGNATURE = f"{FILE_NAME}.minisig"  # written beside it later, so it names no file of the release
VERSION = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")  # the name of a release and of its folder
APART = "apart"  # the folder of the rows that were set apart, a file a subset

Part = TypeVar("Part")


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
    ordinal: int = 0  # one more than that of any release beside which it was built; 0: not known

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

    def row_files(self) -> list[File]:
        """Every Parquet file, in order: rows that are kept, set apart or dropped."""
        return [file for file in self.files if file.path.endswith(".parquet")]

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

    It may come from a stranger: what it names as version and files stays within a release's folder.

    Raises:
        ReleaseError: it is no manifest, or names what can be no version or no file of a release.
    """
    try:
        data: Any = json.loads(content.decode("utf-8"))
        if not isinstance(data, dict):
            raise TypeError("it holds no JSON object")
        subsets = tuple(
            made(Subset, subset, funnel=tuple(made(FunnelStep, step) for step in subset["funnel"]))
            for subset in data["subsets"]
        )
        files = tuple(made(File, file) for file in data["files"])
        manifest = made(Manifest, data, subsets=subsets, files=files)
    except KeyError as error:
        raise ReleaseError(f"{name} is not a manifest: it lacks {error}") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ReleaseError(f"{name} is not a manifest: {error}") from error
    if not VERSION.fullmatch(manifest.version):
        raise ReleaseError(f"{name} has version {manifest.version!r}, which names no release")
    for file in files:
        if not is_file_of_release(file.path):
            raise ReleaseError(f"{name} names {file.path!r}, which can be no file of a release")
    return manifest


def made(kind: type[Part], data: Any, **parts: tuple[object, ...]) -> Part:
    """The part of a manifest that JSON describes; `parts` stand for what it has within.

    Raises:
        TypeError: a field is missing, is of another type or is none of its kind.
    """
    found = kind(**{**data, **parts})
    for field, expected in get_type_hints(kind).items():
        value = getattr(found, field)
        if not is_of(value, expected):
            raise TypeError(f"{field!r} of a {kind.__name__.lower()} cannot be {value!r}")
    return found


def is_of(value: object, kind: Any) -> bool:
    """Whether a value is of a field's type."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return any(is_of(value, one) for one in inner)
    if origin is dict:
        return isinstance(value, dict) and all(is_of(one, inner[1]) for one in value.values())
    if isinstance(value, bool):  # which Python takes for a number
        return kind is bool
    return isinstance(value, origin or kind)


def is_file_of_release(path: str) -> bool:
    """Whether a path stays within a release and is neither its manifest nor its signature."""
    parts = PurePosixPath(path).parts
    is_plain = path == "/".join(parts) and "\\" not in path and "\0" not in path
    is_within = ".." not in parts and not path.startswith("/")
    return is_plain and is_within and path not in (FILE_NAME, SIGNATURE, "")


def file_entry(release: Path, path: Path, rows: int | None = None) -> File:
    """The manifest's line for a file of the release."""
    relative = path.relative_to(release).as_posix()
    return File(relative, sha256_file(path), path.stat().st_size, rows)


def differences(release: Path, manifest: Manifest) -> Iterator[str]:
    """Yield a line for every file that is missing, changed or not in the manifest."""
    sizes = {
        path.relative_to(release).as_posix(): path.stat().st_size
        for path in release.rglob("*")
        if path.is_file()
    }
    for file in manifest.files:
        sha256 = partial(sha256_file, release / file.path)
        if fault := fault_of(file, sizes.get(file.path), sha256):
            yield fault
    yield from unlisted(sizes, manifest)


def fault_of(file: File, size: int | None, sha256: Callable[[], str]) -> str:
    """What is wrong with a file of so many bytes, if any; empty where nothing is.

    `sha256` reads the file; it raises FileNotFoundError where it is not there any more.
    """
    if size is None:
        return f"{file.path} is missing"
    try:
        is_same = size == file.bytes and sha256() == file.sha256
    except FileNotFoundError:  # it was there when the files were listed
        return f"{file.path} is missing"
    return "" if is_same else f"{file.path} is not the file that was released: its sha256 differs"


def unlisted(paths: Iterable[str], manifest: Manifest) -> list[str]:
    """A line for every path that the manifest does not name."""
    return [f"{path} is not in the manifest" for path in not_named(paths, manifest)]


def not_named(paths: Iterable[str], manifest: Manifest) -> list[str]:
    """Those of the paths, sorted, that are neither manifest nor signature nor a file it names."""
    named = {file.path for file in manifest.files} | {FILE_NAME, SIGNATURE}
    return sorted(set(paths) - named)
