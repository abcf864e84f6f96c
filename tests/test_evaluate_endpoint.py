"""A model behind a real server is put every task with its image, once, whatever happens."""

import fcntl
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pixmo.dataset.reader import Release
from pixmo.errors import EvaluationError, LanguageModelError, SettingsError
from pixmo.evaluate.answerers import Answer as Said
from pixmo.evaluate.answers import Task, read_answers, tasks
from pixmo.evaluate.endpoint_answers import SMALL_SIDE, EndpointAnswerer
from pixmo.evaluate.runs import Run, alone_in, of_release, run
from pixmo.hashing import sha256_file
from pixmo.language_models.asking import ModelServer
from pixmo.resources import shared
from pixmo.workspace.workspace import Workspace
from tests.conftest import run_pixmo
from tests.local_model_server import MODEL, Answer, LocalModelServer, Request, fault
from tests.releases import lone_task, write_release
from tests.test_evaluate_release import counting, true_answer

pytestmark = pytest.mark.usefixtures("quick")

TASKS = 10
ORIENTATION = 274  # the EXIF tag


def write_small(root: Path) -> Path:
    return write_release(root, train=2, held_out=2, change_rows=counting)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release.open(write_small(tmp_path / "v1"))


def answerer(url: str, own: Path = Path("nowhere"), **values: Any) -> EndpointAnswerer:
    longest_side = values.pop("longest_side", 1536)
    known = {"model": MODEL, "max_tokens": 77, "concurrency": 4, "timeout_seconds": 10.0}
    return EndpointAnswerer(ModelServer(url, **(known | values)), "answer", own, longest_side)


def who_sees(release: Release) -> Callable[[Request], Task]:
    """Which task is put, by the pixels of its picture and the words of its question."""
    known: dict[bytes, list[Task]] = {}
    for task in tasks(release, "test"):
        known.setdefault(Image.open(task.image).convert("RGB").tobytes(), []).append(task)

    def see(request: Request) -> Task:
        of_picture = known[request.image.tobytes()]
        (task,) = [task for task in of_picture if request.words.startswith(task.question)]
        return task

    return see


def who_knows(release: Release) -> Callable[[Request], Answer]:
    """A model that sees the picture and answers what is asked of it."""
    see = who_sees(release)
    return lambda request: Answer(true_answer(see(request)))


def scores(found: Run) -> set[float]:
    return {one.mean.value for one in found.evaluation.measures}


def test_a_model_that_looks_gets_every_point(
    tmp_path: Path, release: Release, server: LocalModelServer
) -> None:
    server.reply, server.delay = who_knows(release), 0.02
    found = run(of_release(release, "test"), answerer(server.base_url), tmp_path / "runs")
    assert scores(found) == {1.0}
    assert (found.evaluation.tasks, found.evaluation.missing, found.refused) == (TASKS, 0, 0)
    assert len(server.requests) == TASKS
    assert server.most_in_flight == 4
    kept = read_answers(found.folder / "answers.jsonl")
    assert list(kept) == [task.id for task in tasks(release, "test")]
    assert json.loads((found.folder / "evaluation.json").read_text("utf-8")) == found.summary


def test_what_is_sent(tmp_path: Path, release: Release, server: LocalModelServer) -> None:
    server.reply = lambda _: Answer("x")
    run(of_release(release, "test"), answerer(server.base_url), tmp_path / "runs")
    for request in server.requests:
        body = dict(request.body)
        [message] = body.pop("messages")
        assert body == {"model": MODEL, "max_tokens": 77, "temperature": 0.0}
        assert [part["type"] for part in message["content"]] == ["image_url", "text"]
        assert message["role"] == "user"
    said = [request.words for request in server.requests]
    pointed = [words for words in said if words.startswith("Point to ")]
    assert len(pointed) == 2
    assert all('<point x="12.5" y="80.0" alt="dog">dog</point>' in words for words in pointed)
    counted = [words for words in said if words.startswith("How many ")]
    assert len(counted) == 2
    assert not any("<point" in words for words in counted)
    assert "What is on the left?" in said


def test_a_temperature_of_less_than_nothing_is_not_sent(
    tmp_path: Path, release: Release, server: LocalModelServer
) -> None:
    server.reply = lambda _: Answer("x")
    run(of_release(release, "test"), answerer(server.base_url, temperature=-1.0), tmp_path / "runs")
    assert all("temperature" not in request.body for request in server.requests)


def shown(server: LocalModelServer, path: Path, longest_side: int = 1536) -> Request:
    """What a server is sent of the image in a file."""
    server.reply = lambda _: Answer("x")
    task = lone_task(str(path), "What?")
    answerer(server.base_url, longest_side=longest_side).answer([task], lambda _: None)
    return server.requests[-1]


def test_an_image_is_sent_upright_and_no_larger_than_allowed(
    tmp_path: Path, server: LocalModelServer
) -> None:
    lying = Image.new("RGB", (120, 60), "blue")
    lying.paste("red", (0, 0, 60, 60))
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be turned a quarter to the right: the left is then the top
    exif[270] = "a secret"
    lying.save(tmp_path / "turned.jpg", exif=exif)
    request = shown(server, tmp_path / "turned.jpg", longest_side=80)
    assert (request.image.size, request.image.format) == ((40, 80), "JPEG")
    top, bottom = (request.image.getpixel((20, y)) for y in (10, 70))
    assert isinstance(top, tuple)
    assert isinstance(bottom, tuple)
    assert top[0] > 200 > 50 > top[2]
    assert bottom[2] > 200 > 50 > bottom[0]
    assert not request.image.getexif()
    assert b"a secret" not in request.image_file


def test_an_image_without_loss_is_sent_without_loss(
    tmp_path: Path, server: LocalModelServer
) -> None:
    noise = Image.effect_noise((50, 30), 80).convert("RGB")
    noise.save(tmp_path / "noise.png")
    request = shown(server, tmp_path / "noise.png")
    assert (request.image.format, request.image.tobytes()) == ("PNG", noise.tobytes())


def test_a_task_without_its_image_is_not_put(server: LocalModelServer) -> None:
    away = lone_task("https://example.org/a.png", "What?")
    kept: list[Said] = []
    answerer(server.base_url).answer([away], kept.append)
    assert kept == [Said("1", "", not_put="an image is not here")]
    assert server.requests == []


def test_only_what_is_missing_is_asked_again(
    tmp_path: Path, release: Release, server: LocalModelServer
) -> None:
    look = who_knows(release)
    server.reply = lambda r: look(r) if r.number < 4 else fault(401, "key revoked")
    with pytest.raises(LanguageModelError, match="key revoked"):
        run(
            of_release(release, "test"), answerer(server.base_url, concurrency=1), tmp_path / "runs"
        )
    (folder,) = (tmp_path / "runs").iterdir()
    assert len(read_answers(folder / "answers.jsonl")) == 4
    assert not (folder / "evaluation.json").exists()
    before, server.reply = len(server.requests), look
    found = run(
        of_release(release, "test"), answerer(server.base_url, concurrency=3), tmp_path / "runs"
    )
    assert (found.folder, len(server.requests) - before) == (folder, TASKS - 4)
    assert scores(found) == {1.0}
    run(of_release(release, "test"), answerer(server.base_url), tmp_path / "runs")
    assert len(server.requests) - before == TASKS - 4


@pytest.mark.parametrize("values", [{"max_tokens": 78}, {"model": "other"}, {"longest_side": 64}])
def test_what_decides_an_answer_names_the_folder(
    tmp_path: Path, release: Release, server: LocalModelServer, values: dict[str, Any]
) -> None:
    server.reply = lambda _: Answer("x")
    one = run(of_release(release, "test"), answerer(server.base_url), tmp_path / "runs")
    other = run(of_release(release, "test"), answerer(server.base_url, **values), tmp_path / "runs")
    assert one.folder != other.folder
    assert len(server.requests) == 2 * TASKS


def test_another_prompt_asks_again_and_the_configuration_says_which(
    tmp_path: Path, release: Release, server: LocalModelServer
) -> None:
    server.reply = lambda _: Answer("x")
    one = run(of_release(release, "test"), answerer(server.base_url), tmp_path / "runs")
    shipped = shared("pipelines/prompts/answer.md")
    mine = tmp_path / "prompts/answer.md"
    mine.parent.mkdir()
    mine.write_text(shipped.read_text("utf-8").replace("only one", "one") + "\n", "utf-8")
    other = run(of_release(release, "test"), answerer(server.base_url, tmp_path), tmp_path / "runs")
    assert len(server.requests) == 2 * TASKS
    for found, path in ((one, shipped), (other, mine)):
        configuration = json.loads((found.folder / "configuration.json").read_text("utf-8"))
        assert configuration["answerer"]["prompt_sha256"] == sha256_file(path)
        assert configuration["sha256"] == sha256_file(release.root / "manifest.json")
        assert configuration["data"] == str(release.root)
        assert configuration["source"] == server.base_url
        assert "exact-2" in configuration["measures"]
        assert configuration["split"] == "test"


def test_a_prompt_that_does_not_put_the_question_is_refused(tmp_path: Path) -> None:
    mine = tmp_path / "prompts/answer.md"
    mine.parent.mkdir()
    shipped = shared("pipelines/prompts/answer.md").read_text("utf-8")
    mine.write_text(shipped.replace("$question", "Hm?"), "utf-8")
    with pytest.raises(SettingsError, match=r"# Describe does not say \$question"):
        answerer("http://127.0.0.1:1/v1", tmp_path)


@pytest.mark.parametrize("poisoned", [0, 3])  # the first one: nothing was answered before it
def test_a_refused_task_is_kept_with_its_reason_and_counts_as_wrong(
    tmp_path: Path, release: Release, server: LocalModelServer, poisoned: int
) -> None:
    see, look = who_sees(release), who_knows(release)
    asked = list(tasks(release, "test"))[poisoned]
    small: list[Request] = []

    def strict(request: Request) -> Answer:
        if request.words == "Answer with one word: which colour is this?":
            small.append(request)
            return Answer("white")
        return fault(400, "I must not") if see(request).id == asked.id else look(request)

    server.reply = strict
    found = run(
        of_release(release, "test"), answerer(server.base_url, concurrency=1), tmp_path / "runs"
    )
    assert (found.refused, found.evaluation.missing) == (1, 1)
    lines = (found.folder / "answers.jsonl").read_text("utf-8").splitlines()
    refused = [line for line in map(json.loads, lines) if line.get("refused")]
    assert refused == [{"id": asked.id, "answer": "", "refused": "error I must not"}]
    assert min(scores(found)) < 1.0
    assert [one.image.size for one in small] == ([] if poisoned else [(SMALL_SIDE, SMALL_SIDE)])
    before = len(server.requests)
    again = run(of_release(release, "test"), answerer(server.base_url), tmp_path / "runs")
    assert (again.refused, len(server.requests)) == (1, before)


def test_a_model_that_takes_no_image_is_one_clear_error(
    tmp_path: Path, release: Release, server: LocalModelServer
) -> None:
    server.reply = lambda _: fault(400, "this model takes text only")
    with pytest.raises(LanguageModelError, match="takes text only"):
        run(of_release(release, "test"), answerer(server.base_url), tmp_path / "runs")
    assert not list((tmp_path / "runs").iterdir())  # nothing was answered


def test_a_task_that_got_no_answer_is_asked_in_the_next_run(
    tmp_path: Path, release: Release, server: LocalModelServer
) -> None:
    see, look = who_sees(release), who_knows(release)
    asked = next(task for task in tasks(release, "test") if task.subset == "cap")

    def crashing(request: Request) -> Answer:
        return fault(500, "crash") if see(request).id == asked.id else look(request)

    server.reply = crashing
    found = run(of_release(release, "test"), answerer(server.base_url), tmp_path / "runs")
    assert (found.refused, found.evaluation.missing) == (0, 1)
    assert asked.id not in read_answers(found.folder / "answers.jsonl")
    before, server.reply = len(server.requests), look
    assert scores(
        run(of_release(release, "test"), answerer(server.base_url), tmp_path / "runs")
    ) == {1.0}
    assert len(server.requests) - before == 1


def test_an_answer_that_says_nothing_is_asked_for_again(
    tmp_path: Path, release: Release, server: LocalModelServer
) -> None:
    look = who_knows(release)
    server.reply = lambda r: look(r) if r.number else Answer(" ")
    found = run(of_release(release, "test"), answerer(server.base_url), tmp_path / "runs")
    assert (found.evaluation.missing, len(server.requests)) == (1, TASKS)
    again = run(of_release(release, "test"), answerer(server.base_url), tmp_path / "runs")
    assert (again.evaluation.missing, len(server.requests)) == (0, TASKS + 1)
    assert scores(again) == {1.0}


def test_answers_that_were_cut_off_are_counted(
    tmp_path: Path, release: Release, server: LocalModelServer
) -> None:
    look = who_knows(release)
    server.reply = lambda r: replace(look(r), finish_reason="stop" if r.number else "length")
    for _ in range(2):  # the second time they are read from the file
        found = run(of_release(release, "test"), answerer(server.base_url), tmp_path / "runs")
        assert (found.cut, found.summary["cut"], len(server.requests)) == (1, 1, TASKS)


def test_a_busy_server_is_waited_for(
    tmp_path: Path, release: Release, server: LocalModelServer
) -> None:
    look, busy = who_knows(release), fault(429, "slow down", retry_after="1")
    server.reply = lambda r: look(r) if r.number else busy
    found = run(
        of_release(release, "test"), answerer(server.base_url, concurrency=1), tmp_path / "runs"
    )
    assert scores(found) == {1.0}
    assert server.requests[1].arrived - server.requests[0].arrived > 0.9


def test_a_server_that_is_not_there(tmp_path: Path, release: Release) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/v1"
        with pytest.raises(LanguageModelError, match=r"does not answer, 3 times.*--endpoint right"):
            run(of_release(release, "test"), answerer(url), tmp_path / "runs")
    assert not list((tmp_path / "runs").iterdir())


def test_what_was_answered_before_a_server_went_away_is_kept(
    tmp_path: Path, release: Release, server: LocalModelServer
) -> None:
    server.reply = lambda r: fault(401, "no key") if r.number > 2 else Answer("x")
    asker = answerer(server.base_url, concurrency=1)
    with pytest.raises(LanguageModelError):
        run(of_release(release, "test"), asker, tmp_path / "runs")
    (folder,) = (tmp_path / "runs").iterdir()
    assert len(read_answers(folder / "answers.jsonl")) == 3


def test_two_at_once_are_told_so(
    tmp_path: Path, release: Release, server: LocalModelServer
) -> None:
    server.reply = lambda _: Answer("x")
    found = run(of_release(release, "test"), answerer(server.base_url), tmp_path / "runs")
    with (
        alone_in(found.folder),
        pytest.raises(EvaluationError, match="another pixmo is at the evaluation in"),
    ):
        run(of_release(release, "test"), answerer(server.base_url), tmp_path / "runs")


def test_a_folder_that_went_while_it_was_opened_is_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda *_: (tmp_path / "run/.lock").unlink())
    with (
        pytest.raises(EvaluationError, match="another pixmo is at the evaluation in"),
        alone_in(tmp_path / "run"),
    ):
        pass


def test_the_command_killed_and_run_again_asks_only_what_is_missing(
    tmp_path: Path, server: LocalModelServer, pixmo: Path
) -> None:
    workspace = Workspace.init(tmp_path)
    release = Release.open(write_small(workspace.releases / "v1"))
    (tmp_path / "pixmo.toml").write_text("[evaluate]\nconcurrency = 1\nmax_tokens = 9\n", "utf-8")
    look, go_on = who_knows(release), threading.Event()

    def five_then_none(request: Request) -> Answer:
        if request.number == 5:
            go_on.wait(30)
        return look(request)

    server.reply = five_then_none
    words = ["evaluate", "v1", "--endpoint", server.base_url, "--endpoint-model", "a/b c"]
    process = subprocess.Popen([pixmo, *words], cwd=tmp_path)
    end = time.monotonic() + 30
    while len(server.requests) < 6 and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    go_on.set()
    (folder,) = workspace.runs.iterdir()
    assert folder.name.startswith("evaluate-v1-test-a-b-c-")
    with (folder / "answers.jsonl").open("ab") as file:
        file.write(b'\n{"id": "cut sho')  # as a kill within a write leaves it
    result = run_pixmo(pixmo, *words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert len(server.requests) == TASKS + 1  # the one on its way, again
    assert {request.body["max_tokens"] for request in server.requests} == {9}
    assert result.stdout.startswith(f"v1/test: {TASKS} tasks, 0 without an answer\n")
    assert f"kept in runs/{folder.name}" in result.stdout
    found = json.loads((folder / "evaluation.json").read_text("utf-8"))
    assert {measure["mean"]["value"] for measure in found["measures"]} == {1.0}
    assert len(read_answers(folder / "answers.jsonl")) == TASKS
    alone = run_pixmo(pixmo, "evaluate", "v1", "--endpoint", server.base_url, cwd=tmp_path)
    assert alone.stderr == "pixmo: --endpoint URL and --endpoint-model NAME belong together\n"
    needless = ("--benchmark", "chartqa", "--answers", "answers.jsonl", "--judge")
    refused = run_pixmo(pixmo, "evaluate", *needless, cwd=tmp_path)
    assert refused.stderr == "pixmo: --judge judges captions, and no benchmark asks for one\n"
