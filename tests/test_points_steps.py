"""Every step of the points recipe: what it names and why, and what lies just beside it."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixmo.curate.cache import Cache
from pixmo.curate.curate import NOTHING_KEPT, Curated, curate
from pixmo.curate.step_kinds import MergeStep
from pixmo.hashing import sha256_bytes
from pixmo.resources import shared
from tests.benchmarks import points_thresholds
from tests.benchmarks.planted_trials import Trial
from tests.benchmarks.points_thresholds import Clicks
from tests.planted_rows import (
    Row,
    Verdict,
    candidates,
    connect,
    image,
    judged,
    measured,
    not_in_comments,
    outcome,
    points,
    recipe,
    step,
    tables,
)


def named(rows: list[Row], file: str, **changed: float) -> dict[str, Verdict]:
    """The verdicts of one step over rows."""
    return judged(connect("points", rows), "points", file, **changed)


LABELS = {
    "red cars": ("red cars", ""),
    "Red Cars": ("red cars", "Red Cars"),
    "  the\t red \u00a0 cars. ": ("red cars", "  the\t red \u00a0 cars. "),
    "A car": ("car", "A car"),
    "an apple": ("apple", "an apple"),
    "“the sign”": ("sign", "“the sign”"),
    "theatre": ("theatre", ""),
    "a": ("a", ""),
    "the the": ("the", "the the"),
    "cafe\u0301s": ("caf\u00e9s", "cafe\u0301s"),
    "man's hat": ("man's hat", ""),
    " ?! ": ("", " ?! "),
}


@pytest.mark.parametrize("label", LABELS)
def test_labels_are_tidied_and_kept_as_they_were(label: str) -> None:
    rows = candidates(connect("points", [points("a", [(1, 1)], label)]), "points")
    assert (rows["a"]["label"], rows["a"]["raw_label"]) == LABELS[label]


def test_tidying_a_label_changes_no_id() -> None:
    both = [points("a", [], "The car"), points("b", [], "car")]
    rows = candidates(connect("points", both), "points")
    assert rows["a"]["id"] == sha256_bytes(b"points/a/The car")[:16]


def test_a_label_without_a_word_names_nothing() -> None:
    rows = [points("signs", [(1, 1)], " ?! "), points("digit", [(1, 1)], "7")]
    rows.append(points("letters", [(1, 1)], "眼鏡"))
    assert named(rows, "no_label") == {
        "signs": Verdict("label names nothing", {"raw_label": " ?! "})
    }


def test_presence_and_points_must_fit() -> None:
    rows = [points("missing", [], presence="present"), points("denied", [(1, 1)], presence="none")]
    rows += [points("there", [(1, 1)]), points("absent", [])]
    assert named(rows, "present_without_point").keys() == {"missing"}
    found = named(rows, "none_with_points")
    assert found == {"denied": Verdict("said to be absent, but pointed at", {"count": 1})}


def test_points_may_lie_a_little_outside() -> None:
    rows = [points("far", [(50, 50), (102.1, 50)]), points("above", [(50, -2.1)])]
    rows += [points("edge", [(102, 50), (-2, 102)]), points("inside", [(100, 0)])]
    found = named(rows, "outside_image")
    assert found.keys() == {"far", "above"}
    assert found["far"].evidence == {"x": 102.1, "y": 50.0}


def test_two_points_on_one_spot_are_named_with_their_distance() -> None:
    rows = [points("double", [(50, 50), (9, 9), (50.3, 50.4)], image="1")]
    found = named(rows, "duplicate_points", min_distance=0.51)
    assert found == {"double": Verdict("points 1 and 3 are one spot", {"distance": 0.5})}
    assert not named(rows, "duplicate_points", min_distance=0.49)


def test_clicks_outside_that_the_edge_draws_together_are_two() -> None:
    assert not named([points("a", [(101.5, 50), (100, 50.3)])], "duplicate_points")
    assert named([points("a", [(101.5, 50), (101.4, 50)])], "duplicate_points")


CLICKS = st.lists(
    st.tuples(*[st.floats(0, 3).map(lambda value: round(value, 2))] * 2), min_size=1, max_size=8
)


@settings(max_examples=30, deadline=None)
@given(st.lists(CLICKS, min_size=1, max_size=20), st.sampled_from([0.1, 0.5, 1.0]))
def test_double_clicks_are_found_wherever_they_lie(of_rows: list[Clicks], least: float) -> None:
    rows = [points(str(n), clicked, image=str(n)) for n, clicked in enumerate(of_rows)]
    expected = {
        str(number)
        for number, clicked in enumerate(of_rows)
        for i, (x, y) in enumerate(clicked)
        for other_x, other_y in clicked[:i]
        if ((x - other_x) ** 2 + (y - other_y) ** 2) ** 0.5 < least
    }
    assert named(rows, "duplicate_points", min_distance=least).keys() == expected


def test_double_clicks_are_found_across_every_edge_and_corner() -> None:
    places = [(50 + x / 4, 50 + y / 4) for x in range(9) for y in range(9)]
    rows = [
        points(f"{x} {y}", [(x - 0.1, y - 0.1), (x + 0.1, y + 0.1)], image=f"{x} {y}")
        for x, y in places
    ]
    found = named(rows, "duplicate_points", min_distance=0.5)
    assert found.keys() == {f"{x} {y}" for x, y in places}


def test_of_several_double_clicks_the_nearest_is_named_and_named_once() -> None:
    clicked = [(10, 10), (10.2, 10), (50, 50), (50, 50.15), (10.3, 10)]
    connection = connect("points", [points("a", clicked)])
    found = judged(connection, "points", "duplicate_points")
    assert found == {"a": Verdict("points 2 and 5 are one spot", {"distance": 0.1})}
    of_step = step("points", "duplicate_points")
    assert len(connection.execute(of_step.query.sql, dict(of_step.parameters)).fetchall()) == 1


def test_the_newest_of_an_annotators_rows_stays() -> None:
    rows = [
        points("old", [(1, 1)], "red hat", updated_at="2026-01-01"),
        points("new", [(1, 2)], "The Red  hat.", updated_at="2026-02-01"),
        points("plural", [(1, 1)], "red hats", updated_at="2026-01-01"),
        points("elsewhere", [(1, 1)], "red hat", image="b", updated_at="2026-01-01"),
        points("other", [(1, 1)], "red hat", annotator="2", updated_at="2026-01-01"),
    ]
    connection = connect("points", rows)
    found = judged(connection, "points", "repeated")
    assert found.keys() == {"old"}
    newest = candidates(connection, "points")["new"]["id"]
    assert found["old"] == Verdict(f"superseded by row {newest}", {"kept_id": newest})


def pointed(*of_annotators: Clicks) -> list[Row]:
    """One expression on one image, pointed at by several: annotations 0, 1, 2, …"""
    return [points(str(n), clicked, annotator=str(n)) for n, clicked in enumerate(of_annotators)]


LINE = [(10.0 * n, 50.0) for n in range(1, 4)]

AGREEMENT: dict[str, tuple[list[Row], set[str]]] = {
    "alone": (pointed(LINE), set()),
    "both the same": (pointed(LINE, LINE), set()),
    "in another order": (pointed(LINE, LINE[::-1]), set()),
    "19 percent apart": (pointed([(10, 10)], [(29, 10)]), set()),
    "21 percent apart": (pointed([(10, 10)], [(31, 10)]), {"0", "1"}),
    "one left out": (pointed(LINE, LINE[1:]), {"0", "1"}),
    "both none": (pointed([], []), set()),
    "none against one": (pointed([], [(1, 1)]), {"0", "1"}),
    "two against one": (pointed(LINE, LINE, LINE[1:]), {"2"}),
    "two against two": (pointed(LINE, LINE, LINE[1:], LINE[1:]), {"0", "1", "2", "3"}),
    "three against two": (pointed(LINE, LINE, LINE, LINE[1:], LINE[1:]), {"3", "4"}),
    "all differ": (pointed(LINE, LINE[1:], []), {"0", "1", "2"}),
    # One cluster of points near all of the other's, whose far ones are then near to nobody's.
    "crowded on one": (
        pointed([(0, 0), (0, 100), (100, 0), (100, 100)], [(0, 0), (1, 0), (0, 1), (1, 1)]),
        {"0", "1"},
    ),
}


@pytest.mark.parametrize("case", AGREEMENT)
def test_rows_that_disagree_with_more_than_half_are_named(case: str) -> None:
    rows, expected = AGREEMENT[case]
    assert named(rows, "disagreement").keys() == expected


def test_a_disagreement_says_with_what() -> None:
    found = named(pointed(LINE, LINE, [(10, 50), (20, 50)]), "disagreement")
    evidence = {"count": 2, "their_counts": [3, 3], "distance": None}
    assert found == {"2": Verdict("0 of 2 others agree", evidence)}
    found = named(pointed([(10, 10)], [(40, 50)]), "disagreement")
    assert found["0"].evidence == {"count": 1, "their_counts": [1], "distance": 50.0}


def test_large_counts_may_differ_by_one_in_twenty() -> None:
    crowd = [(float(4 * n), 50.0) for n in range(20)]
    assert not named(pointed(crowd, crowd[1:]), "disagreement")
    assert named(pointed(crowd, crowd[2:]), "disagreement").keys() == {"0", "1"}
    assert named(pointed(crowd[1:], crowd[2:]), "disagreement").keys() == {"0", "1"}


def test_other_images_labels_and_ones_own_rows_are_no_second_opinion() -> None:
    rows = [points("a", LINE), points("b", [], image="b", annotator="2")]
    rows += [points("c", [], "red car", annotator="2"), points("d", [])]
    assert not named(rows, "disagreement")


def test_nobody_agrees_with_himself() -> None:
    rows = [points("a", LINE), points("again", LINE), points("b", LINE[1:], annotator="2")]
    assert named(rows, "disagreement").keys() == {"a", "again", "b"}


SINGULARS = {
    ("red hat", "red hats"): True,
    ("box", "boxes"): True,
    ("woman on the left", "women on the left"): True,
    ("person", "people"): True,
    ("dogs", "The dog"): True,
    ("child", "children"): True,
    ("knife", "knives"): True,
    ("glove", "gloves"): True,
    ("bus", "buses"): True,
    ("vase", "vases"): True,
    ("cherry", "cherries"): True,
    ("cookie", "cookies"): True,
    ("white tooth", "white teeth"): True,
    ("mouse on the mat", "mice on the mat"): True,
    ("leaf", "leaves"): True,
    ("dress", "dresses"): True,
    ("tomato", "tomatoes"): True,
    ("new", "news"): False,
    ("short man", "man in shorts"): False,
    ("grass", "grapes"): False,
    ("prince", "princess"): False,
    ("cat", "cattle"): False,
    ("glass", "glasses"): False,
    ("red hat", "blue hats"): False,
    ("gas", "gate"): False,
}


@pytest.mark.parametrize("pair", SINGULARS)
def test_none_against_present_in_another_number(pair: tuple[str, str]) -> None:
    absent, present = pair
    rows = [points("absent", [], absent), points("present", [(1, 1)], present, annotator="2")]
    rows.append(points("elsewhere", [(1, 1)], present, image="b"))
    found = named(rows, "none_against_present")
    assert found.keys() == ({"absent", "present"} if SINGULARS[pair] else set())


def test_two_numbers_that_are_both_there_or_both_not_are_fine() -> None:
    rows = [points("one", [(1, 1)], "hat"), points("more", [(1, 1), (9, 9)], "hats")]
    rows += [points("no", [], "cap"), points("none", [], "caps")]
    assert not named(rows, "none_against_present")


def test_none_against_present_quotes_both() -> None:
    found = named([points("a", [], "hats"), points("b", [(1, 1)], "hat")], "none_against_present")
    reason = 'absent as "hats", but pointed at as "hat"'
    assert found["a"] == Verdict(reason, {"absent": "hats", "pointed_at": "hat"})


def test_more_points_than_the_bound() -> None:
    rows = [points("60", [(1, 1)] * 60), points("61", [(1, 1)] * 61)]
    assert named(rows, "too_many_points") == {"61": Verdict("61 points", {"count": 61})}


NUMBERS = {
    "two dogs": True,
    "three men": True,
    "2 red cars on the left": True,
    "two people with dogs": True,
    "seven eleven": False,
    "two piece suit": False,
    "two": False,
    "one dog": False,
    "dogs": False,
    "two glass": False,
    "three of the dogs": False,
}


@pytest.mark.parametrize("label", NUMBERS)
def test_a_number_in_a_label_is_held_against_the_count(label: str) -> None:
    clicked = [(float(n), 1.0) for n in range(5)]
    found = named([points("a", clicked, label), points("none", [], label)], "number_in_label")
    assert found.keys() == ({"a"} if NUMBERS[label] else set())


def test_a_number_in_a_label_that_fits_is_fine() -> None:
    rows = [points("two", [(1, 1), (9, 9)], "two dogs"), points("one", [(1, 1)], "two dogs")]
    found = named(rows, "number_in_label")
    assert found == {"one": Verdict("says 2, but 1 were pointed at", {"number": 2, "count": 1})}


def grid(columns: int, rows: int) -> Clicks:
    return [(5.0 + 7 * column, 5.0 + 9 * row) for row in range(rows) for column in range(columns)]


EVEN: dict[str, tuple[Clicks, int | None]] = {
    "line": (grid(5, 1), 3),
    "short line": (grid(4, 1), None),
    "slanted line": ([(5.0 + 3 * n, 90 - 7.0 * n) for n in range(9)], 7),
    "grid of three columns": (grid(3, 3), 3),
    "grid of two columns": (grid(2, 6), None),
    "two even steps": ([*grid(4, 1), (80.0, 90.0)], None),
    "three even steps of ten": (
        [*grid(5, 1), (50, 80), (20, 60), (90, 30), (10, 95), (70, 50), (33, 33), (44, 77)],
        None,
    ),
    "bent by 0.19": ([(10.0 * n, 0.19 * (n % 2) / 2) for n in range(9)], 7),
    "bent by 0.21": ([(10.0 * n, 0.21 * (n % 2) / 2) for n in range(9)], None),
}


@pytest.mark.parametrize("case", EVEN)
def test_evenly_spaced_clicks_are_named(case: str) -> None:
    clicked, even_steps = EVEN[case]
    found = named([points("a", clicked)], "evenly_spaced")
    assert [v.evidence["even_steps"] for v in found.values()] == [even_steps] * bool(even_steps)


def test_a_real_row_clicked_by_hand_is_not_evenly_spaced() -> None:
    rng = Random(1)
    windows = [(10.0 * n, 50.0) for n in range(10)]
    rows = [
        points(str(n), [(x + rng.gauss(0, 0.3), y + rng.gauss(0, 0.3)) for x, y in windows])
        for n in range(200)
    ]
    assert not named(rows, "evenly_spaced")


REPEATED = [(1, 4, False), (1, 5, True), (2, 2, False), (2, 3, True), (4, 2, True), (3, 2, False)]


@pytest.mark.parametrize(("count", "images", "is_named"), REPEATED)
def test_the_same_points_on_several_images(count: int, images: int, is_named: bool) -> None:
    clicked = [(7.0 * n, 31.04) for n in range(count)]
    near = [(x, 31.01) for x, _ in clicked]  # rounds to the same tenth
    rows = [points(str(n), near if n else clicked, image=str(n)) for n in range(images)]
    rows.append(points("someone else", clicked, image="more", annotator="2"))
    rows.append(points("again on one", clicked, "blue cars", image="0"))
    found = named(rows, "same_points")
    expected = {*map(str, range(images)), "again on one"} if is_named else set()
    assert found.keys() == expected
    if is_named:
        reason = f"same points as on {images - 1} other images"
        assert found["0"] == Verdict(reason, {"images": images, "count": count})


def test_none_is_never_the_same_points() -> None:
    assert not named([points(str(n), [], image=str(n)) for n in range(9)], "same_points")


def said(annotator: str, nones: int, rows: int) -> list[Row]:
    """The rows of an annotator who says none so many times."""
    return [
        points(f"{annotator} {n}", [] if n < nones else [(1, 1)], image=str(n), annotator=annotator)
        for n in range(rows)
    ]


def test_who_says_none_far_more_often_than_the_others() -> None:
    honest = [row for name in "abc" for row in said(name, 20, 100)]
    # Odds of 0.25 as a rule: two and a half times that is a share of 0.38.
    found = named([*honest, *said("lazy", 45, 100)], "none_share")
    assert found.keys() == {f"lazy {n}" for n in range(45)}
    reason = "its annotator says none far more often than the others"
    evidence = {"none_share": 0.45, "usual_none_share": 0.2}
    assert found["lazy 0"] == Verdict(reason, evidence)
    assert not named([*honest, *said("busy", 37, 100)], "none_share")


def test_of_few_rows_a_share_says_nothing() -> None:
    honest = [row for name in "abc" for row in said(name, 20, 100)]
    assert not named([*honest, *said("new", 19, 19)], "none_share")
    assert named([*honest, *said("new", 20, 20)], "none_share")
    assert not named(said("alone", 90, 100), "none_share")


def test_images_must_be_known() -> None:
    rows = [points("known", [(1, 1)], image="a"), points("unknown", [(1, 1)], image="b")]
    found = judged(connect("points", rows, [image("a")]), "points", "image_unknown")
    assert found.keys() == {"unknown"}


def test_the_recipe_names_exactly_what_is_planted() -> None:
    rng = Random(0)
    crowd = [(1.6 * (n % 60), 30 + rng.uniform(0, 20)) for n in range(61)]
    dropped = [
        (points("nowhere", LINE, image="nowhere"), "image_unknown"),
        (points("icon", LINE, image="icon"), "too_small"),
        (points("not free", LINE, image="not free"), "license"),
        (points("unnamed", LINE, "?"), "no_label"),
        (points("missing", [], "blue cars", presence="present"), "present_without_point"),
        (points("denied", LINE, "blue cars", presence="none"), "none_with_points"),
        (points("outside", [(150, 1)], "blue cars"), "outside_image"),
        (points("double", [(9, 9), (9, 9.1)], "blue cars"), "duplicate_points"),
        (points("old", LINE, "hats", updated_at="2025-01-01"), "repeated"),
        (
            points("agreed", [(12, 12)], "red hat", annotator="2", updated_at="2026-02-01"),
            "consensus",
        ),
    ]
    apart = [
        (points("three", LINE, "dogs"), "disagreement"),
        (points("two", LINE[1:], "dogs", annotator="2"), "disagreement"),
        (points("no cat", [], "cat"), "none_against_present"),
        (points("cats", LINE, "cats"), "none_against_present"),
        (points("crowd", crowd, "people"), "too_many_points"),
    ]
    flagged = [
        (points("five", LINE, "five birds"), ["number_in_label"]),
        (points("even", grid(7, 1), "windows"), ["evenly_spaced"]),
        (points("again", grid(7, 1), "windows", image="b"), ["evenly_spaced"]),
    ]
    good = [
        points("good", [(11, 11)], "The red Hat"),
        points("hats", LINE, "hats"),
        points("none", [], "the unicorn"),
        points("red hat of b", [(40, 40)], "red hat", image="b"),
    ]
    same = ["evenly_spaced", "same_points"]
    found = outcome(
        "points",
        [*(row for row, _ in (*dropped, *apart, *flagged)), *good],
        [image("a"), image("b"), image("icon", 40, 40), image("not free", license="CC-BY-NC-4.0")],
    )
    assert found.dropped == {row["annotation_uid"]: step for row, step in dropped}
    assert found.apart == {row["annotation_uid"]: step for row, step in apart}
    expected = {row["annotation_uid"]: flags for row, flags in flagged}
    expected |= {"even": same, "again": same} | {row["annotation_uid"]: [] for row in good}
    assert found.flags == expected


@pytest.mark.parametrize("make", points_thresholds.TRIALS)
def test_the_steps_do_what_was_measured(make: Callable[[int], Trial]) -> None:
    trial = make(points_thresholds.ROWS)
    *_, precision, recall, _ = measured("points")[trial.name]
    assert trial.named().both == f"{precision} / {recall}"


def test_the_recipes_comments_say_what_was_measured() -> None:
    assert not not_in_comments("points")


def test_two_steps_make_singular_and_plural_alike_in_the_same_words() -> None:
    # A step shares nothing with another but the tables, so the words stand in both files.
    first, second = (
        [line.split(", ", 1)[1] for line in sql.splitlines() if re.search(CHANGED_IN_TURN, line)]
        for sql in (
            shared("pipelines", file).read_text("utf-8")
            for file in ("points/none_against_present.sql", "ama/count_against_points.sql")
        )
    )
    assert first == second
    assert len(first) == 9


CHANGED_IN_TURN = (
    r"^ +regexp_replace\((?:label|expression|person|man|child|tooth|mouse|dress|hat|cherry), "
)


def test_who_did_the_same_and_how_alike_stands_beside_every_row() -> None:
    one: Clicks = [(10, 10), (50, 50)]
    rows = [
        points("ann", one, "red hat", annotator="1", updated_at="2026-01-02"),
        points("ann before", [], "red hat", annotator="1", updated_at="2026-01-01"),
        points("ben", [(10, 15), (50, 60)], "The Red Hat", annotator="2"),  # 3.75 and 7.5 apart
        points("cat", [(14, 10)], "red hat", annotator="3"),
        points("alone", one, "blue hat", annotator="1"),
        points("unknown", one, "red hat", image="b", annotator="1"),
        points("unknown, too", one, "red hat", image="b", annotator="2"),
    ]
    found = candidates(connect("points", rows, [image("a", 640, 480)]), "points")
    said = {uid: (row["annotators"], row["agreement"]) for uid, row in found.items()}
    mean = pytest.approx((1 / 2 + 2 / 3 + 0) / 3)  # Cat is 4 from Ann, and 5.48 from Ben
    assert said == {
        **dict.fromkeys(("ann", "ann before", "ben", "cat"), (3, mean)),
        "alone": (1, None),
        **dict.fromkeys(("unknown", "unknown, too"), (2, None)),
    }


def merged(rows: list[Row], cache: Cache = NOTHING_KEPT, **values: float) -> Curated:
    """Rows of the images a and b, one left of those whom people agree on; no other step."""
    (merge,) = (step for step in recipe("points").steps if isinstance(step, MergeStep))
    merge = dataclasses.replace(merge, parameters={**merge.parameters, **values})
    steps = (*(s for s in recipe("points").steps if s.name in ("repeated", "same_points")), merge)
    connection = tables("points", rows, [image("a", 640, 480), image("b", 640, 480)])
    return curate(connection, dataclasses.replace(recipe("points"), steps=steps), cache=cache)


THREE = [
    points("ann", [(10, 10), (50, 50)], annotator="1", updated_at="2026-01-02"),
    points("ben", [(51, 50), (12, 14)], "The red cars", annotator="2", updated_at="2026-01-01"),
    points("cat", [(13, 12), (52, 56), (90, 90)], annotator="3", updated_at="2026-01-03"),
    points("alone", [(30, 31), (5, 5)], "blue cars", annotator="1"),
    points("nobody", [], "cows", annotator="1", updated_at="2026-01-01"),
    points("no one", [], "cows", annotator="2", updated_at="2026-01-02"),
]


def test_several_peoples_rows_become_one_that_names_them() -> None:
    found = merged(THREE)
    kept = {row["annotation_uid"]: row for row in found.kept.to_pylist()}
    assert kept.keys() == {"ben", "alone", "nobody"}
    ben = kept["ben"]  # was the first
    assert ben["points"] == [{"x": 12, "y": 12}, {"x": 51, "y": 50}]
    assert (ben["count"], ben["merged_from"]) == (2, ["ann", "ben", "cat"])
    assert (ben["label"], ben["raw_label"]) == ("red cars", "The red cars")
    assert (kept["nobody"]["count"], kept["nobody"]["merged_from"]) == (0, ["no one", "nobody"])
    alone = kept["alone"]
    assert (alone["points"][0], alone["merged_from"]) == ({"x": 30, "y": 31}, [])

    gone = {row["id"]: row for row in found.dropped.to_pylist()}
    made = candidates(connect("points", THREE), "points")
    ids = {uid: row["id"] for uid, row in made.items()}
    assert gone.keys() == {ids["ann"], ids["cat"], ids["no one"]}
    of_ann = gone[ids["ann"]]
    assert (of_ann["step"], of_ann["reason"]) == ("consensus", f"merged into row {ids['ben']}")
    assert json.loads(of_ann["evidence"]) == {
        "left_out": [
            {
                "annotation_uid": "cat",
                "point_index": 2,
                "reason": "only 1 of 3 annotators pointed there",
            }
        ]
    }
    assert found.funnel[-1].reasons == {"merged into row #": 3}


def test_where_people_point_at_other_places_their_rows_stay_as_they_are() -> None:
    rows = [points("ann", [(10, 10)], annotator="1"), points("ben", [(16, 10)], annotator="2")]
    found = merged(rows).kept.to_pylist()
    assert {row["annotation_uid"]: row["points"][0]["x"] for row in found} == {"ann": 10, "ben": 16}
    assert [row["merged_from"] for row in found] == [[], []]
    (one,) = merged(rows, within=6.0).kept.to_pylist()
    assert one["points"] == [{"x": 13, "y": 10}]
    (none,) = merged(rows, max_count_difference=1.0).kept.to_pylist()
    assert (none["points"], none["count"]) == ([], 0)


def test_what_is_merged_is_kept_under_all_that_decided_it(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    rows = [points("ann", [(10, 10)], annotator="1"), points("ben", [(14, 10)], annotator="2")]
    for within, places in [(4.0, [12]), (3.0, [10, 14]), (4.0, [12])]:
        found = merged(rows, cache, within=within).kept.to_pylist()
        assert sorted(row["points"][0]["x"] for row in found) == places


def test_the_row_that_is_left_has_the_flags_of_those_that_go() -> None:
    same: Clicks = [(10, 10), (20, 20), (30, 30), (40, 41)]
    rows = [
        points("ann", same, annotator="1", updated_at="2026-01-02"),
        points("ann again", same, image="b", annotator="1"),
        points("ben", same, annotator="2", updated_at="2026-01-01"),
    ]
    kept = {row["annotation_uid"]: row for row in merged(rows).kept.to_pylist()}
    assert {uid: row["flags"] for uid, row in kept.items()} == {
        "ben": ["same_points"],
        "ann again": ["same_points"],
    }
