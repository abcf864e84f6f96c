"""Whisper on CTranslate2 as a recogniser, with faster-whisper's models: 8-bit weights on a CPU.

It hears the same windows as pixmo's own engine, through the same spectrograms, and its texts are
judged by the same guards.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from pixmo.errors import ModelError
from pixmo.hashing import sha256_file
from pixmo.speech.audio import Samples
from pixmo.speech.ctranslate2_weights import (
    TOKENS_WITHOUT_LANGUAGES,
    convert,
    whisper_tokenizer,
)
from pixmo.speech.engine.log_mel import LogMel, log_mel
from pixmo.speech.engine.slots import SEED, Outcome
from pixmo.speech.hear import model_threads
from pixmo.speech.recogniser import Recognition, Window
from pixmo.speech.whisper_guards import (
    GUARDS,
    TEMPERATURES,
    check_language,
    judged,
    recognition,
)
from pixmo.speech.whisper_model import Note, cause, chosen_device, one_line

INSTALL = "pip install 'pixmo[faster-whisper]'"
CACHE = Path(".cache/pixmo/ctranslate2")  # in a person's home
WEIGHTS = "model.bin"
# Like faster-whisper's own: 8 bits are the fastest on a processor, and there is no 16-bit product.
COMPUTE_TYPES = {"cpu": "int8", "cuda": "float16"}
WINDOWS_AT_ONCE = {"cpu": 16, "cuda": 64}
# Heard to their end before others begin, so that what failed is heard again in batches of some size
# and no recording waits for the end of the run.
BATCHES_OF_A_ROUND = 2
GIVE_A_MODEL = (
    "give a checkpoint of openai-whisper's, a folder that CTranslate2 reads, or one of"
    " faster-whisper's names: --model, or model in pixmo.toml"
)


@dataclass(frozen=True)
class FasterWhisperRecogniser:
    """A Whisper model that CTranslate2 runs; its weights are loaded when first needed."""

    name: str
    source: Path | None  # a checkpoint or a folder; None: faster-whisper knows the name
    device: str
    compute_type: str  # one of CTranslate2's
    slots: int = 0  # windows decoded side by side; 0: by the device
    note: Note = lambda _: None  # told what a person should know
    cache: Path = CACHE  # where converted checkpoints are kept

    @classmethod
    def load(
        cls,
        model: str,
        device: str = "auto",
        folder: Path | None = None,
        slots: int = 0,
        note: Note = lambda _: None,
        compute_type: str | None = None,
        cache: Path | None = None,
    ) -> "FasterWhisperRecogniser":
        """The recogniser of a name that faster-whisper knows, a checkpoint, or a folder.

        A relative path is looked up in `folder` (default: the current one). A checkpoint of
        openai-whisper's is converted once and kept in `cache`.

        Raises:
            ModelError: faster-whisper is not installed, no such model, or no such device.
        """
        names = model_names()
        chosen = chosen_device(device)
        kept = Path.home() / CACHE if cache is None else cache
        rest = (chosen, compute_type or COMPUTE_TYPES[chosen], slots, note, kept)
        if model in names:
            return cls(model, None, *rest)
        path = (folder or Path()) / Path(model).expanduser()
        if path.is_file() or (path / WEIGHTS).is_file():
            return cls(path.stem if path.is_file() else path.name, path, *rest)
        if path.is_dir():
            raise ModelError(
                f"the folder {path} holds no {WEIGHTS}, so CTranslate2 cannot read it;"
                f" {GIVE_A_MODEL}"
            )
        raise ModelError(
            f"there is no recogniser {model}: no file or folder {path}, and none of"
            f" faster-whisper's names ({', '.join(names)}); {GIVE_A_MODEL}"
        )

    @functools.cached_property
    def sha256(self) -> str:
        """The sha256 of its weights: of the checkpoint where there is one.

        Raises:
            ModelError: it cannot be downloaded.
        """
        if self.source is not None and self.source.is_file():
            return sha256_file(self.source)
        return sha256_file(self.weights_folder / WEIGHTS)

    @property
    def options(self) -> Mapping[str, object]:
        """What decides the text beside the weights."""
        return {
            "method": "ctranslate2-windows-1",
            "compute_type": self.compute_type,
            **GUARDS,
            "seed": SEED,
        }

    @functools.cached_property
    def weights_folder(self) -> Path:
        """The folder that CTranslate2 reads.

        Raises:
            ModelError: it cannot be downloaded, or the file is no checkpoint of Whisper's.
        """
        if self.source is None:
            return downloaded(self.name)
        if self.source.is_dir():
            return self.source
        folder = self.cache / f"{self.name}-{self.sha256[:12]}"
        if not folder.is_dir():
            try:
                convert(self.source, folder)
            except OSError as error:
                raise ModelError(
                    f"{self.source} cannot be converted into {folder} ({one_line(error)});"
                    " make room there, or make it writable"
                ) from error
            except Exception as error:  # torch raises nearly anything over a file not its own
                raise ModelError(
                    f"{self.source} is no Whisper checkpoint: {cause(error)}; {GIVE_A_MODEL}"
                ) from error
        return folder

    @functools.cached_property
    def model(self) -> Any:
        """The loaded model.

        Raises:
            ModelError: it cannot be downloaded or read.
        """
        import ctranslate2

        ctranslate2.set_random_seed(SEED)
        folder = self.weights_folder
        try:
            return ctranslate2.models.Whisper(
                str(folder),
                self.device,
                compute_type=self.compute_type,
                intra_threads=model_threads(self.device),
            )
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"CTranslate2 cannot read {folder} ({one_line(error)}); {GIVE_A_MODEL}"
            ) from error

    @property
    def features(self) -> Callable[[Samples], LogMel]:
        """The log-mel spectrogram that this model hears."""
        return functools.partial(log_mel, mel_bands=self.model.n_mels)

    def recognise(
        self, windows: Iterable[Window], language: str
    ) -> Iterator[tuple[Window, Recognition]]:
        """What is said in each window of at most 30 s, as they end; times from the window's start.

        Windows that fail Whisper's guards are heard again at the next temperature, before any but
        a few others. What is sampled there depends on the windows beside them.

        Raises:
            ModelError: the model cannot be loaded, does not know the language, or not one window
                fits into the device's memory.
        """
        is_multilingual = bool(self.model.is_multilingual)
        check_language(self.name, language, is_multilingual)
        tokenizer = whisper_tokenizer(self.tokens, language)
        hearing = Hearing(self, tokenizer, self.slots or WINDOWS_AT_ONCE[self.device])
        source = iter(windows)
        while waiting := list(islice(source, BATCHES_OF_A_ROUND * hearing.slots)):
            # A batch takes as long as its longest window.
            waiting.sort(key=lambda window: -window.seconds)
            for temperature in TEMPERATURES:
                failed = []
                for window, outcome in hearing.outcomes(waiting, temperature):
                    is_last = temperature == TEMPERATURES[-1]
                    if is_last or judged(outcome, tokenizer).passes_guards:
                        yield (
                            window,
                            recognition(window, outcome, temperature, tokenizer, is_multilingual),
                        )
                    else:
                        failed.append(window)
                waiting = failed

    @property
    def tokens(self) -> int:
        """The size of its vocabulary; languages and English decide it."""
        is_multilingual = bool(self.model.is_multilingual)
        return TOKENS_WITHOUT_LANGUAGES + int(self.model.num_languages) + int(is_multilingual)


@dataclass
class Hearing:
    """A model that hears one language."""

    recogniser: FasterWhisperRecogniser
    tokenizer: Any
    slots: int  # windows in a batch; halved for good where memory is too small

    def outcomes(
        self, windows: Sequence[Window], temperature: float
    ) -> Iterator[tuple[Window, Outcome]]:
        """Every window with what it was decoded to, batch by batch.

        Raises:
            ModelError: not one fits, or CTranslate2 finds no library that the device needs.
        """
        device = self.recogniser.device
        begin = 0
        while batch := windows[begin : begin + self.slots]:
            try:
                outcomes = self.decoded(batch, temperature)
            except RuntimeError as error:
                if "out of memory" not in str(error):
                    raise ModelError(
                        f"CTranslate2 cannot compute on {device} ({one_line(error)}); use the"
                        " engine pixmo, or the CPU: device in pixmo.toml"
                    ) from error
                if len(batch) == 1:
                    raise ModelError(
                        f"one window does not fit into the memory of {device}; use a smaller"
                        " model, or the CPU: device in pixmo.toml"
                    ) from error
                self.slots = len(batch) // 2
                self.recogniser.note(
                    f"out of memory on {device}: going on with a batch of {self.slots}"
                )
                continue
            yield from zip(batch, outcomes, strict=True)
            begin += len(batch)

    def decoded(self, batch: Sequence[Window], temperature: float) -> list[Outcome]:
        """What the windows are decoded to."""
        import ctranslate2

        model, tokenizer = self.recogniser.model, self.tokenizer
        mel = np.stack([window.features for window in batch])
        sound = model.encode(ctranslate2.StorageView.from_array(mel))
        language_probs = [1.0] * len(batch)
        if model.is_multilingual:
            token = f"<|{tokenizer.language}|>"
            language_probs = [dict(probs)[token] for probs in model.detect_language(sound)]
        results = model.generate(
            sound,
            [list(tokenizer.sot_sequence)] * len(batch),
            beam_size=1,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=suppressed(tokenizer),
            sampling_topk=0 if temperature else 1,
            sampling_temperature=temperature or 1.0,
        )
        return [
            Outcome(
                tuple(result.sequences_ids[0]),
                result.scores[0] * len(result.sequences_ids[0]),
                result.no_speech_prob,
                language_prob,
            )
            for result, language_prob in zip(results, language_probs, strict=True)
        ]


def suppressed(tokenizer: Any) -> list[int]:
    """The tokens that never follow, as openai-whisper has them."""
    special = (
        *(tokenizer.transcribe, tokenizer.translate, tokenizer.sot),
        *(tokenizer.sot_prev, tokenizer.sot_lm, tokenizer.no_speech),
    )
    return sorted({*tokenizer.non_speech_tokens, *special})


def model_names() -> list[str]:
    """The names that faster-whisper knows.

    Raises:
        ModelError: it is not installed.
    """
    try:
        from faster_whisper import available_models
    except ImportError as error:
        raise ModelError(
            f"the engine faster-whisper is not installed ({one_line(error)}): {INSTALL}"
        ) from error
    names: list[str] = available_models()
    return names


def downloaded(name: str) -> Path:
    """The folder of a model that faster-whisper knows, fetched where it is not here yet.

    Raises:
        ModelError: it cannot be downloaded.
    """
    from faster_whisper import download_model

    try:
        return Path(download_model(name))
    except Exception as error:  # of the hub's client, of the transport below it, or of the disk
        raise ModelError(
            f"the recogniser {name} could not be downloaded ({one_line(error)}); go online once,"
            f" or {GIVE_A_MODEL}"
        ) from error
