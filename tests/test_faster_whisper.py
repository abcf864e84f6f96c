"""pixmo.speech.faster_whisper_model: CTranslate2 hears what pixmo's own engine hears."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import jiwer
import numpy as np
import pytest

from pixmo.demo.recogniser import checkpoint
from pixmo.demo.training.evaluate import held_out_sentences
from pixmo.demo.voice import SAMPLE_RATE, Samples, Speaker, recite, silence
from pixmo.errors import ModelError
from pixmo.hashing import sha256_file
from pixmo.speech import faster_whisper_model
from pixmo.speech.ctranslate2_weights import spelled, vocabulary
from pixmo.speech.engine.log_mel import log_mel
from pixmo.speech.faster_whisper_model import FasterWhisperRecogniser
from pixmo.speech.recogniser import Recogniser, Recognition, Window
from pixmo.speech.whisper_guards import TEMPERATURES, Judged
from pixmo.speech.whisper_model import WhisperRecogniser
from tests.sounds import said
from tests.tiny_whisper import make_tiny_whisper

# openai-whisper leaves its vocabulary's file for the garbage collector to close
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

VOICES = ("en-us", "en-us+f2", "en-us+m3", "en+f1", "en+m1")
CLIPS = 12
CLIP_SECONDS = 29

Heard = dict[tuple[int, int], Recognition]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def weights(folder: Path) -> Path:
    return checkpoint(folder)


@pytest.fixture(scope="module")
def windows() -> list[Window]:
    """A dozen recordings of several sentences in five voices."""
    sentences = held_out_sentences(4 * CLIPS)
    made = []
    for number in range(CLIPS):
        texts = sentences[4 * number : 4 * number + 4]
        speaker = Speaker(VOICES[number % len(VOICES)], 150 + number)
        samples = recite(texts, speaker, Random(number)).samples
        made.append(window(number, samples[: CLIP_SECONDS * SAMPLE_RATE]))
    return made


def window(number: int, samples: Samples) -> Window:
    return Window((number, 0), len(samples) / SAMPLE_RATE, log_mel(samples, 80))


def heard_by(recogniser: Recogniser, windows: list[Window], language: str = "en") -> Heard:
    return {found.key: heard for found, heard in recogniser.recognise(iter(windows), language)}


def text(recognition: Recognition) -> str:
    return " ".join(segment.text for segment in recognition.segments)


@pytest.fixture(scope="module")
def load(weights: Path, folder: Path) -> Callable[..., FasterWhisperRecogniser]:
    def loaded(model: Path | str = weights, **options: object) -> FasterWhisperRecogniser:
        settings = {"device": "cpu", "cache": folder / "cache", **options}
        return FasterWhisperRecogniser.load(str(model), **settings)  # type: ignore[arg-type]

    return loaded


@pytest.fixture(scope="module")
def by_pixmo(weights: Path, windows: list[Window]) -> Heard:
    return heard_by(WhisperRecogniser.load(str(weights), "cpu"), windows)


@pytest.fixture(scope="module")
def in_float32(load: Callable[..., FasterWhisperRecogniser], windows: list[Window]) -> Heard:
    return heard_by(load(compute_type="float32"), windows)


def test_in_float32_it_hears_what_pixmos_engine_hears(by_pixmo: Heard, in_float32: Heard) -> None:
    same = sum(text(in_float32[key]) == text(by_pixmo[key]) for key in by_pixmo)
    assert same >= CLIPS - 1  # measured: all
    assert sum(len(text(heard).split()) for heard in by_pixmo.values()) > 30 * CLIPS


def test_its_times_and_measures_are_those_of_pixmos_engine(
    by_pixmo: Heard, in_float32: Heard
) -> None:
    for key, ours in by_pixmo.items():
        theirs = in_float32[key]
        if text(theirs) != text(ours):
            continue
        assert len(ours.segments) == len(theirs.segments)
        for one, other in zip(ours.segments, theirs.segments, strict=True):
            assert one.start == pytest.approx(other.start, abs=0.021)  # one timestamp
            assert one.end == pytest.approx(other.end, abs=0.021)
            assert one.avg_logprob == pytest.approx(other.avg_logprob, abs=1e-3)
            assert one.no_speech_prob == pytest.approx(other.no_speech_prob, abs=1e-4)
            assert one.compression_ratio == other.compression_ratio
            assert one.temperature == other.temperature
        assert theirs.language_prob is None


def test_in_8_bits_it_hears_nearly_the_same(
    load: Callable[..., FasterWhisperRecogniser], windows: list[Window], by_pixmo: Heard
) -> None:
    recogniser = load()
    heard = heard_by(recogniser, windows)
    assert recogniser.options["compute_type"] == "int8"
    rate = jiwer.wer([text(by_pixmo[key]) for key in by_pixmo], [text(heard[k]) for k in by_pixmo])
    assert rate < 0.05  # measured: 0.033


def test_a_text_does_not_depend_on_the_windows_beside_it(
    load: Callable[..., FasterWhisperRecogniser], windows: list[Window], in_float32: Heard
) -> None:
    alone = heard_by(load(compute_type="float32", slots=1), windows[:3])
    assert {key: text(heard) for key, heard in alone.items()} == {
        key: text(in_float32[key]) for key in alone
    }


def test_what_fails_a_guard_is_heard_again_at_higher_temperatures(
    load: Callable[..., FasterWhisperRecogniser],
    windows: list[Window],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every window fails until it was sampled: none comes back at the first two temperatures."""
    seen: list[Judged] = []

    def passes(result: Judged) -> bool:
        seen.append(result)
        return len(seen) > 2 * 5

    monkeypatch.setattr(Judged, "passes_guards", property(passes))
    heard = heard_by(load(slots=8), windows[:5])
    assert len(heard) == 5
    assert {s.temperature for h in heard.values() for s in h.segments} == {TEMPERATURES[2]}
    assert len(seen) == 15


def test_the_last_temperature_is_taken_as_it_is(
    load: Callable[..., FasterWhisperRecogniser],
    windows: list[Window],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Judged, "passes_guards", property(lambda _: False))
    heard = heard_by(load(), windows[:1])
    assert {s.temperature for h in heard.values() for s in h.segments} <= {1.0}
    assert len(heard) == 1


def test_what_fails_is_heard_again_before_any_but_a_few_others(
    load: Callable[..., FasterWhisperRecogniser],
    windows: list[Window],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Recordings are written in order: one that waited for the end would hold all others back."""
    judgements = iter([False, *[True, True, False] * 20])
    monkeypatch.setattr(Judged, "passes_guards", property(lambda _: next(judgements)))
    asked: list[int] = []

    def source() -> Iterator[Window]:
        for one in windows:
            asked.append(one.key[0])
            yield one

    batches: list[tuple[float, list[int]]] = []
    decoded = faster_whisper_model.Hearing.decoded

    def recorded(
        hearing: faster_whisper_model.Hearing, batch: list[Window], temperature: float
    ) -> object:
        batches.append((temperature, [one.key[0] for one in batch]))
        return decoded(hearing, batch, temperature)

    monkeypatch.setattr(faster_whisper_model.Hearing, "decoded", recorded)
    ahead = [
        len(asked) - number for number, _ in enumerate(load(slots=2).recognise(source(), "en"))
    ]
    assert len(ahead) == CLIPS
    assert max(ahead) <= 4  # two batches of two
    assert any(temperature > 0 and len(batch) == 2 for temperature, batch in batches)
    first = sorted(windows[:4], key=lambda one: -one.seconds)
    assert batches[:2] == [
        (0.0, [one.key[0] for one in first[:2]]),
        (0.0, [one.key[0] for one in first[2:]]),
    ]


def test_in_silence_it_reports_that_nobody_speaks(
    load: Callable[..., FasterWhisperRecogniser], weights: Path
) -> None:
    quiet = [window(0, silence(10, Random(1)))]
    (ours,) = heard_by(WhisperRecogniser.load(str(weights), "cpu"), quiet).values()
    (theirs,) = heard_by(load(compute_type="float32"), quiet).values()
    assert text(ours) == text(theirs)
    assert all(segment.no_speech_prob > 0.6 for segment in theirs.segments)


def test_a_multilingual_model_says_how_likely_the_language_is(
    load: Callable[..., FasterWhisperRecogniser], tmp_path: Path
) -> None:
    tiny = make_tiny_whisper(tmp_path / "tiny.pt")
    sound = [window(0, said("There are two red circles."))]
    ours, theirs = (
        heard_by(recogniser, sound, "kn")[(0, 0)]
        for recogniser in (
            WhisperRecogniser.load(str(tiny), "cpu"),
            load(tiny, compute_type="float32"),
        )
    )
    assert ours.language_prob is not None
    assert 0.1 < ours.language_prob < 0.9
    assert theirs.language_prob == pytest.approx(ours.language_prob, abs=2e-4)


def test_a_checkpoint_is_converted_once_and_its_own_hash_counts(
    load: Callable[..., FasterWhisperRecogniser], weights: Path, tmp_path: Path
) -> None:
    recogniser = load(cache=tmp_path)
    assert recogniser.sha256 == sha256_file(weights)
    made = recogniser.weights_folder
    assert [entry.name for entry in tmp_path.iterdir()] == [made.name]
    before = (made / "model.bin").stat().st_mtime_ns
    assert load(cache=tmp_path).weights_folder == made
    assert (made / "model.bin").stat().st_mtime_ns == before


def test_a_converted_folder_is_a_model_too(
    load: Callable[..., FasterWhisperRecogniser], windows: list[Window], in_float32: Heard
) -> None:
    made = load().weights_folder
    recogniser = load(made, compute_type="float32")
    assert recogniser.sha256 == sha256_file(made / "model.bin")
    assert text(heard_by(recogniser, windows[:1])[(0, 0)]) == text(in_float32[(0, 0)])


def test_every_token_has_the_published_models_name() -> None:
    names = vocabulary(51_865)
    assert names[50_257:50_261] == ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|zh|>"]
    assert names[50_362:50_366] == ["<|nocaptions|>", "<|notimestamps|>", "<|0.00|>", "<|0.02|>"]
    assert names[220] == "Ġ"
    assert spelled(" naïve".encode()) == "ĠnaÃ¯ve"
    assert len(set(names)) == 51_865


def test_options_say_what_decides_the_text(load: Callable[..., FasterWhisperRecogniser]) -> None:
    eight, whole = load(), load(compute_type="float32")
    assert eight.options != whole.options
    assert dataclasses.replace(eight, slots=3).options == eight.options
    assert eight.options["compute_type"] == "int8"


def test_a_language_that_the_model_does_not_know_is_one_line(
    load: Callable[..., FasterWhisperRecogniser], windows: list[Window]
) -> None:
    with pytest.raises(ModelError, match=r"does not know the language 'de'"):
        heard_by(load(), windows[:1], "de")


def test_a_name_without_a_model_is_one_line(load: Callable[..., FasterWhisperRecogniser]) -> None:
    with pytest.raises(ModelError, match=r"no recogniser nonsense: .*large-v3.*--model") as error:
        load("nonsense")
    assert "\n" not in str(error.value)


def test_broken_folders_and_files_are_one_line(
    load: Callable[..., FasterWhisperRecogniser], tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ModelError, match=r"holds no model\.bin"):
        load(empty)
    (empty / "model.bin").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="cannot read") as error:
        _ = load(empty).model
    assert "\n" not in str(error.value)
    (tmp_path / "text.pt").write_text("nonsense")
    with pytest.raises(ModelError, match=r"text\.pt is no Whisper checkpoint") as error:
        _ = load(tmp_path / "text.pt", cache=tmp_path / "cache").model
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "cache").glob("*"))


def test_a_cache_that_cannot_be_written_is_one_line(
    load: Callable[..., FasterWhisperRecogniser], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelError, match="cannot be converted into"):
        _ = load(cache=tmp_path / "file" / "cache").model


def test_a_name_that_cannot_be_downloaded_is_one_line(tmp_path: Path) -> None:
    code = (
        "from pixmo.speech.faster_whisper_model import *\n"
        "try: FasterWhisperRecogniser.load('tiny.en', 'cpu').model\n"
        "except ModelError as error: print(error)"
    )
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=offline, capture_output=True, text=True
    )
    assert "the recogniser tiny.en could not be downloaded" in run.stdout, run.stderr
    assert run.stdout.count("\n") == 1


def test_without_the_extra_it_says_how_to_install_it(
    load: Callable[..., FasterWhisperRecogniser], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(ModelError, match=r"pip install 'pixmo\[faster-whisper\]'"):
        load()


def test_where_memory_is_too_small_half_as_many_are_tried(
    load: Callable[..., FasterWhisperRecogniser],
    windows: list[Window],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error is raised by hand, in CTranslate2's words: a processor has no such limit."""
    decoded = faster_whisper_model.Hearing.decoded
    said_to_person: list[str] = []

    def small(
        hearing: faster_whisper_model.Hearing, batch: list[Window], temperature: float
    ) -> object:
        if len(batch) > 1:
            raise RuntimeError("CUDA failed with error out of memory")
        return decoded(hearing, batch, temperature)

    monkeypatch.setattr(faster_whisper_model.Hearing, "decoded", small)
    heard = heard_by(load(slots=4, note=said_to_person.append), windows)
    assert len(heard) == CLIPS
    # Said once for the run, not for every batch.
    assert said_to_person == [
        "out of memory on cpu: going on with a batch of 2",
        "out of memory on cpu: going on with a batch of 1",
    ]


def test_the_spectrogram_has_the_models_bands(load: Callable[..., FasterWhisperRecogniser]) -> None:
    made = load().features(np.zeros(16_000, np.float32))
    assert made.shape == (80, 3000)
