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
from pixmo.errors import ReleaseError
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
TEXTS = ("question", "caption")  # columns of what somebody asked, or mended, by their words
# What `asked` and `asked_texts` take out besides, a statement each, in the words of views.sql: also
# what came in since, or turned out to be theirs. `Named` are the values that `asked` has of a kind.
BELONGINGS = (
    """
    insert into asked
    select 'image', image_sha256 from parts.images where image_url in (from named('url'))
    union
    select 'recording', recording_sha256 from speakers where annotator in (from named('annotator'))
    union
    select 'annotation', annotation_uid
    from (
        select annotation_uid, annotator from newest_point_annotations
        union all select annotation_uid, annotator from newest_answers
        union all select annotation_uid, annotator from newest_questions
        union all select annotation_uid, annotator from newest_caption_reviews
    )
    where annotator in (from named('annotator'))
    """,
    """
    insert into asked
    select 'transcript', transcript_id from written_texts where text_sha256 in (from named('text'))
    union
    select 'transcript', transcript_id from parts.transcripts
    where recording_sha256 in (from named('recording'))
    union
    select 'transcript', transcript_id from parts.transcripts
    anti join speakers using (recording_sha256)
    where annotator in (from named('annotator'))
    """,
    # Words that nobody else stands for.
    """
    create temp table asked_texts as
    (
        select 'question' as kind, image_sha256, trimmed(question) as text from questions
        where annotator in (from named('annotator'))
            or annotation_uid in (from named('annotation'))
        except
        select 'question', image_sha256, trimmed(question) from current_questions
    )
    union all
    (
        select 'caption', image_sha256, trimmed(caption) from caption_reviews
        where verdict = 'accept' and was_edited
            and (
                annotator in (from named('annotator'))
                or annotation_uid in (from named('annotation'))
            )
        except
        select 'caption', image_sha256, trimmed(caption) from current_caption_reviews
        where verdict = 'accept'
    )
    """,
)


@dataclass(frozen=True)
class Held:
    """Rows of a release that hold something withdrawn."""

    version: str
    subset: str
    rows: int


@dataclass(frozen=True)
class Searched:
    """What a search of finished releases found."""

    held: tuple[Held, ...]
    unreadable: tuple[str, ...]  # a line for each release that could not be searched


def held(
    workspace: Workspace,
    request: Request | None = None,
    progress: Progress = SILENT,
    versions: Sequence[str] | None = None,
) -> list[Held]:
    """As `search` finds it.

    Raises:
        ReleaseError: a release cannot be read.
        RecipeError: the recipe that says which pictures are alike is wrong.
    """
    found = search(workspace, request, progress, versions)
    if found.unreadable:
        raise ReleaseError(found.unreadable[0])
    return list(found.held)


def search(
    workspace: Workspace,
    request: Request | None = None,
    progress: Progress = SILENT,
    versions: Sequence[str] | None = None,
) -> Searched:
    """The rows of finished releases that hold what is withdrawn, or what one request names.

    Rows of near copies count, for the next build drops them, too; so do rows set apart. What was
    dropped is not searched: of that a release holds ids and verdicts. `versions` names the
    releases; None: all.

    Raises:
        RecipeError: the recipe that says which pictures are alike is wrong.
    """
    found: list[Held] = []
    unreadable = []
    versions = complete_releases(workspace) if versions is None else versions
    with (
        workspace.connect() as connection,
        progress.task("Searching releases", total=len(versions), unit="releases") as advance,
    ):
        ask(workspace, connection, request)
        for version in versions:
            try:
                found += held_by(connection, workspace.releases / version)
            except ReleaseError as error:
                unreadable.append(str(error))
            advance(1)
    return Searched(tuple(found), tuple(unreadable))


def held_by(connection: "duckdb.DuckDBPyConnection", folder: Path) -> list[Held]:
    """The rows of one release that hold what is in `asked`.

    Raises:
        ReleaseError: its manifest or its rows cannot be read.
    """
    import duckdb

    found = []
    try:
        promised = manifests.read(folder)
        for subset in promised.subsets:
            names = (f"{subset.name}/", f"{manifests.APART}/{subset.stem}.parquet")
            files = [folder / f.path for f in promised.files if f.path.startswith(names)]
            if count := holding(connection, files):
                found.append(Held(folder.name, subset.name, count))
    except (duckdb.Error, OSError, ReleaseError) as error:
        raise ReleaseError(
            f"{folder} cannot be searched for what was withdrawn: {' '.join(str(error).split())};"
            f" pixmo verify {folder.name} says what is wrong with it"
        ) from error
    return found


def ask(
    workspace: Workspace, connection: "duckdb.DuckDBPyConnection", request: Request | None
) -> None:
    """`asked` has the kind and value of all that a request takes out, or that all of them do.

    `asked_texts` has the words of questions and mended captions that go with it.
    """
    where = "" if request is None else " where request = $request"
    connection.execute(
        f"create temp table asked as select distinct kind, value from current_withdrawals{where}",
        None if request is None else {"request": str(request)},
    )
    connection.execute(
        "create temp macro named(sort) as table select value from asked where kind = sort"
    )
    for statement in BELONGINGS:
        connection.execute(statement)
    images = connection.execute("select distinct value from asked where kind = 'image'").fetchall()
    if images:
        # All recipes have the same [splits], which say how near a copy is.
        likeness = load(schema.stems()[0], workspace.recipes).splits.likeness
        copies = copies_of(read_pictures(connection), {one for (one,) in images}, likeness)
        connection.register("copies", pa.table({"value": pa.array(copies, pa.string())}))
        connection.execute("insert into asked select 'image', value from copies")
        connection.unregister("copies")


def holding(connection: "duckdb.DuckDBPyConnection", files: Sequence[Path]) -> int:
    """How many rows of Parquet files hold what is in `asked` or `asked_texts`."""
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
    checks += [
        f"(image_sha256, trimmed({column})) in"
        f" (select (image_sha256, text) from asked_texts where kind = '{column}')"
        for column in TEXTS
        if column in columns
    ]
    query = f"select count(*) from {source} where {' or '.join(checks)}"
    return int(connection.execute(query).fetchall()[0][0])
