"""Recordings as people really hand them in: real files by real codecs, heard by the shipped model.

Each is either heard as what it is or set aside with its reason, and the rest of the run goes on.
"""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soxr

from pixmo.demo.recogniser import checkpoint
from pixmo.errors import AudioError
from pixmo.images.store import add_images
from pixmo.speech.audio import SAMPLE_RATE, Samples, decode
from pixmo.speech.guards import guards
from pixmo.speech.prepare import prepare
from pixmo.speech.recogniser import Window
from pixmo.speech.recordings import find
from pixmo.speech.speech_activity import one_thread, speech_spans
from pixmo.speech.transcribe import transcribe
from pixmo.speech.whisper_model import WhisperRecogniser
from pixmo.text import normalise
from pixmo.workspace.workspace import Workspace
from tests.sounds import said, silence, write_sound
from tests.workspaces import picture

SENTENCES = ("There are two red circles at the top.", "The background is green.")
TEN_HOURS = 36_000
PACKET_SECONDS = 0.06


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory: pytest.TempPathFactory) -> WhisperRecogniser:
    return WhisperRecogniser.load(str(checkpoint(tmp_path_factory.mktemp("models"))), "cpu")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Its images are a, b and c; a recording is linked to one by its stem."""
    opened = Workspace.init(tmp_path / "world")
    for folder in (opened.images, opened.audio):
        folder.mkdir(exist_ok=True)
    for seed, name in enumerate(("a", "b", "c")):
        picture(seed, (48, 32)).save(opened.images / f"{name}.png")
    add_images(opened, opened.images)
    return opened


def speech() -> Samples:
    return np.concatenate([piece for text in SENTENCES for piece in (said(text), silence(0.8))])


def at_rate(samples: Samples, rate: int) -> Samples:
    resampled: Samples = soxr.resample(samples, SAMPLE_RATE, rate).clip(-1, 1)
    return resampled


def write_film(path: Path, samples: Samples | None) -> Path:
    """Ten seconds of a moving picture, with the samples at 16 kHz as its sound."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height = 64, 48
        sound = (
            container.add_stream("aac", rate=48_000, layout="mono") if samples is not None else 0
        )
        for number in range(100):
            image = np.full((48, 64, 3), number, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
        if sound:
            whole = (at_rate(samples, 48_000) * 32767).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(whole, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
            for packets in (sound.encode(frame), sound.encode(None)):
                container.mux(packets)
    return path


def write_ten_hours(path: Path, muxer: str, options: dict[str, str]) -> Path:
    """Ten hours of silence, encoded once and repeated."""
    with av.open(str(path), "w", format=muxer, options=options) as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        stream.options = {"frame_duration": "60"}
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.int16), "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        silent = bytes(stream.encode(frame)[-1])
        for number in range(int(TEN_HOURS / PACKET_SECONDS)):
            packet = av.Packet(silent)
            packet.stream, packet.time_base = stream, Fraction(1, 48_000)
            packet.pts = packet.dts = number * int(PACKET_SECONDS * 48_000)
            packet.duration = int(PACKET_SECONDS * 48_000)
            container.mux(packet)
    return path


def chords(seconds: float) -> Samples:
    """An organ that plays four chords, over and over."""
    roots = (220.0, 174.6, 261.6, 196.0)
    pieces = []
    for number in range(int(seconds)):
        time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
        tones = [roots[number % 4] * interval for interval in (0.5, 1, 1.26, 1.5, 2)]
        chord = sum(np.sin(2 * np.pi * tone * h * time) / h for tone in tones for h in (1, 2, 3))
        pieces.append(0.06 * chord * np.exp(-time))
    return np.concatenate(pieces).astype(np.float32)


def rows(workspace: Workspace, query: str) -> list[tuple[Any, ...]]:
    with workspace.connect() as connection:
        return connection.execute(query).fetchall()


def heard(workspace: Workspace) -> dict[str, str]:
    """What counts as said, by the recording's path."""
    query = "select path, text from current_transcripts join recordings using (recording_sha256)"
    return {path.removeprefix("audio/"): text for path, text in rows(workspace, query)}


def set_aside(workspace: Workspace) -> dict[str, tuple[str, str]]:
    """Reason and detail, by path."""
    found = workspace.read("set_aside").to_pylist()
    return {row["path"].removeprefix("audio/"): (row["reason"], row["detail"]) for row in found}


def test_what_cannot_be_heard_is_set_aside_and_the_rest_is_heard(
    workspace: Workspace, recogniser: WhisperRecogniser
) -> None:
    audio = workspace.audio
    (audio / "a__empty.webm").touch()
    (audio / "a__text.wav").write_text("This is only a text.\n" * 50)
    write_film(audio / "a__silent film.mp4", None)
    whole = write_sound(audio / "b.webm", at_rate(speech(), 48_000)).read_bytes()
    for place in (1, 40, 300, 1000, len(whole) // 2, int(len(whole) * 0.9), len(whole) - 1):
        (audio / f"a__cut-{place:06}.webm").write_bytes(whole[:place])
    done = transcribe(workspace, audio, recogniser)
    assert heard(workspace).keys() == {"b.webm"}
    assert (done.transcribed, done.set_aside) == (1, 10)
    found = set_aside(workspace)
    assert found.pop("a__empty.webm") == ("empty file", "0 bytes")
    assert found.pop("a__text.wav")[0] == "not a sound file"
    assert found.pop("a__silent film.mp4") == ("no sound in this file", "it has no audio stream")
    assert found.pop("a__cut-000001.webm")[0] == "not a sound file"
    assert len(found) == 6
    for reason, detail in found.values():
        assert reason in ("truncated recording", "damaged recording")
        assert detail
    again = transcribe(workspace, audio, recogniser)
    assert (again.transcribed, again.known, again.set_aside) == (0, 1, 10)


def test_the_same_words_at_any_rate_in_any_container(
    workspace: Workspace, recogniser: WhisperRecogniser
) -> None:
    audio = workspace.audio
    write_sound(audio / "a.wav", speech(), SAMPLE_RATE)
    write_sound(audio / "a__telephone.wav", at_rate(speech(), 8_000), 8_000)
    write_sound(audio / "a__studio.wav", at_rate(speech(), 96_000), 96_000, "5.1")
    write_sound(audio / "a__studio.flac", at_rate(speech(), 96_000), 96_000, "5.1")
    write_film(audio / "b.mp4", speech())
    name = "b__Zoë's take 2 (final) 🎙️ ‮.webm"
    write_sound(audio / name, at_rate(speech(), 48_000))
    assert transcribe(workspace, audio, recogniser).set_aside == 0
    found = heard(workspace)
    assert len(found) == 6
    assert name in found
    expected = normalise(" ".join(SENTENCES))
    assert {path: normalise(text) for path, text in found.items()} == dict.fromkeys(found, expected)


MEASURED = """
import sys, time, tracemalloc
from pathlib import Path
from pixmo.errors import AudioError
from pixmo.speech.audio import decode
tracemalloc.start()  # numpy tells it what it takes for samples
begun = time.monotonic()
try:
    decode(Path(sys.argv[1]))
except AudioError as error:
    print(error)
print(time.monotonic() - begun, tracemalloc.get_traced_memory()[1] / 1e6)
"""


@pytest.mark.parametrize(
    ("name", "muxer", "options"),
    [("c.opus", "ogg", {}), ("c.webm", "webm", {}), ("c__live.webm", "webm", {"live": "1"})],
)
def test_ten_hours_are_set_aside_soon_and_in_little_memory(
    tmp_path: Path, name: str, muxer: str, options: dict[str, str]
) -> None:
    path = write_ten_hours(tmp_path / name, muxer, options)
    assert 1_000_000 < path.stat().st_size < 20_000_000
    command = [sys.executable, "-c", MEASURED, str(path)]
    told, figures = subprocess.check_output(command, text=True).splitlines()
    assert told == "too long: more than 1 h"
    seconds, megabytes = map(float, figures.split())
    assert seconds < 30  # all of it decoded takes minutes
    assert megabytes < 10  # and 2 GB


def test_two_languages_in_one_recording(
    workspace: Workspace, recogniser: WhisperRecogniser
) -> None:
    german = said("Auf dem Bild sind zwei rote Kreise und ein großer blauer Stern.", "de")
    both = np.concatenate([said(SENTENCES[0]), silence(0.8), german, silence(0.8)])
    write_sound(workspace.audio / "a.wav", both, SAMPLE_RATE)
    assert transcribe(workspace, workspace.audio, recogniser).transcribed == 1
    assert normalise(heard(workspace)["a.wav"]).startswith(normalise(SENTENCES[0]))


def test_music_is_no_text_and_what_is_heard_in_it_anyway_trips_the_guards(
    workspace: Workspace, recogniser: WhisperRecogniser
) -> None:
    write_sound(workspace.audio / "a.wav", chords(6), SAMPLE_RATE)
    transcribe(workspace, workspace.audio, recogniser)
    assert len(normalise(heard(workspace)["a.wav"]).split()) <= 2
    # Without the detector the model would have heard something.
    music = decode(workspace.audio / "a.wav")
    asked = Window((0, 0), 6.0, recogniser.features(music))
    with one_thread():  # more are slower for so small a model
        [(_, recognition)] = recogniser.recognise([asked], "en")
    assert recognition.segments
    assert guards(recognition.segments, speech_spans(music)).words_over_silence_share > 0.9


def test_links_that_lead_in_circles_are_not_followed(workspace: Workspace) -> None:
    write_sound(workspace.audio / "a.wav", speech(), SAMPLE_RATE)
    (workspace.audio / "b.wav").symlink_to("b__other.wav")
    (workspace.audio / "b__other.wav").symlink_to("b.wav")
    deep = workspace.audio / "deep"
    deep.mkdir()
    (deep / "up").symlink_to(workspace.audio)
    found = find(workspace, workspace.audio)
    assert [recording.path for recording in found.recordings] == ["audio/a.wav"]
    assert [(item.path, item.reason) for item in found.set_aside] == [
        ("audio/b.wav", "not a recording"),
        ("audio/b__other.wav", "not a recording"),
        ("audio/deep/up", "not a recording"),
    ]


def test_the_same_file_under_two_names_is_one_recording(
    workspace: Workspace, recogniser: WhisperRecogniser
) -> None:
    first = write_sound(workspace.audio / "a.wav", speech(), SAMPLE_RATE)
    (workspace.audio / "b.wav").write_bytes(first.read_bytes())
    (workspace.audio / "c.wav").symlink_to("a.wav")
    assert transcribe(workspace, workspace.audio, recogniser).transcribed == 1
    [recording] = workspace.read("recordings").to_pylist()
    assert recording["path"] == "audio/a.wav"
    copy = ("same bytes as another recording", "same as audio/a.wav")
    assert set_aside(workspace) == {"b.wav": copy, "c.wav": copy}
    keys = {row["key"] for row in workspace.read("set_aside").to_pylist()}
    assert keys == {recording["recording_sha256"]}


def test_metadata_that_names_no_file(workspace: Workspace, recogniser: WhisperRecogniser) -> None:
    write_sound(workspace.audio / "x.wav", speech(), SAMPLE_RATE)
    lines = '{"file_name": "gone.wav", "image": "a.png"}\n{"file_name": "x.wav", "image": "b.png"}'
    (workspace.audio / "metadata.jsonl").write_text(lines)
    assert transcribe(workspace, workspace.audio, recogniser).transcribed == 1
    assert heard(workspace).keys() == {"x.wav"}
    [row] = workspace.read("set_aside").to_pylist()
    assert (row["reason"], row["path"]) == ("metadata names no file", "audio/gone.wav")
    assert row["detail"] == "named in audio/metadata.jsonl line 1"


@pytest.fixture(params=[{}, {"live": "1"}], ids=["file", "live"])
def growing(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    """A whole webm, of which a recorder has written a part so far."""
    sound = at_rate(speech(), 48_000)
    return write_sound(tmp_path / "whole.webm", sound, options=request.param).read_bytes()


def test_a_file_that_is_still_being_written_is_heard_once_it_is_whole(
    workspace: Workspace, recogniser: WhisperRecogniser, growing: bytes
) -> None:
    path = workspace.audio / "a.webm"
    for share in (0.3, 0.7):
        path.write_bytes(growing[: int(len(growing) * share)])
        done = transcribe(workspace, workspace.audio, recogniser)
        assert (done.transcribed, done.set_aside) == (0, 1)
        assert set_aside(workspace)["a.webm"][0] == "truncated recording"
    path.write_bytes(growing)
    done = transcribe(workspace, workspace.audio, recogniser)
    assert (done.transcribed, done.set_aside) == (1, 0)
    assert normalise(heard(workspace)["a.webm"]) == normalise(" ".join(SENTENCES))
    assert len(workspace.read("transcripts")) == 1


def test_a_file_that_changes_while_it_is_read_is_not_heard(
    workspace: Workspace, recogniser: WhisperRecogniser
) -> None:
    path = write_sound(workspace.audio / "a.wav", speech(), SAMPLE_RATE)
    [recording] = find(workspace, workspace.audio).recordings
    write_sound(path, np.tile(speech(), 2), SAMPLE_RATE)
    fault = prepare(recording, recogniser.features)
    assert isinstance(fault, AudioError)
    assert str(fault).startswith("changed while it was read: ")
    path.unlink()
    assert isinstance(prepare(recording, recogniser.features), AudioError)


def test_clipping_is_measured(workspace: Workspace, recogniser: WhisperRecogniser) -> None:
    loud = speech() / np.abs(speech()).max()
    for name, gain in (("a.webm", 0.7), ("b.webm", 5.0)):
        sound = at_rate(loud, 48_000) * gain
        write_sound(workspace.audio / name, sound.clip(-1, 1))
    transcribe(workspace, workspace.audio, recogniser)
    query = "select path, clipped_share from current_transcripts join recordings using"
    shares = dict(rows(workspace, f"{query} (recording_sha256)"))
    assert shares["audio/a.webm"] == 0
    assert shares["audio/b.webm"] > 0.001
