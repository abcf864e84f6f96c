"""The steps on images that every recipe has: too small, and under which licence."""

from pathlib import Path

import pytest

from pixmo import schema
from pixmo.curate.curate import Curation
from pixmo.curate.recipe import load
from pixmo.curate.step_kinds import SqlStep
from pixmo.hashing import sha256_bytes
from pixmo.workspace.workspace import Workspace
from tests import workspaces
from tests.planted_rows import Verdict, answer, connect, image, judged, points
from tests.workspaces import Planter

MAKE = {
    "ama": lambda name: answer(name, "What is this?", "A red car.", image=name),
    "points": lambda name: points(name, [(1, 1)], image=name),
}

SIZES = {
    "icon": (32, 32),
    "narrow": (640, 63),
    "low": (63, 640),
    "least": (64, 64),
    "photo": (640, 480),
}
LICENSES = {
    "free": "CC-BY-4.0",
    "spelled small": "cc0-1.0",
    "not commercial": "CC-BY-NC-4.0",
    "longer": "CC-BY-4.0-AT",
    "two": "CC-BY-4.0 CC0-1.0",
    "unknown": None,
}


@pytest.mark.parametrize("stem", MAKE)
def test_images_too_small_on_either_side(stem: str) -> None:
    connection = connect(
        stem, [MAKE[stem](name) for name in SIZES], [image(name, *SIZES[name]) for name in SIZES]
    )
    found = judged(connection, stem, "too_small")
    assert found.keys() == {"icon", "narrow", "low"}
    reason = "image is only 640 × 63 pixels"
    assert found["narrow"] == Verdict(reason, {"width": 640, "height": 63})


@pytest.mark.parametrize("stem", MAKE)
@pytest.mark.parametrize("accept_unknown", [True, False])
def test_images_under_other_licences(stem: str, accept_unknown: bool) -> None:
    pictures = [image(name, license=license) for name, license in LICENSES.items()]
    connection = connect(stem, [MAKE[stem](name) for name in LICENSES], pictures)
    found = judged(connection, stem, "license", accept_unknown=accept_unknown)
    refused = {"not commercial", "longer", "two"}
    assert found.keys() == (refused if accept_unknown else refused | {"unknown"})
    reason = "image is under CC-BY-NC-4.0"
    assert found["not commercial"] == Verdict(reason, {"license": "CC-BY-NC-4.0"})
    if not accept_unknown:
        assert found["unknown"] == Verdict("licence of the image is not known", {"license": None})


def test_images_on_which_a_second_person_agreed() -> None:
    rows = [
        points("1", [(1, 1)], "Red cars ", "agreed", "ann"),
        points("2", [(90, 90)], "red cars", "agreed", "ben"),
        points("3", [], "dogs", "both saw none", "ann"),
        points("4", [], "dogs", "both saw none", "ben"),
        points("5", [(1, 1)], "dogs", "other counts", "ann"),
        points("6", [(1, 1), (5, 5)], "dogs", "other counts", "ben"),
        points("7", [(1, 1)], "dogs", "other things", "ann"),
        points("8", [(1, 1)], "cats", "other things", "ben"),
        points("9", [(1, 1)], "dogs", "one person", "ann"),
        points("10", [(1, 1)], "dogs", "one person", "ann"),
        points("11", [(1, 1)], "The red cars.", "tidied", "ann"),
        points("12", [(1, 1)], "red cars", "tidied", "ben"),
        points("13", [(1, 1)], "???", "no words", "ann"),
        points("14", [(1, 1)], "!", "no words", "ben"),
        points("15", [(1, 1)], "C++", "marks", "ann"),
        points("16", [(1, 1)], "C#", "marks", "ben"),
        points("17", [(1, 1)], "dogs", "nobody known", "unknown"),
        points("18", [(1, 1)], "dogs", "nobody known", "ben"),
        points("19", [], "dogs", "unfinished", "ann", presence="present"),
        points("20", [], "dogs", "unfinished", "ben", presence="present"),
    ]
    work = Curation(connect("points", rows), load("points"))
    agreed = {sha256_bytes(name.encode()) for name in ("agreed", "both saw none", "tidied")}
    assert set(work.agreed()) == agreed


def test_images_whose_caption_a_reviewer_accepted(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path))
    for number, name in enumerate(("accept", "reject", "not reviewed")):
        planter.image(f"{name}.png", workspaces.picture(number))
        caption = planter.caption(f"{name}.png", workspaces.prose(number))
        if name != "not reviewed":
            planter.review(name, f"{name}.png", caption, "", verdict=name)
    for number, verdicts in enumerate((("accept", "reject"), ("reject", "accept")), 3):
        image = f"{' then '.join(verdicts)}.png"
        planter.image(image, workspaces.picture(number))
        caption = planter.caption(image, workspaces.prose(number))
        for month, verdict in enumerate(verdicts, 1):
            when = f"2026-0{month}-01T00:00:00.000000Z"
            planter.review(f"{image} {month}", image, caption, "", verdict=verdict, when=when)
    with planter.write().connect() as connection:
        expected = {planter.sha256[name] for name in ("accept.png", "reject then accept.png")}
        assert set(Curation(connection, load("cap")).agreed()) == expected
        # The newest counts for the row, too.
        curation = Curation(connection, load("cap"))
        curation.begin()
        found = connection.execute("select image_sha256, review_verdict from cap").fetchall()
        accepted = {image for image, verdict in found if verdict == "accept"}
        assert accepted == expected


def test_every_recipe_says_the_same_of_images() -> None:
    of_recipes = [
        {s.name: s.parameters for s in load(stem).steps if isinstance(s, SqlStep)}
        for stem in schema.stems()
    ]
    for name in ("too_small", "license"):
        assert {str(steps[name]) for steps in of_recipes} == {str(of_recipes[0][name])}
