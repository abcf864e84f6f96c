"""Captions written by a language model from the transcripts; text only, no image is ever sent.

A caption that says more than the transcripts is asked for again, once; so is one that leaves most
of them out, and an answer that is not the JSON object asked for. What is still wrong then is
written by the cleaner, and the row says so.
Where no answer came, nothing is written: the next run asks again.
"""

import json
import threading
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pixmo.errors import SettingsError
from pixmo.execution.threads import map_in_threads
from pixmo.hashing import sha256_value
from pixmo.language_models.chat_completions import (
    Completion,
    Endpoint,
    Purpose,
    RefusedError,
    UnansweredError,
    json_format,
)
from pixmo.language_models.prompt_files import Message
from pixmo.speech.captioning.caption_writer import Caption, Cleaner
from pixmo.speech.captioning.faithful import faithfulness
from pixmo.speech.captioning.prompts import Prompt, load
from pixmo.speech.captioning.writer_responses import Response, Responses
from pixmo.workspace.settings import CaptionSettings
from pixmo.workspace.workspace import Workspace

METHOD = "pixmo-language-model-3"
CHARACTERS_PER_TOKEN = 4  # of English, about; for estimates
PRICED_TOKENS = 1_000_000
CAPTION_SCHEMA = {
    "type": "object",
    "properties": {"caption": {"type": "string"}},
    "required": ["caption"],
    "additionalProperties": False,
}
CAPTION_FORMAT = {"response_format": json_format("caption", CAPTION_SCHEMA)}
PURPOSE = Purpose(
    asker="the language-model writer",
    base_url="[caption] base_url",
    model="[caption] model and base_url in pixmo.toml",
    small_question=[
        {"role": "user", "content": 'Answer with this JSON object: {"caption": "none"}'}
    ],
)


@dataclass(frozen=True)
class Spent:
    """What a run cost."""

    requests: int  # answered now
    answers_kept: int  # from earlier runs: not asked for again
    retries: int  # of requests that got no answer
    input_tokens: int
    output_tokens: int
    cost: float | None  # None where prices or tokens are unknown


class LanguageModelWriter:
    """Writes captions with the model and the prompt of a workspace's settings."""

    def __init__(self, workspace: Workspace) -> None:
        """Nothing is sent yet.

        Raises:
            SettingsError: no model is named, or the prompt or the address cannot be used.
        """
        self.settings: CaptionSettings = workspace.settings.caption
        if not self.settings.model:
            raise SettingsError(
                "[caption] model is empty in pixmo.toml: name the model as the server at"
                f" {self.settings.base_url} calls it"
            )
        self.language = workspace.settings.speech.language
        self.cleaner = Cleaner(self.language)
        self.prompt: Prompt = load(self.settings.prompt, workspace.recipes)
        self.stop = threading.Event()
        self.endpoint = Endpoint(
            self.settings.base_url, self.settings.timeout_seconds, self.stop, PURPOSE
        )
        self.workspace = workspace
        self.lock = threading.Lock()
        self.spending = Spent(0, 0, 0, 0, 0, 0.0)

    @cached_property
    def responses(self) -> Responses:
        """The answers there are, read when first asked for."""
        return Responses(self.workspace)

    @property
    def name(self) -> str:
        """The model and the version of the prompt."""
        return f"{self.settings.model}, prompt {self.prompt.name} {self.prompt.sha256[:8]}"

    @property
    def options(self) -> Mapping[str, object]:
        """Everything that decides a caption; which server holds the model is not part of it."""
        return {
            "method": METHOD,
            "prompt_sha256": self.prompt.sha256,
            "parameters": self.parameters,
            "max_unsupported_share": self.settings.max_unsupported_share,
            "max_lost_share": self.settings.max_lost_share,
            "language": self.language,
            "cleaner": dict(self.cleaner.options),
        }

    @property
    def parameters(self) -> dict[str, object]:
        """What the server is told beside the messages."""
        parameters: dict[str, object] = {
            "model": self.settings.model,
            "max_tokens": self.settings.max_tokens,
        }
        if self.settings.temperature >= 0:
            parameters["temperature"] = self.settings.temperature
        if self.settings.seed >= 0:
            parameters["seed"] = self.settings.seed
        return parameters

    @property
    def spent(self) -> Spent:
        """What this writer's requests cost up to now."""
        return replace(self.spending, retries=self.endpoint.retries)

    def captions(self, images: Iterable[Sequence[str]]) -> Generator[Caption | None, None, None]:
        """The caption of each image, in order; None where the server did not answer.

        Closed or failed, it leaves every answer in the table that came up to `GRACE_SECONDS` later;
        one that comes after them may be lost, and is paid for again then. What a kill leaves is
        said in `writer_responses`. To be called once: the connections are closed afterwards.

        Raises:
            LanguageModelError: the `openai` package is missing, or the server cannot be used.
        """
        responses = self.responses  # read now: before any thread asks, and while nobody else writes
        self.endpoint.open()
        try:
            yield from map_in_threads(self.write, images, self.settings.concurrency, self.stop)
        finally:
            responses.save()
            self.endpoint.close()

    def write(self, transcripts: Sequence[str]) -> Caption | None:
        """The caption of one image; None where the server did not answer, and may another day.

        Raises:
            LanguageModelError: the server cannot be used.
            StoppedError: nobody wants the caption any more.
        """
        transcripts = spoken(transcripts)
        if not transcripts:
            return Caption("", self.name)
        messages = self.prompt.opening(transcripts)
        faults: set[str] = set()
        while True:
            try:
                answer = self.answer(messages).response
            except UnansweredError:
                return None
            except RefusedError:
                fault = "refused"
                break
            caption = caption_in(answer)
            found = faithfulness(caption or "", transcripts, self.language)
            if caption is None:
                fault, again = "gave no valid answer", self.prompt.malformed()
            elif found.unsupported_share > self.settings.max_unsupported_share:
                fault, again = "was unfaithful", self.prompt.unsupported(found.unsupported)
            elif found.lost_share > self.settings.max_lost_share or found.lost_share == 1:
                fault, again = "left too much out", self.prompt.left_out(found.lost)
            else:
                return Caption(caption, self.name, found)
            if fault in faults:
                break
            faults.add(fault)
            messages = [*messages, {"role": "assistant", "content": answer}, again]
        by = f"{self.cleaner.name}, after {self.settings.model} {fault}"
        return Caption(self.cleaner.write(transcripts), by)

    def answer(self, messages: list[Message]) -> Response:
        """The model's answer: kept from earlier where there is one, else asked for and kept."""
        request = self.request(messages)
        request_sha256 = sha256_value(request)
        with self.responses.one_at_a_time(request_sha256):
            if known := self.responses.find(request_sha256):
                self.count(Spent(0, 1, 0, 0, 0, 0.0))
                return known
            response = self.response(
                request_sha256, self.endpoint.complete(request | CAPTION_FORMAT)
            )
            self.responses.keep(response)
        read, written = response.input_tokens or 0, response.output_tokens or 0
        self.count(Spent(1, 0, 0, read, written, response.cost))
        return response

    def count(self, more: Spent) -> None:
        """`more` is part of what was spent."""
        with self.lock:
            before = self.spending
            unknown = before.cost is None or more.cost is None
            self.spending = Spent(
                before.requests + more.requests,
                before.answers_kept + more.answers_kept,
                0,
                before.input_tokens + more.input_tokens,
                before.output_tokens + more.output_tokens,
                None if unknown else (before.cost or 0.0) + (more.cost or 0.0),
            )

    def request(self, messages: list[Message]) -> dict[str, Any]:
        """What is asked, without the form in which the server is asked for JSON."""
        return {**self.parameters, "messages": messages}

    def response(self, request_sha256: str, completion: Completion) -> Response:
        """What is kept of an answer."""
        return Response(
            request_sha256=request_sha256,
            model=self.settings.model,
            served_model=completion.model,
            prompt_sha256=self.prompt.sha256,
            response=completion.text,
            finish_reason=completion.finish_reason,
            input_tokens=completion.input_tokens,
            output_tokens=completion.output_tokens,
            cost=self.cost(completion.input_tokens, completion.output_tokens),
        )

    def cost(self, input_tokens: int | None, output_tokens: int | None) -> float | None:
        """What so many tokens cost; None where tokens or prices are unknown."""
        prices = self.settings.input_price, self.settings.output_price
        if input_tokens is None or output_tokens is None or not any(prices):
            return None
        return (input_tokens * prices[0] + output_tokens * prices[1]) / PRICED_TOKENS

    def unasked(self, transcripts: Sequence[str]) -> dict[str, Any] | None:
        """The first request for an image as it would be sent; None where none would be."""
        transcripts = spoken(transcripts)
        if not transcripts:
            return None
        request = self.request(self.prompt.opening(transcripts))
        if self.responses.find(sha256_value(request)):
            return None
        return self.endpoint.body(request | CAPTION_FORMAT)

    def estimate(self, request: Mapping[str, Any], transcripts: Sequence[str]) -> tuple[int, int]:
        """About how many tokens go in and, the caption being as long as what was said, come out."""
        written = sum(len(message["content"]) for message in request["messages"])
        said = sum(map(len, transcripts)) // CHARACTERS_PER_TOKEN
        return written // CHARACTERS_PER_TOKEN, min(self.settings.max_tokens, said)


def spoken(transcripts: Sequence[str]) -> list[str]:
    """Those with words in them: asked about silence, a model invents."""
    return [transcript for transcript in transcripts if transcript.strip()]


def caption_in(answer: str) -> str | None:
    """The caption in an answer; None where it is not exactly the JSON object asked for."""
    try:
        pairs = json.loads(answer, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        return None
    match pairs:
        case (("caption", str(caption)),) if isinstance(pairs, tuple) and caption.strip():
            try:
                caption.encode()
            except UnicodeEncodeError:  # half of a character pair, which no table holds
                return None
            return caption.strip()
    return None
