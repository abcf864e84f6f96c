"""What captions by a language model cost: nothing is paid for twice, and the command says what."""

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pixmo.cli.app import main
from pixmo.hashing import sha256_bytes
from pixmo.resources import shared
from pixmo.speech.captioning import writer_responses
from pixmo.speech.captioning.caption_plan import plan
from pixmo.speech.captioning.caption_writer import Cleaner
from pixmo.speech.captioning.captions import Written, write_captions
from pixmo.speech.captioning.language_model_writer import LanguageModelWriter, Spent
from pixmo.speech.transcripts import written_row
from tests.conftest import hear_ctrl_c, run_pixmo
from tests.local_model_server import (
    TOKENS_IN,
    TOKENS_OUT,
    Answer,
    LocalModelServer,
    Request,
    captioned,
    fault,
    said,
    serving,
)
from tests.writer_workspaces import (
    CLEANER,
    INVENTED,
    asked,
    captions,
    image,
    prepare,
    responses,
    spent,
    text_of,
    writers,
)

pytestmark = pytest.mark.usefixtures("quick")

# Nothing is paid for twice.


@pytest.mark.parametrize(("concurrency", "part_responses"), [(4, 1000), (1, 1000), (1, 1)])
def test_the_same_words_about_two_images_are_paid_once(
    tmp_path: Path,
    server: LocalModelServer,
    monkeypatch: pytest.MonkeyPatch,
    concurrency: int,
    part_responses: int,
) -> None:
    monkeypatch.setattr(writer_responses, "PART_RESPONSES", part_responses)
    server.delay = 0.1
    workspace = prepare(tmp_path, server.base_url, 0, concurrency=concurrency)
    rows = [
        written_row(f"t{n}", image(n), "ann", "There is a dog.", "en", sha256_bytes(b"w"))
        for n in range(4)
    ]
    workspace.append("transcripts", rows)
    assert write_captions(workspace) == Written(4, 0, 0, 0)
    assert len(server.requests) == 1


def test_switching_writers_back_and_forth_costs_nothing(
    tmp_path: Path, server: LocalModelServer
) -> None:
    server.reply = lambda r: captioned(f"A red circle beside door {r.transcripts[0][-3:-1]}.")
    workspace = prepare(tmp_path, server.base_url)
    by_model = [f"A red circle beside door {n}." for n in (10, 11, 12)]
    write_captions(workspace)
    assert captions(workspace) == by_model
    write_captions(workspace, writer=Cleaner())
    assert captions(workspace) == [text_of(n) for n in range(3)]
    assert write_captions(workspace) == Written(3, 0, 0, 0)
    assert captions(workspace) == by_model
    assert len(server.requests) == 3


def test_another_threshold_judges_the_answers_there_are(
    tmp_path: Path, server: LocalModelServer
) -> None:
    server.reply = lambda _: captioned(text_of(0) + " " + INVENTED)
    workspace = prepare(tmp_path, server.base_url, 1, max_unsupported_share=1.0)
    assert write_captions(workspace) == Written(1, 0, 0, 0)
    strict = prepare(tmp_path, server.base_url, max_unsupported_share=0.1)
    writer = LanguageModelWriter(strict)
    assert write_captions(strict, writer=writer) == Written(1, 0, 0, 1)
    assert spent(writer) == Spent(1, 1, 0, TOKENS_IN, TOKENS_OUT, None)
    assert len(server.requests) == 2  # the first answer is known; the second was never asked for


@pytest.mark.parametrize(
    ("values", "requests"),
    [
        ({"temperature": 0.7}, 3),
        ({"model": "gpt-large"}, 3),
        ({"max_tokens": 77}, 3),
        ({"seed": 2}, 3),
        ({"concurrency": 1, "timeout_seconds": 5.0, "input_price": 9.0}, 0),
    ],
)
def test_what_counts_as_another_request(
    tmp_path: Path, server: LocalModelServer, values: dict[str, Any], requests: int
) -> None:
    write_captions(prepare(tmp_path, server.base_url))
    write_captions(prepare(tmp_path, server.base_url, **values))
    assert len(server.requests) == 3 + requests


def test_another_prompt_is_another_request(tmp_path: Path, server: LocalModelServer) -> None:
    workspace = prepare(tmp_path, server.base_url)
    write_captions(workspace)
    own = workspace.recipes / "prompts/caption.md"
    own.parent.mkdir(parents=True)
    shipped = shared("pipelines/prompts/caption.md").read_text("utf-8")
    own.write_text(shipped.replace("dense caption", "short caption"), "utf-8")
    assert write_captions(workspace) == Written(3, 0, 0, 0)
    assert len(server.requests) == 6
    assert "short caption" in server.requests[-1].messages[0]
    own.write_text(shipped, "utf-8")
    write_captions(workspace)
    assert len(server.requests) == 6


def test_another_address_of_the_same_model_is_not_paid_again(
    tmp_path: Path, server: LocalModelServer
) -> None:
    write_captions(prepare(tmp_path, server.base_url))
    with serving() as other:
        workspace = prepare(tmp_path, other.base_url)
        assert write_captions(workspace) == Written(0, 3, 0, 0)
        assert other.requests == []


def test_the_cache_finds_answers_in_many_parts(
    tmp_path: Path, server: LocalModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_responses, "PART_RESPONSES", 3)
    workspace = prepare(tmp_path, server.base_url, 20)
    write_captions(workspace)
    assert len(workspace.table("writer_responses").parts()) == 7
    assert len(responses(workspace)) == 20
    for part in workspace.table("captions").parts():
        part.unlink()
    writer = LanguageModelWriter(workspace)
    assert write_captions(workspace, writer=writer) == Written(20, 0, 0, 0)
    assert spent(writer) == Spent(0, 20, 0, 0, 0, 0.0)
    assert captions(workspace) == [text_of(n) for n in range(20)]
    assert len(server.requests) == 20
    assert len(responses(workspace)) == 20


def test_a_killed_run_pays_nothing_twice(
    tmp_path: Path, server: LocalModelServer, pixmo: Path
) -> None:
    release = threading.Event()

    def ten_then_none(request: Request) -> Answer:
        if request.number >= 10:
            release.wait(30)
        return said(request)

    server.reply = ten_then_none
    workspace = prepare(tmp_path, server.base_url, 40, concurrency=1)
    process = subprocess.Popen([pixmo, "caption", "-w", tmp_path])
    wait_for(lambda: len(server.requests) == 11)
    process.send_signal(signal.SIGKILL)
    process.wait()
    release.set()
    assert responses(workspace) == []  # no part was due yet
    journal = workspace.table("writer_responses").folder / "journal.jsonl"
    with journal.open("ab") as file:
        file.write(b'\n{"request_sha256": "cut sho')  # as a kill within a write leaves it
    before = asked(server)
    assert len(before) == 11
    result = run_pixmo(pixmo, "caption", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    shown = json.loads(result.stdout)
    assert (shown["requests"], shown["answers_kept"], shown["written"]) == (30, 10, 40)
    twice = [messages for messages, times in asked(server).items() if times > 1]
    assert twice == [tuple(server.requests[10].messages)]  # the one on its way
    assert captions(workspace) == [text_of(n) for n in range(40)]
    assert len(responses(workspace)) == 40
    assert not journal.exists()


def test_killed_between_a_part_and_its_journal(tmp_path: Path, server: LocalModelServer) -> None:
    workspace = prepare(tmp_path, server.base_url)
    write_captions(workspace)
    kept = [writer_responses.Response(**row) for row in responses(workspace)]
    cache = writer_responses.Responses(workspace)
    cache.keep(kept[0])  # the journal is still there, the part already
    again = writer_responses.Responses(workspace)
    again.save()
    assert len(responses(workspace)) == 3
    assert not again.journal.exists()


def test_ctrl_c_keeps_what_is_finished(
    tmp_path: Path, server: LocalModelServer, pixmo: Path
) -> None:
    release = threading.Event()

    def ten_then_slow(request: Request) -> Answer:
        if request.number >= 10:
            release.wait(30)
        return said(request)

    server.reply = ten_then_slow
    workspace = prepare(tmp_path, server.base_url, 40, concurrency=2)
    process = subprocess.Popen(
        [pixmo, "caption", "-w", tmp_path],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
    )
    wait_for(lambda: len(server.requests) == 12)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    release.set()  # what is on its way when Ctrl-C comes is paid for, so it is waited for
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "stopped; what was finished is kept" in errors
    assert "Traceback" not in errors
    assert "12 requests answered" in output
    assert len(responses(workspace)) == 12
    assert len(captions(workspace)) >= 10
    write_captions(workspace)
    assert len(server.requests) == 40
    assert set(asked(server).values()) == {1}


def test_ctrl_c_does_not_wait_for_a_retry(
    tmp_path: Path, server: LocalModelServer, pixmo: Path
) -> None:
    server.reply = lambda _: fault(429, "slow down", retry_after="300")
    prepare(tmp_path, server.base_url)
    process = subprocess.Popen(
        [pixmo, "caption", "-w", tmp_path], stderr=subprocess.PIPE, preexec_fn=hear_ctrl_c
    )
    wait_for(lambda: len(server.requests) >= 3)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=100)  # of the 300 s that the server asked for
    assert process.returncode == 130


def wait_for(condition: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# The command.


def test_a_dry_run_sends_and_writes_nothing(
    tmp_path: Path, server: LocalModelServer, pixmo: Path
) -> None:
    values = {"input_price": 1.0, "output_price": 2.0}
    workspace = prepare(tmp_path, server.base_url, 5, **values)
    before = sorted(tmp_path.rglob("*"))
    result = run_pixmo(pixmo, "caption", "--dry-run", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert sorted(tmp_path.rglob("*")) == before
    assert server.requests == []
    shown = json.loads(result.stdout)
    assert (shown["captions"], shown["requests"], len(shown["first"])) == (5, 5, 3)
    assert shown["base_url"] == server.base_url
    tokens = shown["input_tokens"], shown["output_tokens"]
    assert shown["cost"] == pytest.approx((tokens[0] + 2 * tokens[1]) / 1e6)
    text = run_pixmo(pixmo, "caption", "--dry-run", cwd=tmp_path).stdout
    assert "5 captions to write" in text
    assert "5 requests to send" in text
    assert "Nothing was sent" in text
    assert text_of(0) in text
    write_captions(
        workspace, writer=LanguageModelWriter(prepare(tmp_path, server.base_url, concurrency=1))
    )
    assert [request.body for request in server.requests[:3]] == shown["first"]
    again = plan(workspace, LanguageModelWriter(workspace))
    assert (again.captions, again.requests, again.cost) == (0, 0, 0.0)


def test_a_dry_run_counts_only_what_has_no_answer_yet(
    tmp_path: Path, server: LocalModelServer
) -> None:
    write_captions(prepare(tmp_path, server.base_url, 5))
    workspace = prepare(tmp_path, server.base_url, max_unsupported_share=0.3)
    found = plan(workspace, LanguageModelWriter(workspace))
    assert (found.captions, found.requests, found.first) == (5, 0, [])


def test_a_dry_run_of_the_cleaner(tmp_path: Path, pixmo: Path) -> None:
    prepare(tmp_path, "http://127.0.0.1:1/v1", 2, writer="cleaner")
    result = run_pixmo(pixmo, "caption", "--dry-run", cwd=tmp_path)
    assert result.stdout.splitlines() == [
        f"2 captions to write by {CLEANER}",
        "nothing leaves this machine",
    ]


def test_the_command_says_what_it_did_and_what_it_cost(
    tmp_path: Path, server: LocalModelServer, pixmo: Path
) -> None:
    workspace = prepare(tmp_path, server.base_url, writer="cleaner", input_price=1e4)
    result = run_pixmo(pixmo, "caption", "--writer", "language-model", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "3 requests answered" in result.stdout
    assert "tokens: 300 in, 60 out; cost: 3.0000" in result.stdout
    assert "written" in result.stdout
    assert "[caption] writer = cleaner" in result.stderr
    assert captions(workspace) == [text_of(n) for n in range(3)]
    result = run_pixmo(pixmo, "caption", cwd=tmp_path)
    assert writers(workspace) == {CLEANER: 3}
    assert "requests" not in result.stdout


def without_the_package(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """`pixmo ARGUMENTS` where the openai package is not installed."""
    code = (
        "import sys; sys.modules['openai'] = None\n"
        "from pixmo.cli.app import main\n"
        f"sys.argv = ['pixmo', *{arguments!r}]\nmain()"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_a_dry_run_needs_no_package(tmp_path: Path) -> None:
    prepare(tmp_path, "http://127.0.0.1:1/v1", 2)
    result = without_the_package("caption", "--dry-run", "-w", str(tmp_path))
    assert (result.returncode, result.stderr) == (0, "")
    assert "2 requests to send" in result.stdout


def test_the_missing_package_is_named_with_its_command(tmp_path: Path) -> None:
    prepare(tmp_path, "http://127.0.0.1:1/v1")
    result = without_the_package("caption", "-w", str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "pixmo: the language-model writer needs the openai package:"
        " pip install 'pixmo[language-model]'"
    ]


def test_the_command_says_how_many_got_no_answer(
    tmp_path: Path,
    server: LocalModelServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def poisoned(request: Request) -> Answer:
        time.sleep(0.01)
        return fault(503, "loading") if "door 10." in request.transcripts[0] else said(request)

    def run(*arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["pixmo", "caption", "-w", str(tmp_path), *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        shown = capsys.readouterr()
        return end.value.code, shown.out, shown.err

    server.reply = poisoned
    prepare(tmp_path, server.base_url, 60, concurrency=2)
    status, _, errors = run()
    assert status == 0
    assert "no answer for 1 image, so no caption was written" in errors
    assert "run pixmo caption to ask again" in errors
    server.reply = said
    status, output, errors = run("--json")
    shown = json.loads(output)
    assert (status, shown["written"], shown["known"], shown["unanswered"]) == (0, 1, 59, 0)
    assert "no answer" not in errors
