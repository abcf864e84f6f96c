"""Lines of JSON by id, in the file as soon as they come: a kill loses nothing that was paid for."""

import threading
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from pixmo.files import append_json, appended_objects

Entry = dict[str, Any]


class Journal:
    """A file of JSON objects that each have an `id`; of any number of threads."""

    def __init__(self, path: Path) -> None:
        """What any run has kept is known; a line that a kill cut short is passed over."""
        self.path = path
        self.lock = threading.Lock()
        self.asking: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        entries = appended_objects(path)
        self.known: dict[str, Entry] = {entry["id"]: entry for entry in entries if "id" in entry}

    def one_at_a_time(self, name: str) -> threading.Lock:
        """The lock to hold while `name` is asked for, so that equal requests pay once."""
        with self.lock:
            return self.asking.setdefault(name, threading.Lock())

    def keep(self, entry: Entry) -> None:
        """`entry` outlives this process, even killed."""
        with self.lock:
            append_json(self.path, entry)
            self.known[entry["id"]] = entry
