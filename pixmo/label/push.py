"""Tasks sent to Label Studio: whatever is to be asked stands in the project once.

label-studio/
  points.json     the project that this workspace pushes points to; likewise ama.json, cap.json
  images/ audio/  what the server shows: see `pictures`
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pixmo.errors import LabelError
from pixmo.execution.progress import SILENT, Progress
from pixmo.files import write_json
from pixmo.label.controls import config, interfaces, read_interface_text
from pixmo.label.gold import mixed, take_in
from pixmo.label.pictures import (
    FOLDER,
    LOCAL_FILES,
    Picture,
    ServedBucket,
    ServedFiles,
    StorageError,
    pictures,
    url_of,
)
from pixmo.label.studio import Project, Studio
from pixmo.label.tasks import Task, tasks_for
from pixmo.label.values import Json
from pixmo.workspace.workspace import SetAside, Workspace

STAGE = "push"
DEFAULT_REGION = "us-east-1"  # as S3 has it
TASKS_AT_ONCE = 500  # in one request; a kill loses nothing but repeats its request


@dataclass(frozen=True)
class Pushed:
    """What a push did."""

    project: int
    url: str  # where annotators open it
    added: int  # tasks
    gold: int  # of the new ones, those whose answer is known
    waiting: int  # pushed before, without an annotation so far
    set_aside: int  # tasks whose image cannot be shown, newly set aside


def push(
    workspace: Workspace,
    studio: Studio,
    subset: str,
    asked: Path | None = None,
    per_image: int = 1,
    progress: Progress = SILENT,
    gold_share: float | None = None,
    annotators: int | None = None,
) -> Pushed:
    """Every task of the subset that waits for an annotation stands in its project, once.

    The project is created the first time. `asked` and `per_image` as in `tasks_for`. With a
    `gold_share`, from 0 to below 1, the workspace's gold is taken in, and that share of the new
    tasks is of it, as far as it is not there yet. `annotators`: how many people are to do each task
    of the project, if that is to change; one, to begin with.

    Raises:
        LabelError: the server cannot be used, or a line of `asked` is malformed.
        WorkspaceError: another process pushes.
    """
    if gold_share is not None and asked is None:
        raise LabelError(
            "--gold mixes tasks with known answers among those of --ask; among others they could be"
            " told apart"
        )
    with workspace.lock("push"):
        tasks = tasks_for(workspace, subset, asked, per_image)
        gold = [] if gold_share is None else take_in(workspace, subset)
        project = project_of(workspace, studio, subset)
        if annotators is not None and annotators != project.annotators:
            studio.ask_annotators(project, annotators)
        before = studio.task_data(project)
        there = set(before)
        ordinary = [task for task in tasks if task.data["pixmo_id"] not in there]
        there |= {task.data["pixmo_id"] for task in ordinary}
        gold = [task for task in gold if task.data["pixmo_id"] not in there]
        new = mixed(ordinary, gold, gold_share or 0.0)
        shown = pictures(workspace)
        served = served_files(workspace, studio, project)
        check_shown(studio, next((data for data in before.values() if is_kept(data, served)), {}))
        added = set_aside = 0
        last: Json = {}  # data of the newest task
        with progress.task("Pushing tasks", len(new), "tasks") as advance:
            for start in range(0, len(new), TASKS_AT_ONCE):
                some = new[start : start + TASKS_AT_ONCE]
                requests, unusable = [], []
                for task in some:
                    key = task.data["pixmo_id"]
                    picture = shown.get(task.image_sha256)
                    if picture is None:
                        reason = "image was not taken in"
                        unusable.append(SetAside(STAGE, key, task.image_sha256, reason))
                        continue
                    try:
                        requests.append(request_for(task, picture, served))
                    except StorageError:
                        raise  # of the bucket, not of this image
                    except LabelError as error:
                        path = workspace.relative(picture.path)
                        reason = "image cannot be shown"
                        unusable.append(SetAside(STAGE, key, path, reason, str(error)))
                set_aside += workspace.set_aside(unusable)
                if requests:
                    studio.import_tasks(project, requests)
                added += len(requests)
                last = requests[-1]["data"] if requests else last
                advance(len(some))
        check_shown(studio, last)
    url = f"{studio.url}/projects/{project.id}/data"
    return Pushed(
        project.id,
        url,
        added=added,
        gold=len(new) - len(ordinary),
        waiting=len(tasks) - len(ordinary),
        set_aside=set_aside,
    )


def is_kept(data: Json, served: ServedFiles | None) -> bool:
    """Whether the image of a task is to be shown still, and was not erased."""
    return served is None or served.has(str(data.get("image_sha256")))


def check_shown(studio: Studio, data: Json) -> None:
    """Nothing, if the server shows the image of a task with this data, or it is another's to show.

    Raises:
        LabelError: it does not.
    """
    path = str(data.get("image", ""))
    if path.startswith(LOCAL_FILES) and not studio.shows(path):
        raise LabelError(
            f"Label Studio at {studio.url} does not show {path}, the image of a task that is there:"
            " start it with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and with the"
            " LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT under which tasks were pushed"
        )


def project_of(workspace: Workspace, studio: Studio, subset: str) -> Project:
    """The project that this workspace pushes a subset to.

    Raises:
        LabelError: it is gone, or its labelling config asks something else by now.
    """
    known = known_project(workspace, studio, subset)
    if known is not None:
        check_config(known, subset)
        return known
    made = studio.create_project(
        f"{subset}: {workspace.settings.dataset.title}", config(subset).read_text("utf-8")
    )
    state = {"url": studio.url, "project": made.id, "created_at": made.created_at.isoformat()}
    write_json(state_file(workspace, subset), state)
    return made


def known_project(workspace: Workspace, studio: Studio, subset: str) -> Project | None:
    """The project that was pushed to before; None where there was none.

    Raises:
        LabelError: it is on another server, gone, or another one of that id.
    """
    path = state_file(workspace, subset)
    if not path.exists():
        return None
    try:
        said = json.loads(path.read_text("utf-8"))
        url, number = str(said["url"]), int(said["project"])
        created_at = datetime.fromisoformat(said["created_at"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise LabelError(f"{path} cannot be read: {error}; restore or delete it") from error
    hint = f"put it back, or delete {path} to push to a new project"
    if url != studio.url:
        raise LabelError(f"{subset} was pushed to {url}, not to {studio.url}; {hint}")
    project = studio.project(number)
    if project is None or project.created_at != created_at:  # a new server counts from 1 again
        raise LabelError(f"project {number}, of {subset}, is gone from {url}; {hint}")
    return project


def check_config(project: Project, subset: str) -> None:
    """Nothing, if the project's annotations can be read as those of the subset.

    Words shown may be changed on the server; controls, their types and aliases may not.

    Raises:
        LabelError: some were.
    """
    ours = interfaces()[subset]
    theirs = read_interface_text(project.label_config, subset, f"project {project.id}")
    if set(theirs.controls) != set(ours.controls):
        changed = {one.name for one in set(theirs.controls) ^ set(ours.controls)}
        raise LabelError(
            f"the labelling config of project {project.id} was changed on the server:"
            f" {', '.join(sorted(changed))}; put {config(subset)} back, in Settings →"
            " Labeling Interface"
        )


def state_file(workspace: Workspace, subset: str) -> Path:
    """The file that says which project is this workspace's."""
    return workspace.root / FOLDER / f"{subset}.json"


def served_files(workspace: Workspace, studio: Studio, project: Project) -> ServedFiles | None:
    """The files that the server shows; None where [label_studio] images says: by URL.

    Raises:
        LabelError: the server could not reach them.
    """
    settings = workspace.settings.label_studio
    if settings.images == "url":
        return None
    if settings.images == "s3":
        return served_bucket(workspace, studio, project)
    served = ServedFiles(workspace, Path(settings.document_root or workspace.root / FOLDER))
    if not served.folder.is_relative_to(served.document_root):
        raise LabelError(
            f"[label_studio] document_root in pixmo.toml is {served.document_root}, and"
            f" {workspace.root} is not in it; set it to what the server has as"
            " LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"
        )
    for folder in served.folders:  # never the root itself: the server takes only what is below
        folder.mkdir(parents=True, exist_ok=True)
        studio.serve_folder(project, str(folder))
    return served


def served_bucket(workspace: Workspace, studio: Studio, project: Project) -> ServedBucket:
    """The bucket that the server shows; it is given the keys that this process has.

    Raises:
        LabelError: there is no bucket, or there are no keys to it.
    """
    import boto3

    settings = workspace.settings.label_studio
    bucket, _, prefix = settings.bucket.removeprefix("s3://").partition("/")
    session = boto3.Session()
    keys = session.get_credentials()
    if not bucket or keys is None:
        what = (
            "has no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" if bucket else "is empty"
        )
        raise LabelError(f"[label_studio] bucket in pixmo.toml {what}")
    prefix = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
    client = session.client("s3", endpoint_url=settings.s3_endpoint or None)
    served = ServedBucket(workspace, workspace.root, client, bucket, prefix)
    served.prepare()
    region = session.region_name or DEFAULT_REGION
    frozen = keys.get_frozen_credentials()
    studio.serve_bucket(project, bucket, prefix, settings.s3_endpoint, region, frozen)
    return served


def request_for(task: Task, picture: Picture, served: ServedFiles | None) -> Json:
    """What the server is sent of a task.

    Raises:
        LabelError: its image or a recording cannot be shown.
    """
    image = served.picture(picture) if served else url_of(picture)
    data = task.data | {"image": image, "image_sha256": task.image_sha256}
    if "caption" in data:
        data["recordings"] = [
            {"audio": served.recording(sha256, path)}
            for sha256, path in task.recordings
            if served is not None
        ]
    return {"data": data, "predictions": task.predictions}
