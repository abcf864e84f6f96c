"""One Label Studio annotation as a row, or the reason why it is none. Pure, and never raises.

The server checks almost nothing of what it stores, so everything is checked here: which control
answered, that it answered once, that its value has the right shape. What an annotator meant, and
whether a point lies in its image, is for curation to judge.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pixmo.label.controls import Control, controls, interfaces
from pixmo.label.values import (
    Json,
    Refusal,
    Refused,
    annotator_of,
    as_number,
    brief,
    image_of,
    is_text,
    lead_time_of,
    text_of,
)

COLLECTION_METHODS = ("pointing", "counting")
UNKNOWN_SUBSET = "unknown"  # an annotation that no config that ships can have made


@dataclass(frozen=True)
class Parsed:
    """A row for one of the parsed tables, less what identifies its annotation."""

    table: str
    row: Json


def parse(annotation: object, data: object) -> Parsed | Refusal:
    """The row that `annotation` of a task with `data` is, or why it is none."""
    if not isinstance(annotation, dict) or not isinstance(data, dict):
        return Refusal("malformed annotation", "it, or its task's data, is no object")
    if annotation.get("was_cancelled"):
        return Refusal("skipped by the annotator")
    try:
        results = read_results(annotation.get("result"))
        table, read_row = READERS[one_subset(results)]
        row = {
            "image_sha256": image_of(data),
            "annotator": annotator_of(annotation.get("completed_by")),
            **read_row(results, data),
        }
        if table != "caption_reviews":
            row["lead_time_seconds"] = lead_time_of(annotation.get("lead_time"))
    except Refused as refused:
        return refused.refusal
    return Parsed(table, row)


def subset_of(annotation: Json, data: Json) -> str:
    """The subset whose config `annotation` was made with; a skipped one is told by its task."""
    try:
        return one_subset(read_results(annotation.get("result")))
    except Refused:
        shown = [name for name, ui in interfaces().items() if ui.variables <= data.keys()]
        return shown[0] if len(shown) == 1 else UNKNOWN_SUBSET


@dataclass(frozen=True)
class Result:
    """What one control says."""

    control: Control
    value: Json
    image_rotation: Any


def read_results(results: object) -> list[Result]:
    """The items of an annotation's `result`, each with the control it came from."""
    if not isinstance(results, list):
        raise Refused("malformed annotation", "its result is no list")
    if not results:
        raise Refused("nothing was answered")
    return [read_result(number, item) for number, item in enumerate(results)]


def read_result(number: int, item: object) -> Result:
    """One item of `result`."""
    if not isinstance(item, dict):
        raise Refused("malformed annotation", f"result {number} is no object")
    name = item.get("from_name")
    control = controls().get(name) if isinstance(name, str) else None
    if control is None:
        raise Refused("unknown control", f"result {number} comes from {brief(name)}")
    for key, expected in (("to_name", control.to_name), ("type", control.type)):
        if item.get(key) != expected:
            found = brief(item.get(key))
            raise Refused(
                "control differs from its config",
                f"{control.name}: {key} is {found}, not {expected}",
            )
    if not isinstance(item.get("value"), dict):
        raise Refused("malformed annotation", f"result {number} has no value")
    return Result(control, item["value"], item.get("image_rotation"))


def one_subset(results: list[Result]) -> str:
    """The subset that all controls belong to."""
    subsets = sorted({result.control.subset for result in results})
    if len(subsets) > 1:
        raise Refused("controls of more than one config", ", ".join(subsets))
    return subsets[0]


def read_points(results: list[Result], data: Json) -> Json:
    """What `point_annotations` holds of a pointing task. Points stay as clicked, in that order."""
    method = data.get("collection_method", COLLECTION_METHODS[0])
    if method not in COLLECTION_METHODS:
        raise Refused("unknown collection method", brief(method))
    # A text without its control is of a project with an earlier config: the task says it all.
    given = data.get("label")
    label, _ = mended(results, "expression", given if is_text(given) else "")
    return {
        "label": text_of({"label": label}, "label"),
        "collection_method": method,
        "presence": choice(results, "presence"),
        "points": [read_point(result) for result in results if result.control.name == "point"],
    }


def read_answer(results: list[Result], data: Json) -> Json:
    """What `answers` holds of a question-answer task."""
    proposed = text_of(data, "answer")
    answer, was_edited = mended(results, "mended_answer", proposed)
    remarks, _ = mended(results, "answer_remarks", "")
    return {
        "question": text_of(data, "question"),
        "proposed_answer": proposed,
        "answer": answer,
        "verdict": choice(results, "answer_verdict"),
        "was_edited": was_edited,
        "remarks": remarks or None,
    }


def read_question(results: list[Result], _data: Json) -> Json:
    """What `questions` holds of a task that asks for a question."""
    question, was_asked = mended(results, "asked_question", "")
    if not was_asked:
        raise Refused("nothing was answered", "asked_question is empty")
    return {"question": question}


def read_caption_review(results: list[Result], data: Json) -> Json:
    """What `caption_reviews` holds of a caption review."""
    caption, was_edited = mended(results, "mended_caption", text_of(data, "caption"))
    return {
        "caption_id": text_of(data, "caption_id"),
        "caption": caption,
        "verdict": choice(results, "caption_verdict"),
        "was_edited": was_edited,
    }


# The table of each subset and what fills it.
READERS: dict[str, tuple[str, Callable[[list[Result], Json], Json]]] = {
    "points": ("point_annotations", read_points),
    "ama": ("answers", read_answer),
    "cap": ("caption_reviews", read_caption_review),
    "questions": ("questions", read_question),
}


def read_point(result: Result) -> Json:
    """A click, in percent of the displayed image; it may lie outside."""
    if result.image_rotation not in (None, 0):
        raise Refused("image was rotated", f"by {brief(result.image_rotation)} degrees")
    point = {}
    for axis in ("x", "y"):
        number = as_number(result.value.get(axis))
        if number is None:
            raise Refused("point is no number", f"{axis} is {brief(result.value.get(axis))}")
        point[axis] = number
    return point


def choice(results: list[Result], name: str) -> str:
    """What was chosen in the control `name`: one of its aliases."""
    result = only(results, name)
    if result is None:
        raise Refused(f"no {name.replace('_', ' ')}")
    chosen = result.value.get("choices")
    if isinstance(chosen, list) and len(chosen) == 1 and isinstance(chosen[0], str):
        if chosen[0] in result.control.choices:
            return chosen[0]
        raise Refused("unknown choice", f"{name}: {brief(chosen[0])}")
    raise Refused("not one choice", f"{name}: {brief(chosen)}")


def mended(results: list[Result], name: str, original: str) -> tuple[str, bool]:
    """The text in the control `name`, and whether it is another than `original`.

    Label Studio submits a prefilled text even if nobody touched it. A browser's line ends and the
    white space around are no edit.
    """
    result = only(results, name)
    if result is None:
        return original, False
    texts = result.value.get("text")
    if not isinstance(texts, list) or len(texts) != 1 or not is_text(texts[0]):
        raise Refused("not one text", f"{name}: {brief(texts)}")
    text = texts[0].replace("\r\n", "\n").strip()
    if text == original.replace("\r\n", "\n").strip():
        return original, False
    return text, True


def only(results: list[Result], name: str) -> Result | None:
    """The one result of the control `name`, if it answered."""
    found = [result for result in results if result.control.name == name]
    if len(found) > 1:
        raise Refused("control answered twice", name)
    return found[0] if found else None
