"""Lines of JSON by id, in the file as soon as they come: a kill loses nothing that was paid for."""

import json
import threading
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from pixmo.language_models.chat_completions import storable

Entry = dict[str, Any]


class Journal:
    """A file of JSON objects that each have an `id`; of any number of threads.

    It is not forced to the disk: a power cut may lose the last lines.
    """

    def __init__(self, path: Path) -> None:
        """What any run has kept is known; a line that a kill cut short is passed over."""
        self.path = path
        self.lock = threading.Lock()
        self.asking: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        lines = path.read_bytes().splitlines() if path.exists() else []
        entries = [entry for line in lines if (entry := parsed(line)) is not None]
        self.known: dict[str, Entry] = {entry["id"]: entry for entry in entries}

    def one_at_a_time(self, name: str) -> threading.Lock:
        """The lock to hold while `name` is asked for, so that equal requests pay once."""
        with self.lock:
            return self.asking.setdefault(name, threading.Lock())

    def keep(self, entry: Entry) -> None:
        """`entry` outlives this process, even killed."""
        # The line break comes first: a line that a kill cut short does not run into the next.
        line = f"\n{as_line(entry)}".encode()
        with self.lock:
            # In one piece: other processes may append to the same file.
            with self.path.open("ab", buffering=0) as file:
                file.write(line)
            self.known[entry["id"]] = entry


def as_line(entry: Entry) -> str:
    """An entry as a line of JSON that UTF-8 can hold."""
    return storable(json.dumps(entry, ensure_ascii=False))


def parsed(line: bytes) -> Entry | None:
    """The entry in a line; None for one that was cut short."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "id" in entry else None
