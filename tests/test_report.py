"""The report is one page that asks nobody for anything, and says what the rows say."""

import base64
import hashlib
import io
import re
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from pixmo import schema
from pixmo.dataset.reader import Release
from pixmo.evaluate.statistics import Mean
from pixmo.hashing import sha256_file
from pixmo.release.annotators import AnnotatorRows
from pixmo.release.build import build_release
from pixmo.release.changes import details
from pixmo.release.diff import diff
from pixmo.release.difference import NEW, Figure, SubsetDifference
from pixmo.release.voices import MOST_VOICES, small
from pixmo.release.withdraw import Request, withdraw
from pixmo.resources import shared
from pixmo.speech.audio import SAMPLE_RATE, decode
from pixmo.validate.release_report import write_copy
from pixmo.validate.verdict import FAIL, PASS, Gate, Skill, SubsetVerdict, Verdict
from pixmo.workspace.workspace import Workspace
from tests import two_releases, workspaces
from tests.browsers import browser
from tests.conftest import run_pixmo
from tests.sounds import sweep, write_sound
from tests.workspaces import Planter

SPOKEN = 6  # images with a recording whose file is there
SECONDS = 3.0


def make(root: Path, settings: str = "") -> Planter:
    """The small workspace, some of whose recordings have a file."""
    root.mkdir(exist_ok=True)
    (root / "pixmo.toml").write_text(settings, "utf-8")
    planter = Planter(Workspace.open(root))
    workspaces.plant_images(planter)
    workspaces.plant_captions(planter)
    workspaces.plant_points(planter)
    workspaces.plant_answers(planter)
    spoken = [row for row in planter.rows["transcripts"] if row["recording_sha256"]]
    (root / "audio").mkdir()
    for number, row in enumerate(spoken[:SPOKEN]):
        path = write_sound(root / "audio" / f"{number}.wav", sweep(SECONDS + number / 10, 48_000))
        row["recording_sha256"] = sha256_file(path)
        planter.row(
            "recordings",
            recording_sha256=row["recording_sha256"],
            path=f"audio/{path.name}",
            image_sha256=row["image_sha256"],
            annotator="ann",
            prompt=None,
            recorded_at=None,
            bytes=path.stat().st_size,
            ordinal=number,
        )
    planter.write()
    return planter


@pytest.fixture(scope="module")
def planter(tmp_path_factory: pytest.TempPathFactory) -> Planter:
    return make(tmp_path_factory.mktemp("world"), "[release]\naudio = true\n")


@pytest.fixture(scope="module")
def release(planter: Planter) -> Path:
    return build_release(planter.workspace, "v1")


def page_of(release: Path) -> str:
    return (release / "report.html").read_text("utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
def test_a_browser_shows_it_and_asks_nobody(release: Path, scheme: str, width: int) -> None:
    with browser() as chrome:
        context = chrome.new_context(
            viewport={"width": width, "height": 800},
            color_scheme=scheme,  # type: ignore[arg-type]
        )
        page = context.new_page()
        asked: list[str] = []
        wrong: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto((release / "report.html").as_uri())
        for sound in page.locator("audio").all():
            sound.evaluate(
                "audio => new Promise(ok => audio.readyState ? ok() :"
                " audio.addEventListener('loadedmetadata', ok))"
            )
            assert sound.evaluate("audio => audio.duration") == pytest.approx(SECONDS, abs=0.6)
        for picture in page.locator("img").all():
            assert picture.evaluate("image => image.naturalWidth") == 128
        assert [url for url in asked if not url.startswith("data:")] == [
            (release / "report.html").as_uri()
        ]
        assert wrong == []
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.locator("summary").first.click()
        found = Axe().run(page)
        assert not found.violations_count, found.generate_report()


def test_marks_stand_where_people_pointed(release: Path) -> None:
    with browser() as chrome:
        page = chrome.new_page(viewport={"width": 1200, "height": 800})
        page.goto((release / "report.html").as_uri())
        marks = page.locator(".picture b").all()
        assert marks
        for mark in marks:
            place = mark.evaluate("mark => [mark.style.left, mark.style.top]")
            box = mark.bounding_box()
            picture = mark.locator("xpath=../img").bounding_box()
            assert box
            assert picture
            across = (box["x"] + box["width"] / 2 - picture["x"]) / picture["width"]
            down = (box["y"] + box["height"] / 2 - picture["y"]) / picture["height"]
            assert 100 * across == pytest.approx(float(place[0].rstrip("%")), abs=0.5)
            assert 100 * down == pytest.approx(float(place[1].rstrip("%")), abs=0.5)


def test_on_a_phone_every_step_can_be_read_without_moving_the_page(release: Path) -> None:
    with browser() as chrome:
        page = chrome.new_page(viewport={"width": 390, "height": 844})
        page.goto((release / "report.html").as_uri())
        for summary in page.locator("summary").all():
            summary.click()
        steps = page.locator(".funnel tr:has(td)").all()
        assert len(steps) > 30
        for step in steps:
            for cell in step.locator("th, td").all():
                box = cell.bounding_box()
                assert box
                assert box["x"] >= 0
                assert box["x"] + box["width"] <= 390
        why = page.locator(".funnel .why").first.bounding_box()
        assert why
        assert why["width"] > 300
        rows = page.locator(".funnel .rows").first
        said = rows.evaluate("cell => getComputedStyle(cell, '::before').content")
        assert said == '"rows "'


def test_no_id_stands_twice_and_every_link_leads_somewhere(release: Path) -> None:
    text = page_of(release)
    tree = ET.fromstring(text.removeprefix("<!DOCTYPE html>"))
    ids = Counter(value for one in tree.iter() if (value := one.get("id")))
    assert [name for name, times in ids.items() if times > 1] == []
    named = re.findall(r'href="#([^"]+)"', text) + re.findall(r"url\(#([^)]+)\)", text)
    assert set(named) <= set(ids)
    assert re.findall(r'<a href="#(\w+)">', text) == [
        *("distributions", "funnel", "annotators", "images", "probe")
    ]


def voices_in(page: str) -> list[bytes]:
    """The recordings of a page."""
    return [base64.b64decode(data) for data in re.findall(r"data:audio/webm;base64,([^\"]+)", page)]


def test_a_few_recordings_are_heard_as_they_were_spoken(planter: Planter, release: Path) -> None:
    text = page_of(release)
    heard = voices_in(text)
    assert len(heard) == MOST_VOICES < SPOKEN
    assert '<audio controls="" preload="metadata" aria-label="recording"' in text
    root = planter.workspace.root
    spoken = [decode(path) for path in sorted((root / "audio").glob("*.wav"))]
    for data in heard:
        with av.open(io.BytesIO(data), format="webm") as container:
            frames = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
            rate = container.streams.audio[0].rate
        samples = np.concatenate(frames)[:: rate // SAMPLE_RATE]
        # Opus keeps how loud a rising tone is, moment by moment, not its wave.
        likeness = [alike(samples, one) for one in spoken]
        assert max(likeness) > 0.9
    assert len({hashlib.sha256(data).hexdigest() for data in heard}) == MOST_VOICES


def alike(one: np.ndarray, other: np.ndarray) -> float:
    """The correlation of the pitch of two sounds of about one length; 0 of others."""
    if abs(len(one) - len(other)) > 0.04 * SAMPLE_RATE:
        return 0.0
    return float(np.corrcoef(*(pitches(sound) for sound in (one, other)))[0, 1])


def pitches(sound: np.ndarray) -> np.ndarray:
    """The loudest frequency of each tenth of a second, of the first two and a half seconds."""
    frames = sound[: 25 * SAMPLE_RATE // 10].reshape(25, -1)
    return np.abs(np.fft.rfft(frames, axis=1)).argmax(axis=1)


def test_the_same_sound_gives_the_same_bytes() -> None:
    sound = sweep(0.5, SAMPLE_RATE).astype(np.float32)
    assert small(sound) == small(sound)
    assert len(small(sound)) < 0.5 * 16_000 / 8 + 2_000


def test_no_voice_is_in_it_unless_it_was_asked_for(tmp_path: Path) -> None:
    text = page_of(build_release(make(tmp_path).workspace, "v1"))
    assert "<audio" not in text
    assert voices_in(text) == []
    assert "audio { display: block" in text  # the style is there, and matched by nothing


def test_thumbnails_may_be_left_to_images_that_may_travel(tmp_path: Path) -> None:
    by_url = "https://example.org/x.png"
    for number, (value, shown) in enumerate([("all", 2), ("free", 1)]):
        root = tmp_path / value
        root.mkdir()
        (root / "pixmo.toml").write_text(f'[release]\nthumbnails = "{value}"\n')
        planter = Planter(Workspace.open(root))
        planter.image("own.png", workspaces.picture(1))
        planter.image("other.png", workspaces.picture(2), by_url)
        for name in ("own.png", "other.png"):
            planter.points(name, name, [(1.0, 1.0)])
        text = page_of(build_release(planter.write(), f"v{number}"))
        assert text.count("<img") == shown
        link = f'<a href="{by_url}" rel="noreferrer">source</a>'
        assert (link in text) == (value == "all")


def test_annotators_are_told_apart_but_not_named(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path))
    names = ("zoe@example.org", "adam@example.org")
    for number in range(4):
        name = f"{number}.png"
        planter.image(name, workspaces.picture(number))
        for who, place in zip(names, (10.0, 80.0), strict=True):
            label = "leaf" if number == 0 else f"leaf of {place}"
            planter.points(f"{who} {number}", name, [(place, 10.0)], label=label, annotator=who)
    planter.points("wrong", "1.png", [], label="none", presence="present", annotator=names[0])
    built = build_release(planter.write(), "v1")
    text = page_of(built)
    assert "example.org" not in text
    # The first expression alone is of both, and they disagree: both rows are set apart.
    for number, rows, dropped in ((1, 5, "40.0%"), (2, 4, "25.0%")):
        assert (
            f'<th scope="row">annotator {number}</th><td class="number">{rows}</td>'
            f'<td class="number">{dropped}</td><td class="number">0.00</td></tr>' in text
        )
    assert Release.open(built).manifest.subset("points").apart == 2
    assert 'class="number">gold</th>' not in text  # nobody's is known


ZOE, LON = "zoe@example.org", "lon@example.org"
BEGIN = ("In this", "The main", "On the", "At the", "A big", "It was")


def test_reasons_name_nobody(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path))
    same = " ".join(workspaces.prose(900 + n, 25) for n in range(3))
    for number in range(3):
        told = [
            f"{words} {workspaces.prose(10 * number + place, 15).partition(' ')[2]}"
            for place, words in enumerate(BEGIN)
        ]
        said, name = f"said {number}.png", f"told {number}.png"
        planter.image(said, workspaces.picture(number))
        planter.caption(said, f"{same} {workspaces.prose(100 + number, 60)}", annotator=LON)
        planter.image(name, workspaces.picture(10 + number))
        planter.caption(name, " ".join(told), annotator=ZOE)
        planter.answer(f"{number}", name, "What is behind it?", workspaces.prose(50 + number, 6))
        planter.rows["answers"][-1]["annotator"] = ZOE
        for person, who in enumerate((ZOE, "ada", "ben")):
            label = workspaces.prose(300 + 10 * number + person, 3).rstrip(".")
            points = [(20.0, 20.0)] if person else []
            planter.points(f"{who} {number}", name, points, label=label, annotator=who)
    workspace = planter.write()
    workspace.recipes.mkdir()
    for stem in schema.stems():
        recipe = shared("pipelines", f"{stem}.toml").read_text("utf-8")
        recipe = re.sub(r"^min_(images|rows) = \d+", r"min_\1 = 3", recipe, flags=re.MULTILINE)
        (workspace.recipes / f"{stem}.toml").write_text(recipe, "utf-8")
    built = build_release(workspace, "v1")
    manifest = Release.open(built).manifest
    rows = {step.step: step.rows for subset in manifest.subsets for step in subset.funnel}
    steps = ("boilerplate", "template", "asked_often", "none_share")
    assert [rows[step] for step in steps] == [3, 3, 3, 3]
    for name in ("report.html", "README.md", "manifest.json"):
        assert "example.org" not in (built / name).read_text("utf-8"), name
    for path in (built / "dropped").iterdir():
        assert "example.org" not in str(pq.read_table(path).to_pylist()), path


def annotator_rows(built: Path) -> list[tuple[str, ...]]:
    """Number, rows and dropped share of the annotators in a report."""
    return re.findall(
        r'<th scope="row">annotator (\d+)</th><td class="number">(\d+)</td>'
        r'<td class="number">([\d.]+%)</td>',
        page_of(built),
    )


def test_whose_rows_were_merged_lost_none_and_who_withdrew_is_not_there(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path))
    planter.image("a.png", workspaces.picture(1))
    for number, who in enumerate(("ada", "ben", "cy")):
        planter.points(who, "a.png", [(10.0, 10.0 + number / 10)], "leaf", annotator=who)
    planter.points("more", "a.png", [(50.0, 50.0)], "stone", annotator="cy")
    planter.points("wrong", "a.png", [], "cup", "present", annotator="cy")
    planter.write()
    built = build_release(planter.workspace, "v1")
    (row,) = (
        row
        for split in Release.open(built).splits("points")
        for row in Release.open(built).read("points", split).to_pylist()
        if row["label"] == "leaf"
    )
    assert row["merged_from"] == ["ada", "ben", "cy"]
    assert annotator_rows(built) == [("1", "3", "33.3%"), ("2", "1", "0.0%"), ("3", "1", "0.0%")]
    assert "<li><b>3</b>annotators</li>" in page_of(built)
    assert "- Annotators with a row: 3\n" in (built / "README.md").read_text("utf-8")
    withdraw(planter.workspace, Request("annotator", "cy"), "asked")
    built = build_release(planter.workspace, "v2")
    assert annotator_rows(built) == [("1", "1", "0.0%"), ("2", "1", "0.0%")]
    assert "<li><b>2</b>annotators</li>" in page_of(built)


def test_files_that_are_not_what_was_taken_in_are_not_shown(tmp_path: Path) -> None:
    planter = make(tmp_path / "world", "[release]\naudio = true\n")
    workspace = planter.workspace
    workspaces.picture(77).save(workspace.images / workspaces.name(0))  # the one with a source URL
    for number in range(SPOKEN):
        write_sound(workspace.root / "audio" / f"{number}.wav", sweep(SECONDS, 48_000)[::-1])
    text = page_of(build_release(workspace, "v1"))
    assert voices_in(text) == []
    figures = re.findall(r"<figure>.*?</figure>", text)
    (changed,) = (one for one in figures if planter.sha256[workspaces.name(0)][:12] in one)
    assert "<img" not in changed
    assert "<p>https://example.org/p00.png</p>" in changed
    assert sum("<img" in one for one in figures) == len(figures) - 1 > 5


def test_on_paper_it_is_dark_on_white_and_whole(release: Path) -> None:
    with browser() as chrome:
        # The width of A4 between margins of a centimetre, at 96 dots an inch.
        context = chrome.new_context(viewport={"width": 718, "height": 1000}, color_scheme="dark")
        page = context.new_page()
        page.goto((release / "report.html").as_uri())
        page.emulate_media(media="print", color_scheme="dark")
        style = page.evaluate(
            "(({color, backgroundColor}) => [color, backgroundColor])"
            "(getComputedStyle(document.body))"
        )
        assert style == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
        cut = page.evaluate(
            "Array.from(document.querySelectorAll('main *')).filter(one => {"
            " const box = one.getBoundingClientRect();"
            " const hides = getComputedStyle(one).overflowX != 'visible';"
            " return box.width && (box.right > innerWidth + 1 || box.left < -1)"
            " || hides && one.scrollWidth > one.clientWidth + 1"
            "}).map(one => one.outerHTML.slice(0, 80))"
        )
        assert cut == []
        found = Axe().run(page, options={"runOnly": ["color-contrast"]})
        assert not found.violations_count, found.generate_report()
        assert page.pdf(format="A4").startswith(b"%PDF-")


def test_gold_accuracy_is_shown_where_it_is_known(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path))
    image = planter.image("a.png", workspaces.picture(1))
    planter.points("one", "a.png", [(1.0, 1.0)], label="leaf", annotator="1")
    workspace = planter.write()
    assert 'class="number">gold</th>' not in page_of(build_release(workspace, "v1"))
    planter.points("known", "a.png", [(1.0, 1.0)], label="tree", annotator="1")
    planter.write()
    right = {"points": [{"x": 1.0, "y": 1.0}, {"x": 50.0, "y": 50.0}], "verdict": None}
    row = {"subset": "points", "image_sha256": image, "asked": "tree", "answer": None}
    workspace.append("gold", [row | right])
    text = page_of(build_release(workspace, "v2"))
    assert '<th scope="col" class="number">gold</th>' in text
    assert '<td class="number">0.67</td></tr>' in text  # one of two points


def test_of_no_candidates_nothing_is_a_share() -> None:
    one = AnnotatorRows(1, candidates=4, dropped=1, agreement=None, gold_accuracy=None)
    assert (one.kept, one.dropped_share) == (3, 0.25)


def test_what_changed_since_the_last_release_is_told(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path))
    planter.image("a.png", workspaces.picture(1))
    planter.points("kept", "a.png", [(1.0, 1.0)], label="leaf")
    planter.points("mended", "a.png", [(2.0, 2.0)], label="tree")
    workspace = planter.write()
    first = build_release(workspace, "v1")
    assert 'id="changes"' not in page_of(first)
    planter.points("mended", "a.png", [], "tree", "present", "2026-05-01T00:00:00.000000Z")
    planter.points("new", "a.png", [(3.0, 3.0), (60.0, 60.0)], label="sun")
    planter.write()
    text = page_of(build_release(workspace, "v2"))
    ET.fromstring(text.removeprefix("<!DOCTYPE html>"))
    assert "<h2>What changed since v1</h2>" in text
    cells = "".join(f'<td class="number">{count}</td>' for count in (1, 1, 0, 0, 1))
    assert f'<th scope="row">pixmo-points</th>{cells}</tr>' in text
    assert "<li>1 dropped by present_without_point: said to be present, but no point</li>" in text
    shown = '<th scope="row">{}</th><td class="number">{}</td><td class="number">{}</td>'
    added = "<p>Added rows, and what they were before:</p>\n<ul>\n"
    assert f"{added}<li>1 {NEW}</li>" in text
    assert "The recipe changed" not in text
    assert shown.format("points a row, mean", "1", "1.5") in text
    assert shown.format("points", "2", "3") in text
    assert '<th scope="row">expressions</th>' not in text  # two in both
    assert '<a href="#changes">changes</a>' in text


def test_what_changed_in_rows_and_recipes_is_told(tmp_path: Path) -> None:
    planter = Planter(Workspace.init(tmp_path))
    planter.image("a.png", workspaces.picture(1))
    planter.points("mended", "a.png", [(2.0, 2.0)], label="tree")
    planter.points("crowd", "a.png", [(2.0, 2.0), (9.0, 9.0), (50.0, 9.0)], label="leaf")
    workspace = planter.write()
    workspaces.share_out(workspace)
    build_release(workspace, "v1")
    later = "2026-05-01T00:00:00.000000Z"
    planter.points("mended", "a.png", [(2.0, 2.0), (60.0, 60.0)], "tree", updated_at=later)
    planter.write()
    recipe = workspace.recipes / "points.toml"
    text = recipe.read_text("utf-8")
    assert text.count("max_points = 60 ") == 1
    recipe.write_text(text.replace("max_points = 60 ", "max_points = 2 "), "utf-8")
    page = page_of(build_release(workspace, "v2"))
    assert "<li>1 set apart by too_many_points: # points</li>" in page
    assert "<p>Changed values, by column: count (1), points (1).</p>" in page
    assert (
        "<p>The recipe changed. Steps that name another number of rows: too_many_points"
        " (0, now 1).</p>" in page
    )
    recipe.write_text(text, "utf-8")
    page = page_of(build_release(workspace, "v3"))
    assert "<li>1 set apart by too_many_points: # points</li>" in page
    assert "<p>Removed rows, and why:</p>" not in page


def test_hours_are_the_same_in_whatever_order_rows_are_read(tmp_path: Path) -> None:
    ids = [str(number) for number in range(36_000)]
    rows = {"id": ids, "image_sha256": ids, "duration_seconds": [0.1] * len(ids)}
    for version, count in (("v1", len(ids)), ("v2", 10)):
        table = pa.table(rows).slice(0, count)
        two_releases.write(tmp_path / version, {"cap": {"train": table}})
    found = diff(Release.open(tmp_path / "v1"), Release.open(tmp_path / "v2"))
    # As floating-point numbers they make a little less or more, by the order.
    (hours,) = (one for one in found.subsets[0].figures if one.name == "hours of recordings")
    assert hours.before == 1


def test_a_figure_that_reads_the_same_did_not_change() -> None:
    figures = (Figure("hours", 1.23401, 1.23402), Figure("words", 1.2, 1.3))
    empty = SubsetDifference(
        *("cap", "pixmo-cap", "both", 0, 0, 0, 0, 0),
        *((), {}, (), (), (), (), (), False, (), figures),
    )
    text = details(empty)
    assert '<th scope="row">words</th>' in text
    assert '<th scope="row">hours</th>' not in text


MEAN = Mean(0.25, 0.01, 0.23, 0.27, 64)
FOUND = Verdict(
    outcome=FAIL,
    reason="what <b>points</b> say is not what images show",
    release="v1",
    key="0",
    size="probe-xs",
    steps=1100,
    seed=3,
    train_images=2100,
    held_out_images=300,
    subsets=(
        SubsetVerdict(
            "cap",
            PASS,
            "told",
            Gate(0.1, 4, 0.1, 0.1),
            60,
            1.0,
            1.25,
            MEAN,
            MEAN,
            MEAN,
            MEAN,
            (Skill("words right", MEAN, replace(MEAN, value=0.05), MEAN, None),),
        ),
        SubsetVerdict("points", FAIL, "not told <i>", None, 3),
    ),
    rendered=(),
    instrument_check="good",
)


def test_a_copy_of_the_report_has_the_probes_verdict(release: Path, tmp_path: Path) -> None:
    before = page_of(release)
    path = write_copy(tmp_path, Release.open(release), FOUND)
    assert path == tmp_path / "release.html"
    text = path.read_text("utf-8")
    ET.fromstring(text.removeprefix("<!DOCTYPE html>"))
    assert page_of(release) == before
    assert 'Train probe: <span class="verdict FAIL">FAIL</span>' in text
    assert "what &lt;b&gt;points&lt;/b&gt; say is not what images show." in text
    assert "words right 0.25 against 0.05" in text
    assert "writes a copy of this page" not in text
    assert len(text) > len(before)
    with browser() as chrome:
        shown(chrome, path)


def shown(chrome: Browser, path: Path) -> None:
    """A browser shows the verdict, which people and their tools can read."""
    page = chrome.new_page(viewport={"width": 1200, "height": 800})
    page.goto(path.as_uri())
    expect(page.get_by_role("heading", name="Train probe: FAIL")).to_be_visible()
    found = Axe().run(page)
    assert not found.violations_count, found.generate_report()


def test_a_report_without_a_place_for_a_verdict_gets_it_at_its_end(
    release: Path, tmp_path: Path
) -> None:
    earlier = tmp_path / "v0"
    earlier.mkdir()
    (earlier / "manifest.json").write_bytes((release / "manifest.json").read_bytes())
    opened = Release.open(earlier)
    assert write_copy(tmp_path, opened, FOUND) is None
    (earlier / "report.html").write_text("<html><body><p>rows</p></body></html>")
    path = write_copy(tmp_path, opened, FOUND)
    assert path
    text = path.read_text("utf-8")
    assert text.index("<p>rows</p>") < text.index('<section id="probe">') < text.index("</body>")
    ET.fromstring(text)


def test_validate_says_where_the_copy_with_the_verdict_is(
    planter: Planter, release: Path, pixmo: Path
) -> None:
    root = planter.workspace.root
    result = run_pixmo(pixmo, "validate", "v1", "--train-probe", cwd=root)
    assert result.returncode == 2, result.stdout + result.stderr  # too small to be judged
    path = root / "runs/probe-v1/release.html"
    assert "report with this verdict: runs/probe-v1/release.html" in result.stdout
    text = path.read_text("utf-8")
    assert 'Train probe: <span class="verdict INVALID">INVALID</span>' in text
    assert "; a verdict needs 512 different images to train on" in text
    ET.fromstring(text.removeprefix("<!DOCTYPE html>"))
