"""A server that speaks OpenAI's chat completions: vLLM, llama.cpp, Ollama, OpenAI and others."""

import email.utils
import json
import math
import os
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from pixmo.errors import LanguageModelError, SettingsError
from pixmo.text import squeeze

if TYPE_CHECKING:
    import openai

KEY_VARIABLE = "OPENAI_API_KEY"
INSTALL = "pip install 'pixmo[language-model]'"

NEWER_NAMES = {"max_tokens": "max_completion_tokens"}  # some models take only the newer one

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 600.0  # that a server may ask for, or leave everything unanswered
MOST_TRIES = 6
MOST_TRIES_TO_CONNECT = 3  # before the first answer: most likely nobody is there
FEWEST_PERMANENT, REQUEST_TIMEOUT, CONFLICT, TOO_LARGE, TOO_MANY = 400, 408, 409, 413, 429
ABOUT_THE_FORM = (400, 422)
OUT_OF_MONEY = ("insufficient_quota", "billing_hard_limit_reached")
MOST_TOKENS = 2**63 - 1  # that a table can hold


@dataclass(frozen=True)
class Purpose:
    """What a server is asked for, in the words that people know it by."""

    asker: str  # who needs it
    base_url: str  # what the address is called where it is set
    model: str  # what to look at where the server knows no such model
    # Asked where one request fails and nothing tells whether others would, too.
    small_question: list[dict[str, Any]]


@dataclass(frozen=True)
class Completion:
    """What a server answered to one request."""

    text: str
    finish_reason: str
    model: str
    input_tokens: int | None
    output_tokens: int | None


class MalformedError(Exception):
    """The server answered with what is no chat completion; the message shows how it begins."""


class RefusedError(Exception):
    """The server will never answer this one request; it does answer others."""


class UnansweredError(Exception):
    """The server did not answer this one request, and may another day; it does answer others."""


class StoppedError(Exception):
    """Nobody wants the answer any more."""


class Endpoint:
    """A server, asked from any number of threads; who waits for it, all wait.

    Either all requests want JSON, in a `response_format`, or none does.
    """

    def __init__(
        self, base_url: str, timeout_seconds: float, stop: threading.Event, purpose: Purpose
    ) -> None:
        """Nothing is sent yet.

        Raises:
            SettingsError: the address is none.
        """
        if not base_url.startswith(("http://", "https://")):
            raise SettingsError(
                f"{purpose.base_url} = {base_url!r} is no address; it starts with http:// or"
                " https:// and ends in /v1 most often"
            )
        self.base_url = base_url
        self.timeout_seconds = timeout_seconds
        self.stop = stop
        self.purpose = purpose
        self.client: openai.OpenAI  # from `open` to `close`
        self.form = 0  # of `formats`
        self.names: dict[str, str] = {}  # what this server calls a parameter
        self.not_before = 0.0  # monotonic time; the server asked not to be asked earlier
        self.last_answer = 0.0  # monotonic time; 0 before the first
        self.retries = 0

    def open(self) -> None:
        """Requests can be sent.

        Raises:
            LanguageModelError: the `openai` package is missing, or the key is none.
        """
        try:
            import openai
        except ImportError as error:
            raise LanguageModelError(
                f"{self.purpose.asker} needs the openai package: {INSTALL}"
            ) from error
        self.client = openai.OpenAI(
            base_url=self.base_url,
            api_key=api_key(),
            timeout=self.timeout_seconds,
            max_retries=0,  # its own can neither be stopped nor make the others wait
        )

    def close(self) -> None:
        """The connections are closed."""
        self.client.close()

    def complete(self, request: Mapping[str, Any]) -> Completion:
        """The answer to `request`, however often that takes.

        Raises:
            RefusedError: this request cannot be answered, others can.
            UnansweredError: this request was not answered, others were.
            LanguageModelError: the server cannot be used; the message says why.
            StoppedError: `stop` was set meanwhile.
        """
        import openai

        start = time.monotonic()
        for tries in count(1):
            self.wait_until_allowed()
            try:
                completion = self.send(request)
            except openai.APIStatusError as error:
                delay = self.delay_after(error, request, tries, start)
            except openai.APITimeoutError as error:
                self.fail_if_hopeless(what_it_said(error), request, tries, MOST_TRIES, start)
                delay = backoff(tries)
            except (openai.APIConnectionError, MalformedError) as error:
                most = MOST_TRIES if self.last_answer else MOST_TRIES_TO_CONNECT
                self.fail_if_hopeless(what_it_said(error), request, tries, most, start)
                delay = backoff(tries)
            else:
                self.last_answer = time.monotonic()
                return completion
            self.retries += 1
            self.pause(delay)
        raise AssertionError("count() never ends")

    def send(self, request: Mapping[str, Any]) -> Completion:
        """The answer to `request` in the richest form that the server takes."""
        import openai

        first = None
        for form in range(self.form, len(formats(request))):
            try:
                completion = self.post(request, form)
            except openai.APIStatusError as error:
                if error.status_code not in ABOUT_THE_FORM:
                    raise
                first = first or error
            else:
                # Only now: had all forms been refused, the form would not have been the reason.
                self.form = max(self.form, form)
                return completion
        assert first is not None
        raise first

    def post(self, request: Mapping[str, Any], form: int) -> Completion:
        """The answer to `request` in one form, under the names that the server takes."""
        import openai

        body = self.body(request, form)
        try:
            return self.post_once(body)
        except openai.APIStatusError as error:
            said = what_it_said(error)
            newer = {old: new for old, new in NEWER_NAMES.items() if old in body and new in said}
            if error.status_code not in ABOUT_THE_FORM or not newer:
                raise
            self.names |= newer
            return self.post_once(self.body(request, form))

    def body(self, request: Mapping[str, Any], form: int | None = None) -> dict[str, Any]:
        """What is sent for `request`."""
        named = {self.names.get(name, name): value for name, value in request.items()}
        named.pop("response_format", None)
        wanted = formats(request)[self.form if form is None else form]
        return named | ({"response_format": wanted} if wanted else {})

    def post_once(self, body: dict[str, Any]) -> Completion:
        """The answer to exactly this."""
        raw = self.client.chat.completions.with_raw_response.create(**body)
        return self.completion(raw.content)

    def completion(self, content: bytes) -> Completion:
        """The completion in the body of an answer."""
        try:
            answer = json.loads(content)
            choice = answer["choices"][0]
            text = choice["message"].get("content") or choice["message"].get("refusal") or ""
            usage = answer.get("usage") or {}
            return Completion(
                storable(text),
                storable(str(choice.get("finish_reason") or "")),
                storable(str(answer.get("model") or "")),
                tokens(usage.get("prompt_tokens")),
                tokens(usage.get("completion_tokens")),
            )
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            shown = squeeze(content[:100].decode("utf-8", "replace"))
            raise MalformedError(f"no chat completion came but {shown!r}") from error

    def wait_until_allowed(self) -> None:
        """The server may be asked."""
        while (delay := self.not_before - time.monotonic()) > 0:
            self.pause(delay)
        if self.stop.is_set():
            raise StoppedError

    def pause(self, seconds: float) -> None:
        """So much time is over, or nobody wants the answer any more."""
        if self.stop.wait(seconds):
            raise StoppedError

    def delay_after(
        self, error: "openai.APIStatusError", request: Mapping[str, Any], tries: int, start: float
    ) -> float:
        """The seconds until `request` is sent again.

        Raises:
            RefusedError: it cannot be answered.
            UnansweredError: it was asked often enough.
            LanguageModelError: no request can be answered.
        """
        status, said = error.status_code, what_it_said(error)
        is_out_of_money = any(reason in said for reason in OUT_OF_MONEY)
        if status == TOO_LARGE or (
            status in ABOUT_THE_FORM and not is_out_of_money and self.answers_others(request)
        ):
            raise RefusedError(said)
        asked = retry_after(error.response.headers)
        if is_out_of_money or is_permanent(status):
            raise LanguageModelError(
                f"{self.base_url} refuses ({status}): {said}{self.hint(status)}"
            )
        if asked > LONGEST_WAIT_SECONDS:
            raise LanguageModelError(
                f"{self.base_url} asks to wait {asked:.0f} seconds ({status}: {said}); what was"
                " finished is kept, run the same command later"
            )
        if status == TOO_MANY:
            # However often: others are answered meanwhile, and this one's turn comes.
            self.fail_if_silent(error, start)
        else:
            self.fail_if_hopeless(said, request, tries, MOST_TRIES, start)
        delay = asked or backoff(tries)
        if asked or status == TOO_MANY:
            self.not_before = max(self.not_before, time.monotonic() + delay)
            return random.uniform(0, 0.1 * delay)  # not all at the same moment
        return delay

    def fail_if_silent(self, error: "openai.APIError", start: float) -> None:
        """Nothing, if the server answered anything in a long while."""
        if time.monotonic() - max(start, self.last_answer) > LONGEST_WAIT_SECONDS:
            raise LanguageModelError(
                f"{self.base_url} has answered nothing for {LONGEST_WAIT_SECONDS / 60:.0f} minutes"
                f" ({what_it_said(error)}); what was finished is kept, run the same command later"
            )

    def fail_if_hopeless(
        self, said: str, request: Mapping[str, Any], tries: int, most: int, start: float
    ) -> None:
        """Nothing, if `request` is worth another try.

        Raises:
            UnansweredError: it is not, but the server answers others.
            LanguageModelError: the server answers nobody.
        """
        if tries < most:
            return
        if self.answers_others(request, start):
            raise UnansweredError(said)
        raise LanguageModelError(
            f"{self.base_url} does not answer, {tries} times: {said}; is the server running,"
            f" and {self.purpose.base_url} right (it ends in /v1 most often)? What was finished is"
            " kept, run the same command to go on"
        )

    def answers_others(self, request: Mapping[str, Any], since: float = 0.0) -> bool:
        """Whether the server answered anything `since` then, or does now, put otherwise alike."""
        import openai

        if self.last_answer > since:
            return True
        self.wait_until_allowed()
        try:
            self.send({**request, "messages": self.purpose.small_question})
        except (openai.APIError, MalformedError):
            return False
        self.last_answer = time.monotonic()
        return True

    def hint(self, status: int) -> str:
        """What to do about a refusal."""
        return {
            401: f"; put a valid key into the environment variable {KEY_VARIABLE}",
            403: f"; the key in {KEY_VARIABLE} may not use this model",
            404: f"; check {self.purpose.model}",
        }.get(status, "")


def json_format(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The `response_format` of an answer that is a JSON object after `schema`."""
    return {
        "type": "json_schema",
        "json_schema": {"name": name, "strict": True, "schema": schema},
    }


def formats(request: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, ...]:
    """The forms in which `request` is put, the richest first; a server may refuse some."""
    wanted = request.get("response_format")
    return (wanted, {"type": "json_object"}, None) if wanted else (None,)


def api_key() -> str:
    """The key in the environment; any word where there is none: a local server may need none.

    Raises:
        LanguageModelError: what is there can be no key.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()):
        # Not shown: it may hold a key.
        raise LanguageModelError(
            f"the environment variable {KEY_VARIABLE} holds signs that no key has"
        )
    return key or "none"


def is_permanent(status: int) -> bool:
    """Whether asking again is in vain."""
    return FEWEST_PERMANENT <= status < 500 and status not in (REQUEST_TIMEOUT, CONFLICT, TOO_MANY)


def what_it_said(error: "openai.APIError | MalformedError") -> str:
    """The server's own words, with its codes, in one line."""
    if isinstance(error, MalformedError):
        return str(error)
    body = error.body
    if isinstance(body, dict):
        body = body.get("error", body)
    if isinstance(body, dict):
        body = " ".join(str(body[key]) for key in ("code", "type", "message") if body.get(key))
    cause = error.__cause__
    said = str(body) if body else f"{error.message}{f' {cause}' if cause else ''}"
    return squeeze(said)[:300].rstrip(".")


def retry_after(headers: Mapping[str, str]) -> float:
    """The seconds that the server asks to wait, by number or by date; 0 where it does not."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
        return max(0.0, seconds) if math.isfinite(seconds) else 0.0
    date = email.utils.parsedate_tz(headers.get("retry-after"))
    return max(0.0, email.utils.mktime_tz(date) - time.time()) if date else 0.0


def backoff(tries: int) -> float:
    """The seconds before another try: twice as many each time, never quite the same."""
    longest: float = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(tries - 1, 30))
    return longest * random.uniform(0.75, 1.25)


def tokens(value: object) -> int | None:
    """A count of tokens as the server gives it; None for what is none."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS:
        return value
    return None


def storable(text: str) -> str:
    """`text` as a table can hold it: without halves of character pairs, which JSON may hold."""
    return text.encode("utf-8", "replace").decode()
