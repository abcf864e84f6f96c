"""Annotations fetched from Label Studio: as exports in the workspace's inbox, then taken in.

exports/label-studio/<subset>-<project>-<its creation>/<updated_at of its last task>-<number>.json

Tasks are fetched in the order in which they changed, some hundred to a file, and a file's name says
how far it reaches: so a pull that was stopped, or whose server died, goes on where it was. Only
what is new makes a file. A task changes when an annotation of it is deleted, too. What that does
not show (a whole task is gone, or the server's clock was set back) shows in the project's count of
annotations.

A change may become visible after a later one: so what changed last is listed together with what
changed in the minute before it, and once more when that minute is over. In between and afterwards
one request tells that nothing is new.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from pixmo.errors import LabelError
from pixmo.execution.progress import SILENT, Progress
from pixmo.files import write_json, write_text
from pixmo.label.ingest import Ingested, ingest
from pixmo.label.pictures import FOLDER
from pixmo.label.push import check_config, known_project
from pixmo.label.studio import Listed, Project, Studio
from pixmo.label.values import Json
from pixmo.workspace.workspace import Workspace

TASKS_AT_ONCE = 200  # an export of 5,000 takes the server ten seconds, and some time out
OVERLAP = timedelta(seconds=60)  # a server's change may become visible after a later one's
TIME = "%Y%m%dT%H%M%S.%fZ"
BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Pulled:
    """What a pull brought."""

    tasks: int  # that changed
    added: int  # annotations, or new states of known ones
    deleted: int  # annotations that are gone from the server
    back: int  # annotations that were gone from it and are there again
    points: int  # rows new in `point_annotations`
    answers: int
    questions: int
    caption_reviews: int
    set_aside: int


@dataclass(frozen=True)
class Known:
    """An annotation of the project that counts now."""

    uid: str
    updated_at: str
    task: int


def pull(workspace: Workspace, studio: Studio, subset: str, progress: Progress = SILENT) -> Pulled:
    """What changed in the subset's project since the last pull stands in the tables.

    Raises:
        LabelError: nothing was pushed yet, or the server cannot be used; what came until then is
            kept, and the next pull goes on from there.
        WorkspaceError: another process pulls.
    """
    with workspace.lock("pull"):
        project = known_project(workspace, studio, subset)
        if project is None:
            raise LabelError(
                f"no project of {subset} was pushed from here; first: pixmo label push {subset}"
            )
        check_config(project, subset)
        work = Pull(workspace, studio, project, subset)
        work.take_in_what_waits()
        work.fetch_changed(progress)
        work.check_whole()
    return Pulled(**work.result)


class Pull:
    """A pull from one project, under way."""

    def __init__(self, workspace: Workspace, studio: Studio, project: Project, subset: str) -> None:
        self.workspace, self.studio, self.project = workspace, studio, project
        # A server made anew counts its projects from 1 again, and another may have the same ids.
        name = f"{subset}-{project.id}-{project.created_at.strftime(TIME)}"
        self.folder = workspace.exports / "label-studio" / name
        self.result = dict.fromkeys((field.name for field in fields(Pulled)), 0)
        self.known_now: list[Known] | None = None  # None: to be looked up

    def take_in_what_waits(self) -> None:
        """What a pull that was killed had fetched is taken in."""
        rows = self.workspace.read("exports")["path"].to_pylist()
        taken = {self.workspace.path(path) for path in rows}
        waiting = [file for file in sorted(self.folder.glob("*.json")) if file not in taken]
        if waiting:
            self.add(ingest(self.workspace, waiting))

    def fetch_changed(self, progress: Progress) -> None:
        """What changed since the newest file is taken in."""
        fetched = files(self.folder)
        reached = fetched[-1][0] if fetched else None
        if self.is_quiet():
            return
        since = reached - OVERLAP if reached is not None else None
        begun = datetime.now(UTC)
        listed = self.studio.changed_since(self.project, since)
        seen: dict[int, Json] = {}  # of the overlap, most was fetched before and is as it was
        for time, file in fetched:
            if since is not None and time >= since:
                seen |= {task["id"]: task for task in read_tasks(file)}
        known = self.known()
        with_annotations = {one.task for one in known}
        changed = [
            task
            for task in listed
            if (task.annotations or task.id in with_annotations)
            and not is_as_seen(task, seen.get(task.id))
        ]
        self.result["tasks"] += len(changed)
        with progress.task("Pulling tasks", len(changed), "tasks") as advance:
            for some in in_chunks(changed):
                tasks = self.export(some, known)
                # A server's counts lag behind, and then what was listed as changed is not.
                self.keep([task for task in tasks if task != seen.get(task["id"])], some)
                advance(len(some))
        if listed:
            self.note_listed(begun, listed[-1].updated_at)

    def is_quiet(self) -> bool:
        """Whether nothing changed after what was listed last."""
        listed = self.listed()
        if listed.get("file") != self.newest_file():
            return False
        is_due = not listed["is_settled"] and has_passed(listed["seen_at"], datetime.now(UTC))
        latest = datetime.fromisoformat(listed["latest"])
        return not is_due and not self.studio.has_changed_after(self.project, latest)

    def note_listed(self, begun: datetime, latest: datetime) -> None:
        """All changes up to `latest` were listed; for good, if none could come late any more."""
        before = self.listed()
        now = {"file": self.newest_file(), "latest": latest.isoformat()}
        is_same = before.items() >= now.items()
        seen_at = before["seen_at"] if is_same else datetime.now(UTC).isoformat()
        is_settled = is_same and has_passed(seen_at, begun)
        write_json(self.listed_file, now | {"seen_at": seen_at, "is_settled": is_settled})

    def newest_file(self) -> str:
        """The name of the file that reaches farthest; empty before there is one."""
        fetched = files(self.folder)
        return fetched[-1][1].name if fetched else ""

    @property
    def listed_file(self) -> Path:
        """Up to which change all were listed, and when, by this machine's clock, that was seen."""
        return self.workspace.root / FOLDER / f"{self.folder.name}.listed.json"

    def listed(self) -> Json:
        """What stands in `listed_file`; nothing where it is not there or damaged."""
        with contextlib.suppress(OSError, ValueError):
            row = json.loads(self.listed_file.read_text("utf-8"))
            if isinstance(row, dict):
                return row
        return {}

    def check_whole(self) -> None:
        """Where the project's count is not ours, every task's is compared, and mended."""
        known = self.known()
        now = self.studio.project(self.project.id)
        if now is None or now.annotations == len(known):
            return
        listed = self.studio.changed_since(self.project, None)
        there = {task.id for task in listed}
        self.forget([one for one in known if one.task not in there])
        fetched = files(self.folder)
        reached = fetched[-1][0] if fetched else BEGINNING
        ours, uids = Counter(one.task for one in known), {one.uid for one in known}
        # What changed later is for the next pull: a file of it now would hide other changes.
        others = [task for task in listed if task.annotations != ours[task.id]]
        missed = [task for task in others if task.updated_at <= reached]
        if len(missed) < len(others):
            self.listed_file.unlink(missing_ok=True)  # or they would count as looked through
        self.result["tasks"] += len(missed)
        for some in in_chunks(missed):
            tasks = self.export(some, known)
            new = [task for task in tasks if not uids.issuperset(uids_of(task))]
            self.keep(new, some)

    def export(self, some: Sequence[Listed], known: Sequence[Known]) -> list[Json]:
        """The tasks as they are; known annotations of them that are gone no longer count."""
        numbers = {task.id for task in some}
        tasks = self.studio.export(self.project, sorted(numbers))
        there = {uid for task in tasks for uid in uids_of(task)}
        self.forget([one for one in known if one.task in numbers and one.uid not in there])
        self.welcome_back(there)
        return [task for task in tasks if task["annotations"]]

    def keep(self, tasks: Sequence[Json], some: Sequence[Listed]) -> None:
        """The tasks are in a file of their own, which reaches to the last of `some`."""
        if not tasks:
            return
        time = some[-1].updated_at.strftime(TIME)  # many tasks changed at once have the same
        names = (self.folder / f"{time}-{number:03}.json" for number in count(1))
        file = next(name for name in names if not name.exists())
        write_text(file, json.dumps(tasks, indent=1))
        self.add(ingest(self.workspace, [file]))

    def add(self, ingested: Ingested) -> None:
        """What was taken in is counted."""
        self.known_now = None
        for name in ("added", "points", "answers", "questions", "caption_reviews", "set_aside"):
            self.result[name] += getattr(ingested, name)

    def welcome_back(self, there: Collection[str]) -> None:
        """What was found deleted and is there again, as after a restored backup, counts again."""
        if not self.workspace.table("deleted_annotations").parts():
            return
        with self.workspace.connect() as connection:
            gone = connection.execute("from gone_annotations").fetchall()
        rows = [
            {"annotation_uid": uid, "updated_at": updated_at, "is_back": True}
            for uid, updated_at in gone
            if uid in there
        ]
        self.workspace.append("deleted_annotations", rows)
        if rows:
            self.known_now = None
        self.result["back"] += len(rows)

    def forget(self, gone: Sequence[Known]) -> None:
        """The annotations, in the states known until now, are deleted ones."""
        rows = [
            {"annotation_uid": one.uid, "updated_at": one.updated_at, "is_back": False}
            for one in gone
        ]
        self.workspace.append("deleted_annotations", rows)
        if rows:
            self.known_now = None
        self.result["deleted"] += len(rows)

    def known(self) -> list[Known]:
        """The project's annotations that count now."""
        if self.known_now is None:
            self.known_now = self.look_up()
        return self.known_now

    def look_up(self) -> list[Known]:
        """The project's annotations that count in the tables.

        Those that came in by hand and name a project of this id are it only if it was pulled, too:
        another server has projects of the same ids.
        """
        with self.workspace.connect() as connection:
            rows = connection.execute(
                """
                select
                    annotation_uid,
                    updated_at,
                    try_cast(annotation_json ->> 'task' as bigint),
                    starts_with(export_path, $folder)
                from current_annotations
                where starts_with(export_path, $folder)
                    or try_cast(annotation_json ->> 'project' as bigint) = $project
                """,
                {
                    "folder": f"{self.workspace.relative(self.folder)}/",
                    "project": self.project.id,
                },
            ).fetchall()
        pulled: set[str] = set()
        if not all(was_pulled for *_, was_pulled in rows):
            for _, file in files(self.folder):
                pulled.update(uid for task in read_tasks(file) for uid in uids_of(task))
        return [Known(*one) for *one, was_pulled in rows if was_pulled or one[0] in pulled]


def has_passed(seen_at: str, now: datetime) -> bool:
    """Whether what was visible at a time is so old now that nothing before it comes late."""
    return now - datetime.fromisoformat(seen_at) >= OVERLAP


def files(folder: Path) -> list[tuple[datetime, Path]]:
    """The files that pulls made, and how far each reaches, the earliest first."""
    found = []
    for file in sorted(folder.glob("*.json")):
        with contextlib.suppress(ValueError):  # one that somebody else put there
            time = datetime.strptime(file.stem.partition("-")[0], TIME)
            found.append((time.replace(tzinfo=UTC), file))
    return found


def read_tasks(file: Path) -> list[Json]:
    """What a file of a pull holds; nothing where it is damaged."""
    with contextlib.suppress(ValueError):
        tasks: list[Json] = json.loads(file.read_text("utf-8"))
        return tasks
    return []


def is_as_seen(task: Listed, seen: Json | None) -> bool:
    """Whether a task was fetched as it is listed now."""
    if seen is None or len(seen["annotations"]) != task.annotations:
        return False
    return datetime.fromisoformat(seen["updated_at"]) == task.updated_at


def uids_of(task: Json) -> list[str]:
    """The unique ids of a task's annotations."""
    return [annotation["unique_id"] for annotation in task["annotations"]]


def in_chunks(tasks: Sequence[Listed]) -> Iterator[Sequence[Listed]]:
    """Yield the tasks, so many at once as an export may hold."""
    for start in range(0, len(tasks), TASKS_AT_ONCE):
        yield tasks[start : start + TASKS_AT_ONCE]
