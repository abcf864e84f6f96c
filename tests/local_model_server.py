"""A small real server that speaks OpenAI's chat completions, and faults when told to."""

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

MODEL = "gpt-small"
TOKENS_IN, TOKENS_OUT = 100, 20


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    path: str
    headers: dict[str, str]  # names in lower case
    body: dict[str, Any]
    number: int  # of those that came before it
    arrived: float  # monotonic time

    @property
    def messages(self) -> list[Any]:
        return [message["content"] for message in self.body["messages"]]

    @property
    def words(self) -> str:
        """What the last message says beside its image."""
        content = self.messages[-1]
        parts = [content] if isinstance(content, str) else [p.get("text", "") for p in content]
        return "".join(parts)

    @property
    def image_files(self) -> list[bytes]:
        """The images of the last message, as their files."""
        urls = [part["image_url"]["url"] for part in self.messages[-1] if "image_url" in part]
        kinds, datas = zip(*(url.split(";base64,") for url in urls), strict=True)
        assert set(kinds) <= {"data:image/png", "data:image/jpeg"}
        return [base64.b64decode(data, validate=True) for data in datas]

    @property
    def image_file(self) -> bytes:
        """The only one."""
        (file,) = self.image_files
        return file

    @property
    def image(self) -> Image.Image:
        """The image of the last message."""
        return Image.open(io.BytesIO(self.image_file))

    @property
    def turn(self) -> int:
        """0 for the first request of a conversation, 1 for the next."""
        return (len(self.messages) - 2) // 2

    @property
    def transcripts(self) -> list[str]:
        """What it is asked about; "" where it is asked about nothing."""
        opening = "".join(self.messages[:2])
        data = opening.partition("<transcripts>")[2].partition("</transcripts>")[0]
        return list(json.loads(data or '[""]'))


@dataclass(frozen=True)
class Answer:
    """What the server sends back."""

    content: str | None = None  # of the completion; None sends `raw` as it is
    status: int = 200
    raw: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    finish_reason: str = "stop"


def captioned(text: str) -> Answer:
    """A caption, as asked for."""
    return Answer(json.dumps({"caption": text}))


def fault(status: int, message: str, code: str | None = None, **headers: str) -> Answer:
    """An error as OpenAI words it."""
    error = {"message": message, "type": "error", "code": code, "param": None}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(None, status, {"error": error}, named)


def said(request: Request) -> Answer:
    """A faithful caption: the transcripts themselves."""
    return captioned(" ".join(request.transcripts))


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128  # connections; the default of 5 refuses some of a busy client's


class LocalModelServer:
    """Answers with `reply`, after `delay` seconds, and remembers what it was asked."""

    def __init__(self) -> None:
        self.reply: Callable[[Request], Answer] = said
        self.delay = 0.0
        self.requests: list[Request] = []
        self.in_flight = self.most_in_flight = 0
        self.lock = threading.Lock()
        self.server = Server(("127.0.0.1", 0), self.handler())

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1"

    def answer(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Answer:
        with self.lock:
            request = Request(path, headers, body, len(self.requests), time.monotonic())
            self.requests.append(request)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            time.sleep(self.delay)
            return self.reply(request)
        finally:
            with self.lock:
                self.in_flight -= 1

    def handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self.answer

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                try:
                    self.send(answer(self.path, headers, body), body)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # the client was killed, or tired of waiting

            def send(self, answer: Answer, body: dict[str, Any]) -> None:
                raw = completion(answer, body) if answer.content is not None else answer.raw
                data = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
                self.send_response(answer.status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing is printed."""

        return Handler


def completion(answer: Answer, body: dict[str, Any]) -> dict[str, Any]:
    """A completion as OpenAI sends it."""
    message = {"role": "assistant", "content": answer.content, "refusal": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": f"{body['model']}-2026-01-05",
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish_reason}],
        "usage": {
            "prompt_tokens": TOKENS_IN,
            "completion_tokens": TOKENS_OUT,
            "total_tokens": TOKENS_IN + TOKENS_OUT,
        },
    }


@contextmanager
def serving() -> Iterator[LocalModelServer]:
    """A server that listens meanwhile."""
    local = LocalModelServer()
    thread = threading.Thread(target=local.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield local
    finally:
        local.server.shutdown()
        local.server.server_close()
        thread.join()
