"""The recorder's page in a real browser: speech goes in by the microphone, a caption comes out."""

import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import jiwer
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page, expect

from pixmo.demo.recogniser import checkpoint
from pixmo.speech.audio import SAMPLE_RATE, decode
from pixmo.text import normalise
from tests.browsers import browser, https_proxy, serving
from tests.conftest import run_pixmo
from tests.recorders import lines, make_workspace
from tests.sounds import said, silence, write_sound

SPOKEN = (
    "There are two red circles at the top.",
    "I can see a large blue star on the left.",
    "The background is green.",
    "There is no text in the picture.",
    "A yellow triangle is next to the sign.",
)
expect.set_options(timeout=15_000)
LINK = re.compile(r"^anna +(http\S+)$", re.MULTILINE)


def speech(path: Path) -> Path:
    """The sentences, a pause behind each, as a microphone hears them; some fifteen seconds."""
    pieces = [piece for text in SPOKEN for piece in (said(text), silence(0.5))]
    return write_sound(path, np.concatenate([silence(1.0), *pieces]), 16_000)


@pytest.fixture
def recorder(tmp_path: Path, pixmo: Path) -> Iterator["RunningRecorder"]:
    """`pixmo record` on a workspace that asks for 3 to 20 seconds."""
    root = tmp_path / "workspace"
    make_workspace(root)
    model = checkpoint(tmp_path / "models")
    (root / "pixmo.toml").write_text(
        f'[record]\nmin_seconds = 3\nmax_seconds = 20\n[speech]\nmodel = "{model}"\n'
        'device = "cpu"\n'
    )
    running = RunningRecorder(root, pixmo)
    running.start()
    yield running
    running.stop(signal.SIGINT)


class RunningRecorder:
    """The server that annotators use."""

    def __init__(self, root: Path, pixmo: Path) -> None:
        self.root, self.pixmo, self.port, self.link = root, pixmo, 0, ""

    def start(self) -> None:
        """It listens, where it did before if it did."""
        command = [self.pixmo, "record", "-w", self.root, "--invite", "anna", "--port", self.port]
        log = self.root / "record.log"
        self.serving = serving([str(word) for word in command], log, "listening at")
        self.process = self.serving.__enter__()
        self.link = self.link or LINK.findall(log.read_text())[0]
        self.port = int(re.findall(r":(\d+)/", self.link)[0])

    def stop(self, number: signal.Signals) -> None:
        """It has ended."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(30)


def opened(chrome: Browser, link: str, *, agree: bool = True) -> Page:
    """The page, ready to record."""
    page = chrome.new_page()
    page.set_default_timeout(15_000)
    page.goto(link)
    if agree:
        page.get_by_role("button", name="I agree").click()
        expect(page.locator("#record")).to_be_enabled()
    return page


def spoken_for(page: Page, seconds: int) -> None:
    """The page's clock says so; a busy machine may see it a second late."""
    late = "|".join(f"0:{seconds + more:02}" for more in range(3))
    expect(page.locator("#clock")).to_have_text(re.compile(f"^({late})$"), timeout=40_000)


def speak_until(page: Page, seconds: int) -> None:
    """The page records until its clock says so."""
    page.keyboard.press("Space")
    expect(page.locator("#record")).to_have_text("Pause")
    spoken_for(page, seconds)
    page.keyboard.press("Space")
    expect(page.locator("#status")).to_contain_text("Paused")


def submit(page: Page) -> None:
    """What was said is filed."""
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text("Thank you", timeout=30_000)


def test_what_is_spoken_on_the_page_becomes_the_caption(
    recorder: RunningRecorder, tmp_path: Path
) -> None:
    asked: list[str] = []
    heard = speech(tmp_path / "speech.wav")
    spoken_seconds = round(len(decode(heard)) / SAMPLE_RATE)
    with browser(heard=heard) as chrome:
        page = opened(chrome, recorder.link, agree=False)
        page.on("request", lambda request: asked.append(request.url))
        expect(page.locator("#consent")).to_contain_text("You are about to record your voice")
        expect(page.locator("#record")).to_be_disabled()
        page.reload()
        page.keyboard.press("Tab")
        page.get_by_role("button", name="I agree").press("Enter")
        expect(page.locator("#record")).to_be_enabled()
        image = page.locator("#image").get_attribute("src")
        expect(page.locator("#submit")).to_be_disabled()
        speak_until(page, spoken_seconds)
        page.keyboard.press("l")
        expect(page.locator("#listen")).to_have_text("Stop")
        page.keyboard.press("l")
        expect(page.locator("#listen")).to_have_text("Listen")
        submit(page)
        expect(page.locator("#image")).not_to_have_attribute("src", str(image))
        expect(page.locator("#clock")).to_have_text("0:00")
        expect(page.locator("#count")).to_have_text("1 recorded")
        expect(page.locator("#problem")).to_be_empty()
    base = recorder.link.split("/a/")[0]
    assert asked
    assert all(url.startswith((base, "blob:", "data:")) for url in asked), asked
    (line,) = lines_of(recorder)
    assert line["image"] == str(image).removeprefix("images/")
    assert line["seconds"] == pytest.approx(spoken_seconds + 0.5, abs=2)
    transcribed = run_pixmo(recorder.pixmo, "transcribe", "audio/", cwd=recorder.root)
    assert transcribed.returncode == 0, transcribed.stderr
    query = "select caption, image_sha256 from captions"
    shown = run_pixmo(recorder.pixmo, "sql", query, "--json", cwd=recorder.root)
    assert line["image"] in shown.stdout
    (caption,) = re.findall(r'"caption": "(.*)"', shown.stdout)
    assert jiwer.wer(normalise(" ".join(SPOKEN)), normalise(caption)) < 0.15, caption


def lines_of(recorder: RunningRecorder) -> list[dict[str, object]]:
    from pixmo.workspace.workspace import Workspace

    return lines(Workspace.open(recorder.root))


def test_a_reload_and_a_killed_server_lose_nothing(
    recorder: RunningRecorder, tmp_path: Path
) -> None:
    with browser(heard=speech(tmp_path / "speech.wav")) as chrome:
        page = opened(chrome, recorder.link)
        image = page.locator("#image").get_attribute("src")
        page.keyboard.press("Space")
        spoken_for(page, 3)
        page.once("dialog", lambda dialog: dialog.accept())  # "leave this page?"
        page.reload()
        expect(page.locator("#status")).to_contain_text("What you said before is kept")
        assert page.locator("#image").get_attribute("src") == image
        expect(page.locator("#clock")).to_have_text(re.compile("0:0[2345]"))
        page.keyboard.press("Space")
        spoken_for(page, 5)
        recorder.stop(signal.SIGKILL)
        expect(page.locator("#problem")).to_contain_text("No connection", timeout=20_000)
        spoken_for(page, 9)  # she speaks on
        page.keyboard.press("Enter")
        expect(page.locator("#status")).to_contain_text("Sending")
        time.sleep(1)
        assert not lines_of(recorder)
        with pytest.raises(Error, match="REFUSED"):
            page.reload()
        recorder.start()
        page.goto(recorder.link)
        expect(page.locator("#status")).to_contain_text("Thank you", timeout=45_000)
    (line,) = lines_of(recorder)
    assert f"images/{line['image']}" == image
    assert line["seconds"] == pytest.approx(9.5, abs=2.5)


def test_a_recording_whose_filing_was_not_heard_of_is_not_asked_for_again(
    recorder: RunningRecorder, tmp_path: Path
) -> None:
    with browser(heard=speech(tmp_path / "speech.wav")) as chrome:
        page = opened(chrome, recorder.link)
        image = page.locator("#image").get_attribute("src")
        speak_until(page, 4)
        # The recording is filed, and the answer lost.
        page.route("**/recordings/*", lambda route: (route.fetch(), route.abort()))
        page.keyboard.press("Enter")
        expect(page.locator("#problem")).to_contain_text("No connection")
        page.unroute_all(behavior="ignoreErrors")
        page.once("dialog", lambda dialog: dialog.accept())
        page.reload()
        expect(page.locator("#status")).to_contain_text("is filed")
        expect(page.locator("#image")).not_to_have_attribute("src", str(image))
        expect(page.locator("#clock")).to_have_text("0:00")
    assert len(lines_of(recorder)) == 1


def test_a_link_that_is_no_longer_valid_ends_what_is_being_said(
    recorder: RunningRecorder, tmp_path: Path
) -> None:
    with browser(heard=speech(tmp_path / "speech.wav")) as chrome:
        page = opened(chrome, recorder.link)
        page.keyboard.press("Space")
        spoken_for(page, 2)
        recorder.stop(signal.SIGINT)
        (recorder.root / "recorder/secret").unlink()
        recorder.start()
        expect(page.locator("#problem")).to_contain_text("kept in this browser", timeout=30_000)
        expect(page.locator("#record")).to_be_disabled()
        spoken = page.locator("#clock").inner_text()
        page.wait_for_timeout(2_500)
        expect(page.locator("#clock")).to_have_text(spoken)


def test_a_second_tab_does_not_speak_over_the_first(
    recorder: RunningRecorder, tmp_path: Path
) -> None:
    with browser(heard=speech(tmp_path / "speech.wav")) as chrome:
        context = chrome.new_context()
        first, second = context.new_page(), context.new_page()
        first.goto(recorder.link)
        first.get_by_role("button", name="I agree").click()
        expect(first.locator("#record")).to_be_enabled()
        second.goto(recorder.link)
        expect(second.locator("#problem")).to_contain_text("another tab")
        expect(second.locator("#record")).to_be_disabled()
        first.close()
        expect(second.locator("#record")).to_be_enabled()


def test_beginning_again_deletes_and_skipping_says_why(
    recorder: RunningRecorder, tmp_path: Path
) -> None:
    with browser(heard=speech(tmp_path / "speech.wav")) as chrome:
        page = opened(chrome, recorder.link)
        image = page.locator("#image").get_attribute("src")
        speak_until(page, 3)
        drafts = recorder.root / "recorder/drafts/anna"
        assert list(drafts.glob("*/0.part"))
        page.keyboard.press("r")
        page.get_by_role("button", name="Keep it").click()
        spoken_for(page, 3)
        page.wait_for_timeout(200)  # one press after another
        page.keyboard.press("r")
        page.get_by_role("button", name="Delete it").click()
        expect(page.locator("#clock")).to_have_text("0:00")
        page.keyboard.press("s")
        page.get_by_label("it is disturbing").check()
        page.get_by_role("button", name="Skip it").click()
        expect(page.locator("#status")).to_have_text("Skipped.")
        expect(page.locator("#image")).not_to_have_attribute("src", str(image))
        assert not list(drafts.glob("*/0.part"))
    assert "it is disturbing" in (recorder.root / "recorder/skips.jsonl").read_text()
    assert not lines_of(recorder)


@pytest.mark.parametrize("heard", ["silence", "clipping"])
def test_the_page_says_what_is_wrong_with_the_sound(
    recorder: RunningRecorder, tmp_path: Path, heard: str
) -> None:
    time_ = np.arange(20 * 16_000) / 16_000
    loud = np.sign(np.sin(2 * np.pi * 300 * time_))
    sound = {"silence": 0 * loud, "clipping": 0.999 * loud}[heard]
    expected = {"silence": "Nothing is heard", "clipping": "clipped"}[heard]
    with browser(heard=write_sound(tmp_path / "sound.wav", sound, 16_000)) as chrome:
        page = opened(chrome, recorder.link)
        page.keyboard.press("Space")
        expect(page.locator("#problem")).to_contain_text(expected)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--deny-permission-prompts", "--use-fake-device-for-media-stream"), "blocked"),
        (("--use-fake-ui-for-media-stream",), "No microphone was found"),
    ],
)
def test_the_page_says_what_is_wrong_with_the_microphone(
    recorder: RunningRecorder, arguments: tuple[str, ...], expected: str
) -> None:
    with browser(*arguments) as chrome:
        page = opened(chrome, recorder.link)
        page.keyboard.press("Space")
        expect(page.locator("#problem")).to_contain_text(expected)
        expect(page.locator("#record")).to_be_enabled()
    assert not lines_of(recorder)


def test_the_page_can_be_used_on_a_phone_and_with_a_screen_reader(
    recorder: RunningRecorder, tmp_path: Path
) -> None:
    with browser(heard=speech(tmp_path / "speech.wav")) as chrome:
        context = chrome.new_context(
            viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True, bypass_csp=True
        )
        page = context.new_page()
        page.goto(recorder.link)
        found = Axe().run(page)
        assert not found.violations_count, found.generate_report()
        page.get_by_role("button", name="I agree").tap()
        expect(page.locator("#record")).to_be_enabled()
        found = Axe().run(page)
        assert not found.violations_count, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        for name in ("Record", "Listen", "Begin again", "Submit", "Skip"):
            expect(page.get_by_role("button", name=name, exact=True)).to_be_in_viewport(ratio=1)
        expect(page.locator("#image")).to_be_in_viewport()
        before = page.locator("#image").bounding_box()
        page.get_by_role("button", name="Zoom in").tap()
        after = page.locator("#image").bounding_box()
        assert before
        assert after
        assert after["width"] == pytest.approx(1.3 * before["width"], rel=0.01)
        page.get_by_role("button", name="Whole image").tap()
        assert page.locator("#image").bounding_box() == before


def test_behind_a_proxy_it_works_under_a_path_and_https(
    recorder: RunningRecorder, tmp_path: Path
) -> None:
    base, _, token = recorder.link.partition("/a/")
    with (
        https_proxy(base, "/studio/speak", tmp_path) as public,
        browser("--ignore-certificate-errors", heard=speech(tmp_path / "speech.wav")) as chrome,
    ):
        page = opened(chrome, f"{public}/a/{token}")
        speak_until(page, 4)
        submit(page)
    assert len(lines_of(recorder)) == 1


def test_an_expired_link_says_so_and_nothing_else(recorder: RunningRecorder, pixmo: Path) -> None:
    with browser() as chrome:
        page = chrome.new_page()
        answer = page.goto(recorder.link.replace("/a/", "/a/x"))
        assert answer
        assert answer.status == 403
        assert page.inner_text("body").strip() == "this link is not complete; ask for a new one"


def test_a_second_recorder_of_a_workspace_only_invites(
    recorder: RunningRecorder, pixmo: Path
) -> None:
    alone = run_pixmo(pixmo, "record", cwd=recorder.root)
    assert alone.returncode == 1
    assert f"runs already, at http://127.0.0.1:{recorder.port};" in alone.stderr
    invited = run_pixmo(pixmo, "record", "--invite", "carl", cwd=recorder.root)
    assert invited.returncode == 0
    (link,) = re.findall(r"^carl +(http\S+)$", invited.stdout, re.MULTILINE)
    assert urllib.request.urlopen(link).status == 200
    (recorder.root / "recorder/address").unlink()
    early = run_pixmo(pixmo, "record", "--invite", "carl", cwd=recorder.root)
    assert "starts or ends just now; try again" in early.stderr


def test_an_upload_of_two_gigabytes_is_refused_at_once(recorder: RunningRecorder) -> None:
    link = recorder.link
    agree = f"{link}consent"
    text = subprocess.run(["curl", "-s", f"{link}session"], capture_output=True, check=True).stdout
    sha256 = re.findall(r'"text_sha256":"(\w+)"', text.decode())[0]
    subprocess.run(["curl", "-s", agree, "-d", f'{{"text_sha256":"{sha256}"}}'], check=True)
    target = f"{link}recordings/123e4567-e89b-12d3-a456-426614174000/0"
    sending = ["curl", "-s", "-X", "PATCH", target, "-H", "Upload-Offset: 0", "-T", "-"]
    began = time.monotonic()
    with Path("/dev/zero").open("rb") as zeros:
        result = subprocess.run(
            ["bash", "-c", 'head -c 2G | "$@"', "-", *sending, "-w", "%{http_code}"],
            stdin=zeros,
            capture_output=True,
            check=False,
        )
    assert b"413" in result.stdout, result
    assert time.monotonic() - began < 20
    assert not list((recorder.root / "recorder").rglob("*.part"))
