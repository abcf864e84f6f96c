"""Annotators at Label Studio, and the JSON export of what they did: its real shape, key for key."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pixmo.points import Point

ANNOTATORS = 5
FIRST_DAY = datetime(2026, 1, 5, 8, tzinfo=UTC)
SECONDS_A_TASK = 25


@dataclass(frozen=True)
class Work:
    """One task and what an annotator answered."""

    data: dict[str, Any]
    result: list[dict[str, Any]]
    was_skipped: bool = False
    times_exported: int = 1


def keypoints(points: Sequence[Point], width: int, height: int) -> list[dict[str, Any]]:
    """One result a click; `width` and `height` in pixels."""
    return [
        {
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {"x": point.x, "y": point.y, "width": 0.8},
            "id": f"point{number}",
            "from_name": "point",
            "to_name": "image",
            "type": "keypoint",
            "origin": "manual",
        }
        for number, point in enumerate(points)
    ]


def choice(name: str, to_name: str, value: str) -> dict[str, Any]:
    """The result of one single-choice question."""
    return {
        "value": {"choices": [value]},
        "id": name,
        "from_name": name,
        "to_name": to_name,
        "type": "choices",
        "origin": "manual",
    }


def text(name: str, to_name: str, value: str) -> dict[str, Any]:
    """The result of one text field."""
    return {
        "value": {"text": [value]},
        "id": name,
        "from_name": name,
        "to_name": to_name,
        "type": "textarea",
        "origin": "manual",
    }


@dataclass
class Project:
    """A Label Studio project; its tasks are numbered in the order they are done."""

    number: int
    name: str
    tasks: list[dict[str, Any]] = field(default_factory=list)

    def add(self, work: Work) -> str:
        """The task is in the export, annotated; returns the annotation's unique_id."""
        task = self.number * 100_000 + len(self.tasks) + 1
        annotator = 1 + (len(self.tasks) * 7 + self.number) % ANNOTATORS
        done = FIRST_DAY + timedelta(seconds=SECONDS_A_TASK * len(self.tasks))
        annotation = self.annotation(work, task, annotator, done)
        self.tasks.append(
            {
                "id": task,
                "annotations": [annotation] * work.times_exported,
                "file_upload": None,
                "drafts": [],
                "predictions": [],
                "data": work.data,
                "meta": {},
                "created_at": stamp(FIRST_DAY),
                "updated_at": stamp(done),
                "allow_skip": True,
                "inner_id": len(self.tasks) + 1,
                "total_annotations": int(not work.was_skipped),
                "cancelled_annotations": int(work.was_skipped),
                "total_predictions": 0,
                "comment_count": 0,
                "unresolved_comment_count": 0,
                "last_comment_updated_at": None,
                "project": self.number,
                "updated_by": annotator,
                "comment_authors": [],
            }
        )
        return str(annotation["unique_id"])

    def annotation(self, work: Work, task: int, annotator: int, done: datetime) -> dict[str, Any]:
        """One annotation as Label Studio exports it."""
        return {
            "id": task + 50_000_000,
            "completed_by": annotator,
            "result": [] if work.was_skipped else work.result,
            "was_cancelled": work.was_skipped,
            "ground_truth": False,
            "created_at": stamp(done),
            "updated_at": stamp(done),
            "draft_created_at": None,
            "lead_time": round(4.0 + 1.5 * len(work.result), 3),
            "prediction": {},
            "result_count": len(work.result),
            "unique_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"pixmo:{self.name}:{task}")),
            "import_id": None,
            "last_action": None,
            "bulk_created": False,
            "task": task,
            "project": self.number,
            "updated_by": annotator,
            "parent_prediction": None,
            "parent_annotation": None,
            "last_created_by": None,
        }


def stamp(moment: datetime) -> str:
    """A moment as Label Studio writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
