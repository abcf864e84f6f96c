"""A workspace: the one place that knows its folders and tables.

my-workspace/
  pixmo.toml                      settings
  audio/  images/  exports/       what people drop; never edited
  tables/<table>/<part>.parquet   append-only
  releases/<version>/             immutable
  runs/<name>/                    training and evaluation runs
  .cache/                         what can be made again at any time
"""

import contextlib
import dataclasses
import fcntl
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixmo import schema
from pixmo.errors import WorkspaceError
from pixmo.files import sweep_temporary, write_json, write_text
from pixmo.workspace import settings
from pixmo.workspace.tables import Table

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

VIEWS = Path(__file__).with_name("views.sql")
LOCK_POLL_SECONDS = 0.1


def literally(path: Path) -> str:
    """`path` as a DuckDB string that names this one file, whatever signs its folders hold."""
    return "'" + re.sub(r"[*?\[]", r"[\g<0>]", str(path)).replace("'", "''") + "'"


def view_names() -> list[str]:
    """The views of what counts now, beside the tables."""
    return re.findall(r"^create (?:or replace )?view (\w+)", VIEWS.read_text("utf-8"), re.MULTILINE)


@dataclass(frozen=True)
class SetAside:
    """One piece of input that could not be used."""

    stage: str
    key: str
    path: str
    reason: str  # the same words for the same kind of fault
    detail: str = ""


@dataclass(frozen=True)
class Workspace:
    """An opened workspace."""

    root: Path
    settings: settings.Settings

    @classmethod
    def open(cls, root: Path) -> "Workspace":
        """The workspace in the folder `root`; any folder is one.

        Raises:
            WorkspaceError: there is no such folder.
            SettingsError: its `pixmo.toml` is wrong.
        """
        root = root.expanduser().resolve()
        if not root.is_dir():
            raise WorkspaceError(f"{root} is not a folder; make one with: pixmo init {root}")
        return cls(root, settings.load(root))

    @classmethod
    def init(cls, root: Path) -> "Workspace":
        """`root` is a workspace with a commented `pixmo.toml`; one that is there is kept."""
        root.mkdir(parents=True, exist_ok=True)
        if not (root / settings.FILE_NAME).exists():
            write_text(root / settings.FILE_NAME, settings.template())
        return cls.open(root)

    @property
    def audio(self) -> Path:
        """Where recordings are dropped."""
        return self.root / "audio"

    @property
    def images(self) -> Path:
        """Where images are dropped."""
        return self.root / "images"

    @property
    def exports(self) -> Path:
        """Where Label Studio exports are dropped."""
        return self.root / "exports"

    @property
    def releases(self) -> Path:
        """Where releases are built."""
        return self.root / "releases"

    @property
    def runs(self) -> Path:
        """Where training and evaluation runs are kept."""
        return self.root / "runs"

    @property
    def cache(self) -> Path:
        """What can be made again at any time, and may be deleted at any time."""
        return self.root / ".cache"

    @property
    def unpacked(self) -> Path:
        """Where images that releases hold in their rows become files."""
        return self.cache / "unpacked"

    @property
    def recipes(self) -> Path:
        """Where recipes of this workspace's own stand before those that ship."""
        return self.root / "pipelines"

    def relative(self, path: Path) -> str:
        """`path` as tables hold it: relative to the workspace when inside it, else absolute."""
        # Links among the folders are followed, as for the root; a file keeps the name it was given.
        path = path.parent.resolve() / path.name
        return str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)

    def path(self, stored: str) -> Path:
        """The file that a table's path names."""
        return self.root / stored

    def table(self, name: str) -> Table:
        """One of the tables in `schemas/tables/`."""
        schema.table(name)
        return Table(name, self.root / "tables" / name)

    def local_images(self) -> dict[str, Path]:
        """The files of the images taken in, by sha256."""
        rows = self.read("images").select(["image_sha256", "path"]).to_pylist()
        return {row["image_sha256"]: self.path(row["path"]) for row in rows}

    def append(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        """`rows` are in the table for good."""
        self.table(name).append(rows)

    def read(self, name: str) -> "pa.Table":
        """All rows of a table, in the order they were appended."""
        return self.table(name).read()

    def check_tables(self, progress: Callable[[int], None]) -> None:
        """Nothing, if every page of every table is as it was written; DuckDB does not look.

        A part that was whole, and has had the same size and time since, is not read again.
        `progress` is called with 1 for each part.

        Raises:
            WorkspaceError: a part is damaged.
        """
        note = self.cache / "whole_parts.json"
        try:
            whole = json.loads(note.read_text("utf-8"))
        except (OSError, ValueError):  # there is none yet, or it is damaged itself
            whole = None
        if not isinstance(whole, list):
            whole = []
        _, *parts = self.state()
        for part in parts:
            if part not in whole:
                table = self.table(str(part[0]))
                table.read_part(table.folder / str(part[1]))
            progress(1)
        note.parent.mkdir(exist_ok=True)
        write_json(note, parts)

    def set_aside(self, items: Sequence[SetAside]) -> int:
        """Every item stands in `set_aside`, once; returns how many were new."""
        if not items:
            return 0
        known = self.still_set_aside()
        rows = []
        for item in items:
            if item not in known:
                known.add(item)
                rows.append(dataclasses.asdict(item) | {"is_mended": False})
        self.append("set_aside", rows)
        return len(rows)

    def mend(self, stage: str, folder: Path, still: Sequence[SetAside]) -> None:
        """Of what a stage had set aside in `folder`, only `still` counts from now on."""
        inside = folder.resolve()
        rows = [
            dataclasses.asdict(item) | {"is_mended": True}
            for item in sorted(self.still_set_aside() - set(still), key=dataclasses.astuple)
            if item.stage == stage and self.path(item.path).is_relative_to(inside)
        ]
        self.append("set_aside", rows)

    def still_set_aside(self) -> set[SetAside]:
        """What was set aside and not mended since."""
        newest = {}
        for row in self.read("set_aside").to_pylist():
            is_mended = row.pop("is_mended")
            newest[SetAside(**row)] = is_mended
        return {item for item, is_mended in newest.items() if not is_mended}

    def state(self) -> list[list[object]]:
        """Which parts the tables have now: name, bytes and time of each, and the views' text."""
        parts: list[list[object]] = [["views.sql", VIEWS.read_text("utf-8")]]
        for name in schema.table_names():
            for part in self.table(name).parts():
                status = part.stat()
                parts.append([name, part.name, status.st_size, status.st_mtime_ns])
        return parts

    def connect(self) -> "duckdb.DuckDBPyConnection":
        """An in-memory DuckDB with a view per table, and those of `views.sql` for what counts now.

        Every process has its own, so none locks another out. It takes no more memory than
        `[curate] memory_limit_gb`; what does not fit goes to the disk.
        """
        import duckdb

        connection = duckdb.connect(
            config={
                "memory_limit": f"{self.settings.curate.memory_limit_gb}GB",
                "temp_directory": str(self.cache / "spilled"),
            }
        )
        with contextlib.suppress(duckdb.Error):  # a notebook may have none to switch off
            connection.execute("set enable_progress_bar = false")  # whoever calls shows one
        connection.execute("create schema parts")
        connection.execute("\n".join(map(self.view, schema.table_names())))
        connection.execute(VIEWS.read_text("utf-8"))
        return connection

    def view(self, name: str) -> str:
        """SQL that makes `name` a view of the table; in `parts.<name>` rows say from which part."""
        table = self.table(name)
        parts = table.parts()
        if parts:
            for part in parts:
                table.check_footer(part)
            files = ", ".join(literally(part) for part in parts)
            parts_of = (
                f"create view parts.{name} as select * from read_parquet([{files}],"
                " filename = true, file_row_number = true, hive_partitioning = false);"
            )
        else:
            columns = [f'"{one.name}" {schema.sql_type(one.type)}' for one in table.schema.columns]
            columns += ["filename varchar", "file_row_number bigint"]
            parts_of = f"create table parts.{name} ({', '.join(columns)});"
        return (
            f"{parts_of} create view {name} as"
            f" select * exclude (filename, file_row_number) from parts.{name};"
        )

    @contextlib.contextmanager
    def lock(self, work: str, patience: float = 0.0) -> Iterator[None]:
        """Nobody else does `work` in this workspace meanwhile; leftovers of killed runs are gone.

        Who does is waited for, so many seconds.

        The lock dies with its process, so a killed run never leaves one behind.

        Raises:
            WorkspaceError: another process is at it.
        """
        folder = self.root / "tables"
        folder.mkdir(exist_ok=True)
        with (folder / f".{work}.lock").open("w") as file:
            deadline = time.monotonic() + patience
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if time.monotonic() >= deadline:
                        raise WorkspaceError(
                            f"another pixmo is busy with {work} in {self.root}; wait for it to"
                            " finish"
                        ) from error
                time.sleep(LOCK_POLL_SECONDS)
            sweep_temporary(folder)
            yield
