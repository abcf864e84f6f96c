"""The answers of a language-model writer, kept so that nothing is paid for twice.

An answer is a line of the journal as soon as it arrives, and a row of `writer_responses` with the
next part. A process that is killed loses only what was on its way: the next one reads the journal.
The journal is not forced to the disk: a power cut may lose the last answers, and one that was on
its way when a run ended is paid for again.
"""

import dataclasses
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from pixmo.files import append_json, appended_objects
from pixmo.workspace.tables import refusals
from pixmo.workspace.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

TABLE = "writer_responses"
JOURNAL = "journal.jsonl"
PART_RESPONSES = 1000
PARTS_IN_MEMORY = 4  # answers are asked for about in the order in which they came


@dataclass(frozen=True)
class Response:
    """What a model answered to one request."""

    request_sha256: str
    model: str
    served_model: str
    prompt_sha256: str
    response: str
    finish_reason: str
    input_tokens: int | None
    output_tokens: int | None
    cost: float | None


class Responses:
    """The answers of a workspace; of one process at a time, of any number of threads.

    Only where they stand is held in memory, not the answers.
    """

    def __init__(self, workspace: Workspace) -> None:
        """Every answer that any run received can be found; nothing is written."""
        self.workspace = workspace
        self.table = workspace.table(TABLE)
        self.lock = threading.Lock()
        self.asking: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self.unsaved: dict[str, Response] = {}
        self.places: dict[bytes, tuple[Path, int]] = {}
        for part in self.table.parts():
            self.remember(part)
        self.read_part = lru_cache(PARTS_IN_MEMORY)(self.table.read_part)
        self.recover()

    @property
    def journal(self) -> Path:
        """The file of answers that are in no part yet."""
        return self.table.folder / JOURNAL

    def one_at_a_time(self, request_sha256: str) -> threading.Lock:
        """The lock to hold while asking, so that two images with the same words pay once."""
        with self.lock:
            return self.asking.setdefault(request_sha256, threading.Lock())

    def find(self, request_sha256: str) -> Response | None:
        """The answer to a request, if there ever was one."""
        with self.lock:
            if unsaved := self.unsaved.get(request_sha256):
                return unsaved
            place = self.places.get(bytes.fromhex(request_sha256))
            if place is None:
                return None
            part, number = place
            table: pa.Table = self.read_part(part)
            return Response(**table.slice(number, 1).to_pylist()[0])

    def keep(self, response: Response) -> None:
        """`response` outlives this process, even killed; of a power cut nothing is promised."""
        with self.lock:
            self.journal.parent.mkdir(parents=True, exist_ok=True)
            append_json(self.journal, dataclasses.asdict(response))
            self.unsaved[response.request_sha256] = response
            if len(self.unsaved) >= PART_RESPONSES:
                self.save_unsaved()

    def save(self) -> None:
        """Every answer that came up to now is in the table."""
        with self.lock:
            self.save_unsaved()

    def save_unsaved(self) -> None:
        """As `save`, for who holds the lock."""
        part = self.table.append([dataclasses.asdict(each) for each in self.unsaved.values()])
        if part is not None:
            self.remember(part)
        self.unsaved = {}
        # Last: killed before this line, the next run finds the journal's answers in the part.
        self.journal.unlink(missing_ok=True)

    def remember(self, part: Path) -> None:
        """It is known which answers stand in `part`."""
        import pyarrow.parquet as pq

        with refusals(part):
            column = pq.read_table(part, columns=["request_sha256"], partitioning=None).column(0)
        for number, request_sha256 in enumerate(column.to_pylist()):
            self.places[bytes.fromhex(request_sha256)] = (part, number)

    def recover(self) -> None:
        """What a killed run left in its journal is known."""
        for values in appended_objects(self.journal):
            response = read(values)
            if response and bytes.fromhex(response.request_sha256) not in self.places:
                self.unsaved[response.request_sha256] = response


def read(values: Mapping[str, Any]) -> Response | None:
    """The answer in a line of the journal; None for one of another version of pixmo."""
    try:
        return Response(**values)
    except TypeError:
        return None
