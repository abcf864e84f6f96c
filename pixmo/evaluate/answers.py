"""Answers of any model, to a release's held-out rows or a benchmark: asked for, read, and scored.

A task is a line of JSON (id, subset, image, image_sha256, question); an answer is one, too (id,
answer). A task without an answer counts as answered wrongly: who leaves out what is hard gains
nothing by it.
"""

import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from PIL import ExifTags, Image

from pixmo.agreement import PointScore
from pixmo.dataset.reader import Release
from pixmo.errors import EvaluationError, ReleaseError
from pixmo.evaluate import captions, counting, pointing, vqa
from pixmo.evaluate.statistics import Mean, clustered_mean
from pixmo.points import Point, from_text
from pixmo.text import counted

DESCRIBE = "Describe this image in detail."
MOST_NAMED = 5  # ids in a message
LEAST_IMAGES = 30  # of an interval; with fewer it would be much too short
OF_COUNT = " of true count "  # in a measure's name, behind that over all counts
TURNED = (5, 6, 7, 8)  # EXIF orientations that show the height as the width

Kind = Literal["describe", "answer", "point", "count"]
Row = Mapping[str, Any]
Scores = Mapping[str, float]  # of one answer, by measure


@dataclass(frozen=True)
class Task:
    """What a model is asked, and how its answer is scored."""

    id: str
    subset: str  # of a release, or the name of a benchmark
    kind: Kind  # of what is asked for
    image: str  # its file, or its URL where no file is here
    image_sha256: str
    question: str
    row: Row  # of a release; of a benchmark, all that decides the score
    score: Callable[[str], Scores]  # of an answer
    label: str = ""  # what to point to or to count; empty where the question alone says so
    more_images: tuple[str, ...] = ()  # where a question is on several: those behind the first

    @property
    def images(self) -> tuple[str, ...]:
        """All of them, in order."""
        return (self.image, *self.more_images)

    @property
    def images_away(self) -> tuple[str, ...]:
        """The URLs of those that are no file here."""
        return tuple(image for image in self.images if "://" in image)


@dataclass(frozen=True)
class Measure:
    """How a model does on one subset by one measure."""

    subset: str
    name: str  # with its version
    mean: Mean
    rows: int


@dataclass(frozen=True)
class Evaluation:
    """How a model does on a release or a benchmark."""

    data: str  # its name
    split: str
    tasks: int
    missing: int  # tasks without an answer
    images_away: int  # that are not here
    taken_as_squares: int  # images pointed at of which nobody knows the shape
    measures: tuple[Measure, ...]


def tasks(release: Release, split: str) -> Iterator[Task]:
    """Yield what a model is asked of one split, subset by subset, in the order of the rows.

    Raises:
        ReleaseError: the release cannot be read.
    """
    for stem in release.stems:
        for row in release.read(stem, split).to_pylist():
            try:
                image = str(release.image_path(row["image_url"], row["image_sha256"]))
            except ReleaseError:
                url = row["image_url"]
                image = url if "://" in url else str(release.file(url))
            yield Task(
                id=row["id"],
                subset=stem,
                kind=(kind := kind_of(stem, row)),
                image=image,
                image_sha256=row["image_sha256"],
                question=question_of(kind, row),
                row=row,
                score=functools.partial(SCORE[kind], row, image),
                label=row.get("label", ""),
            )


def kind_of(stem: str, row: Row) -> Kind:
    """What a row asks for."""
    if stem == "points":
        return "count" if row["collection_method"] == "counting" else "point"
    return "answer" if stem == "ama" else "describe"


def question_of(kind: Kind, row: Row) -> str:
    """What a row asks."""
    match kind:
        case "describe":
            return DESCRIBE
        case "answer":
            return str(row["question"])
        case "point":
            return f"Point to {row['label']}."
        case "count":
            return f"How many {row['label']} are there?"


def as_line(task: Task) -> str:
    """A task as a line of JSON, without the truth."""
    names = ["id", "subset", "image", "image_sha256", "question"]
    names += ["more_images"] if task.more_images else []
    shown = {name: getattr(task, name) for name in names}
    return json.dumps(shown, ensure_ascii=False)


def read_answers(path: Path) -> dict[str, str]:
    """The answers in a JSONL file, by id.

    Raises:
        EvaluationError: the file cannot be read, or a line is no answer, or repeats another's id.
    """
    found: dict[str, str] = {}
    try:
        # JSON may hold other ends of lines as they are; some editors begin a file with a mark.
        lines = path.read_text("utf-8-sig").split("\n")
    except OSError as error:
        raise EvaluationError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise EvaluationError(f"{path} is not UTF-8 text: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            name, answer = data["id"], data["answer"]
        except (ValueError, TypeError, KeyError) as error:
            raise EvaluationError(
                f"{path} line {number} is no JSON object with id and answer"
            ) from error
        if not isinstance(name, str) or not isinstance(answer, str):
            raise EvaluationError(f"{path} line {number}: id and answer must be text")
        if name in found:
            raise EvaluationError(f"{path} line {number} answers {name} again")
        found[name] = answer
    return found


def evaluate(
    data: str, split: str, asked: Sequence[Task], answers: Mapping[str, str]
) -> Evaluation:
    """How the answers to the tasks do, each measure with its bootstrap interval over images.

    Raises:
        EvaluationError: an answer is to no task, or there is no task.
    """
    check_asked(data, split, asked, answers)
    measures: list[Measure] = []
    for subset in dict.fromkeys(task.subset for task in asked):
        of_subset = [task for task in asked if task.subset == subset]
        measures += measured(subset, of_subset, answers)
    missing = sum(not answers.get(task.id, "").strip() for task in asked)
    away = len({image for task in asked for image in task.images_away})
    pointed = {
        task.image
        for task in asked
        if task.subset == "points" and task.kind == "point" and answers.get(task.id, "").strip()
    }
    squares = sum(known_shape(image) is None for image in pointed)
    return Evaluation(data, split, len(asked), missing, away, squares, tuple(measures))


def check_asked(data: str, split: str, asked: Sequence[Task], answers: Mapping[str, str]) -> None:
    """Nothing, if there are tasks, no two of one id, and the answers are to tasks alone.

    Raises:
        EvaluationError: it is not so.
    """
    if not asked:
        raise EvaluationError(f"{data} has no row in {split}")
    if len({task.id for task in asked}) < len(asked):
        raise EvaluationError(f"{data} has an id twice in {split}")
    check_answers(f"{data}/{split}", asked, answers)


def check_answers(whose: str, asked: Sequence[Task], answers: Mapping[str, str]) -> None:
    """Nothing, if the answers are to tasks alone; `whose` they are begins the message.

    Raises:
        EvaluationError: one is to no task.
    """
    if strange := sorted(answers.keys() - {task.id for task in asked}):
        named = ", ".join(strange[:MOST_NAMED])
        raise EvaluationError(
            f"{whose}: {counted(len(strange), 'answer')} to no such task, such as {named}; name the"
            " data and split that was asked, or ask for its tasks again"
        )


def measured(
    subset: str, of_subset: Sequence[Task], answers: Mapping[str, str]
) -> Iterator[Measure]:
    """Yield every measure of a subset; one that fits some of its rows is over these."""
    scored: dict[str, list[tuple[float, str]]] = {}
    for task in of_subset:
        answer = answers.get(task.id, "").strip()
        for name, value in task.score(answer).items():
            scored.setdefault(name, []).append((value if answer else 0.0, task.image_sha256))
    for name, found in scored.items():
        values, images = zip(*found, strict=True)
        yield Measure(subset, name, mean_over_images(values, images), len(values))


def mean_over_images(values: Sequence[float], images: Sequence[str]) -> Mean:
    """The mean of values of these images, with its bootstrap interval over images.

    The interval is NaN for fewer than LEAST_IMAGES, and where all images have one mean: there it
    would be much shorter than what is not known.
    """
    if len(set(images)) == 1:
        return Mean(sum(values) / len(values), math.nan, math.nan, math.nan, 1)
    found = clustered_mean(values, images)
    if found.units >= LEAST_IMAGES and not math.isclose(found.low, found.high):
        return found
    return replace(found, low=math.nan, high=math.nan)


def score_caption(row: Row, _image: str, answer: str) -> Scores:
    """How a caption does."""
    found = captions.score(answer, row["caption"], row["transcripts"])
    kind = f"lexical-{captions.VERSION}"
    return {
        f"{kind} F1": found.f1,
        f"{kind} precision": found.precision,
        f"{kind} recall": found.recall,
    }


def score_answer(row: Row, _image: str, answer: str) -> Scores:
    """How an answer does beside the one that an annotator accepted."""
    truth = row["answer"]
    return {
        f"exact-{vqa.VERSION}": vqa.exact(answer, [truth]),
        f"ANLS-{vqa.VERSION}": vqa.anls(answer, [truth]),
    }


def score_points(row: Row, image: str, answer: str) -> Scores:
    """How points do."""
    truth = [Point(point["x"], point["y"]) for point in row["points"]]
    scores: Scores = {}
    shape = height_over_width(image)
    for within in pointing.WITHIN_PERCENT:
        found = pointing.score_by_distance(from_text(answer), truth, within, shape)
        scores = {**scores, **point_scores(answer, f"within {within:g} %", found)}
    return scores


def score_counted(row: Row, _image: str, answer: str) -> Scores:
    """How the number that an answer gives does, whether it points or not."""
    return score_count(answer, len(row["points"]))


def score_count(answer: str, count: int) -> Scores:
    """How the number that an answer gives does, over all and by the true count.

    Source: Deitke et al. 2024, arXiv 2409.17146: exact, and off by one at most; both by the true
    count, too, for large counts are harder.
    """
    said = counting.count_said(answer)
    off = abs(said - count) if said is not None else None
    kind = f"count-{counting.VERSION}"
    scores = {
        f"{kind} exact": float(off == 0),
        f"{kind} within one": float(off is not None and off <= 1),
    }
    return scores | {f"{name}{OF_COUNT}{count}": value for name, value in scores.items()}


def point_scores(answer: str, how: str, found: PointScore) -> Scores:
    """The measures of an answer's points, found to hit as `how` says."""
    if not from_text(answer) and counting.count_said(answer) != 0:
        # Who says nothing has not said that there is none.
        found = PointScore(0.0, 0.0)
    kind = f"points-{pointing.VERSION} {how}"
    return {
        f"{kind} F1": found.f1,
        f"{kind} precision": found.precision,
        f"{kind} recall": found.recall,
    }


def height_over_width(image: str) -> float:
    """Of an image as it is shown; a square's where its file is not here or cannot be read."""
    return known_shape(image) or 1.0


def known_shape(image: str) -> float | None:
    """Height over width of an image as it is shown; None where its file is none, or no image."""
    try:
        with Image.open(image) as opened:
            width, height = opened.size
            turned = opened.getexif().get(ExifTags.Base.Orientation, 1) in TURNED
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return width / height if turned else height / width


SCORE: Mapping[Kind, Callable[[Row, str, str], Scores]] = {  # of a row, its image, an answer
    "describe": score_caption,
    "answer": score_answer,
    "point": score_points,
    "count": score_counted,
}
