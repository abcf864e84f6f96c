"""Rows of a benchmark as it is published, and their images as files named by what is in them.

    OWNER/NAME      a dataset on the Hugging Face hub
    a folder        what `datasets.load_dataset` reads: a copy of one from the hub, Parquet files,
                    images with a metadata.jsonl
    .parquet, .json, .jsonl   one split; a path of an image in it starts from the file's folder

Rows are streamed: nothing but the split that is asked for is fetched, and nothing is copied.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

from PIL import Image

from pixmo import __version__
from pixmo.errors import EvaluationError
from pixmo.files import temporary_path
from pixmo.hashing import sha256_bytes

if TYPE_CHECKING:
    import datasets

KINDS = {".parquet": "parquet", ".json": "json", ".jsonl": "json"}
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
URL = re.compile(r"https?://")
TIMEOUT_SECONDS = 30

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """A benchmark's rows, opened."""

    rows: Iterator[Row]
    split: str
    revision: str  # the commit that the hub has it at; empty for files here
    total: int  # rows; 0 where nobody knows before the end
    folder: Path  # from which paths of images start


@dataclass(frozen=True)
class Picture:
    """An image of a row."""

    sha256: str  # as published where the image could not be had
    suffix: str = ""
    data: bytes | None = None
    url: str = ""  # where it could not be had


def open_data(data: str, config: str, split: str, usual_split: str) -> Source:
    """The rows of one split; those of all configs where it has none called `config`.

    `split` may be empty: then it is the usual one, or the only one.

    Raises:
        EvaluationError: there is no such data, split or config.
    """
    import datasets

    path = Path(data).expanduser()
    if path.is_file():
        if not (kind := KINDS.get(path.suffix.lower())):
            raise EvaluationError(
                f"{data} is of no form that is read; those are {', '.join(KINDS)}"
            )
        with reading(data):
            file = datasets.load_dataset(kind, data_files=str(path), split="train", streaming=True)
            return Source(rows_of(data, [file]), split or usual_split, "", 0, path.parent)
    if not path.is_dir() and not HUB_NAME.fullmatch(data):
        raise EvaluationError(
            f"{data} does not exist; name a folder or file in the published format, or OWNER/NAME"
            " of a dataset on the hub"
        )
    with reading(data):
        place, revision = (str(path.resolve()), "") if path.is_dir() else (data, newest(data))
        at = {"revision": revision} if revision else {}
        configs = datasets.get_dataset_config_names(place, **at)
        if config in configs:
            configs = [config]
        elif config and len(configs) > 1:
            raise EvaluationError(f"{data} has no config {config}, only {', '.join(configs)}")
        splits = datasets.get_dataset_split_names(place, configs[0], **at)
        chosen = split_of(data, splits, split, usual_split)
        parts = [
            datasets.load_dataset(place, name, split=chosen, streaming=True, **at)
            for name in configs
        ]
        known = [(part.info.splits or {}).get(chosen) for part in parts]
        total = sum(one.num_examples or 0 for one in known if one)
        return Source(rows_of(data, parts), chosen, revision, total, path)


def newest(name: str) -> str:
    """The newest commit of a dataset on the hub: all that is read is of this one.

    Raises:
        OSError: the hub does not tell.
    """
    from huggingface_hub import HfApi

    try:
        return str(HfApi().dataset_info(name).sha)
    except Exception as error:  # of its HTTP library, which is another one in each version
        raise OSError(error) from error


def split_of(data: str, splits: Sequence[str], split: str, usual: str) -> str:
    """The split that is meant.

    Raises:
        EvaluationError: there is none of that name.
    """
    if (wanted := split or usual) in splits:
        return wanted
    if not split and len(splits) == 1:
        return splits[0]
    raise EvaluationError(
        f"{data} has no split {wanted}, only {', '.join(splits)}; name one with --split"
    )


def rows_of(data: str, parts: Sequence["datasets.IterableDataset"]) -> Iterator[Row]:
    """Yield the rows of all parts, their images as the bytes that are stored."""
    import datasets

    with reading(data):
        for part in parts:
            for name, feature in (part.features or {}).items():
                if isinstance(feature, datasets.Image):
                    part = part.cast_column(name, datasets.Image(decode=False))
            yield from part


@contextlib.contextmanager
def reading(data: str) -> Iterator[None]:
    """Whatever `datasets` raises on the way is an EvaluationError."""
    import pyarrow as pa
    from datasets.exceptions import DatasetsError

    try:
        yield
    except (OSError, ValueError, LookupError, pa.ArrowException, DatasetsError) as error:
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise EvaluationError(f"{data} cannot be read: {said}") from error


def picture(stored: object, sha256: str, source: Path, known: Path) -> Picture:
    """The image that a row stores: its bytes, its path from `source`, or its URL.

    One at a URL is of the published `sha256`, if there is one: what was fetched before is taken
    from the folder `known`, and what is there now and another image counts as not to be had. Bytes
    that are no image are kept like any: whoever is asked finds out, and says so.

    Raises:
        EvaluationError: there is no such file, or nothing that can be an image.
    """
    if isinstance(stored, Mapping):
        stored = stored["path"] if stored["bytes"] is None else stored["bytes"]
    if isinstance(stored, str) and URL.match(stored):
        data = kept(sha256, known) or fetched(stored)
        if data is None or (sha256 and sha256_bytes(data) != sha256):
            return Picture(sha256, url=stored)
    elif isinstance(stored, str):
        try:
            data = (source / stored).read_bytes()
        except OSError as error:
            raise EvaluationError(f"{source / stored} cannot be read: {error.strerror}") from error
    elif isinstance(stored, bytes):
        data = stored
    else:
        raise EvaluationError(f"{type(stored).__name__} is no image")
    try:
        with Image.open(BytesIO(data)) as opened:
            form = "jpeg" if opened.format == "MPO" else str(opened.format).lower()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        form = "bin"
    return Picture(sha256_bytes(data), f".{form}", data)


def kept(sha256: str, folder: Path) -> bytes | None:
    """An image that is in the folder already."""
    found = sorted((folder / sha256[:2]).glob(f"{sha256}.*")) if sha256 else []
    return found[0].read_bytes() if found else None


def fetched(url: str) -> bytes | None:
    """What is at a URL; None where it cannot be had."""
    request = Request(url, headers={"User-Agent": f"pixmo/{__version__}"})
    try:
        with urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            return bytes(answer.read())
    except (OSError, ValueError):
        return None


def keep(image: Picture, folder: Path) -> str:
    """The image's file in the folder, written unless it is there; its URL where it was not had."""
    if image.data is None:
        return image.url
    path = folder / image.sha256[:2] / f"{image.sha256}{image.suffix}"
    if not path.exists():
        with temporary_path(path) as temporary:
            temporary.write_bytes(image.data)
            temporary.replace(path)
    return str(path)
