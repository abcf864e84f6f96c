"""Sounds with known content, written by real encoders into real containers."""

from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from pixmo.demo.voice import Speaker, speak
from pixmo.speech.audio import SAMPLE_RATE, Samples

# suffix: muxer and codec
CONTAINERS = {
    "webm": ("webm", "libopus"),
    "mkv": ("matroska", "flac"),
    "opus": ("ogg", "libopus"),
    "ogg": ("ogg", "libopus"),
    "wav": ("wav", "pcm_s16le"),
    "mp3": ("mp3", "libmp3lame"),
    "m4a": ("ipod", "aac"),
    "mp4": ("mp4", "aac"),
    "flac": ("flac", "flac"),
}


def sweep(seconds: float, rate: int) -> NDArray[np.float64]:
    """A tone that rises from 200 to 1,000 Hz, at half of full scale."""
    time = np.arange(int(seconds * rate)) / rate
    return 0.5 * np.sin(2 * np.pi * (200 * time + 400 * time**2 / seconds))


def write_sound(
    path: Path,
    samples: NDArray[np.float64] | Samples,
    rate: int = 48_000,
    layout: str = "mono",
    options: dict[str, str] | None = None,
) -> Path:
    """The samples in the container that the path's suffix names, the same in every channel."""
    muxer, codec = CONTAINERS[path.suffix.removeprefix(".")]
    with av.open(str(path), "w", format=muxer, options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = layout
        channels = len(stream.layout.channels)
        whole = np.repeat((samples * 32767).astype(np.int16), channels).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(whole, format="s16", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        resampler = av.AudioResampler(stream.format.name, layout, rate)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


@cache
def said(text: str, voice: str = "en-us") -> Samples:
    """A sentence as a voice speaks it, at 16 kHz."""
    return speak(text, Speaker(voice)).samples


def silence(seconds: float) -> Samples:
    """Nothing, at 16 kHz."""
    return np.zeros(int(seconds * SAMPLE_RATE), np.float32)


def write_speech(path: Path, *texts: str) -> Path:
    """A recording in which the texts are spoken, a second of silence behind each."""
    pieces = [piece for text in texts for piece in (said(text), silence(1.0))]
    return write_sound(path, np.concatenate(pieces), SAMPLE_RATE)
