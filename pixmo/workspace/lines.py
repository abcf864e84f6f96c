"""JSON Lines and CSV, read line by line, so that a fault is that of one line."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pixmo.errors import WorkspaceError
from pixmo.text import misspelt

Values = dict[str, str | None]

PROSE = ("text", "prompt")  # a number can be a name, but nothing that was said


@dataclass(frozen=True)
class Line:
    """One line of a file: its values, or what is wrong with it."""

    number: int  # from 1
    values: Values = field(default_factory=dict)
    fault: str = ""


def read_lines(path: Path, columns: Sequence[str]) -> Iterator[Line]:
    """Every line that is not blank, with its values in `columns`; further columns are left out.

    An absent or empty value is None; a number that names something counts as its text.

    Raises:
        WorkspaceError: the file cannot be read at all, is neither .jsonl nor .csv, or misspells a
            column.
    """
    readers = {".jsonl": json_lines, ".csv": csv_lines}
    if path.suffix.lower() not in readers:
        raise WorkspaceError(f"{path} is neither .jsonl nor .csv; write it as one of these")
    try:
        yield from readers[path.suffix.lower()](path, columns)
    except (OSError, UnicodeDecodeError) as error:
        raise WorkspaceError(f"{path} cannot be read: {error}; it must be UTF-8 text") from error


def json_lines(path: Path, columns: Sequence[str]) -> Iterator[Line]:
    """The lines of a JSON Lines file."""
    with path.open(encoding="utf-8-sig") as file:
        for number, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except (ValueError, RecursionError) as error:
                yield Line(number, fault=f"not JSON: {error}")
                continue
            refuse_misspelt(path, number, row, columns)
            yield chosen(number, row, columns)


def csv_lines(path: Path, columns: Sequence[str]) -> Iterator[Line]:
    """The lines of a CSV file behind its header.

    Raises:
        WorkspaceError: a quote is never closed, so that nothing behind it can be told apart.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True, restkey="")
        try:
            refuse_misspelt(path, 1, dict.fromkeys(reader.fieldnames or ()), columns)
            for row in reader:
                number = reader.line_num
                if "" in row or None in row.values():
                    fault = f"has not the {len(reader.fieldnames or ())} fields of the header"
                    yield Line(number, fault=fault)
                else:
                    yield chosen(number, row, columns)
        except csv.Error as error:
            raise WorkspaceError(
                f"{path} behind line {reader.line_num}: not CSV: {error}"
            ) from error


def refuse_misspelt(path: Path, number: int, row: object, columns: Sequence[str]) -> None:
    """Nothing, if no name in the row looks like a slip for one of `columns`.

    Raises:
        WorkspaceError: one does; left out in silence, it would be missed much later.
    """
    if isinstance(row, dict) and (hint := misspelt(tuple(row), tuple(columns))):
        raise WorkspaceError(f"{path} line {number}: {hint}")


def chosen(number: int, row: object, columns: Sequence[str]) -> Line:
    """The line's values in `columns`."""
    if not isinstance(row, dict):
        return Line(number, fault="not an object with named values")
    values: Values = {}
    for column in columns:
        value = row.get(column)
        if isinstance(value, bool) or not isinstance(value, str | int | float | None):
            return Line(number, fault=f"{column} is no text: {json.dumps(value)[:80]}")
        if column in PROSE and isinstance(value, int | float):
            return Line(number, fault=f"{column} is the number {value}, no text; write text")
        text = "" if value is None else str(value).strip()
        if any("\ud800" <= sign <= "\udfff" for sign in text):
            return Line(number, fault=f"{column} holds half a character: {json.dumps(text)[:80]}")
        values[column] = text or None
    return Line(number, values)
