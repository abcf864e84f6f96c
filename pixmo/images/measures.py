"""What models of a user's own say of images: scores and embeddings, taken in from a file."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pixmo.errors import ImageError
from pixmo.execution.progress import SILENT, Progress
from pixmo.text import misspelt
from pixmo.workspace.workspace import SetAside, Workspace, literally

if TYPE_CHECKING:
    import duckdb

IMAGE = ("image_sha256", "file")  # either names the image; the first where a row has both
READERS = {
    ".parquet": "read_parquet({0}, file_row_number = true, hive_partitioning = false)",
    # Nothing is guessed: a name of digits stays a name, and a line too short is an error.
    ".csv": "read_csv({0}, all_varchar = true, header = true, delim = ',', quote = '\"',"
    " escape = '\"')",
    ".jsonl": "read_json({0}, format = 'newline_delimited', maximum_depth = 1)",
}


@dataclass(frozen=True)
class Kind:
    """One kind of measure: its table, and what makes a row of a file unusable."""

    table: str
    stage: str
    formats: tuple[str, ...]
    columns: tuple[str, ...]  # of text, beside the image; with it, the first is a row's key
    measure: str  # the column of the measure
    type: str  # of the measure, in DuckDB's words
    said: str  # in SQL: two rows of one key with equal ones say the same
    shown: str  # in SQL: enough of the measure as it was written to know it again
    faults: str  # in SQL: `when … then reason`, after those that all kinds share
    part_rows: int
    has_length: bool = False  # one, for all measures of a model

    @property
    def key(self) -> str:
        """The column of which, with the image, the newest row counts."""
        return self.columns[0]


SCORES = Kind(
    table="image_scores",
    stage="image scores",
    formats=(".parquet", ".csv", ".jsonl"),
    columns=("name", "model"),
    measure="score",
    type="double",
    said="row(score, model)",
    shown="written",
    faults="when coalesce(name, '') = '' then 'no name'"
    " when written is null then 'no score'"
    " when score is null or not isfinite(score) then 'score is not a number'",
    part_rows=1 << 20,
)
EMBEDDINGS = Kind(
    table="image_embeddings",
    stage="image embeddings",
    formats=(".parquet",),
    columns=("model",),
    measure="embedding",
    type="float[]",
    # 64 bits tell the old vector from the new one of the same image without holding either.
    said="hash(embedding)",
    shown="written[:4]",
    faults="when coalesce(len(written), 0) = 0 then 'no embedding'"
    " when embedding is null or not list_bool_and("
    "  list_transform(embedding, lambda x: coalesce(isfinite(x), false)))"
    " then 'embedding holds what is not a number'"
    " when list_bool_and(list_transform(embedding, lambda x: x = 0))"
    " then 'embedding is all zeros'",
    part_rows=1 << 15,
    has_length=True,
)


@dataclass(frozen=True)
class MeasuresAdded:
    """What became of a file's rows."""

    added: int  # new, or saying something new
    known: int
    set_aside: int


def add_scores(workspace: Workspace, file: Path, progress: Progress = SILENT) -> MeasuresAdded:
    """Every score in a Parquet, CSV or JSON Lines file is what counts now of its image and name.

    A row has `image_sha256` or `file` (the path of an image, from the workspace, its images/ or
    the file's own folder), `name`, `score` and `model`. Rows that cannot be used are set aside by
    their number; those that say what is known already add nothing.

    Raises:
        ImageError: the file cannot be read, or has no such columns.
        WorkspaceError: another process takes in scores.
    """
    return add(workspace, file, SCORES, progress)


def add_embeddings(workspace: Workspace, file: Path, progress: Progress = SILENT) -> MeasuresAdded:
    """Every embedding in a Parquet file is what counts now of its image and model.

    As `add_scores`, but a row has `embedding`, a list of numbers, and no name. All embeddings of
    one model have the length of its first.

    Raises:
        ImageError: the file cannot be read, or has no such columns.
        WorkspaceError: another process takes in embeddings.
    """
    return add(workspace, file, EMBEDDINGS, progress)


def add(workspace: Workspace, file: Path, kind: Kind, progress: Progress) -> MeasuresAdded:
    """A file's rows of one kind stand in its table or are set aside."""
    if not file.is_file():
        raise ImageError(f"{file} is not a file; name one of {', '.join(kind.formats)}")
    if file.suffix.lower() not in kind.formats:
        raise ImageError(
            f"{file}: {kind.stage} are read from {', '.join(kind.formats)} files; write one of them"
        )
    with workspace.lock(kind.table), workspace.connect() as connection:
        with refusals(file):
            read_given(connection, file, kind)
            link(connection, workspace, file.absolute().parent)
            judge(connection, kind)
        faults = [
            SetAside(kind.stage, str(row), workspace.relative(file.absolute()), reason, detail)
            for row, reason, detail in connection.execute(
                "select row, reason, detail from judged where reason is not null order by row"
            ).fetchall()
        ]
        usable = count(connection, "judged where reason is null")
        added = count(connection, "fresh")
        append(connection, workspace, kind, added, progress)
        workspace.set_aside(faults)
        workspace.mend(kind.stage, file, faults)
    return MeasuresAdded(added, usable - added, len(faults))


@contextlib.contextmanager
def refusals(file: Path) -> Iterator[None]:
    """Whatever DuckDB has against a file is an ImageError of one line."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise ImageError(f"{file} cannot be read: {str(error).splitlines()[0]}") from error


def read_given(connection: "duckdb.DuckDBPyConnection", file: Path, kind: Kind) -> None:
    """`given` shows the file's rows: row (from 1), image_sha256, file, the measure, as written.

    Raises:
        ImageError: a column is missing.
    """
    suffix = file.suffix.lower()
    source = READERS[suffix].format(literally(file.absolute()))
    described = connection.execute(f"from {source} limit 0").description or []
    names = tuple(column[0] for column in described)
    check_columns(file, names, kind)
    if suffix == ".jsonl":
        # As text, whatever it looks like: DuckDB would take a name of digits for a number.
        wanted = (*IMAGE, *kind.columns, kind.measure)
        as_text = ", ".join(f"{name}: 'VARCHAR'" for name in wanted if name in names)
        source = source.removesuffix(")") + f", columns = {{{as_text}}})"
    images = ", ".join(f"{n if n in names else 'null'}::varchar as {n}" for n in IMAGE)
    texts = ", ".join(f"trim({name}::varchar) as {name}" for name in kind.columns)
    # Parquet is read twice, for vectors are large; rows of the others have no number of their own.
    made, number = (
        ("view", "file_row_number + 1")
        if suffix == ".parquet"
        else ("table", "row_number() over ()")
    )
    connection.execute(
        f"create temp {made} given as select {number} as row, {images}, {texts},"
        f" {kind.measure} as written, try_cast({kind.measure} as {kind.type}) as {kind.measure}"
        f" from {source}"
    )


def check_columns(file: Path, names: tuple[str, ...], kind: Kind) -> None:
    """Nothing, if a file has the columns it must have.

    Raises:
        ImageError: one is missing.
    """
    wanted = (*kind.columns, kind.measure)
    missing = [name for name in wanted if name not in names]
    images = () if set(names) & set(IMAGE) else IMAGE
    if images:
        missing.insert(0, " or ".join(images))
    if missing:
        hint = misspelt(names, (*images, *wanted)) or f"its columns are {', '.join(names)}"
        raise ImageError(
            f"{file} has no column {missing[0]}: {hint};"
            f" a row has image_sha256 or file, {', '.join(wanted)}"
        )


def link(connection: "duckdb.DuckDBPyConnection", workspace: Workspace, folder: Path) -> None:
    """`linked` holds the image of every row of `given`; null where it names none taken in."""
    import pyarrow as pa

    by_path = dict(connection.execute("select path, image_sha256 from images").fetchall())
    files = connection.execute(
        "select distinct file from given where image_sha256 is null and file is not null"
    ).fetchall()
    found = {file: image_at(workspace, folder, file, by_path) for (file,) in files}
    columns = {"file": list(found), "of_file": list(found.values())}
    kinds = pa.schema([(name, pa.string()) for name in columns])
    connection.register("found_files", pa.table(columns, kinds))
    connection.execute(
        "create temp table linked as select row,"
        " if(given.image_sha256 is null, of_file, images.image_sha256) as image_sha256,"
        " coalesce(given.image_sha256, given.file, '') as called"
        " from given left join found_files using (file)"
        " left join images on images.image_sha256 = lower(trim(given.image_sha256))"
    )
    connection.unregister("found_files")


def image_at(workspace: Workspace, folder: Path, name: str, by_path: dict[str, str]) -> str | None:
    """The image that a path means: from the workspace, from its images/, or from `folder`."""
    if name in by_path:  # as `pixmo sql` shows it; the others cost a look at the disk
        return by_path[name]
    for root in (workspace.root, workspace.images, folder):
        stored = workspace.relative(Path(os.path.normpath(root / name)))
        if stored in by_path:
            return by_path[stored]
    return None


def judge(connection: "duckdb.DuckDBPyConnection", kind: Kind) -> None:
    """`judged` holds what is wrong with each row, if anything; `fresh` the rows to be added."""
    key = kind.key
    connection.execute(
        f"create temp table judged as select row, image_sha256, {key}, called,"
        f" {kind.said} as said, {f'len({kind.measure})' if kind.has_length else 0} as length,"
        " case when called = '' then 'no image' when image_sha256 is null then 'no such image'"
        f" when coalesce(model, '') = '' then 'no model' {kind.faults} end as reason,"
        f" 'image ' || called || coalesce(', {kind.measure} ' || left({kind.shown}::varchar, 80),"
        " '') as detail"
        " from (select * exclude (image_sha256, file) from given) join linked using (row)"
    )
    if kind.has_length:
        refuse_other_lengths(connection)
    connection.execute(
        "update judged set reason = 'given twice' from (select row from judged where reason is null"
        f" qualify row_number() over (partition by image_sha256, {key} order by row) > 1) as again"
        " where judged.row = again.row"
    )
    connection.execute(
        "create temp table fresh as select row from judged anti join"
        f" (select image_sha256, {key}, {kind.said} as said from current_{kind.table})"
        f" using (image_sha256, {key}, said) where reason is null"
    )


def refuse_other_lengths(connection: "duckdb.DuckDBPyConnection") -> None:
    """Rows whose vector is not as long as the first of its model have this as their reason."""
    connection.execute(
        "create temp table lengths as"
        " with taken as (select model, any_value(len(embedding)) as length"
        "  from current_image_embeddings group by model)"
        " from taken union all select model, arg_min(length, row)"
        " from judged anti join taken using (model) where reason is null group by model"
    )
    connection.execute(
        "update judged set reason = 'another length than the model has',"
        " detail = 'image ' || called || ', ' || judged.length || ' numbers, ' || judged.model"
        " || ' has ' || lengths.length || '; another model has another name'"
        " from lengths where judged.model = lengths.model and judged.length != lengths.length"
        " and reason is null"
    )


def append(
    connection: "duckdb.DuckDBPyConnection",
    workspace: Workspace,
    kind: Kind,
    rows: int,
    progress: Progress,
) -> None:
    """The fresh rows are in the table for good, part by part in their order."""
    import pyarrow as pa

    table = workspace.table(kind.table)
    schema = table.schema.arrow()
    reader = connection.sql(
        f"select {', '.join(f'linked.{n}' if n == 'image_sha256' else n for n in schema.names)}"
        " from given join linked using (row) semi join fresh using (row) order by row"
    ).to_arrow_reader(kind.part_rows)
    with progress.task(f"Taking in {kind.stage}", rows, "rows") as advance:
        for batch in reader:
            if len(batch):
                table.append_table(pa.Table.from_batches([batch]).cast(schema))
                advance(len(batch))


def count(connection: "duckdb.DuckDBPyConnection", relation: str) -> int:
    """The number of rows of a relation."""
    found = connection.execute(f"select count(*) from {relation}").fetchall()
    return int(found[0][0])
