"""What a recording holds, made ready for a recogniser; work for processes beside the model's."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pixmo.errors import AudioError
from pixmo.hashing import sha256_file
from pixmo.speech import windows
from pixmo.speech.audio import Samples, decode
from pixmo.speech.recordings import Recording
from pixmo.speech.signals import Signals, signals
from pixmo.speech.speech_activity import Span, one_thread, speech_spans

Features = Callable[[Samples], Any]


@dataclass(frozen=True)
class Prepared:
    """A recording's sound, measured and cut into windows."""

    signals: Signals
    speech: tuple[Span, ...]
    windows: tuple[Span, ...]
    features: tuple[Any, ...]  # of each window


def prepare(recording: Recording, features: Features) -> Prepared | AudioError:
    """The recording ready to be heard, or why it cannot be."""
    try:
        samples = decode(recording.file)
        if sha256_file(recording.file) != recording.sha256:
            raise AudioError("changed while it was read: it is still being written")
    except AudioError as error:
        return error
    except OSError as error:
        return AudioError(f"cannot be read: {error.strerror}")
    speech = speech_spans(samples)
    spans = windows.cut(samples, speech)
    with one_thread():  # there are as many of these processes as cores
        made = tuple(features(samples[span.start : span.end]) for span in spans)
    return Prepared(signals(samples, speech), tuple(speech), tuple(spans), made)
