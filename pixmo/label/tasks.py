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
from pixmo.label.pictures import pictures
from pixmo.label.rounds import to_judge
from pixmo.label.values import Json
from pixmo.workspace.image_links import ImageLinks
from pixmo.workspace.lines import Line, read_lines
from pixmo.workspace.withdrawals import read_withdrawn
from pixmo.workspace.workspace import Workspace

COLUMNS = {
    "points": ("image", "label", "collection_method"),
    "ama": ("image", "question", "answer"),
}
# What an annotator is told, by COLLECTION_METHODS.
INSTRUCTIONS = {
    "pointing": "Point once at every one of these; where it is empty, write what you point at",
    "counting": "Count these: point once at every one, then go over the image again until you are"
    " sure that none is left out and none has two points",
}


def pointing(label: str, method: str = COLLECTION_METHODS[0]) -> Json:
    """What a task is that asks to point at `label`; empty, at what the annotator writes."""
    return {"label": label, "collection_method": method, "instruction": INSTRUCTIONS[method]}


INVITATIONS: Mapping[str, Json] = {
    "points": pointing(""),
    "questions": {"invitation": "Ask one question that this image answers, as of a person"},
}


@dataclass(frozen=True)
class Task:
    """A task, less the image's URL."""

    image_sha256: str
    data: Json
    predictions: Sequence[Json] = ()  # what the annotator is shown as answered
    recordings: Sequence[tuple[str, Path]] = ()  # sha256 and file of what was said


def tasks_for(
    workspace: Workspace, subset: str, asked: Path | None, per_image: int = 1
) -> list[Task]:
    """The tasks of a subset that nobody has done yet, on images that nobody withdrew.

    `cap`: the captions that nobody has reviewed. `ama`: the answers that a language model proposed.
    `questions` and `points`: so many for every image, each for what an annotator comes up with.
    `points` and `ama` where there is a file `asked`: a task for each line of this .jsonl or .csv
    with the columns COLUMNS.

    Raises:
        LabelError: a line of the file is malformed, or there is a file that has no use.
    """
    if asked is not None and subset not in COLUMNS:
        raise LabelError(f"{subset} are asked for from the workspace alone; leave --ask out")
    if asked is not None:
        found = asked_in(workspace, subset, asked)
    elif subset in INVITATIONS:
        found = invitations(workspace, subset, per_image)
    else:
        found = OWN[subset](workspace)
    known, withdrawn = done(workspace), read_withdrawn(workspace).images
    return [
        task
        for task in found
        if task.data["pixmo_id"] not in known and task.image_sha256 not in withdrawn
    ]


def captions(workspace: Workspace) -> Iterator[Task]:
    """Yield the current captions without a review, with what was said beside them."""
    with workspace.connect() as connection:
        rows = connection.execute(
            """
            with said as (
                select
                    image_sha256,
                    string_agg(text, chr(10) || chr(10) order by transcript_id) as transcript,
                    list((recordings.recording_sha256, path) order by transcript_id)
                        filter (path is not null) as sounds
                from current_transcripts
                left join recordings using (recording_sha256, image_sha256)
                group by all
            )

            select image_sha256, caption_id, caption, coalesce(transcript, ''), coalesce(sounds, [])
            from current_captions left join said using (image_sha256)
            anti join current_caption_reviews using (caption_id)
            anti join withdrawn_captions using (image_sha256)
            where caption <> ''
            order by caption_id
            """
        ).fetchall()
    for image, caption_id, caption, transcript, sounds in rows:
        data = {"caption_id": caption_id, "caption": caption, "transcript": transcript}
        data["pixmo_id"] = short_id("cap", caption_id)
        files = [(sha256, workspace.path(path)) for sha256, path in sounds]
        yield Task(image, data, recordings=[one for one in files if one[1].is_file()])


def invitations(workspace: Workspace, subset: str, per_image: int) -> Iterator[Task]:
    """Yield so many tasks for every image, for what an annotator comes up with."""
    for number in range(per_image):  # first one for every image, then another
        for image in pictures(workspace):
            named = {"pixmo_id": short_id(subset, image, f"own {number}")}
            yield Task(image, INVITATIONS[subset] | named)


def proposed_answers(workspace: Workspace) -> Iterator[Task]:
    """Yield a task for every answer that a language model proposed and nobody has judged."""
    for row in to_judge(workspace):
        names = ("pixmo_id", "question", "answer", "round")
        text = {"from_name": "mended_answer", "to_name": "answer", "type": "textarea"}
        shown = {
            "model_version": row["model"],
            "result": [text | {"value": {"text": [row["answer"]]}}],
        }
        yield Task(row["image_sha256"], {name: row[name] for name in names}, (shown,))


OWN: Mapping[str, Callable[[Workspace], Iterator[Task]]] = {
    "cap": captions,
    "ama": proposed_answers,
}


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
    return pointing(label, method)


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
