"""One step of a recipe over planted rows: the recipe's own candidates and numbers, no files."""

import dataclasses
import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from pixmo import schema
from pixmo.curate.curate import curate
from pixmo.curate.functions import register
from pixmo.curate.recipe import Recipe, load
from pixmo.curate.step_kinds import SqlStep
from pixmo.hashing import sha256_bytes
from tests.conftest import ROOT

Row = dict[str, Any]
ANY_TIME = "2026-01-01T00:00:00.000000Z"
NAMED_BY_KIND = {"near_duplicate_text": 'near_duplicates = "text"'}
TABLES = {"ama": "answers", "points": "point_annotations"}


@dataclass(frozen=True)
class Verdict:
    """What a step says of a row."""

    reason: str
    evidence: dict[str, Any]


@functools.cache
def recipe(stem: str) -> Recipe:
    """The recipe that ships."""
    return load(stem)


def image(name: str, width: int = 640, height: int = 480, license: str | None = None) -> Row:
    """A row of `images`; one of another name looks like no other."""
    sha256 = sha256_bytes(name.encode())
    return {
        "image_sha256": sha256,
        "path": f"images/{name}",
        "image_url": None,
        "license": license,
        "width": width,
        "height": height,
        "format": "PNG",
        "exif_orientation": 1,
        "bytes": 1,
        "phash_64": sha256[:16],
        "phash_256": sha256,
        "ordinal": 0,
    }


def shared(uid: str, image: str, annotator: str, updated_at: str) -> Row:
    """What rows parsed from an annotation have in common."""
    return {
        "annotation_uid": uid,
        "updated_at": updated_at,
        "state_sha256": sha256_bytes(uid.encode()),
        "image_sha256": sha256_bytes(image.encode()),
        "annotator": annotator,
        "lead_time_seconds": None,
    }


def points(
    uid: str,
    clicked: Sequence[tuple[float, float]],
    label: str = "red cars",
    image: str = "a",
    annotator: str = "1",
    presence: str = "",
    updated_at: str = ANY_TIME,
) -> Row:
    """A row of `point_annotations`; without points it says that there is none."""
    return shared(uid, image, annotator, updated_at) | {
        "label": label,
        "collection_method": "pointing",
        "presence": presence or ("present" if clicked else "none"),
        "points": [{"x": x, "y": y} for x, y in clicked],
    }


def answer(
    uid: str,
    asked: str,
    told: str,
    image: str = "a",
    annotator: str = "1",
    updated_at: str = ANY_TIME,
) -> Row:
    """A row of `answers`, accepted."""
    return shared(uid, image, annotator, updated_at) | {
        "question": asked,
        "proposed_answer": told,
        "answer": told,
        "verdict": "accept",
        "was_edited": False,
        "remarks": None,
    }


NOTHING_WITHDRAWN = {
    "withdrawn_annotations": "annotation_uid varchar",
    "withdrawn_images": "image_sha256 varchar",
    "withdrawn_annotators": "annotator varchar",
    "withdrawn_captions": "image_sha256 varchar, is_whole bool",
    "withdrawn_questions": "image_sha256 varchar, question varchar",
}


def tables(
    stem: str, rows: Sequence[Row], images: Sequence[Row] = (), pointed: Sequence[Row] = ()
) -> duckdb.DuckDBPyConnection:
    """What counts now: the annotations `rows` of a subset, images, and annotations of points."""
    connection = duckdb.connect(config={"threads": 1})
    register(connection)
    connection.execute("create macro trimmed(text) as trim(text)")
    for name, of_table in {"point_annotations": pointed, TABLES[stem]: rows}.items():
        connection.register(name, schema.table(name).table(list(of_table)))
        connection.execute(f"create table current_{name} as from {name}")
        connection.execute(f"create view newest_{name} as from current_{name}")
        connection.unregister(name)
    for name in ("held_out_images", "held_out_questions", "image_thumbnails"):
        connection.register(name, schema.table(name).table([]))
    for name in ("captions", "caption_reviews", "gold", "set_aside"):
        connection.register(f"current_{name}", schema.table(name).table([]))
    for name, columns in NOTHING_WITHDRAWN.items():
        connection.execute(f"create table {name} ({columns})")
    known = [row | {"ordinal": ordinal} for ordinal, row in enumerate(images)]
    connection.register("images", schema.table("images").table(known))
    return connection


def connect(
    stem: str, rows: Sequence[Row], images: Sequence[Row] = (), pointed: Sequence[Row] = ()
) -> duckdb.DuckDBPyConnection:
    """`tables`, and the recipe's candidates in a table `<stem>`, as `candidates` too."""
    connection = tables(stem, rows, images, pointed)
    connection.execute(f"create table {stem} as\n{recipe(stem).rows.sql}")
    connection.execute(f"create view candidates as from {stem}")
    return connection


@dataclass(frozen=True)
class Outcome:
    """What a whole recipe made of rows, by annotation."""

    dropped: dict[str, str]  # the step that dropped it
    apart: dict[str, str]  # the step that set it apart
    flags: dict[str, list[str]]  # of the rows kept; the steps that flagged it


def outcome(
    stem: str, rows: Sequence[Row], images: Sequence[Row], pointed: Sequence[Row] = ()
) -> Outcome:
    """The recipe that ships, run over rows."""
    connection = tables(stem, rows, images, pointed)
    result = curate(connection, recipe(stem))
    uids = dict(connection.execute(f"select id, annotation_uid from {stem}_candidates").fetchall())
    return Outcome(
        {uids[row["id"]]: row["step"] for row in result.dropped.to_pylist()},
        {row["annotation_uid"]: row["step"] for row in result.apart.to_pylist()},
        {row["annotation_uid"]: row["flags"] for row in result.kept.to_pylist()},
    )


def step(stem: str, file: str, **changed: Any) -> SqlStep:
    """The step of the recipe that ships, its parameters as the recipe has them or `changed`."""
    steps = [step for step in recipe(stem).steps if isinstance(step, SqlStep)]
    (found,) = (step for step in steps if step.name == file)
    return dataclasses.replace(found, parameters={**found.parameters, **changed})


def judged(
    connection: duckdb.DuckDBPyConnection, stem: str, file: str, **changed: Any
) -> dict[str, Verdict]:
    """The rows that the step names, by annotation; of several reasons the first by alphabet."""
    asked = step(stem, file, **changed)
    found = connection.execute(asked.query.sql, dict(asked.parameters) or None)
    names = [column[0] for column in found.description or []]
    verdicts = sorted(found.fetchall(), key=lambda row: str(row[names.index("reason")]))
    uids = dict(connection.execute(f"select id, annotation_uid from {stem}").fetchall())
    by_uid: dict[str, Verdict] = {}
    for verdict in verdicts:
        evidence = dict(zip(names, verdict, strict=True))
        uid = uids[evidence.pop("id")]
        by_uid.setdefault(uid, Verdict(evidence.pop("reason"), evidence))
    return by_uid


def candidates(connection: duckdb.DuckDBPyConnection, stem: str) -> dict[str, Row]:
    """The candidate rows, by annotation."""
    table: pa.Table = connection.table(stem).to_arrow_table()
    return {row["annotation_uid"]: row for row in table.to_pylist()}


def measured(stem: str) -> dict[str, list[Any]]:
    """The rows of the benchmark of a recipe's defaults, by step and parameter."""
    results = json.loads((ROOT / "docs/benchmarks.json").read_text("utf-8"))
    (rows,) = (one["rows"] for one in results if one["benchmark"] == f"{stem}_thresholds")
    return dict(rows)


def not_in_comments(stem: str) -> set[str]:
    """The steps and parameters beside which the recipe does not say what was measured."""
    blocks = recipe(stem).path.read_text("utf-8").split("[[step]]")
    lacking = set()
    for name, (setting, _, _, precision, recall, beside) in measured(stem).items():
        file, _, parameter = name.partition(" ")
        mark = NAMED_BY_KIND.get(file, f'/{file}.sql"')
        (block,) = (block for block in blocks if mark in block)
        others = "".join(f"; at {one}" for one in beside.split("; ") if one)
        line = next(line for line in block.splitlines() if line.startswith(parameter or "sql"))
        if not (line.startswith(setting) and line.endswith(f" # {precision} / {recall}{others}")):
            lacking.add(name)
    return lacking
