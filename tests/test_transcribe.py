"""pixmo.speech.transcribe and .whisper_model: a real, very small Whisper hears real recordings."""

import dataclasses
import functools
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import whisper

from pixmo.demo.recogniser import checkpoint as shipped_checkpoint
from pixmo.errors import ModelError, SpeechError, WorkspaceError
from pixmo.hashing import sha256_file
from pixmo.images.store import add_images
from pixmo.speech.audio import Samples
from pixmo.speech.hear import CLIPS_AHEAD, mean_language_prob, shifted
from pixmo.speech.recogniser import Recognition, Segment, Window, Word
from pixmo.speech.speech_activity import Span
from pixmo.speech.transcribe import Transcribed, transcribe
from pixmo.speech.whisper_guards import timed_tokens
from pixmo.speech.whisper_model import WhisperRecogniser
from pixmo.workspace.workspace import Workspace
from tests.conftest import ROOT
from tests.sounds import said, silence, write_sound, write_speech
from tests.tiny_whisper import make_tiny_whisper
from tests.workspaces import picture

SENTENCES = (
    "There are two red circles at the top.",
    "I can see a large blue star on the left.",
    "The background is green.",
    "There is no text in the picture.",
    "A yellow triangle is next to the sign.",
    "That is all I can see.",
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_whisper(tmp_path_factory.mktemp("models") / "tiny.pt")


@pytest.fixture(scope="module")
def recogniser(checkpoint: Path) -> WhisperRecogniser:
    return WhisperRecogniser.load(str(checkpoint), "cpu")


def make_workspace(root: Path) -> Workspace:
    """Good recordings, and one of every kind that goes wrong."""
    workspace = Workspace.init(root)
    workspace.images.mkdir()
    workspace.audio.mkdir()
    for seed, _ in enumerate(SENTENCES):
        picture(seed, (48, 32)).save(workspace.images / f"scene-{seed}.png")
    add_images(workspace, workspace.images)
    audio = workspace.audio
    for seed, text in enumerate(SENTENCES):
        suffix = ("webm", "wav", "opus")[seed % 3]
        write_speech(audio / f"scene-{seed}.{suffix}", text)
    write_sound(audio / "scene-0__silent.webm", silence(4.0), 16_000)
    (audio / "scene-1__corrupt.webm").write_bytes(bytes(range(256)) * 20)
    whole = (audio / "scene-3.webm").read_bytes()
    (audio / "scene-2__cut.webm").write_bytes(whole[: len(whole) // 2])
    write_speech(audio / "nowhere.wav", SENTENCES[0])
    return workspace


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Made once: encoders write other bytes each time. Never to be changed."""
    return make_workspace(tmp_path_factory.mktemp("untouched") / "world")


@pytest.fixture(scope="module")
def transcribed(
    untouched: Workspace, recogniser: WhisperRecogniser, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workspace, Transcribed]:
    """An undisturbed run, and what it says it did. Never to be changed."""
    workspace = copy_of(untouched, tmp_path_factory.mktemp("transcribed"))
    return workspace, transcribe(workspace, workspace.audio, recogniser)


def copy_of(workspace: Workspace, folder: Path) -> Workspace:
    return Workspace.open(Path(shutil.copytree(workspace.root, folder / "copy")))


@pytest.fixture
def workspace(untouched: Workspace, tmp_path: Path) -> Workspace:
    return copy_of(untouched, tmp_path)


@pytest.fixture
def done(transcribed: tuple[Workspace, Transcribed], tmp_path: Path) -> Workspace:
    return copy_of(transcribed[0], tmp_path)


def tables(workspace: Workspace) -> dict[str, list[dict[str, Any]]]:
    names = ("recordings", "transcripts", "set_aside")
    return {name: workspace.read(name).to_pylist() for name in names}


def test_every_recording_is_heard_or_set_aside(
    transcribed: tuple[Workspace, Transcribed], checkpoint: Path
) -> None:
    workspace, done = transcribed
    found = tables(workspace)
    transcripts = found["transcripts"]
    paths = {row["recording_sha256"]: row["path"] for row in found["recordings"]}
    assert [paths[row["recording_sha256"]] for row in transcripts] == [
        "audio/scene-0.webm",
        "audio/scene-0__silent.webm",
        "audio/scene-1.wav",
        "audio/scene-2.opus",
        "audio/scene-3.webm",
        "audio/scene-4.wav",
        "audio/scene-5.opus",
    ]
    assert [(row["path"], row["reason"]) for row in found["set_aside"]] == [
        ("audio/nowhere.wav", "no image for this recording"),
        ("audio/scene-1__corrupt.webm", "not a sound file"),
        ("audio/scene-2__cut.webm", "truncated recording"),
    ]
    assert all(row["detail"] for row in found["set_aside"])
    seconds = sum(row["duration_seconds"] for row in transcripts)
    speech = sum(row["speech_seconds"] for row in transcripts)
    assert done == Transcribed(7, 0, 3, seconds, speech)
    assert len({row["text"] for row in transcripts}) == 7  # different sounds, different texts
    for row in transcripts:
        assert row["model"] == "tiny"
        assert row["model_sha256"] == sha256_file(checkpoint)
        assert (row["source"], row["language"]) == ("speech", "en")
        assert row["text"] == " ".join(segment["text"] for segment in row["segments"])
        for segment in row["segments"]:
            assert 0 <= segment["start"] <= segment["end"] <= row["duration_seconds"]


def test_measures_of_one_transcript(transcribed: tuple[Workspace, Transcribed]) -> None:
    row = tables(transcribed[0])["transcripts"][0]
    spoken = len(said(SENTENCES[0])) / 16_000
    assert row["duration_seconds"] == pytest.approx(spoken + 1.0, abs=0.05)
    assert row["speech_seconds"] == pytest.approx(spoken, abs=0.3)
    expected = 60 * len(row["text"].split()) / row["speech_seconds"]
    assert row["words_per_minute"] == pytest.approx(expected, rel=0.3)
    assert row["compression_ratio"] == pytest.approx(row["segments"][0]["compression_ratio"])
    assert row["avg_logprob"] == pytest.approx(row["segments"][0]["avg_logprob"])
    assert row["no_speech_prob"] == row["segments"][0]["no_speech_prob"]


def test_silence_is_no_text(transcribed: tuple[Workspace, Transcribed]) -> None:
    silent = tables(transcribed[0])["transcripts"][1]
    assert silent["text"] == ""
    assert silent["segments"] == []
    assert silent["speech_seconds"] == 0
    assert silent["duration_seconds"] == pytest.approx(4.0, abs=0.05)
    nothing = ("words_per_minute", "avg_logprob", "no_speech_prob")
    assert [silent[name] for name in nothing] == [None, None, None]


def test_a_second_run_does_nothing(done: Workspace, checkpoint: Path) -> None:
    before = tables(done)
    idle = WhisperRecogniser.load(str(checkpoint))
    assert transcribe(done, done.audio, idle) == Transcribed(0, 7, 3, 0, 0)
    assert tables(done) == before
    for path in done.audio.glob("scene-*__c*.webm"):  # what cannot be decoded is tried again
        path.unlink()
    idle = WhisperRecogniser.load(str(checkpoint))
    assert transcribe(done, done.audio, idle) == Transcribed(0, 7, 1, 0, 0)
    assert "model" not in vars(idle)  # the weights were not even loaded


def test_an_image_that_comes_later(done: Workspace, recogniser: WhisperRecogniser) -> None:
    picture(99, (48, 32)).save(done.images / "nowhere.png")
    add_images(done, done.images)
    again = transcribe(done, done.audio, recogniser)
    assert (again.transcribed, again.known, again.set_aside) == (1, 7, 2)
    last = tables(done)["recordings"][-1]
    assert (last["path"], last["ordinal"]) == ("audio/nowhere.wav", 8 + 1)


def test_another_model_is_asked_anew_and_the_first_one_not_twice(
    done: Workspace, recogniser: WhisperRecogniser, tmp_path: Path
) -> None:
    first = tables(done)["transcripts"]
    other = WhisperRecogniser.load(str(make_tiny_whisper(tmp_path / "other.pt", seed=1)), "cpu")
    assert transcribe(done, done.audio, other).transcribed == 7
    second = tables(done)["transcripts"][7:]
    assert {row["text"] for row in second} & {row["text"] for row in first} == {""}
    # Going back costs no hearing, but the first model's transcripts count again.
    assert transcribe(done, done.audio, recogniser).known == 7
    assert tables(done)["transcripts"] == [*first, *second, *first]
    with done.connect() as connection:
        current = connection.execute("select text from current_transcripts order by 1").fetchall()
    assert [text for (text,) in current] == sorted(row["text"] for row in first)


def windows_of(recogniser: WhisperRecogniser, sounds: Sequence[Samples]) -> list[Window]:
    return [
        Window((clip, 0), len(samples) / 16_000, recogniser.features(samples))
        for clip, samples in enumerate(sounds)
    ]


def heard(
    recogniser: WhisperRecogniser, windows: Sequence[Window], language: str = "en"
) -> dict[tuple[int, int], Recognition]:
    return {window.key: said for window, said in recogniser.recognise(windows, language)}


def test_text_does_not_depend_on_what_was_heard_beside(recogniser: WhisperRecogniser) -> None:
    windows = windows_of(recogniser, [said(text) for text in SENTENCES])
    torch.manual_seed(5)
    together = heard(recogniser, windows)
    torch.manual_seed(6)
    for window in windows:
        assert same(heard(recogniser, [window])[window.key], together[window.key])
    assert any(segment.temperature > 0 for one in together.values() for segment in one.segments)


def same(one: Recognition, other: Recognition) -> bool:
    """The same words at the same times; probabilities to what rounding leaves."""
    return [(s.text, s.start, s.end, s.temperature) for s in one.segments] == [
        (s.text, s.start, s.end, s.temperature) for s in other.segments
    ] and all(
        a.avg_logprob == pytest.approx(b.avg_logprob, abs=1e-3)
        for a, b in zip(one.segments, other.segments, strict=True)
    )


def test_segments_between_timestamps() -> None:
    begin = 100
    tokens = [100, 1, 2, 150, 150, 3, 250, 260, 4, 5]
    assert list(timed_tokens(tokens, begin, 2.5)) == [
        (0.0, 1.0, [1, 2]),
        (1.0, 2.5, [3]),
        (2.5, 2.5, [4, 5]),
    ]
    assert list(timed_tokens([7, 8], begin, 2.5)) == [(0.0, 2.5, [7, 8])]


def test_times_count_from_the_start_of_the_recording(
    workspace: Workspace, recogniser: WhisperRecogniser
) -> None:
    for path in workspace.audio.iterdir():
        path.unlink()
    samples = torch.cat([torch.from_numpy(p) for p in (silence(7), said(SENTENCES[0]), silence(9))])
    both = torch.cat([samples, torch.from_numpy(said(SENTENCES[1]))]).numpy()
    write_sound(workspace.audio / "scene-0.wav", both, 16_000)
    transcribe(workspace, workspace.audio, recogniser)
    [row] = tables(workspace)["transcripts"]
    second = 16 + len(said(SENTENCES[0])) / 16_000
    starts = [segment["start"] for segment in row["segments"]]
    assert all(6.5 < start < second - 8 or start > second - 0.5 for start in starts)
    assert min(starts) < second < max(starts) + 0.5


CHILD = """
import sys
from pathlib import Path
from pixmo.speech import transcribe
from pixmo.speech.whisper_model import WhisperRecogniser
from pixmo.workspace.workspace import Workspace
transcribe.PART_SECONDS = 0.0
workspace = Workspace.open(Path(sys.argv[1]))
slow = WhisperRecogniser.load(sys.argv[2], "cpu", slots=4)
transcribe.transcribe(workspace, workspace.audio, slow)
"""


def run_child(workspace: Workspace, checkpoint: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", CHILD, str(workspace.root), str(checkpoint)])


def wait_for_parts(workspace: Workspace, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(workspace.table("transcripts").parts()) < count and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_goes_on_where_it_was(
    workspace: Workspace,
    transcribed: tuple[Workspace, Transcribed],
    checkpoint: Path,
    recogniser: WhisperRecogniser,
    stop: signal.Signals,
) -> None:
    stopped = workspace
    child = run_child(stopped, checkpoint)
    wait_for_parts(stopped, 1)
    child.send_signal(stop)
    assert child.wait(30) != 0
    some = len(tables(stopped)["transcripts"])
    assert 0 < some < 7
    done = transcribe(stopped, stopped.audio, recogniser)
    assert (done.transcribed, done.known) == (7 - some, some)
    assert tables(stopped) == tables(transcribed[0])
    assert not list((stopped.root / "tables").rglob("*.tmp"))


def test_what_is_finished_is_kept_when_the_recogniser_fails(
    workspace: Workspace, recogniser: WhisperRecogniser
) -> None:
    class Failing:
        """Hears two recordings and then breaks."""

        name, sha256, options = recogniser.name, recogniser.sha256, recogniser.options
        device, features = recogniser.device, recogniser.features

        def recognise(self, windows: Any, language: str) -> Any:
            for number, window in enumerate(windows):
                if number == 2:
                    raise ModelError("out of memory")
                yield from recogniser.recognise([window], language)

    with pytest.raises(ModelError, match="out of memory"):
        transcribe(workspace, workspace.audio, Failing())
    assert len(tables(workspace)["transcripts"]) == 3  # the silent one was not asked about
    assert transcribe(workspace, workspace.audio, recogniser).transcribed == 4


def test_an_interrupt_keeps_what_was_heard_though_longer_recordings_come_behind(
    workspace: Workspace, tmp_path: Path
) -> None:
    by_four = WhisperRecogniser.load(str(shipped_checkpoint(tmp_path)), "cpu", slots=1)

    class Stopped:
        """Hears four windows side by side and is stopped when the tenth is asked for."""

        name, sha256, options = by_four.name, by_four.sha256, by_four.options
        device, features = by_four.device, by_four.features

        def recognise(self, windows: Any, language: str) -> Any:
            def until_stopped() -> Any:
                for number, window in enumerate(windows):
                    if number == 9:
                        raise KeyboardInterrupt
                    yield window

            return by_four.recognise(until_stopped(), language)

    for path in workspace.audio.iterdir():
        path.unlink()
    for number in range(12):
        picture(20 + number, (48, 32)).save(workspace.images / f"{number:02}.png")
        pieces = [said(SENTENCES[number % 6]), silence(0.5)] * (1 + number // 4)
        write_sound(workspace.audio / f"{number:02}.wav", np.concatenate(pieces), 16_000)
    add_images(workspace, workspace.images)
    with pytest.raises(KeyboardInterrupt):
        transcribe(workspace, workspace.audio, Stopped(), workers=0)
    assert len(tables(workspace)["transcripts"]) >= 9 - 4 - 1


def test_no_more_is_prepared_ahead_than_is_needed(
    workspace: Workspace, recogniser: WhisperRecogniser
) -> None:
    """Of an hour of speech the spectrograms are 190 MB, so few may wait."""
    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    most = [0]

    class Spectrogram:
        """Can be counted."""

        def __init__(self, _: Samples) -> None:
            alive.add(self)

    class Late:
        """Answers once it has taken all windows in, of which it keeps no spectrogram."""

        name, sha256, options = recogniser.name, recogniser.sha256, recogniser.options
        device, features = recogniser.device, Spectrogram

        def recognise(self, windows: Any, language: str) -> Any:  # noqa: ARG002
            taken = []
            for window in windows:
                most[0] = max(most[0], len(alive))
                taken.append(dataclasses.replace(window, features=None))
            yield from ((window, Recognition((), None)) for window in taken)

    transcribe(workspace, workspace.audio, Late(), workers=0)
    assert len(tables(workspace)["transcripts"]) == 7
    assert 1 <= most[0] <= 2  # the one being heard, and the one before it


def waiting_features(samples: Samples, folder: Path) -> Samples:
    """What a process beside the model makes of a window; a file in `folder` says that it did."""
    (folder / uuid.uuid4().hex).touch()
    return samples


def test_processes_beside_the_model_prepare_only_so_many_ahead(
    workspace: Workspace, recogniser: WhisperRecogniser, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    made.mkdir()

    def count() -> int:
        return sum(1 for _ in made.iterdir())

    class Slow:
        """Hears nothing until the processes have nothing more to do."""

        name, sha256, options = "slow", recogniser.sha256, recogniser.options
        device = "cpu"
        features = functools.partial(waiting_features, folder=made)

        def recognise(self, windows: Any, language: str) -> Any:  # noqa: ARG002
            first = next(windows)
            deadline = time.monotonic() + 30
            while count() < CLIPS_AHEAD and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(1.0)
            assert CLIPS_AHEAD <= count() <= CLIPS_AHEAD + 1  # and the one that was taken
            for window in (first, *windows):
                yield window, Recognition((), None)

    for path in workspace.audio.glob("*"):
        path.unlink()
    for number in range(2 * CLIPS_AHEAD):
        picture(20 + number, (48, 32)).save(workspace.images / f"{number:02}.png")
        sound = np.concatenate([said(SENTENCES[0]), silence(0.5 + number / 100)])
        write_sound(workspace.audio / f"{number:02}.wav", sound, 16_000)
    add_images(workspace, workspace.images)
    done = transcribe(workspace, workspace.audio, Slow(), workers=1)
    assert done.transcribed == 2 * CLIPS_AHEAD


def test_segments_and_their_words_move_together() -> None:
    word = Word(1.0, 1.5, "red", 0.9)
    moved = shifted(Segment(0.5, 2.0, "red", -0.1, 1.0, 0.0, 0.0, (word,)), 29.0)
    assert (moved.start, moved.end) == (29.5, 31.0)
    assert moved.words == (Word(30.0, 30.5, "red", 0.9),)


def test_a_recordings_language_is_that_of_its_windows_by_their_lengths() -> None:
    spans = [Span(0, 30 * 16_000), Span(30 * 16_000, 40 * 16_000), Span(40 * 16_000, 50 * 16_000)]
    recognitions = [Recognition((), prob) for prob in (1.0, 0.2, None)]
    assert mean_language_prob(spans, recognitions) == pytest.approx(0.8)
    assert mean_language_prob(spans, [Recognition((), None)] * 3) is None


def test_a_transcript_of_a_replaced_file_counts_no_more(
    done: Workspace, recogniser: WhisperRecogniser
) -> None:
    views = ("current_transcripts", "latest_transcripts", "linked_transcripts")

    def counted() -> list[int]:
        with done.connect() as connection:
            return [
                connection.execute(f"select count(*) from {view}").fetchall()[0][0]
                for view in views
            ]

    assert counted() == [7, 7, 7]
    write_speech(done.audio / "scene-1.wav", "A hundred people, and one dog.")
    transcribe(done, done.audio, recogniser)
    assert len(tables(done)["transcripts"]) == 8
    assert counted() == [7, 7, 7]


def test_queries_in_the_docs_run(done: Workspace) -> None:
    text = (ROOT / "docs" / "transcribing.md").read_text("utf-8")
    queries = re.findall(r'pixmo sql "([^"]+)"', text)
    assert len(queries) == 2
    with done.connect() as connection:
        for query in queries:
            connection.execute(query).fetchall()
        # Nobody asked for the times of words here; whoever did finds them in these columns.
        words = next(query for query in queries if "words, max" in query)
        assert [column[0] for column in connection.execute(words).description or []] == [
            *("path", "start", "end", "word", "probability")
        ]


def test_a_recogniser_that_leaves_a_window_out_is_found_out(
    workspace: Workspace, recogniser: WhisperRecogniser
) -> None:
    class Forgetful:
        """Answers for all windows but the third."""

        name, sha256, options = "forgetful", recogniser.sha256, recogniser.options
        device, features = recogniser.device, recogniser.features

        def recognise(self, windows: Any, language: str) -> Any:
            for number, window in enumerate(windows):
                if number != 2:
                    yield from recogniser.recognise([window], language)

    with pytest.raises(SpeechError, match=r"forgetful did not answer for audio/scene-2\.opus"):
        transcribe(workspace, workspace.audio, Forgetful())
    assert len(tables(workspace)["transcripts"]) == 3


def test_what_needs_no_hearing_is_kept_before_anything_is_heard(
    workspace: Workspace, recogniser: WhisperRecogniser, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped:
        """Asks for all there is to hear and is stopped before it answers."""

        name, sha256, options = recogniser.name, recogniser.sha256, recogniser.options
        device, features = recogniser.device, recogniser.features

        def recognise(self, windows: Any, language: str) -> Any:  # noqa: ARG002
            yield from list(windows)[:0]
            raise KeyboardInterrupt

    for path in workspace.audio.glob("scene-0.webm"):
        path.unlink()
    with pytest.raises(KeyboardInterrupt):
        transcribe(workspace, workspace.audio, Stopped())
    assert [row["text"] for row in tables(workspace)["transcripts"]] == [""]


def test_what_was_mended_is_no_longer_set_aside(
    done: Workspace, recogniser: WhisperRecogniser
) -> None:
    audio = done.audio
    (audio / "notes.wav").write_text("not a sound")
    (audio / "metadata.jsonl").write_text('{"file_name": "ghost.webm"}\n')
    transcribe(done, audio, recogniser)
    assert still(done) == {
        ("nowhere.wav", "no image for this recording"),
        ("notes.wav", "no image for this recording"),
        ("ghost.webm", "metadata names no file"),
        ("scene-1__corrupt.webm", "not a sound file"),
        ("scene-2__cut.webm", "truncated recording"),
    }
    lines = [f'{{"file_name": "{name}", "image": "scene-0"}}' for name in ("notes", "nowhere")]
    (audio / "metadata.jsonl").write_text("\n".join(lines).replace('",', '.wav",'))
    write_speech(audio / "scene-1__corrupt.webm", SENTENCES[1])
    (audio / "scene-2__cut.webm").unlink()
    transcribe(done, audio, recogniser)
    assert still(done) == {("notes.wav", "not a sound file")}
    # A good file that is damaged later is set aside although it was heard once.
    (audio / "nowhere.wav").write_bytes(b"overwritten")
    transcribe(done, audio, recogniser)
    assert still(done) == {("notes.wav", "not a sound file"), ("nowhere.wav", "not a sound file")}


def still(workspace: Workspace) -> set[tuple[str, str]]:
    """What is set aside now, by name, and why."""
    with workspace.connect() as connection:
        query = "select path, reason from current_set_aside where stage = 'transcribe'"
        rows = connection.execute(query).fetchall()
    assert len(rows) == len(set(rows))
    return {(Path(path).name, reason) for path, reason in rows}


def test_one_at_a_time(workspace: Workspace, recogniser: WhisperRecogniser) -> None:
    with (
        workspace.lock("transcribe"),
        pytest.raises(WorkspaceError, match="another pixmo is busy with transcribe"),
    ):
        transcribe(workspace, workspace.audio, recogniser)


def test_models_that_cannot_be_used(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match=r"no recogniser turbot: no file .*turbo.*--model PATH"):
        WhisperRecogniser.load("turbot")
    with pytest.raises(ModelError, match="there is no device tpu"):
        WhisperRecogniser.load(str(checkpoint), "tpu")
    (tmp_path / "text.pt").write_text("no weights")
    broken = WhisperRecogniser.load("text.pt", folder=tmp_path)
    with pytest.raises(
        ModelError, match=r"text\.pt is no Whisper checkpoint.*--model PATH"
    ) as told:
        heard(broken, [])
    assert "torch finds no plain weights in it" in str(told.value)
    assert "weights_only" not in str(told.value)
    torch.save({"weights": 1}, tmp_path / "other.pt")
    with pytest.raises(
        ModelError, match=r"checkpoint: torch reads it, but it holds something else"
    ):
        heard(WhisperRecogniser.load("other.pt", folder=tmp_path), [])
    # Nobody listens there: the download fails as it does offline.
    address = f"http://127.0.0.1:9/{'0' * 64}/tiny.pt"
    monkeypatch.setitem(whisper._MODELS, "tiny", address)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    offline = WhisperRecogniser.load("tiny")
    assert offline.sha256 == "0" * 64
    with pytest.raises(ModelError, match=r"tiny could not be downloaded .*--model PATH") as raised:
        heard(offline, [])
    assert "\n" not in str(raised.value)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"dims": Runs(), "model_state_dict": {}}, tmp_path / "evil.pt")
    with pytest.raises(ModelError, match="is no Whisper checkpoint"):
        heard(WhisperRecogniser.load(str(tmp_path / "evil.pt")), [])
    assert not (tmp_path / "ran").exists()


def test_a_language_that_whisper_does_not_know(recogniser: WhisperRecogniser) -> None:
    with pytest.raises(ModelError, match="does not know the language 'klingon'; set language"):
        heard(recogniser, [], "klingon")


def test_folders_that_cannot_be_used(workspace: Workspace, recogniser: WhisperRecogniser) -> None:
    with pytest.raises(SpeechError, match="is not a folder"):
        transcribe(workspace, workspace.root / "nowhere", recogniser)
    for path in workspace.audio.iterdir():
        path.unlink()
    with pytest.raises(SpeechError, match="holds no recording"):
        transcribe(workspace, workspace.audio, recogniser)
