"""Takes the pictures in `docs/` of what people see, with scenes of the sample."""

import io
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, expect

from pixmo.demo.describe import describe, expressions, questions_and_answers
from pixmo.demo.drawing import draw_file
from pixmo.demo.sample import SPEAKERS, make_sample
from pixmo.demo.scenes import image_name, scene
from pixmo.demo.voice import recite
from pixmo.images.store import add_images
from pixmo.label.ingest import ingest
from pixmo.label.push import push
from pixmo.label.studio import TOKEN as TOKEN_VARIABLE
from pixmo.label.studio import connected
from pixmo.release.build import build_release
from pixmo.speech.audio import SAMPLE_RATE
from pixmo.speech.captioning.captions import write_captions
from pixmo.speech.engines import open_recogniser
from pixmo.speech.recordings import find, record
from pixmo.speech.transcribe import transcribe
from pixmo.speech.transcripts import written_row
from pixmo.speech.written import add_written
from pixmo.workspace.workspace import Workspace
from tests.browsers import browser, serving
from tests.label_studio_server import TOKEN, click_at, log_in, running
from tests.sounds import write_sound

DOCS = Path(__file__).parents[1] / "docs"
SEED, SCENE = 0, 14
SAMPLE_SCENES = 400  # of the release whose report is shown
SCREENS: dict[str, dict[str, Any]] = {
    "recorder": {"viewport": {"width": 1120, "height": 700}},
    "recorder-phone": {
        "viewport": {"width": 390, "height": 760},
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
    },
}
CLOCK = {"recorder": "0:41", "recorder-phone": "0:17"}
TICKED = {"recorder": 3, "recorder-phone": 1}  # questions, from the first
COLOURS = 256  # of a file: the page has few
MOST_BYTES = 150_000
LINK = re.compile(r"^\S+ +(http\S+)$", re.MULTILINE)


def make_workspace(root: Path) -> None:
    """One picture of the sample is taken in; everything else is as it ships."""
    (root / "images").mkdir(parents=True)
    draw_file(root / "images", SEED, SCENE)
    add_images(Workspace.open(root), root / "images")


def speech(path: Path) -> Path:
    """The scene described, from the first word on."""
    recital = recite(describe(scene(SEED, SCENE), Random(SEED)).spoken, SPEAKERS[0], Random(SEED))
    start = int(recital.spans[0][0] * SAMPLE_RATE)
    return write_sound(path, recital.samples[start:], SAMPLE_RATE)


def take(chrome: Browser, link: str, name: str) -> None:
    """The page while somebody speaks is a file in `docs/`."""
    context = chrome.new_context(**SCREENS[name])
    page = context.new_page()
    page.goto(link)
    page.get_by_role("button", name="I agree").click()
    expect(page.locator("#record")).to_be_enabled()
    page.locator("#record").click()
    for number in range(TICKED[name]):
        page.locator(f"#question-{number + 1}").check()
    page.mouse.move(1, 1)  # nothing is pointed at
    expect(page.locator("#clock")).to_have_text(CLOCK[name], timeout=90_000)
    keep(page, name)
    context.close()


def keep(page: Page, name: str) -> None:
    """The page as it is now is a file in `docs/`."""
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    file = DOCS / f"{name}.png"
    shot.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    if file.stat().st_size > MOST_BYTES:
        sys.exit(f"{file} has {file.stat().st_size:,} bytes; {MOST_BYTES:,} are the most")
    print(f"{file}: {shot.width} x {shot.height}, {file.stat().st_size:,} bytes")


def take_label_studio(place: Path) -> None:
    """The three interfaces, on the same picture: points clicked, an answer, a caption."""
    os.environ[TOKEN_VARIABLE] = TOKEN
    with running(place) as server, browser() as chrome:
        root = place / "studio"
        make_workspace(root)
        (root / "pixmo.toml").write_text(
            f'[dataset]\ntitle = "Shapes"\n[label_studio]\nurl = "{server.url}"\n'
            f'document_root = "{place}"\n'
        )
        workspace = Workspace.open(root)
        shown = scene(SEED, SCENE)
        told = describe(shown, Random(SEED))
        (root / "audio").mkdir()
        speech(root / "audio" / f"{image_name(SCENE).partition('.')[0]}.wav")
        record(workspace, find(workspace, workspace.audio))
        (spoken,) = workspace.read("recordings").to_pylist()
        row = written_row("t", spoken["image_sha256"], "anna", " ".join(told.spoken), "en", "x")
        heard = {"source": "speech", "recording_sha256": spoken["recording_sha256"]}
        workspace.append("transcripts", [row | heard | {"speech_seconds": 70.0}])
        write_captions(workspace)
        pointed = expressions(shown)[0]
        question, answer = questions_and_answers(shown, Random(SEED))[0]
        for subset, line in (
            ("points", {"label": pointed.label}),
            ("ama", {"question": question, "answer": answer}),
        ):
            line["image"] = image_name(SCENE)
            (root / f"{subset}.jsonl").write_text(json.dumps(line))
        page = chrome.new_page(viewport={"width": 1280, "height": 800})
        log_in(page, server)
        with connected(server.url) as studio:
            for subset in ("points", "ama", "cap"):
                asked = None if subset == "cap" else root / f"{subset}.jsonl"
                project = push(workspace, studio, subset, asked).project
                page.goto(f"{server.url}/projects/{project}/data?labeling=1")
                expect(page.locator("img[alt=image]")).to_be_visible()
                if subset == "points":
                    for point in pointed.points:
                        click_at(page, point.x, point.y)
                page.wait_for_timeout(4000)  # until sound and image are drawn
                keep(page, f"label-{subset}")


def take_report(place: Path) -> None:
    """The report of a release of the sample: its beginning, and some of its images."""
    root = place / "sample"
    make_sample(root, SAMPLE_SCENES, SEED)
    workspace = Workspace.open(root)
    add_images(workspace, workspace.images)
    ingest(workspace, [workspace.exports])
    add_written(workspace, root / "transcripts/written.jsonl")
    transcribe(workspace, workspace.audio, open_recogniser(workspace))
    write_captions(workspace)
    release = build_release(workspace, "v1")
    with browser() as chrome:
        page = chrome.new_page(viewport={"width": 1120, "height": 940})
        page.goto((release / "report.html").as_uri())
        keep(page, "report")
        page.set_viewport_size({"width": 1120, "height": 760})
        page.locator("#images").evaluate("images => images.scrollIntoView()")
        keep(page, "report-images")


def main() -> None:
    """All pictures are taken anew; those of the recorder each by an annotator of its own."""
    with tempfile.TemporaryDirectory() as place:
        take_report(Path(place))
    with tempfile.TemporaryDirectory() as place:
        take_label_studio(Path(place))
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "workspace"
        make_workspace(root)
        heard = speech(Path(place) / "speech.wav")
        command = [str(Path(sys.executable).with_name("pixmo")), "record", "-w", str(root)]
        command += ["--port", "0", "--invite", "anna", "--invite", "ben"]
        log = Path(place) / "record.log"
        with serving(command, log, "listening at"):
            links = LINK.findall(log.read_text("utf-8"))
            for name, link in zip(SCREENS, links, strict=True):
                with browser(heard=heard) as chrome:  # whose microphone begins anew
                    take(chrome, link, name)


if __name__ == "__main__":
    main()
