"""The recorder's page in a real browser: speech goes in by the microphone, a caption comes out."""

import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Error,
    Page,
    Playwright,
    Request,
    Response,
    Route,
    expect,
    sync_playwright,
)

from pixmo.demo.recogniser import checkpoint
from pixmo.files import appended_objects
from pixmo.speech.audio import SAMPLE_RATE, decode
from pixmo.speech.recorder.filing import TOLERANCE_SECONDS
from pixmo.speech.recorder.invites import Invites
from pixmo.text import normalise
from tests.browsers import browser, https_proxy, serving
from tests.conftest import run_pixmo
from tests.recorders import breaks, lines, make_workspace
from tests.sounds import said, silence, sweep, write_sound

pytestmark = pytest.mark.slow  # real servers or a real browser

SPOKEN = (
    "There are two red circles at the top.",
    "I can see a large blue star on the left.",
    "The background is green.",
    "There is no text in the picture.",
    "A yellow triangle is next to the sign.",
)
HEARD_SECONDS = 120
MOST_APART = 0.4  # seconds, of what is filed and what the page's clock counted
expect.set_options(timeout=15_000)
LINK = re.compile(r"^anna +(http\S+)$", re.MULTILINE)


def speech(path: Path) -> Path:
    """The sentences, a pause behind each, as a microphone hears them; some fifteen seconds."""
    pieces = [piece for text in SPOKEN for piece in (said(text), silence(0.5))]
    return write_sound(path, np.concatenate([silence(1.0), *pieces]), 16_000)


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """What starts the browsers; there can be only one at a time."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def chrome(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser for all; its microphone hears a tone."""
    wave = sweep(HEARD_SECONDS, 16_000)
    heard = write_sound(tmp_path_factory.mktemp("heard") / "tone.wav", wave, 16_000)
    with browser(heard=heard, playwright=playwright) as opened_once:
        yield opened_once


@pytest.fixture
def context(chrome: Browser) -> Iterator[BrowserContext]:
    """An annotator's own browser: nothing is kept in it yet."""
    context = chrome.new_context()
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def recorder(tmp_path: Path, pixmo: Path) -> Iterator["RunningRecorder"]:
    """`pixmo record` on a workspace that asks for 3 to 20 seconds, to be killed and begun anew."""
    yield from running(tmp_path / "workspace", pixmo)


@pytest.fixture
def brief(tmp_path: Path, pixmo: Path) -> Iterator["RunningRecorder"]:
    """As `recorder`, with 5 seconds at most."""
    yield from running(tmp_path / "workspace", pixmo, most=5)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, pixmo: Path) -> Iterator["RunningRecorder"]:
    """As `recorder`, for all tests that leave it running."""
    yield from running(tmp_path_factory.mktemp("standing") / "workspace", pixmo)


@pytest.fixture
def anna(standing: "RunningRecorder", request: pytest.FixtureRequest) -> "Invited":
    """Somebody whom the standing recorder has never seen."""
    name = re.sub(r"\W", "-", request.node.name)[-60:].strip("-")
    return Invited(standing, f"a{name}")


def running(root: Path, pixmo: Path, most: int = 20) -> Iterator["RunningRecorder"]:
    """`pixmo record` on a new workspace, until the caller is done."""
    make_workspace(root, images=30)  # each test is at one or two, and three are at each
    (root / "pixmo.toml").write_text(f"[record]\nmin_seconds = 3\nmax_seconds = {most}\n")
    server = RunningRecorder(root, pixmo)
    server.start()
    yield server
    server.stop(signal.SIGINT)


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


@dataclass(frozen=True)
class Invited:
    """An annotator of a recorder that runs."""

    recorder: RunningRecorder
    name: str

    @property
    def link(self) -> str:
        """A new one."""
        invites = Invites.of(self.recorder.root / "recorder")
        token = invites.token(self.name, datetime.now(UTC) + timedelta(days=1))
        return f"http://127.0.0.1:{self.recorder.port}/a/{token}/"

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What is filed of theirs."""
        return [line for line in lines_of(self.recorder) if line["annotator"] == self.name]

    @property
    def drafts(self) -> list[str]:
        """The ids of what arrived of theirs and is not filed."""
        folder = self.recorder.root / "recorder/drafts" / self.name
        return [path.parent.name for path in folder.glob("*/0.part")]


def opened(browser: Browser | BrowserContext, link: str) -> Page:
    """The page, ready to record."""
    page = browser.new_page()
    page.set_default_timeout(15_000)
    agree(page, link)
    return page


def agree(page: Page, link: str) -> None:
    """The page is loaded and ready to record."""
    page.goto(link)
    page.get_by_role("button", name="I agree").click()
    expect(page.locator("#record")).to_be_enabled()


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


def seconds_said(page: Page) -> list[float]:
    """What the page's clock counted of each part of what is being said."""
    counted: list[float] = page.evaluate(SECONDS_SAID)
    return counted


SECONDS_SAID = """async () => {
  const done = (request) => new Promise((resolve) => { request.onsuccess = () => resolve(request.result); });
  const [{ name }] = await indexedDB.databases();
  const database = await done(indexedDB.open(name));
  return (await done(database.transaction("drafts").objectStore("drafts").get("current"))).seconds;
}"""  # noqa: E501


def breaks_in(recorder: RunningRecorder, line: dict[str, Any]) -> list[float]:
    """Where, in seconds, what is filed does not go on as what the microphone heard."""
    (file,) = (recorder.root / "audio/recorder").glob(f"*/{line['file_name']}")
    return breaks(file, HEARD_SECONDS)


def submit(page: Page) -> None:
    """What was said is filed."""
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text("Thank you", timeout=30_000)


def test_what_is_spoken_on_the_page_becomes_the_caption(
    recorder: RunningRecorder, playwright: Playwright, tmp_path: Path
) -> None:
    asked: list[str] = []
    heard = speech(tmp_path / "speech.wav")
    spoken_seconds = round(len(decode(heard)) / SAMPLE_RATE)
    with browser(heard=heard, playwright=playwright) as chrome:
        page = chrome.new_page()
        page.goto(recorder.link)
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
    model = checkpoint(tmp_path / "models")
    with (recorder.root / "pixmo.toml").open("a") as toml:
        toml.write(f'[speech]\nmodel = "{model}"\ndevice = "cpu"\n')
    transcribed = run_pixmo(recorder.pixmo, "transcribe", "audio/", cwd=recorder.root)
    assert transcribed.returncode == 0, transcribed.stderr
    query = "select caption, image_sha256 from captions"
    shown = run_pixmo(recorder.pixmo, "sql", query, "--json", cwd=recorder.root)
    assert line["image"] in shown.stdout
    (caption,) = re.findall(r'"caption": "(.*)"', shown.stdout)
    assert jiwer.wer(normalise(" ".join(SPOKEN)), normalise(caption)) < 0.15, caption


def lines_of(recorder: RunningRecorder) -> list[dict[str, Any]]:
    from pixmo.workspace.workspace import Workspace

    return lines(Workspace.open(recorder.root))


def test_a_reload_and_a_killed_server_lose_nothing(
    recorder: RunningRecorder, context: BrowserContext
) -> None:
    page = opened(context, recorder.link)
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
    said = seconds_said(page)
    assert not lines_of(recorder)
    with pytest.raises(Error, match="REFUSED"):
        page.reload()
    recorder.start()
    page.goto(recorder.link)
    expect(page.locator("#status")).to_contain_text("Thank you", timeout=45_000)
    (line,) = lines_of(recorder)
    assert f"images/{line['image']}" == image
    assert line["seconds"] == pytest.approx(sum(said), abs=MOST_APART)
    # After the reload the microphone hears its file from the beginning.
    found = breaks_in(recorder, line)
    assert found
    assert all(abs(second - said[0]) < 1.3 for second in found), (found, said)


def test_a_recording_whose_filing_was_not_heard_of_is_not_asked_for_again(
    anna: Invited, context: BrowserContext
) -> None:
    page = opened(context, anna.link)
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
    assert len(anna.lines) == 1


def test_what_a_closed_lid_counted_can_still_be_said(
    anna: Invited, context: BrowserContext
) -> None:
    page = context.new_page()
    page.clock.install()
    agree(page, anna.link)
    page.keyboard.press("Space")
    spoken_for(page, 1)
    page.clock.fast_forward(30_000)  # nothing is heard meanwhile
    expect(page.locator("#status")).to_contain_text("20 seconds are reached")
    expect(page.locator("#record")).to_be_disabled()
    page.keyboard.press("Enter")
    expect(page.locator("#problem")).to_contain_text("too short: ")
    expect(page.locator("#problem")).to_contain_text("go on speaking")
    spoken_for(page, 0)
    page.keyboard.press("Space")
    expect(page.locator("#record")).to_have_text("Pause")
    expect(page.locator("#problem")).to_be_empty()
    spoken_for(page, 5)
    page.keyboard.press("Space")
    expect(page.locator("#status")).to_contain_text("Paused")
    said = seconds_said(page)
    submit(page)
    (line,) = anna.lines
    assert line["seconds"] == pytest.approx(sum(said), abs=MOST_APART)


ROOM = 180_000  # bytes; some eight seconds of sound, of which three can be submitted


def give_room(page: Page, link: str, room: int | None) -> None:
    """The browser keeps so many bytes of what pages at this address store; None: as it will."""
    page.context.new_cdp_session(page).send(
        "Storage.overrideQuotaForOrigin",
        {"origin": link.split("/a/")[0], **({"quotaSize": room} if room else {})},
    )


@pytest.mark.parametrize("way_out", ["room is made", "it is submitted"])
def test_a_full_store_stops_the_recording_and_loses_nothing(
    anna: Invited, context: BrowserContext, way_out: str
) -> None:
    page = context.new_page()
    give_room(page, anna.link, ROOM)
    agree(page, anna.link)
    page.keyboard.press("Space")
    expect(page.locator("#problem")).to_contain_text("cannot keep what you say (QuotaExceeded")
    expect(page.locator("#record")).to_have_text("Go on")
    heard = clock_of(page)
    page.keyboard.press("Space")
    page.wait_for_timeout(300)
    expect(page.locator("#problem")).to_contain_text("cannot keep what you say (QuotaExceeded")
    expect(page.locator("#record")).to_have_text("Go on")  # nothing is recorded to be lost
    if way_out == "room is made":
        give_room(page, anna.link, None)
        page.keyboard.press("Space")
        expect(page.locator("#record")).to_have_text("Pause")
        expect(page.locator("#problem")).to_be_empty()
        spoken_for(page, heard + 3)
        page.keyboard.press("Space")
        expect(page.locator("#status")).to_contain_text("Paused")
        page.reload()
        expect(page.locator("#status")).to_contain_text("What you said before is kept")
        heard = clock_of(page)
    submit(page)
    (line,) = anna.lines
    assert line["seconds"] == pytest.approx(heard + 0.5, abs=1.0)


def clock_of(page: Page) -> int:
    """The seconds that the page says were recorded."""
    return int(page.locator("#clock").inner_text().removeprefix("0:"))


def test_a_server_without_room_says_so(anna: Invited, context: BrowserContext) -> None:
    page = opened(context, anna.link)
    told = "the server's disk is full; tell the people who invited you"
    page.route(
        re.compile("/recordings/.*/0"),
        lambda route: route.fulfill(status=507, json={"error": told}),
    )
    page.keyboard.press("Space")
    expect(page.locator("#problem")).to_contain_text(f"Nothing can be sent: {told}")
    spoken_for(page, 4)
    page.unroute_all()
    expect(page.locator("#problem")).to_be_empty(timeout=20_000)
    submit(page)
    assert len(anna.lines) == 1


def test_a_link_that_is_no_longer_valid_ends_what_is_being_said_until_there_is_a_new_one(
    recorder: RunningRecorder, context: BrowserContext
) -> None:
    page = opened(context, recorder.link)
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
    page.goto(Invited(recorder, "anna").link)
    expect(page.locator("#status")).to_contain_text("What you said before is kept")
    expect(page.locator("#clock")).to_have_text(spoken)


def test_what_is_submitted_by_a_link_taken_back_is_sent_by_a_new_one(
    anna: Invited, context: BrowserContext
) -> None:
    page = opened(context, anna.link)
    speak_until(page, 4)
    Invites.of(anna.recorder.root / "recorder").revoke(anna.name)
    page.keyboard.press("Enter")
    expect(page.locator("#problem")).to_contain_text("this link was taken back; ask for a new one")
    expect(page.locator("#problem")).to_contain_text("kept in this browser")
    expect(page.locator("#problem")).not_to_contain_text("go on speaking")
    expect(page.locator("#record")).to_be_disabled()
    page.goto(anna.link)
    expect(page.locator("#status")).to_contain_text("Thank you")
    assert len(anna.lines) == 1


def test_workspaces_at_one_address_keep_their_drafts_apart(
    recorder: RunningRecorder, context: BrowserContext, tmp_path: Path, pixmo: Path
) -> None:
    page = opened(context, recorder.link)
    speak_until(page, 3)
    spoken = page.locator("#clock").inner_text()
    recorder.stop(signal.SIGINT)
    make_workspace(tmp_path / "second", images=1)
    second = RunningRecorder(tmp_path / "second", pixmo)
    second.port = recorder.port
    second.start()
    page.close()
    page = opened(context, second.link)
    expect(page.locator("#clock")).to_have_text("0:00")
    second.stop(signal.SIGINT)
    recorder.start()
    page.goto(recorder.link)
    expect(page.locator("#clock")).to_have_text(spoken)


def test_a_second_tab_does_not_speak_over_the_first(anna: Invited, context: BrowserContext) -> None:
    link = anna.link
    first, second = opened(context, link), context.new_page()
    second.goto(link)
    expect(second.locator("#problem")).to_contain_text("another tab")
    expect(second.locator("#record")).to_be_disabled()
    first.close()
    expect(second.locator("#record")).to_be_enabled()


def test_beginning_again_deletes_and_skipping_says_why(
    anna: Invited, context: BrowserContext
) -> None:
    page = opened(context, anna.link)
    image = page.locator("#image").get_attribute("src")
    speak_until(page, 3)
    assert len(anna.drafts) == 1
    page.keyboard.press("r")
    page.get_by_role("button", name="Keep it").click()
    spoken_for(page, 3)
    page.wait_for_timeout(200)  # one press after another
    with page.expect_response(is_deletion):
        page.keyboard.press("r")
        page.get_by_role("button", name="Delete it").click()
    expect(page.locator("#clock")).to_have_text("0:00")
    assert not anna.drafts
    speak_until(page, 1)
    with page.expect_response(is_deletion):
        page.keyboard.press("s")
        page.get_by_role("button", name="Skip it").click()  # no reason is given yet
        page.get_by_label("it is disturbing").check()
        page.get_by_role("button", name="Skip it").click()
    expect(page.locator("#status")).to_have_text("Skipped.")
    expect(page.locator("#image")).not_to_have_attribute("src", str(image))
    assert not anna.drafts
    skipped = appended_objects(anna.recorder.root / "recorder/skips.jsonl")
    assert [row["reason"] for row in skipped if row["annotator"] == anna.name] == [
        "it is disturbing"
    ]
    assert not anna.lines


def is_deletion(response: Response) -> bool:
    return response.request.method == "DELETE"


def test_what_was_discarded_is_not_sent_again(anna: Invited, context: BrowserContext) -> None:
    page = opened(context, anna.link)
    speak_until(page, 2)
    (discarded,) = anna.drafts
    page.route(re.compile("/recordings/.*/1"), lambda route: route.abort())
    speak_until(page, 4)
    expect(page.locator("#problem")).to_contain_text("No connection")
    with page.expect_response(is_deletion):
        page.keyboard.press("r")
        page.get_by_role("button", name="Delete it").click()
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))
    page.unroute_all()
    page.evaluate("dispatchEvent(new Event('online'))")  # whoever waits tries again at once
    speak_until(page, 2)
    sent = {request.url.split("/recordings/")[1].split("/")[0] for request in asked}
    assert len(sent) == 1
    assert discarded not in sent
    assert set(anna.drafts) == sent


def test_what_was_discarded_without_a_connection_is_deleted_at_the_next_visit(
    anna: Invited, context: BrowserContext
) -> None:
    page = opened(context, anna.link)
    speak_until(page, 2)
    (discarded,) = anna.drafts
    page.route(
        "**/recordings/**",
        lambda route: route.abort() if route.request.method == "DELETE" else route.continue_(),
    )
    page.keyboard.press("r")
    page.get_by_role("button", name="Delete it").click()
    expect(page.locator("#problem")).to_contain_text("No connection")
    page.close()
    assert anna.drafts == [discarded]
    page = context.new_page()
    with page.expect_response(is_deletion) as deletion:
        page.goto(anna.link)
    assert discarded in deletion.value.url
    assert not anna.drafts
    page.reload()  # and only once
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))
    expect(page.locator("#record")).to_be_enabled()
    speak_until(page, 1)
    assert asked
    assert not any(request.method == "DELETE" for request in asked)


def test_a_recording_is_gone_on_with_until_it_has_all_parts_that_there_can_be(
    anna: Invited, context: BrowserContext
) -> None:
    page = opened(context, anna.link)
    speak_until(page, 1)
    expect(page.locator("#record")).to_have_text("Go on")
    for parts, is_open in ((99, True), (100, False)):
        page.evaluate(LENGTHEN, parts)
        page.reload()
        expect(page.locator("#redo")).to_be_enabled()
        expect(page.locator("#record")).to_be_enabled(enabled=is_open)


# The draft in the browser's store is one of so many parts.
LENGTHEN = """async (parts) => {
  const done = (request) => new Promise((resolve) => { request.onsuccess = () => resolve(request.result); });
  const [{ name }] = await indexedDB.databases();
  const table = (await done(indexedDB.open(name))).transaction("drafts", "readwrite").objectStore("drafts");
  const draft = await done(table.get("current"));
  while (draft.seconds.length < parts) draft.seconds.push(0);
  await done(table.put(draft, "current"));
}"""  # noqa: E501


def test_who_does_not_agree_records_nothing_and_their_answer_is_kept(
    anna: Invited, context: BrowserContext
) -> None:
    page = context.new_page()
    page.goto(anna.link)
    with page.expect_response("**/consent"):
        page.get_by_role("button", name="I do not agree").click()
    expect(page.locator("#status")).to_contain_text("Nothing is recorded")
    expect(page.locator("#record")).to_be_disabled()
    page.reload()  # she changes her mind
    page.get_by_role("button", name="I agree").click()
    expect(page.locator("#record")).to_be_enabled()
    rows = appended_objects(anna.recorder.root / "recorder/consents.jsonl")
    assert [row["agreed"] for row in rows if row["annotator"] == anna.name] == [False, True]


def test_the_image_is_zoomed_and_moved_by_keys(anna: Invited, context: BrowserContext) -> None:
    page = opened(context, anna.link)

    def pressed(key: str) -> dict[str, float]:
        page.keyboard.press(key)
        box = page.locator("#image").bounding_box()
        assert box
        return dict(box)

    whole = pressed("0")
    assert pressed("ArrowRight") == whole  # nothing to move: the page's own key
    for without_shortcuts in (False, True):
        if without_shortcuts:
            page.get_by_label("keys").uncheck()
            assert pressed("+") == whole
            page.get_by_role("group", name="Zoom and move the image").focus()
        large = pressed("+")
        assert large["width"] == pytest.approx(1.3 * whole["width"], rel=0.01)
        assert pressed("ArrowRight")["x"] < large["x"]
        assert pressed("ArrowDown")["y"] < large["y"]
        assert pressed("-")["width"] == pytest.approx(whole["width"], rel=0.01)
        assert pressed("0") == whole
    page.keyboard.press("Space")
    page.wait_for_timeout(300)
    expect(page.locator("#record")).to_have_text("Record")


@pytest.mark.parametrize(
    ("event", "told"), [("ended", "The microphone went away"), ("mute", "The microphone was muted")]
)
def test_a_microphone_that_goes_away_loses_nothing(
    anna: Invited, context: BrowserContext, event: str, told: str
) -> None:
    context.add_init_script(REMEMBER_MICROPHONE)
    page = opened(context, anna.link)
    page.keyboard.press("Space")
    spoken_for(page, 4)
    page.evaluate("name => heard.dispatchEvent(new Event(name))", event)
    expect(page.locator("#problem")).to_contain_text(told)
    expect(page.locator("#record")).to_have_text("Go on")
    (said,) = seconds_said(page)
    submit(page)
    (line,) = anna.lines
    assert line["seconds"] == pytest.approx(said, abs=MOST_APART)
    assert not breaks_in(anna.recorder, line)


@pytest.mark.parametrize(
    "ends",
    [
        "heard.dispatchEvent(new Event('ended')); submit.click()",
        "heard.stop(); setTimeout(() => submit.click(), 100)",
    ],
    ids=["while it is being stopped", "after it has stopped by itself"],
)
def test_what_was_said_last_is_waited_for_by_all_who_end_it(
    anna: Invited, context: BrowserContext, ends: str
) -> None:
    context.add_init_script(REMEMBER_MICROPHONE)
    context.add_init_script(ONE_LATE_PIECE)
    page = opened(context, anna.link)
    page.keyboard.press("Space")
    spoken_for(page, 4)
    said = clock_of(page)
    page.evaluate(f"() => {{ const submit = document.getElementById('submit'); {ends} }}")
    expect(page.locator("#status")).to_contain_text("Thank you")
    (line,) = anna.lines
    assert line["seconds"] == pytest.approx(said + 0.5, abs=0.5 + MOST_APART)


# A slow browser: all that was said comes in one piece, half a second after the end.
ONE_LATE_PIECE = """
window.MediaRecorder = class extends MediaRecorder {
  start() { super.start(); }
  addEventListener(name, heard, options) {
    const late = (event) => setTimeout(() => heard(event), this.state === "inactive" ? 500 : 0);
    super.addEventListener(name, late, options);
  }
};
"""


@pytest.mark.parametrize("page_is", ["shown", "hidden"])
def test_at_the_maximum_the_recording_ends_and_can_be_submitted(
    brief: RunningRecorder, context: BrowserContext, page_is: str
) -> None:
    if page_is == "hidden":
        context.add_init_script(HIDDEN)
    page = opened(context, brief.link)
    page.keyboard.press("Space")
    expect(page.locator("#status")).to_contain_text("5 seconds are reached")
    said = sum(seconds_said(page))
    submit(page)
    (line,) = lines_of(brief)
    assert line["seconds"] == pytest.approx(said, abs=MOST_APART)
    assert line["seconds"] == pytest.approx(5, abs=TOLERANCE_SECONDS)


# A tab that nobody looks at, whose timers never come.
HIDDEN = """
Object.defineProperty(document, "hidden", { get: () => true });
window.setInterval = () => 0;
"""


def test_the_microphone_is_heard_as_it_is(anna: Invited, context: BrowserContext) -> None:
    context.add_init_script(REMEMBER_MICROPHONE)
    page = opened(context, anna.link)
    page.keyboard.press("Space")
    expect(page.locator("#record")).to_have_text("Pause")
    changed = ("echoCancellation", "noiseSuppression", "autoGainControl")
    wanted = page.evaluate("wanted.audio")
    assert {name: wanted[name] for name in changed} == dict.fromkeys(changed, False)
    settings = page.evaluate("heard.getSettings()")
    assert {name: settings[name] for name in changed} == dict.fromkeys(changed, False)


def test_an_image_that_does_not_load_is_not_spoken_about(
    anna: Invited, context: BrowserContext
) -> None:
    page = context.new_page()
    page.route("**/images/*", lambda route: route.abort())
    page.goto(anna.link)
    page.get_by_role("button", name="I agree").click()
    expect(page.locator("#problem")).to_contain_text("The image does not load")
    expect(page.locator("#skip")).to_be_enabled()
    expect(page.locator("#record")).to_be_disabled()
    page.unroute_all()
    page.reload()
    expect(page.locator("#record")).to_be_enabled()


def test_a_connection_that_is_gone_unnoticed_is_not_waited_for(
    anna: Invited, context: BrowserContext
) -> None:
    context.add_init_script(MINUTES_ARE_SECONDS)
    page = opened(context, anna.link)
    asked: list[Route] = []
    page.route("**/skip", lambda route: asked.append(route))  # and nobody answers
    page.keyboard.press("s")
    page.get_by_label("it is disturbing").check()
    page.get_by_role("button", name="Skip it").click()
    expect(page.locator("#problem")).to_contain_text("No connection")
    assert asked
    page.unroute_all(behavior="ignoreErrors")
    expect(page.locator("#status")).to_have_text("Skipped.")


MINUTES_ARE_SECONDS = """
const real = window.setTimeout.bind(window);
window.setTimeout = (work, wait) => real(work, wait === 60_000 ? 1_000 : wait);
"""


REMEMBER_MICROPHONE = """
const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wanted) => {
  window.wanted = wanted;
  const stream = await real(wanted);
  window.heard = stream.getAudioTracks()[0];
  return stream;
};
"""


@pytest.mark.parametrize("heard", ["silence", "clipping"])
def test_the_page_says_what_is_wrong_with_the_sound(
    anna: Invited, playwright: Playwright, tmp_path: Path, heard: str
) -> None:
    time_ = np.arange(20 * 16_000) / 16_000
    loud = np.sign(np.sin(2 * np.pi * 300 * time_))
    sound = {"silence": 0 * loud, "clipping": 0.999 * loud}[heard]
    expected = {"silence": "Nothing is heard", "clipping": "clipped"}[heard]
    file = write_sound(tmp_path / "sound.wav", sound, 16_000)
    with browser(heard=file, playwright=playwright) as chrome:
        page = opened(chrome, anna.link)
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
    anna: Invited, playwright: Playwright, arguments: tuple[str, ...], expected: str
) -> None:
    with browser(*arguments, playwright=playwright) as chrome:
        page = opened(chrome, anna.link)
        page.keyboard.press("Space")
        expect(page.locator("#problem")).to_contain_text(expected)
        expect(page.locator("#record")).to_be_enabled()
    assert not anna.lines


def test_the_page_can_be_used_on_a_phone_and_with_a_screen_reader(
    anna: Invited, chrome: Browser
) -> None:
    with chrome.new_context(
        viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True, bypass_csp=True
    ) as context:
        page = context.new_page()
        page.goto(anna.link)
        found = Axe().run(page)
        assert not found.violations_count, found.generate_report()
        page.get_by_role("button", name="I agree").tap()
        expect(page.locator("#record")).to_be_enabled()
        found = Axe().run(page)
        assert not found.violations_count, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        for name in ("Record", "Listen", "Begin again", "Submit", "Skip"):
            expect(page.get_by_role("button", name=name, exact=True)).to_be_in_viewport(ratio=1)
        expect(page.get_by_label("keys")).to_be_in_viewport(ratio=1)
        for region in ("#problem", "#status"):  # or what comes to stand there is not read out
            shown = f"getComputedStyle(document.querySelector('{region}')).display"
            assert page.evaluate(shown) == "block"
        expect(page.locator("#image")).to_be_in_viewport()
        before = page.locator("#image").bounding_box()
        page.get_by_role("button", name="Zoom in").tap()
        after = page.locator("#image").bounding_box()
        assert before
        assert after
        assert after["width"] == pytest.approx(1.3 * before["width"], rel=0.01)
        page.get_by_role("button", name="Whole image").tap()
        assert page.locator("#image").bounding_box() == before


@pytest.mark.parametrize(
    ("width", "height"), [(640, 360), (800, 360), (320, 256)], ids=["phone", "wide", "zoomed"]
)
def test_on_a_low_window_the_image_is_seen_and_the_rest_scrolled_to(
    anna: Invited, context: BrowserContext, width: int, height: int
) -> None:
    page = opened(context, anna.link)
    page.set_viewport_size({"width": width, "height": height})
    box = page.locator("#picture").bounding_box()
    assert box
    assert box["height"] >= 200
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for name in ("Record", "Skip"):
        button = page.get_by_role("button", name=name, exact=True)
        button.scroll_into_view_if_needed()
        expect(button).to_be_in_viewport(ratio=1)


def test_behind_a_proxy_it_works_under_a_path_and_https(
    anna: Invited, playwright: Playwright, tmp_path: Path
) -> None:
    base, _, token = anna.link.partition("/a/")
    heard = write_sound(tmp_path / "tone.wav", sweep(20, 16_000), 16_000)
    with (
        https_proxy(base, "/studio/speak", tmp_path) as public,
        browser("--ignore-certificate-errors", heard=heard, playwright=playwright) as chrome,
    ):
        # The link lost its last slash on the way to her.
        page = opened(chrome, f"{public}/a/{token.removesuffix('/')}")
        assert page.url == f"{public}/a/{token}"
        speak_until(page, 4)
        submit(page)
    assert len(anna.lines) == 1


def test_a_tampered_link_says_so_and_nothing_else(anna: Invited, context: BrowserContext) -> None:
    page = context.new_page()
    answer = page.goto(anna.link.replace("/a/", "/a/x"))
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


def test_an_upload_of_two_gigabytes_is_refused_at_once(anna: Invited) -> None:
    link = anna.link
    agree = f"{link}consent"
    text = subprocess.run(["curl", "-s", f"{link}session"], capture_output=True, check=True).stdout
    sha256 = re.findall(r'"text_sha256":"(\w+)"', text.decode())[0]
    answer = f'{{"text_sha256":"{sha256}","agreed":true}}'
    subprocess.run(["curl", "-s", agree, "-d", answer], check=True)
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
    assert not anna.drafts
