"""Answers of a trained checkpoint, asked in the forms that it was trained on."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from pixmo.dataset.reader import Release
from pixmo.errors import ImageError
from pixmo.evaluate.answerers import UNREADABLE, Answer, Keep, to_put
from pixmo.evaluate.answers import Task
from pixmo.hashing import sha256_file
from pixmo.molmo import checkpoint, prompts
from pixmo.molmo.ask import prompt_for, read_image
from pixmo.molmo.crops import Crops, preprocess
from pixmo.molmo.generate import BATCH_REQUESTS, Request, generate

METHOD = "pixmo-checkpoint-answers-2"


class CheckpointAnswerer:
    """Lets the model in a folder answer, greedily."""

    def __init__(self, folder: Path, release: Release | None = None) -> None:
        """The model is loaded.

        Captions are asked for as long as those of the release's train split are, in the middle: a
        hint from the held-out caption itself would give its length away. A benchmark has none.

        Raises:
            TrainingError: there is no complete checkpoint, or its files do not fit together.
            ReleaseError: the release cannot be read.
        """
        self.folder = folder.resolve()
        self.model, self.tokenizer = checkpoint.load(folder)
        self.tagged = self.model.stage == "finetune"
        self.hint = length_hint(release) if release else ""

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def source(self) -> str:
        """The folder."""
        return str(self.folder)

    @property
    def options(self) -> Mapping[str, object]:
        """Its files, and how long captions are asked for."""
        place = checkpoint.find(self.folder)
        files = (checkpoint.WEIGHTS, checkpoint.CONFIG, checkpoint.TOKENIZER)
        hashes = {file: sha256_file(place / file) for file in files}
        return {"method": METHOD, "sha256": hashes, "caption_length_hint": self.hint}

    def answer(self, tasks: Sequence[Task], keep: Keep) -> None:
        """Every task on one image was put to the model, and what it answered is kept."""
        # Tasks on one image follow one another, so that its crops are made once.
        ordered = sorted(to_put(tasks, keep, most_images=1), key=lambda task: task.image)
        crops = lru_cache(1)(self.crops)
        for some in batches(ordered):
            requests: dict[str, Request] = {}
            for task in some:
                try:
                    requests[task.id] = Request(crops(task.image), self.prompt(task))
                except ImageError:
                    keep(Answer(task.id, "", not_put=UNREADABLE))
            texts = generate(self.model, self.tokenizer, list(requests.values()))
            for task_id, text in zip(requests, texts, strict=True):
                keep(Answer(task_id, text))

    def crops(self, image: str) -> Crops:
        """The crops of the image in a file.

        Raises:
            ImageError: it cannot be read.
        """
        return preprocess(read_image(Path(image), image), self.model.size)

    def prompt(self, task: Task) -> str:
        """A task as the model is asked in training."""
        if task.kind == "describe":
            return prompts.caption_prompt(self.hint, self.tagged)
        if task.label:
            method = "counting" if task.kind == "count" else "pointing"
            return prompts.pointing(task.id, task.label, (), method, self.tagged).prompt
        if task.kind == "count":
            return prompt_for(task.question, self.model.stage)
        return prompts.user_turn(task.question)


def length_hint(release: Release) -> str:
    """The hint for a caption as long as the train split's are, in the middle; empty without any."""
    if "cap" not in release.stems:
        return ""
    captions = release.read("cap", "train").column("caption").to_pylist()
    return prompts.length_hint(statistics.median(map(len, captions))) if captions else ""


def batches(tasks: Sequence[Task]) -> Iterator[Sequence[Task]]:
    """Yield the tasks, as many at once as the model answers at once."""
    for start in range(0, len(tasks), BATCH_REQUESTS):
        yield tasks[start : start + BATCH_REQUESTS]
