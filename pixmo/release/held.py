"""Which finished releases hold what was withdrawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from pixmo import schema
from pixmo.curate.duplicates import read_pictures
from pixmo.curate.recipe import load
from pixmo.curate.withdrawn import copies_of
from pixmo.dataset import manifest as manifests
from pixmo.execution.progress import SILENT, Progress
from pixmo.release.versions import complete_releases
from pixmo.release.withdraw import Request
from pixmo.workspace.workspace import Workspace, literally

if TYPE_CHECKING:
    import duckdb

# What of a released row names something withdrawn: the column, and the kind of its values.
NAMED_BY = {
    "image_sha256": "image",
    "image_url": "url",
    "annotator": "annotator",
    "annotation_uid": "annotation",
}
LISTED_BY = {
    "annotators": "annotator",
    "recording_sha256s": "recording",
    "transcript_ids": "transcript",
    "merged_from": "annotation",
}


@dataclass(frozen=True)
class Held:
    """Rows of a release that hold something withdrawn."""

    version: str
    subset: str
    rows: int


def held(
    workspace: Workspace, request: Request | None = None, progress: Progress = SILENT
) -> list[Held]:
    """The rows of finished releases that hold what is withdrawn, or what one request names.

    Rows of near copies count, for the next build drops them, too; so do rows set apart. Of what
    was dropped a release holds no content.

    Raises:
        ReleaseError: a release's manifest cannot be read.
        RecipeError: the recipe that says which pictures are alike is wrong.
    """
    found = []
    versions = complete_releases(workspace)
    with (
        workspace.connect() as connection,
        progress.task("Searching releases", total=len(versions), unit="releases") as advance,
    ):
        ask(workspace, connection, request)
        for version in versions:
            folder = workspace.releases / version
            promised = manifests.read(folder)
            for subset in promised.subsets:
                names = (f"{subset.name}/", f"{manifests.APART}/{subset.stem}.parquet")
                files = [folder / f.path for f in promised.files if f.path.startswith(names)]
                if count := holding(connection, files):
                    found.append(Held(version, subset.name, count))
            advance(1)
    return found


def ask(
    workspace: Workspace, connection: "duckdb.DuckDBPyConnection", request: Request | None
) -> None:
    """`asked` has the kind and value of all that a request takes out, or that all of them do."""
    where = "" if request is None else " where request = $request"
    connection.execute(
        f"create temp table asked as select distinct kind, value from current_withdrawals{where}",
        None if request is None else {"request": str(request)},
    )
    # What came in later: images of a URL, and a written text under another id.
    connection.execute(
        "insert into asked select 'image', image_sha256 from parts.images"
        " where image_url in (select value from asked where kind = 'url')"
        " union select 'transcript', transcript_id from written_texts"
        " where text_sha256 in (select value from asked where kind = 'text')"
    )
    images = connection.execute("select distinct value from asked where kind = 'image'").fetchall()
    if images:
        # All recipes have the same [splits], which say how near a copy is.
        likeness = load(schema.stems()[0], workspace.recipes).splits.likeness
        copies = copies_of(read_pictures(connection), {one for (one,) in images}, likeness)
        connection.register("copies", pa.table({"value": pa.array(copies, pa.string())}))
        connection.execute("insert into asked select 'image', value from copies")
        connection.unregister("copies")


def holding(connection: "duckdb.DuckDBPyConnection", files: Sequence[Path]) -> int:
    """How many rows of Parquet files hold what is in `asked`."""
    if not files:
        return 0
    names = ", ".join(map(literally, files))
    source = f"read_parquet([{names}], union_by_name = true, hive_partitioning = false)"
    described = connection.execute(f"from {source} limit 0").description or []
    columns = {column[0] for column in described}
    values = "(select coalesce(list(value), []) from asked where kind = '{}')"
    checks = [
        f"list_contains({values.format(kind)}, {column})"
        if column in NAMED_BY
        else f"list_has_any({column}, {values.format(kind)})"
        for column, kind in (NAMED_BY | LISTED_BY).items()
        if column in columns
    ]
    query = f"select count(*) from {source} where {' or '.join(checks)}"
    return int(connection.execute(query).fetchall()[0][0])
