"""Rows that meet held-out evaluation data are named with what they hit, and no other."""

import dataclasses
import io
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from pixmo import schema
from pixmo.curate.curate import curate
from pixmo.curate.decontaminate import (
    UNKNOWN,
    HeldOutPictures,
    image_hits,
    picture_hits,
    read_pictures,
    text_hits,
)
from pixmo.curate.duplicates import Likeness, parse_hashes
from pixmo.curate.duplicates import read_pictures as read_own
from pixmo.curate.recipe import load, load_step
from pixmo.curate.step_kinds import HeldOutImagesStep, HeldOutTextsStep
from pixmo.errors import RecipeError
from pixmo.images.held_out import hold_out
from pixmo.release.build import build_release
from pixmo.text import normalise
from pixmo.workspace.workspace import Workspace
from tests import workspaces
from tests.benchmarks.look_alikes import KINDS, cropped, encoded, resized
from tests.test_duplicates import clumped_pictures, make_pictures
from tests.workspaces import Planter, picture, prose

LIKENESS = Likeness(10, 48)
QUESTION = "According to the second chart which of the four countries exported most coal in 1974?"


def connect(
    questions: Sequence[tuple[str, str, str]] = (), rows: Mapping[str, str | None] | None = None
) -> duckdb.DuckDBPyConnection:
    """Held-out questions, and rows `asked` of an id and a text."""
    connection = duckdb.connect(config={"threads": 1})
    names = ("source", "key", "question")
    held_out = [dict(zip(names, question, strict=True)) for question in questions]
    for name, given_rows in (("held_out_questions", held_out), ("held_out_images", [])):
        connection.register("given", schema.table(name).table(given_rows))
        connection.execute(f"create table {name} as from given")
        connection.unregister("given")
    asked = {"id": list(rows or {}), "text": list((rows or {}).values())}
    connection.register("asked", pa.table(asked, pa.schema([(n, pa.string()) for n in asked])))
    return connection


def texts(
    questions: Sequence[tuple[str, str, str]],
    rows: Mapping[str, str | None],
    gram_words: int = 8,
    min_share: float = 0.7,
    min_words: int = 8,
) -> dict[str, tuple[str, str, float]]:
    """By id, what `text_hits` says of rows."""
    connection = connect(questions, rows)
    found = text_hits(connection, "asked", "text", gram_words, min_share, min_words).to_pylist()
    assert len({hit["id"] for hit in found}) == len(found)
    return {hit["id"]: (hit["source"], hit["key"], round(hit["share"], 4)) for hit in found}


# --- questions ---------------------------------------------------------------------------------


def test_a_row_hits_a_question_from_the_share_of_its_runs_on() -> None:
    words = QUESTION.split()  # 15 words, so 8 runs of 8
    hits = texts(
        [("chartqa", "5", QUESTION)],
        {
            "same": QUESTION,
            "written otherwise": " ".join(words).upper().replace(" ", "  - "),
            "within more": f"Look closely at this. {QUESTION} Explain it.",
            "six of eight": " ".join([*words[:13], "gold", "lately"]),
            "five of eight": " ".join([*words[:12], "some", "gold", "lately"]),
            "one word in the middle": " ".join([*words[:7], "five", *words[8:]]),
            "another": "What is the person on the left of the red car holding?",
            "empty": "",
            "none": None,
        },
    )
    whole = ("chartqa", "5", 1.0)
    assert hits == {
        "same": whole,
        "written otherwise": whole,
        "within more": whole,
        "six of eight": ("chartqa", "5", 0.75),
    }


def test_a_short_question_is_looked_for_whole_and_only_if_asked_for() -> None:
    held_out = [("vqa", "1", "What color is it?"), ("vqa", "2", "Why?")]
    rows = {
        "same": "what colour is it",
        "equal": "What color is it",
        "more": "What color is it now?",
    }
    assert texts(held_out, rows) == {}
    assert texts(held_out, rows, min_words=4) == {"equal": ("vqa", "1", 1.0)}
    assert texts(held_out, {"same": "Why"}, min_words=2) == {}
    assert texts(held_out, {"same": "Why"}, min_words=1) == {"same": ("vqa", "2", 1.0)}
    exact = "one two three four five six seven eight"
    assert texts([("s", "k", exact)], {"a": f"{exact} nine"}) == {"a": ("s", "k", 1.0)}


def test_of_several_questions_the_one_held_most_counts_then_the_first() -> None:
    words = prose(3, 20).split()
    part, whole = " ".join([*words[:12], "other", "words"]), " ".join(words)
    held_out = [("b", "2", whole), ("b", "1", part), ("a", "9", whole)]
    assert texts(held_out, {"row": whole}) == {"row": ("a", "9", 1.0)}
    assert texts(held_out[:2], {"row": whole}) == {"row": ("b", "2", 1.0)}
    assert texts(held_out[1:2], {"row": whole}) == {"row": ("b", "1", round(5 / 7, 4))}


def held_slowly(
    questions: list[str], text: str, gram_words: int, min_share: float, min_words: int
) -> tuple[str, float] | None:
    """The number of the question that a text holds most, and how much of it."""

    def runs(text: str) -> set[tuple[str, ...]]:
        words = normalise(text).split()
        count = max(len(words) - gram_words + 1, 1)
        return {tuple(words[i : i + gram_words]) for i in range(count)}

    shares = {
        str(number).zfill(3): len(runs(question) & runs(text)) / len(runs(question))
        for number, question in enumerate(questions)
        if len(question.split()) >= min_words
    }
    best = max(shares.items(), key=lambda item: (item[1], -int(item[0])), default=("", 0.0))
    return best if best[1] >= min_share else None


PHRASES = st.lists(st.sampled_from("abc"), max_size=9).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(PHRASES, max_size=8),
    st.lists(PHRASES, max_size=6),
    st.integers(1, 4),
    st.sampled_from([0.1, 0.5, 0.7, 1.0]),
    st.integers(1, 4),
)
def test_texts_hit_what_comparing_all_finds(
    questions: list[str], rows: list[str], gram_words: int, min_share: float, min_words: int
) -> None:
    held_out = [("s", str(number).zfill(3), text) for number, text in enumerate(questions)]
    asked = {str(number): text for number, text in enumerate(rows)}
    slow = {
        id: held_slowly(questions, text, gram_words, min_share, min_words)
        for id, text in asked.items()
    }
    assert texts(held_out, asked, gram_words, min_share, min_words) == {
        id: ("s", best[0], round(best[1], 4)) for id, best in slow.items() if best
    }


# --- hashes ------------------------------------------------------------------------------------


def hits_slowly(
    own: tuple[int, int], held_out: list[tuple[int, int | None, int]], likeness: Likeness
) -> tuple[int, int | None, int, int] | None:
    """The nearest: distance, distance of 256 bits, mirrored or not, and its number."""
    found = []
    for number, (short, long, mirrored) in enumerate(held_out):
        distance = (own[0] ^ short).bit_count()
        wide = UNKNOWN if long is None else (own[1] ^ long).bit_count()
        if distance <= likeness.max_distance and (
            long is None or wide <= likeness.max_distance_256
        ):
            found.append((distance, wide, mirrored, number))
    best = min(found, default=None)
    return best and (best[0], None if best[1] == UNKNOWN else best[1], *best[2:])


@settings(max_examples=100, deadline=None)
@given(clumped_pictures(), st.data(), st.integers(0, 8), st.integers(0, 12))
def test_pictures_hit_what_comparing_all_finds(
    hashes: list[tuple[int, int]], data: st.DataObject, most: int, most_256: int
) -> None:
    one_more = st.tuples(st.sampled_from(hashes), st.booleans(), st.integers(0, 1))
    drawn = data.draw(st.lists(one_more, max_size=6))
    held_out = [(short, long if has else None, flip) for (short, long), has, flip in drawn]
    own = data.draw(st.lists(st.sampled_from(hashes), max_size=6))
    likeness = Likeness(most, most_256)
    found = picture_hits(
        make_pictures(own),
        HeldOutPictures(
            ["s"] * len(held_out),
            [str(number) for number in range(len(held_out))],
            parse_hashes([f"{short:016x}{long or 0:064x}" for short, long, _ in held_out]),
            np.array([flip for _, _, flip in held_out], np.int64),
            np.array([long is not None for _, long, _ in held_out], np.int64),
        ),
        likeness,
    )
    slow = {str(i): hits_slowly(pair, held_out, likeness) for i, pair in enumerate(own)}
    kinds = ("same picture", "mirrored picture")
    assert {
        hit["image_sha256"]: (
            hit["distance"],
            hit["distance_256"],
            kinds.index(str(hit["kind"])),
            int(str(hit["key"])),
        )
        for hit in found
    } == {name: best for name, best in slow.items() if best}


# --- pictures ----------------------------------------------------------------------------------

FEW = 6  # of each kind
mirrored: Callable[[Image.Image], Image.Image] = ImageOps.mirror
WAYS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as it is": lambda image: image,
    "encoded again": encoded("JPEG", 50),
    "smaller": resized(0.5),
    "mirrored": mirrored,
    "mirrored and smaller": lambda image: resized(0.5)(mirrored(image)),
    "cropped": cropped(0.01, 0.01, 0.01, 0.01),
    "mirrored and cropped": lambda image: cropped(0.01, 0.01, 0.01, 0.01)(mirrored(image)),
}
LOOK_ALIKES = ("bar charts", "pages of text", "like photographs", "drawn scenes")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """Changed copies of held-out pictures, and distinct ones of the same kinds."""
    root = tmp_path_factory.mktemp("decontaminate")
    planter = Planter(Workspace.init(root / "world"))
    (root / "exam").mkdir()
    for kind in LOOK_ALIKES:
        for number in range(FEW):
            held_out, other = KINDS[kind](number), KINDS[kind](1000 + number)
            held_out.save(root / "exam" / f"{kind} {number}.png")
            planter.image(f"other {kind} {number}.png", other)
            way = list(WAYS)[1:][number]
            planter.image(f"{way} {kind} {number}.png", WAYS[way](held_out))
    held_out.save(root / "exam/last.png")
    planter.image("as it is last.png", held_out)
    workspace = planter.write()
    hold_out(workspace, str(root / "exam"))
    with workspace.connect() as connection:
        yield connection


def test_changed_and_mirrored_copies_are_hit_and_distinct_pictures_of_their_kind_are_not(
    world: duckdb.DuckDBPyConnection,
) -> None:
    hits = image_hits(world, "images", read_own(world), LIKENESS).to_pylist()
    names = dict(world.execute("select image_sha256, path from images").fetchall())
    found = {Path(names[hit["image_sha256"]]).stem: hit for hit in hits}
    for kind, (number, way) in itertools.product(LOOK_ALIKES, enumerate(list(WAYS)[1:])):
        hit = found.pop(f"{way} {kind} {number}")
        expected = "mirrored picture" if way.startswith("mirrored") else "same picture"
        key = {f"{kind} {number}.png"} | ({"last.png"} if number == FEW - 1 else set())
        assert (hit["kind"], hit["source"]) == (expected, "exam")
        assert hit["key"] in key
        assert hit["distance"] <= LIKENESS.max_distance
        assert hit["distance_256"] <= LIKENESS.max_distance_256
    # The last one is there twice, under two names; the first of them counts.
    last = found.pop("as it is last")
    assert [last[name] for name in ("kind", "key", "distance", "distance_256")] == [
        "same bytes",
        f"{LOOK_ALIKES[-1]} {FEW - 1}.png",
        0,
        0,
    ]
    assert found == {}


def test_a_mirrored_copy_is_only_found_by_the_mirrored_hash(
    world: duckdb.DuckDBPyConnection,
) -> None:
    looks = read_pictures(world)
    upright = np.flatnonzero(looks.is_mirrored == 0)
    only = HeldOutPictures(
        [looks.source[i] for i in upright],
        [looks.key[i] for i in upright],
        looks.hashes[upright],
        looks.is_mirrored[upright],
        looks.has_256[upright],
    )
    found = {str(hit["image_sha256"]) for hit in picture_hits(read_own(world), only, LIKENESS)}
    names = dict(world.execute("select image_sha256, path from images").fetchall())
    assert found
    assert not [names[sha256] for sha256 in found if "mirrored" in names[sha256]]


# --- recipes and releases ----------------------------------------------------------------------


@pytest.fixture
def planted(tmp_path: Path) -> tuple[Workspace, Planter]:
    return workspaces.make(tmp_path / "world")


def dropped(workspace: Workspace, stem: str) -> list[dict[str, Any]]:
    """The rows that a held-out step dropped."""
    with workspace.connect() as connection:
        rows = curate(connection, load(stem, workspace.recipes)).dropped.to_pylist()
    return [row for row in rows if row["step"].startswith("held_out")]


def test_without_held_out_data_nothing_is_named(planted: tuple[Workspace, Planter]) -> None:
    assert [dropped(planted[0], stem) for stem in schema.stems()] == [[], [], []]


def test_recipes_drop_what_is_held_out_with_what_it_hit(
    planted: tuple[Workspace, Planter], tmp_path: Path
) -> None:
    workspace, planter = planted
    planter.answer("qa-leak", workspaces.name(9), f"Well: {QUESTION}", "It is Chile.")
    planter.write()
    data = io.BytesIO()
    picture(4).save(data, "JPEG", quality=60)
    (tmp_path / "exam").mkdir()
    (tmp_path / "exam/p.jpg").write_bytes(data.getvalue())
    mirrored(picture(5)).save(tmp_path / "exam/q.png")
    (tmp_path / "asked.txt").write_text(f"Is it?\n{QUESTION}\n", "utf-8")
    (tmp_path / "known.txt").write_text(planter.sha256[workspaces.name(6)], "utf-8")
    for source in ("exam", "asked.txt", "known.txt"):
        hold_out(workspace, str(tmp_path / source))
    names = {sha256: name for name, sha256 in planter.sha256.items()}
    rows = dropped(workspace, "cap")
    found = {names[row["image_sha256"]]: row for row in rows}
    assert {name: row["reason"] for name, row in found.items()} == {
        workspaces.name(4): "same picture as an image of exam",
        workspaces.name(5): "mirrored picture as an image of exam",
        workspaces.name(6): "same bytes as an image of known.txt",
    }
    evidence = json.loads(found[workspaces.name(5)]["evidence"])
    assert {**evidence, "distance": 0, "distance_256": 0} == {
        "source": "exam",
        "key": "q.png",
        "kind": "mirrored picture",
        "distance": 0,
        "distance_256": 0,
    }
    (leak,) = (row for row in dropped(workspace, "ama") if row["step"] == "held_out_text")
    assert leak["reason"] == "holds a question of asked.txt"
    assert json.loads(leak["evidence"]) == {"source": "asked.txt", "key": "2", "share": 1.0}
    points = {names[row["image_sha256"]] for row in dropped(workspace, "points")}
    assert points == set(found)

    release = build_release(workspace, "v1")
    card = (release / "README.md").read_text("utf-8")
    assert "| asked.txt | 0 | 2 |\n| exam | 2 | 0 |\n| known.txt | 1 | 0 |" in card
    assert "- pixmo-cap was compared with the images." in card
    assert "- pixmo-ask-model-anything was compared with the images and questions." in card
    assert "same bytes as an image of known.txt (1)" in card


def test_a_card_says_that_nothing_was_held_out(planted: tuple[Workspace, Planter]) -> None:
    card = (build_release(planted[0], "v1") / "README.md").read_text("utf-8")
    assert "This version was not decontaminated" in card


def test_a_flag_lists_hits_and_keeps_the_rows(
    planted: tuple[Workspace, Planter], tmp_path: Path
) -> None:
    workspace, planter = planted
    text = load("cap").path.read_text("utf-8")
    workspace.recipes.mkdir()
    (workspace.recipes / "cap.toml").write_text(
        text.replace('decontaminate = "image"', 'decontaminate = "image"\nthen = "flag"'), "utf-8"
    )
    (tmp_path / "known.txt").write_text(planter.sha256[workspaces.name(6)], "utf-8")
    hold_out(workspace, str(tmp_path / "known.txt"))
    with workspace.connect() as connection:
        kept = curate(connection, load("cap", workspace.recipes)).kept.to_pylist()
    flags = {row["image_sha256"]: row["flags"] for row in kept}
    assert flags.pop(planter.sha256[workspaces.name(6)]) == ["held_out_image"]
    assert set(map(tuple, flags.values())) == {()}


def test_steps_are_read_with_their_values(tmp_path: Path) -> None:
    image, text = (step for step in load("ama").steps if step.name.startswith("held_out"))
    assert image == HeldOutImagesStep(Likeness(10, 48))
    assert text == HeldOutTextsStep("question", 8, 0.7, 8)
    assert image.values == {"max_distance": 10, "max_distance_256": 48}
    assert text.values == {
        "column": "question",
        "gram_words": 8,
        "min_share": 0.7,
        "min_words": 8,
    }
    for stem in ("cap", "points"):
        assert image in load(stem).steps
    assert image.identity != dataclasses.replace(image, likeness=Likeness(10, 49)).identity
    for changed in ({"gram_words": 7}, {"min_share": 0.5}, {"min_words": 9}, {"column": "answer"}):
        assert dataclasses.replace(text, **changed).identity != text.identity
    for wrong, says in (
        ({"min_share": 0.0}, "min_share = 0.0 is not above 0"),
        ({"min_words": 0}, "min_words = 0 is not 1 or more"),
        ({"gram_words": 14}, "gram_words = 14 is not in 1 to 13"),
        ({"within": "id"}, "decontaminate key within is unknown"),
    ):
        with pytest.raises(RecipeError, match=says):
            load_step("ama", "held_out_text", wrong)
    with pytest.raises(RecipeError, match="max_distance = 17 is not in 0 to 16"):
        load_step("ama", "held_out_image", {"max_distance": 17})
    with pytest.raises(RecipeError, match="decontaminate = 'sound'; known are image, text"):
        load_step("ama", "held_out_image", {"decontaminate": "sound"})


def test_a_column_that_rows_do_not_have_is_said(planted: tuple[Workspace, Planter]) -> None:
    workspace, _ = planted
    workspace.recipes.mkdir()
    text = load("ama").path.read_text("utf-8")
    (workspace.recipes / "ama.toml").write_text(
        text.replace('column = "question"', 'column = "asked"'), "utf-8"
    )
    with (
        workspace.connect() as connection,
        pytest.raises(RecipeError, match=r"decontaminate of ama: .* no column asked"),
    ):
        curate(connection, load("ama", workspace.recipes))
