"""People's votes are read from exports, none is lost in silence, and they rate the models."""

import copy
import json
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import pytest
from label_studio_sdk.label_interface import LabelInterface

from pixmo.errors import EvaluationError
from pixmo.evaluate.pairs import (
    seal,
    unseal,
)
from pixmo.evaluate.votes import (
    CHOICE,
    NOT_OURS,
    REMARK,
    VOTED_AGAIN,
    WON_BY_LEFT,
    Agreement,
    Judgement,
    LeftOut,
    agreement,
    by_reason,
    preference,
    read_votes,
    told,
)
from pixmo.label.controls import controls
from pixmo.label.parse import UNKNOWN_SUBSET, parse, subset_of
from pixmo.label.values import Refusal
from pixmo.workspace.workspace import Workspace
from tests import label_studio_exports as ls
from tests.conftest import run_pixmo
from tests.label_studio_exports import points_data
from tests.preferences import CONFIG, STRENGTH, Json, made
from tests.releases import write_release

# Votes


def chosen(choice: str) -> Json:
    return ls.result(CHOICE[0], CHOICE[1], CHOICE[2], {"choices": [choice]})


def remark(text: str) -> Json:
    return ls.result(REMARK[0], REMARK[1], REMARK[2], {"text": [text]})


def test_label_studio_accepts_the_config_its_tasks_and_their_votes(tmp_path: Path) -> None:
    interface = LabelInterface((CONFIG).read_text("utf-8"))
    interface.validate()
    assert all(interface.validate_task(task) for task in made(tmp_path))
    for choice in WON_BY_LEFT:
        assert interface.validate_annotation(ls.annotation(1, [chosen(choice), remark("so")]))
    assert not interface.validate_annotation(ls.annotation(1, [chosen("neither")]))
    assert not interface.validate_annotation(ls.pointed())
    aliases = {choice.get("alias") for choice in ElementTree.parse(CONFIG).iter("Choice")}
    assert aliases == set(WON_BY_LEFT)


def voted(
    tasks: Sequence[Json], choice_of: Callable[[Json], str], people: int = 1
) -> Iterator[Json]:
    """Yield an export's tasks, each judged by so many people."""
    for number, task in enumerate(tasks, 1):
        said = (
            ls.annotation(10 * number + person, [chosen(choice_of(task["data"]))])
            | {"completed_by": person, "task": number}
            for person in range(people)
        )
        yield ls.task(number, task["data"], *said)


def by_strength(seed: int) -> Callable[[Json], str]:
    """What people say who see what is shown, by the planted strengths; a tenth are ties."""
    rng = Random(seed)
    strength = dict(zip("WXYZ", STRENGTH.values(), strict=True))

    def say(data: Json) -> str:
        odds = 10 ** ((strength[data["left"][0]] - strength[data["right"][0]]) / 400)
        if rng.random() < 0.1:
            return rng.choice(["both_good", "both_bad"])
        return "left" if rng.random() < odds / (1 + odds) else "right"

    return say


def test_votes_in_label_studios_shape_rank_the_models_as_planted(tmp_path: Path) -> None:
    tasks = made(tmp_path, count=480, per_pair=80)
    export = ls.write_export(tmp_path / "export.json", list(voted(tasks, by_strength(0), people=2)))
    read = read_votes([export])
    found = preference(read)
    assert (found.votes, found.people, found.pairs, found.left_out) == (960, 2, 480, ())
    assert [one.model for one in found.ratings] == list(STRENGTH)
    assert {one.votes for one in found.ratings} == {480}
    assert 60 < found.ties < 130
    assert found.agreement
    assert found.agreement.pairs == 480


@pytest.mark.parametrize(("choice", "won"), WON_BY_LEFT.items())
def test_a_vote_for_the_left_is_one_for_the_model_that_stood_there(
    choice: str, won: float, tmp_path: Path
) -> None:
    tasks = made(tmp_path)
    export = ls.write_export(tmp_path / "e.json", list(voted(tasks, lambda _: choice)))
    shown = {each["data"]["pixmo_id"]: each["data"] for each in tasks}
    codes = dict(zip(STRENGTH, "WXYZ", strict=True))
    read = read_votes([export])
    assert len(read.judgements) == len(tasks)
    for one in read.judgements:
        assert shown[one.pair]["left"] == f"{codes[one.left]} says {one.task}"
        assert shown[one.pair]["right"] == f"{codes[one.right]} says {one.task}"
        assert (one.choice, one.won) == (choice, won)


def one_task(folder: Path) -> Json:
    """An export's task with one good vote."""
    said = ls.annotation(5, [remark("why"), chosen("left")])
    return ls.task(77, made(folder)[0]["data"], said)


def test_a_vote_has_its_remark_its_person_and_its_time(tmp_path: Path) -> None:
    task = one_task(tmp_path)
    sides = unseal(task["data"]["pixmo_id"], task["data"]["sealed"])
    (one,) = read_votes([ls.write_export(tmp_path / "e.json", [task])]).judgements
    assert one == Judgement(
        pair=task["data"]["pixmo_id"],
        task=sides.task,
        left=sides.left,
        right=sides.right,
        choice="left",
        person="annotator-7",
        remark="why",
        updated_at="2025-03-09T22:16:08.728378+00:00",
        where="e.json, task 77",
    )


SPOILED: dict[str, tuple[Callable[[Json], object], str]] = {
    "skipped": (lambda t: t["annotations"][0].update(was_cancelled=True, result=[]), "skipped"),
    "no choice": (lambda t: t["annotations"][0].update(result=[remark("x")]), "nothing was chosen"),
    "two": (
        lambda t: t["annotations"][0]["result"][1]["value"].update(choices=["left", "right"]),
        "not one of the choices",
    ),
    "twice": (
        lambda t: t["annotations"][0].update(result=[chosen("left"), chosen("right")]),
        "a control answered twice",
    ),
    "another place": (
        lambda t: t["annotations"][0]["result"][1].update(to_name="image"),
        "another labelling config",
    ),
    "a number": (lambda t: t["annotations"][0]["result"].append(1), "result has no value"),
    "no result": (lambda t: t["annotations"][0].pop("result"), "its result is no list"),
    "a remark that is none": (
        lambda t: t["annotations"][0]["result"][0]["value"].update(text=[1]),
        "the remark is no text",
    ),
    "nobody": (lambda t: t["annotations"][0].update(completed_by=True), "nobody is named"),
    "no time": (lambda t: t["annotations"][0].update(updated_at="soon"), "updated_at is no time"),
    "no data": (lambda t: t.pop("data"), "the annotation, or its task's data"),
    "no seal": (lambda t: t["data"].pop("sealed"), NOT_OURS),
    "another's seal": (lambda t: t["data"].update(pixmo_id="0" * 16), NOT_OURS),
    "two names": (
        lambda t: t["data"].update(sealed=seal(t["data"]["pixmo_id"], ("a", "b"))),  # type: ignore[arg-type]
        NOT_OURS,
    ),
    "no annotations": (lambda t: t.pop("annotations"), "the task has no list of annotations"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_what_is_no_vote_is_left_out_with_its_place_and_reason(how: str, tmp_path: Path) -> None:
    spoil, reason = SPOILED[how]
    good = one_task(tmp_path)
    bad = copy.deepcopy(good) | {"id": 78}
    spoil(bad)
    read = read_votes([ls.write_export(tmp_path / "votes.json", [good, bad])])
    assert len(read.judgements) == 1
    (left_out,) = read.left_out
    assert left_out.where == "votes.json, task 78"
    assert reason in left_out.reason
    assert read.waiting == 0


def test_a_task_that_is_none_and_one_that_waits(tmp_path: Path) -> None:
    data = one_task(tmp_path)["data"]
    tasks = [3, ls.task(1, data), ls.task(2, data, ls.skipped(1), ls.skipped(2))]
    read = read_votes([ls.write_export(tmp_path / "e.json", tasks)])
    assert read.waiting == 1
    assert [one.where for one in read.left_out] == [
        "e.json, task at place 1",
        "e.json, task 2, annotation 1",
        "e.json, task 2, annotation 2",
    ]
    assert by_reason(read.left_out)["skipped"] == [one.where for one in read.left_out[1:]]
    why = r"there is no vote; left out 1: the task has no .*; left out 2: skipped; export the proj"
    with pytest.raises(EvaluationError, match=why):
        preference(read)


def test_votes_of_another_project_are_said_to_be_so(tmp_path: Path) -> None:
    other = ls.task(4, points_data(), ls.pointed())
    read = read_votes([ls.write_export(tmp_path / "e.json", [one_task(tmp_path), other])])
    assert read.left_out == (LeftOut("e.json, task 4", NOT_OURS),)
    assert "another project's, not one of pixmo preference tasks" in NOT_OURS


def test_of_a_persons_votes_on_a_pair_the_latest_counts(tmp_path: Path) -> None:
    data = one_task(tmp_path)["data"]
    hours = {"late": "2025-03-09T21:30:00-02:00", "early": "2025-03-09T22:00:00.5Z"}
    late = ls.annotation(1, [chosen("right")], updated_at=hours["late"])
    early = ls.annotation(2, [chosen("left")], updated_at=hours["early"])
    other = ls.annotation(3, [chosen("both_bad")], completed_by={"id": 8, "email": "b@c"})
    once = ls.write_export(tmp_path / "a.json", [ls.task(1, data, late, early, other)])
    again = ls.write_export(tmp_path / "b.json", [ls.task(9, data, early)])
    for exports in ([once], [once, again], [again, once]):
        read = read_votes(exports)
        said = {one.person: one.choice for one in read.judgements}
        assert said == {"annotator-7": "right", "annotator-8": "both_bad"}
        assert len(read.left_out) == len(exports)
        assert LeftOut("a.json, task 1, annotation 2", VOTED_AGAIN) in read.left_out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        (b"{", "is not JSON .*; export the project"),
        (b"\xff", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"id": 1}', "is no list of tasks; export the project"),
    ],
)
def test_a_file_that_is_no_export_is_named(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "e.json").write_bytes(content)
    with pytest.raises(EvaluationError, match=rf"e\.json {message}"):
        read_votes([tmp_path / "e.json"])


def test_a_vote_is_no_row_of_a_release(tmp_path: Path) -> None:
    task = one_task(tmp_path)
    (annotation,) = task["annotations"]
    assert parse(annotation, task["data"]) == Refusal(
        "unknown control", "result 0 comes from 'preference_remark'"
    )
    assert subset_of(ls.skipped(1), task["data"]) == UNKNOWN_SUBSET
    assert not {CHOICE[0], REMARK[0]} & set(controls())


def test_models_that_never_met_are_named(tmp_path: Path) -> None:
    tasks = [each for each in made(tmp_path) if "W" + "X" in pair_code(each["data"])]
    tasks += [each for each in made(tmp_path) if "Y" + "Z" in pair_code(each["data"])]
    export = ls.write_export(tmp_path / "e.json", list(voted(tasks, by_strength(0))))
    with pytest.raises(EvaluationError, match="no vote compares molmo-large with pilot, stub"):
        preference(read_votes([export]))


def pair_code(data: Json) -> str:
    return "".join(sorted((data["left"][0], data["right"][0])))


# Agreement


def judgements(*said: str) -> list[Judgement]:
    """Judgements by `pair choice choice …`."""
    return [
        Judgement(line.split()[0], "t", "a", "b", choice, str(n), "", "", "")
        for line in said
        for n, choice in enumerate(line.split()[1:])
    ]


def test_people_agree_where_they_say_the_same_of_one_pair() -> None:
    assert agreement(judgements("p left", "q right")) is None
    found = agreement(judgements("p left left", "q left right", "r both_bad both_good", "s left"))
    assert found
    assert (found.pairs, found.same) == (3, pytest.approx(2 / 3))  # good or bad, it is a tie
    assert found.alpha == pytest.approx(0)  # 2 / 6 within the pairs, 10 / 30 over all
    three = agreement(judgements("p left left right"))
    assert three
    assert three.same == pytest.approx(1 / 3)
    alike = agreement(judgements("p left left"))
    assert alike
    assert told(alike) == "two people on the same pair say the same 100 % of the time, over 1 pair"
    assert "(Krippendorff's alpha -0.25)" in told(Agreement(2, 0.5, -0.25))


# The commands


def test_the_commands_ask_rate_and_keep(tmp_path: Path, pixmo: Path) -> None:
    workspace = Workspace.init(tmp_path)
    write_release(workspace.releases / "v1")
    asked_for = run_pixmo(pixmo, "evaluate", "v1", "--tasks", "tasks.jsonl", cwd=tmp_path)
    assert asked_for.returncode == 0
    ids = [json.loads(line)["id"] for line in (tmp_path / "tasks.jsonl").read_text().splitlines()]
    for model, answer in (("good", "A"), ("bad", "B")):
        lines = [{"id": name, "answer": f"{answer} {number}"} for number, name in enumerate(ids)]
        (tmp_path / f"{model}.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    both = ("--answers", "good.jsonl", "--answers", "bad.jsonl")
    ask = ("preference", "tasks", "v1", *both)
    done = run_pixmo(pixmo, *ask, "--out", "ask", "--per-pair", "12", cwd=tmp_path)
    assert done.stdout == "12 tasks  ask/tasks.json\nevery two models meet on 12 of them\n"
    tasks = json.loads((tmp_path / "ask/tasks.json").read_text("utf-8"))
    best = [
        *voted(tasks, lambda data: "left" if data["left"][0] == "A" else "right", people=2),
        ls.task(99, tasks[0]["data"], ls.skipped(3)),
        ls.task(98, tasks[0]["data"]),
    ]
    ls.write_export(tmp_path / "votes.json", best)
    rated = run_pixmo(pixmo, "preference", "rate", "votes.json", cwd=tmp_path)
    lines = rated.stdout.splitlines()
    assert lines[0] == (
        "24 votes by 2 annotators on 12 pairs of answers, 0 ties; 1 task without a vote"
    )
    assert lines[3].split()[0] == "good"
    assert lines[3].split()[4:] == ["24", "1.00"]
    assert "two people on the same pair say the same 100 % of the time" in rated.stdout
    assert "left out    1  skipped: votes.json, task 99" in lines
    (kept,) = workspace.runs.glob("preference-votes-*")
    as_json = run_pixmo(pixmo, "preference", "rate", "votes.json", "--json", cwd=tmp_path)
    result = json.loads(as_json.stdout)
    assert json.loads((kept / "ratings.json").read_text("utf-8")) == result
    assert [one["model"] for one in result["ratings"]] == ["good", "bad"]
    assert result["left_out"] == [{"where": "votes.json, task 99", "reason": "skipped"}]
    votes = [json.loads(line) for line in (kept / "votes.jsonl").read_text().splitlines()]
    assert Counter(vote["left"] for vote in votes) == {"good": 12, "bad": 12}
    (tmp_path / "other").mkdir()
    (tmp_path / "other/good.jsonl").write_text("", "utf-8")
    for words, message in {
        (*ask[:3], "--answers", "good.jsonl"): "a preference is between two models",
        (*ask, "--answers", "other/good.jsonl"): "two files of answers have one name",
        (*ask, "--split", "train"): "'train' is not held out",
        (*ask, "--out", "other"): "other is not empty and holds no preference.xml",
        ("preference", "rate", "nothing.json"): "nothing.json cannot be read",
    }.items():
        failed = run_pixmo(pixmo, *words, cwd=tmp_path)
        assert (failed.returncode, len(failed.stderr.splitlines())) == (1, 1)
        assert message in failed.stderr
