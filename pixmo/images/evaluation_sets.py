"""Evaluation data as others keep it: its images, or their hashes, and its questions.

    a folder of images
    .txt            a hash a line, as sha256sum writes them too, else a question a line
    .csv, .jsonl    any of the columns image_sha256, phash_64, phash_256, mirrored_phash_64,
                    mirrored_phash_256, question, and a key to call the row by
    .parquet, a folder that `datasets` saved, or hf:NAME[:CONFIG[:SPLIT]] as `datasets` loads it

A hash in a .txt is a sha256 of 64 hexadecimal digits, a phash_64 of 16, or a phash_64 and a
phash_256 of 64 with a space or a comma between them.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixmo.errors import HeldOutError, ImageError
from pixmo.images.fingerprint import SUFFIXES, Unreadable
from pixmo.images.metadata import NAMES, csv_lines, is_text, json_lines
from pixmo.images.store import find_files
from pixmo.text import as_text, misspelt

if TYPE_CHECKING:
    import datasets

HUB = "hf:"
FORMS = (
    "name a folder of images, a list of hashes or questions (.txt, .csv, .jsonl), a .parquet file,"
    f" a folder that `datasets` saved, or {HUB}NAME:CONFIG:SPLIT"
)
QUESTION = "question"
DIGITS = {
    "image_sha256": 64,
    "phash_64": 16,
    "phash_256": 64,
    "mirrored_phash_64": 16,
    "mirrored_phash_256": 64,
}
# What a line of hashes holds, by the digits of each.
LINES = {(64,): ("image_sha256",), (16,): ("phash_64",), (16, 64): ("phash_64", "phash_256")}
HASH = re.compile(r"[0-9a-fA-F]+")
LIKE_HASH = re.compile(r"(?=.*\d)[0-9a-fA-F]{16,}")  # of some length; words and numbers are not
SHA256SUM = re.compile(r"([0-9a-fA-F]{64}) [ *]\S.*")  # a hash, and the name of its file
READABLE = tuple(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)

Hashes = dict[str, str | None]


@dataclass(frozen=True)
class Item:
    """One thing to hold out: an image, an image's hashes, or a question."""

    key: str  # unique in its source, for each of the three
    image: Path | bytes | Unreadable | None = None
    hashes: Hashes | None = None
    question: str | None = None


@dataclass(frozen=True)
class Source:
    """Evaluation data, opened."""

    items: Iterator[Item]
    total: int  # items, about; 0 where nobody knows before the end
    unit: str
    is_folder: bool = False  # of image files


def open_source(source: str, questions: str = "") -> Source:
    """What `source` names; its questions are in the column `questions`, else in `question`.

    Raises:
        HeldOutError: there is no such thing, or it is of no form that is read.
        ImageError: the folder cannot be listed.
    """
    if source.startswith(HUB):
        return open_hub(source, questions)
    path = Path(source)
    if not path.exists():
        raise HeldOutError(f"{source} does not exist; {FORMS}")
    if path.is_dir():
        if (path / "dataset_dict.json").is_file():
            splits = sorted(file.parent.name for file in path.glob("*/state.json"))
            raise HeldOutError(f"{source} holds several splits; name one of {', '.join(splits)}")
        if (path / "state.json").is_file():
            return open_saved(source, questions)
        return open_folder(path, questions)
    if path.suffix.lower() == ".parquet":
        return open_parquet(source, questions)
    if path.suffix.lower() in (".txt", ".csv", ".jsonl"):
        items = list(read_list(path, questions))
        return Source(iter(items), len(items), "lines")
    raise HeldOutError(f"{source} is of no form that is read; {FORMS}")


def open_folder(folder: Path, questions: str) -> Source:
    """The images in a folder and below it, called by their places in it."""
    files = [file for file in find_files(folder) if file.name not in NAMES]
    if questions:
        raise HeldOutError(f"{folder} is a folder of images, which has no column {questions}")
    if not any(file.suffix.lower() in READABLE for file in files):
        raise HeldOutError(f"{folder} holds no image; {FORMS}")
    items = (Item(as_text(str(file.relative_to(folder))), image=readable(file)) for file in files)
    return Source(items, len(files), "images", is_folder=True)


def readable(file: Path) -> Path | Unreadable:
    """The file, if it goes by the name of an image."""
    if file.suffix.lower() in READABLE:
        return file
    ending = file.suffix or "no suffix"
    return Unreadable("not an image", f"{ending}; read are {', '.join(READABLE)}")


def read_list(file: Path, questions: str) -> Iterator[Item]:
    """Yield what every line of a list says.

    Raises:
        HeldOutError: a line is malformed; the message names it.
    """
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise HeldOutError(f"{file} cannot be read as UTF-8 text: {error}") from error
    if file.suffix.lower() == ".txt":
        yield from read_lines(file, text)
        return
    rows = csv_lines if file.suffix.lower() == ".csv" else json_lines
    try:
        for number, values in rows(file, text):
            yield from read_row(f"{file}, line {number}", number, values, questions or QUESTION)
    except ImageError as error:
        raise HeldOutError(str(error)) from error


def read_lines(file: Path, text: str) -> Iterator[Item]:
    """Yield a hash for every line, or for every line a question.

    Raises:
        HeldOutError: some lines begin with a hash and some do not.
    """
    lines = [(n, line.strip()) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not any(LIKE_HASH.fullmatch(re.split(r"[\s,]", line)[0]) for _, line in lines):
        yield from (Item(str(number), question=line) for number, line in lines)
        return
    for number, line in lines:
        hashes = hashes_of(line)
        if not hashes:
            raise HeldOutError(
                f"{file}, line {number}: {line[:80]!r} is no hash; write a sha256 of 64 hexadecimal"
                " digits, a phash_64 of 16, or a phash_64 and behind it a phash_256 of 64"
            )
        yield Item(str(number), hashes=hashes)


def hashes_of(line: str) -> Hashes | None:
    """The hashes on a line; None where there stands something else."""
    if summed := SHA256SUM.fullmatch(line):
        line = summed[1]
    parts = re.split(r"[\s,]+", line)
    names = LINES.get(tuple(len(part) for part in parts))
    if not names or not all(HASH.fullmatch(part) for part in parts):
        return None
    given = {name: part.lower() for name, part in zip(names, parts, strict=True)}
    return {name: given.get(name) for name in DIGITS}


def read_row(where: str, number: int, values: Mapping[str, Any], column: str) -> Iterator[Item]:
    """Yield the hashes and the question of one row, as far as it has them."""
    if hint := misspelt(tuple(values), (*DIGITS, QUESTION, "key") if column == QUESTION else ()):
        raise HeldOutError(f"{where}: {hint}")
    for name, value in values.items():
        if name not in (*DIGITS, column, "key") and LIKE_HASH.fullmatch(str(value)):
            names = ", ".join(DIGITS)
            raise HeldOutError(f"{where}: {name} looks like a hash; call it one of {names}")
    key = str(number if values.get("key") in (None, "") else values["key"])
    given = {name: str(values[name]).strip().lower() for name in DIGITS if values.get(name)}
    question = values.get(column)
    for name, value in given.items():
        if len(value) != DIGITS[name] or not HASH.fullmatch(value):
            digits = f"{DIGITS[name]} hexadecimal digits"
            raise HeldOutError(f"{where}: {name} is {value[:80]!r}; write {digits}")
    for short, long in (("phash_64", "phash_256"), ("mirrored_phash_64", "mirrored_phash_256")):
        if long in given and short not in given:
            raise HeldOutError(f"{where}: {long} without {short}; write both, or neither")
    if question and not (isinstance(question, str) and is_text(question)):
        raise HeldOutError(f"{where}: {column} is no text")
    if not given and not question:
        raise HeldOutError(f"{where}: no {column}, and none of {', '.join(DIGITS)}")
    if given:
        yield Item(key, hashes={name: given.get(name) for name in DIGITS})
    if question:
        yield Item(key, question=question)


def open_saved(folder: str, questions: str) -> Source:
    """A folder that `datasets` saved one split to."""
    import datasets

    with reading(folder):
        saved = datasets.load_from_disk(folder)
        return open_rows(folder, saved.to_iterable_dataset(), questions, len(saved))


def open_parquet(file: str, questions: str) -> Source:
    """One Parquet file."""
    import datasets
    import pyarrow.parquet as pq

    with reading(file):
        total = pq.ParquetFile(file).metadata.num_rows
        rows = datasets.load_dataset("parquet", data_files=file, split="train", streaming=True)
        return open_rows(file, rows, questions, total)


def open_hub(source: str, questions: str) -> Source:
    """One split of a dataset on the Hugging Face hub, fetched row by row."""
    import datasets

    name, config, split, *more = [*source.removeprefix(HUB).split(":"), "", ""]
    if any(more) or not name:
        raise HeldOutError(f"{source} is not {HUB}NAME:CONFIG:SPLIT; CONFIG and SPLIT may be empty")
    datasets.disable_progress_bars()
    with reading(source):
        rows = datasets.load_dataset(name, config or None, split=split or None, streaming=True)
        if isinstance(rows, dict):
            if len(rows) > 1:
                raise HeldOutError(
                    f"{source} has the splits {', '.join(rows)};"
                    f" name one: {HUB}{name}:{config}:{next(reversed(rows))}"
                )
            (rows,) = rows.values()
        known = (rows.info.splits or {}).get(str(rows.split))
        return open_rows(source, rows, questions, known.num_examples or 0 if known else 0)


def open_rows(source: str, rows: "datasets.IterableDataset", questions: str, total: int) -> Source:
    """So many rows of a dataset: their images as the bytes that are stored, and their questions."""
    features = dict(rows.features or {})
    kept = {name: undecoded(feature) for name, feature in features.items() if pictures_in(feature)}
    column = questions or QUESTION
    if questions and features and questions not in features:
        raise HeldOutError(f"{source} has no column {questions}, only {', '.join(features)}")
    if features and not kept and column not in features:
        raise HeldOutError(
            f"{source} has no column of images and no {column}, only {', '.join(features)};"
            " name the column of the questions with --questions"
        )
    for name, feature in kept.items():
        rows = rows.cast_column(name, feature)
    total *= len(kept) + (column in features)
    return Source(items_of(source, rows, list(kept), column), total, "images and questions")


def pictures_in(feature: Any) -> bool:
    """Whether a column holds images, one or a list; a Parquet file may have them as bytes only."""
    import datasets

    if isinstance(feature, list):
        return pictures_in(feature[0])
    if isinstance(feature, dict):
        return feature.keys() == {"bytes", "path"}
    inner = getattr(feature, "feature", None)
    return isinstance(feature, datasets.Image) or (inner is not None and pictures_in(inner))


def undecoded(feature: Any) -> Any:
    """The column's type with its images left as they are stored."""
    import datasets

    if isinstance(feature, list):
        return [undecoded(feature[0])]
    if isinstance(feature, dict | datasets.Image):
        return datasets.Image(decode=False)
    return type(feature)(undecoded(feature.feature))


def items_of(
    source: str, rows: "datasets.IterableDataset", images: list[str], column: str
) -> Iterator[Item]:
    """Yield the images and the question of every row, called by its number."""
    with reading(source):
        for number, row in enumerate(rows):
            found = [
                (name, image)
                for name in images
                for image in (row[name] if isinstance(row[name], list) else [row[name]])
                if image is not None
            ]
            for place, (name, image) in enumerate(found):
                called = f"{number}" if len(found) == 1 else f"{number} {name} {place}"
                yield Item(called, image=raw_bytes(image))
            question = row.get(column)
            if question is not None and not isinstance(question, str):
                raise HeldOutError(f"{source}, row {number}: {column} is no text; name another")
            if question and question.strip():
                yield Item(str(number), question=question)


def raw_bytes(image: Mapping[str, Any]) -> bytes | Unreadable:
    """An image's bytes, from beside its row or from where the row says they are."""
    from datasets.utils.file_utils import xopen  # of files in an archive on the hub, too

    if image["bytes"] is not None:
        return bytes(image["bytes"])
    try:
        with xopen(image["path"], "rb") as file:
            return bytes(file.read())
    except (OSError, ValueError) as error:
        return Unreadable("cannot be opened", " ".join(str(error).split())[:200])


@contextlib.contextmanager
def reading(source: str) -> Iterator[None]:
    """Whatever `datasets` raises on the way is a HeldOutError."""
    import pyarrow as pa
    from datasets.exceptions import DatasetsError

    try:
        yield
    except (OSError, ValueError, LookupError, pa.ArrowException, DatasetsError) as error:
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise HeldOutError(f"{source} cannot be read: {said}") from error
