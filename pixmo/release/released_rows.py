"""Rows of a release, wherever they stand in it: kept, set apart or dropped."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pixmo.dataset.manifest import APART, EMBEDDED_COLUMN, Subset
from pixmo.dataset.reader import SPLITS, Release
from pixmo.errors import ReleaseError
from pixmo.execution.progress import SILENT, Progress
from pixmo.release.traced import Row
from pixmo.release.unchanged import check_file, check_sizes, check_unchanged
from pixmo.workspace.workspace import literally

LEAST_PREFIX = 6  # characters of an id
# Of an image in a row only whether it is there: reading it takes long, and shows nothing.
WITHOUT_BYTES = f"* replace ({EMBEDDED_COLUMN}.path is not null as {EMBEDDED_COLUMN})"


@dataclass(frozen=True)
class Found:
    """A row as a release has it."""

    subset: Subset
    fate: str
    file: str
    row: Row

    @property
    def split(self) -> str:
        """The split it is in, or would be in."""
        return str(self.row.get("split") or "")


def find_row(release: Release, start: str, progress: Progress = SILENT) -> Found:
    """The row of the release whose id begins with `start`, kept or not.

    Raises:
        ReleaseError: there is none, or several begin so, or `start` is too short to say; or a file
            of rows is not what was released.
    """
    if len(start) < LEAST_PREFIX:
        raise ReleaseError(f"{start!r} is too short: give at least {LEAST_PREFIX} signs of the id")
    found = list(rows_of(release, f"starts_with(id, '{start.replace(chr(39), chr(39) * 2)}')", 3))
    found = [one for one in found if one.row["id"] == start] or found
    if not found:
        # One that is damaged may have it.
        check_unchanged(release.root, release.manifest.row_files(), progress)
        raise ReleaseError(
            f"no row of {release.root} has an id that begins with {start}; ids stand in its"
            " Parquet files and in dropped/"
        )
    if len(found) > 1:
        ids = ", ".join(f"{one.row['id']} of {one.subset.name}" for one in found)
        raise ReleaseError(f"several rows have an id that begins with {start}: {ids}")
    return found[0]


def rows_of(
    release: Release,
    where: str = "true",
    most: int | None = None,
    fates: Sequence[str] = ("kept", "set apart", "dropped"),
) -> Iterator[Found]:
    """Yield the rows of these fates for which `where` holds, at most so many of a file.

    The size of every file and all bytes of those that hold such a row are what was released.

    Raises:
        ReleaseError: a file cannot be read, or is not what was released.
    """
    import duckdb

    check_sizes(release.root, release.manifest.row_files())
    files = {file.path: file for file in release.manifest.files}
    with duckdb.connect() as connection:
        connection.execute("set enable_progress_bar = false")
        for subset in release.manifest.subsets:
            places = [
                ("kept", file.path, split)
                for split in SPLITS
                for file in release.manifest.parquet(subset.name, split)
            ]
            for fate, folder in (("set apart", APART), ("dropped", "dropped")):
                if (path := f"{folder}/{subset.stem}.parquet") in files:
                    places.append((fate, path, ""))
            for fate, path, split in (place for place in places if place[0] in fates):
                is_embedded = release.manifest.is_embedded and fate != "dropped"
                columns = WITHOUT_BYTES if is_embedded else "*"
                place = literally(release.root / path)
                query = f"select {columns} from read_parquet({place}) where {where}"
                try:
                    rows = connection.sql(query + (f" limit {most}" if most else ""))
                    table = rows.to_arrow_table()
                except duckdb.Error as error:
                    check_file(release.root, files[path])
                    why = " ".join(str(error).split())
                    raise ReleaseError(f"{release.root / path} cannot be read: {why}") from error
                if len(table):
                    check_file(release.root, files[path])
                for row in table.to_pylist():
                    yield Found(subset, fate, path, row | ({"split": split} if split else {}))
