"""Answers of a model behind a server that speaks OpenAI's chat completions and takes images."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from PIL import Image

from pixmo.drawing import read_upright
from pixmo.errors import ReleaseError
from pixmo.evaluate.answerers import UNREADABLE, Answer, Keep, to_put
from pixmo.evaluate.answers import Kind, Task
from pixmo.language_models.asking import Asker, ModelServer
from pixmo.language_models.chat_completions import Purpose, RefusedError, UnansweredError
from pixmo.language_models.prompt_files import PromptFile, Section, load

METHOD = "pixmo-endpoint-answers-2"
QUESTION = Section(needs=frozenset(["question"]))
SECTIONS = {kind.capitalize(): QUESTION for kind in get_args(Kind)}
PLACEHOLDER = re.compile(r"\[image (\d)\]")  # of one of several images
JPEG_QUALITY = 95
LOSSY = ("JPEG", "MPO")  # formats of photos; all others are sent without loss
SMALL_SIDE = 56  # pixels; some models take none smaller


class EndpointAnswerer:
    """Puts each task with its images to a model."""

    def __init__(self, server: ModelServer, prompt: str, own: Path, longest_side: int) -> None:
        """Nothing is sent yet.

        `prompt` names a prompt file, from `prompts/` in the folder `own` or one that ships;
        images with more than `longest_side` pixels along one side are sent smaller.

        Raises:
            SettingsError: the prompt or the address cannot be used.
        """
        self.server, self.longest_side = server, longest_side
        self.prompt: PromptFile = load(prompt, own, SECTIONS, "[evaluate] prompt")
        self.asker = Asker(server, purpose())

    @property
    def name(self) -> str:
        """The model."""
        return self.server.model

    @property
    def source(self) -> str:
        """The server."""
        return self.server.base_url

    @property
    def options(self) -> Mapping[str, object]:
        """Everything that decides an answer; which server holds the model is not part of it."""
        return {
            "method": METHOD,
            "prompt": self.prompt.name,
            "prompt_sha256": self.prompt.sha256,
            "parameters": self.server.parameters,
            "longest_side": self.longest_side,
        }

    def answer(self, tasks: Sequence[Task], keep: Keep) -> None:
        """Every task was put to the model; what it answered or refused is kept.

        Raises:
            LanguageModelError: the `openai` package is missing, or the server cannot be used.
        """

        def ask(task: Task) -> None:
            try:
                said = self.asker.complete(self.request(task))
                keep(Answer(task.id, said.text, finish_reason=said.finish_reason))
            except ReleaseError:
                keep(Answer(task.id, "", not_put=UNREADABLE))
            except RefusedError as refusal:
                keep(Answer(task.id, "", str(refusal)))
            except UnansweredError:
                pass  # the next run asks again

        for _ in self.asker.each(ask, to_put(tasks, keep)):
            pass

    def request(self, task: Task) -> dict[str, Any]:
        """What is sent for a task.

        Raises:
            ReleaseError: an image cannot be read.
        """
        words = self.prompt.say(task.kind.capitalize(), question=task.question)
        images = [data_url(Path(image), self.longest_side) for image in task.images]
        return {**self.server.parameters, "messages": [shows(images, words)]}


def purpose() -> Purpose:
    """Why a server is asked; its small question has an image, for a model may take none."""
    small = encoded(Image.new("RGB", (SMALL_SIDE, SMALL_SIDE), "white"), "PNG")
    return Purpose(
        asker="a model behind a server",
        base_url="--endpoint",
        model="--endpoint-model and --endpoint",
        small_question=[shows([small], "Answer with one word: which colour is this?")],
    )


def shows(images: Sequence[str], words: str) -> dict[str, Any]:
    """A message with an image, then words.

    Of several images, the second stands behind the first `[image 2]` of the words, and so on; one
    that is not named stands in front.
    """
    # The words in pieces, each but the last with the number of the image behind it.
    pieces: list[str] = PLACEHOLDER.split(words) if len(images) > 1 else [words]
    inside: list[dict[str, Any]] = []
    left = dict(enumerate(images, 1))
    text = pieces[0]
    for number, following in zip(pieces[1::2], pieces[2::2], strict=True):
        text += f"[image {number}]"
        if int(number) in left:
            inside += [text_part(text), image_part(left.pop(int(number)))]
            text = ""
        text += following
    parts = [*map(image_part, left.values()), *inside, *([text_part(text)] if text else [])]
    return {"role": "user", "content": parts}


def text_part(text: str) -> dict[str, Any]:
    """Words, as a part of a message."""
    return {"type": "text", "text": text}


def image_part(url: str) -> dict[str, Any]:
    """An image, as a part of a message."""
    return {"type": "image_url", "image_url": {"url": url}}


def data_url(path: Path, longest_side: int) -> str:
    """The image upright and in RGB, without what else its file says, as a data URL.

    Raises:
        ReleaseError: it cannot be read.
    """
    image = read_upright(path, longest_side)
    return encoded(image, "JPEG" if image.format in LOSSY else "PNG")


def encoded(image: Image.Image, kind: str) -> str:
    """`image` as a data URL of a PNG or JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=JPEG_QUALITY)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
