"""A release is built: whole and checked, or not there at all."""

import contextlib
import shutil
import unicodedata
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from pixmo import agreement, hashing, schema, text
from pixmo.curate import curate as curating
from pixmo.curate.cache import Cache
from pixmo.curate.curate import Curated, curate
from pixmo.curate.recipe import Recipe, load
from pixmo.dataset.manifest import FILE_NAME, VERSION, read
from pixmo.errors import RecipeError, ReleaseError, WorkspaceError
from pixmo.execution.progress import SILENT, Progress
from pixmo.files import sync_folder
from pixmo.hashing import sha256_file
from pixmo.label import consensus
from pixmo.release.content import Content, HeldOut, SubsetContent
from pixmo.release.images import Mode, Travel, source_images, unusable
from pixmo.release.versions import complete_releases, released_splits
from pixmo.release.write import write
from pixmo.workspace.workspace import Workspace

if TYPE_CHECKING:
    import duckdb

BUILDING = ".building"
WITHDRAWING_SECONDS = 60.0  # a withdrawal takes a few; a build of hours is not lost for it
DAMAGED = "Corrupt database file"  # in what DuckDB says of a result whose bytes changed
USED_BY_CURATE = (
    agreement,
    consensus,
    hashing,
    text,
)  # what it computes with, beside its own modules
# What fills the candidates of the subsets; said when there are none.
SOURCES = (
    "captions come from pixmo transcribe audio/,"
    " answers and points from pixmo label ingest exports/"
)


def build_release(
    workspace: Workspace,
    version: str,
    progress: Progress = SILENT,
    images: Mode = "url",
    is_forced: bool = False,
) -> Path:
    """`releases/<version>` holds a complete release; returns its folder.

    Images travel as `images` says: see `Travel`; with `is_forced` whatever their licences say.

    Everything is written to a hidden folder, the manifest last, and the folder is renamed: a build
    that was killed leaves nothing under the release's name, and the next one sweeps what it left.

    Raises:
        ReleaseError: the name is wrong or taken, or there is no row to release.
        RecipeError: a recipe is wrong.
        WorkspaceError: another process builds a release, a table is damaged, or something was
            withdrawn meanwhile.
    """
    if not VERSION.fullmatch(version):
        raise ReleaseError(
            f"{version!r} is no name for a release; use letters, digits, dots, dashes, such as v1"
        )
    travel = Travel.of(workspace.settings.release, images, is_forced)
    target = workspace.releases / version
    with workspace.lock("release"):
        if target.exists():
            if not (target / FILE_NAME).is_file():
                raise ReleaseError(
                    f"{target} is no whole release, its {FILE_NAME} is gone;"
                    " delete the folder, or name another version"
                )
            raise ReleaseError(f"{target} is already there; a release never changes, name another")
        sweep(workspace.releases)
        staging = workspace.releases / f".{version}{BUILDING}"
        staging.mkdir(parents=True)
        try:
            check_tables(workspace, progress)
            withdrawals = workspace.table("withdrawals").parts()
            # The views are as of now and the images are read after: all that rows name are there.
            with opened(workspace) as (connection, cache):
                content = choose(workspace, connection, version, progress, cache, travel)
                write(content, workspace, staging, progress)
            # Nothing is withdrawn between the check and the name.
            with workspace.lock("withdraw", patience=WITHDRAWING_SECONDS):
                if workspace.table("withdrawals").parts() != withdrawals:
                    raise WorkspaceError(
                        f"something was withdrawn from {workspace.root}, or counts again, while"
                        f" {version} was built; it was not kept, build it again:"
                        f" pixmo build-release {version}"
                    )
                staging.rename(target)
            sync_folder(workspace.releases)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return target


def sweep(releases: Path) -> None:
    """What killed builds left is gone. The caller holds the lock: nobody is building."""
    for folder in sorted(releases.glob(f".*{BUILDING}")):
        shutil.rmtree(folder)


def check_tables(workspace: Workspace, progress: Progress) -> None:
    """Nothing, if every page of every table is as it was written, as far as it is not known to be.

    Raises:
        WorkspaceError: a table is damaged.
    """
    parts = sum(len(workspace.table(name).parts()) for name in schema.table_names())
    with progress.task("Checking tables", total=parts, unit="parts") as advance:
        workspace.check_tables(advance)


def check_newest(workspace: Workspace, progress: Progress) -> None:
    """Nothing, if the rows of the newest release are as they were released: it is compared with.

    Raises:
        ReleaseError: a file of rows is missing or changed.
    """
    for version in complete_releases(workspace)[-1:]:
        folder = workspace.releases / version
        files = [file for file in read(folder).files if file.path.endswith(".parquet")]
        with progress.task(f"Checking {version}", total=len(files), unit="files") as advance:
            for file in files:
                path = folder / file.path
                if not path.is_file() or sha256_file(path) != file.sha256:
                    raise ReleaseError(
                        f"{path} is missing or not what was released, and the new release is"
                        f" compared with {version}; restore the file, or delete {folder}"
                    )
                advance(1)


def choose(
    workspace: Workspace,
    connection: "duckdb.DuckDBPyConnection",
    version: str,
    progress: Progress,
    cache: Cache,
    travel: Travel,
) -> Content:
    """The rows of every subset, chosen by its recipe.

    Raises:
        ReleaseError: there is nothing to choose from, or nothing is left, or an earlier release,
            which says where pictures stay, cannot be read, or the newest is not as it was.
    """
    recipes = load_recipes(workspace)
    released = released_splits(workspace)
    check_newest(workspace, progress)
    images = source_images(workspace)
    faults = unusable(images, progress)
    curated = [
        curate(connection, recipe, faults, progress, cache, released, is_placed=number > 0)
        for number, recipe in enumerate(recipes)
    ]
    curated = [subset for subset in curated if subset.candidates]
    check_not_empty(workspace, curated)
    kept = {
        sha256
        for subset in curated
        for rows in (subset.kept, subset.apart)
        for (sha256,) in rows.query("distinct image_sha256")
    }
    shown = {sha256: image for sha256, image in images.items() if sha256 in kept}
    return Content(
        version,
        workspace.settings,
        tuple(SubsetContent(subset, images) for subset in curated),
        shown,
        held_out(connection),
        travel,
        travel.inside(shown.values(), progress),
    )


def held_out(connection: "duckdb.DuckDBPyConnection") -> tuple[HeldOut, ...]:
    """The evaluation data of the workspace, by source."""
    found = connection.execute(
        "select source, count(*) filter (is_image), count(*) filter (not is_image) from ("
        " select source, true as is_image from held_out_images"
        " union all select source, false from held_out_questions)"
        " group by source order by source"
    ).fetchall()
    return tuple(HeldOut(*row) for row in found)


@contextlib.contextmanager
def opened(workspace: Workspace) -> Iterator[tuple["duckdb.DuckDBPyConnection", Cache]]:
    """The tables as they are now, and what earlier builds and trials computed over just these.

    Raises:
        WorkspaceError: what was computed before is damaged.
    """
    import duckdb

    cache = open_cache(workspace)
    connection = workspace.connect()
    try:
        while (now := open_cache(workspace)) != cache:  # something came in meanwhile
            connection.close()
            cache, connection = now, workspace.connect()
        yield connection, cache
    except (duckdb.Error, RecipeError) as error:
        if DAMAGED in str(error):
            raise WorkspaceError(
                f"{cache.folder} is damaged; delete it, what it holds is computed again"
            ) from error
        raise
    finally:
        connection.close()
        cache.prune(workspace.settings.curate.cache_bytes)


def open_cache(workspace: Workspace) -> Cache:
    """What earlier builds and trials computed over the tables as they are now."""
    packages = ("duckdb", "numpy", "numba", "pyarrow", "regex", "rensa", "scipy")
    made_by = [f"{name} {metadata.version(name)}" for name in packages]
    made_by.append(f"Unicode {unicodedata.unidata_version}")
    code = [
        *sorted(Path(curating.__file__).parent.glob("*.py")),
        *(module.__file__ for module in USED_BY_CURATE),
    ]
    made_by += [sha256_file(Path(str(file))) for file in code]
    promises = [schema.subset(stem).sha256 for stem in schema.stems()]
    return Cache(workspace.cache / "curate", [made_by, promises, workspace.state()])


def load_recipes(workspace: Workspace) -> list[Recipe]:
    """The recipe of every subset; all split pictures alike.

    Raises:
        RecipeError: two recipes would put one picture into different splits.
    """
    for path in sorted(workspace.recipes.glob("*.toml")):
        if path.stem not in schema.stems():
            stems = ", ".join(schema.stems())
            raise RecipeError(f"{path} is the recipe of no subset; the subsets are {stems}")
    recipes = [load(stem, workspace.recipes) for stem in schema.stems()]
    first, *others = recipes
    for other in others:
        if other.splits != first.splits:
            raise RecipeError(
                f"{other.path}: [splits] differs from that of {first.path};"
                " a picture has one split in all subsets, so make them the same"
            )
    return recipes


def check_not_empty(workspace: Workspace, curated: Sequence[Curated]) -> None:
    """Nothing, if a row is left in any subset.

    Raises:
        ReleaseError: no row is; the message says what to run, or what dropped them.
    """
    if not curated:
        first = "pixmo images add images/ first; " if not len(workspace.read("images")) else ""
        raise ReleaseError(f"{workspace.root} has nothing to release yet: {first}{SOURCES}")
    if not any(subset.kept.num_rows for subset in curated):
        drops = [
            f"{subset.recipe.stem} {step.step} {step.gone}"
            for subset in curated
            for step in subset.funnel
            if step.gone
        ]
        raise ReleaseError(
            f"no candidate of {workspace.root} passed its recipe, so there is nothing to release;"
            f" rows gone by step: {', '.join(drops)}"
        )
