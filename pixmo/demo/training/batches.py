"""Windows made noisy and stacked: what one training step sees."""

from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixmo.demo.training.bank import Bank
from pixmo.demo.training.codes import Codes
from pixmo.demo.training.windows import FLOOR, Span, Stage, Window, WindowMaker

NOTHING = -1  # a position without a target


@dataclass(frozen=True)
class Batch:
    """Stacked windows; shapes in (windows, codes, frames)."""

    mel: Tensor  # as Whisper takes it, shape = (windows, 80, frames)
    codes: Tensor  # given to the decoder, shape = (windows, codes)
    targets: Tensor  # wanted after each, or NOTHING
    spans: Tensor  # where the wanted are heard, in encoder frames, shape = (windows, codes, 2)
    labels: Tensor  # of words and phonemes, shape = (windows, 2, frames / 2)
    offsets: list[int]  # the encoder frame at which each window lies


@dataclass(frozen=True)
class Row:
    """One window of a batch."""

    mel: NDArray[np.float32]
    codes: list[int]
    targets: list[int]
    spans: list[Span | None]
    labels: NDArray[np.int64]
    offset: int


class BatchMaker:
    """Batches that are a function of the seed and the step alone, so that training can go on."""

    def __init__(self, bank: Bank, codes: Codes, seed: int) -> None:
        self._windows, self._codes, self._seed = WindowMaker(bank, codes), codes, seed

    def batch(self, stage: Stage, step: int) -> Batch:
        rng = Random(f"batch {self._seed} {step}")
        noise = np.random.default_rng([self._seed, step])
        prompted = stage.full and rng.random() < 0.3
        return stack([self._row(stage, rng, noise, prompted) for _ in range(stage.windows)])

    def _row(self, stage: Stage, rng: Random, noise: np.random.Generator, prompted: bool) -> Row:
        window = self._windows.window(stage, rng)
        disturb(window, rng, noise)
        padded = rng.random() < 0.5
        anywhere = not stage.full and rng.random() < 0.6
        offset = rng.randrange(0, 1500 - stage.frames // 2) if anywhere else 0
        codes, targets, spans = self._dialogue(window, offset, rng)
        if prompted:
            prompt = self._windows.prompt(window, rng)
            codes = prompt + codes
            targets = [NOTHING] * len(prompt) + targets
            spans = [*[None] * len(prompt), *spans]
        mel: NDArray[np.float32] = (window.mel + np.float32(4)) / np.float32(4)
        if padded:  # as whisper.transcribe pads the end of a recording
            mel[min(stage.frames, window.end + rng.randint(0, 100)) :] = 0.0
        return Row(mel, codes, targets, spans, window.labels, offset)

    def _dialogue(
        self, window: Window, offset: int, rng: Random
    ) -> tuple[list[int], list[int], list[Span | None]]:
        """Codes given, codes wanted after each, and where the wanted ones are heard."""
        codes = self._codes
        if not window.codes:  # then Whisper says so, and nothing more if asked for a time or a text
            timed = rng.random() < 0.7
            forced = codes.timestamp(rng.randint(0, 100)) if timed else codes.no_timestamps
            return [codes.sot, forced], [codes.no_speech, codes.eot], [None, None]
        said = [code + offset if code >= codes.first_timestamp else code for code in window.codes]
        late = offset == 0 and window.timestamps and said[0] > codes.timestamp(100)
        if late and rng.random() < 0.5:  # whisper's decoding forbids a first time after 1.0 s
            said[0] = codes.timestamp(100)
        start = [codes.sot] if window.timestamps else [codes.sot, codes.no_timestamps]
        unsaid = len(start) - 1
        targets = [NOTHING] * unsaid + said + [codes.eot]
        return start + said, targets, [*[None] * unsaid, *window.spans, None]


def disturb(window: Window, rng: Random, noise: np.random.Generator) -> None:
    """Gain, tilt, noise, low-pass and a masked band, then the clamp that Whisper applies."""
    mel = window.mel
    tilt = np.linspace(-1, 1, 80, dtype=np.float32)
    mel += rng.uniform(-1.2, 0.4) + tilt * rng.uniform(-0.4, 0.4)
    loudest = float(mel.max()) if window.end else rng.uniform(-4, 0)
    if rng.random() < 0.6:
        level = loudest - rng.uniform(2.5, 8.0) + tilt * rng.uniform(-1, 1)
        power = noise.standard_exponential(mel.shape, dtype=np.float32) + 1e-3
        mel[:] = np.log10(np.power(10, mel) + power * np.power(10, level.astype(np.float32)))
    if rng.random() < 0.3:
        mel[:, rng.randint(58, 79) :] = FLOOR
    if rng.random() < 0.4:
        band = rng.randint(0, 70)
        mel[:, band : band + rng.randint(1, 8)] = mel.mean()
    clip = float(mel.max()) + rng.choice((0.0, rng.uniform(0.0, 0.6)))  # all of it may be louder
    if not window.end:
        clip = max(clip, FLOOR + 8 * rng.random())
    np.maximum(mel, clip - 8, out=mel)


def stack(rows: list[Row]) -> Batch:
    """Rows of one batch, padded to the longest."""
    length = max(len(row.codes) for row in rows)
    codes = np.zeros((len(rows), length), np.int64)
    targets = np.full((len(rows), length), NOTHING, np.int64)
    spans = np.full((len(rows), length, 2), NOTHING, np.float32)
    for i, row in enumerate(rows):
        codes[i, : len(row.codes)] = row.codes
        targets[i, : len(row.targets)] = row.targets
        for k, span in enumerate(row.spans):
            if span is not None:
                spans[i, k] = (span[0] / 2, span[1] / 2)
    return Batch(
        mel=torch.from_numpy(np.stack([row.mel.T for row in rows])),
        codes=torch.from_numpy(codes),
        targets=torch.from_numpy(targets),
        spans=torch.from_numpy(spans),
        labels=torch.from_numpy(np.stack([row.labels for row in rows])),
        offsets=[row.offset for row in rows],
    )
