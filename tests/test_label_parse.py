"""pixmo.label.parse and the labelling configs: a row, or the reason why not, and never an error."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_studio_sdk.label_interface import LabelInterface

from pixmo import schema
from pixmo.label.controls import configs, controls, interfaces
from pixmo.label.parse import READERS, Parsed, parse, subset_of
from pixmo.label.values import Refusal
from pixmo.resources import shared
from tests import label_studio_exports as ls

VALID = {
    "points": (ls.pointed(), ls.points_data()),
    "ama": (ls.judged(), ls.ama_data()),
    "cap": (ls.reviewed(), ls.cap_data()),
}
CONFIGS = {path.stem: path for path in configs()}


@pytest.mark.parametrize("subset", VALID)
def test_label_studio_accepts_the_config_and_the_annotations_of_these_tests(subset: str) -> None:
    # The SDK knows no Repeater, and takes what is repeated for a key of the data.
    config = re.sub("<Repeater.*</Repeater>", "", CONFIGS[subset].read_text("utf-8"), flags=re.S)
    interface = LabelInterface(config)
    interface.validate()
    annotation, data = VALID[subset]
    assert interface.validate_annotation(annotation)
    assert interface.validate_task({"data": data})
    other = next(value for name, (value, _) in VALID.items() if name != subset)
    assert not interface.validate_annotation(other)


def test_every_control_of_the_configs_has_a_name_of_its_own() -> None:
    names = [control.name for ui in interfaces().values() for control in ui.controls]
    assert sorted(names) == sorted(set(names))
    assert set(controls()) == set(names)


def test_every_config_is_a_subset_with_a_reader_whose_table_is_promised() -> None:
    assert set(interfaces()) == set(READERS) == {*schema.stems(), "questions"}
    assert {table for table, _ in READERS.values()} <= set(schema.table_names())


def test_a_choice_stores_its_alias() -> None:
    assert controls()["presence"].choices == {"present", "none"}
    assert controls()["answer_verdict"].choices == {"accept", "reject"}
    assert controls()["caption_verdict"].choices == {"accept", "reject"}


def test_points_stay_in_click_order_and_where_they_were_clicked() -> None:
    clicks = [ls.keypoint(120, -3.5), ls.keypoint(0, 100), ls.keypoint(120, -3.5)]
    annotation = ls.annotation(1, [clicks[0], ls.presence("present"), *clicks[1:]])
    assert parse(annotation, ls.points_data(collection_method="counting")) == Parsed(
        "point_annotations",
        {
            "image_sha256": ls.IMAGE_SHA256,
            "annotator": "annotator-7",
            "label": "red mugs",
            "collection_method": "counting",
            "presence": "present",
            "points": [{"x": 120.0, "y": -3.5}, {"x": 0.0, "y": 100.0}, {"x": 120.0, "y": -3.5}],
            "lead_time_seconds": 12.5,
        },
    )


def test_none_is_an_answer_too() -> None:
    row = parsed_row(ls.annotation(1, [ls.presence("none")], lead_time=None), ls.points_data())
    assert (row["presence"], row["points"], row["lead_time_seconds"]) == ("none", [], None)
    assert row["collection_method"] == "pointing"


def test_an_answer_is_edited_only_if_its_text_differs() -> None:
    untouched = parsed_row(ls.judged(), ls.ama_data())
    assert (untouched["answer"], untouched["was_edited"]) == ("A mug.", False)
    by_browser = ls.annotation(2, [ls.mended_answer("A\r\nmug. "), ls.answer_verdict("accept")])
    row = parsed_row(by_browser, ls.ama_data(answer="A\nmug."))
    assert (row["answer"], row["was_edited"]) == ("A\nmug.", False)
    row = parsed_row(
        ls.annotation(2, [ls.mended_answer("A\nmug."), ls.answer_verdict("accept")]),
        ls.ama_data(answer=" A\r\nmug."),
    )
    assert (row["answer"], row["was_edited"]) == (" A\r\nmug.", False)
    mended = ls.annotation(2, [ls.mended_answer("A red mug."), ls.answer_verdict("accept")])
    row = parsed_row(mended, ls.ama_data())
    assert (row["answer"], row["was_edited"], row["verdict"]) == ("A red mug.", True, "accept")


def test_an_answer_without_a_text_box_stands_as_it_was() -> None:
    row = parsed_row(ls.annotation(2, [ls.answer_verdict("reject")]), ls.ama_data())
    assert row == {
        "image_sha256": ls.IMAGE_SHA256,
        "annotator": "annotator-7",
        "question": "What is on the desk?",
        "proposed_answer": "A mug.",
        "answer": "A mug.",
        "verdict": "reject",
        "was_edited": False,
        "remarks": None,
        "lead_time_seconds": 12.5,
    }


def test_an_annotator_may_name_what_they_point_at() -> None:
    own = ls.result("expression", "image", "textarea", {"text": [" yellow hats "]})
    annotation = ls.annotation(1, [ls.keypoint(1, 2), ls.presence("present"), own])
    assert parsed_row(annotation, ls.points_data(label=""))["label"] == "yellow hats"
    assert parsed_row(annotation, ls.points_data())["label"] == "yellow hats"
    nothing = ls.annotation(1, [ls.keypoint(1, 2), ls.presence("present")])
    seen = parse(nothing, ls.points_data(label=""))
    assert isinstance(seen, Refusal)
    assert seen.reason == "task names no label"


def test_what_is_wrong_with_an_answer_is_kept() -> None:
    said = ls.result("answer_remarks", "answer", "textarea", {"text": [" It is blue.\n"]})
    row = parsed_row(ls.annotation(2, [ls.answer_verdict("reject"), said]), ls.ama_data())
    assert row["remarks"] == "It is blue."


def test_a_question_is_what_was_asked_and_an_empty_one_is_none() -> None:
    data = {"image": "x", "image_sha256": ls.IMAGE_SHA256, "invitation": "Ask"}
    asked = ls.result("asked_question", "image", "textarea", {"text": ["Who is it?"]})
    assert parse(ls.annotation(3, [asked]), data) == Parsed(
        "questions",
        {
            "image_sha256": ls.IMAGE_SHA256,
            "annotator": "annotator-7",
            "question": "Who is it?",
            "lead_time_seconds": 12.5,
        },
    )
    blank = ls.result("asked_question", "image", "textarea", {"text": ["  "]})
    assert isinstance(parse(ls.annotation(3, [blank]), data), Refusal)


def test_a_caption_review_is_a_row() -> None:
    assert parse(ls.reviewed(), ls.cap_data()) == Parsed(
        "caption_reviews",
        {
            "image_sha256": ls.IMAGE_SHA256,
            "annotator": "annotator-7",
            "caption_id": "c0ffee",
            "caption": "A red mug stands on a desk.",
            "verdict": "accept",
            "was_edited": True,
        },
    )


@pytest.mark.parametrize("subset", VALID)
def test_a_row_holds_what_its_table_promises(subset: str) -> None:
    seen = parse(*VALID[subset])
    assert isinstance(seen, Parsed)
    row = {"annotation_uid": "u", "updated_at": "t", "state_sha256": "s"} | seen.row
    promised = schema.table(seen.table)
    assert promised.table([{name: row[name] for name in promised.column_names}]).num_rows == 1
    assert row.keys() == set(promised.column_names)


@pytest.mark.parametrize(
    ("user", "annotator"),
    [
        (7, "annotator-7"),
        ({"id": 7, "email": "ann@example.org"}, "annotator-7"),
        ({"email": "ann@example.org"}, "ann@example.org"),
    ],
)
def test_an_annotator_has_one_name_in_every_form(user: Any, annotator: str) -> None:
    assert parsed_row(ls.pointed(completed_by=user), ls.points_data())["annotator"] == annotator


def changed(item: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A pointing annotation whose only click is `item` with `changes`."""
    return ls.annotation(1, [item | changes, ls.presence("present")])


CLICK = ls.keypoint(10, 20)
TWO_CHOICES = ls.result("presence", "image", "choices", {"choices": ["present", "none"]})
TWO_TEXTS = ls.result("mended_answer", "answer", "textarea", {"text": ["one", "two"]})
REFUSED = {
    "skipped": (ls.skipped(1), "skipped by the annotator"),
    "empty": (ls.annotation(1, []), "nothing was answered"),
    "no result": (ls.without(ls.pointed(), "result"), "malformed annotation"),
    "result item": (ls.annotation(1, [3]), "malformed annotation"),
    "no value": (changed(CLICK, value=None), "malformed annotation"),
    "control": (changed(CLICK, from_name="box"), "unknown control"),
    "no control": (changed(CLICK, from_name=["point"]), "unknown control"),
    "type": (changed(CLICK, type="keypointlabels"), "control differs from its config"),
    "to_name": (changed(CLICK, to_name="img"), "control differs from its config"),
    "two configs": (
        ls.annotation(1, [CLICK, ls.answer_verdict("accept")]),
        "controls of more than one config",
    ),
    "text x": (changed(CLICK, value={"x": "10", "y": 1}), "point is no number"),
    "true x": (changed(CLICK, value={"x": True, "y": 1}), "point is no number"),
    "NaN y": (changed(CLICK, value={"x": 1, "y": float("nan")}), "point is no number"),
    "huge y": (changed(CLICK, value={"x": 1, "y": 10**400}), "point is no number"),
    "no y": (changed(CLICK, value={"x": 1}), "point is no number"),
    "rotated": (changed(CLICK, image_rotation=90), "image was rotated"),
    "no presence": (ls.annotation(1, [CLICK]), "no presence"),
    "presence twice": (
        ls.annotation(1, [ls.presence("none"), ls.presence("none")]),
        "control answered twice",
    ),
    "two choices": (ls.annotation(1, [TWO_CHOICES]), "not one choice"),
    "choice": (ls.annotation(1, [ls.presence("maybe")]), "unknown choice"),
    "no user": (ls.pointed(completed_by=None), "no annotator"),
    "lead time": (ls.pointed(lead_time="long"), "malformed annotation"),
    "no verdict": (ls.annotation(1, [ls.mended_answer("A mug.")]), "no answer verdict"),
    "two texts": (ls.annotation(1, [TWO_TEXTS, ls.answer_verdict("accept")]), "not one text"),
    "half a character": (
        ls.annotation(1, [ls.mended_answer("\ud800"), ls.answer_verdict("accept")]),
        "not one text",
    ),
    "no caption verdict": (ls.annotation(1, [ls.mended_caption("A mug.")]), "no caption verdict"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_defect_is_refused_with_its_reason(case: str) -> None:
    annotation, reason = REFUSED[case]
    seen = parse(annotation, ls.points_data() | ls.ama_data() | ls.cap_data())
    assert isinstance(seen, Refusal)
    assert seen.reason == reason


@pytest.mark.parametrize(
    ("annotation", "data", "reason"),
    [
        (ls.pointed(), ls.without(ls.points_data(), "image_sha256"), "task names no image"),
        (ls.pointed(), ls.points_data(image_sha256="AB" * 32), "task names no image"),
        (ls.pointed(), ls.points_data(label=" "), "task names no label"),
        (ls.pointed(), ls.points_data(collection_method="guessing"), "unknown collection method"),
        (ls.judged(), ls.without(ls.ama_data(), "question"), "task names no question"),
        (ls.judged(), ls.ama_data(answer=None), "task names no answer"),
        (ls.reviewed(), ls.cap_data(caption_id=5), "task names no caption id"),
        (ls.reviewed(), ls.cap_data(caption="\udfff"), "task names no caption"),
        (ls.reviewed(), [], "malformed annotation"),
    ],
)
def test_a_task_without_what_it_asks_about_is_refused(
    annotation: Any, data: Any, reason: str
) -> None:
    seen = parse(annotation, data)
    assert isinstance(seen, Refusal)
    assert seen.reason == reason


def test_a_refusal_says_what_was_found() -> None:
    assert parse(changed(CLICK, value={"x": "10", "y": 1}), ls.points_data()) == Refusal(
        "point is no number", "x is '10'"
    )


def test_a_subset_is_told_by_the_controls_and_of_a_skipped_one_by_its_task() -> None:
    for subset, (annotation, data) in VALID.items():
        assert subset_of(annotation, {}) == subset
        assert subset_of(ls.skipped(1), data) == subset
    assert subset_of(ls.skipped(1), {"image": "x"}) == "unknown"
    assert subset_of(ls.skipped(1), ls.points_data() | ls.ama_data()) == "unknown"


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3)
    ),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    found = [path]
    for key, each in inside:
        here = (*path, key)
        found += places(each, here) if isinstance(each, (dict, list)) else [here]
    return found


@st.composite
def mutated(draw: st.DrawFn) -> tuple[Any, Any]:
    """A valid annotation and its task's data with up to three values replaced or removed."""
    pair: Any = copy.deepcopy(list(draw(st.sampled_from(sorted(VALID.items())))[1]))
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from([path for path in places(pair) if path]))
        parent = pair
        for key in way:
            parent = parent[key]
        if isinstance(parent, dict) and draw(st.booleans()):
            del parent[last]
        else:
            parent[last] = draw(ANY_JSON)
    return pair[0], pair[1]


@settings(max_examples=400, deadline=None)
@given(mutated())
def test_no_mutation_of_a_valid_annotation_raises(pair: tuple[Any, Any]) -> None:
    seen = parse(*pair)
    if isinstance(seen, Refusal):
        assert seen.reason
        assert "\n" not in seen.reason + seen.detail
        (seen.reason + seen.detail).encode()
    else:
        row = {"annotation_uid": "u", "updated_at": "t", "state_sha256": "s"} | seen.row
        assert schema.table(seen.table).table([row]).num_rows == 1
    annotation, data = pair
    if isinstance(annotation, dict) and isinstance(data, dict):
        assert subset_of(annotation, data) in {*VALID, "unknown"}


def test_the_readme_names_every_config_and_every_key_that_a_config_shows() -> None:
    text = shared("annotation_ui", "README.md").read_text("utf-8")
    for subset, ui in interfaces().items():
        assert f"{subset}.xml`" in text
        assert all(f"`{name}`" in text for name in ui.variables)


def test_the_factory_writes_what_json_can_hold(tmp_path: Path) -> None:
    path = ls.write_export(tmp_path / "export.json", ls.three_tasks())
    assert json.loads(path.read_text("utf-8")) == ls.three_tasks()


def parsed_row(annotation: Any, data: Any) -> dict[str, Any]:
    """The row that an annotation is."""
    seen = parse(annotation, data)
    assert isinstance(seen, Parsed), seen
    return seen.row
