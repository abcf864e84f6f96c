"""The AskModelAnything loop on a real Label Studio, with a real small language-model server."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFont

from pixmo.errors import LanguageModelError, SettingsError
from pixmo.execution.progress import SILENT
from pixmo.files import appended_objects
from pixmo.images.store import add_images
from pixmo.label.image_texts import image_texts, rapid_ocr
from pixmo.label.ingest import ingest
from pixmo.label.pull import pull
from pixmo.label.push import push
from pixmo.label.rounds import answer_questions, questions, to_judge
from pixmo.label.studio import Studio, connected
from pixmo.speech.captioning.captions import write_captions
from pixmo.speech.written import add_written
from pixmo.workspace.workspace import Workspace
from tests.label_studio_exports import annotation, answer_verdict, result, write_export
from tests.label_studio_exports import task as exported_task
from tests.label_studio_server import TOKEN, Server
from tests.local_model_server import Answer, LocalModelServer, Request
from tests.workspaces import picture

pytestmark = pytest.mark.slow  # real servers or a real browser

SAID = "A harbour with three blue boats and a lighthouse in the evening."
PATIENCE_SECONDS = 30.0
REMARK = "There are three boats, not two."


@pytest.fixture
def workspace(
    label_studio: Server,
    server: LocalModelServer,
    quick: None,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Workspace:
    """Two images with captions; one has a sign that can be read."""
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    root = label_studio.document_root / request.node.name
    (root / "images").mkdir(parents=True)
    sign = Image.new("RGB", (640, 480), "white")
    ImageDraw.Draw(sign).text((60, 180), "BOAT HIRE", "black", ImageFont.load_default(90))
    sign.save(root / "images/harbour.png")
    picture(2).save(root / "images/other.png")
    (root / "pixmo.toml").write_text(
        f'[label_studio]\nurl = "{label_studio.url}"\n'
        f'document_root = "{label_studio.document_root}"\n'
        f'[answer]\nbase_url = "{server.base_url}"\nmodel = "m"\nmax_rounds = 2\n'
    )
    workspace = Workspace.open(root)
    add_images(workspace, workspace.images)
    written = root / "written.jsonl"
    said = {"harbour.png": SAID, "other.png": "Squares of many colours, side by side."}
    lines = [json.dumps({"image": image, "text": text}) for image, text in said.items()]
    written.write_text("\n".join(lines))
    add_written(workspace, written)
    write_captions(workspace)
    return workspace


@pytest.fixture
def studio(label_studio: Server, workspace: Workspace) -> Iterator[Studio]:
    with connected(label_studio.url) as reached:
        yield reached


def ask(label_studio: Server, workspace: Workspace, studio: Studio, *questions: str) -> None:
    """People have asked these questions about the images, in their order."""
    pushed = push(workspace, studio, "questions")
    tasks = list(label_studio.client.tasks.list(project=pushed.project, fields="all"))
    for task, question in zip(tasks, questions, strict=False):
        asked = result("asked_question", "image", "textarea", {"text": [question]})
        label_studio.annotate(task.id, asked)
    assert pull(workspace, studio, "questions").questions == len(questions)


def judge(
    label_studio: Server, workspace: Workspace, studio: Studio, verdict: str, *more: Any
) -> Any:
    """A person has judged the one answer that waits; returns its task."""
    project = push(workspace, studio, "ama").project
    tasks = label_studio.client.tasks.list(project=project, fields="all")
    (task,) = [task for task in tasks if not task.total_annotations]
    label_studio.annotate(task.id, answer_verdict(verdict), *more)
    assert pull(workspace, studio, "ama").answers == 1
    return task


def remark(text: str) -> dict[str, Any]:
    return result("answer_remarks", "answer", "textarea", {"text": [text]})


def turns(request: Request) -> list[str]:
    return [f"{one['role']}: {one['content']}" for one in request.body["messages"]]


def test_an_answer_is_asked_for_until_it_is_accepted(
    label_studio: Server, workspace: Workspace, studio: Studio, server: LocalModelServer
) -> None:
    ask(label_studio, workspace, studio, "How many boats are there?")
    server.reply = lambda _: Answer("Two." if len(server.requests) == 1 else "Three.")
    first = answer_questions(workspace, rapid_ocr())
    assert (first.answered, first.waiting) == (1, 1)
    assert answer_questions(workspace, rapid_ocr()).answered == 0  # it waits for a person
    task = judge(label_studio, workspace, studio, "reject", remark(REMARK))
    assert task.data["answer"] == "Two."
    (shown,) = label_studio.client.predictions.list(task=task.id)
    assert shown.model_version == "m"
    assert shown.result[0]["value"] == {"text": ["Two."]}
    second = answer_questions(workspace, rapid_ocr())
    assert (second.answered, second.waiting) == (1, 1)
    judge(label_studio, workspace, studio, "accept")
    last = answer_questions(workspace, rapid_ocr())
    assert (last.answered, last.waiting, last.accepted, last.given_up) == (0, 0, 1, 0)
    one, two = server.requests
    # Words alone: what people said, what stands in the image, and the earlier round.
    assert all(isinstance(message["content"], str) for message in one.body["messages"])
    assert SAID in turns(one)[1]
    assert "BOAT HIRE" in turns(one)[1].upper()
    assert "How many boats are there?" in turns(one)[1]
    assert turns(two)[:2] == turns(one)
    assert turns(two)[2] == "assistant: Two."
    assert REMARK in turns(two)[3]
    rounds = workspace.read("answer_rounds").to_pylist()
    assert [(row["round"], row["answer"]) for row in rounds] == [(1, "Two."), (2, "Three.")]
    with workspace.connect() as connection:
        kept = connection.execute(
            "select question, answer, verdict, remarks from current_answers order by updated_at"
        ).fetchall()
    question = "How many boats are there?"
    assert kept == [(question, "Two.", "reject", REMARK), (question, "Three.", "accept", None)]


def test_a_question_is_given_up_after_the_last_round(
    label_studio: Server, workspace: Workspace, studio: Studio, server: LocalModelServer
) -> None:
    ask(label_studio, workspace, studio, "What is it?")
    server.reply = lambda _: Answer("A cat.")
    for _ in range(2):
        assert answer_questions(workspace, None).answered == 1
        judge(label_studio, workspace, studio, "reject")
    assert answer_questions(workspace, None).given_up == 1
    assert len(server.requests) == 2


def test_no_answer_is_lost_when_another_fails(
    label_studio: Server, workspace: Workspace, studio: Studio, server: LocalModelServer
) -> None:
    ask(label_studio, workspace, studio, "What is it?", "Where is it?")
    fails, _ = (one.question for one in questions(workspace))  # in the order they are asked in
    journal = workspace.root / "tables/answer_rounds/journal.jsonl"

    def reply(request: Request) -> Answer:
        if fails not in request.words:
            return Answer("A harbour.")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (journal.exists() and "A harbour." in journal.read_text("utf-8")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return Answer(None, 401, {"error": {"message": "no such key"}})

    server.reply = reply
    with pytest.raises(LanguageModelError, match="OPENAI_API_KEY"):
        answer_questions(workspace, None)
    assert [row["answer"] for row in workspace.read("answer_rounds").to_pylist()] == ["A harbour."]
    server.reply = lambda _: Answer("On the left.")
    done = answer_questions(workspace, None)
    assert (done.answered, done.waiting) == (1, 2)


def test_a_kill_loses_no_answer(
    label_studio: Server,
    workspace: Workspace,
    studio: Studio,
    server: LocalModelServer,
    pixmo: Path,
) -> None:
    ask(label_studio, workspace, studio, "What is it?", "Where is it?")
    release = threading.Event()

    def reply(request: Request) -> Answer:
        if "Where" in request.words:
            release.wait(PATIENCE_SECONDS)
        return Answer("A harbour.")

    server.reply = reply
    command = [str(pixmo), "label", "answer", "--no-ocr", "-w", str(workspace.root)]
    journal = workspace.table("answer_rounds").folder / "journal.jsonl"
    with subprocess.Popen(command) as killed:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not list(appended_objects(journal)):
            assert killed.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        killed.kill()
    release.set()
    assert not workspace.read("answer_rounds").num_rows
    asked_before = len(server.requests)
    done = answer_questions(workspace, None)
    assert (done.answered, done.waiting) == (1, 2)
    assert len(server.requests) == asked_before + 1
    assert not journal.exists()


def test_a_skipped_answer_waits_for_others_and_a_deleted_question_for_nobody(
    label_studio: Server, workspace: Workspace, studio: Studio, server: LocalModelServer
) -> None:
    ask(label_studio, workspace, studio, "What is it?")
    server.reply = lambda _: Answer("A cat.")
    answer_questions(workspace, None)
    project = push(workspace, studio, "ama").project
    (task,) = label_studio.client.tasks.list(project=project, fields="all")
    label_studio.annotate(task.id, was_cancelled=True)
    assert pull(workspace, studio, "ama").answers == 0
    assert [row["question"] for row in to_judge(workspace)] == ["What is it?"]
    with workspace.connect() as connection:
        (asked,) = connection.execute(
            "select annotation_json::json ->> 'id' from current_annotations"
            " where subset = 'questions'"
        ).fetchall()
    label_studio.client.annotations.delete(int(asked[0]))
    assert pull(workspace, studio, "questions").deleted == 1
    assert list(to_judge(workspace)) == []


def test_a_question_about_an_image_of_which_nothing_is_known_waits(
    workspace: Workspace, studio: Studio, server: LocalModelServer
) -> None:
    data = {"image": "x.png", "image_sha256": "0" * 64, "invitation": "Ask", "pixmo_id": "q"}
    asked = result("asked_question", "image", "textarea", {"text": ["Why?"]})
    export = [exported_task(1, data, annotation(1, [asked]))]
    assert ingest(workspace, [write_export(workspace.exports / "e.json", export)]).questions == 1
    done = answer_questions(workspace, None)
    assert (done.answered, done.nothing_known, server.requests) == (0, 1, [])


def test_an_empty_answer_is_set_aside_and_asked_for_again(
    label_studio: Server, workspace: Workspace, studio: Studio, server: LocalModelServer
) -> None:
    ask(label_studio, workspace, studio, "What is it?")
    server.reply = lambda _: Answer("  \n")
    assert answer_questions(workspace, None).without_answer == 1
    assert {item.reason for item in workspace.still_set_aside()} == {"no answer to a question"}
    server.reply = lambda _: Answer("A harbour.")
    assert answer_questions(workspace, None).answered == 1


def test_a_model_must_be_named(workspace: Workspace) -> None:
    toml = workspace.root / "pixmo.toml"
    toml.write_text(toml.read_text().replace('model = "m"', ""))
    with pytest.raises(SettingsError, match=r"\[answer\] model is empty"):
        answer_questions(Workspace.open(workspace.root), None)


def test_text_in_an_image_is_read_once(workspace: Workspace) -> None:
    read, name = rapid_ocr()
    images = [row["image_sha256"] for row in workspace.read("images").to_pylist()]
    found = image_texts(workspace, images, read, name, SILENT)
    assert sorted(text.upper().replace(" ", "") for text in found.values()) == ["", "BOATHIRE"]

    def fails(_: object) -> list[str]:
        raise AssertionError("it was read before")

    assert image_texts(workspace, images, fails, name, SILENT) == found


def test_a_broken_image_is_set_aside(workspace: Workspace) -> None:
    (workspace.images / "other.png").write_bytes(b"no image any more")
    images = [row["image_sha256"] for row in workspace.read("images").to_pylist()]
    found = image_texts(workspace, images, lambda _: ["seen"], "a reader for tests", SILENT)
    assert sorted(found.values()) == ["", "seen"]
    (item,) = workspace.still_set_aside()
    assert (item.reason, Path(item.path).name) == ("image cannot be read", "other.png")
