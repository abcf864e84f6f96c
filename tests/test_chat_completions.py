"""A server that faults, refuses, is slow or not there: what a run makes of it."""

import itertools
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from pixmo.errors import LanguageModelError
from pixmo.language_models.chat_completions import retry_after
from pixmo.speech.captioning.captions import Written, write_captions
from pixmo.speech.captioning.language_model_writer import LanguageModelWriter
from tests.conftest import run_pixmo
from tests.local_model_server import (
    MODEL,
    Answer,
    LocalModelServer,
    Request,
    captioned,
    completion,
    fault,
    said,
)
from tests.writer_workspaces import (
    CLEANER,
    INVENTED,
    captions,
    image,
    prepare,
    responses,
    text_of,
    writers,
)

pytestmark = pytest.mark.usefixtures("quick")


@pytest.mark.parametrize(
    "first",
    [
        fault(500, "oops"),
        fault(503, "loading the model"),
        fault(408, "slow"),
        fault(429, "slow down"),
    ],
)
def test_a_passing_fault_is_asked_again(
    tmp_path: Path, server: LocalModelServer, first: Answer
) -> None:
    server.reply = lambda request: said(request) if request.number else first
    workspace = prepare(tmp_path, server.base_url, 2, concurrency=1)
    writer = LanguageModelWriter(workspace)
    assert write_captions(workspace, writer=writer) == Written(2, 0, 0, 0)
    assert captions(workspace) == [text_of(0), text_of(1)]
    assert len(server.requests) == 3
    assert writer.spent.retries == 1
    assert writer.spent.requests == 2


def test_retry_after_is_waited_for_by_all(tmp_path: Path, server: LocalModelServer) -> None:
    busy = fault(429, "slow down", retry_after="1")
    server.delay = 0.05
    server.reply = lambda request: said(request) if request.number else busy
    workspace = prepare(tmp_path, server.base_url, 12, concurrency=2)
    assert write_captions(workspace) == Written(12, 0, 0, 0)
    assert len(server.requests) == 13
    arrived = [request.arrived for request in server.requests]
    # What was on its way when it said so is answered; then nobody asks for a second.
    pauses = [after - before for before, after in itertools.pairwise(arrived)]
    assert max(pauses[:6]) > 0.9


def test_retry_after_by_number_and_by_date() -> None:
    assert retry_after({"retry-after": "1.5"}) == 1.5
    assert retry_after({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert retry_after({}) == 0
    assert retry_after({"retry-after": "soon"}) == 0
    assert retry_after({"retry-after": "nan"}) == 0
    from email.utils import formatdate

    date = formatdate(time.time() + 30, usegmt=True)
    assert 27 < retry_after({"retry-after": date}) <= 30
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0


def test_a_server_that_asks_to_wait_for_hours_ends_the_run(
    tmp_path: Path, server: LocalModelServer
) -> None:
    server.reply = lambda _: fault(429, "daily limit", retry_after="7200")
    with pytest.raises(
        LanguageModelError, match=r"asks to wait 7200 seconds.*run the same command later"
    ):
        write_captions(prepare(tmp_path, server.base_url))


def test_an_answer_that_takes_too_long_is_asked_for_again(
    tmp_path: Path, server: LocalModelServer
) -> None:
    def late_first(request: Request) -> Answer:
        if request.number == 0:
            time.sleep(2)
        return said(request)

    server.reply = late_first
    workspace = prepare(tmp_path, server.base_url, 1, timeout_seconds=1.0)
    assert write_captions(workspace) == Written(1, 0, 0, 0)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (fault(401, "Incorrect API key provided"), "Incorrect API key.*OPENAI_API_KEY"),
        (fault(403, "not yours"), "not yours.*may not use this model"),
        (fault(404, "The model `x` does not exist"), r"does not exist.*\[caption\] model"),
        (fault(429, "You exceeded your quota", "insufficient_quota"), "insufficient_quota"),
        (fault(400, "Unsupported value: temperature"), "Unsupported value: temperature"),
        (Answer(None, 200, b"<html>Welcome to nginx"), "no chat completion.*Welcome to nginx"),
        (Answer(None, 200, {"choices": []}), "no chat completion"),
        (fault(400, "no more", "billing_hard_limit_reached"), "billing_hard_limit_reached"),
    ],
)
def test_a_lasting_fault_ends_the_run_at_once(
    tmp_path: Path, server: LocalModelServer, answer: Answer, says: str
) -> None:
    server.reply = lambda _: answer
    workspace = prepare(tmp_path, server.base_url, 20)
    with pytest.raises(LanguageModelError, match=says) as error:
        write_captions(workspace)
    assert "\n" not in str(error.value)
    assert server.base_url in str(error.value)
    assert len(server.requests) <= 4 * 6  # 4 at once, each and a small question in three forms
    assert captions(workspace) == []


def test_money_that_runs_out_is_no_image_s_fault(tmp_path: Path, server: LocalModelServer) -> None:
    broke = fault(400, "Billing hard limit has been reached", "billing_hard_limit_reached")
    server.reply = lambda r: said(r) if r.number < 2 else broke
    workspace = prepare(tmp_path, server.base_url, 4, concurrency=1)
    with pytest.raises(LanguageModelError, match="hard limit"):
        write_captions(workspace)
    assert captions(workspace) == [text_of(0), text_of(1)]


def test_what_was_finished_before_a_lasting_fault_is_kept(
    tmp_path: Path, server: LocalModelServer
) -> None:
    server.reply = lambda r: said(r) if r.number < 10 else fault(401, "key revoked")
    workspace = prepare(tmp_path, server.base_url, 30)
    with pytest.raises(LanguageModelError, match="key revoked"):
        write_captions(workspace)
    assert captions(workspace) == [text_of(n) for n in range(10)][: len(captions(workspace))]
    assert len(responses(workspace)) == 10
    before = len(server.requests)
    server.reply = said
    write_captions(workspace)
    assert len(server.requests) - before == 20
    assert captions(workspace) == [text_of(n) for n in range(30)]


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/v1"
        with pytest.raises(
            LanguageModelError, match=r"does not answer, 3 times.*is the server running"
        ):
            write_captions(prepare(tmp_path, url))


def test_an_image_that_got_no_answer_is_asked_about_in_the_next_run(
    tmp_path: Path, server: LocalModelServer
) -> None:
    def poisoned(request: Request) -> Answer:
        time.sleep(0.01)
        return fault(500, "crash") if "door 10." in request.transcripts[0] else said(request)

    server.reply = poisoned
    workspace = prepare(tmp_path, server.base_url, 60, concurrency=2)
    assert write_captions(workspace) == Written(59, 0, 0, 0, unanswered=1)
    assert captions(workspace) == [text_of(n) for n in range(1, 60)]
    with workspace.connect() as connection:
        stale = connection.execute("select image_sha256 from stale_captions").fetchall()
    assert stale == [(image(0),)]
    before = len(server.requests)
    server.reply = said
    assert write_captions(workspace) == Written(1, 59, 0, 0)
    assert len(server.requests) - before == 1
    assert captions(workspace) == [text_of(n) for n in range(60)]


def test_an_unanswered_second_turn_is_pending_and_the_first_is_kept(
    tmp_path: Path, server: LocalModelServer
) -> None:
    def second_turn_fails(request: Request) -> Answer:
        time.sleep(0.01)
        if "door 10." in request.transcripts[0]:
            return fault(500, "crash") if request.turn else captioned(INVENTED)
        return said(request)

    server.reply = second_turn_fails
    workspace = prepare(tmp_path, server.base_url, 60, concurrency=2)
    assert write_captions(workspace) == Written(59, 0, 0, 0, unanswered=1)
    before = len(server.requests)
    server.reply = said
    assert write_captions(workspace) == Written(1, 59, 0, 0)
    assert [request.turn for request in server.requests[before:]] == [1]


def test_a_server_that_always_fails_ends_the_run(tmp_path: Path, server: LocalModelServer) -> None:
    server.reply = lambda _: fault(500, "out of memory")
    with pytest.raises(LanguageModelError, match=r"does not answer, 6 times: .*out of memory"):
        write_captions(prepare(tmp_path, server.base_url, 1))


def test_transcripts_too_long_for_the_model_are_left_to_the_cleaner(
    tmp_path: Path, server: LocalModelServer
) -> None:
    long = fault(400, "This model's maximum context length is 10 tokens")
    server.reply = lambda r: long if "door 11." in r.transcripts[0] else said(r)
    workspace = prepare(tmp_path, server.base_url)
    assert write_captions(workspace) == Written(3, 0, 0, 1)
    assert writers(workspace)[f"{CLEANER}, after {MODEL} refused"] == 1
    # The form was not what it refused: the others are still asked in the richest one.
    ok = [r for r in server.requests if "door 12." in r.transcripts[0]]
    assert [r.body["response_format"]["type"] for r in ok] == ["json_schema"]


@pytest.mark.parametrize(("known", "requests"), [("json_object", 4), (None, 5)])
def test_a_server_without_json_schema(
    tmp_path: Path, server: LocalModelServer, known: str | None, requests: int
) -> None:
    def older(request: Request) -> Answer:
        form = request.body.get("response_format", {}).get("type")
        return said(request) if form in (known, None) else fault(400, f"unknown format {form}")

    server.reply = older
    workspace = prepare(tmp_path, server.base_url, 3, concurrency=1)
    assert write_captions(workspace) == Written(3, 0, 0, 0)
    assert len(server.requests) == requests  # only the first image is refused


def test_a_model_that_takes_only_the_newer_name(tmp_path: Path, server: LocalModelServer) -> None:
    def newer(request: Request) -> Answer:
        if "max_tokens" in request.body:
            return fault(400, "'max_tokens' is not supported, use 'max_completion_tokens' instead.")
        return said(request)

    server.reply = newer
    workspace = prepare(tmp_path, server.base_url, 3, concurrency=1, max_tokens=50)
    assert write_captions(workspace) == Written(3, 0, 0, 0)
    assert [r.body.get("max_completion_tokens") for r in server.requests] == [None, 50, 50, 50]


def test_a_key_that_is_none_is_not_shown(
    tmp_path: Path, server: LocalModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = prepare(tmp_path, server.base_url, 1)
    monkeypatch.setenv("OPENAI_API_KEY", "sesame\nopen")
    with pytest.raises(LanguageModelError, match="OPENAI_API_KEY holds signs") as error:
        write_captions(workspace)
    assert "sesame" not in str(error.value)
    monkeypatch.setenv("OPENAI_API_KEY", " sesame\n")  # as read from a file
    write_captions(workspace)
    assert server.requests[0].headers["authorization"] == "Bearer sesame"


def test_the_key_comes_from_the_environment_alone(
    tmp_path: Path, server: LocalModelServer, monkeypatch: pytest.MonkeyPatch, pixmo: Path
) -> None:
    def locked(request: Request) -> Answer:
        right = request.headers["authorization"] == "Bearer sesame"
        return said(request) if right else fault(401, "Incorrect API key")

    server.reply = locked
    workspace = prepare(tmp_path, server.base_url)
    result = run_pixmo(pixmo, "caption", cwd=tmp_path)
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert "Incorrect API key" in line
    assert "OPENAI_API_KEY" in line
    monkeypatch.setenv("OPENAI_API_KEY", "sesame")
    assert run_pixmo(pixmo, "caption", cwd=tmp_path).returncode == 0
    assert len(captions(workspace)) == 3
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"sesame" not in path.read_bytes()


REFUSALS = [
    fault(400, "The decoder prompt (length 9) is longer than the maximum model length of 8."),
    fault(400, "The input (9 tokens) is longer than the model's limit"),
    fault(422, "`inputs` tokens + `max_new_tokens` must be <= 8"),
    fault(400, "Your prompt was flagged", "invalid_prompt"),
    fault(413, "Request entity too large"),
]
NO_COMPLETIONS: list[Any] = [
    {"choices": []},
    {"error": {"message": "worker died"}},
    b'{"choices": [{"message": {"cont',
    b"",
    b"[" * 200_000,
    [],
    {"choices": [{"message": {"content": [{"type": "text", "text": "a"}]}}]},
    {"choices": [{"message": None}]},
]


@pytest.mark.parametrize("poisoned", [0, 1])  # the first one: nothing was answered before it
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_is_of_one_image(
    tmp_path: Path, server: LocalModelServer, refusal: Answer, poisoned: int
) -> None:
    door = f"door {poisoned + 10}."
    server.reply = lambda r: refusal if door in r.transcripts[0] else said(r)
    workspace = prepare(tmp_path, server.base_url, 3, concurrency=1)
    assert write_captions(workspace) == Written(3, 0, 0, 1)
    assert writers(workspace)[f"{CLEANER}, after {MODEL} refused"] == 1


@pytest.mark.parametrize("poisoned", [0, 1])
@pytest.mark.parametrize("raw", NO_COMPLETIONS)
def test_what_is_no_completion_is_of_one_image(
    tmp_path: Path, server: LocalModelServer, raw: Any, poisoned: int
) -> None:
    door = f"door {poisoned + 10}."
    server.reply = lambda r: Answer(None, 200, raw) if door in r.transcripts[0] else said(r)
    workspace = prepare(tmp_path, server.base_url, 3, concurrency=1)
    assert write_captions(workspace) == Written(2, 0, 0, 0, unanswered=1)
    server.reply = said
    assert write_captions(workspace) == Written(1, 2, 0, 0)


def test_what_is_no_completion_is_asked_again(tmp_path: Path, server: LocalModelServer) -> None:
    cut = Answer(None, 200, b'{"choices": [{')
    server.reply = lambda r: said(r) if r.number != 1 else cut
    workspace = prepare(tmp_path, server.base_url, 3, concurrency=1)
    assert write_captions(workspace) == Written(3, 0, 0, 0)
    assert len(server.requests) == 4


@pytest.mark.parametrize("poisoned", [0, 1])
def test_one_at_a_time_the_other_images_are_written_too(
    tmp_path: Path, server: LocalModelServer, poisoned: int
) -> None:
    door = f"door {poisoned + 10}."
    server.reply = lambda r: fault(500, "crash") if door in r.transcripts[0] else said(r)
    workspace = prepare(tmp_path, server.base_url, 3, concurrency=1)
    assert write_captions(workspace) == Written(2, 0, 0, 0, unanswered=1)


@pytest.mark.parametrize(
    ("counted", "kept"),
    [(2**63 - 1, 2**63 - 1), (2**63, None), (-1, None), (True, None), (7.5, None), (0, 0)],
)
def test_counts_that_no_table_holds_are_unknown(
    tmp_path: Path, server: LocalModelServer, counted: Any, kept: int | None
) -> None:
    def odd(request: Request) -> Answer:
        raw = completion(said(request), request.body)
        usage = {"prompt_tokens": counted, "completion_tokens": 3}
        return Answer(None, 200, raw | {"usage": usage, "model": 7})

    server.reply = odd
    workspace = prepare(tmp_path, server.base_url, 1)
    assert write_captions(workspace) == Written(1, 0, 0, 0)
    [row] = responses(workspace)
    assert (row["input_tokens"], row["output_tokens"]) == (kept, 3)
    assert row["served_model"] == "7"
