"""A recording's sound, whatever container and codec it came in."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
from numpy.typing import NDArray

from pixmo.errors import AudioError
from pixmo.speech.containers import demuxer, ends_early, states_length

Samples: TypeAlias = NDArray[np.float32]

SAMPLE_RATE = 16_000  # Hz, what Whisper and the voice-activity detector hear
LONGEST_SECONDS = 3600.0  # ten megabytes of silence can be 19 hours
SUFFIXES = (
    *(".flac", ".m4a", ".mka", ".mkv", ".mp3", ".mp4"),
    *(".oga", ".ogg", ".opus", ".wav", ".webm"),
)
HEAD_BYTES = 1 << 16
# Silence of four hours takes more; where a file of more states no length, it is looked up first.
FEW_BYTES = 1 << 20
# Containers round to whole frames and packets; a loss beyond this is no rounding.
TRUNCATION_SECONDS = 0.5
MICROSECONDS = 1_000_000


def decode(path: Path, longest_seconds: float = LONGEST_SECONDS) -> Samples:
    """The whole recording, mixed down to one channel: float32 in [-1, 1) at 16 kHz.

    A file that can be seen to be truncated or damaged is refused: a transcript of half a recording
    would look like a whole one. Where a container neither states a length nor marks its end, one
    that was cut between two packets cannot be told from a whole one: see `containers`.

    Raises:
        AudioError: it cannot be decoded; the message is `reason: particulars`, without the path.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise AudioError(f"cannot be read: {error.strerror}") from error
    if not head:
        raise AudioError("empty file: 0 bytes")
    kind = demuxer(head)
    if kind is None:
        raise AudioError(f"not a sound file: it begins with {head[:12]!r}")
    if ends_early(path, kind):
        raise AudioError("truncated recording: its last bytes are missing")
    samples, stated_seconds = decode_container(
        path, kind, longest_seconds, states_length(head, kind)
    )
    seconds = len(samples) / SAMPLE_RATE
    if seconds + TRUNCATION_SECONDS < stated_seconds:
        raise AudioError(
            f"truncated recording: it states {stated_seconds:.1f} s and holds {seconds:.1f} s"
        )
    return samples


def decode_container(
    path: Path, kind: str, longest_seconds: float, is_length_stated: bool
) -> tuple[Samples, float]:
    """The samples, and the seconds that the file states (0 where it does not)."""
    longest = int(longest_seconds * SAMPLE_RATE)
    pieces: list[NDArray[np.int16]] = []
    count = 0
    with refusals(), opened(path, kind) as (container, stream):
        stated_seconds = seconds_stated(container, stream) if is_length_stated else 0.0
        expected = stated_seconds
        if not stated_seconds and path.stat().st_size > FEW_BYTES:
            expected = seconds_of_packets(path, kind)
        if expected > longest_seconds:
            raise too_long(longest_seconds)
        for piece in resampled(container, stream):
            pieces.append(piece)
            count += len(piece)
            if count > longest:  # it holds more than it states
                raise too_long(longest_seconds)
    if not count:
        raise AudioError("no sound in this file: its audio stream is empty")
    return np.concatenate(pieces).astype(np.float32) / np.float32(32768), stated_seconds


@contextlib.contextmanager
def opened(path: Path, kind: str) -> Iterator[tuple[Any, Any]]:
    """The file's container and its first audio stream.

    By its content and from an open file: no name is interpreted, no other file opened.

    Raises:
        AudioError: it has no sound.
    """
    with (
        path.open("rb") as file,
        av.open(file, mode="r", format=kind, metadata_errors="ignore") as container,
    ):
        if not container.streams.audio:
            raise AudioError("no sound in this file: it has no audio stream")
        yield container, container.streams.audio[0]


def seconds_of_packets(path: Path, kind: str) -> float:
    """How long the sound is by the times of its packets, of which none is decoded."""
    end = 0
    with opened(path, kind) as (container, stream):
        for packet in container.demux(stream):
            if packet.pts is not None:
                end = max(end, packet.pts + (packet.duration or 0))
        return float(end * stream.time_base)


def too_long(longest_seconds: float) -> AudioError:
    """What to raise over a recording that would fill the memory."""
    return AudioError(f"too long: more than {longest_seconds / 3600:g} h")


def resampled(container: Any, stream: Any) -> Iterator[NDArray[np.int16]]:
    """The stream as one channel of 16-bit samples at 16 kHz, piece by piece."""
    resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE)
    for frame in container.decode(stream):
        for piece in resampler.resample(frame):
            yield piece.to_ndarray()[0]
    for piece in resampler.resample(None):
        yield piece.to_ndarray()[0]


def seconds_stated(container: Any, stream: Any) -> float:
    """How long the file says its sound is; 0 where it does not say."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    # Of a film only the whole has a length, and its pictures may go on after its sound.
    if container.duration is None or len(container.streams) > 1:
        return 0.0
    return float(container.duration / MICROSECONDS)


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Whatever a broken file makes the decoder raise is an AudioError."""
    try:
        yield
    except AudioError:
        raise
    except Exception as error:  # a broken file can raise nearly anything
        kind = type(error).__name__
        raise AudioError(f"damaged recording: {kind} while decoding") from error
