"""pixmo.speech.signals: what is measured is what was planted, through real codecs too."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pixmo.speech.audio import SAMPLE_RATE, Samples, decode
from pixmo.speech.signals import Signals, clipped_share, signals
from pixmo.speech.speech_activity import Span, speech_spans
from tests.sounds import said, silence, write_sound


def spans(*seconds: tuple[float, float]) -> list[Span]:
    return [Span(int(start * SAMPLE_RATE), int(end * SAMPLE_RATE)) for start, end in seconds]


def sine(amplitude: float, hertz: float, seconds: float, rate: int = SAMPLE_RATE) -> Samples:
    """A tone as 16-bit samples hold it: what goes beyond full scale is cut off."""
    wave = amplitude * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate + 0.1)
    return (np.clip(np.round(wave * 32768), -32768, 32767) / 32768).astype(np.float32)


def test_levels_and_times_of_planted_speech() -> None:
    samples = np.concatenate([sine(0.01, 50, 2), sine(0.5, 440, 3), sine(0.01, 50, 5)])
    found = signals(samples, spans((2, 3), (3.5, 5)))
    assert found == Signals(
        duration_seconds=10.0,
        speech_seconds=2.5,
        longest_silence_seconds=5.0,
        rms_dbfs=pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.01),
        peak_dbfs=pytest.approx(20 * np.log10(0.5), abs=0.01),
        clipped_share=0.0,
        noise_dbfs=found.noise_dbfs,
        starts_in_speech=False,
        is_cut_off=False,
    )
    # Half a second of the tone lies outside of the speech that was found.
    power = (7 * 0.01**2 / 2 + 0.5 * 0.5**2 / 2) / 7.5
    assert found.noise_dbfs == pytest.approx(10 * np.log10(power), abs=0.02)
    for value in dataclasses.astuple(found):
        assert type(value) in (float, bool)


def test_a_recording_without_speech_and_one_of_nothing_else() -> None:
    nothing = signals(silence(3), [])
    assert (nothing.rms_dbfs, nothing.noise_dbfs, nothing.peak_dbfs) == (None, -100.0, -100.0)
    assert (nothing.longest_silence_seconds, nothing.speech_seconds) == (3.0, 0.0)
    assert not nothing.starts_in_speech
    assert not nothing.is_cut_off
    whole = signals(sine(0.5, 440, 3), spans((0, 3)))
    assert whole.noise_dbfs is None
    assert whole.longest_silence_seconds == 0
    assert whole.starts_in_speech
    assert whole.is_cut_off


def test_the_longest_silence_may_be_anywhere() -> None:
    for speech, longest in (
        ([(4, 6), (7, 9)], 4.0),
        ([(1, 3), (8, 9)], 5.0),
        ([(0, 2), (3, 4)], 6.0),
    ):
        assert signals(silence(10), spans(*speech)).longest_silence_seconds == longest


@pytest.mark.parametrize(
    ("start", "end", "starts", "ends"),
    [(0.1, 9.9, True, True), (0.19, 9.81, True, True), (0.21, 9.79, False, False)],
)
def test_speech_at_the_edges(start: float, end: float, starts: bool, ends: bool) -> None:
    found = signals(silence(10), spans((start, end)))
    assert (found.starts_in_speech, found.is_cut_off) == (starts, ends)


@pytest.mark.parametrize("hertz", [40.0, 97.3, 440.0, 3000.0])
def test_a_loud_tone_is_not_clipped_and_one_beyond_full_scale_is(hertz: float) -> None:
    for amplitude in (0.5, 0.97, 32767 / 32768):
        assert clipped_share(sine(amplitude, hertz, 2)) == 0
    expected = 1 - 2 / np.pi * np.arcsin(1 / 2)  # of the time a doubled sine is beyond 1
    assert clipped_share(sine(2.0, hertz, 2)) == pytest.approx(expected, abs=0.2)


def test_lone_samples_at_full_scale_are_no_clipping() -> None:
    samples = silence(1)
    samples[[5, 50, 500]] = 1.0
    assert clipped_share(samples) == 0
    samples[[6, 7]] = -1.0
    assert clipped_share(samples) == pytest.approx(3 / SAMPLE_RATE, abs=1e-6)
    assert clipped_share(silence(0)) == 0


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.webm", "a.mp3", "a.m4a"])
def test_clipped_speech_is_seen_through_every_codec(tmp_path: Path, name: str) -> None:
    speech = np.repeat(said("There are two red circles at the top of the picture."), 3)
    loud = speech / np.abs(speech).max()
    for gain, is_clipped in ((0.7, False), (4.0, True)):
        path = write_sound(tmp_path / name, np.clip(gain * loud, -1, 1), 48_000)
        samples = decode(path)
        found = signals(samples, speech_spans(samples))
        assert (found.clipped_share > 0.001) is is_clipped, found
        assert (found.peak_dbfs > -0.1) is is_clipped
