"""Tasks sent to Label Studio: whatever is to be asked stands in the project once.

label-studio/
  points.json     the project that this workspace pushes points to; likewise ama.json, cap.json
  images/         the images that the server shows, upright: see `pictures`
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pixmo.errors import LabelError
from pixmo.execution.progress import SILENT, Progress
from pixmo.files import write_json
from pixmo.label.controls import interfaces, read_interface_text
from pixmo.label.gold import mixed, take_in
from pixmo.label.pictures import FOLDER, Picture, local_file_url, pictures, url_of
from pixmo.label.studio import Project, Studio
from pixmo.label.tasks import tasks_for
from pixmo.resources import shared
from pixmo.workspace.workspace import SetAside, Workspace

STAGE = "push"
TASKS_AT_ONCE = 500  # in one request; a kill loses nothing but repeats its request


@dataclass(frozen=True)
class Pushed:
    """What a push did."""

    project: int
    url: str  # where annotators open it
    added: int  # tasks
    gold: int  # of the new ones, those whose answer is known
    there: int  # tasks pushed before and waiting for their annotation
    set_aside: int  # tasks whose image cannot be shown, newly set aside


def push(
    workspace: Workspace,
    studio: Studio,
    subset: str,
    asked: Path | None = None,
    progress: Progress = SILENT,
    gold_share: float | None = None,
) -> Pushed:
    """Every task of the subset that waits for an annotation stands in its project, once.

    The project is created the first time. `asked` as in `tasks_for`. With a `gold_share`, from 0 to
    below 1, the workspace's gold is taken in, and that share of the new tasks is of it, as far as
    it is not there yet.

    Raises:
        LabelError: the server cannot be used, or a line of `asked` is malformed.
        WorkspaceError: another process pushes.
    """
    with workspace.lock("push"):
        tasks = tasks_for(workspace, subset, asked)
        gold = [] if gold_share is None else take_in(workspace, subset)
        project = project_of(workspace, studio, subset)
        there = studio.pixmo_ids(project)
        ordinary = [task for task in tasks if task.data["pixmo_id"] not in there]
        there |= {task.data["pixmo_id"] for task in ordinary}
        gold = [task for task in gold if task.data["pixmo_id"] not in there]
        new = mixed(ordinary, gold, gold_share or 0.0)
        shown = pictures(workspace)
        address = url_maker(workspace, studio, project)
        set_aside = 0
        with progress.task("Pushing tasks", len(new), "tasks") as advance:
            for start in range(0, len(new), TASKS_AT_ONCE):
                some = new[start : start + TASKS_AT_ONCE]
                data, unusable = [], []
                for task in some:
                    try:
                        image = address(shown[task.image_sha256])
                    except LabelError as error:
                        key = task.data["pixmo_id"]
                        path = workspace.relative(shown[task.image_sha256].path)
                        unusable.append(
                            SetAside(STAGE, key, path, "image cannot be shown", str(error))
                        )
                    else:
                        named = {"image": image, "image_sha256": task.image_sha256}
                        data.append(task.data | named)
                set_aside += workspace.set_aside(unusable)
                if data:
                    studio.import_tasks(project, data)
                advance(len(some))
    url = f"{studio.url}/projects/{project.id}/data"
    added = len(new) - set_aside
    return Pushed(
        project.id,
        url,
        added=added,
        gold=len(new) - len(ordinary),
        there=len(tasks) - len(ordinary),
        set_aside=set_aside,
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
    config = shared("annotation_ui", f"{subset}.xml").read_text("utf-8")
    made = studio.create_project(f"{workspace.settings.dataset.title}: {subset}", config)
    write_json(state_file(workspace, subset), {"url": studio.url, "project": made.id})
    return made


def known_project(workspace: Workspace, studio: Studio, subset: str) -> Project | None:
    """The project that was pushed to before; None where there was none.

    Raises:
        LabelError: it is on another server, or gone.
    """
    path = state_file(workspace, subset)
    if not path.exists():
        return None
    try:
        said = json.loads(path.read_text("utf-8"))
        url, number = str(said["url"]), int(said["project"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise LabelError(f"{path} cannot be read: {error}; restore or delete it") from error
    hint = f"put it back, or delete {path} to push to a new project"
    if url != studio.url:
        raise LabelError(f"{subset} was pushed to {url}, not to {studio.url}; {hint}")
    project = studio.project(number)
    if project is None:
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
            f" {', '.join(sorted(changed))}; put annotation_ui/{subset}.xml back, in Settings →"
            " Labeling Interface"
        )


def state_file(workspace: Workspace, subset: str) -> Path:
    """The file that says which project is this workspace's."""
    return workspace.root / FOLDER.parent / f"{subset}.json"


def url_maker(workspace: Workspace, studio: Studio, project: Project) -> Callable[[Picture], str]:
    """Says of a picture where annotators' browsers find it, as [label_studio] images wants."""
    settings = workspace.settings.label_studio
    if settings.images == "url":
        return url_of
    root = Path(settings.document_root or workspace.root)
    folder = workspace.root / FOLDER
    if not folder.is_relative_to(root):
        raise LabelError(
            f"[label_studio] document_root in pixmo.toml is {root}, and {workspace.root} is not in"
            " it; set it to what the server has as LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"
        )
    folder.mkdir(parents=True, exist_ok=True)
    studio.serve_folder(project, str(folder))
    return lambda picture: local_file_url(workspace, picture, root)
