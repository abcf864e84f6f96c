"""The files that rows were made from, as they are now; each is read once."""

import json
from collections.abc import Iterator
from pathlib import Path

from pixmo.errors import LabelError
from pixmo.hashing import sha256_file
from pixmo.label.exports import annotation_uid
from pixmo.release.traced import AS_IT_WAS, CHANGED, GONE, Source
from pixmo.workspace.workspace import Workspace


class Sources:
    """The files of a workspace that its tables name."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._sources: dict[tuple[str, str], Source] = {}
        self._places: dict[str, dict[str, str]] = {}

    def file(self, path: str, sha256: str) -> Source:
        """A file as it is now; its bytes are read once."""
        if (path, sha256) not in self._sources:
            try:
                same = sha256_file(self.workspace.path(path)) == sha256
                state = AS_IT_WAS if same else CHANGED
            except OSError:
                state = GONE
            self._sources[path, sha256] = Source(path, sha256, state)
        return self._sources[path, sha256]

    def places(self, path: str) -> dict[str, str]:
        """Where each annotation stands in an export, as a JSON pointer."""
        if path not in self._places:
            self._places[path] = dict(places_in(self.workspace.path(path)))
        return self._places[path]


def places_in(export: Path) -> Iterator[tuple[str, str]]:
    """Yield the unique_id of every annotation in an export, and its JSON pointer there."""
    try:
        tasks = json.loads(export.read_bytes())
    except (OSError, ValueError, RecursionError):
        return
    for number, task in enumerate(tasks if isinstance(tasks, list) else ()):
        given = task.get("annotations") if isinstance(task, dict) else None
        for place, annotation in enumerate(given if isinstance(given, list) else ()):
            try:
                yield annotation_uid(annotation, task, ""), f"/{number}/annotations/{place}"
            except (LabelError, AttributeError):
                continue
