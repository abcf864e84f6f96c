"""What annotators are to be asked: the data of Label Studio tasks, named by what they ask.

A task's `pixmo_id` is a hash of its subset, its image and what is asked, so that what was pushed
before is known again, from whichever machine.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixmo.errors import LabelError
from pixmo.hashing import short_id
from pixmo.label.parse import COLLECTION_METHODS
from pixmo.label.values import Json
from pixmo.workspace.image_links import ImageLinks
from pixmo.workspace.lines import Line, read_lines
from pixmo.workspace.workspace import Workspace

COLUMNS = {
    "points": ("image", "label", "collection_method"),
    "ama": ("image", "question", "answer"),
    "cap": (),
}


@dataclass(frozen=True)
class Task:
    """A task, less the image's URL."""

    image_sha256: str
    data: Json


def tasks_for(workspace: Workspace, subset: str, asked: Path | None) -> list[Task]:
    """The tasks of a subset that nobody has done yet.

    `cap`: the captions that nobody has reviewed. `points` and `ama`: a task for each line of the
    file `asked`, a .jsonl or .csv with the columns COLUMNS.

    Raises:
        LabelError: a file is missing where there must be one, or a line of it is malformed.
    """
    if subset == "cap":
        if asked is not None:
            raise LabelError("captions to review are the workspace's own; leave the file out")
        found = list(captions(workspace))
    elif asked is None:
        names = ", ".join(COLUMNS[subset])
        raise LabelError(f"name a .jsonl or .csv of what to ask, with --ask: {names}")
    else:
        found = list(asked_in(workspace, subset, asked))
    finished = done(workspace)
    return [task for task in found if task.data["pixmo_id"] not in finished]


def captions(workspace: Workspace) -> Iterator[Task]:
    """Yield the current captions without a review, with what was said beside them."""
    with workspace.connect() as connection:
        rows = connection.execute(
            """
            select captions.image_sha256, caption_id, caption, coalesce(said, '') as said
            from current_captions as captions
            left join (
                select
                    image_sha256,
                    string_agg(text, chr(10) || chr(10) order by transcript_id) as said
                from current_transcripts group by all
            ) using (image_sha256)
            anti join current_caption_reviews using (caption_id)
            where caption <> ''
            order by caption_id
            """
        ).fetchall()
    for image, caption_id, caption, said in rows:
        data = {"caption_id": caption_id, "caption": caption, "transcript": said}
        yield Task(image, data | {"pixmo_id": short_id("cap", caption_id)})


def asked_in(workspace: Workspace, subset: str, path: Path) -> Iterator[Task]:
    """Yield a task for each line; of lines that ask the same, one.

    Raises:
        LabelError: a line is malformed, or names no image or several.
    """
    links = ImageLinks.of(workspace)
    seen = set()
    for line in read_lines(path, COLUMNS[subset]):
        where = f"{path} line {line.number}"
        image, data = image_of(links, line, path, where), READERS[subset](line, where)
        # Which answer is proposed, or how points are collected, is not what is asked.
        data["pixmo_id"] = short_id(subset, image, data.get("label") or data.get("question"))
        if data["pixmo_id"] not in seen:
            seen.add(data["pixmo_id"])
            yield Task(image, data)


def image_of(links: ImageLinks, line: Line, path: Path, where: str) -> str:
    """The image that a line names."""
    name = line.values.get("image")
    if line.fault or not name:
        raise LabelError(f"{where}: {line.fault or 'it names no image'}; mend the line")
    images = links.named(name, path.parent)
    if len(images) != 1:
        many = "names several images" if images else "names no image that was taken in"
        raise LabelError(f"{where}: {name} {many}; mend the line")
    return next(iter(images))


def points_of(line: Line, where: str) -> Json:
    """What a line asks to point at."""
    label = line.values.get("label")
    method = line.values.get("collection_method") or COLLECTION_METHODS[0]
    if not label:
        raise LabelError(f"{where}: it has no label, which says what to point at; mend the line")
    if method not in COLLECTION_METHODS:
        raise LabelError(
            f"{where}: collection_method is {method}; {' or '.join(COLLECTION_METHODS)}"
        )
    return {"label": label, "collection_method": method}


def question_of(line: Line, where: str) -> Json:
    """The question of a line, and the answer to judge."""
    question, answer = line.values.get("question"), line.values.get("answer")
    if not question or not answer:
        raise LabelError(f"{where}: it has not both a question and an answer; mend the line")
    return {"question": question, "answer": answer}


READERS: Mapping[str, Callable[[Line, str], Json]] = {"points": points_of, "ama": question_of}


def done(workspace: Workspace) -> set[str]:
    """The `pixmo_id` of every task with an annotation that counts."""
    with workspace.connect() as connection:
        rows: Sequence[tuple[str | None]] = connection.execute(
            "select distinct task_json ->> 'pixmo_id' from current_annotations"
            " where not coalesce((annotation_json ->> 'was_cancelled')::boolean, false)"
        ).fetchall()
    return {name for (name,) in rows if name}
