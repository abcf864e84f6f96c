"""pixmo.label.report: annotators with planted habits, and exactly these in the report."""

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pixmo.label.ingest import ingest
from pixmo.label.report import AnnotatorReport, report
from pixmo.workspace.workspace import Workspace
from tests import label_studio_exports as ls
from tests.conftest import run_pixmo
from tests.workspaces import Planter, picture

ANN, BEN, CAT = 1, 2, 3
Clicks = list[tuple[float, float]]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """It holds two pictures: wide.png of 2:1, and tall.png of 1:2."""
    planter = Planter(Workspace.init(tmp_path / "world"))
    planter.image("wide.png", picture(1, (128, 64)))
    planter.image("tall.png", picture(2, (64, 128)))
    return planter.write()


class Export:
    """Annotations, each with a number of its own, on their way into a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        rows = workspace.read("images").to_pylist()
        self.sha256 = {Path(row["path"]).name: row["image_sha256"] for row in rows}
        self.tasks: list[dict[str, Any]] = []

    def add(self, who: int, data: dict[str, Any], results: Any, **changes: Any) -> None:
        number = len(self.tasks) + 1
        made = ls.annotation(number, results, completed_by=who, **changes)
        self.tasks.append(ls.task(number, data, made))

    def points(self, who: int, image: str, label: str, clicks: Clicks, **changes: Any) -> None:
        said = ls.presence("present" if clicks else "none")
        results = [*(ls.keypoint(x, y) for x, y in clicks), said]
        data = ls.points_data(image_sha256=self.sha256.get(image, "cd" * 32), label=label)
        self.add(who, data, results, **changes)

    def answer(self, who: int, question: str, verdict: str, text: str = "A mug.") -> None:
        data = ls.ama_data(question=question)
        self.add(who, data, [ls.mended_answer(text), ls.answer_verdict(verdict)])

    def take_in(self) -> None:
        ingest(self.workspace, [ls.write_export(self.workspace.exports / "e.json", self.tasks)])


def of(found: Iterable[AnnotatorReport], who: int) -> AnnotatorReport:
    """The only report on an annotator."""
    (one,) = (one for one in found if one.annotator == f"annotator-{who}")
    return one


def test_pairs_of_points_are_compared_in_the_images_shape(workspace: Workspace) -> None:
    export = Export(workspace)
    three: Clicks = [(10, 10), (50, 50), (90, 90)]
    export.points(ANN, "wide.png", "mugs", three)
    export.points(BEN, "wide.png", "mugs", [(10, 18), (50, 58)])  # 4 percent of the width
    export.points(CAT, "wide.png", "mugs", [])
    export.points(ANN, "tall.png", "mugs", [(50, 50)])
    export.points(BEN, "tall.png", "mugs", [(50, 54)])  # 8 percent of the width
    export.points(ANN, "wide.png", "cups", [])
    export.points(BEN, "wide.png", "cups", [])
    export.points(CAT, "wide.png", "forks", [(1, 1)])  # done by nobody else
    export.take_in()

    found = report(workspace)
    ann, ben, cat = (of(found.annotators, who) for who in (ANN, BEN, CAT))
    # Ann and Ben: 2 of 3 and 2 of 2, none, all. Cat shares no point with either.
    assert ann.alike.point_f1 == pytest.approx((0.8 + 0 + 1 + 0) / 4)
    assert (ann.alike.pairs, ann.alike.equal_counts) == (4, 2 / 4)
    assert ben.alike == ann.alike
    assert (cat.alike.pairs, cat.alike.point_f1, cat.alike.equal_counts) == (2, 0, 0)
    (points,) = found.subsets
    assert (points.tasks, points.tasks_of_several, points.alike.pairs) == (4, 3, 5)
    assert points.alike.point_f1 == pytest.approx((0.8 + 0 + 0 + 0 + 1) / 5)
    assert (points.alike.equal_counts, points.alpha, ann.kappa) == (2 / 5, None, None)
    farther = report(workspace, within=8).annotators
    assert of(farther, ANN).alike.point_f1 == pytest.approx((0.8 + 1 + 1 + 0) / 4)


def test_points_of_images_never_added_are_not_compared(workspace: Workspace) -> None:
    export = Export(workspace)
    for who in (ANN, BEN):
        export.points(who, "nowhere.png", "mugs", [(1, 1)])
    export.points(ANN, "nowhere.png", "cups", [])
    export.take_in()
    (points,) = report(workspace).subsets
    assert (points.tasks, points.tasks_of_several, points.without_image) == (2, 1, 1)
    assert (points.alike.pairs, points.alike.point_f1) == (0, None)


def test_who_does_a_task_again_is_compared_in_what_they_said_last(workspace: Workspace) -> None:
    export = Export(workspace)
    export.points(ANN, "wide.png", "mugs", [(90, 90)], updated_at="2026-01-02T00:00:00Z")
    export.points(ANN, "wide.png", "mugs", [(10, 10)], updated_at="2026-01-01T00:00:00Z")
    export.points(BEN, "wide.png", "mugs", [(90, 90)])
    export.take_in()
    found = report(workspace).annotators
    assert [of(found, who).annotations for who in (ANN, BEN)] == [2, 1]
    assert (of(found, ANN).alike.pairs, of(found, ANN).alike.point_f1) == (1, 1)


def test_time_is_clipped_and_what_has_none_is_left_out(workspace: Workspace) -> None:
    export = Export(workspace)
    for label, seconds in [("a", 20), ("b", 9000), ("c", 40), ("d", None)]:
        export.points(ANN, "wide.png", label, [], lead_time=seconds)
    export.points(BEN, "wide.png", "a", [], lead_time=None)
    export.take_in()
    found = report(workspace, most_seconds=300).annotators
    ann, ben = of(found, ANN), of(found, BEN)
    assert (ann.annotations, ann.tasks_per_hour, ann.median_seconds) == (4, 3 * 3600 / 360, 40)
    assert (ben.annotations, ben.tasks_per_hour, ben.median_seconds) == (1, None, None)


def test_skipped_and_unusable_annotations_are_somebodys(workspace: Workspace) -> None:
    export = Export(workspace)
    data = ls.points_data()
    export.add(ANN, data, [], was_cancelled=True)
    export.add(ANN, data, [], was_cancelled=True)
    export.add(BEN, data, [ls.keypoint(1, 2)])
    export.add(BEN, data, [ls.keypoint(1, 2), ls.presence("none")])
    export.add(BEN, data, [ls.presence("present")])
    export.add(CAT, data, [ls.presence("none")], updated_at="2026-01-01T00:00:00Z")
    export.tasks[-1]["annotations"][0]["completed_by"] = None
    export.take_in()
    found = report(workspace).annotators
    counted = {one.annotator: (one.annotations, one.skipped, one.unusable) for one in found}
    assert counted == {"annotator-1": (0, 2, 0), "annotator-2": (0, 0, 3), "unknown": (0, 0, 1)}


def test_who_contradicts_themselves_is_compared_with_nobody(workspace: Workspace) -> None:
    export = Export(workspace)
    data = ls.points_data(image_sha256=export.sha256["wide.png"], label="mugs")
    export.add(ANN, data, [ls.presence("present")])
    export.points(BEN, "wide.png", "mugs", [])
    export.take_in()
    found = report(workspace)
    assert [of(found.annotators, who).alike.pairs for who in (ANN, BEN)] == [0, 0]
    assert of(found.annotators, ANN).unusable == 1


def test_verdicts_are_compared_over_all_and_with_most_of_the_others(workspace: Workspace) -> None:
    export = Export(workspace)
    said = {ANN: "aaaarr", BEN: "aaarrr", CAT: "aaarra", 4: "a....."}
    for who, verdicts in said.items():
        for number, verdict in enumerate(verdicts):
            if verdict != ".":
                export.answer(who, f"What is {number}?", {"a": "accept", "r": "reject"}[verdict])
    export.answer(4, "What has nobody else judged?", "reject")
    export.take_in()

    found = report(workspace)
    ann, dan = of(found.annotators, ANN), of(found.annotators, 4)
    # Ann and Ben differ in one of 6, Ann and Cat in two, Ann and Dan in none.
    assert (ann.alike.pairs, ann.alike.equal_verdicts) == (13, (5 + 4 + 1) / 13)
    # Of Ben and Cat alike in 5, Ann agrees in 4; they accept 3 of these, she 4: 14 / 25 by chance.
    assert ann.kappa == pytest.approx((4 / 5 - 14 / 25) / (1 - 14 / 25))
    assert (dan.alike.equal_verdicts, dan.kappa) == (1, None)
    (ama,) = found.subsets
    assert (ama.tasks, ama.tasks_of_several) == (7, 6)
    # Source: the definition, with 19 verdicts, 12 of them `accept`; 2 of 3 alike in two tasks.
    assert ama.alpha == pytest.approx(1 - (2 * 2 / 2 * 2) / (2 * 12 * 7 / 18))


def test_captions_are_compared_by_the_caption(workspace: Workspace) -> None:
    export = Export(workspace)
    for who, caption, verdict in [(ANN, "c1", "accept"), (BEN, "c1", "reject"), (CAT, "c2", "x")]:
        said = ls.caption_verdict("accept" if verdict == "x" else verdict)
        export.add(who, ls.cap_data(caption_id=caption), [said])
    export.take_in()
    (cap,) = report(workspace).subsets
    assert (cap.subset, cap.tasks, cap.alike.pairs, cap.alike.equal_verdicts) == ("cap", 2, 1, 0)


def test_texts_left_as_proposed_are_untouched_if_accepted(workspace: Workspace) -> None:
    export = Export(workspace)
    export.answer(ANN, "a?", "accept")
    export.answer(ANN, "b?", "accept", "A cup.")
    export.answer(ANN, "c?", "accept")
    export.answer(ANN, "d?", "reject")
    export.take_in()
    ann = of(report(workspace).annotators, ANN)
    assert (ann.proposals, ann.untouched) == (3, 2 / 3)


def proposed(*origins: str) -> list[dict[str, Any]]:
    """Clicks that were proposed, changed or added, and the choice that there are some."""
    clicks = [ls.keypoint(10 * n, 5) | {"origin": each} for n, each in enumerate(origins)]
    return [*clicks, ls.presence("present")]


def test_points_left_as_predicted_are_untouched(workspace: Workspace) -> None:
    cases = [
        (("prediction", "prediction"), 2, True),
        (("prediction", "manual"), 1, False),
        (("prediction", "prediction-changed"), 2, False),
        (("prediction",), 2, False),  # one was taken away
    ]
    for number, (origins, predicted, expected) in enumerate(cases):
        other = Workspace.init(workspace.root / str(number))
        export = Export(other)
        snapshot = {"id": 9, "result": [ls.keypoint(1, 1)] * predicted}
        export.add(
            ANN, ls.points_data(), proposed(*origins), parent_prediction=9, prediction=snapshot
        )
        export.add(ANN, ls.points_data(label="x"), proposed("manual"))
        export.take_in()
        ann = of(report(other).annotators, ANN)
        assert (ann.annotations, ann.proposals, ann.untouched) == (2, 1, expected)


def f1_slowly(first: Clicks, second: Clicks, within: float, ratio: float) -> float:
    """By trying every way to match the points of one with those of the other."""
    few, many = sorted((first, second), key=len)
    if not few:
        return float(not many)
    found = max(
        sum(((x - u) ** 2 + ((y - v) * ratio) ** 2) ** 0.5 <= within for (x, y), (u, v) in way)
        for order in itertools.permutations(many, len(few))
        for way in [list(zip(few, order, strict=True))]
    )
    return 2 * found / (len(first) + len(second))


@pytest.mark.parametrize("seed", range(3))
def test_many_annotators_have_the_numbers_of_a_slow_reference(
    workspace: Workspace, seed: int
) -> None:
    random = Random(seed)
    export = Export(workspace)
    said: dict[tuple[str, str], dict[int, Clicks]] = {}
    for image, label in itertools.product(("wide.png", "tall.png"), "abcdef"):
        for who in random.sample(range(5), random.randrange(1, 5)):
            clicks = [
                (random.uniform(0, 20), random.uniform(0, 20)) for _ in range(random.randrange(5))
            ]
            said.setdefault((image, label), {})[who] = clicks
            export.points(who, image, label, clicks)
    random.shuffle(export.tasks)
    export.take_in()

    ratio = {"wide.png": 0.5, "tall.png": 2.0}
    found = report(workspace)
    pairs = [
        ({one, other}, f1_slowly(by[one], by[other], 5.0, ratio[image]))
        for (image, _), by in said.items()
        for one, other in itertools.combinations(by, 2)
    ]
    assert found.subsets[0].alike.pairs == len(pairs)
    assert found.subsets[0].alike.point_f1 == pytest.approx(sum(f for _, f in pairs) / len(pairs))
    for who in range(5):
        own = [f1 for people, f1 in pairs if who in people]
        assert own
        assert of(found.annotators, who).alike.point_f1 == pytest.approx(sum(own) / len(own))


def test_the_command_shows_a_table_and_json(pixmo: Path, workspace: Workspace) -> None:
    export = Export(workspace)
    for who in (ANN, BEN):
        export.points(who, "wide.png", "mugs", [(10, 10)], lead_time=36)
    export.answer(ANN, "a?", "accept")
    export.take_in()
    shown = run_pixmo(pixmo, "label", "report", "--most-seconds", "30", cwd=workspace.root)
    rows = [line.split() for line in shown.stdout.splitlines()]
    assert ["points", "annotator-1", "1", "0", "0", "120", "30.0", "1", "1.00", "1.00", "0"] in rows
    assert ["points", "1", "1", "0", "1", "1.00", "1.00"] in rows
    assert "at most 30 s of an annotation" in shown.stdout
    told = run_pixmo(pixmo, "label", "report", "--json", cwd=workspace.root)
    data = json.loads(told.stdout)
    assert [one["subset"] for one in data["annotators"]] == ["ama", "points", "points"]
    assert (data["most_seconds"], data["annotators"][1]["tasks_per_hour"]) == (600, 100)


def test_nothing_annotated_is_said(pixmo: Path, workspace: Workspace) -> None:
    found = report(workspace)
    assert (found.subsets, found.annotators) == ((), ())
    shown = run_pixmo(pixmo, "label", "report", cwd=workspace.root)
    assert shown.stdout.startswith("nobody annotated anything yet")


def test_annotators_are_scored_by_gold_tasks(workspace: Workspace) -> None:
    export = Export(workspace)
    wide = export.sha256["wide.png"]
    row = {"subset": "points", "image_sha256": wide, "points": [], "verdict": None}
    row["answer"] = None
    mugs = row | {"asked": "mugs", "points": [{"x": 10, "y": 10}, {"x": 50, "y": 50}]}
    workspace.append("gold", [mugs | {"points": []}, row | {"asked": "cups"}])
    workspace.append("gold", [mugs])  # corrected
    right = row | {"subset": "ama", "image_sha256": ls.IMAGE_SHA256, "verdict": "reject"}
    right["answer"] = "A mug."
    workspace.append("gold", [right | {"asked": "a?"}, right | {"asked": "b?"}])
    export.points(ANN, "wide.png", "mugs", [(10, 18), (90, 50), (50, 50)])
    export.points(ANN, "wide.png", "cups", [])
    export.points(ANN, "tall.png", "mugs", [(1, 1)])
    export.points(BEN, "wide.png", "mugs", [])
    for question, verdict in [("a?", "accept"), ("b?", "reject"), ("c?", "accept")]:
        export.answer(CAT, question, verdict)
    export.take_in()
    found = report(workspace).annotators
    ann, ben, cat = (of(found, who).gold for who in (ANN, BEN, CAT))
    assert (ann.pairs, ann.point_f1) == (2, pytest.approx((0.8 + 1) / 2))
    assert (ann.equal_counts, ben.pairs, ben.point_f1) == (1 / 2, 1, 0)
    assert (cat.pairs, cat.equal_verdicts, cat.point_f1) == (2, 1 / 2, None)
