"""What an annotator does in Label Studio's own page, in a real browser, comes back as it was."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from pixmo.images.store import add_images
from pixmo.label.pull import pull
from pixmo.label.push import push
from pixmo.label.rounds import answer_questions
from pixmo.label.studio import connected
from pixmo.speech.captioning.captions import write_captions
from pixmo.speech.recordings import find, record
from pixmo.speech.transcripts import written_row
from pixmo.speech.written import add_written
from pixmo.workspace.workspace import Workspace
from tests.browsers import browser
from tests.label_studio_server import TOKEN, Server, click_at, log_in
from tests.local_model_server import Answer, LocalModelServer, serving
from tests.sounds import sweep, write_sound
from tests.workspaces import picture

pytestmark = pytest.mark.slow  # real servers or a real browser

WIDTH, HEIGHT = 1280, 900  # of the browser's window, pixels
FOOT = 50  # of Label Studio's page, with its buttons
expect.set_options(timeout=30_000)
SIZES = {"small": (200, 150), "wide": (1600, 500), "tall": (700, 2000)}  # pixels
CLICKS = {  # percent
    "small": [(2.0, 3.0), (50.0, 50.0), (97.0, 98.0)],
    "wide": [(1.0, 2.0), (33.3, 66.7), (99.0, 99.0)],
    "tall": [(10.0, 1.0), (80.0, 40.0)],
}


@pytest.fixture
def server(label_studio: Server) -> Server:
    return label_studio


@pytest.fixture
def local_model() -> Iterator[LocalModelServer]:
    with serving() as local:
        yield local


@pytest.fixture
def workspace(
    server: Server,
    local_model: LocalModelServer,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Workspace:
    """An image smaller than the page's panel, one wider and one taller."""
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    root = server.document_root / request.node.name
    (root / "images").mkdir(parents=True)
    for number, (name, size) in enumerate(SIZES.items()):
        picture(number, size).save(root / f"images/{name}.png")
    (root / "pixmo.toml").write_text(
        f'[label_studio]\nurl = "{server.url}"\ndocument_root = "{server.document_root}"\n'
        f'[answer]\nbase_url = "{local_model.base_url}"\nmodel = "m"\n'
    )
    workspace = Workspace.open(root)
    add_images(workspace, workspace.images)
    return workspace


def test_points_come_back_where_they_were_clicked(
    server: Server, workspace: Workspace, tmp_path: Path
) -> None:
    asked = tmp_path / "asked.jsonl"
    rows = [{"image": f"{name}.png", "label": f"things in {name}"} for name in SIZES]
    rows.append({"image": "small.png", "label": "unicorns"})
    asked.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with connected(server.url) as studio:
        pushed = push(workspace, studio, "points", asked)
        with browser() as chrome:
            page = chrome.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            log_in(page, server)
            page.goto(f"{server.url}/projects/{pushed.project}/data?labeling=1")
            for name in (*SIZES, "unicorns"):
                expected = "unicorns" if name == "unicorns" else f"things in {name}"
                expect(page.get_by_placeholder("red mugs")).to_have_value(expected)
                shown = page.locator("img[alt=image]")
                expect(shown).to_be_visible()
                present = page.get_by_text("It is there, and each one has its point")
                expect(present).to_be_in_viewport()
                if name == "unicorns":
                    page.get_by_text("There is none in this image").click()
                else:
                    size = shown.evaluate("image => [image.naturalWidth, image.naturalHeight]")
                    assert tuple(size) == SIZES[name]
                    box = shown.bounding_box()
                    assert box
                    assert box["y"] + box["height"] <= HEIGHT - FOOT  # whole, not cut
                    assert box["x"] + box["width"] <= WIDTH
                    for x, y in CLICKS[name]:
                        click_at(page, x, y)
                    present.click()
                page.get_by_label("Submit current annotation").click()
            expect(page.get_by_text("No More Tasks Left in Queue")).to_be_visible(timeout=30_000)
        pulled = pull(workspace, studio, "points")
    assert (pulled.added, pulled.points, pulled.set_aside) == (4, 4, 0)
    with workspace.connect() as connection:
        found = connection.execute(
            "select label, presence, points from current_point_annotations"
        ).fetchall()
    by_label = {label: (presence, points) for label, presence, points in found}
    assert by_label.pop("unicorns") == ("none", [])
    for name, clicks in CLICKS.items():
        presence, points = by_label[f"things in {name}"]
        assert presence == "present"
        assert len(points) == len(clicks)
        for point, (x, y) in zip(points, clicks, strict=True):
            assert point["x"] == pytest.approx(x, abs=0.5)
            assert point["y"] == pytest.approx(y, abs=0.5)


def test_a_question_is_asked_answered_and_rejected_in_the_page(
    server: Server,
    workspace: Workspace,
    local_model: LocalModelServer,
) -> None:
    question, wrong = "How many things lie on the table?", "It is a chair, not a table."
    local_model.reply = lambda _: Answer("Two things lie on it.")
    with connected(server.url) as studio, browser() as chrome:
        pushed = push(workspace, studio, "questions")
        page = chrome.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        log_in(page, server)
        page.goto(f"{server.url}/projects/{pushed.project}/data?labeling=1")
        page.get_by_placeholder("Your question").fill(question)
        page.get_by_label("Submit current annotation").click()
        expect(page.get_by_text(question)).to_be_hidden()
        assert pull(workspace, studio, "questions").questions == 1
        assert answer_questions(workspace, None).nothing_known == 1
        written = workspace.root / "written.jsonl"
        said = [{"image": f"{name}.png", "text": "Two things on a table."} for name in SIZES]
        written.write_text("\n".join(map(json.dumps, said)))
        add_written(workspace, written)
        write_captions(workspace)
        assert answer_questions(workspace, None).answered == 1
        judging = push(workspace, studio, "ama")
        page.goto(f"{server.url}/projects/{judging.project}/data?labeling=1")
        expect(page.get_by_text(question)).to_be_visible()
        page.get_by_text("Reject: it is wrong").click()
        page.get_by_placeholder("What is wrong").fill(wrong)
        page.get_by_label("Submit current annotation").click()
        expect(page.get_by_text("No More Tasks Left in Queue")).to_be_visible()
        assert pull(workspace, studio, "ama").answers == 1
        answer_questions(workspace, None)
    assert wrong in local_model.requests[-1].words
    with workspace.connect() as connection:
        found = connection.execute("select question, verdict, remarks, was_edited from answers")
        assert found.fetchall() == [(question, "reject", wrong, False)]


def test_what_was_proposed_is_mended_and_accepted_beside_its_recording(
    server: Server, workspace: Workspace, tmp_path: Path
) -> None:
    spoken = "There are three red mugs on the table and a window behind it."
    workspace.audio.mkdir()
    write_sound(workspace.audio / "wide.wav", sweep(2, 16_000), 16_000)
    record(workspace, find(workspace, workspace.audio))
    (recording,) = workspace.read("recordings").to_pylist()
    row = written_row("t", recording["image_sha256"], "anna", spoken, "en", "x")
    heard = {"source": "speech", "recording_sha256": recording["recording_sha256"]}
    workspace.append("transcripts", [row | heard | {"speech_seconds": 2.0}])
    write_captions(workspace)
    asked = tmp_path / "asked.jsonl"
    question = {"image": "wide.png", "question": "How many mugs?", "answer": "Three mugs."}
    asked.write_text(json.dumps(question))
    mended = {"cap": spoken.replace("three", "two"), "ama": "Two mugs."}
    with connected(server.url) as studio, browser() as chrome:
        page = chrome.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        log_in(page, server)
        for subset, text in mended.items():
            pushed = push(workspace, studio, subset, asked if subset == "ama" else None)
            queue = f"{server.url}/projects/{pushed.project}/data?labeling=1"
            if subset == "cap":
                with page.expect_response(lambda answer: "audio" in answer.url) as sound:
                    page.goto(queue)
                assert sound.value.ok
                assert sound.value.body().startswith(b"RIFF")
            else:
                page.goto(queue)
            expect(page.locator("img[alt=image]")).to_be_visible()
            page.locator("textarea").first.fill(text)
            page.get_by_text("Accept: it is right").click()
            page.get_by_label("Submit current annotation").click()
            expect(page.get_by_text("No More Tasks Left in Queue")).to_be_visible()
            assert pull(workspace, studio, subset).added == 1
    with workspace.connect() as connection:
        found = connection.execute(
            "select caption, verdict, was_edited from caption_reviews union all"
            " select answer, verdict, was_edited from answers"
        ).fetchall()
    assert found == [(text, "accept", True) for text in mended.values()]
