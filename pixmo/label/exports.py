"""Label Studio's JSON exports, read and checked as a whole before anything of them is used."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pixmo.errors import LabelError
from pixmo.hashing import sha256_bytes, short_id
from pixmo.label.parse import subset_of
from pixmo.label.values import brief, is_text

EXPORT_AS_JSON = "export the project from Label Studio again, as JSON"


@dataclass(frozen=True)
class Raw:
    """One annotation as an export holds it."""

    annotation_uid: str
    updated_at: str  # UTC, ISO 8601 with microseconds, so that text sorts as time
    state_sha256: str  # of all that is said of it: a corrected task makes it another state
    subset: str
    task_json: str
    annotation_json: str


@dataclass(frozen=True)
class Export:
    """One export file."""

    path: Path
    sha256: str
    annotations: tuple[Raw, ...]
    tasks_without_annotation: int


@dataclass
class Found:
    """What paths name."""

    exports: list[Path] = field(default_factory=list)  # each once
    others: list[Path] = field(default_factory=list)  # files in folders that are no exports
    problems: list[str] = field(default_factory=list)  # paths that name no export, a line each


def find_exports(paths: Iterable[Path]) -> Found:
    """What `paths` name: a file itself, a folder's `.json` files and those of its folders."""
    found = Found()
    for path in paths:
        if path.is_dir():
            known = len(found.exports)
            for file in visible_files(path):
                is_json = file.suffix.lower() == ".json"
                (found.exports if is_json else found.others).append(file)
            if len(found.exports) == known:
                found.problems.append(
                    f"{path} holds no .json file; put Label Studio's exports there"
                )
        elif path.exists():
            found.exports.append(path)
        else:
            found.problems.append(
                f"{path} does not exist; name a Label Studio export or a folder of them"
            )
    found.exports = list(dict.fromkeys(found.exports))
    found.others = list(dict.fromkeys(found.others))
    return found


def visible_files(folder: Path) -> Iterator[Path]:
    """All files under `folder` that are not hidden, nor in a hidden folder, sorted by path."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        # A link to a folder could lead back to where it stands: it counts as a file.
        is_file = not path.is_dir() or path.is_symlink()
        if is_file and not any(part.startswith(".") for part in inside):
            yield path


def read_export(path: Path) -> Export:
    """Everything that an export holds.

    Raises:
        LabelError: the file is not there or is no JSON export; the message names the task.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LabelError(f"{path} cannot be read ({error.strerror}); check its rights") from error
    try:
        tasks = json.loads(data)
        if not isinstance(tasks, list):
            raise LabelError(f"{path} is no list of tasks; {EXPORT_AS_JSON}")
        checked = [check_task(task, f"{path}, task {n}") for n, task in enumerate(tasks, 1)]
    except RecursionError as error:
        raise LabelError(f"{path} is nested too deeply for an export; {EXPORT_AS_JSON}") from error
    except ValueError as error:
        raise LabelError(f"{path} is not JSON ({error}); {EXPORT_AS_JSON}") from error
    annotations = tuple(raw for task in checked for raw in task)
    return Export(path, sha256_bytes(data), annotations, sum(not task for task in checked))


def check_task(task: Any, where: str) -> list[Raw]:
    """A task's annotations, none where it waits for one. Drafts and predictions are left alone.

    Raises:
        LabelError: it is no task of a JSON export.
    """
    if not isinstance(task, dict):
        raise LabelError(f"{where} is no object; {EXPORT_AS_JSON}")
    if not isinstance(task.get("data"), dict):
        raise LabelError(f'{where} has no "data" (JSON_MIN has none); {EXPORT_AS_JSON}')
    annotations = task.get("annotations", [] if "predictions" in task else None)
    if not isinstance(annotations, list):
        raise LabelError(f'{where} has no list of "annotations"; {EXPORT_AS_JSON}')
    return [
        check_annotation(annotation, task, f"{where}, annotation {number}")
        for number, annotation in enumerate(annotations, 1)
    ]


def check_annotation(annotation: Any, task: dict[str, Any], where: str) -> Raw:
    """An annotation with what identifies it.

    Raises:
        LabelError: nothing identifies it.
    """
    if not isinstance(annotation, dict):
        raise LabelError(f"{where} is no object; {EXPORT_AS_JSON}")
    data = task["data"]
    uid = annotation_uid(annotation, task, where)
    updated_at = timestamp(annotation.get("updated_at"), where)
    state = json.dumps([uid, updated_at, data, annotation], sort_keys=True)
    return Raw(
        annotation_uid=uid,
        updated_at=updated_at,
        state_sha256=sha256_bytes(state.encode()),
        subset=subset_of(annotation, data),
        task_json=json.dumps(data),
        annotation_json=json.dumps(annotation),
    )


def annotation_uid(annotation: dict[str, Any], task: dict[str, Any], where: str) -> str:
    """Label Studio's unique_id; from an old server, which has none, a hash of what it does have.

    Raises:
        LabelError: it has neither.
    """
    unique_id = annotation.get("unique_id")
    if unique_id is None:
        ids = (annotation.get("project", task.get("project")), task.get("id"), annotation.get("id"))
        if all(isinstance(part, int) or is_text(part) for part in ids):
            return short_id(*ids)
    elif is_text(unique_id) and unique_id:
        return unique_id
    raise LabelError(f'{where} has no "unique_id", nor project, task and own id; {EXPORT_AS_JSON}')


def timestamp(text: object, where: str) -> str:
    """A time as UTC in ISO 8601 with microseconds: Label Studio writes it in several ways.

    Raises:
        LabelError: `text` is no time.
    """
    try:
        time = datetime.fromisoformat(text if isinstance(text, str) else "")
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise LabelError(
            f'{where}: "updated_at" is {brief(text)}, no time; {EXPORT_AS_JSON}'
        ) from None
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")
