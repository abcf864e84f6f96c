"""What recipes may call beside DuckDB's own functions, of several people's points.

pairwise_f1(points, within, height_over_width) → DOUBLE
    `points` has a list of points for each person; the mean F1 of every two of them (see
    `pixmo.agreement`), NULL for fewer than two people.

point_consensus(annotations, within, height_over_width, share) → STRUCT
    `annotations` are STRUCT(annotation_uid, annotator, points), one of each person. `points`: those
    that more than a `share` of the people agree on (see `pixmo.label.consensus`); `left_out`: all
    others, as STRUCT(annotation_uid, point_index, reason).

`within` is in percent of the image's width. Where an argument is NULL, so is the result.
"""

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from pixmo.agreement import pairwise_agreement
from pixmo.label.consensus import PointAnnotation, consensus
from pixmo.points import Point

if TYPE_CHECKING:
    import duckdb

POINTS = "STRUCT(x DOUBLE, y DOUBLE)[]"
ANNOTATION = f"STRUCT(annotation_uid VARCHAR, annotator VARCHAR, points {POINTS})"
LEFT_OUT = "STRUCT(annotation_uid VARCHAR, point_index BIGINT, reason VARCHAR)"
CONSENSUS = f"STRUCT(points {POINTS}, left_out {LEFT_OUT}[])"
Points = Sequence[dict[str, float]]


def register(connection: "duckdb.DuckDBPyConnection") -> None:
    """Queries over this connection may call the functions."""
    known = connection.execute(
        "select 1 from duckdb_functions() where function_name = 'point_consensus'"
    ).fetchall()
    if known:
        return
    nulls: dict[str, Any] = {"null_handling": "special"}  # else a result must not be NULL
    connection.create_function(
        "pairwise_f1",
        pairwise_f1,
        [f"{POINTS}[]", "DOUBLE", "DOUBLE"],
        "DOUBLE",
        **nulls,
    )
    connection.create_function(
        "point_consensus",
        point_consensus,
        [f"{ANNOTATION}[]", "DOUBLE", "DOUBLE", "DOUBLE"],
        CONSENSUS,
        **nulls,
    )


def pairwise_f1(
    people: Sequence[Points] | None, within: float | None, height_over_width: float | None
) -> float | None:
    """The mean F1 of every two people's points; None for fewer than two people, or of None."""
    if people is None or within is None or height_over_width is None:
        return None
    points = {str(number): as_points(person) for number, person in enumerate(people)}
    pairs = pairwise_agreement(points, within, height_over_width).values()
    return fmean(pair.f1 for pair in pairs) if pairs else None


def point_consensus(
    annotations: Sequence[dict[str, Any]] | None,
    within: float | None,
    height_over_width: float | None,
    share: float | None,
) -> dict[str, Any] | None:
    """The points that people agree on, and those left out; None of None.

    Raises:
        LabelError: somebody is there twice.
        ValueError: `share` is no share.
    """
    if annotations is None or within is None or height_over_width is None or share is None:
        return None
    said = [
        PointAnnotation(one["annotation_uid"], one["annotator"], as_points(one["points"]))
        for one in annotations
    ]
    found = consensus(said, within, height_over_width, share)
    return {
        "points": [kept.point._asdict() for kept in found.points],
        "left_out": [one.click._asdict() | {"reason": one.reason} for one in found.left_out],
    }


def as_points(points: Points) -> list[Point]:
    """Points as Python has them."""
    return [Point(point["x"], point["y"]) for point in points]
