"""What a workspace holds, what waits in its folders, and what to run next."""

from dataclasses import dataclass
from pathlib import Path

from pixmo import schema
from pixmo.dataset.manifest import FILE_NAME
from pixmo.release.versions import complete_releases
from pixmo.workspace.workspace import Workspace

METADATA_NAMES = ("metadata.jsonl", "metadata.csv")
RELEASED_TABLES = ("captions", "point_annotations", "answers", "caption_reviews")
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
    rows: dict[str, int]  # by table
    set_aside: dict[str, int]  # by reason, most frequent first
    releases: list[str]  # complete ones, oldest first
    waiting: list[Waiting]
    hint: str  # what to do where nothing waits


def status(workspace: Workspace) -> Status:
    """The state of `workspace`; nothing is changed."""
    with workspace.connect() as connection:

        def column(sql: str) -> set[str]:
            return {str(row[0]) for row in connection.execute(sql).fetchall()}

        rows = {}
        for name in schema.table_names():
            counted = connection.execute(f"select count(*) from {name}").fetchone()
            rows[name] = int(counted[0]) if counted else 0
        reasons = connection.execute(
            "select stage || ': ' || reason as why, count(*) as n from current_set_aside"
            " group by all order by n desc, why"
        ).fetchall()
        set_aside = column("select path from set_aside")
        images = column("select path from images") | set_aside
        recordings = (
            column("select path from recordings semi join transcripts using (recording_sha256)")
            | set_aside
        )
        exports = column("select path from exports")
        uncaptioned = column(
            "select image_sha256 from transcripts anti join captions using (image_sha256)"
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
            unseen(workspace, workspace.exports, exports),
            "pixmo label ingest exports/",
        ),
        Waiting("images without a caption", len(uncaptioned), "pixmo transcribe audio/"),
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
    return Status(
        str(workspace.root),
        rows,
        {str(reason): int(count) for reason, count in reasons},
        releases,
        [item for item in waiting if item.count],
        "nothing is waiting" if any(rows.values()) else EMPTY_HINT,
    )


def is_stale(workspace: Workspace, version: str) -> bool:
    """Whether rows came in after this release was finished."""
    finished = (workspace.releases / version / FILE_NAME).stat().st_mtime_ns
    parts = (part for name in RELEASED_TABLES for part in workspace.table(name).parts())
    return any(part.stat().st_mtime_ns > finished for part in parts)


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
