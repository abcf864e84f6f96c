"""Annotations fetched from Label Studio: as exports in the workspace's inbox, then taken in.

exports/label-studio/<subset>-<project>/<updated_at of its last task>.json

Tasks are fetched in the order in which they changed, some hundred to a file, and a file's name says
how far it reaches: so a pull that was stopped, or whose server died, goes on where it was. Only
what is new makes a file. A task changes when an annotation of it is deleted, too; that a whole task
is gone shows in the project's count of annotations.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pixmo.errors import LabelError
from pixmo.execution.progress import SILENT, Progress
from pixmo.files import write_text
from pixmo.label.exports import check_task
from pixmo.label.ingest import Ingested, ingest, states
from pixmo.label.push import check_config, known_project
from pixmo.label.studio import Project, Studio
from pixmo.label.values import Json
from pixmo.workspace.workspace import Workspace

TASKS_AT_ONCE = 200  # an export of 5,000 takes the server ten seconds, and some time out
OVERLAP = timedelta(seconds=60)  # a server's change may become visible after a later one's
TIME = "%Y%m%dT%H%M%S.%fZ"


@dataclass(frozen=True)
class Pulled:
    """What a pull brought."""

    tasks: int  # that changed
    added: int  # annotations, or new states of known ones
    deleted: int  # annotations that are gone from the server
    points: int  # rows new in `point_annotations`
    answers: int
    questions: int
    caption_reviews: int
    set_aside: int


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
        folder = workspace.exports / "label-studio" / f"{subset}-{project.id}"
        result = dict.fromkeys((field.name for field in fields(Pulled)), 0)
        waiting = [file for file in folder.glob("*.json") if file not in taken(workspace)]
        if waiting:  # a pull was killed between fetching and taking in
            add(result, ingest(workspace, sorted(waiting)))
        changed = studio.changed_since(project, since(folder))
        with progress.task("Pulling tasks", len(changed), "tasks") as advance:
            for start in range(0, len(changed), TASKS_AT_ONCE):
                some = changed[start : start + TASKS_AT_ONCE]
                tasks = studio.export(project, [number for number, _ in some])
                result["deleted"] += forget(workspace, project, some, tasks)
                if new := unknown(workspace, tasks):
                    name = some[-1][1].astimezone(UTC).strftime(TIME)
                    file = folder / f"{name}.json"
                    write_text(file, json.dumps(new, indent=1, ensure_ascii=False))
                    add(result, ingest(workspace, [file]))
                result["tasks"] += len(some)
                advance(len(some))
        result["deleted"] += forget_tasks(workspace, studio, project)
    return Pulled(**result)


def since(folder: Path) -> datetime | None:
    """The time from which on changes are asked for; None: from the first."""
    names = sorted(file.stem for file in folder.glob("*.json"))
    if not names:
        return None
    return datetime.strptime(names[-1], TIME).replace(tzinfo=UTC) - OVERLAP


def add(result: dict[str, int], ingested: Ingested) -> None:
    """What was taken in is counted."""
    for name in ("added", "points", "answers", "questions", "caption_reviews", "set_aside"):
        result[name] += getattr(ingested, name)


def taken(workspace: Workspace) -> set[Path]:
    """The files of all exports that were taken in."""
    return {workspace.path(path) for path in workspace.read("exports")["path"].to_pylist()}


def unknown(workspace: Workspace, tasks: Sequence[Json]) -> list[Json]:
    """The tasks with an annotation in a state that is not in the tables."""
    known = states(workspace, "annotations")
    return [
        task
        for number, task in enumerate(tasks, 1)
        if any(raw.state_sha256 not in known for raw in check_task(task, f"task {number}"))
    ]


def forget(
    workspace: Workspace,
    project: Project,
    asked: Sequence[tuple[int, datetime]],
    tasks: Sequence[Json],
) -> int:
    """Annotations of the tasks that are no longer there do not count; returns how many."""
    there = {one["unique_id"] for task in tasks for one in task["annotations"]}
    asked_for = {number for number, _ in asked}
    return delete(
        workspace,
        [
            (uid, updated_at)
            for uid, updated_at, task in counting(workspace, project)
            if task in asked_for and uid not in there
        ],
    )


def forget_tasks(workspace: Workspace, studio: Studio, project: Project) -> int:
    """Annotations of tasks that are gone do not count; looked for where the server has fewer."""
    known = counting(workspace, project)
    now = studio.project(project.id)
    if now is None or now.annotations >= len(known):
        return 0
    there = studio.task_ids(project)
    gone = [(uid, updated_at) for uid, updated_at, task in known if task not in there]
    return delete(workspace, gone)


def delete(workspace: Workspace, gone: Sequence[tuple[str, str]]) -> int:
    """The annotations, in the states known until now, are deleted ones."""
    rows = [{"annotation_uid": uid, "updated_at": updated_at} for uid, updated_at in gone]
    workspace.append("deleted_annotations", rows)
    return len(rows)


def counting(workspace: Workspace, project: Project) -> list[tuple[str, str, int]]:
    """Uid, `updated_at` and task of the project's annotations that count now."""
    with workspace.connect() as connection:
        return connection.execute(
            """
            select annotation_uid, updated_at, (annotation_json ->> 'task')::bigint
            from current_annotations
            where (annotation_json ->> 'project')::bigint = ?
            """,
            [project.id],
        ).fetchall()
