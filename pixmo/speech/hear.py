"""Recordings, prepared by processes beside the model's, become what was said in them."""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from pixmo.errors import AudioError, SpeechError
from pixmo.execution.local import map_ordered
from pixmo.speech.audio import SAMPLE_RATE
from pixmo.speech.overlaps import joined
from pixmo.speech.prepare import Prepared, prepare
from pixmo.speech.recogniser import Recogniser, Recognition, Segment, Window
from pixmo.speech.recordings import Recording
from pixmo.speech.speech_activity import Span, torch_threads

FEWEST_CLIPS_FOR_WORKERS = 8
# At least so many are prepared and not heard yet. Each takes up to 1.5 MB for half a minute of
# speech: few megabytes for a description of an image, but 190 for an hour.
CLIPS_AHEAD = 8
CLIPS_AHEAD_OF_A_WORKER = 2


@dataclass(frozen=True)
class Heard:
    """What was said in a recording, and how its sound was."""

    prepared: Prepared
    segments: tuple[Segment, ...]  # times in seconds from the recording's start
    language_prob: float | None  # mean over its windows, by their length
    overlap_disagreement: float | None  # highest of its overlapping windows; None without any


@dataclass
class Clip:
    """A recording of which some windows may have been heard."""

    prepared: Prepared | AudioError
    heard: dict[int, Recognition] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether nothing of it is left to hear."""
        return isinstance(self.prepared, AudioError) or (
            len(self.heard) == len(self.prepared.windows)
        )

    def result(self) -> Heard | AudioError:
        """What became of it."""
        if isinstance(self.prepared, AudioError):
            return self.prepared
        recognitions = [self.heard[number] for number in range(len(self.heard))]
        on_one_clock = [
            [shifted(segment, window.start / SAMPLE_RATE) for segment in recognition.segments]
            for window, recognition in zip(self.prepared.windows, recognitions, strict=True)
        ]
        segments, disagreement = joined(self.prepared.windows, on_one_clock)
        return Heard(
            self.prepared,
            tuple(segments),
            mean_language_prob(self.prepared.windows, recognitions),
            disagreement,
        )


def hear(
    recordings: Sequence[Recording],
    recogniser: Recogniser,
    language: str,
    take: Callable[[Recording, Heard | AudioError], None],
    workers: int | None = None,
) -> None:
    """`take` was called for every recording, in order, as soon as it and all before it are done.

    It is given what was said in the recording, or why it cannot be decoded. Windows of many
    recordings are heard side by side. `workers` processes (default: by the device) decode ahead of
    the model, and no further than it needs.
    """
    if not recordings:
        return
    clips: dict[int, Clip] = {}
    processes = workers_beside(recogniser.device) if workers is None else workers
    if workers is None and len(recordings) < FEWEST_CLIPS_FOR_WORKERS:
        processes = 0
    prepared = map_ordered(
        functools.partial(prepare, features=recogniser.features),
        recordings,
        processes,
        0,
        max(CLIPS_AHEAD, CLIPS_AHEAD_OF_A_WORKER * processes),
    )

    following = 0

    def finish() -> None:
        nonlocal following
        while following in clips and clips[following].is_whole:
            take(recordings[following], clips.pop(following).result())
            following += 1

    def windows() -> Iterator[Window]:
        for number, made in enumerate(prepared):
            if isinstance(made, AudioError):
                clips[number] = Clip(made)
                finish()
                continue
            clips[number] = Clip(replace(made, features=()))
            finish()
            pairs = zip(made.windows, made.features, strict=True)
            for place, (span, features) in enumerate(pairs):
                yield Window((number, place), span.seconds, features)

    with torch_threads(model_threads(recogniser.device)):
        for window, recognition in recogniser.recognise(windows(), language):
            number, place = window.key
            clips[number].heard[place] = recognition
            finish()
    if following != len(recordings):
        raise SpeechError(f"{recogniser.name} did not answer for {recordings[following].path}")


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers_beside(device: str) -> int:
    """Processes that decode: a core each beside a GPU; on the CPU a few, the model has the rest."""
    if cores() == 1:
        return 0
    return cores() if device == "cuda" else max(1, cores() // 4)


def model_threads(device: str) -> int:
    """Threads of the model: more than there are cores for would wait for each other in vain.

    The same for few recordings, which need no processes: the last bits depend on it.
    """
    return max(1, cores() - workers_beside(device))


def shifted(segment: Segment, seconds: float) -> Segment:
    """The segment so much later."""
    words = tuple(
        replace(word, start=word.start + seconds, end=word.end + seconds) for word in segment.words
    )
    return replace(segment, start=segment.start + seconds, end=segment.end + seconds, words=words)


def mean_language_prob(
    windows: Sequence[Span], recognitions: Sequence[Recognition]
) -> float | None:
    """The windows' probabilities of the language, weighted by their lengths."""
    known = [
        (window.seconds, recognition.language_prob)
        for window, recognition in zip(windows, recognitions, strict=True)
        if recognition.language_prob is not None
    ]
    seconds = sum(length for length, _ in known)
    return sum(length * prob for length, prob in known) / seconds if seconds else None
