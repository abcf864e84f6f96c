"""An evaluation as a folder: what was asked of whom, every answer, and how they do.

    runs/evaluate-<data>-<split>-<answerer>-<hash>/
      configuration.json   what was asked, of whom, how, and by which measures
      answers.jsonl        an answer a line, at once when it comes; in the tasks' order at the end
      evaluation.json      the scores; written last
    runs/judgements.jsonl  every reply of any judge: what is known of one model serves the next

The folder's name has a hash of everything that decides the answers, so the same command goes on
where it was and asks only what is missing.
"""

import contextlib
import fcntl
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pixmo import __version__
from pixmo.dataset.manifest import FILE_NAME as MANIFEST
from pixmo.dataset.reader import Release
from pixmo.errors import EvaluationError
from pixmo.evaluate import benchmarks
from pixmo.evaluate.answerers import Answer, Answerer, GivenAnswers
from pixmo.evaluate.answers import Evaluation, Task, check_asked, evaluate, tasks
from pixmo.evaluate.benchmarks import Benchmark
from pixmo.evaluate.cap_f1 import Judge, Judged, case_of
from pixmo.evaluate.journal import Journal
from pixmo.execution.progress import SILENT, Progress
from pixmo.files import json_line, plain, write_json, write_text
from pixmo.hashing import sha256_file, sha256_value

ANSWERS, EVALUATION, CONFIGURATION = "answers.jsonl", "evaluation.json", "configuration.json"
LOCK = ".lock"
JUDGEMENTS = "judgements.jsonl"  # beside the runs' folders
CUT = "length"  # OpenAI's finish_reason of an answer that max_tokens cut off
NAME_CHARACTERS = 40  # of an answerer's name, in a folder's


@dataclass(frozen=True)
class Asked:
    """The tasks of an evaluation."""

    name: str  # of the release or benchmark that they come from
    split: str
    data: str  # where they are read: a folder, a file, or OWNER/NAME on the hub
    revision: str  # the hub's commit; empty elsewhere
    sha256: str  # of the release's manifest, or of a benchmark's task ids and truths
    tasks: tuple[Task, ...]
    score: Callable[[Mapping[str, str]], Evaluation]  # of the answers, by id


@dataclass(frozen=True)
class Run:
    """An evaluation and where it is kept."""

    folder: Path
    evaluation: Evaluation  # with what the judge measured
    refused: int  # tasks that the answerer will never answer; answers.jsonl says why
    not_put: Mapping[str, int]  # tasks that it was not asked, by reason
    cut: int  # answers that end where the server takes no more tokens
    judged: Judged | None

    @property
    def summary(self) -> dict[str, Any]:
        """What `evaluation.json` holds."""
        judged = None
        if self.judged:
            judged = {key: value for key, value in asdict(self.judged).items() if key != "measures"}
        found: dict[str, Any] = plain(self.evaluation)
        left_over = {"refused": self.refused, "not_put": self.not_put, "cut": self.cut}
        return found | left_over | {"judged": judged}


def of_release(release: Release, split: str) -> Asked:
    """What a model is asked of one split of a release.

    Raises:
        ReleaseError: the release cannot be read.
    """
    name, asked = release.manifest.version, tuple(tasks(release, split))
    sha256 = sha256_file(release.root / MANIFEST)
    score = partial(evaluate, name, split, asked)
    return Asked(name, split, str(release.root), "", sha256, asked, score)


def of_benchmark(
    benchmark: Benchmark,
    images: Path,
    data: str = "",
    split: str = "",
    progress: Progress = SILENT,
) -> Asked:
    """What a model is asked of one split of a benchmark, whose images are kept in `images`.

    Default: the usual split of what is on the hub.

    Raises:
        EvaluationError: the data cannot be read, are not as published, or lack their truths.
    """
    source, found = benchmarks.tasks(benchmark, images, data, split, progress)
    asked = tuple(found)
    # An id is made of the question and its images, whatever copy they come from.
    sha256 = sha256_value([[task.id, task.row] for task in asked])
    score = partial(evaluate, benchmark.name, source.split, asked)
    return Asked(
        name=benchmark.name,
        split=source.split,
        data=data or benchmark.hub,
        revision=source.revision,
        sha256=sha256,
        tasks=asked,
        score=score,
    )


def run(
    asked: Asked,
    answerer: Answerer,
    runs: Path,
    judge: Judge | None = None,
    progress: Progress = SILENT,
) -> Run:
    """What has no answer yet in the evaluation's folder was asked, and all answers are scored.

    Raises:
        EvaluationError: an answer is to no task, there is no task, there is no caption to judge, or
            another process is at this evaluation.
        LanguageModelError: a server cannot be used; what was answered is kept.
    """
    described = [task for task in asked.tasks if task.subset == "cap"]
    if judge and not described:
        raise EvaluationError(f"{asked.name}/{asked.split} has no caption to judge")
    # Before anybody is asked: what cannot be scored is not to be paid for, nor kept.
    given = answerer.given if isinstance(answerer, GivenAnswers) else {}
    check_asked(asked.name, asked.split, asked.tasks, given)
    configuration = configuration_of(asked, answerer, judge)
    folder = runs / folder_name(asked, answerer)
    with alone_in(folder):
        write_json(folder / CONFIGURATION, configuration)
        answers = collect(asked.tasks, answerer, folder / ANSWERS, progress)
        texts = {name: answer.answer for name, answer in answers.items()}
        refused = sum(bool(answer.refused) for answer in answers.values())
        not_put = Counter(answer.not_put for answer in answers.values() if answer.not_put)
        found = Run(
            folder=folder,
            evaluation=asked.score(texts),
            refused=refused,
            not_put=dict(sorted(not_put.items())),
            cut=sum(answer.finish_reason == CUT for answer in answers.values()),
            judged=None,
        )
        if judge:
            write_json(folder / EVALUATION, found.summary)  # a judge may fail
            cases = [case_of(task, texts.get(task.id, "")) for task in described]
            judged = judge.judge(cases, runs / JUDGEMENTS, progress)
            measures = found.evaluation.measures + judged.measures
            found = replace(
                found, evaluation=replace(found.evaluation, measures=measures), judged=judged
            )
        names = [measure.name for measure in found.evaluation.measures]
        write_json(folder / CONFIGURATION, configuration | {"measures": names})
        write_json(folder / EVALUATION, found.summary)
    return found


def collect(
    asked: Sequence[Task], answerer: Answerer, path: Path, progress: Progress
) -> dict[str, Answer]:
    """Every answer there is, by id: those in the file, and those that the answerer gives now.

    A task that got no answer is left out; one that was not put, or whose answer says nothing, is
    asked again.
    """
    journal = Journal(path)
    kept = {
        name
        for name, entry in journal.known.items()
        if entry.get("refused") or entry.get("answer", "").strip()
    }
    left = [task for task in asked if task.id not in kept]
    with progress.task("Asking", total=len(left), unit="tasks") as advance:

        def keep(answer: Answer) -> None:
            said = {name: value for name, value in asdict(answer).items() if value}
            journal.keep({"id": answer.id, "answer": answer.answer} | said)
            advance(1)

        if left:
            answerer.answer(left, keep)
    order = {task.id: place for place, task in enumerate(asked)}
    entries = sorted(journal.known.values(), key=lambda one: order.get(one["id"], len(order)))
    write_text(path, "".join(f"{json_line(entry)}\n" for entry in entries))
    return {entry["id"]: answer_in(entry) for entry in entries}


def answer_in(entry: Mapping[str, Any]) -> Answer:
    """The answer in a line; those that people wrote may have less in it."""
    names = ("id", "answer", "refused", "not_put", "finish_reason")
    return Answer(**{name: entry.get(name, "") for name in names})


def configuration_of(asked: Asked, answerer: Answerer, judge: Judge | None) -> dict[str, Any]:
    """What is asked, of whom and how."""
    return {
        "pixmo": __version__,
        "asked": asked.name,
        "split": asked.split,
        "data": asked.data,
        "revision": asked.revision,
        "sha256": asked.sha256,
        "source": answerer.source,
        "answerer": dict(answerer.options),
        "judge": dict(judge.options) if judge else None,
    }


def folder_name(asked: Asked, answerer: Answerer) -> str:
    """The name of the folder: the same where everything that decides the answers is."""
    deciding = [asked.sha256, asked.split, dict(answerer.options)]
    whom = re.sub(r"[^\w.-]+", "-", answerer.name)[:NAME_CHARACTERS]
    return f"evaluate-{asked.name}-{asked.split}-{whom}-{sha256_value(deciding)[:8]}"


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """The folder is there, and nobody else is at its evaluation; the lock dies with its process.

    A folder in which nothing was answered is gone afterwards.

    Raises:
        EvaluationError: another process is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.fstat(file.fileno()).st_nlink:  # its folder has gone just now
                raise BlockingIOError
        except BlockingIOError as error:
            raise EvaluationError(
                f"another pixmo is at the evaluation in {folder}; wait for it to finish"
            ) from error
        try:
            yield
        finally:
            if {path.name for path in folder.glob("*")} <= {LOCK, CONFIGURATION}:
                shutil.rmtree(folder, ignore_errors=True)
