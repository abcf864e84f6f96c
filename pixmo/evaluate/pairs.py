"""Pairs of answers for people to judge: Label Studio tasks that do not say whose answer is whose.

Every two models meet on equally many tasks where there are enough, and each stands on the left as
often as on the right. What people see of an answer is its text and its points on the image.
"""

import base64
import hashlib
import io
import itertools
import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from PIL import Image

from pixmo.drawing import draw_points, read_upright
from pixmo.errors import EvaluationError, ReleaseError
from pixmo.evaluate.answers import Task, check_answers
from pixmo.execution.progress import SILENT, Progress
from pixmo.files import replace_atomically, write_json, write_text
from pixmo.hashing import sha256_bytes, short_id, unit_interval
from pixmo.points import TAG, Point, from_text
from pixmo.resources import shared
from pixmo.text import squeeze

CONFIG, IMAGES = "preference.xml", "images"
NO_ANSWER = "(no answer)"
LONGEST_SIDE_PIXELS = 1280  # as shown: half of a wide screen, with room to zoom
# A tag, and where it is closed the words up to there.
TAG_AND_WORDS = re.compile(TAG.pattern + r"(?:((?:(?!<points?\b).)*?)</points?>)?", re.DOTALL)

Answers = Mapping[str, Mapping[str, str]]  # of each model, by the task's id


class Sides(NamedTuple):
    """A task, and the models whose answers to it stand on the left and on the right."""

    task: str
    left: str
    right: str


@dataclass(frozen=True)
class Pair:
    """Two answers to one task."""

    task: Task
    left_model: str
    right_model: str
    left: str
    right: str

    @property
    def id(self) -> str:
        """The same for the same answers on the same sides."""
        return short_id(self.task.id, self.left_model, self.right_model, self.left, self.right)


@dataclass(frozen=True)
class Chosen:
    """What people are to judge, and why the rest is not for them."""

    pairs: tuple[Pair, ...]
    left_out: Mapping[str, int]  # pairs of answers, by the reason


@dataclass(frozen=True)
class Written:
    """What was written for people to judge."""

    tasks: int
    models: Mapping[str, int]  # tasks that each model's answer is in
    left_out: Mapping[str, int]  # pairs of answers, by the reason
    fewest: int  # tasks on which two models meet, over every two
    most: int


def choose(asked: Sequence[Task], answers: Answers, per_pair: int, seed: int = 0) -> Chosen:
    """At most `per_pair` tasks for every two models, of those to which the answers differ.

    Tasks are drawn by `seed`, those first that the fewest models met on before: votes on many
    questions say more than many on a few. Two answers alike are no question for people.

    Raises:
        EvaluationError: there are not two models, or an answer is to no task.
    """
    if len(answers) < 2:
        raise EvaluationError("a preference is between two models; give --answers for each")
    for model, given in answers.items():
        check_answers(model, asked, given)
    used: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    pairs: list[Pair] = []
    for first, second in itertools.combinations(sorted(answers), 2):
        fit: list[Task] = []
        for task in asked:
            reason = why_not(task, answers[first].get(task.id), answers[second].get(task.id))
            if reason:
                left_out[reason] += 1
            else:
                fit.append(task)
        place = {task.id: unit_interval(f"{seed} {task.id} {first} {second}") for task in fit}
        some = sorted(fit, key=lambda task: (used[task.id], place[task.id]))[:per_pair]
        used.update(task.id for task in some)
        pairs += on_sides(some, first, second, answers)
    # Whoever stops before the end has judged about as much of every two models.
    pairs.sort(key=lambda pair: unit_interval(f"{seed} {pair.id}"))
    return Chosen(tuple(pairs), left_out)


def why_not(task: Task, first: str | None, second: str | None) -> str:
    """Why two answers are not for people to judge; empty if they are."""
    one, other = squeeze(first or ""), squeeze(second or "")
    if not one and not other:
        return "neither model answered"
    if one == other:
        return "both answers are the same"
    if task.images_away and (from_text(one) or from_text(other)):
        return "the image to draw points on is not here"
    return ""


def on_sides(tasks: Sequence[Task], first: str, second: str, answers: Answers) -> Iterator[Pair]:
    """Yield two models' answers to tasks in random order, each on the left every other time."""
    for number, task in enumerate(tasks):
        left, right = (first, second) if number % 2 == 0 else (second, first)
        yield Pair(
            task,
            left,
            right,
            answers[left].get(task.id, "").strip(),
            answers[right].get(task.id, "").strip(),
        )


def write(
    folder: Path, chosen: Chosen, images_at: str = "", progress: Progress = SILENT
) -> Written:
    """`folder` has tasks.json, the labelling config and images/, all that Label Studio needs.

    A picture is named by its content, so that its name tells nothing and doing so again changes
    nothing. `images_at` is the URL of images/; default: as Label Studio serves local files where
    its document root is the folder that `folder` lies in.

    Raises:
        EvaluationError: no pair is left to judge, or the folder holds something else.
    """
    found = {path.name for path in folder.glob("*") if not path.name.startswith(".")}
    if CONFIG not in found and not found <= {IMAGES}:  # pictures alone: what a kill left of ours
        raise EvaluationError(f"{folder} is not empty and holds no {CONFIG}; name another folder")
    images_at = images_at or f"/data/local-files/?d={quote(folder.resolve().name)}/images/"
    tasks: list[dict[str, dict[str, str]]] = []
    met: Counter[frozenset[str]] = Counter()
    left_out = Counter(chosen.left_out)
    with progress.task("drawing", len(chosen.pairs), "pairs") as advance:
        for pair in chosen.pairs:
            try:
                urls = [url_of(pair.task, text, folder, images_at) for text in sides_of(pair)]
            except ReleaseError:
                left_out["its image cannot be read"] += 1
            else:
                tasks.append({"data": data_of(pair, *urls)})
                met[frozenset((pair.left_model, pair.right_model))] += 1
            advance(1)
    if not tasks:
        why = ", ".join(f"{count} times {reason}" for reason, count in sorted(left_out.items()))
        raise EvaluationError(f"there is no pair of answers to judge: {why or 'there is no task'}")
    write_text(folder / CONFIG, shared("annotation_ui", "evaluation", CONFIG).read_text("utf-8"))
    write_json(folder / "tasks.json", tasks)
    models: Counter[str] = Counter()
    for two, count in met.items():
        models.update(dict.fromkeys(two, count))
    return Written(len(tasks), models, left_out, min(met.values()), max(met.values()))


def sides_of(pair: Pair) -> tuple[str, str]:
    """The two answers, left and right."""
    return pair.left, pair.right


def data_of(pair: Pair, left_image: str, right_image: str) -> dict[str, str]:
    """What Label Studio keeps of a task; the config shows all but ids and what is sealed."""
    sides = Sides(pair.task.id, pair.left_model, pair.right_model)
    return {
        "pixmo_id": pair.id,
        "image_sha256": pair.task.image_sha256,
        "question": pair.task.question,
        "left": as_shown(pair.left),
        "right": as_shown(pair.right),
        "left_image": left_image,
        "right_image": right_image,
        "sealed": seal(pair.id, sides),
    }


def as_shown(answer: str) -> str:
    """An answer as people read it: for a tag of points its words, and the numbers of its discs."""
    total = len(from_text(answer))
    drawn = 0

    def worded(tag: re.Match[str]) -> str:
        nonlocal drawn
        first, drawn = drawn + 1, drawn + len(from_text(tag[0]))
        numbers = f"{first}–{drawn}" if drawn > first else str(first)
        mark = "" if drawn < first else "●" if total == 1 else f"[{numbers}]"
        return f"{(tag[2] or '').strip()} {mark}".strip()

    return TAG_AND_WORDS.sub(worded, answer).strip() or NO_ANSWER


def url_of(task: Task, answer: str, folder: Path, images_at: str) -> str:
    """Where a browser finds a task's image with the answer's points on it.

    Raises:
        ReleaseError: its file is no image.
    """
    if task.images_away:
        return task.image
    data = picture(Path(task.image), from_text(answer))
    name = f"{sha256_bytes(data)}.png"
    path = folder / IMAGES / name
    if not path.exists():
        replace_atomically(path, lambda temporary: temporary.write_bytes(data))
    return images_at + name


def picture(path: Path, points: Sequence[Point]) -> bytes:
    """A PNG of an image file, upright, not too large, with points drawn on it.

    Raises:
        ReleaseError: the file is no image.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        upright = read_upright(path, LONGEST_SIDE_PIXELS)
    data = io.BytesIO()
    draw_points(upright, points).save(data, "PNG")
    return data.getvalue()


def seal(pair: str, sides: Sides) -> str:
    """Whose answers they are, in letters that tell a person who comes across them nothing.

    It keeps names out of sight, not from somebody who has this code.
    """
    text = json.dumps(sides, ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(masked(text, pair)).decode()


def unseal(pair: str, sealed: str) -> Sides:
    """Whose answers they are.

    Raises:
        ValueError: it was not sealed for this pair.
    """
    data: object = json.loads(masked(base64.urlsafe_b64decode(sealed), pair))
    if not isinstance(data, list) or not all(isinstance(part, str) for part in data):
        raise ValueError("no list of names")
    try:
        return Sides(*data)
    except TypeError as error:
        raise ValueError("not three names") from error


def masked(data: bytes, word: str) -> bytes:
    """`data` with each bit turned where that of a stream made of `word` is 1; twice is `data`."""
    stream = hashlib.shake_256(word.encode()).digest(len(data))
    return bytes(one ^ other for one, other in zip(data, stream, strict=True))
