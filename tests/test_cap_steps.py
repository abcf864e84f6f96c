"""The recipe of cap as a whole: its steps in their order, and what its comments say."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pixmo import schema
from pixmo.curate.curate import Curated, curate
from pixmo.curate.recipe import load
from pixmo.curate.step_kinds import SqlStep
from pixmo.hashing import sha256_bytes, sha256_file
from pixmo.images.store import add_images
from pixmo.workspace.workspace import Workspace
from tests import planted_rows, test_cap_sound_steps, test_cap_text_steps, workspaces
from tests.planted_captions import (
    OTHER,
    TEXT,
    UNSPACED,
    Described,
    Picture,
    Said,
    candidates,
    described,
    long_text,
    plant,
    spoken,
    tell,
)
from tests.workspaces import Planter

ELSEWHERE = ("image_unknown", "stale", "rejected")  # below, and in tests/test_curate.py


def test_every_step_is_planted() -> None:
    own = {
        step.name
        for step in load("cap").steps
        if isinstance(step, SqlStep) and step.query.path.parent.name == "cap"
    }
    assert own == {*test_cap_sound_steps.PLANTED, *test_cap_text_steps.PLANTED, *ELSEWHERE}


def test_a_text_without_spaces_is_judged_by_its_language_only() -> None:
    """No step counts its words, which it does not show."""
    images = [described(name, spoken(text)) for name, text in UNSPACED.items()]
    with candidates(images) as planted:
        judged = (*test_cap_sound_steps.PLANTED, *test_cap_text_steps.PLANTED)
        found = {name: set(planted.judged(name)) for name in judged}
        assert planted.judged("language", language="en", min_common_words=0) == {}
    assert {name for name, images in found.items() if images} == {"language"}


# What a transcript's column is of the caption, and whether its most or its least is the worst.
WORST = {
    "words_over_silence_share": ("words_over_silence_share", max),
    "repeated_share": ("repeated_share", max),
    "compression_ratio": ("compression_ratio", max),
    "language_prob": ("language_prob", min),
    "avg_logprob": ("avg_logprob", min),
    "highest_temperature": ("highest_temperature", max),
    "no_speech_prob": ("no_speech_prob", max),
    "overlap_disagreement": ("overlap_disagreement", max),
    "clipped_share": ("clipped_share", max),
    "rms_dbfs": ("rms_dbfs", min),
    "duration_seconds": ("longest_seconds", max),  # here the best one counts
}


def test_a_caption_is_as_bad_as_the_worst_of_its_transcripts() -> None:
    """In whichever order they come, and whatever is in those that it leaves out."""
    more, less = dict.fromkeys(WORST, 0.6), dict.fromkeys(WORST, 0.5)
    unused = {name: 0.9 if worst is max else 0.1 for name, (_, worst) in WORST.items()}
    silent = spoken(speech_seconds=0.4, **unused)
    heard = {name: spoken(**values) for name, values in (("more", more), ("less", less))}
    images = [
        described("more, less", heard["more"], heard["less"], silent),
        described("less, more", silent, heard["less"], heard["more"]),
    ]
    with candidates(images) as planted:
        columns = [column for column, _ in WORST.values()]
        rows = planted.connection.execute(f"select {', '.join(columns)} from cap").fetchall()
    assert rows == [tuple(worst(0.6, 0.5) for _, worst in WORST.values())] * 2


def test_a_caption_whose_recording_was_replaced_is_stale(tmp_path: Path) -> None:
    """It has no transcript left, and is dropped with a reason all the same."""
    workspace = Workspace.init(tmp_path)
    images = [described("replaced"), described("kept")]
    names = plant(workspace, images)
    workspace.append("images", [picture(image.name, place) for place, image in enumerate(images)])
    for name in ("recording replaced 0", "newer"):
        workspace.append("recordings", [recording(name, "audio/replaced.webm")])
    with workspace.connect() as connection:
        result = curate(connection, load("cap"))
        (row,) = result.dropped.to_pylist()
        assert (names[row["id"]], row["step"]) == ("replaced", "stale")
        assert row["reason"] == "its recordings were replaced, or are linked to another image now"
        assert [names[row["id"]] for row in result.kept.to_pylist()] == ["kept"]
        found = connection.execute(
            "select transcripts, annotators, duration_seconds from cap_candidates where id = $id",
            {"id": row["id"]},
        )
        assert found.fetchall() == [([], [], 0)]


def recording(name: str, path: str) -> dict[str, Any]:
    """The row of a recording about the image `replaced`."""
    return {
        "recording_sha256": sha256_bytes(name.encode()),
        "path": path,
        "image_sha256": sha256_bytes(b"replaced"),
        "annotator": "ann",
        "prompt": None,
        "recorded_at": None,
        "bytes": 1,
        "ordinal": 0,
    }


def test_a_row_on_an_image_set_aside_says_why(tmp_path: Path) -> None:
    """In every subset, and that another was never added."""
    (tmp_path / "photos").mkdir()
    planter = Planter(Workspace.init(tmp_path))
    for name, picture in {"good": workspaces.picture(0), "broken": workspaces.picture(1)}.items():
        picture.save(tmp_path / f"photos/{name}.png")
    broken = tmp_path / "photos/broken.png"
    broken.write_bytes(broken.read_bytes()[:2000])
    add_images(planter.workspace, tmp_path / "photos", workers=1)
    planter.sha256["broken"] = sha256_file(broken)
    for image in ("broken", "nowhere"):
        planter.caption(image, workspaces.prose(1))
        planter.points(image, image, [(1, 1)])
        planter.answer(f"{image} too", image, "What is this?", "A car.")
    planter.write()
    for stem in schema.stems():
        with planter.workspace.connect() as connection:
            dropped = curate(connection, load(stem)).dropped.to_pylist()
        assert {row["step"] for row in dropped} == {"image_unknown"}
        found = {row["reason"]: json.loads(row["evidence"]) for row in dropped}
        assert found.keys() == {
            "image was set aside: damaged image",
            "image is not in the workspace",
        }
        assert found["image was set aside: damaged image"]["path"] == "photos/broken.png"


def fluently(number: int) -> str:
    """A text without a stammer, of a picture of its own."""
    rng = Random(number)
    return tell(Picture.of(rng), rng, 150, 0)


def told(number: int, **values: Any) -> Said:
    """A good transcript of that picture."""
    return spoken(fluently(number), f"speaker {number}", **values)


def mixed() -> Iterator[tuple[Described, str, list[str]]]:
    """Images with the step that is to drop each, or the flags of those that stay."""
    for number in range(8):
        yield described(f"good {number}", told(number)), "", []
    typed = Said(fluently(8), "writer", is_spoken=False)
    yield described("both", told(8), typed, caption=fluently(8)), "", []
    yield described("cough", told(9, speech_seconds=0.5)), "no_speech", []
    yield described("brief", told(10, duration_seconds=30.0)), "recording_too_short", []
    yield described("waits", told(11, speech_seconds=20.0)), "mostly_silent", []
    yield described("terse", told(12), caption=long_text(40)), "too_short", []
    yield described("endless", told(13), caption=long_text(1300)), "too_long", []
    yield described("credits", told(14, stock_phrases=["please subscribe"])), "stock_phrase", []
    yield described("invented", told(15, words_over_silence_share=0.5)), "over_silence", []
    yield described("loop", told(16, repeated_share=0.6)), "looped", []
    yield described("lost windows", told(17, words_per_minute=60.0)), "pace", []
    yield described("guess", told(18, avg_logprob=-1.4)), "guessed", []
    yield described("dutch", told(19, language_prob=0.1)), "language", []
    yield described("assistant", told(20), caption=f"**Scene** {told(20).text}"), "pasted", []
    stammered = told(21).text.replace(". ", ". Um, uh, ")
    yield described("stammer", told(21), caption=stammered), "disfluent", []
    three = {"unsupported": ["three dogs"], "unsupported_share": 0.01}
    yield described("miscount", told(22), values=three), "unheard_number", []
    yield described("made up", told(23), values={"unsupported_share": 0.4}), "unheard", []
    yield described("forgot", told(24), values={"lost_share": 0.5}), "lost", []
    two = spoken(TEXT, "one"), spoken(OTHER, "another")
    yield described("two images", *two, caption=fluently(25)), "disagreeing", []
    for number in range(30, 35):
        text = f"{told(number).text[:200]} so it is. {TEXT}"
        yield described(f"lazy {number}", spoken(text, "lazy")), "boilerplate", []
    yield described("parrot", told(7)), "near_duplicate_text", []
    yield described("faint", told(40, rms_dbfs=-60.0, noise_dbfs=-90.0)), "", ["poor_sound"]
    both = ["poor_sound", "heard_unlike"]
    unlike = {"overlap_disagreement": 0.9, "clipped_share": 0.1}
    yield described("unlike", told(41, **unlike)), "", both
    counted = [replace(told(42), text=f"{told(42).text} {n} zebras.") for n in ("Two", "Five")]
    yield described("zebras", *counted, caption=told(42).text), "", ["counts_disagree"]
    for number in range(50, 60):
        begin = ("In this image", "The main", "On the", "Behind it", "The colours", "It was")
        told_so = fluently(number).split(". ")
        said = [f"{words} {told_so[place]}" for place, words in enumerate(begin)]
        patterned = spoken(f"{'. '.join(said)}. {told(number + 20).text}", "pat")
        yield described(f"pattern {number}", patterned), "", ["template"]
    yield described("reader", spoken(fluently(90), longest_silence_seconds=0.7)), "", ["reading"]
    accepted = told(91, language_prob=0.1, avg_logprob=-2.0, words_per_minute=20.0)
    yield described("accepted", accepted, verdict="accept"), "", []
    yield described("rejected", told(92), verdict="reject"), "rejected", []


@pytest.fixture(scope="module")
def curated(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[dict[str, str], Curated]]:
    """The whole recipe over `mixed`, and the images' names by the rows' ids."""
    workspace = Workspace.init(tmp_path_factory.mktemp("mixed"))
    images = [image for image, _, _ in mixed()]
    names = plant(workspace, images)
    workspace.append("images", [picture(image.name, place) for place, image in enumerate(images)])
    with workspace.connect() as connection:
        yield names, curate(connection, load("cap"))


def picture(name: str, ordinal: int) -> dict[str, Any]:
    """The row of an image that looks like no other."""
    print_of = Random(name)
    hashes = {f"phash_{bits}": f"{print_of.getrandbits(bits):0{bits // 4}x}" for bits in (64, 256)}
    return {**planted_rows.image(name), **hashes, "ordinal": ordinal}


def test_the_recipe_drops_exactly_the_planted_rows_each_by_its_step(
    curated: tuple[dict[str, str], Curated],
) -> None:
    names, result = curated
    rows = result.dropped.to_pylist()
    expected = {image.name: step for image, step, _ in mixed() if step}
    assert {names[row["id"]]: row["step"] for row in rows} == expected
    for row in rows:
        assert row["reason"]
        assert isinstance(json.loads(row["evidence"]), dict)


def test_signals_flag_rows_that_stay(curated: tuple[dict[str, str], Curated]) -> None:
    names, result = curated
    found = {names[row["id"]]: row["flags"] for row in result.kept.to_pylist()}
    assert found == {image.name: flags for image, step, flags in mixed() if not step}
