"""A benchmark's questions reach a model as they are published, whoever answers, and are kept."""

import io
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pixmo.cli.app import main
from pixmo.evaluate.answers import Task, evaluate
from pixmo.evaluate.benchmarks import named
from pixmo.evaluate.endpoint_answers import EndpointAnswerer, shows
from pixmo.evaluate.runs import Asked, of_benchmark, run
from pixmo.language_models.asking import ModelServer
from pixmo.molmo import checkpoint, tokenizer
from pixmo.molmo.crops import preprocess
from pixmo.molmo.generate import Request, generate
from pixmo.molmo.model import build
from pixmo.workspace.workspace import Workspace
from tests.benchmark_samples import (
    CHART_QA,
    MMMU_MATH,
    QUESTIONS,
    no_bars,
    png,
    write,
    write_sample,
)
from tests.local_model_server import MODEL, Answer, LocalModelServer
from tests.molmo_configs import TINY
from tests.releases import lone_task

__all__ = ["no_bars"]  # a fixture that every test uses
pytestmark = pytest.mark.usefixtures("quick")

TWO_IMAGES = QUESTIONS["mmmu"]


def asked_of(root: Path) -> Asked:
    """MMMU's three questions: one on two images, the second of them named first."""
    write_sample(root / "copy", "mmmu")
    return of_benchmark(named("mmmu"), root / ".cache/benchmarks", str(root / "copy"))


def answerer(url: str) -> EndpointAnswerer:
    server = ModelServer(url, MODEL, max_tokens=77, timeout_seconds=10.0)
    return EndpointAnswerer(server, "answer", Path("nowhere"), 1536)


def pixels(file: bytes) -> bytes:
    return Image.open(io.BytesIO(file)).convert("RGB").tobytes()


def test_a_server_is_shown_every_image_where_the_question_names_it(
    tmp_path: Path, server: LocalModelServer
) -> None:
    asked = asked_of(tmp_path)
    said = {task.question: text for task, text in zip(asked.tasks, MMMU_MATH[2], strict=True)}
    server.reply = lambda request: Answer(said[request.words])  # to the very question alone
    found = run(asked, answerer(server.base_url), tmp_path / "runs")
    assert (found.evaluation.data, found.evaluation.split) == ("mmmu", "validation")
    assert [one.mean.value for one in found.evaluation.measures] == [2 / 3]
    assert (found.evaluation.missing, found.not_put) == (0, {})
    (request,) = [one for one in server.requests if one.words == TWO_IMAGES]
    parts = request.messages[-1]
    assert [part.get("text") for part in parts] == [
        "Which of [image 2]",
        None,
        " and [image 1]",
        None,
        TWO_IMAGES.partition(" and [image 1]")[2],
    ]
    assert [pixels(file) for file in request.image_files] == [pixels(png(30)), pixels(png(10))]
    again = run(asked_of(tmp_path), answerer(server.base_url), tmp_path / "runs")
    assert (again.folder, len(server.requests)) == (found.folder, 3)
    assert again.folder.name.startswith("evaluate-mmmu-validation-gpt-small-")


def order(message: Mapping[str, Any]) -> str:
    """A message's parts, an image by its address."""
    parts = message["content"]
    return "|".join(part["text"] if "text" in part else part["image_url"]["url"] for part in parts)


def test_an_image_stands_behind_the_first_words_that_name_it() -> None:
    assert order(shows(["a"], "See [image 1]?")) == "a|See [image 1]?"
    assert order(shows(["a", "b"], "Same?")) == "a|b|Same?"
    assert order(shows(["a", "b"], "Is [image 2] red?")) == "a|Is [image 2]|b| red?"
    assert order(shows(["a", "b"], "[image 1] or [image 1], [image 9], [image 2]")) == (
        "[image 1]|a| or [image 1], [image 9], [image 2]|b"
    )


def test_who_is_to_point_or_to_count_is_told_how(tmp_path: Path, server: LocalModelServer) -> None:
    (tmp_path / "a.png").write_bytes(png(1))
    server.reply = lambda _: Answer("x")
    ask = partial(lone_task, str(tmp_path / "a.png"))
    tasks = [
        ask("Point to cats.", "point"),
        ask("How many?", "count"),
        ask("Point to which sea?", "answer"),  # as its kind says, not its words
    ]
    for task in tasks:
        answerer(server.base_url).answer([task], lambda _: None)
    pointing, counting, asking = (request.words for request in server.requests)
    assert pointing.startswith("Point to cats.\n\nAnswer with points only.")
    assert counting.startswith("How many?\n\nAnswer with one short sentence")
    assert asking == "Point to which sea?"


def asked_alone(task: Task) -> Asked:
    score = partial(evaluate, "b", "test", (task,))
    return Asked("b", "test", "b.json", "", "0" * 64, (task,), score)


def test_a_task_whose_image_was_away_is_put_when_it_is_here(
    tmp_path: Path, server: LocalModelServer
) -> None:
    server.reply = lambda _: Answer("yes")
    task = lone_task("https://example.org/a.png", "Is it red?")
    away = run(asked_alone(task), answerer(server.base_url), tmp_path / "runs")
    assert (away.not_put, away.evaluation.missing) == ({"an image is not here": 1}, 1)
    assert away.summary["not_put"] == {"an image is not here": 1}
    assert server.requests == []
    (tmp_path / "a.png").write_bytes(png(1))
    here = replace(task, image=str(tmp_path / "a.png"))
    found = run(asked_alone(here), answerer(server.base_url), tmp_path / "runs")
    assert (found.folder, found.not_put, found.evaluation.missing) == (away.folder, {}, 0)
    assert json.loads((found.folder / "answers.jsonl").read_text("utf-8")) == {
        "id": "1",
        "answer": "yes",
        "finish_reason": "stop",
    }


def test_a_row_whose_image_is_broken_is_set_aside_and_the_rest_is_asked(
    tmp_path: Path, server: LocalModelServer
) -> None:
    columns, rows, *_ = CHART_QA
    cut_short = {"bytes": rows[1]["image"]["bytes"][:-30], "path": None}
    no_image = {"bytes": b"no image", "path": None}
    broken = [rows[0], rows[1] | {"image": cut_short}, rows[2] | {"image": no_image}]
    write(tmp_path / "copy", columns, broken, "test")
    server.reply = lambda _: Answer("14")
    for requests in (1, 1):  # the second run sees again, and asks nothing
        asked = of_benchmark(named("chartqa"), tmp_path / "images", str(tmp_path / "copy"))
        found = run(asked, answerer(server.base_url), tmp_path / "runs")
        assert found.not_put == {"an image cannot be read": 2}
        assert [one.mean.value for one in found.evaluation.measures] == [1 / 3]
        assert len(server.requests) == requests


def test_the_command_asks_a_checkpoint_what_is_on_one_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = Workspace.init(tmp_path)
    asked = asked_of(tmp_path)
    made = tokenizer.train([task.question for task in asked.tasks], TINY.vocabulary_size)
    model = build(TINY, made.vocabulary_size, 0)
    checkpoint.save(tmp_path / "tiny", model, made)
    words = ["evaluate", "-w", str(tmp_path), "--benchmark", "mmmu"]
    words += ["--data", str(tmp_path / "copy"), "--model", str(tmp_path / "tiny")]
    monkeypatch.setattr(sys, "argv", ["pixmo", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("mmmu/validation: 3 tasks, ")
    assert "1 task not asked, and counted as wrong: it is on several images" in shown.err
    (folder,) = workspace.runs.iterdir()
    lines = (folder / "answers.jsonl").read_text("utf-8").splitlines()
    two, *single = map(json.loads, lines)
    assert two == {"id": asked.tasks[0].id, "answer": "", "not_put": "it is on several images"}
    for task, kept in zip(asked.tasks[1:], single, strict=True):
        crops = preprocess(Image.open(task.image).convert("RGB"), model.size)
        prompt = f" User: {task.question} Assistant:"
        (alone,) = generate(*checkpoint.load(tmp_path / "tiny"), [Request(crops, prompt)])
        assert kept == {"id": task.id, "answer": alone}
    assert json.loads((folder / "evaluation.json").read_text("utf-8"))["data"] == "mmmu"
