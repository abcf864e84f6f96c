"""A language model behind a server, asked from several threads."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pixmo.execution.threads import map_in_threads
from pixmo.language_models.chat_completions import Completion, Endpoint, Purpose

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class ModelServer:
    """Whom to ask, and how."""

    base_url: str
    model: str  # as the server calls it
    max_tokens: int  # of an answer
    temperature: float = 0.0  # -1: not sent, for models that take only their own
    concurrency: int = 8  # requests at a time
    timeout_seconds: float = 120.0  # for one answer

    @property
    def parameters(self) -> dict[str, Any]:
        """What the server is told beside the messages."""
        parameters: dict[str, Any] = {"model": self.model, "max_tokens": self.max_tokens}
        if self.temperature >= 0:
            parameters["temperature"] = self.temperature
        return parameters


class Asker:
    """Puts requests to one server; to be used once."""

    def __init__(self, server: ModelServer, purpose: Purpose) -> None:
        """Nothing is sent yet.

        Raises:
            SettingsError: the address is none.
        """
        self.server = server
        self.stop = threading.Event()
        self.endpoint = Endpoint(server.base_url, server.timeout_seconds, self.stop, purpose)

    def complete(self, request: Mapping[str, Any]) -> Completion:
        """The answer to `request`; it raises what `Endpoint.complete` does."""
        return self.endpoint.complete(request)

    def each(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield `function(item)` for every item, in order; only meanwhile requests can be sent.

        Raises:
            LanguageModelError: the `openai` package is missing, or the server cannot be used.
        """
        if not items:
            return
        self.endpoint.open()
        try:
            yield from map_in_threads(function, items, self.server.concurrency, self.stop)
        finally:
            self.endpoint.close()
