"""The first step of every recipe, which none of them names: what was withdrawn goes.

A row goes whose image was withdrawn, or is a near copy of one that was; whose annotator asked for
it; whose question was asked by somebody who did; or whose caption is written from a transcript that
was withdrawn. Which columns a subset has says what is looked at. Reasons name nobody, for dropped
rows are released.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pixmo.curate.duplicates import Likeness, Pictures
from pixmo.curate.hamming import near_between

if TYPE_CHECKING:
    import duckdb

BY_IMAGE = "the image was withdrawn"
BY_COPY = "near copy of an image that was withdrawn"
BY_ANNOTATOR = "withdrawn by the annotator"
BY_QUESTION = "the question was withdrawn by who asked it"
BY_TRANSCRIPT = "a transcript that it was written from was withdrawn"
# The column that a subset needs for it, the reason as SQL, and what its rows are joined with. The
# first reason of a row counts.
CHECKS = (
    ("image_sha256", f"'{BY_IMAGE}'", "withdrawn_images using (image_sha256)"),
    ("image_sha256", f"'{BY_COPY}'", "withdrawn_copies using (image_sha256)"),
    ("annotator", f"'{BY_ANNOTATOR}'", "withdrawn_annotators using (annotator)"),
    ("annotation_uid", f"'{BY_ANNOTATOR}'", "withdrawn_annotations using (annotation_uid)"),
    (
        "question",
        f"'{BY_QUESTION}'",
        "withdrawn_questions as gone on gone.image_sha256 = rows.image_sha256"
        " and gone.question = trimmed(rows.question)",
    ),
    (
        "caption",
        f"if(is_whole, '{BY_ANNOTATOR}', '{BY_TRANSCRIPT}')",
        "withdrawn_captions using (image_sha256)",
    ),
)


@dataclass(frozen=True)
class WithdrawnStep:
    """Drops what people asked to be taken out; before every step of a recipe."""

    name = "withdrawn"
    explanation = "What a person, or whoever speaks for an image, asked to be taken out."
    then = "drop"


def find_withdrawn(
    connection: "duckdb.DuckDBPyConnection",
    stem: str,
    pictures: Callable[[], Pictures],
    likeness: Likeness,
) -> None:
    """`verdicts` shows a row (id, reason, evidence) for every row of `stem` that is withdrawn.

    `pictures` gives all images of the workspace; how near a copy is, `likeness` says.
    """
    withdrawn = connection.execute("from withdrawn_images").fetchall()
    images = {sha256 for (sha256,) in withdrawn}
    copies = copies_of(pictures(), images, likeness) if images else []
    connection.register("found_copies", pa.table({"image_sha256": pa.array(copies, pa.string())}))
    connection.execute("create or replace temp table withdrawn_copies as from found_copies")
    connection.unregister("found_copies")
    described = connection.execute(f"from {stem} limit 0").description or []
    columns = {column[0] for column in described}
    checks = " union all ".join(
        f"select {number} as number, rows.id, {reason} as reason from {stem} as rows join {found}"
        for number, (needs, reason, found) in enumerate(CHECKS)
        if needs in columns
    )
    connection.execute(
        "create or replace temp table found_withdrawn as"
        f" select id, reason, '{{}}' as evidence from ({checks})"
        " qualify row_number() over (partition by id order by number) = 1"
    )
    connection.execute("create or replace temp view verdicts as from temp.found_withdrawn")


def copies_of(pictures: Pictures, images: set[str], likeness: Likeness) -> list[str]:
    """The pictures, in order, that are alike to one of `images` and not among them."""
    is_withdrawn = np.array([sha256 in images for sha256 in pictures.sha256], bool)
    ours, theirs = np.flatnonzero(~is_withdrawn), np.flatnonzero(is_withdrawn)
    found: set[int] = set()
    words = pictures.hashes[:, 0]
    for one, other in near_between(words[ours], words[theirs], likeness.max_distance):
        first, second = ours[one], theirs[other]
        same = (pictures.hashes[first] == pictures.hashes[second]).all(axis=1)
        found.update(first[same].tolist())  # as for near-duplicates, equal hashes are one picture
        found.update(first[pictures.alike(first, second, likeness)].tolist())
    return [pictures.sha256[place] for place in sorted(found)]
