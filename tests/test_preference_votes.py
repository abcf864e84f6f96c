"""People judge pairs without knowing whose answers they are, and their votes rate the models."""

import base64
import copy
import io
import itertools
import json
import math
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_studio_sdk.label_interface import LabelInterface
from PIL import Image

from pixmo.drawing import FILL
from pixmo.errors import EvaluationError
from pixmo.evaluate.answers import Task
from pixmo.evaluate.pairs import (
    LONGEST_SIDE_PIXELS,
    NO_ANSWER,
    Pair,
    Sides,
    as_shown,
    choose,
    picture,
    seal,
    unseal,
    write,
)
from pixmo.evaluate.votes import (
    CHOICE,
    REMARK,
    VOTED_AGAIN,
    WON_BY_LEFT,
    Agreement,
    Judgement,
    LeftOut,
    agreement,
    by_reason,
    krippendorff_alpha,
    preference,
    read_votes,
    told,
)
from pixmo.label.controls import controls
from pixmo.label.parse import UNKNOWN_SUBSET, parse, subset_of
from pixmo.label.values import Refusal
from pixmo.points import Point, to_text
from pixmo.resources import shared
from pixmo.workspace.workspace import Workspace
from tests import label_studio_exports as ls
from tests.conftest import run_pixmo
from tests.releases import lone_task, write_release

STRENGTH = {"molmo-large": 1150.0, "molmo-small": 1050.0, "pilot": 950.0, "stub": 850.0}
CONFIG = shared("annotation_ui", "evaluation", "preference.xml")
AWAY = "https://example.org/a.jpg"
Json = dict[str, Any]


def asked(count: int, image: str = AWAY) -> list[Task]:
    return [
        replace(lone_task(image, f"What is {n}?"), id=f"t{n}", image_sha256=ls.IMAGE_SHA256)
        for n in range(count)
    ]


def answered(tasks: Sequence[Task]) -> dict[str, dict[str, str]]:
    """An answer of each model to each task, no two alike, none with its model's name in it."""
    codes = dict(zip(STRENGTH, "WXYZ", strict=True))
    return {model: {t.id: f"{codes[model]} says {t.id}" for t in tasks} for model in STRENGTH}


def two_models(pair: Pair) -> frozenset[str]:
    return frozenset((pair.left_model, pair.right_model))


# Which answers meet


@pytest.mark.parametrize("per_pair", [9, 10])
def test_every_two_models_meet_as_often_and_stand_left_as_often(per_pair: int) -> None:
    tasks = asked(60)
    pairs = choose(tasks, answered(tasks), per_pair).pairs
    met = Counter(two_models(pair) for pair in pairs)
    two = [frozenset(names) for names in itertools.combinations(STRENGTH, 2)]
    assert met == dict.fromkeys(two, per_pair)
    for names in two:
        left = Counter(pair.left_model for pair in pairs if two_models(pair) == names)
        assert max(left.values()) - min(left.values()) == per_pair % 2
    assert (
        len({pair.task.id for pair in pairs}) == 6 * per_pair
    )  # as many questions as there can be
    for pair in pairs:
        given = answered(tasks)
        assert pair.left == given[pair.left_model][pair.task.id]
        assert pair.right == given[pair.right_model][pair.task.id]


def test_tasks_are_used_about_as_often_where_there_are_few() -> None:
    tasks = asked(20)
    pairs = choose(tasks, answered(tasks), 15).pairs
    assert set(Counter(pair.task.id for pair in pairs).values()) == {4, 5}
    assert len({(pair.task.id, two_models(pair)) for pair in pairs}) == len(pairs) == 90


def test_a_seed_draws_the_same_and_another_seed_other_tasks_and_sides() -> None:
    tasks = asked(60)
    first, again, other = (choose(tasks, answered(tasks), 10, seed).pairs for seed in (0, 0, 1))
    assert first == again
    ids = [{(pair.task.id, two_models(pair)) for pair in pairs} for pairs in (first, other)]
    assert ids[0] != ids[1]
    every, all_again = (choose(tasks, answered(tasks), 60, seed).pairs for seed in (0, 1))
    sides = [
        {(p.task.id, p.left_model, p.right_model) for p in some} for some in (every, all_again)
    ]
    assert 0.4 < len(sides[0] & sides[1]) / len(every) < 0.6
    # Neither the models nor the sides are to be told from the place in the list.
    lefts = "".join(str(int(pair.left_model < pair.right_model)) for pair in every)
    assert lefts.count("01") + lefts.count("10") < 0.6 * len(lefts)
    assert len({two_models(pair) for pair in every[:30]}) == 6


def test_what_is_no_question_for_people_is_counted() -> None:
    point = '<point x="1" y="2">a</point>'
    tasks = [*asked(5), replace(asked(1)[0], id="here", image="a.png")]
    one = {"t0": "a  cat", "t2": "x", "t3": point, "t4": "dog", "here": point}
    other = {"t0": "a cat ", "t1": " ", "t3": "y", "t4": "cat", "here": "y"}
    chosen = choose(tasks, {"one": one, "other": other}, 100)
    assert {pair.task.id for pair in chosen.pairs} == {"t2", "t4", "here"}
    assert chosen.left_out == {
        "both answers are the same": 1,
        "neither model answered": 1,
        "the image to draw points on is not here": 1,
    }
    (silent,) = (pair for pair in chosen.pairs if pair.task.id == "t2")
    assert sorted((silent.left, silent.right)) == ["", "x"]


def test_one_model_or_a_strange_answer_is_refused(tmp_path: Path) -> None:
    tasks = asked(2)
    with pytest.raises(EvaluationError, match="between two models; give --answers for each"):
        choose(tasks, {"one": {}}, 1)
    with pytest.raises(EvaluationError, match="two: 2 answers to no such task, such as u, v; name"):
        choose(tasks, {"one": {"t0": ""}, "two": {"u": "", "v": "", "t0": ""}}, 1)
    alike = choose(tasks, {"one": {"t0": "a"}, "two": {"t0": "a"}}, 1)
    with pytest.raises(EvaluationError, match="no pair of answers to judge: 1 times both answers"):
        write(tmp_path, alike)


# What people see


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("A dog.\nIt sits.", "A dog.\nIt sits."),
        ("", NO_ANSWER),
        ('<point x="1" y="2" alt="dog">dog</point>.', "dog ●."),
        ('I see <points x1="1" y1="2" x2="3" y2="4" alt="d">dogs</points>!', "I see dogs [1–2]!"),
        ('<point x="1" y="2">a</point> and <point x="3" y="4">b</point>', "a [1] and b [2]"),
        ('<points x1="1" y1="2" x2="3" y2="4', "●"),  # cut off
        ('<point x="one" y="2">dog</point>', "dog"),
        ('<point x="1" y="2">a <b> dog</point>', "a <b> dog ●"),
        ('A <point x="1" y="2"/> and <point x="3" y="4"> b.', "A [1] and [2] b."),
        ('<point y="1" x="2"> <points x1="1" y1="2" x2="3" y2="4">a\nb</points>', "[1] a\nb [2–3]"),
        ("There are none.", "There are none."),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
    ],
)
def test_points_are_read_as_the_numbers_of_their_discs(answer: str, shown: str) -> None:
    assert as_shown(answer) == shown


def test_a_picture_has_an_answers_points_and_nothing_else_is_changed(tmp_path: Path) -> None:
    path, exif = tmp_path / "a.png", Image.Exif()
    exif[274] = 6  # to be turned a quarter to the right: shown 200 wide and 400 high
    plain = Image.new("RGB", (400, 200), (20, 90, 20))
    plain.putpixel((399, 0), (250, 250, 250))
    plain.save(path, exif=exif)
    task = replace(asked(1)[0], image=str(path))
    points = {"one": Point(25.0, 10.0), "two": Point(75.0, 60.0)}
    answers = {name: {"t0": to_text([point], "dog")} for name, point in points.items()}
    chosen = choose([task], answers | {"none": {"t0": "There are none."}}, 1)
    write(tmp_path / "ask", chosen, "http://images/")
    tasks = json.loads((tmp_path / "ask/tasks.json").read_text("utf-8"))
    assert len(tasks) == 3
    seen: dict[str, Image.Image] = {}
    for data in (each["data"] for each in tasks):
        sides = unseal(data["pixmo_id"], data["sealed"])
        for side, model in (("left", sides.left), ("right", sides.right)):
            name = data[f"{side}_image"].removeprefix("http://images/")
            assert data[side] == ("There are none." if model == "none" else "dog ●")
            with Image.open(tmp_path / "ask/images" / name) as image:
                seen[model] = image.convert("RGB")
                assert image.format == "PNG"
    assert len(list((tmp_path / "ask/images").iterdir())) == 3
    assert {image.size for image in seen.values()} == {(200, 400)}
    assert seen["none"].getpixel((199, 399)) == (250, 250, 250)
    places = {"one": (50, 40), "two": (150, 240)}
    for model, other in (("one", "two"), ("two", "one"), ("none", "one"), ("none", "two")):
        assert seen[other].getpixel(places[other]) == FILL
        assert seen[model].getpixel(places[other]) == (20, 90, 20)


def test_a_large_picture_is_made_smaller_and_its_points_stay(tmp_path: Path) -> None:
    Image.new("L", (4000, 1000), 90).save(tmp_path / "a.png")
    with Image.open(io.BytesIO(picture(tmp_path / "a.png", [Point(75, 50)]))) as small:
        assert small.size == (LONGEST_SIDE_PIXELS, LONGEST_SIDE_PIXELS // 4)
        assert small.getpixel((960, 160)) == FILL


def test_a_picture_that_is_none_leaves_its_pair_out(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    tasks = [replace(asked(1)[0], image=str(tmp_path / "a.png")), asked(2)[1]]
    written = write(tmp_path / "ask", choose(tasks, answered(tasks), 9))
    assert (written.tasks, written.fewest, written.most) == (6, 1, 1)
    assert written.left_out == {"its image cannot be read": 6}
    assert written.models == dict.fromkeys(STRENGTH, 3)


def test_how_often_models_meet_is_told(tmp_path: Path) -> None:
    tasks = asked(5)
    answers = answered(tasks)
    answers["stub"] |= {name: answers["pilot"][name] for name in ("t0", "t1")}
    written = write(tmp_path, choose(tasks, answers, 9))
    assert (written.tasks, written.fewest, written.most) == (28, 3, 5)
    assert written.models == {"molmo-large": 15, "molmo-small": 15, "pilot": 13, "stub": 13}
    assert written.left_out == {"both answers are the same": 2}


def made(folder: Path, count: int = 12, per_pair: int = 12) -> list[Json]:
    """Tasks as they are imported into Label Studio."""
    tasks = asked(count)
    write(folder, choose(tasks, answered(tasks), per_pair))
    found: list[Json] = json.loads((folder / "tasks.json").read_text("utf-8"))
    return found


def test_doing_so_again_changes_nothing(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), "teal").save(tmp_path / "a.png")
    tasks = asked(4, str(tmp_path / "a.png"))

    def files() -> dict[str, tuple[bytes, int]]:
        write(tmp_path / "my ask", choose(tasks, answered(tasks), 9))
        found = (path for path in (tmp_path / "my ask").rglob("*") if path.is_file())
        return {path.name: (path.read_bytes(), path.stat().st_size) for path in found}

    before = files()
    assert files() == before
    assert len(before) == 3  # one picture
    urls = {each["data"]["left_image"] for each in json.loads(before["tasks.json"][0])}
    (name,) = before.keys() - {"tasks.json", "preference.xml"}
    assert urls == {f"/data/local-files/?d=my%20ask/images/{name}"}
    assert before["preference.xml"][0] == CONFIG.read_bytes()


def test_nothing_that_people_come_across_says_whose_an_answer_is(tmp_path: Path) -> None:
    tasks = made(tmp_path)
    shown = {
        value for element in ElementTree.parse(CONFIG).iter() for value in element.attrib.values()
    }
    variables = {value[1:] for value in shown if value.startswith("$")}
    assert variables == {"question", "left", "right", "left_image", "right_image"}
    for data in (each["data"] for each in tasks):
        everything = json.dumps(data) + str(base64.urlsafe_b64decode(data["sealed"]))
        assert not any(model in everything for model in STRENGTH)
        assert data["left"] != data["right"]
    # The same two models on the same sides look otherwise in every task.
    assert len({each["data"]["sealed"][:4] for each in tasks}) > 0.9 * len(tasks)


@given(st.text(), st.builds(Sides, st.text(), st.text(), st.text()))
def test_what_is_sealed_is_opened_for_its_pair_alone(word: str, sides: Sides) -> None:
    assert unseal(word, seal(word, sides)) == sides
    with pytest.raises(ValueError):  # noqa: PT011 - JSON's own, of many kinds
        unseal(f"{word}.", seal(word, sides))


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


def test_votes_in_label_studios_shape_find_the_planted_strengths(tmp_path: Path) -> None:
    tasks = made(tmp_path, count=480, per_pair=80)
    export = ls.write_export(tmp_path / "export.json", list(voted(tasks, by_strength(0), people=2)))
    read = read_votes([export])
    found = preference(read)
    assert (found.votes, found.people, found.pairs, found.left_out) == (960, 2, 480, ())
    assert [one.model for one in found.ratings] == list(STRENGTH)
    for one in found.ratings:
        assert one.low < STRENGTH[one.model] < one.high
        assert 20 < one.high - one.low < 120
        assert one.votes == 480
    assert 60 < found.ties < 130
    assert found.agreement
    assert found.agreement.pairs == 480
    assert 0.4 < found.agreement.same < 0.7


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
    "nothing": (lambda t: t["annotations"][0].update(result=[]), "nothing was chosen"),
    "a slip": (lambda t: t["annotations"][0].update(result=[chosen("Left")]), "not one of the"),
    "no list": (
        lambda t: t["annotations"][0]["result"][1]["value"].update(choices="left"),
        "not one of the choices",
    ),
    "two": (
        lambda t: t["annotations"][0]["result"][1]["value"].update(choices=["left", "right"]),
        "not one of the choices",
    ),
    "twice": (
        lambda t: t["annotations"][0].update(result=[chosen("left"), chosen("right")]),
        "a control answered twice",
    ),
    "another config": (
        lambda t: t["annotations"][0].update(result=[ls.presence("none")]),
        "another labelling config",
    ),
    "another place": (
        lambda t: t["annotations"][0]["result"][1].update(to_name="image"),
        "another labelling config",
    ),
    "no value": (lambda t: t["annotations"][0]["result"][1].pop("value"), "result has no value"),
    "a number": (lambda t: t["annotations"][0]["result"].append(1), "result has no value"),
    "no result": (lambda t: t["annotations"][0].pop("result"), "its result is no list"),
    "a remark that is none": (
        lambda t: t["annotations"][0]["result"][0]["value"].update(text=[1]),
        "the remark is no text",
    ),
    "nobody": (lambda t: t["annotations"][0].update(completed_by=None), "nobody is named"),
    "true": (lambda t: t["annotations"][0].update(completed_by=True), "nobody is named"),
    "no time": (lambda t: t["annotations"][0].update(updated_at="soon"), "updated_at is no time"),
    "text": (lambda t: t["annotations"].__setitem__(0, "x"), "the annotation, or its task's data"),
    "no data": (lambda t: t.pop("data"), "the annotation, or its task's data"),
    "no seal": (lambda t: t["data"].pop("sealed"), "not made by pixmo preference tasks, or was"),
    "another's seal": (lambda t: t["data"].update(pixmo_id="0" * 16), "not made by pixmo prefer"),
    "half a seal": (lambda t: t["data"].update(sealed=t["data"]["sealed"][:8]), "not made by pix"),
    "a seal of a number": (lambda t: t["data"].update(sealed=3), "not made by pixmo preference"),
    "no id": (lambda t: t["data"].update(pixmo_id=None), "not made by pixmo preference tasks"),
    "two names": (
        lambda t: t["data"].update(sealed=seal(t["data"]["pixmo_id"], ("a", "b"))),  # type: ignore[arg-type]
        "not made by pixmo preference tasks",
    ),
    "numbers": (
        lambda t: t["data"].update(sealed=seal(t["data"]["pixmo_id"], (1, 2, 3))),  # type: ignore[arg-type]
        "not made by pixmo preference tasks",
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
    with pytest.raises(
        EvaluationError, match=r"there is no vote \(1 the task has no .*, 2 skipped"
    ):
        preference(read)


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


def alpha_slowly(units: Sequence[Sequence[float]]) -> float:
    """From the definition: over all pairs of values within units, and over all pairs at all."""
    values = [value for unit in units for value in unit]
    observed = sum(
        (one - other) ** 2 / (len(unit) - 1)
        for unit in units
        for one, other in itertools.permutations(unit, 2)
    ) / len(values)
    expected = sum((one - other) ** 2 for one, other in itertools.permutations(values, 2))
    return 1 - observed / (expected / (len(values) * (len(values) - 1)))


def test_alpha_is_what_its_author_works_out() -> None:
    table = [
        (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
        (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
        (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
        (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
    ]
    columns = [[float(v) for v in column if v is not None] for column in zip(*table, strict=True)]
    units = [column for column in columns if len(column) > 1]
    assert krippendorff_alpha(units) == pytest.approx(0.849, abs=5e-4)


UNIT = st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=2, max_size=5)


@given(st.lists(UNIT, min_size=1, max_size=8))
def test_alpha_is_what_its_definition_says(units: list[list[float]]) -> None:
    if len({value for unit in units for value in unit}) == 1:
        assert math.isnan(krippendorff_alpha(units))
    else:
        assert krippendorff_alpha(units) == pytest.approx(alpha_slowly(units))


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
    assert found.alpha == pytest.approx(alpha_slowly([[1, 1], [1, 0], [0.5, 0.5]]))
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
        ("preference", "rate", "nothing.json"): "nothing.json cannot be read",
    }.items():
        failed = run_pixmo(pixmo, *words, cwd=tmp_path)
        assert (failed.returncode, len(failed.stderr.splitlines())) == (1, 1)
        assert message in failed.stderr
