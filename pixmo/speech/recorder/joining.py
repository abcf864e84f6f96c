"""The parts of a recording become one file: packet by packet where all were made alike.

A browser begins a new part after every pause, with the microphone that it has then: at another
rate, or with other channels. What differs is decoded, and kept without loss.
"""

import errno
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from pixmo.errors import AudioError
from pixmo.files import replace_atomically
from pixmo.speech.audio import HEAD_BYTES, opened, refusals
from pixmo.speech.containers import demuxer

RECORDED_BY_BROWSERS = ("matroska", "mov", "ogg")
# FFmpeg's muxer and the suffix for what browsers record; anything else goes into Matroska.
MUXERS = {"opus": ("webm", ".webm"), "vorbis": ("webm", ".webm"), "aac": ("mp4", ".m4a")}
ANY_CODEC = ("matroska", ".mka")
# Codecs whose packets mean nothing without the header of the stream that they come from.
NEEDS_HEADER = ("aac", "vorbis")
LOSSLESS = "flac"


@dataclass(frozen=True)
class Format:
    """How a part's sound is coded: what must be equal for packets to stand in one stream."""

    codec: str
    rate: int  # Hz
    layout: str  # of channels, as FFmpeg names it
    time_base: Fraction  # seconds, of the packets' times
    header: bytes


@dataclass(frozen=True)
class Part:
    """A part that holds sound."""

    path: Path
    kind: str  # FFmpeg's name of the container
    format: Format


def join(paths: Iterable[Path], folder: Path) -> Path:
    """A file in `folder`, `whole` with the suffix that fits, holds the sound of all, in order.

    A part that ends before its first sound does is left out: the browser was closed then.

    Raises:
        AudioError: one is no sound or damaged, or none holds any.
    """
    with refusals():
        parts = [part for path in paths if (part := examine(path))]
        if not parts:
            raise AudioError("empty recording: no sound in any of its parts")
        formats = {part.format for part in parts}
        is_alike = len(formats) == 1
        muxer, suffix = MUXERS.get(parts[0].format.codec, ANY_CODEC) if is_alike else ANY_CODEC
        whole = folder / f"whole{suffix}"
        write = remux if is_alike else encode_anew
        replace_atomically(whole, lambda path: write(parts, path, muxer))
    return whole


def examine(path: Path) -> Part | None:
    """What kind of sound the part is; None where it ends before its first packet.

    Raises:
        AudioError: it is no sound that a browser records.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        return None
    kind = demuxer(head)
    if kind not in RECORDED_BY_BROWSERS:
        raise AudioError(f"not a sound file: it begins with {head[:12]!r}")
    try:
        with opened(path, kind) as (container, stream):
            if not any(packet.size for packet in container.demux(stream)):
                return None
            coder = stream.codec_context
            header = bytes(coder.extradata or b"") if coder.name in NEEDS_HEADER else b""
            layout = coder.layout.name
            made = Format(coder.name, coder.sample_rate, layout, stream.time_base, header)
            return Part(path, kind, made)
    except (EOFError, OSError) as error:
        # All of it was read above, so the end is the file's, and not a disk's that cannot be read.
        is_end = isinstance(error, EOFError) or error.errno == errno.EIO
        if is_end and len(head) < HEAD_BYTES:
            return None
        raise


def remux(parts: Sequence[Part], path: Path, muxer: str) -> None:
    """The sound of all parts, one after another, stands in a new container, packet by packet."""
    with av.open(str(path), "w", format=muxer) as target:
        copy, end = None, 0
        for part in parts:
            start = end
            with opened(part.path, part.kind) as (container, stream):
                copy = copy or target.add_stream_from_template(stream)
                for packet in container.demux(stream):
                    if packet.pts is None:  # the last, which is empty
                        continue
                    end = start + packet.pts + (packet.duration or 0)
                    packet.pts = packet.dts = start + packet.pts
                    packet.stream = copy
                    target.mux(packet)


def encode_anew(parts: Sequence[Part], path: Path, muxer: str) -> None:
    """As `remux`, at the highest rate and with the most channels of all; nothing is lost."""
    rate = max(part.format.rate for part in parts)
    layout = max((part.format.layout for part in parts), key=channels)
    with av.open(str(path), "w", format=muxer) as target:
        stream: Any = target.add_stream(LOSSLESS, rate=rate)
        stream.layout, stream.format = layout, "s16"
        end = 0
        for part in parts:
            for frame in frames(part, rate, layout):
                frame.pts, end = end, end + frame.samples
                target.mux(stream.encode(frame))
        target.mux(stream.encode(None))


def frames(part: Part, rate: int, layout: str) -> Iterable[Any]:
    """The part's sound, decoded, as samples of 16 bits."""
    is_mono = channels(part.format.layout) == 1
    resampler = av.AudioResampler("s16", part.format.layout if is_mono else layout, rate)
    with opened(part.path, part.kind) as (container, stream):
        for decoded in itertools.chain(container.decode(stream), [None]):
            for frame in resampler.resample(decoded):
                yield spread(frame, layout) if is_mono else frame


def spread(frame: Any, layout: str) -> Any:
    """One channel's sound in each of the layout; FFmpeg would make it quieter."""
    samples = np.repeat(frame.to_ndarray(), channels(layout), axis=1)
    wide = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
    wide.sample_rate, wide.time_base = frame.sample_rate, frame.time_base
    return wide


def channels(layout: str) -> int:
    """How many there are in a layout that FFmpeg names so."""
    return len(av.AudioLayout(layout).channels)
