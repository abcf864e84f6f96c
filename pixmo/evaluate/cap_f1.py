"""Captions beside what people said of the image, as a language model judges their statements.

Text only: no image is ever sent to the judge. It takes a caption and what people said of the image
apart into atomic statements, then says which of the caption's are supported by what people said
(precision), and which of people's by the caption (recall). The score of an image is the harmonic
mean of its own two; the measure is the mean over images. Source of the measure: Deitke et al. 2024,
arXiv 2409.17146. Public versions of it differ in judge, prompt and aggregation, and read replies
loosely; here the judge and a version are part of the name, and a reply that is not exactly what was
asked for is asked for again.
"""

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pixmo.errors import SettingsError
from pixmo.evaluate.answers import Measure, Task, mean_over_images
from pixmo.evaluate.journal import Journal
from pixmo.execution.progress import SILENT, Progress
from pixmo.files import json_line
from pixmo.hashing import sha256_value
from pixmo.language_models.asking import Asker, ModelServer
from pixmo.language_models.chat_completions import (
    Purpose,
    RefusedError,
    UnansweredError,
    json_format,
)
from pixmo.language_models.prompt_files import Section, load, user_says

Value = TypeVar("Value")

VERSION = (
    1  # counted up when the same captions would get another score of the same judge and prompt
)
MOST_REPLIES = 3  # to one question; after them it is left open
SECTIONS = {
    "System": Section(),
    "Statements": Section(needs=frozenset(["text"])),
    "Verdicts": Section(takes=frozenset(["count"]), needs=frozenset(["text", "statements"])),
    "Malformed": Section(takes=frozenset(["fault"])),
}
PURPOSE = Purpose(
    asker="the judge of captions",
    base_url="[evaluate] judge_base_url",
    model="[evaluate] judge_model and judge_base_url in pixmo.toml",
    small_question=[{"role": "user", "content": 'Answer with a JSON object, such as {"none": 0}'}],
)
VERDICT = {
    "type": "object",
    "properties": {"number": {"type": "integer"}, "supported": {"type": "boolean"}},
    "required": ["number", "supported"],
    "additionalProperties": False,
}


def list_format(name: str, items: Mapping[str, Any]) -> dict[str, Any]:
    """What asks for a JSON object with one list in it."""
    schema = {
        "type": "object",
        "properties": {name: {"type": "array", "items": items}},
        "required": [name],
        "additionalProperties": False,
    }
    return {"response_format": json_format(name, schema)}


STATEMENTS_FORMAT = list_format("statements", {"type": "string"})
VERDICTS_FORMAT = list_format("verdicts", VERDICT)


class OpenError(Exception):
    """The judge leaves a question open; the message says why, in the same words for one kind."""


@dataclass(frozen=True)
class Case:
    """One image's caption to judge."""

    image_sha256: str
    caption: str
    reference: str  # what people said


@dataclass(frozen=True)
class CapScore:
    """How a caption does; shares of statements."""

    precision: float  # of the caption's, those that the reference supports
    recall: float  # of the reference's, those that the caption supports

    @property
    def f1(self) -> float:
        """The harmonic mean; 0 where nothing is shared."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


@dataclass(frozen=True)
class Judged:
    """What a judge made of the captions."""

    judge: str
    prompt: str
    prompt_sha256: str
    images: int  # that were judged
    left_out: Mapping[str, int]  # images without a score, by reason
    requests: int  # answered now, not known from earlier
    measures: tuple[Measure, ...]  # none where no image was judged


class Judge:
    """A language model that judges captions; to be used once."""

    def __init__(self, server: ModelServer, prompt: str, own: Path) -> None:
        """Nothing is sent yet; `prompt` is a file of `prompts/` in the folder `own`, or ships.

        Raises:
            SettingsError: no model is named, or the prompt or the address cannot be used.
        """
        if not server.model:
            raise SettingsError(
                "[evaluate] judge_model is empty in pixmo.toml: name the model as the server at"
                f" {server.base_url} calls it"
            )
        self.server = server
        self.prompt = load(prompt, own, SECTIONS, "[evaluate] judge_prompt")
        self.asker = Asker(server, PURPOSE)
        self.lock = threading.Lock()
        self.requests = 0

    @property
    def options(self) -> Mapping[str, object]:
        """Everything that decides a verdict; which server holds the model is not part of it."""
        return {
            "version": VERSION,
            "prompt": self.prompt.name,
            "prompt_sha256": self.prompt.sha256,
            "parameters": self.server.parameters,
        }

    def judge(self, cases: Sequence[Case], path: Path, progress: Progress = SILENT) -> Judged:
        """How the captions do; every reply is in the journal at `path`, the valid ones for good.

        Raises:
            LanguageModelError: the `openai` package is missing, or the server cannot be used.
        """
        score = partial(self.score, Journal(path))
        scores: list[tuple[str, CapScore]] = []
        left_out: Counter[str] = Counter()
        with progress.task("Judging captions", total=len(cases), unit="images") as advance:
            for case, found in zip(cases, self.asker.each(score, cases), strict=True):
                if isinstance(found, CapScore):
                    scores.append((case.image_sha256, found))
                else:
                    left_out[found] += 1
                advance(1)
        return Judged(
            judge=self.server.model,
            prompt=self.prompt.name,
            prompt_sha256=self.prompt.sha256,
            images=len(scores),
            left_out=dict(sorted(left_out.items())),
            requests=self.requests,
            measures=measures(scores, self.server.model),
        )

    def score(self, journal: Journal, case: Case) -> CapScore | str:
        """The score of a caption, or why there is none.

        Raises:
            LanguageModelError: the server cannot be used.
            StoppedError: nobody wants the score any more.
        """
        try:
            # First, and of every image: whether it counts is no matter of the caption.
            true = self.statements(journal, case.reference)
            if not true:
                return "nothing was said of the image"
            if not case.caption.strip():
                return CapScore(0.0, 0.0)
            said = self.statements(journal, case.caption)
            supported = self.verdicts(journal, case.reference, said)
            covered = self.verdicts(journal, case.caption, true)
        except OpenError as error:
            return str(error)
        except RefusedError:
            return "the judge refused"
        except UnansweredError:
            return "the judge did not answer; run the same command to ask again"
        return CapScore(sum(supported) / len(supported) if said else 0.0, sum(covered) / len(true))

    def statements(self, journal: Journal, text: str) -> list[str]:
        """What `text` says of the image, statement by statement."""
        question = self.prompt.say("Statements", text=as_data(text))
        return self.ask(journal, question, STATEMENTS_FORMAT, statements_in)

    def verdicts(self, journal: Journal, text: str, statements: Sequence[str]) -> list[bool]:
        """Which of the statements `text` supports."""
        if not statements:
            return []
        numbered = [{"number": n, "statement": one} for n, one in enumerate(statements, 1)]
        question = self.prompt.say(
            "Verdicts", text=as_data(text), statements=as_data(numbered), count=len(statements)
        )
        read = partial(verdicts_in, count=len(statements))
        return self.ask(journal, question, VERDICTS_FORMAT, read)

    def ask(
        self,
        journal: Journal,
        question: str,
        form: Mapping[str, Any],
        read: Callable[[str], Value],
    ) -> Value:
        """What `read` reads in the reply, asked for again where it is not what was asked for.

        A reply of an earlier run is taken if it was valid.

        Raises:
            OpenError: no reply was.
            RefusedError: the question cannot be answered.
            UnansweredError: it was not answered, and may be another day.
        """
        messages = [{"role": "system", "content": self.prompt.say("System")}, user_says(question)]
        name = sha256_value({**self.server.parameters, "messages": messages})
        with journal.one_at_a_time(name):
            if known := journal.known.get(name):
                with contextlib.suppress(ValueError):
                    return read(str(known["reply"]))
            for _ in range(MOST_REPLIES):
                reply = self.reply(journal, name, messages, form)
                try:
                    return read(reply)
                except ValueError as fault:
                    again = user_says(self.prompt.say("Malformed", fault=fault))
                    messages = [*messages, {"role": "assistant", "content": reply}, again]
        raise OpenError("the judge gave no valid reply; run the same command to ask again")

    def reply(
        self,
        journal: Journal,
        name: str,
        messages: Sequence[Mapping[str, str]],
        form: Mapping[str, Any],
    ) -> str:
        """The judge's reply, asked for and kept under the name of the question."""
        request = {**self.server.parameters, "messages": list(messages)}
        completion = self.asker.complete({**request, **form})
        journal.keep(
            {
                "id": name,
                "reply": completion.text,
                "model": self.server.model,
                "served_model": completion.model,
                "finish_reason": completion.finish_reason,
                "input_tokens": completion.input_tokens,
                "output_tokens": completion.output_tokens,
            }
        )
        with self.lock:
            self.requests += 1
        return completion.text


def case_of(task: Task, caption: str) -> Case:
    """A caption beside what people said: the transcripts, or the caption that a row has alone."""
    said = [text for text in task.row["transcripts"] if text.strip()] or [task.row["caption"]]
    return Case(task.image_sha256, caption, "\n".join(said))


def measures(scores: Sequence[tuple[str, CapScore]], judge: str) -> tuple[Measure, ...]:
    """The means over images; none of no image."""
    if not scores:
        return ()
    images = [image for image, _ in scores]
    found = {
        "F1": [score.f1 for _, score in scores],
        "precision": [score.precision for _, score in scores],
        "recall": [score.recall for _, score in scores],
    }
    return tuple(
        Measure("cap", f"cap-{kind}-{VERSION} (judge {judge})", mean, len(images))
        for kind, values in found.items()
        for mean in [mean_over_images(values, images)]
    )


def as_data(value: object) -> str:
    """A value as JSON that cannot end the block it stands in: it has no `<` of its own."""
    return json_line(value).replace("<", "\\u003c")


def list_in(reply: str, name: str) -> list[Any]:
    """The list in a reply that is exactly an object with this one key.

    Raises:
        ValueError: it is not; the message says what is wrong.
    """
    try:
        found = json.loads(reply)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    if isinstance(found, dict) and list(found) == [name] and isinstance(found[name], list):
        return list(found[name])
    raise ValueError(f'it is no object with the single key "{name}" and a list')


def statements_in(reply: str) -> list[str]:
    """The statements in a reply.

    Raises:
        ValueError: it is not what was asked for; the message says what is wrong.
    """
    found = list_in(reply, "statements")
    if not all(isinstance(one, str) and one.strip() for one in found):
        raise ValueError("a statement is no text")
    return found


def verdicts_in(reply: str, count: int) -> list[bool]:
    """The verdicts in a reply, one for each of `count` statements.

    Raises:
        ValueError: it is not what was asked for; the message says what is wrong.
    """
    found = list_in(reply, "verdicts")
    if len(found) != count:
        raise ValueError(f"there are {len(found)} verdicts on {count} statements")
    for number, one in enumerate(found, 1):
        match one:
            case {"number": int(given), "supported": bool()} if given == number and len(one) == 2:
                continue
        raise ValueError(f"verdict {number} is not the number {number} and true or false")
    return [one["supported"] for one in found]
