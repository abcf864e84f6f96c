"""Tasks whose right answer is known, to see how annotators do.

gold/points.jsonl    image, label, points: [[x, y], …] in percent of the image, [] for none
gold/ama.jsonl       image, question, answer, verdict: accept or reject

They stand in the workspace, not in Label Studio, where every annotator could read the answers, and
there they look like any other task. What was taken in as gold stays so: recipes drop annotations of
it, for somebody knew the answers beforehand.
"""

import json
from collections.abc import Sequence
from random import Random
from typing import Any

from pixmo.errors import LabelError
from pixmo.hashing import short_id
from pixmo.label.controls import controls
from pixmo.label.tasks import READERS, Task, image_of
from pixmo.label.values import Json, as_number
from pixmo.workspace.image_links import ImageLinks
from pixmo.workspace.lines import Line, read_lines
from pixmo.workspace.withdrawals import read_withdrawn
from pixmo.workspace.workspace import Workspace

FOLDER = "gold"
COLUMNS = {
    "points": ("image", "label", "collection_method"),
    "ama": ("image", "question", "answer", "verdict"),
}


def take_in(workspace: Workspace, subset: str) -> list[Task]:
    """The gold tasks of a subset, in the order of their ids; the table `gold` has their answers.

    Those on images that were withdrawn are left out.

    Raises:
        LabelError: there is no file of them, or a line is malformed; nothing is taken in then.
    """
    if subset not in COLUMNS:
        raise LabelError(f"there is no gold of {subset}, only of {' and '.join(COLUMNS)}")
    path = workspace.root / FOLDER / f"{subset}.jsonl"
    if not path.is_file():
        columns = ", ".join(COLUMNS[subset]) + (", points" if subset == "points" else "")
        raise LabelError(f"{path} does not exist; write tasks with their answers there: {columns}")
    links = ImageLinks.of(workspace)
    tasks: dict[str, Task] = {}
    rows: list[Json] = []
    with path.open(encoding="utf-8-sig") as file:
        texts = list(file)
    for line in read_lines(path, COLUMNS[subset]):
        where = f"{path} line {line.number}"
        image, data = image_of(links, line, path, where), READERS[subset](line, where)
        asked = data.get("label") or data["question"]
        data["pixmo_id"] = short_id(subset, image, asked)  # as of any other task
        if data["pixmo_id"] in tasks:
            raise LabelError(f"{where}: it asks what an earlier line asks; delete one")
        tasks[data["pixmo_id"]] = Task(image, data)
        is_points = subset == "points"
        rows.append(
            {
                "subset": subset,
                "image_sha256": image,
                "asked": asked,
                "answer": data.get("answer"),
                "points": points_in(json.loads(texts[line.number - 1]), where) if is_points else [],
                "verdict": None if is_points else verdict_in(line, where),
            }
        )
    known = list(answers(workspace).values())
    workspace.append("gold", [row for row in rows if row not in known])
    withdrawn = read_withdrawn(workspace).images
    return [tasks[name] for name in sorted(tasks) if tasks[name].image_sha256 not in withdrawn]


def points_in(row: Json, where: str) -> list[dict[str, float]]:
    """Where a line says to point."""
    given = row.get("points")
    pairs = [pair_in(one) for one in given] if isinstance(given, list) else [None]
    points = [{"x": x, "y": y} for x, y in filter(None, pairs)]
    if len(points) != len(pairs) or any(
        not 0 <= point[axis] <= 100 for point in points for axis in point
    ):
        raise LabelError(
            f"{where}: points is no list of [x, y] in percent of the image, 0 to 100; mend the line"
        )
    return points


def pair_in(given: Any) -> tuple[float, float] | None:
    """Two numbers; None for anything else."""
    if not isinstance(given, list) or len(given) != 2:
        return None
    x, y = (as_number(value) for value in given)
    return None if x is None or y is None else (x, y)


def verdict_in(line: Line, where: str) -> str:
    """What a line says to say of the answer."""
    verdict = line.values.get("verdict")
    known = controls()["answer_verdict"].choices
    if verdict not in known:
        raise LabelError(f"{where}: verdict is {verdict}, not {' or '.join(sorted(known))}")
    return str(verdict)


def mixed(tasks: Sequence[Task], gold: Sequence[Task], share: float) -> list[Task]:
    """The tasks in their order, with gold ones among them, a `share` of all as far as there are.

    Where these stand cannot be told from anything, and is the same for the same tasks.
    """
    count = min(round(len(tasks) * share / (1 - share)), len(gold))
    random = Random("".join(task.data["pixmo_id"] for task in tasks))
    places = set(random.sample(range(len(tasks) + count), count))
    ordinary, known = iter(tasks), iter(gold)
    return [next(known if n in places else ordinary) for n in range(len(tasks) + count)]


def answers(workspace: Workspace) -> dict[tuple[str, str, str], Json]:
    """The answers of all gold tasks, by subset, image and what is asked."""
    with workspace.connect() as connection:
        rows = connection.sql("from current_gold").to_arrow_table().to_pylist()
    return {(row["subset"], row["image_sha256"], row["asked"]): row for row in rows}
