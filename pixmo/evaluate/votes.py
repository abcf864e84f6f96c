"""People's votes between two answers, read from Label Studio's JSON exports, and what they say.

Nothing is left out in silence: whatever is no vote has its place and its reason.
"""

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pixmo.agreement import interval, krippendorff_alpha
from pixmo.errors import EvaluationError
from pixmo.evaluate.pairs import unseal
from pixmo.evaluate.preference import VERSION, Rating, Vote, ratings
from pixmo.text import counted

# What each choice gives the left one. Source of the four: Chatbot Arena, arXiv 2403.04132.
WON_BY_LEFT = {"left": 1.0, "right": 0.0, "both_good": 0.5, "both_bad": 0.5}
VOTED_AGAIN = "voted on again by the same person later, or exported twice"
NOT_OURS = "its task is another project's, not one of pixmo preference tasks, or was changed"
EXPORT_AS_JSON = "export the project from Label Studio again, as JSON"
# The config's controls: what an item of a result has as from_name, to_name and type.
CHOICE = ("preference", "question", "choices")
REMARK = ("preference_remark", "question", "textarea")

Json = dict[str, Any]


@dataclass(frozen=True)
class Judgement:
    """What somebody says of two answers to a task."""

    pair: str
    task: str
    left: str  # the model whose answer stood there
    right: str
    choice: str
    person: str
    remark: str
    updated_at: str  # UTC, ISO 8601 with microseconds, so that text sorts as time
    where: str

    @property
    def won(self) -> float:
        """By the left one: 1, 0, or 0.5 for a tie."""
        return WON_BY_LEFT[self.choice]


@dataclass(frozen=True)
class LeftOut:
    """What is no vote."""

    where: str
    reason: str


@dataclass(frozen=True)
class Read:
    """What exports hold."""

    judgements: tuple[Judgement, ...]
    left_out: tuple[LeftOut, ...]
    waiting: int  # tasks that nobody has answered


@dataclass(frozen=True)
class Agreement:
    """How alike people judge; of the answers that two people or more judged."""

    pairs: int
    same: float  # share of two people on a pair who say the same: left, right, or neither
    alpha: float  # Krippendorff's, 1 for always alike, 0 for chance; NaN where all say one thing


@dataclass(frozen=True)
class Preference:
    """What people prefer."""

    version: int  # of the definition of a rating
    votes: int
    people: int
    pairs: int
    ties: int
    waiting: int
    ratings: tuple[Rating, ...]
    agreement: Agreement | None  # None where nobody judged what somebody else did
    left_out: tuple[LeftOut, ...]


class Refused(Exception):  # noqa: N818 - no error: a reason on its way out of a call
    """Why an annotation is no vote."""


def preference(read: Read, seed: int = 0) -> Preference:
    """The models' ratings, and how alike people judge.

    Raises:
        EvaluationError: there is no vote, or votes connect no path between some of the models.
    """
    judgements = read.judgements
    votes = [Vote(one.task, one.left, one.right, one.won) for one in judgements]
    try:
        rated = ratings(votes, seed)
    except ValueError as error:
        left_out = by_reason(read.left_out)
        why = "".join(f"; left out {len(where)}: {reason}" for reason, where in left_out.items())
        raise EvaluationError(
            f"{error}{why}; export the project of pixmo preference tasks, or let people judge more"
        ) from error
    return Preference(
        version=VERSION,
        votes=len(judgements),
        people=len({one.person for one in judgements}),
        pairs=len({one.pair for one in judgements}),
        ties=sum(one.won == 0.5 for one in judgements),
        waiting=read.waiting,
        ratings=tuple(rated),
        agreement=agreement(judgements),
        left_out=read.left_out,
    )


def by_reason(left_out: Sequence[LeftOut]) -> dict[str, list[str]]:
    """The places where each reason was given."""
    places: dict[str, list[str]] = {}
    for one in left_out:
        places.setdefault(one.reason, []).append(one.where)
    return places


def read_votes(exports: Sequence[Path]) -> Read:
    """What people say in exports, of everybody on every pair the latest.

    Raises:
        EvaluationError: a file cannot be read or is no JSON export.
    """
    judgements: list[Judgement] = []
    left_out: list[LeftOut] = []
    waiting = 0
    for path in exports:
        for number, task in enumerate(read_export(path), 1):
            found = list(of_task(task, f"{path.name}, task {name_of(task, number)}"))
            waiting += not found
            judgements += [one for one in found if isinstance(one, Judgement)]
            left_out += [one for one in found if isinstance(one, LeftOut)]
    latest: dict[tuple[str, str], Judgement] = {}
    for one in sorted(judgements, key=lambda one: one.updated_at):
        key = (one.pair, one.person)
        if key in latest:
            left_out.append(LeftOut(latest[key].where, VOTED_AGAIN))
        latest[key] = one
    return Read(tuple(latest.values()), tuple(left_out), waiting)


def read_export(path: Path) -> list[object]:
    """The tasks of an export.

    Raises:
        EvaluationError: the file cannot be read or is no JSON export.
    """
    try:
        tasks = json.loads(path.read_bytes())
    except OSError as error:
        raise EvaluationError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise EvaluationError(f"{path} is not JSON ({error}); {EXPORT_AS_JSON}") from error
    if not isinstance(tasks, list):
        raise EvaluationError(f"{path} is no list of tasks; {EXPORT_AS_JSON}")
    return tasks


def name_of(task: object, number: int) -> str:
    """Label Studio's number of a task; its place in the export where it has none."""
    given = task.get("id") if isinstance(task, dict) else None
    return str(given) if isinstance(given, int) else f"at place {number}"


def of_task(task: object, where: str) -> Iterator[Judgement | LeftOut]:
    """Yield what each annotation of a task says, or why it is no vote."""
    if not isinstance(task, dict) or not isinstance(task.get("annotations"), list):
        yield LeftOut(where, f"the task has no list of annotations; {EXPORT_AS_JSON}")
        return
    for number, annotation in enumerate(task["annotations"], 1):
        place = where if len(task["annotations"]) == 1 else f"{where}, annotation {number}"
        try:
            yield judgement(annotation, task.get("data"), place)
        except Refused as refused:
            yield LeftOut(place, str(refused))


def judgement(annotation: object, data: object, where: str) -> Judgement:
    """What an annotation says.

    Raises:
        Refused: it is no vote, or not on a pair of ours.
    """
    if not isinstance(annotation, dict) or not isinstance(data, dict):
        raise Refused("malformed: the annotation, or its task's data, is no object")
    if annotation.get("was_cancelled"):
        raise Refused("skipped")
    try:
        pair = data["pixmo_id"]
        sides = unseal(pair, data["sealed"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refused(NOT_OURS) from error
    choice, remark = choice_and_remark(annotation.get("result"))
    return Judgement(
        pair=pair,
        task=sides.task,
        left=sides.left,
        right=sides.right,
        choice=choice,
        person=person_of(annotation.get("completed_by")),
        remark=remark,
        updated_at=time_of(annotation.get("updated_at")),
        where=where,
    )


def choice_and_remark(results: object) -> tuple[str, str]:
    """What was chosen, and the remark, empty where there is none.

    Raises:
        Refused: nothing was chosen, more than one thing, or something unknown.
    """
    if not isinstance(results, list):
        raise Refused("malformed: its result is no list")
    values: dict[tuple[Any, ...], Any] = {}
    for item in results:
        if not isinstance(item, dict) or not isinstance(item.get("value"), dict):
            raise Refused("malformed: a result has no value")
        control = tuple(item.get(key) for key in ("from_name", "to_name", "type"))
        if control not in (CHOICE, REMARK):
            raise Refused("it comes from another labelling config")
        if control in values:
            raise Refused("malformed: a control answered twice")
        values[control] = item["value"]
    if CHOICE not in values:
        raise Refused("nothing was chosen")
    chosen = values[CHOICE].get("choices")
    if not isinstance(chosen, list) or len(chosen) != 1 or chosen[0] not in list(WON_BY_LEFT):
        raise Refused("malformed: not one of the choices")
    lines = values.get(REMARK, {}).get("text", [])
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise Refused("malformed: the remark is no text")
    return chosen[0], "\n".join(lines)


def person_of(user: object) -> str:
    """A stable name for a Label Studio user: a number in exports, an object elsewhere.

    Raises:
        Refused: it is neither.
    """
    number = user.get("id") if isinstance(user, dict) else user
    if isinstance(number, int) and not isinstance(number, bool):
        return f"annotator-{number}"
    raise Refused("malformed: nobody is named in completed_by")


def time_of(text: object) -> str:
    """A time as UTC in ISO 8601 with microseconds: Label Studio writes it in several ways.

    Raises:
        Refused: it is no time.
    """
    try:
        time = datetime.fromisoformat(text if isinstance(text, str) else "")
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Refused("malformed: updated_at is no time") from error
    return time.isoformat(timespec="microseconds")


def as_lines(judgements: Sequence[Judgement]) -> str:
    """Judgements as JSONL, in their order."""
    return "".join(f"{json.dumps(vars(one))}\n" for one in judgements)


def agreement(judgements: Sequence[Judgement]) -> Agreement | None:
    """How alike people judge the pairs that two or more judged; None where there is none."""
    by_pair: dict[str, list[float]] = {}
    for one in judgements:
        by_pair.setdefault(one.pair, []).append(one.won)
    units = [values for values in by_pair.values() if len(values) > 1]
    if not units:
        return None
    of_all = sum(len(values) for values in units)
    differing = sum(
        sum(one != other for one, other in itertools.permutations(values, 2)) / (len(values) - 1)
        for values in units
    )
    return Agreement(len(units), 1 - differing / of_all, krippendorff_alpha(units, interval))


def told(found: Agreement) -> str:
    """One line on how alike people judge."""
    alpha = "" if math.isnan(found.alpha) else f" (Krippendorff's alpha {found.alpha:.2f})"
    return (
        f"two people on the same pair say the same {100 * found.same:.0f} % of the time{alpha},"
        f" over {counted(found.pairs, 'pair')}"
    )
