"""pixmo.label.gold: tasks with known answers, from files to annotators and out of every release."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pixmo.curate.curate import curate
from pixmo.curate.functions import register
from pixmo.curate.recipe import load
from pixmo.errors import LabelError
from pixmo.label.gold import answers, mixed, take_in
from pixmo.label.ingest import ingest
from pixmo.label.tasks import Task
from pixmo.workspace.workspace import Workspace
from tests import label_studio_exports as ls
from tests.workspaces import Planter, picture

POINTS = {"image": "0.png", "label": "mugs", "points": [[10, 20.5], [30, 40]]}
ANSWER = {"image": "1.png", "question": "Which?", "answer": "This.", "verdict": "reject"}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Twenty pictures, 0.png to 19.png."""
    planter = Planter(Workspace.init(tmp_path / "world"))
    for number in range(20):
        planter.image(f"{number}.png", picture(number))
    return planter.write()


def write(workspace: Workspace, name: str, *rows: Any) -> Path:
    """A file of lines in the workspace."""
    path = workspace.root / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def sha256_of(workspace: Workspace, name: str) -> str:
    (found,) = (sha for sha, path in workspace.local_images().items() if path.name == name)
    return found


def test_gold_is_taken_in_once_and_corrected(workspace: Workspace) -> None:
    image = sha256_of(workspace, "0.png")
    write(workspace, "gold/points.jsonl", POINTS, POINTS | {"label": "cups", "points": []})
    write(workspace, "gold/ama.jsonl", ANSWER)
    for _ in range(2):
        tasks = take_in(workspace, "points")
        assert {task.data["label"] for task in tasks} == {"mugs", "cups"}
        (ama,) = take_in(workspace, "ama")
    assert (ama.image_sha256, ama.data["answer"]) == (sha256_of(workspace, "1.png"), "This.")
    assert "verdict" not in ama.data
    assert workspace.read("gold").num_rows == 3
    found = answers(workspace)
    assert found["points", image, "mugs"]["points"] == [{"x": 10, "y": 20.5}, {"x": 30, "y": 40}]
    assert found["points", image, "cups"]["points"] == []
    assert found["ama", ama.image_sha256, "Which?"]["verdict"] == "reject"
    write(workspace, "gold/points.jsonl", POINTS | {"points": [[1, 1]]})
    take_in(workspace, "points")
    assert answers(workspace)["points", image, "mugs"]["points"] == [{"x": 1, "y": 1}]
    assert len(answers(workspace)) == 3  # what was gold stays so


MISTAKES = {
    "no points": ("points", [{"image": "0.png", "label": "mugs"}], "line 1: points is no list"),
    "one number": ("points", [POINTS | {"points": [[1]]}], "line 1: points is no list of"),
    "no number": ("points", [POINTS | {"points": [[1, "2"]]}], "line 1: points is no list of"),
    "pixels": ("points", [POINTS | {"points": [[1, 640]]}], "line 1: points is no list of"),
    "below zero": ("points", [POINTS | {"points": [[-1, 64]]}], "line 1: points is no list of"),
    "no label": ("points", [POINTS | {"label": ""}], "line 1: it has no label"),
    "twice": ("points", [POINTS, POINTS], "line 2: it asks what an earlier line asks"),
    "no image": ("ama", [ANSWER | {"image": "x.png"}], "names no image that was taken in"),
    "no verdict": ("ama", [ANSWER | {"verdict": "good"}], "verdict is good, not accept or reject"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_gold_names_its_line(mistake: str, workspace: Workspace) -> None:
    subset, rows, message = MISTAKES[mistake]
    write(workspace, f"gold/{subset}.jsonl", *rows)
    with pytest.raises(LabelError, match=message):
        take_in(workspace, subset)
    assert workspace.read("gold").num_rows == 0


def test_gold_that_is_not_there_is_named(workspace: Workspace) -> None:
    with pytest.raises(LabelError, match=r"gold/points.jsonl does not exist; .*: image, label"):
        take_in(workspace, "points")
    with pytest.raises(LabelError, match="there is no gold of cap"):
        take_in(workspace, "cap")


def some(kind: str, count: int) -> list[Task]:
    return [Task("", {"pixmo_id": f"{kind}{number:03d}"}) for number in range(count)]


def test_a_share_of_the_tasks_is_gold_in_no_pattern() -> None:
    tasks, gold = some("t", 90), some("g", 30)
    found = mixed(tasks, gold, 0.1)
    assert found == mixed(tasks, gold, 0.1)
    assert [task for task in found if task in tasks] == tasks
    places = [place for place, task in enumerate(found) if task in gold]
    assert len(places) == 10
    assert places[0] > 0
    assert len({after - before for before, after in pairwise(places)}) > 3
    assert len(mixed(tasks, gold[:2], 0.1)) == 92
    assert mixed(tasks, gold, 0.0) == tasks


def by(annotator: int, made: dict[str, Any]) -> dict[str, Any]:
    """An annotation of this annotator's; its number is its own."""
    return made | {"completed_by": annotator}


def test_recipes_know_how_right_an_annotator_is_and_drop_gold_tasks(workspace: Workspace) -> None:
    write(workspace, "gold/points.jsonl", POINTS, POINTS | {"image": "1.png", "points": []})
    write(workspace, "gold/ama.jsonl", ANSWER, ANSWER | {"image": "2.png", "verdict": "accept"})
    for subset in ("points", "ama"):
        take_in(workspace, subset)
    right = [ls.keypoint(10, 20.5), ls.keypoint(30, 40), ls.presence("present")]
    half = [ls.keypoint(10, 20.5), ls.presence("present")]
    pointed = [  # image, label, annotator, what they did
        ("0.png", "mugs", 7, right),
        ("1.png", "mugs", 7, [ls.presence("none")]),
        ("0.png", "mugs", 8, half),
        ("1.png", "mugs", 8, right),
        ("0.png", "cups", 7, right),
        ("0.png", "cups", 9, right),
        ("1.png", "mugs", 9, [ls.presence("present")]),  # it says two things, so nothing
        ("0.png", "hats", 7, [ls.presence("present")]),
        ("0.png", "hats", 9, [ls.presence("none")]),
    ]
    judged = [  # image, answer, annotator, verdict
        ("1.png", "This.", 7, "reject"),
        ("2.png", "This.", 7, "reject"),
        ("1.png", "That.", 8, "accept"),  # another answer than the one with a known verdict
        ("1.png", "This.", 8, "reject"),
        *(("3.png", "This.", number, "accept") for number in (7, 8, 9)),
        ("3.png", "This.", 10, "reject"),
        ("3.png", "That.", 10, "reject"),
    ]
    tasks = []
    for number, (image, label, annotator, results) in enumerate(pointed, 1):
        data = ls.points_data(image_sha256=sha256_of(workspace, image), label=label)
        tasks.append(ls.task(number, data, by(annotator, ls.pointed(number, result=results))))
    for number, (image, answer, annotator, verdict) in enumerate(judged, 101):
        sha256 = sha256_of(workspace, image)
        data = ls.ama_data(image_sha256=sha256, question="Which?", answer=answer)
        made = ls.judged(number, result=[ls.answer_verdict(verdict)])
        tasks.append(ls.task(number, data, by(annotator, made)))
    ingest(workspace, [ls.write_export(workspace.exports / "e.json", tasks)])

    with workspace.connect() as connection:
        register(connection)
        for subset in ("points", "ama"):
            found = curate(connection, load(subset))
            rows = connection.execute(
                "select distinct annotator, gold_tasks, round(gold_accuracy, 3)"
                f" from {subset}_candidates order by len(annotator), annotator"
            ).fetchall()
            if subset == "points":
                # Both right; one point of two (F1 2/3) and two where there is none (0).
                assert rows == [
                    ("annotator-7", 2, 1.0),
                    ("annotator-8", 2, 0.333),
                    ("annotator-9", 0, None),
                ]
                agreement = connection.execute(
                    "select distinct label, annotators, agreement from points_candidates"
                    " where not is_gold order by label"
                ).fetchall()
                assert agreement == [("cups", 2, 1.0), ("hats", 1, None)]
            else:
                assert rows == [
                    ("annotator-7", 2, 0.5),
                    ("annotator-8", 1, 1.0),
                    ("annotator-9", 0, None),
                    ("annotator-10", 0, None),
                ]
                agreement = connection.execute(
                    "select distinct image_sha256, annotators, agreement from ama_candidates"
                    " where not is_gold order by annotators"
                ).fetchall()
                image = sha256_of(workspace, "3.png")
                # Of the six pairs of four people three agree.
                assert agreement == [(image, 1, None), (image, 4, 0.5)]
            gone = [
                row["image_sha256"] for row in found.dropped.to_pylist() if row["step"] == "gold"
            ]
            gold = {"points": ["0.png"] * 2 + ["1.png"] * 3, "ama": ["1.png"] * 3 + ["2.png"]}[
                subset
            ]
            assert sorted(gone) == sorted(sha256_of(workspace, name) for name in gold)
