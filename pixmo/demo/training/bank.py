"""Spoken sentences to learn from: sound as mel frames, with the times of every word and phoneme."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from whisper.audio import mel_filters

from pixmo.demo.describe import describe, is_held_out
from pixmo.demo.scenes import scene
from pixmo.demo.voice import Samples, Speaker, Speech, speak

ACCENTS = ("en-us", "en-us", "en", "en-gb-x-rp", "en-us-nyc", "en-gb-scotland")
VARIANTS = (
    *("", "m1", "m2", "m3", "m4", "m5", "m7", "f1", "f2", "f3", "f5"),
    *("Annie", "Andy", "linda", "steph", "michel", "edward", "adam", "anika", "belinda"),
    *("benjamin", "ed", "grandma", "grandpa", "klatt2", "klatt4", "max", "paul", "quincy"),
    *("robert", "shelby", "travis", "victor", "zac", "Alex", "Denis", "Mike", "Storm"),
)
UNSEEN_VOICES = (
    *("en-us+m6", "en-us+f4", "en+m8", "en-us+Alicia", "en+john", "en-us+steph2", "en-us+rob"),
    *("en-029", "en-gb-x-gbclan+f4"),
)
TRAINING_WORLD = 1_000_003  # seeds of scenes that no sample uses
MOST_REPEATS = 25  # of one sentence, in as many voices


@dataclass(frozen=True)
class Utterance:
    """One spoken sentence; frames of 10 ms, spans in seconds, one for each word of the text."""

    text: str
    first_frame: int
    frames: int
    spans: tuple[tuple[float, float], ...]
    phonemes: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Bank:
    """Utterances and their log10 mel power, shape = (all frames, 80), float16."""

    utterances: tuple[Utterance, ...]
    mel: NDArray[np.float16]

    def frames(self, utterance: Utterance) -> NDArray[np.float16]:
        return self.mel[utterance.first_frame : utterance.first_frame + utterance.frames]


def draw_speaker(rng: Random) -> Speaker:
    """A speaker of the training voices, at any of their rates and pitches."""
    variant = rng.choice(VARIANTS)
    return Speaker(
        voice=rng.choice(ACCENTS) + (f"+{variant}" if variant else ""),
        words_per_minute=rng.randint(125, 205),
        pitch=rng.randint(20, 85),
        pitch_range=rng.randint(20, 80),
    )


def sentences(seed: int) -> Iterator[str]:
    """Sentences of endless descriptions of scenes that are not in the sample, held-out ones too."""
    index = 0
    while True:
        rng = Random(f"sentences {seed} {index}")
        yield from describe(scene(TRAINING_WORLD + seed, index), rng).spoken
        index += 1


def log_mel(samples: Samples) -> NDArray[np.float32]:
    """log10 of the mel power as whisper takes it, before clamping; shape = (frames, 80)."""
    window = torch.hann_window(400)
    spectrum = torch.stft(torch.from_numpy(samples), 400, 160, window=window, return_complex=True)
    power = mel_filters("cpu", 80) @ spectrum[..., :-1].abs() ** 2
    mel: NDArray[np.float32] = power.clamp(min=1e-10).log10().T.contiguous().numpy()
    return mel


def word_spans(speech: Speech) -> tuple[tuple[float, float], ...]:
    """Start and end of every word; words that are run together share a span."""
    starts = [start for _, start in speech.words]
    edges = [*sorted(set(starts)), max(speech.seconds, starts[-1] + 0.02)]
    end = dict(pairwise(edges))
    return tuple((start, end[start]) for start in starts)


def build_bank(size: int, seed: int) -> Bank:
    """So many utterances of sentences that are not held out; the same for the same seed."""
    rng = Random(f"bank {seed}")
    said: Counter[str] = Counter()
    utterances: list[Utterance] = []
    mels: list[NDArray[np.float16]] = []
    first_frame = 0
    for text in sentences(seed):
        if len(utterances) == size:
            break
        if is_held_out(text) or said[text] >= MOST_REPEATS:
            continue
        speech = speak(text, draw_speaker(rng))
        said[text] += 1
        mels.append(log_mel(speech.samples).astype(np.float16))
        frames = len(mels[-1])
        utterances.append(Utterance(text, first_frame, frames, word_spans(speech), speech.phonemes))
        first_frame += frames
    return Bank(tuple(utterances), np.concatenate(mels))
