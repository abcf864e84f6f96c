"""What a probe is asked and how its answers count, against answers written by hand."""

from collections import Counter

import numpy as np
import pytest

from pixmo.molmo.crops import Crops
from pixmo.molmo.data import Example
from pixmo.molmo.prompts import Annotation, caption, pointing, question
from pixmo.molmo.sizes import PROBE_XS
from pixmo.points import Point, from_text
from pixmo.validate import rendered, skills
from pixmo.validate.rendered import COLOURS, SIDE
from pixmo.validate.skills import (
    ANSWERING,
    COUNTING,
    POINTING,
    Answered,
    majority,
    score,
    skill_of,
)

DOGS = [Point(10.0, 20.0), Point(60.0, 70.0)]
POINTED = pointing("p", "dogs", DOGS, "pointing")
COUNTED = pointing("c", "dogs", DOGS, "counting")
NONE = pointing("n", "cats", [], "pointing")
NO_COUNT = pointing("m", "cats", [], "counting")
ASKED = question("q", "What color is it?", "It is red.")


def test_every_row_asks_for_its_skill() -> None:
    rows = [POINTED, COUNTED, NONE, NO_COUNT, ASKED, caption("k", "A dog.")]
    found = [skill_of(row) for row in rows]
    assert found == [POINTING, COUNTING, POINTING, COUNTING, ANSWERING, ""]


@pytest.mark.parametrize(
    ("row", "answer", "expected"),
    [
        (POINTED, '<points x1="12.0" y1="20.0" x2="60.0" y2="79.0" alt="dogs">dogs</points>', 1.0),
        (POINTED, '<point x="12.0" y="20.0" alt="dogs">dogs</point>', 2 / 3),
        (POINTED, '<point x="35.0" y="45.0" alt="dogs">dogs</point>', 0.0),
        (POINTED, "There are none.", 0.0),
        (POINTED, "", 0.0),
        (NONE, "There are none.", 1.0),
        (NONE, "What?", 0.0),
        (COUNTED, "Counting the <points> shows a total of 2.", 1.0),
        (COUNTED, "Counting the <points> shows a total of 3.", 0.0),
        (COUNTED, "There are none.", 0.0),
        (COUNTED, 'Counting the <points x1="12.0" y1="2', 0.0),  # cut off: a place is no count
        (COUNTED, "", 0.0),
        (NO_COUNT, "There are none.", 1.0),
        (ASKED, "it is Red", 1.0),
        (ASKED, "It is blue.", 0.0),
    ],
)
def test_an_answer_is_scored_by_its_skill(row: Annotation, answer: str, expected: float) -> None:
    assert score(row, answer, 1.0) == pytest.approx(expected)


def test_distances_are_in_widths() -> None:
    answer = '<points x1="10.0" y1="20.0" x2="60.0" y2="79.0" alt="dogs">dogs</points>'
    assert score(POINTED, answer, 1.0) == 1.0  # 9 % of the height is 9 % of the width
    assert score(POINTED, answer, 2.0) == pytest.approx(0.5)  # and here 18


def test_the_commonest_train_answer_is_tried_on_held_out_rows() -> None:
    def rows(*counts: int) -> list[Example]:
        made = []
        for number, count in enumerate(counts):
            points = [Point(float(n), 50.0) for n in range(count)]
            row = pointing(str(number), "dogs", points, "counting")
            made.append(Example("", str(number), str(number), (row, ASKED)))
        return made

    def asked(examples: list[Example]) -> list[Answered]:
        return [
            Answered(row.id, row.kind, skill_of(row), "", row.answer.strip(), "", 0.0)
            for example in examples
            for row in example.annotations
        ]

    found = majority(rows(2, 2, 3, 0), asked(rows(2, 3, 2, 0)))
    assert found == {COUNTING: 0.5, ANSWERING: 1.0}
    assert majority([], asked(rows(1))) == {}


def test_the_first_rows_of_each_skill_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skills, "MOST_ASKED", 2)
    examples = [Example("", str(n), str(n), (POINTED, COUNTED, ASKED)) for n in range(4)]
    crops = [Crops(np.zeros((1, 8, 8, 3), np.uint8), np.ones((1, 1), np.float32),
                   np.zeros((1, 4), np.int64), ((1, 1),))] * 4  # fmt: skip
    found = list(skills.chosen(examples, crops, lambda _: True))
    short = list(skills.chosen(examples, crops, lambda text: "<points" not in text))
    assert {skill_of(row) for _, _, row in short} == {ANSWERING}
    assert Counter(skill_of(row) for _, _, row in found) == {
        POINTING: 2,
        COUNTING: 2,
        ANSWERING: 2,
    }
    assert [example.image_sha256 for example, _, _ in found] == ["0"] * 3 + ["1"] * 3


def test_rendered_pictures_show_what_is_said_of_them() -> None:
    examples, crops = rendered.rendered(60, 0, PROBE_XS)
    assert rendered.rendered(60, 0, PROBE_XS)[0] == examples
    assert rendered.rendered(60, 1, PROBE_XS)[0] != examples
    kinds = Counter(one.kind for example in examples for one in example.annotations)
    assert kinds["cap"] == 60
    assert kinds["ama"] > 50
    assert kinds["points"] > 120
    for example, image in zip(examples, crops, strict=True):
        pixels = image.pixels[0]
        told = example.annotations[0].answer
        for row in example.annotations:
            if row.kind != "points":
                continue
            points = from_text(row.answer)
            colour = row.prompt.split()[-3 if "Point to" in row.prompt else -5]
            assert points
            assert told.count(f"a {colour} ") >= len(points)
            for point in points:
                x, y = int(point.x * SIDE / 100), int(point.y * SIDE / 100)
                assert tuple(pixels[y, x]) == COLOURS[colour], row


def test_what_is_asked_of_rendered_pictures_has_one_answer() -> None:
    examples, _ = rendered.rendered(60, 0, PROBE_XS)
    for example in examples:
        told = example.annotations[0].answer
        for row in example.annotations:
            if row.kind == "ama":
                place = row.prompt.split(" at the ")[1].split("?")[0]
                kind = row.answer.strip().removeprefix("A ").removesuffix(".")
                assert told.count(f" at the {place}") == 1
                assert f"a {kind} at the {place}" in told
