"""Where images came from: `metadata.jsonl` or `metadata.csv` beside them.

The form is that of Hugging Face's ImageFolder: a line an image, with `file_name` (relative to the
metadata file) and here, where they are known, `image_url` and `license` (an SPDX identifier, such
as CC-BY-4.0). Other columns are left alone.
"""

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pixmo.errors import ImageError
from pixmo.text import misspelt, squeeze

NAMES = ("metadata.csv", "metadata.jsonl")
COLUMNS = ("file_name", "image_url", "license")


@dataclass(frozen=True)
class Source:
    """What one line says of one image."""

    file: Path
    image_url: str | None
    license: str | None
    metadata: Path
    line: int  # from 1


def read_sources(files: Sequence[Path]) -> dict[Path, Source]:
    """What the metadata `files` say, by the image they say it of.

    Raises:
        ImageError: a file is malformed, or two lines speak of one image; the message names both
            file and line.
    """
    sources: dict[Path, Source] = {}
    for file in files:
        for source in read_file(file):
            if source.file in sources:
                other = sources[source.file]
                raise ImageError(
                    f"{file}, line {source.line}: {source.file.name} stands already in"
                    f" {other.metadata.name}, line {other.line}; keep one of the two"
                )
            sources[source.file] = source
    return sources


def read_file(file: Path) -> Iterator[Source]:
    """Every line of one metadata file.

    Raises:
        ImageError: a line is malformed; the message names file and line.
    """
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ImageError(f"{file} cannot be read as UTF-8 text: {error}") from error
    lines = csv_lines(file, text) if file.suffix == ".csv" else json_lines(file, text)
    for number, values in lines:
        where = f"{file}, line {number}"
        name, url = values.get("file_name"), values.get("image_url") or None
        license = values.get("license") or None
        if hint := misspelt(tuple(values), COLUMNS):
            raise ImageError(f"{where}: {hint}")
        if name and not isinstance(name, str):
            raise ImageError(f"{where}: file_name is {json.dumps(name)[:80]}; write a file's name")
        if not isinstance(name, str) or not name or not is_text(name):
            raise ImageError(f'{where}: no "file_name"; name the image relative to this file')
        if url is not None and not is_url(url):
            raise ImageError(f"{where}: image_url {url!r} is no URL; write https://…, or leave out")
        if license is not None and not (isinstance(license, str) and is_text(license)):
            raise ImageError(f"{where}: license is {json.dumps(license)[:80]}; write its SPDX name")
        # normpath and not resolve: a link keeps the name it was given.
        place = Path(os.path.normpath(file.parent / name))
        yield Source(place, url, license and squeeze(license), file, number)


def json_lines(file: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON-lines text with their line numbers; blank lines are passed over."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ImageError(f"{file}, line {number}: not JSON ({error}); mend the line") from error
        if not isinstance(values, dict):
            raise ImageError(f'{file}, line {number}: write {{"file_name": …}}, one object a line')
        yield number, values


def csv_lines(file: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of a CSV text with the numbers of their last lines."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for values in reader:
            if None in values or None in values.values():
                raise ImageError(
                    f"{file}, line {reader.line_num}: not as many fields as the first line names"
                )
            yield reader.line_num, values
    except csv.Error as error:
        line = reader.reader.line_num  # the reader's own stays at the last good record
        raise ImageError(f"{file}, line {line}: not CSV ({error}); mend the line") from error


def is_text(value: str) -> bool:
    """Whether `value` can be written in UTF-8; an escape in JSON can name half a character."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_url(value: object) -> bool:
    """Whether `value` is text with a scheme and a host."""
    if not isinstance(value, str) or not is_text(value):
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc)
