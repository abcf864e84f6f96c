"""A local page that asks a model about images: one file of HTML, one kind of request.

It listens on this machine only. A page of another site can neither read it nor ask through it:
the Host and Origin that a browser sends are checked.
"""

import json
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pixmo.errors import PixmoError, SettingsError
from pixmo.molmo.ask import ask, read_image
from pixmo.molmo.model import Molmo
from pixmo.molmo.tokenizer import Tokenizer

ADDRESS = "127.0.0.1"
PAGE = Path(__file__).with_name("ask_page.html")
MOST_BYTES = 20_000_000  # of an image
MOST_DRAINED_BYTES = 10 * MOST_BYTES  # of what is too large; else the browser never reads why
PATIENCE_SECONDS = 30  # for a browser that says nothing
POLICY = (
    "default-src 'none'; img-src blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline';"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class AskServer(ThreadingHTTPServer):
    """Answers questions with a model, one at a time."""

    daemon_threads = True

    def __init__(self, model: Molmo, tokenizer: Tokenizer, port: int) -> None:
        """Port 0: any that is free.

        Raises:
            SettingsError: the port cannot be used.
        """
        try:
            super().__init__((ADDRESS, port), Handler)
        except OSError as error:
            raise SettingsError(
                f"port {port} cannot be used: {error.strerror}; give another with --port, or 0"
                " for any that is free"
            ) from error
        self.model, self.tokenizer = model, tokenizer
        self.one_at_a_time = threading.Lock()

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that left before its answer is nobody's error; anything else is told."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server_port}/"

    def answer(self, image: bytes, question: str) -> dict[str, object]:
        """What the page shows.

        Raises:
            ImageError: it is no image.
            SettingsError: the question cannot be asked.
        """
        with self.one_at_a_time:  # reading, too: a small file may hold a huge picture
            picture = read_image(image, "this file")
            found = ask(self.model, self.tokenizer, picture, question)
        return {"answer": found.text, "points": [one._asdict() for one in found.points]}


class Handler(BaseHTTPRequestHandler):
    """Serves the page, and answers `POST /ask?question=…` with an image as its body."""

    server: AskServer
    timeout = PATIENCE_SECONDS

    def do_GET(self) -> None:
        """The page."""
        if not self.is_from_here():
            self.refuse(HTTPStatus.FORBIDDEN, f"open {self.server.url} instead")
        elif urlsplit(self.path).path != "/":
            self.refuse(HTTPStatus.NOT_FOUND, "there is only one page")
        else:
            self.reply(HTTPStatus.OK, "text/html; charset=utf-8", PAGE.read_bytes())

    def do_POST(self) -> None:
        """The answer as JSON: answer and points, or error."""
        asked = urlsplit(self.path)
        length = self.headers.get("Content-Length", "")
        if not self.is_from_here():
            self.refuse(HTTPStatus.FORBIDDEN, f"open {self.server.url} instead")
        elif asked.path != "/ask":
            self.refuse(HTTPStatus.NOT_FOUND, "questions go to /ask")
        elif not length.isdecimal():
            self.refuse(HTTPStatus.LENGTH_REQUIRED, "the request does not say its length")
        elif int(length) > MOST_BYTES:
            self.drain(int(length))
            most = f"{MOST_BYTES // 1_000_000} MB"
            self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the file is larger than {most}")
        else:
            question = parse_qs(asked.query).get("question", [""])[0]
            self.answer(self.rfile.read(int(length)), question)

    def answer(self, image: bytes, question: str) -> None:
        """The model's answer is sent, or why there is none."""
        try:
            found = self.server.answer(image, question)
        except PixmoError as error:
            self.refuse(HTTPStatus.BAD_REQUEST, str(error))
        else:
            self.reply(HTTPStatus.OK, "application/json", json.dumps(found).encode())

    def is_from_here(self) -> bool:
        """Whether the browser means this server, and no page of another site sent it here."""
        hosts = {f"{name}:{self.server.server_port}" for name in (ADDRESS, "localhost")}
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        return host in hosts and origin in (None, f"http://{host}")

    def drain(self, length: int) -> None:
        """A body that is not wanted has been read, as far as it is bearable."""
        left = min(length, MOST_DRAINED_BYTES)
        while left > 0 and (piece := self.rfile.read(min(left, 1 << 20))):
            left -= len(piece)

    def refuse(self, status: HTTPStatus, error: str) -> None:
        """What is wrong is sent."""
        self.reply(status, "application/json", json.dumps({"error": error}).encode())

    def reply(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        """The body is sent; the browser is told to load nothing from elsewhere."""
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Cache-Control", "no-store"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: what people ask is theirs."""
