"""Who answers tasks: a file, a model behind a server, a trained checkpoint."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pixmo.evaluate.answers import Task, read_answers
from pixmo.hashing import sha256_value

AWAY = "an image is not here"
UNREADABLE = "an image cannot be read"
SEVERAL = "it is on several images"


@dataclass(frozen=True)
class Answer:
    """What was answered to a task."""

    id: str
    answer: str
    refused: str = ""  # why it was not answered, and never will be
    not_put: str = ""  # why it was not asked; the next run sees again
    finish_reason: str = ""  # why the answer ends, as a server says: stop, length


Keep = Callable[[Answer], None]


class Answerer(Protocol):
    """Answers tasks."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def source(self) -> str:
        """Where it is; the same answerer may be elsewhere tomorrow."""
        ...

    @property
    def options(self) -> Mapping[str, object]:
        """Everything that decides an answer beside the task, as JSON knows it."""
        ...

    def answer(self, tasks: Sequence[Task], keep: Keep) -> None:
        """`keep` was called with an answer at once when it was there, from any thread.

        For a task that could not be put, such as one whose image cannot be read, it was called with
        the reason. A task that was put, got no answer, and may get one another day, is passed over.
        """
        ...


class GivenAnswers:
    """The answers in a JSONL file, whoever gave them."""

    def __init__(self, path: Path) -> None:
        """The file is read.

        Raises:
            EvaluationError: it cannot be read, or a line is no answer, or repeats another's id.
        """
        self.path = path
        self.given = read_answers(path)

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.stem

    @property
    def source(self) -> str:
        """The file."""
        return str(self.path)

    @property
    def options(self) -> Mapping[str, object]:
        """What it says."""
        return {"answers_sha256": sha256_value(self.given)}

    def answer(self, tasks: Sequence[Task], keep: Keep) -> None:  # noqa: ARG002
        """Every answer of the file is kept."""
        for task_id, text in self.given.items():
            keep(Answer(task_id, text))


def to_put(tasks: Sequence[Task], keep: Keep, most_images: float = math.inf) -> list[Task]:
    """The tasks that can be put to a model that takes so many images; of others it is kept why."""
    found: list[Task] = []
    for task in tasks:
        if task.images_away:
            keep(Answer(task.id, "", not_put=AWAY))
        elif len(task.images) > most_images:
            keep(Answer(task.id, "", not_put=SEVERAL))
        else:
            found.append(task)
    return found
