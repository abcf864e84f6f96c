"""Synthetic speakers: text to sound with the times of its words, sound to recorded files."""

import _ctypes
import contextlib
import ctypes
import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from random import Random
from typing import Any

import av
import espeakng_loader
import numpy as np
import soxr
from numpy.typing import NDArray

from pixmo.errors import SpeechError

SAMPLE_RATE = 16_000  # Hz
DURATION = (60.0, 90.0)  # seconds of one description
PAUSE = (0.1, 2.5)  # seconds between two sentences
NOISE = 10 ** (-62 / 20)  # a quiet room, of full scale
BIT_RATE = 48_000  # bits per second of the lossy codecs

# espeak-ng's speak_lib.h: events, parameters and flags by number
EVENT_END, EVENT_WORD, EVENT_PHONEME = 0, 1, 7
RATE, PITCH, PITCH_RANGE = 1, 3, 4
AUDIO_OUTPUT_SYNCHRONOUS = 2
INITIALIZE_PHONEME_EVENTS = 1
CHARS_UTF8 = 1
RANDOM_SEED = 1
POSITION_CHARACTER = 1

CONTAINERS = {
    "webm": ("webm", "libopus", 48_000),
    "opus": ("ogg", "libopus", 48_000),
    "ogg": ("ogg", "libopus", 48_000),
    "wav": ("wav", "pcm_s16le", SAMPLE_RATE),
    "flac": ("flac", "flac", SAMPLE_RATE),
    "mp3": ("mp3", "libmp3lame", SAMPLE_RATE),
    "m4a": ("ipod", "aac", SAMPLE_RATE),
}  # suffix: muxer, codec, sample rate in Hz

Samples = NDArray[np.float32]


class _Identifier(ctypes.Union):
    _fields_ = [
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    ]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Identifier),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True)
class Speaker:
    """One synthetic person; pitch and pitch range in espeak's 0 to 100."""

    voice: str
    words_per_minute: int = 160
    pitch: int = 50
    pitch_range: int = 50


@dataclass(frozen=True)
class Speech:
    """Sound at 16 kHz and, in seconds, when each word and each phoneme begins.

    Words that the synthesiser runs together ("in the") begin at the same time.
    """

    samples: Samples
    words: tuple[tuple[str, float], ...]
    phonemes: tuple[tuple[str, float], ...]

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True)
class _Heard:
    """What espeak-ng calls back with: sound, and events by position in the text."""

    buffers: list[NDArray[np.int16]] = field(default_factory=list)
    words: list[tuple[int, float]] = field(default_factory=list)
    phonemes: list[tuple[str, float]] = field(default_factory=list)

    def receive(self, samples: Any, count: int, events: Any) -> int:
        if samples and count:
            self.buffers.append(np.ctypeslib.as_array(samples, (count,)).copy())
        for i in itertools.count():
            event = events[i]
            if event.type == EVENT_END:
                break
            seconds = event.audio_position / 1000
            if event.type == EVENT_WORD:
                self.words.append((event.text_position - 1, seconds))
            elif event.type == EVENT_PHONEME:
                self.phonemes.append((event.id.string.decode("latin1"), seconds))
        return 0


@contextlib.contextmanager
def _espeak() -> Iterator[tuple[ctypes.CDLL, int]]:
    """espeak-ng as if nothing had been spoken before, and its sample rate in Hz.

    It keeps the phase of its flutter from one text to the next, and nothing but unloading it makes
    it forget: the same text would never sound the same twice.
    """
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data_path = espeakng_loader.get_data_path().encode()
    try:
        sample_rate = library.espeak_Initialize(
            AUDIO_OUTPUT_SYNCHRONOUS, 0, data_path, INITIALIZE_PHONEME_EVENTS
        )
        # It has just seeded its breath by the clock; its klatt voices ask the C library instead.
        library.espeak_ng_SetRandSeed(ctypes.c_long(RANDOM_SEED))
        ctypes.CDLL(None).srand(RANDOM_SEED)
        yield library, sample_rate
    finally:
        library.espeak_Terminate()
        _ctypes.dlclose(library._handle)


def speak(text: str, speaker: Speaker) -> Speech:
    """One sentence in one voice, the same every time, cut 50 ms after its last audible sample.

    Raises:
        SpeechError: espeak-ng does not have the voice.
    """
    heard = _Heard()
    callback = _Callback(heard.receive)
    with _espeak() as (library, sample_rate):
        library.espeak_SetSynthCallback(callback)
        if library.espeak_SetVoiceByName(speaker.voice.encode()) != 0:
            raise SpeechError(
                f"espeak-ng has no voice {speaker.voice!r}; name a language of its, and +variant"
            )
        library.espeak_SetParameter(RATE, speaker.words_per_minute, 0)
        library.espeak_SetParameter(PITCH, speaker.pitch, 0)
        library.espeak_SetParameter(PITCH_RANGE, speaker.pitch_range, 0)
        encoded = text.encode()
        library.espeak_Synth(
            encoded, len(encoded) + 1, 0, POSITION_CHARACTER, 0, CHARS_UTF8, None, None
        )
        library.espeak_Synchronize()
    samples = np.concatenate(heard.buffers).astype(np.float32) / 32768
    return Speech(
        samples=_without_tail(soxr.resample(samples, sample_rate, SAMPLE_RATE)),
        words=_word_starts(text, heard.words),
        phonemes=tuple(heard.phonemes),
    )


def _word_starts(text: str, events: list[tuple[int, float]]) -> tuple[tuple[str, float], ...]:
    """When each word begins, from events at character positions; not every word has one."""
    starts: list[tuple[str, float]] = []
    end = 0
    for word in text.split():
        begin = text.index(word, end)
        end = begin + len(word)
        heard = [seconds for at, seconds in events if begin <= at < end]
        before = starts[-1][1] if starts else 0.0
        starts.append((word, max(heard[0], before) if heard else before))
    return tuple(starts)


def _without_tail(samples: Samples) -> Samples:
    audible = np.flatnonzero(np.abs(samples) > 0.01)
    return samples[: int(audible[-1]) + SAMPLE_RATE // 20] if len(audible) else samples


@dataclass(frozen=True)
class Recital:
    """A recording of several sentences, with the second at which each begins and ends."""

    samples: Samples
    spans: tuple[tuple[float, float], ...]

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


def recite(sentences: Sequence[str], speaker: Speaker, rng: Random) -> Recital:
    """The sentences in one voice in a quiet room, with pauses that fill 60 to 90 s if they can."""
    spoken = [speak(text, speaker).samples for text in sentences]
    speech = sum(map(len, spoken)) / SAMPLE_RATE
    wanted = rng.uniform(DURATION[0] + 3, DURATION[1] - 3)
    pauses = _pauses(len(spoken) + 1, wanted - speech, rng)
    pieces = [_silence(pauses[0])]
    spans: list[tuple[float, float]] = []
    for samples, pause in zip(spoken, pauses[1:], strict=True):
        start = sum(map(len, pieces)) / SAMPLE_RATE
        spans.append((start, start + len(samples) / SAMPLE_RATE))
        pieces += [samples, _silence(pause)]
    samples = np.concatenate(pieces)
    noise = np.random.default_rng(rng.getrandbits(64)).standard_normal(len(samples))
    return Recital(samples + (NOISE * noise).astype(np.float32), tuple(spans))


def silence(seconds: float, rng: Random) -> Samples:
    """An open microphone in a quiet room."""
    noise = np.random.default_rng(rng.getrandbits(64))
    return (NOISE * noise.standard_normal(int(seconds * SAMPLE_RATE))).astype(np.float32)


def _silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * SAMPLE_RATE), np.float32)


def _pauses(count: int, total: float, rng: Random) -> list[float]:
    """Pauses that add up to a total, mostly short, as far as each may be."""
    shares = [rng.gammavariate(2.0, 1.0) for _ in range(count)]
    scale = max(0.0, total) / sum(shares)
    return [min(PAUSE[1], max(PAUSE[0], share * scale)) for share in shares]


def encode(samples: Samples, suffix: str) -> bytes:
    """The bytes of a file of this kind, one of `CONTAINERS`; the same every time."""
    muxer, codec, sample_rate = CONTAINERS[suffix]
    sound: Samples = soxr.resample(samples, SAMPLE_RATE, sample_rate).clip(-1, 1)
    frame = av.AudioFrame.from_ndarray(
        (sound * 32767).astype(np.int16)[None], format="s16", layout="mono"
    )
    frame.sample_rate = sample_rate
    frame.time_base = Fraction(1, sample_rate)
    frame.pts = 0
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=muxer, options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(codec, rate=sample_rate, layout="mono")
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        if codec in ("libopus", "libmp3lame", "aac"):
            stream.bit_rate = BIT_RATE
        for packets in (stream.encode(frame), stream.encode(None)):
            container.mux(packets)
    return buffer.getvalue()
