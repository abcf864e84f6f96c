"""Small Label Studio exports in the shape that a real server writes, for tests."""

import copy
import json
import uuid
from pathlib import Path
from typing import Any

IMAGE_SHA256 = "ab" * 32
NAMESPACE = uuid.UUID(int=2)


def result(name: str, to_name: str, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    """One item of an annotation's `result`."""
    return {
        "id": uuid.uuid5(NAMESPACE, json.dumps([name, value])).hex[:10],
        "from_name": name,
        "to_name": to_name,
        "type": kind,
        "value": value,
        "origin": "manual",
    }


def keypoint(x: Any, y: Any) -> dict[str, Any]:
    """A click; x and y are percent of the displayed image."""
    click = result("point", "image", "keypoint", {"x": x, "y": y, "width": 0.3125})
    return click | {"original_width": 640, "original_height": 480, "image_rotation": 0}


def presence(alias: str) -> dict[str, Any]:
    """Whether what is pointed at is there."""
    return result("presence", "image", "choices", {"choices": [alias]})


def answer_verdict(alias: str) -> dict[str, Any]:
    """Whether the answer is accepted."""
    return result("answer_verdict", "answer", "choices", {"choices": [alias]})


def mended_answer(text: str) -> dict[str, Any]:
    """The answer as it stands in its text box."""
    return result("mended_answer", "answer", "textarea", {"text": [text]})


def caption_verdict(alias: str) -> dict[str, Any]:
    """Whether the caption is accepted."""
    return result("caption_verdict", "image", "choices", {"choices": [alias]})


def mended_caption(text: str) -> dict[str, Any]:
    """The caption as it stands in its text box."""
    return result("mended_caption", "image", "textarea", {"text": [text]})


def annotation(number: int, results: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """Annotation `number` of a project; `changes` replace or add keys."""
    return {
        "id": number,
        "completed_by": 7,
        "result": results,
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2025-03-09T21:52:49.513742Z",
        "updated_at": "2025-03-09T22:16:08.728378Z",
        "draft_created_at": None,
        "lead_time": 12.5,
        "prediction": {},
        "result_count": len(results),
        "unique_id": str(uuid.uuid5(NAMESPACE, str(number))),
        "import_id": None,
        "last_action": None,
        "bulk_created": False,
        "task": number,
        "project": 3,
        "updated_by": 7,
        "parent_prediction": None,
        "parent_annotation": None,
        "last_created_by": None,
        **changes,
    }


def skipped(number: int, **changes: Any) -> dict[str, Any]:
    """An annotation that the annotator skipped."""
    return annotation(number, [], was_cancelled=True, **changes)


def task(number: int, data: dict[str, Any], *annotations: dict[str, Any]) -> dict[str, Any]:
    """Task `number` of a project, with its annotations."""
    return {
        "id": number,
        "annotations": list(annotations),
        "file_upload": "tasks.json",
        "drafts": [],
        "predictions": [],
        "data": data,
        "meta": {},
        "created_at": "2025-03-01T08:00:00.000000Z",
        "updated_at": "2025-03-09T22:16:08.800000Z",
        "inner_id": number,
        "total_annotations": len(annotations),
        "cancelled_annotations": sum(bool(each["was_cancelled"]) for each in annotations),
        "total_predictions": 0,
        "project": 3,
        "comment_authors": [],
    }


def points_data(**changes: Any) -> dict[str, Any]:
    """Data of a pointing task."""
    return shown("points-1", label="red mugs", instruction="Point at these") | changes


def ama_data(**changes: Any) -> dict[str, Any]:
    """Data of a question-answer task."""
    return shown("ama-1", question="What is on the desk?", answer="A mug.") | changes


def cap_data(**changes: Any) -> dict[str, Any]:
    """Data of a caption review."""
    said = {"transcript": "um a mug, on a desk", "recordings": []}
    return shown("cap-1", caption_id="c0ffee", caption="A mug stands on a desk.") | said | changes


def shown(pixmo_id: str, **data: str) -> dict[str, Any]:
    """What every task's data has, and `data`."""
    url = "http://127.0.0.1:8080/images/desk.png"
    return {"image": url, "pixmo_id": pixmo_id, "image_sha256": IMAGE_SHA256, **data}


def pointed(number: int = 1, **changes: Any) -> dict[str, Any]:
    """Two clicks and `present`."""
    clicks = [keypoint(61.25, 40.5), keypoint(12.5, 88.0)]
    return annotation(number, [*clicks, presence("present")], **changes)


def judged(number: int = 2, **changes: Any) -> dict[str, Any]:
    """An answer accepted with its text untouched."""
    return annotation(number, [mended_answer("A mug."), answer_verdict("accept")], **changes)


def reviewed(number: int = 3, **changes: Any) -> dict[str, Any]:
    """A caption accepted after an edit."""
    results = [mended_caption("A red mug stands on a desk."), caption_verdict("accept")]
    return annotation(number, results, **changes)


def three_tasks() -> list[dict[str, Any]]:
    """One annotated task of each subset."""
    return [
        task(1, points_data(), pointed()),
        task(2, ama_data(), judged()),
        task(3, cap_data(), reviewed()),
    ]


def write_export(path: Path, tasks: Any) -> Path:
    """`path` holds `tasks` as an export."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tasks), "utf-8")
    return path


def without(value: dict[str, Any], *keys: str) -> dict[str, Any]:
    """A copy of `value` with fewer keys."""
    return {key: copy.deepcopy(each) for key, each in value.items() if key not in keys}
