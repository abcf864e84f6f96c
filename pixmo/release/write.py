"""A release is written into a folder: rows, images, pages, and the manifest last."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

import pixmo
from pixmo import schema
from pixmo.dataset.manifest import APART, File, Manifest, Subset, file_entry
from pixmo.dataset.reader import Release
from pixmo.execution.progress import Progress
from pixmo.files import sync_tree, write_json, write_text
from pixmo.release import croissant
from pixmo.release.annotators import by_subset
from pixmo.release.card import card
from pixmo.release.content import Content, SubsetContent
from pixmo.release.diff import diff
from pixmo.release.difference import Difference
from pixmo.release.images import EMBEDDED, copy_images, embedded
from pixmo.release.report import report
from pixmo.release.shards import IMAGE_ROW_GROUP_ROWS, ROW_GROUP_ROWS, Shards, write_parquet
from pixmo.release.sizes import sizes
from pixmo.release.statistics import distributions, facts
from pixmo.release.versions import complete_releases
from pixmo.workspace.workspace import Workspace


def write(content: Content, workspace: Workspace, staging: Path, progress: Progress) -> None:
    """The folder `staging` holds the whole release, on the disk for good; the manifest last.

    The report says what changed since the release that was built last.
    """
    rows_of: dict[Path, int] = {}
    rows = sum(subset.rows.num_rows for subset in content.subsets)
    with progress.task("Writing subsets", total=rows, unit="rows") as advance:
        for subset in content.subsets:
            rows_of |= write_subset(content, subset, staging, advance)
    if not content.is_embedded:
        inside = [image for sha256, image in content.images.items() if sha256 in content.inside]
        copy_images(inside, staging, progress)
    paths = sorted(path for path in staging.rglob("*") if path.is_file())
    files = []
    with progress.task("Hashing files", total=len(paths), unit="files") as advance:
        for path in paths:
            files.append(file_entry(staging, path, rows_of.get(path)))
            advance(1)
    changes, ordinal = None, 1
    if earlier := complete_releases(workspace):
        before = Release.open(workspace.releases / earlier[-1])
        ordinal += before.manifest.ordinal  # the highest
        made = Release(staging, manifest(content, files, ordinal))
        # The build has looked at the one before; of the other, the sha256 are just made.
        changes = diff(before, made, progress=progress, is_checked=True)
    pages = write_pages(content, workspace, staging, files, changes, progress)
    files += [file_entry(staging, path) for path in pages]
    sync_tree(staging)
    manifest(content, files, ordinal).write(staging)


def write_pages(
    content: Content,
    workspace: Workspace,
    staging: Path,
    files: Sequence[File],
    changes: Difference | None,
    progress: Progress,
) -> list[Path]:
    """Card, report and croissant.json are in `staging`; returns where. `files` are all others."""
    names = ("README.md", "report.html", "croissant.json")
    readme, page, metadata = (staging / name for name in names)
    with progress.task("Writing card and report", total=len(names), unit="pages") as advance:
        measured = distributions(content)
        people = by_subset(content)
        figures = facts(content, measured, people)
        write_text(
            readme, card(content, figures, sizes(staging, content, files), workspace.recipes)
        )
        advance(1)
        write_text(page, report(content, figures, measured, workspace, people, changes))
        advance(1)
        write_json(metadata, croissant.describe(content, files))
        advance(1)
    return [readme, page, metadata]


def write_subset(
    content: Content, subset: SubsetContent, staging: Path, advance: Callable[[int], None]
) -> dict[Path, int]:
    """The subset's splits, what was dropped and what was set apart; returns each file's rows.

    `advance` is called with the number of rows written.
    """
    promise = schema.subset(subset.stem).arrow()
    folder = staging / subset.recipe.name
    group_rows = IMAGE_ROW_GROUP_ROWS if content.is_embedded else ROW_GROUP_ROWS
    target = with_images(content, promise)
    shards = {
        split: Shards(folder, split, target, row_group_rows=group_rows) for split in subset.splits
    }
    for table in subset.filled(subset.rows):
        for split, files in shards.items():
            rows = table.filter(pc.equal(table.column("split"), split))
            for piece in pieces(content, rows.select(promise.names).cast(promise)):
                files.add(piece)
        advance(table.num_rows)
    rows_of = {path: rows for files in shards.values() for path, rows in files.close().items()}
    dropped, apart = subset.curated.dropped, subset.curated.apart
    path = staging / "dropped" / f"{subset.stem}.parquet"
    rows_of[path] = write_parquet(path, dropped.tables(), dropped.schema)
    if apart.num_rows:
        path = staging / APART / f"{subset.stem}.parquet"
        promise = pa.schema([*promise, *list(apart.schema)[len(promise) :]])
        tables = (
            piece
            for table in subset.filled(apart)
            for piece in pieces(content, table.cast(promise))
        )
        rows_of[path] = write_parquet(path, tables, with_images(content, promise), group_rows)
    return rows_of


def with_images(content: Content, promise: pa.Schema) -> pa.Schema:
    """The columns as they are written."""
    return pa.schema([EMBEDDED, *promise]) if content.is_embedded else promise


def pieces(content: Content, rows: pa.Table) -> Iterator[pa.Table]:
    """Yield the rows as they are written; with their images, few at a time."""
    if not content.is_embedded:
        yield rows
        return
    for start in range(0, rows.num_rows, IMAGE_ROW_GROUP_ROWS):
        some = rows.slice(start, IMAGE_ROW_GROUP_ROWS)
        yield embedded(some, content.images, content.inside)


def manifest(content: Content, files: Sequence[File], ordinal: int) -> Manifest:
    """What the release promises."""
    return Manifest(
        version=content.version,
        pixmo=pixmo.__version__,
        license=" AND ".join(content.licenses),
        subsets=tuple(
            Subset(
                stem=subset.stem,
                name=subset.recipe.name,
                candidates=subset.curated.candidates,
                rows=subset.splits,
                apart=subset.curated.apart.num_rows,
                funnel=subset.curated.funnel,
                recipe_sha256=subset.recipe.sha256,
                schema_sha256=schema.subset(subset.stem).sha256,
            )
            for subset in content.subsets
        ),
        files=tuple(sorted(files, key=lambda file: file.path)),
        images=content.travel.mode,
        ordinal=ordinal,
    )
