"""Answers to a release's tasks are scored row by row, and none is lost or counted twice."""

import json
import math
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pixmo.cli.model import show_measures, show_run
from pixmo.dataset.reader import Release
from pixmo.errors import EvaluationError, ReleaseError
from pixmo.evaluate import answers as scoring
from pixmo.evaluate import captions
from pixmo.evaluate.answers import (
    OF_COUNT,
    Evaluation,
    Measure,
    Task,
    as_line,
    height_over_width,
    mean_over_images,
    read_answers,
    score_count,
    tasks,
)
from pixmo.evaluate.runs import Run
from pixmo.evaluate.statistics import Mean, clustered_mean, mean
from pixmo.molmo.prompts import counting_text
from pixmo.points import Point, from_text, reading_order, to_text
from pixmo.workspace.workspace import Workspace
from tests.releases import Rows, write_release

COORDINATE = st.floats(0, 100)


def evaluate(release: Release, split: str, answers: dict[str, str]) -> Evaluation:
    """How answers to a release's tasks do."""
    return scoring.evaluate("v1", split, list(tasks(release, split)), answers)


@given(st.lists(st.builds(Point, COORDINATE, COORDINATE), max_size=12))
def test_points_are_read_as_they_are_written(points: list[Point]) -> None:
    assert from_text(f"I see {to_text(points, 'a <b> dog')} here") == reading_order(points)


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ('<point x="1" y="2">a</point> and <point x="3.5" y="4">b</point>', [(1, 2), (3.5, 4)]),
        ('<points x1="1" y1="2" x2="3">a', [(1, 2)]),  # the second has no y
        ('<points x1="1" y1="2" x2="3" y2="4', [(1, 2)]),  # cut off
        ("<point y='2' x='1'/>", [(1, 2)]),
        ('<point x="1%" y="-2.0%">', [(1, -2)]),
        ('<point x="nan" y="1">', []),
        ("There are none.", []),
        ('x="1" y="2"', []),
    ],
)
def test_what_is_no_pair_of_a_point_is_passed_over(
    text: str, points: list[tuple[float, float]]
) -> None:
    assert from_text(text) == [Point(*point) for point in points]


def test_a_mean_over_groups_draws_groups() -> None:
    # Ten images with one value each, said a hundred times: no more is known than of ten values.
    values = [float(number % 2) for number in range(10)]
    groups = [str(number) for number in range(10)]
    once = clustered_mean(values, groups)
    often = clustered_mean(values * 100, groups * 100)
    assert (once.value, often.value) == (0.5, 0.5)
    assert (often.low, often.high) == pytest.approx((once.low, once.high))
    assert once.standard_error == pytest.approx(mean(values).standard_error, rel=0.1)
    assert (once.units, often.units) == (10, 10)
    uneven = clustered_mean([1.0, 1.0, 1.0, 0.0], ["a", "a", "a", "b"])
    assert uneven.value == 0.75  # of values, not of groups
    sure = clustered_mean([1.0] * 4, ["a", "a", "a", "b"])
    assert (sure.low, sure.high) == (1.0, 1.0)
    with pytest.raises(ValueError, match="two groups"):
        clustered_mean([1.0, 2.0], ["a", "a"])


@pytest.mark.parametrize("elsewhere", ["/etc/hostname", "../mine.png"])
def test_a_strangers_row_puts_no_file_of_mine_before_a_model(
    elsewhere: str, tmp_path: Path
) -> None:
    def change(stem: str, split: str, rows: Rows) -> None:
        for row in rows:
            row["image_url"] = elsewhere

    release = Release.open(write_release(tmp_path / "v1", change_rows=change))
    with pytest.raises(ReleaseError, match=f"names '{elsewhere}', which can be no file"):
        list(tasks(release, "test"))


def test_a_missing_image_is_sought_in_the_release_alone(tmp_path: Path) -> None:
    root = write_release(tmp_path / "v1")
    whole = {task.image for task in tasks(Release.open(root), "test")}
    for image in root.glob("images/*/*.png"):
        image.unlink()
    assert {task.image for task in tasks(Release.open(root), "test")} == whole
    assert all(image.startswith(f"{root}/images/") for image in whole)


def test_a_caption_is_scored_by_its_telling_words() -> None:
    reference = "Two dogs are standing on the grass."
    said = ["There are two dogs, and a red ball."]
    found = captions.score("A dog stands beside a ball and a cat.", reference, said)
    # dog, stand, ball of dog, stand, beside, ball, cat; dog, stand of two, dog, stand, grass
    assert (found.precision, found.recall) == (3 / 5, 2 / 4)
    assert found.f1 == pytest.approx(2 * 0.6 * 0.5 / 1.1)
    assert captions.score(reference, reference, []).f1 == 1.0
    assert captions.score("", reference, said).f1 == 0.0
    assert captions.score("the of and", reference, said).f1 == 0.0
    plural = "Tables with horses, trees, houses, glasses, and people sitting"
    assert (
        captions.score(plural, "A table with a horse, tree, house, glass, people sit", []).f1 == 1
    )


def test_one_image_has_a_score_and_no_interval(tmp_path: Path) -> None:
    release = Release.open(write_release(tmp_path / "v1", held_out=1))
    found = evaluate(release, "test", {t.id: true_answer(t) for t in tasks(release, "test")})
    assert {one.mean.value for one in found.measures} == {1.0}
    assert all(math.isnan(one.mean.low) for one in found.measures)


def test_an_id_in_two_subsets_is_refused(tmp_path: Path) -> None:
    def same(stem: str, split: str, rows: Rows) -> None:
        for row in rows:
            row["id"] = "same" if stem in ("cap", "ama") else row["id"]

    release = Release.open(write_release(tmp_path / "v1", change_rows=same))
    with pytest.raises(EvaluationError, match="has an id twice in test"):
        evaluate(release, "test", {})


def counting(stem: str, split: str, rows: Rows) -> None:
    """Half of the expressions of points are counted, of things that are there and that are not."""
    for number, row in enumerate(rows if stem == "points" else []):
        if number % 4 in (1, 2):
            row["collection_method"] = "counting"
            row["points"] *= 2
            row["count"] *= 2


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release.open(write_release(tmp_path / "v1", change_rows=counting))


def true_answer(task: Task) -> str:
    """What the row itself says."""
    if task.subset == "points":
        points = [Point(point["x"], point["y"]) for point in task.row["points"]]
        if task.row["collection_method"] == "counting":
            return counting_text(points, task.row["label"])
        return to_text(points, task.row["label"])
    return str(task.row["caption" if task.subset == "cap" else "answer"])


ANSWERERS: dict[str, tuple[Callable[[Task], str], float]] = {
    "who knows": (true_answer, 1.0),
    "who says nothing": (lambda _: " ", 0.0),
    "who talks of something else": (lambda _: "Bananas at 7 <point x='99' y='1'>", 0.0),
}


@pytest.mark.parametrize("who", ANSWERERS)
def test_all_answers_of_a_kind_get_what_they_deserve(who: str, release: Release) -> None:
    answerer, expected = ANSWERERS[who]
    found = evaluate(release, "test", {task.id: answerer(task) for task in tasks(release, "test")})
    assert {one.mean.value for one in found.measures} == {expected}
    assert {one.subset for one in found.measures} == {"cap", "ama", "points"}
    assert (found.tasks, found.missing) == (4 * 5, 4 * 5 if who == "who says nothing" else 0)
    of_all = [one for one in found.measures if OF_COUNT not in one.name]
    assert {one.rows for one in of_all if one.subset == "points"} == {4}
    kinds = {one.name.partition("-")[0] for one in found.measures}
    assert kinds == {"lexical", "exact", "ANLS", "count", "points"}


def test_a_task_without_an_answer_counts_as_wrong(release: Release) -> None:
    asked = list(tasks(release, "test"))
    answers = {task.id: true_answer(task) for task in asked if task.subset != "ama"}
    answers |= {task.id: true_answer(task) for task in asked if task.subset == "ama"}
    left_out = [task.id for task in asked if task.subset == "ama"][:2]
    for name in left_out:
        del answers[name]
    found = evaluate(release, "test", answers)
    assert found.missing == 2
    scores = {one.name: one.mean.value for one in found.measures}
    assert scores["exact-2"] == 6 / 8
    assert scores["lexical-1 F1"] == 1.0


def test_a_task_says_what_to_ask_and_not_the_answer(release: Release) -> None:
    lines = [json.loads(as_line(task)) for task in tasks(release, "test")]
    assert {tuple(line) for line in lines} == {
        ("id", "subset", "image", "image_sha256", "question")
    }
    assert all(Path(line["image"]).is_file() for line in lines)
    questions = {line["question"] for line in lines}
    assert {"What is on the left?", "Describe this image in detail."} <= questions
    assert "How many purple star are there?" in questions
    assert len({question for question in questions if question.startswith("How many")}) > 1
    assert any(question.startswith("Point to ") for question in questions)


def test_a_picture_is_as_high_as_it_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture, exif = Image.new("RGB", (40, 20)), Image.Exif()
    picture.save(tmp_path / "flat.jpg")
    exif[274] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif)
    assert height_over_width(str(tmp_path / "flat.jpg")) == 0.5
    assert height_over_width(str(tmp_path / "turned.jpg")) == 2.0
    assert height_over_width("https://example.org/a.jpg") == 1.0
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    assert height_over_width(str(tmp_path / "broken.jpg")) == 1.0
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 20 // 2 - 1)  # Pillow refuses twice as many
    assert height_over_width(str(tmp_path / "flat.jpg")) == 1.0


def test_images_whose_shape_nobody_knows_are_counted(release: Release) -> None:
    asked = list(tasks(release, "test"))
    pointed = [task for task in asked if task.kind == "point"]
    answers = {task.id: true_answer(task) for task in asked}
    assert evaluate(release, "test", answers).taken_as_squares == 0
    Path(pointed[0].image).write_bytes(b"no image")
    assert evaluate(release, "test", answers).taken_as_squares == 1
    silent = {task.id: "" for task in asked if task.image == pointed[0].image}
    assert evaluate(release, "test", answers | silent).taken_as_squares == 0


@pytest.mark.parametrize(
    ("values", "images", "has_interval"),
    [
        ([0.0, 1.0] * 15, 30, True),
        ([0.0, 1.0] * 15, 29, False),  # too few images
        ([0.9] * 40, 40, False),  # no spread
        ([0.5], 1, False),
    ],
)
def test_an_interval_needs_images_that_differ(
    values: list[float], images: int, has_interval: bool
) -> None:
    found = mean_over_images(values, [str(n % images) for n in range(len(values))])
    assert found.value == pytest.approx(sum(values) / len(values))
    assert [math.isnan(found.low), math.isnan(found.high)] == [not has_interval] * 2


MISTAKES: dict[str, tuple[list[Any], str]] = {
    "no JSON": (["{"], "line 1 is no JSON object with id and answer"),
    "a list": ([[1]], "line 1 is no JSON object with id and answer"),
    "no answer": ([{"id": "a", "answer": "x"}, {"id": "b"}], "line 2 is no JSON object"),
    "a number": ([{"id": "a", "answer": 3}], "line 1: id and answer must be text"),
    "no text at all": (['{"id": "a", "answer": "x\u2028y"}', "["], "line 2 is no JSON object"),
    "twice": ([{"id": "a", "answer": "x"}] * 2, "line 2 answers a again"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_answers_is_named(mistake: str, tmp_path: Path) -> None:
    lines, message = MISTAKES[mistake]
    path = tmp_path / "answers.jsonl"
    path.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines), "utf-8")
    with pytest.raises(EvaluationError, match=message):
        read_answers(path)


def test_a_mark_of_byte_order_in_front_is_no_part_of_the_answers(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "a", "answer": "x"}', "utf-8-sig")
    assert read_answers(tmp_path / "a.jsonl") == {"a": "x"}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"a\.jsonl cannot be read: No such file"):
        read_answers(tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(EvaluationError, match=r"a\.jsonl is not UTF-8 text"):
        read_answers(tmp_path / "a.jsonl")


def test_answers_to_another_release_are_named(release: Release) -> None:
    with pytest.raises(EvaluationError, match="v1/test: 2 answers to no such task, such as x, y;"):
        evaluate(release, "test", {"x": "", "y": ""})


def test_the_command_asks_scores_and_keeps(tmp_path: Path, pixmo: Path) -> None:
    workspace = Workspace.init(tmp_path)
    write_release(workspace.releases / "v1")

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(pixmo), "evaluate", *words], cwd=tmp_path, capture_output=True, text=True
        )

    asked = run("v1", "--tasks", "tasks.jsonl", "--split", "validation")
    assert (asked.returncode, asked.stdout) == (0, "20 tasks  tasks.jsonl\n")
    assert run("v1", "--tasks", "tasks.jsonl", "--split", "validation").stdout == asked.stdout
    lines = [json.loads(line) for line in (tmp_path / "tasks.jsonl").read_text().splitlines()]
    answers = [{"id": line["id"], "answer": "There are none."} for line in lines[:-1]]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, answers)), "utf-8")
    scored = run("v1", "--answers", "mine.jsonl", "--split", "validation")
    assert scored.stdout.startswith("v1/validation: 20 tasks, 1 without an answer\n")
    as_json = json.loads(run("--answers", "mine.jsonl", "--split", "validation", "--json").stdout)
    (kept,) = workspace.runs.glob("evaluate-v1-validation-mine-*")
    assert json.loads((kept / "evaluation.json").read_text("utf-8")) == as_json
    kept_lines = (kept / "answers.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in kept_lines] == answers
    (tmp_path / "none.jsonl").touch()
    assert "warning: none.jsonl holds no answer" in run("v1", "--answers", "none.jsonl").stderr
    runs = sorted(workspace.runs.iterdir())
    for words, message in {
        ("v1", "--tasks", "mine.jsonl"): "mine.jsonl is there and holds something else",
        ("v1", "--tasks", "runs"): "runs is there and holds something else",
        ("v1", "--answers", "mine.jsonl"): "v1/test: 19 answers to no such task",
        ("v1",): "give one of --tasks FILE, to ask a model, and --answers FILE",
        ("v1", "--answers", "nothing.jsonl"): "nothing.jsonl cannot be read",
        ("v1", "--tasks", "t", "--split", "train"): "'train' is not held out",
        ("v9", "--answers", "mine.jsonl"): "there is no release at",
    }.items():
        failed = run(*words)
        assert (failed.returncode, len(failed.stderr.splitlines())) == (1, 1)
        assert message in failed.stderr
    assert (tmp_path / "mine.jsonl").read_text("utf-8") == "\n".join(map(json.dumps, answers))
    assert sorted(workspace.runs.iterdir()) == runs


def test_scores_of_single_counts_are_shown_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    many, few = Mean(0.5, 0.1, 0.25, 0.75, 40), Mean(1.0, 0.0, math.nan, math.nan, 3)
    exact, _, exact_of_10, _ = score_count("10", 10)
    _, _, exact_of_9, _ = score_count("10", 9)
    named = ((exact, many, 40), (exact_of_10, many, 37), (exact_of_9, few, 3))
    measures = tuple(Measure("points", name, mean, rows) for name, mean, rows in named)
    run = Run(Path("/kept"), Evaluation("v1", "test", 40, 1, 0, 1, measures), 0, {}, 2, None)
    show_run(run)
    shown = capsys.readouterr()
    assert shown.out == (
        "v1/test: 40 tasks, 1 without an answer\n"
        "subset  measure        score  95 % from     to  rows\n"
        "──────  ─────────────  ─────  ─────────  ─────  ────\n"
        "points  count-2 exact  0.500      0.250  0.750    40\n"
        "\npoints count-2 exact by true count (rows): 9: 1.00 (3), 10: 0.50 (37)\n"
        "\nkept in /kept\n"
    )
    assert shown.err == (
        "pixmo: warning: 2 answers cut off at max_tokens of [evaluate] in pixmo.toml\n"
        "pixmo: warning: 1 image not here or not readable; points on them count as on squares\n"
    )
    show_measures(replace(run.evaluation, measures=(Measure("points", exact, few, 3),)))
    assert capsys.readouterr().out.splitlines()[-1].split()[3:] == ["1.000", "–", "–", "3"]
