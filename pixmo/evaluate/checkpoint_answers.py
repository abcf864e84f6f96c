"""Answers of a trained checkpoint, asked in the forms that it was trained on."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from pixmo.dataset.reader import Release
from pixmo.evaluate.answerers import POINT_TO, Answer, Keep, to_put
from pixmo.evaluate.answers import Task
from pixmo.hashing import sha256_file
from pixmo.molmo import checkpoint, prompts
from pixmo.molmo.ask import read_image
from pixmo.molmo.crops import Crops, preprocess
from pixmo.molmo.generate import BATCH_REQUESTS, Request, generate

METHOD = "pixmo-checkpoint-answers-1"


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
        """Every task on one image was put to the model, and what it answered is kept.

        Raises:
            ImageError: an image cannot be read.
        """
        # Tasks on one image follow one another, so that its crops are made once.
        ordered = sorted(to_put(tasks, keep, most_images=1), key=lambda task: task.image)
        for some in batches(ordered):
            for task, text in zip(some, self.texts(some), strict=True):
                keep(Answer(task.id, text))

    def texts(self, tasks: Sequence[Task]) -> Iterator[str]:
        """Yield what the model answers, in order."""
        crops = lru_cache(1)(self.crops)
        requests = [Request(crops(task.image), self.prompt(task)) for task in tasks]
        return generate(self.model, self.tokenizer, requests)

    def crops(self, image: str) -> Crops:
        """The crops of the image in a file."""
        return preprocess(read_image(Path(image), image), self.model.size)

    def prompt(self, task: Task) -> str:
        """A task as the model is asked in training."""
        if task.subset == "cap":
            return prompts.caption_prompt(self.hint, self.tagged)
        if task.subset == "points":
            label, method = task.row["label"], task.row["collection_method"]
            return prompts.pointing(task.id, label, (), method, self.tagged).prompt
        if task.subset != "ama" and task.question.startswith(POINT_TO):
            label = task.question.removeprefix(POINT_TO).removesuffix(".")
            return prompts.pointing(task.id, label, (), "pointing", self.tagged).prompt
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
