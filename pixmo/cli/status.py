"""What a workspace holds, what waits in its folders, and what to run next."""

from dataclasses import dataclass
from pathlib import Path

from pixmo import schema
from pixmo.curate.recipe import load
from pixmo.curate.step_kinds import NearEmbeddingsStep, SqlStep
from pixmo.dataset.manifest import FILE_NAME
from pixmo.errors import RecipeError, SpeechError
from pixmo.label.ingest import waiting_exports
from pixmo.release.versions import complete_releases
from pixmo.speech.captioning.captions import captions_to_write
from pixmo.speech.recordings import METADATA_NAMES, linked_since
from pixmo.workspace.workspace import Workspace

RELEASED_TABLES = (
    *("annotations", "captions", "point_annotations", "answers", "caption_reviews"),
    *("held_out_images", "held_out_questions", "withdrawals"),
)
# Of a table whose rows are corrected by newer ones: what a release repeats of it.
CORRECTED = {
    "images": ("image_sha256", "{0}.image_url"),
    "recordings": ("recording_sha256", "{0}.image_sha256, {0}.annotator"),
}
EMPTY_HINT = (
    "nothing here yet: put images in images/ and recordings in audio/,"
    " or make a workspace elsewhere with pixmo init"
)


@dataclass(frozen=True)
class Waiting:
    """Something that has not been done yet, and the command that does it."""

    what: str
    count: int
    command: str


@dataclass(frozen=True)
class Status:
    """A workspace at a glance."""

    root: str
    rows: dict[str, int]  # by table; what counts now, where newer rows replace older ones
    set_aside: dict[str, int]  # by reason, most frequent first
    releases: list[str]  # complete ones, oldest first
    waiting: list[Waiting]
    hint: str  # what to do where nothing waits; empty where something does


def status(workspace: Workspace) -> Status:
    """The state of `workspace`; nothing is changed."""
    try:
        linked = {recording.path for recording in linked_since(workspace)}
    except SpeechError:  # pixmo transcribe says what is malformed
        linked = set()
    with workspace.connect() as connection:

        def column(sql: str) -> set[str]:
            return {str(row[0]) for row in connection.execute(sql).fetchall()}

        views = column("select view_name from duckdb_views()")
        rows = {}
        for name in schema.table_names():
            current = f"current_{name}" if f"current_{name}" in views else name
            counted = connection.execute(f"select count(*) from {current}").fetchone()
            rows[name] = int(counted[0]) if counted else 0
        reasons = connection.execute(
            "select stage || ': ' || reason as why, count(*) as n from current_set_aside"
            " group by all order by n desc, why"
        ).fetchall()
        set_aside = column("select path from current_set_aside") - linked
        images = column("select path from images") | set_aside
        recordings = (
            column("select path from recordings semi join transcripts using (recording_sha256)")
            | column(
                "select path from recordings where image_sha256 in (from withdrawn_images)"
                " or recording_sha256 in (from withdrawn_recordings)"
            )
            | set_aside
        )
    waiting = [
        Waiting("images", unseen(workspace, workspace.images, images), "pixmo images add images/"),
        Waiting(
            "recordings",
            unseen(workspace, workspace.audio, recordings),
            "pixmo transcribe audio/",
        ),
        Waiting(
            "Label Studio exports",
            len(waiting_exports(workspace)),
            "pixmo label ingest exports/",
        ),
        Waiting("captions to write", captions_to_write(workspace), "pixmo caption"),
    ]
    releases = complete_releases(workspace)
    has_rows = rows["captions"] or rows["answers"] or rows["point_annotations"]
    if has_rows and not releases:
        waiting.append(Waiting("first release", 1, "pixmo build-release v1"))
    if releases and is_stale(workspace, releases[-1]):
        what = f"release of what came after {releases[-1]}"
        number = len(releases) + 1
        while (workspace.releases / f"v{number}").exists():
            number += 1
        waiting.append(Waiting(what, 1, f"pixmo build-release v{number}"))
    if releases and not (workspace.runs / f"probe-{releases[-1]}" / "verdict.json").exists():
        waiting.append(Waiting("release to validate", 1, "pixmo validate --train-probe"))
    nothing = "nothing is waiting" if any(rows.values()) else EMPTY_HINT
    waiting = [item for item in waiting if item.count]
    return Status(
        str(workspace.root),
        rows,
        {str(reason): int(count) for reason, count in reasons},
        releases,
        waiting,
        "" if waiting else nothing,
    )


def is_stale(workspace: Workspace, version: str) -> bool:
    """Whether rows came in after this release was finished."""
    finished = (workspace.releases / version / FILE_NAME).stat().st_mtime_ns

    def newer(name: str) -> list[str]:
        parts = workspace.table(name).parts()
        return [str(part) for part in parts if part.stat().st_mtime_ns > finished]

    if any(newer(name) for name in (*RELEASED_TABLES, *measures_used(workspace))):
        return True
    with workspace.connect() as connection:
        for name, (key, said) in CORRECTED.items():
            late, early = (said.format(age) for age in ("late", "early"))
            query = (
                f"select 1 from parts.{name} as late join parts.{name} as early using ({key})"
                " where list_contains($newer, late.filename)"
                " and not list_contains($newer, early.filename)"
                f" and row({late}) is distinct from row({early}) limit 1"
            )
            if connection.execute(query, {"newer": newer(name)}).fetchone():
                return True
    return False


def measures_used(workspace: Workspace) -> list[str]:
    """The tables of what a user's model says of images, as far as a recipe asks them."""
    try:
        recipes = [load(stem, workspace.recipes) for stem in schema.stems()]
    except RecipeError:  # pixmo recipe check says what is wrong
        return []
    steps = [step for recipe in recipes for step in recipe.steps]
    used = {
        "image_scores": any(
            isinstance(step, SqlStep) and "image_scores" in step.query.sql for step in steps
        ),
        "image_embeddings": any(isinstance(step, NearEmbeddingsStep) for step in steps),
    }
    return [name for name, is_used in used.items() if is_used]


def unseen(workspace: Workspace, folder: Path, known: set[str]) -> int:
    """How many files in `folder` no table names yet."""
    if not folder.is_dir():
        return 0
    files = (
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".") and path.name not in METADATA_NAMES
    )
    return sum(workspace.relative(path) not in known for path in files)
