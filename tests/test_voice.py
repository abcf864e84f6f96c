"""Synthetic speakers: the same sound every time, words at their times, files that can be read."""

import io
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import av
import numpy as np
import pytest

from pixmo.demo.describe import describe
from pixmo.demo.scenes import scene
from pixmo.demo.voice import (
    CONTAINERS,
    SAMPLE_RATE,
    Recital,
    Speaker,
    encode,
    recite,
    silence,
    speak,
)
from pixmo.errors import SpeechError

TEXT = "There are, um, three red circles in the top left corner."
BREATHY = Speaker("en-us+f2")  # a voice with random breath in it


@contextmanager
def opened(data: bytes) -> Iterator[av.container.InputContainer]:
    with av.open(io.BytesIO(data)) as container:
        yield container


def decoded(data: bytes) -> np.ndarray:
    """Mono samples at 16 kHz of a whole file."""
    resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE)
    with opened(data) as container:
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float32) / 32767


@pytest.fixture(scope="module")
def recital() -> Recital:
    told = describe(scene(8, 0), Random(8))
    return recite(told.spoken, Speaker("en-us"), Random(8))


def test_the_same_text_sounds_the_same_whatever_was_spoken_before() -> None:
    before = speak(TEXT, BREATHY)
    speak("Something else.", Speaker("en+m3", 190, 30))
    after = speak(TEXT, BREATHY)
    assert np.array_equal(before.samples, after.samples)
    assert before.words == after.words
    assert not np.array_equal(before.samples, speak(TEXT, Speaker("en-us+f3")).samples)


def test_another_process_speaks_the_same() -> None:
    code = (
        "from hashlib import sha256; from pixmo.demo.voice import *;"
        f"print(sha256(encode(speak({TEXT!r}, {BREATHY!r}).samples, 'webm')).hexdigest())"
    )
    run = [sys.executable, "-c", code]
    first = subprocess.run(run, capture_output=True, check=True).stdout
    time.sleep(1.1)  # a seed of whole seconds from the clock would change
    second = subprocess.run(run, capture_output=True, check=True).stdout
    assert len(first) == 65
    assert first == second


def test_every_word_has_its_time() -> None:
    speech = speak(TEXT, Speaker("en-us"))
    words, times = zip(*speech.words, strict=True)
    assert list(words) == TEXT.split()
    assert list(times) == sorted(times)
    assert 0 <= times[0] < 0.1
    assert speech.seconds - 1.5 < times[-1] < speech.seconds
    assert len(speech.phonemes) > 25


def test_a_word_is_heard_at_its_time() -> None:
    """A pause before the second sentence: silence until its first word, sound from then on."""
    speech = speak("There are two. Stop.", Speaker("en-us"))
    start = int(speech.words[-1][1] * SAMPLE_RATE)
    energy = np.abs(speech.samples)
    assert energy[start - SAMPLE_RATE // 10 : start - SAMPLE_RATE // 50].max() < 0.02
    assert energy[start : start + SAMPLE_RATE // 4].max() > 0.1


def test_rate_and_pitch_are_heard() -> None:
    slow, fast = (speak(TEXT, Speaker("en-us", rate)).seconds for rate in (130, 200))
    assert slow > 1.3 * fast


def test_an_unknown_voice_is_an_error_that_names_it() -> None:
    with pytest.raises(SpeechError, match="no-such-voice"):
        speak(TEXT, Speaker("no-such-voice"))


@pytest.mark.parametrize("index", range(4))
def test_a_description_lasts_60_to_90_seconds(index: int) -> None:
    told = describe(scene(8, index), Random(index))
    speaker = Speaker("en-us", (140, 150, 165, 180)[index])
    recorded = recite(told.spoken, speaker, Random(index))
    assert 60 <= recorded.seconds <= 90
    assert len(recorded.spans) == len(told.spoken)


def test_sentences_sound_within_their_spans_and_pauses_do_not(recital: Recital) -> None:
    loud = np.abs(recital.samples) > 0.02
    inside = np.zeros(len(loud), bool)
    for start, end in recital.spans:
        inside[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)] = True
        assert loud[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)].any()
    assert not (loud & ~inside).any()


def test_silence_is_quiet_but_not_dead() -> None:
    quiet = silence(2.0, Random(1))
    assert len(quiet) == 2 * SAMPLE_RATE
    assert 1e-4 < np.abs(quiet).max() < 0.02


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_every_kind_of_file_is_read_back_and_has_the_same_bytes_twice(suffix: str) -> None:
    samples = speak(TEXT, Speaker("en-us")).samples
    data = encode(samples, suffix)
    assert data == encode(samples, suffix)
    heard = decoded(data)
    assert abs(len(heard) - len(samples)) < SAMPLE_RATE // 10
    shorter = min(len(heard), len(samples))
    lags = range(-400, 401, 5)  # a codec may start a little early or late
    likeness = [np.corrcoef(np.roll(heard[:shorter], lag), samples[:shorter])[0, 1] for lag in lags]
    assert max(likeness) > 0.9
