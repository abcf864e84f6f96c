"""Word error rates on sentences never learned from, on unseen voices, on whole recordings."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import jiwer
import numpy as np
import whisper
from whisper.model import Whisper

from pixmo.demo.describe import describe, is_held_out
from pixmo.demo.scenes import scene
from pixmo.demo.training.bank import UNSEEN_VOICES, VARIANTS, draw_speaker, sentences
from pixmo.demo.voice import Samples, Speaker, encode, recite, speak
from pixmo.speech.audio import decode
from pixmo.speech.speech_activity import speech_spans
from pixmo.speech.windows import cut
from pixmo.text import normalise

EVALUATION = 7  # seed of the held-out sentences, apart from every training seed
EVALUATION_WORLD = 2_000_003  # seed of the scenes that are recited


@dataclass(frozen=True)
class Spoken:
    """Sound and what was said."""

    text: str
    samples: Samples
    voice: str


Hearing = Callable[[Whisper, Samples], str]


def word_error_rate(said: Iterable[str], heard: Iterable[str]) -> float:
    """Errors per word of what was said, over all texts together, but for case and punctuation."""
    return float(jiwer.wer([normalise(text) for text in said], [normalise(text) for text in heard]))


def held_out_sentences(count: int) -> list[str]:
    """Distinct sentences that no training bank holds."""
    found = (text for text in sentences(EVALUATION) if is_held_out(text))
    return list(islice(dict.fromkeys(islice(found, 4 * count)), count))


def speak_held_out(count: int) -> list[Spoken]:
    """Held-out sentences by speakers such as the bank has."""
    rng = Random("held-out sentences")
    return [_spoken(text, draw_speaker(rng)) for text in held_out_sentences(count)]


def speak_unseen_voices(count: int) -> list[Spoken]:
    """Held-out sentences by voices that the bank does not have, in turn."""
    rng = Random("unseen voices")
    return [
        _spoken(text, Speaker(voice, rng.randint(135, 190), rng.randint(35, 65)))
        for text, voice in zip(held_out_sentences(count), cycle(UNSEEN_VOICES), strict=False)
    ]


def recite_descriptions(count: int) -> list[Spoken]:
    """Whole descriptions of 60 to 90 s with pauses, as a browser records them (webm, Opus)."""
    recited = []
    with TemporaryDirectory() as folder:
        path = Path(folder) / "recording.webm"
        for index in range(count):
            rng = Random(f"recital {index}")
            voice = rng.choice(("en-us", "en", "en-us-nyc"))
            variant = rng.choice(VARIANTS)
            speaker = Speaker(voice + (f"+{variant}" if variant else ""), rng.randint(140, 180))
            told = describe(scene(EVALUATION_WORLD, index), rng)
            path.write_bytes(encode(recite(told.spoken, speaker, rng).samples, "webm"))
            recited.append(Spoken(told.text, decode(path), speaker.voice))
    return recited


def score(model: Whisper, spoken: list[Spoken], hear: Hearing) -> tuple[float, list[str]]:
    """Word error rate, and what was heard of each."""
    heard = [hear(model, one.samples) for one in spoken]
    return word_error_rate([one.text for one in spoken], heard), heard


def decode_window(model: Whisper, samples: Samples) -> str:
    """What Whisper hears in the first 30 s, decoded greedily."""
    mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(samples))
    result = whisper.decode(model, mel, whisper.DecodingOptions(language="en", fp16=False))
    return str(result.text)


def decode_windows(model: Whisper, samples: Samples) -> str:
    """What Whisper hears in windows cut where nobody speaks."""
    spans = cut(samples, speech_spans(samples))
    return " ".join(decode_window(model, samples[span.start : span.end]) for span in spans)


def transcribe(model: Whisper, samples: Samples) -> str:
    """What whisper.transcribe hears, without conditioning on what it heard before."""
    result = whisper.transcribe(
        model, samples, fp16=False, language="en", condition_on_previous_text=False
    )
    return str(result["text"])


def transcribe_conditioned(model: Whisper, samples: Samples) -> str:
    """What whisper.transcribe hears with its defaults."""
    return str(whisper.transcribe(model, samples, fp16=False, language="en")["text"])


def _spoken(text: str, speaker: Speaker) -> Spoken:
    quiet = np.zeros(1600, np.float32)
    samples = np.concatenate([quiet, speak(text, speaker).samples, quiet])
    return Spoken(text=text, samples=samples, voice=speaker.voice)
