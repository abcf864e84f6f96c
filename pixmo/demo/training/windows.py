"""Training windows: utterances one after another with pauses, and what Whisper should say."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, pairwise
from random import Random

import numpy as np
from numpy.typing import NDArray

from pixmo.demo.training.bank import Bank, Utterance
from pixmo.demo.training.codes import Codes, bare

FLOOR = -10.0  # log10 power of digital silence
LONGEST_PROMPT = 223  # tokens, as whisper.transcribe keeps

Span = tuple[float, float]  # start and end in frames of 10 ms


@dataclass(frozen=True)
class Stage:
    """How long the windows are, how many make a step, and what may be in them."""

    frames: int  # of 10 ms
    windows: int
    full: bool  # the whole of Whisper's 30 s, with prompts, silence and cut utterances
    told: bool = False  # mostly the sentences of one description in order, which repeats itself


SHORT = Stage(frames=800, windows=32, full=False)
FULL = Stage(frames=3000, windows=8, full=True)
TOLD = Stage(frames=3000, windows=8, full=True, told=True)


@dataclass
class Window:
    """One window being filled: sound, codes to say and where they are heard, frame labels."""

    mel: NDArray[np.float32]  # log10 power, shape = (frames, 80)
    labels: NDArray[np.int64]  # shape = (2, frames / 2): words, phonemes; 0 is none
    timestamps: bool
    codes: list[int] = field(default_factory=list)
    spans: list[Span | None] = field(default_factory=list)
    end: int = 0  # frame after the last sound
    told_from: int | None = None  # where in the bank, if its utterances follow one another

    def say(self, code: int, span: Span | None = None) -> None:
        self.codes.append(code)
        self.spans.append(span)

    def encoder_frames(self, shift: int, span: Span, first: int) -> slice:
        """The encoder's frames of a span in seconds, from frame `first` on."""
        start, end = (
            min(len(self.mel), max(first, shift + int(seconds * 100))) for seconds in span
        )
        return slice(start // 2, end // 2)


class WindowMaker:
    """Windows drawn from a bank."""

    def __init__(self, bank: Bank, codes: Codes) -> None:
        self.bank, self.codes = bank, codes

    def window(self, stage: Stage, rng: Random) -> Window:
        """A window of the stage's length; of the full ones some are silent and some untimed."""
        window = Window(
            mel=np.full((stage.frames, 80), FLOOR, np.float32),
            labels=np.zeros((2, stage.frames // 2), np.int64),
            timestamps=not (stage.full and rng.random() < 0.15),
        )
        if stage.full and rng.random() < 0.06:
            return window
        starts = (0.0, rng.random() * 0.3, rng.random(), rng.random() * 2.5)
        at = int(rng.choice(starts) * 100)
        if stage.told and rng.random() < 0.75:
            window.told_from = rng.randrange(len(self.bank.utterances))
        utterances = self._utterances(window.told_from, rng)
        if stage.full and rng.random() < 0.08:
            at = self._place_end(window, next(utterances), at, rng)
        most = 2 if not stage.full else 99 if rng.random() < 0.75 else rng.randint(1, 5)
        for utterance in islice(utterances, most):
            if at + utterance.frames > stage.frames:
                if stage.full and rng.random() < 0.85 and at < stage.frames - 10:
                    self._place_start(window, utterance, at)
                break
            self._place(window, utterance, at, first_word=0)
            at += utterance.frames + _pause(rng)
        return window

    def prompt(self, window: Window, rng: Random) -> list[int]:
        """What was said before, as whisper.transcribe gives it: with times, or as a plain text."""
        timed = rng.random() < 0.8
        said: list[int] = []
        at = rng.randint(0, 100)
        count = rng.choice((rng.randint(1, 5), rng.randint(5, 16)))
        before = None if window.told_from is None else window.told_from - count
        for utterance in islice(self._utterances(before, rng), count):
            end = at + utterance.frames
            text = self.codes.text(utterance)
            said += [self.codes.timestamp(at), *text, self.codes.timestamp(end)] if timed else text
            at = end + _pause(rng)
            if at > 2900:
                at = rng.randint(0, 100)
        return [self.codes.previous, *said[-LONGEST_PROMPT:]]

    def _utterances(self, first: int | None, rng: Random) -> Iterator[Utterance]:
        """Endless utterances: those that follow one another from the first on, or any."""
        count = len(self.bank.utterances)
        for i in itertools.count():
            at = rng.randrange(count) if first is None else (first + i) % count
            yield self.bank.utterances[at]

    def _place(self, window: Window, utterance: Utterance, at: int, first_word: int) -> None:
        """The words from `first_word` on, sounding from frame `at`."""
        skipped = int(utterance.spans[first_word][0] * 100) if first_word else 0
        frames = self.bank.frames(utterance)[skipped:]
        window.mel[at : at + len(frames)] = frames
        window.end = at + len(frames)
        self._label(window, utterance, at - skipped, at)
        if window.timestamps:
            window.say(self.codes.timestamp(at))
        words = list(zip(utterance.text.split(), utterance.spans, strict=True))
        for word, span in words[first_word:]:
            self._say(window, word, span, at - skipped)
        if window.timestamps:
            window.say(self.codes.timestamp(window.end))

    def _place_end(self, window: Window, utterance: Utterance, at: int, rng: Random) -> int:
        """An utterance whose beginning the window missed; the frame where more may come."""
        spans = enumerate(pairwise(utterance.spans), start=1)
        beginnings = [i for i, (before, here) in spans if before != here]
        if not beginnings:
            return at
        self._place(window, utterance, at, rng.choice(beginnings))
        return window.end + _pause(rng)

    def _place_start(self, window: Window, utterance: Utterance, at: int) -> None:
        """An utterance that the window cuts off: its start time, or if untimed its whole words."""
        room = len(window.mel) - at
        window.mel[at:] = self.bank.frames(utterance)[:room]
        window.end = len(window.mel)
        self._label(window, utterance, at, at)
        if window.timestamps:
            window.say(self.codes.timestamp(at))
            return
        for word, span in zip(utterance.text.split(), utterance.spans, strict=True):
            if span[1] * 100 <= room:
                self._say(window, word, span, at)

    def _say(self, window: Window, word: str, span: Span, shift: int) -> None:
        for code in self.codes.spelling[word]:
            window.say(code, (shift + span[0] * 100, shift + span[1] * 100))

    def _label(self, window: Window, utterance: Utterance, shift: int, first: int) -> None:
        for span, word in zip(utterance.spans, utterance.text.split(), strict=True):
            frames = window.encoder_frames(shift, span, first)
            window.labels[0, frames] = self.codes.word_labels[bare(word)]
        ends = [*(start for _, start in utterance.phonemes[1:]), utterance.frames / 100]
        for (name, start), end in zip(utterance.phonemes, ends, strict=True):
            frames = window.encoder_frames(shift, (start, end), first)
            window.labels[1, frames] = self.codes.phoneme_labels.get(name, 0)


def _pause(rng: Random) -> int:
    """Frames of 10 ms between two sentences, mostly few."""
    short = rng.random() < 0.55
    return int(100 * (rng.uniform(0.05, 0.6) if short else rng.uniform(0.4, 2.5)))
