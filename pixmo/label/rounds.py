"""People's questions, answered by a language model until a person accepts the answer.

A round is one answer to one question and what became of it: a row of `answer_rounds`, a task of
the subset `ama`, and in time a verdict. A rejected answer is asked for again with all earlier
answers and the remarks on them, at most `max_rounds` times. The model is told words alone: the
image's dense caption and the text that OCR read in it. Source: the AskModelAnything collection of
PixMo, arXiv 2409.17146.
"""

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pixmo.errors import SettingsError
from pixmo.execution.progress import SILENT, Progress
from pixmo.files import append_json, appended_objects
from pixmo.hashing import short_id
from pixmo.label.image_texts import Reader, image_texts
from pixmo.language_models.asking import Asker, ModelServer
from pixmo.language_models.chat_completions import Purpose, RefusedError, UnansweredError
from pixmo.language_models.prompt_files import PromptFile, Section, load, user_says
from pixmo.text import squeeze
from pixmo.workspace.workspace import SetAside, Workspace

STAGE = "answer"
SECTIONS = {
    "System": Section(),
    "First": Section(needs=frozenset(["question"]), takes=frozenset(["caption", "text"])),
    "Again": Section(takes=frozenset(["remarks"])),
}
NOTHING = "(nothing)"
TABLE, JOURNAL = "answer_rounds", "journal.jsonl"
PURPOSE = Purpose(
    asker="pixmo label answer",
    base_url="[answer] base_url in pixmo.toml",
    model="[answer] model in pixmo.toml",
    small_question=[user_says("Say yes.")],
)


@dataclass(frozen=True)
class Question:
    """A question about an image."""

    image_sha256: str
    question: str


@dataclass(frozen=True)
class Round:
    """An answer that was proposed, and what a person said of it."""

    number: int  # from 1
    answer: str
    verdict: str | None = None  # accept or reject; None: nobody has judged it
    remarks: str | None = None


@dataclass(frozen=True)
class Open:
    """A question that wants an answer now."""

    question: Question
    rounds: Sequence[Round]  # all rejected


@dataclass(frozen=True)
class Answered:
    """What a run did, and where the questions stand."""

    answered: int  # now
    waiting: int  # for a person's verdict, those answered now included
    accepted: int
    given_up: int  # rejected as often as may be
    without_answer: int  # the model gave none; asked again the next time
    nothing_known: int  # not asked yet: their images have no caption and no text


def answer_questions(
    workspace: Workspace, reader: tuple[Reader, str] | None, progress: Progress = SILENT
) -> Answered:
    """Every question without an accepted answer has one that waits for a verdict, or is given up.

    `reader` reads the text in images, and has a name; None: none is read.

    Raises:
        SettingsError: [answer] in pixmo.toml cannot be used.
        LanguageModelError: the server cannot be used; what it answered is kept.
        WorkspaceError: another process answers.
    """
    settings = workspace.settings.answer
    if not settings.model:
        raise SettingsError("pixmo.toml: [answer] model is empty; name it as its server does")
    prompt = load(settings.prompt, workspace.recipes, SECTIONS, "[answer] prompt")
    server = ModelServer(
        base_url=settings.base_url,
        model=settings.model,
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        concurrency=settings.concurrency,
        timeout_seconds=settings.timeout_seconds,
    )
    with workspace.lock("answer"):
        take_in_journal(workspace)  # that of a run which was killed
        asked = questions(workspace)
        standing = Counter(stands(rounds, settings.max_rounds) for rounds in asked.values())
        wanted = [
            Open(question, rounds)
            for question, rounds in asked.items()
            if stands(rounds, settings.max_rounds) == "open"
        ]
        images = [one.question.image_sha256 for one in wanted]
        texts = image_texts(workspace, images, *reader, progress) if reader else {}
        captions = captions_of(workspace)
        # Of an image of which it is told nothing a model could only make something up.
        tellable = [
            one
            for one in wanted
            if captions.get(one.question.image_sha256) or texts.get(one.question.image_sha256)
        ]
        made = propose(workspace, tellable, prompt, server, captions, texts, progress)
    return Answered(
        answered=made,
        waiting=standing["waiting"] + made,
        accepted=standing["accepted"],
        given_up=standing["given up"],
        without_answer=len(tellable) - made,
        nothing_known=len(wanted) - len(tellable),
    )


def stands(rounds: Sequence[Round], max_rounds: int) -> str:
    """Where a question stands: open, waiting, accepted or given up."""
    if any(one.verdict == "accept" for one in rounds):
        return "accepted"
    if any(one.verdict is None for one in rounds):
        return "waiting"
    return "given up" if len(rounds) >= max_rounds else "open"


def questions(workspace: Workspace) -> dict[Question, list[Round]]:
    """Every question that counts, with its rounds in order; verdicts are the newest of each."""
    with workspace.connect() as connection:
        asked = connection.execute(
            "select distinct image_sha256, question from current_questions order by all"
        ).fetchall()
        rows = connection.execute(
            """
            with judged as (
                select
                    task_json ->> 'pixmo_id' as pixmo_id,
                    arg_max(verdict, annotations.updated_at) as verdict,
                    arg_max(remarks, annotations.updated_at) as remarks
                from current_answers
                join current_annotations as annotations using (state_sha256)
                group by all
            )

            select image_sha256, question, round, answer, verdict, remarks
            from answer_rounds left join judged using (pixmo_id)
            order by round
            """
        ).fetchall()
    rounds: defaultdict[Question, list[Round]] = defaultdict(list)
    for image, question, *values in rows:
        rounds[Question(image, question)].append(Round(*values))
    return {question: rounds[question] for question in (Question(*row) for row in asked)}


def propose(
    workspace: Workspace,
    wanted: Sequence[Open],
    prompt: PromptFile,
    server: ModelServer,
    captions: Mapping[str, str],
    texts: Mapping[str, str],
    progress: Progress,
) -> int:
    """The model was asked for every answer wanted; returns how many it gave.

    `captions` and `texts` have what it is told of an image, by sha256.
    """
    asker = Asker(server, PURPOSE)

    journal = workspace.table(TABLE).folder / JOURNAL
    journal.parent.mkdir(parents=True, exist_ok=True)
    one_at_a_time = threading.Lock()

    def ask(one: Open) -> SetAside | None:
        image = one.question.image_sha256
        messages = told(one, prompt, captions.get(image, ""), texts.get(image, ""))
        try:
            said = asker.complete(server.parameters | {"messages": messages})
        except (RefusedError, UnansweredError) as error:
            return SetAside(STAGE, pixmo_id(one), image, "no answer to a question", str(error))
        if not squeeze(said.text):
            return SetAside(STAGE, pixmo_id(one), image, "no answer to a question", "it was empty")
        row = {
            "pixmo_id": pixmo_id(one),
            "image_sha256": image,
            "question": one.question.question,
            "round": len(one.rounds) + 1,
            "answer": said.text.strip(),
            "model": server.model,
            "prompt_sha256": prompt.sha256,
            "request_json": json.dumps(messages, ensure_ascii=False),
            "input_tokens": said.input_tokens,
            "output_tokens": said.output_tokens,
        }
        with one_at_a_time:
            append_json(journal, row)
        return None

    with progress.task("Answering questions", len(wanted), "questions") as advance:
        try:
            for refusal in asker.each(ask, wanted):
                if refusal is not None:
                    workspace.set_aside([refusal])
                advance(1)
        finally:  # of a server that went away, too: it was paid for
            made = take_in_journal(workspace)
    return made


def take_in_journal(workspace: Workspace) -> int:
    """Every answer that stands in the journal is a row of `answer_rounds`; returns how many."""
    table = workspace.table(TABLE)
    known = set(workspace.read(TABLE)["pixmo_id"].to_pylist())
    rows = {row["pixmo_id"]: row for row in appended_objects(table.folder / JOURNAL)}
    new = [row for pixmo_id, row in rows.items() if pixmo_id not in known]
    workspace.append(TABLE, new)
    # Last: killed before this line, the next run finds the journal's answers in the table.
    (table.folder / JOURNAL).unlink(missing_ok=True)
    return len(new)


def pixmo_id(one: Open) -> str:
    """The name of the task that is to judge the next round."""
    question = one.question
    return short_id("ama", question.image_sha256, question.question, len(one.rounds) + 1)


def told(one: Open, prompt: PromptFile, caption: str, text: str) -> list[dict[str, str]]:
    """What the model is told: words alone."""
    first = prompt.say(
        "First", question=one.question.question, caption=caption or NOTHING, text=text or NOTHING
    )
    messages = [{"role": "system", "content": prompt.say("System")}, user_says(first)]
    for earlier in one.rounds:
        again = prompt.say("Again", remarks=earlier.remarks or NOTHING)
        messages += [{"role": "assistant", "content": earlier.answer}, user_says(again)]
    return messages


def captions_of(workspace: Workspace) -> Mapping[str, str]:
    """The dense caption of every image that has one."""
    with workspace.connect() as connection:
        rows = connection.execute(
            "select image_sha256, caption from current_captions"
            " anti join withdrawn_captions using (image_sha256) where caption <> ''"
        ).fetchall()
    return dict(rows)


def to_judge(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Yield the rounds, of questions that count, which wait for a verdict: `answer_rounds` rows."""
    with workspace.connect() as connection:
        found = connection.execute(
            """
            select pixmo_id, image_sha256, question, answer, round, model from answer_rounds
            semi join current_questions using (image_sha256, question)
            where pixmo_id not in (
                select task_json ->> 'pixmo_id' from current_annotations
                where task_json ->> 'pixmo_id' is not null
                    -- One that somebody skipped waits for others.
                    and not coalesce((annotation_json ->> 'was_cancelled')::boolean, false)
            )
            order by image_sha256, question, round
            """
        )
        names = [column[0] for column in found.description or ()]
        rows = found.fetchall()
    for row in rows:
        yield dict(zip(names, row, strict=True))
