"""A trained checkpoint answers a release's tasks in the forms that it was trained on."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pixmo.cli.app import main
from pixmo.dataset.reader import Release
from pixmo.errors import TrainingError
from pixmo.evaluate.answerers import Answer
from pixmo.evaluate.answers import Kind, Task, read_answers, tasks
from pixmo.evaluate.checkpoint_answers import CheckpointAnswerer
from pixmo.evaluate.runs import of_release, run
from pixmo.molmo import checkpoint, data, tokenizer
from pixmo.molmo.crops import preprocess
from pixmo.molmo.generate import Request, generate
from pixmo.molmo.model import build
from pixmo.workspace.workspace import Workspace
from tests.molmo_configs import TINY
from tests.releases import Rows, lone_task, write_release
from tests.test_evaluate_release import counting


def long_captions(stem: str, split: str, rows: Rows) -> None:
    """Captions of the train split have three lengths; those held out are all much longer."""
    counting(stem, split, rows)
    for number, row in enumerate(rows if stem == "cap" else []):
        row["caption"] = "x" * (15 * (2, 4, 7)[number] + 3 if split == "train" else 900)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    root = tmp_path / "releases/v1"
    return Release.open(write_release(root, train=3, held_out=2, change_rows=long_captions))


@pytest.fixture
def folder(tmp_path: Path, release: Release) -> Path:
    """A checkpoint of a small model that has learnt nothing, so it says something of anything."""
    texts = [task.question for task in tasks(release, "test")]
    made = tokenizer.train(texts, TINY.vocabulary_size)
    checkpoint.save(tmp_path / "tiny", build(TINY, made.vocabulary_size, 0), made)
    return tmp_path / "tiny"


def expected_prompt(task: Task) -> str:
    """The prompt in training, but for the hint: the middle of 2, 4 and 7."""
    if task.subset == "cap":
        return " long_caption 4:"
    annotation = data.annotation_of(task.subset, task.row, None)
    assert annotation is not None
    return annotation.prompt


def test_each_answer_is_what_the_model_says_to_that_task_alone(
    tmp_path: Path, release: Release, folder: Path
) -> None:
    found = run(of_release(release, "test"), CheckpointAnswerer(folder, release), tmp_path / "runs")
    answers = read_answers(found.folder / "answers.jsonl")
    model, made = checkpoint.load(folder)
    asked = list(tasks(release, "test"))
    assert list(answers) == [task.id for task in asked]
    for task in asked:
        crops = preprocess(Image.open(task.image).convert("RGB"), model.size)
        (alone,) = generate(model, made, [Request(crops, expected_prompt(task))])
        assert answers[task.id] == alone
    assert len(set(answers.values())) > 1
    assert found.folder.name.startswith("evaluate-v1-test-tiny-")
    configuration = json.loads((found.folder / "configuration.json").read_text("utf-8"))
    assert configuration["answerer"]["caption_length_hint"] == " 4"
    assert configuration["source"] == str(folder)


def test_what_is_asked_is_what_was_trained(release: Release, folder: Path) -> None:
    answerer = CheckpointAnswerer(folder, release)
    asked = list(tasks(release, "test"))
    assert [answerer.prompt(task) for task in asked] == [expected_prompt(task) for task in asked]
    assert {answerer.prompt(task).split()[1] for task in asked if task.subset == "points"} == {
        "How",
        "Point",
    }


@pytest.mark.parametrize(
    ("kind", "question", "label", "tag", "put"),
    [
        ("answer", "Who?", "", "", "Who?"),
        ("answer", "Point to whom?", "", "", "Point to whom?"),  # its words say nothing
        ("point", "Point to Red Cars.", "Red Cars", "pointing: ", "Point to red cars"),
        ("count", "How many cars are there?", "cars", "point_count: ", "How many cars are there?"),
        ("count", "How many cars?", "", "point_count: ", "How many cars?"),  # as CountBenchQA
    ],
)
def test_what_is_asked_elsewhere_is_asked_as_its_kind_was_trained(
    folder: Path, kind: Kind, question: str, label: str, tag: str, put: str
) -> None:
    task = lone_task("a.png", question, kind, label)
    assert CheckpointAnswerer(folder).prompt(task) == f" User: {put} Assistant:"
    model, made = checkpoint.load(folder)
    model.stage = "finetune"
    checkpoint.save(folder, model, made)
    assert CheckpointAnswerer(folder).prompt(task) == f" User: {tag}{put} Assistant:"


def test_captions_without_any_to_learn_their_length_from(tmp_path: Path, folder: Path) -> None:
    release = Release.open(write_release(tmp_path / "bare", train=0, held_out=2))
    answerer = CheckpointAnswerer(folder, release)
    assert {answerer.prompt(t) for t in tasks(release, "test") if t.subset == "cap"} == {
        " long_caption:"
    }


def test_what_is_there_is_not_answered_again(
    tmp_path: Path, release: Release, folder: Path
) -> None:
    first = run(of_release(release, "test"), CheckpointAnswerer(folder, release), tmp_path / "runs")
    path = first.folder / "answers.jsonl"
    lines = path.read_text("utf-8").splitlines()
    kept = [json.dumps({"id": json.loads(line)["id"], "answer": "kept"}) for line in lines[:4]]
    path.write_text("\n".join([*kept, lines[4], lines[5][:20]]), "utf-8")
    again = run(of_release(release, "test"), CheckpointAnswerer(folder, release), tmp_path / "runs")
    assert again.folder == first.folder
    assert path.read_text("utf-8").splitlines() == [*kept, *lines[4:]]


def test_other_weights_are_another_answerer(tmp_path: Path, release: Release, folder: Path) -> None:
    _, made = checkpoint.load(folder)
    before = CheckpointAnswerer(folder, release).options
    checkpoint.save(folder, build(TINY, made.vocabulary_size, 1), made)
    assert CheckpointAnswerer(folder, release).options != before


def test_what_cannot_be_used_is_named(tmp_path: Path, release: Release) -> None:
    with pytest.raises(TrainingError, match="nowhere holds no checkpoint"):
        CheckpointAnswerer(tmp_path / "nowhere", release)


def test_a_task_whose_image_is_broken_is_set_aside(tmp_path: Path, folder: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "whole.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "whole.png").read_bytes()[:-30])
    asked = [
        replace(lone_task(str(tmp_path / f"{name}.png"), "What?"), id=name)
        for name in ("broken", "whole")
    ]
    kept: list[Answer] = []
    CheckpointAnswerer(folder).answer(asked, kept.append)
    broken, whole = kept
    assert broken == Answer("broken", "", not_put="an image cannot be read")
    assert (whole.id, whole.not_put) == ("whole", "")
    assert whole.answer


def test_the_command_asks_a_checkpoint(
    release: Release,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    workspace = Workspace.open(folder.parent)
    workspace.runs.mkdir()
    folder.rename(workspace.runs / "my-training")
    words = ["evaluate", "-w", str(workspace.root), "--model", "my-training", "--json"]
    monkeypatch.setattr(sys, "argv", ["pixmo", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    (kept,) = workspace.runs.glob("evaluate-*")
    shown = json.loads(capsys.readouterr().out)
    assert json.loads((kept / "evaluation.json").read_text("utf-8")) == shown
    assert len(read_answers(kept / "answers.jsonl")) == len(list(tasks(release, "test")))
