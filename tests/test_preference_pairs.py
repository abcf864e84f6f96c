"""Pairs of answers to judge: every two models meet as often, and nothing tells whose is whose."""

import base64
import io
import itertools
import json
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pixmo.drawing import FILL
from pixmo.errors import EvaluationError
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
from pixmo.points import Point, to_text
from tests.preferences import CONFIG, STRENGTH, answered, asked, made


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


def test_a_folder_of_somebody_else_is_left_as_it_is(tmp_path: Path) -> None:
    tasks = asked(2)
    chosen = choose(tasks, answered(tasks), 1)
    (tmp_path / "tasks.json").write_text("mine", "utf-8")
    with pytest.raises(EvaluationError, match=r"is not empty and holds no preference\.xml; name"):
        write(tmp_path, chosen)
    assert (tmp_path / "tasks.json").read_text("utf-8") == "mine"
    assert len(list(tmp_path.iterdir())) == 1


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


def test_doing_so_again_changes_nothing(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), "teal").save(tmp_path / "a.png")
    tasks = asked(4, str(tmp_path / "a.png"))

    def files() -> dict[str, bytes]:
        write(tmp_path / "my ask", choose(tasks, answered(tasks), 9))
        found = (path for path in (tmp_path / "my ask").rglob("*") if path.is_file())
        return {path.name: path.read_bytes() for path in found}

    before = files()
    assert files() == before
    assert len(before) == 3  # one picture
    urls = {each["data"]["left_image"] for each in json.loads(before["tasks.json"])}
    (name,) = before.keys() - {"tasks.json", "preference.xml"}
    assert urls == {f"/data/local-files/?d=my%20ask/images/{name}"}
    assert before["preference.xml"] == CONFIG.read_bytes()


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
