"""OpenAI's Whisper as a recogniser: many windows at once, with its own guards.

Source: Radford et al. 2022, Robust Speech Recognition via Large-Scale Weak Supervision, section
4.5: a window whose text fails a guard is decoded again at a higher temperature. Previous text is
not shown to the model: it makes errors run on from window to window.
"""

import functools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import whisper
from whisper.audio import FRAMES_PER_SECOND
from whisper.timing import add_word_timestamps
from whisper.tokenizer import get_tokenizer

from pixmo.errors import ModelError
from pixmo.hashing import sha256_file
from pixmo.speech.audio import Samples
from pixmo.speech.engine.decoder import Decoder
from pixmo.speech.engine.log_mel import LogMel, log_mel
from pixmo.speech.engine.memory import slots_that_fit
from pixmo.speech.engine.network import Network
from pixmo.speech.engine.slots import FEWEST_ROWS, SEED, Outcome, Slots
from pixmo.speech.engine.token_rules import TokenRules
from pixmo.speech.recogniser import Recognition, Window, Word
from pixmo.speech.whisper_guards import (
    GUARDS,
    TEMPERATURES,
    Stretch,
    check_language,
    judged,
    recognition,
)

POINT_AT_A_FILE = "give the path of a checkpoint file: --model PATH, or model in pixmo.toml"

Note = Callable[[str], None]


@dataclass(frozen=True)
class WhisperRecogniser:
    """A Whisper checkpoint on a device; its weights are loaded when first needed."""

    name: str
    source: str  # what `whisper.load_model` takes
    sha256: str
    device: str
    slots: int = 0  # windows decoded side by side; 0: as many as fit
    word_times: bool = False  # segments say when each word was spoken
    note: Note = lambda _: None  # told what a person should know

    @classmethod
    def load(
        cls,
        model: str,
        device: str = "auto",
        folder: Path | None = None,
        slots: int = 0,
        word_times: bool = False,
        note: Note = lambda _: None,
    ) -> "WhisperRecogniser":
        """The recogniser of a name openai-whisper knows, or of a checkpoint file.

        A relative path is looked up in `folder` (default: the current one).

        Raises:
            ModelError: no such name or file, or no such device.
        """
        chosen = chosen_device(device)
        if model in whisper.available_models():
            # openai-whisper checks a download, and every later read of it, against its address.
            sha256 = whisper._MODELS[model].split("/")[-2]
            return cls(model, model, sha256, chosen, slots, word_times, note)
        path = (folder or Path()) / Path(model).expanduser()
        if not path.is_file():
            names = ", ".join(whisper.available_models())
            raise ModelError(
                f"there is no recogniser {model}: no file {path}, and none of openai-whisper's"
                f" names ({names}); {POINT_AT_A_FILE}"
            )
        return cls(path.stem, str(path), sha256_file(path), chosen, slots, word_times, note)

    @property
    def options(self) -> Mapping[str, object]:
        """What decides the text beside the weights.

        Not the device nor the number of slots: half precision on a GPU differs only in rounding,
        and moving a workspace to another machine is no reason to transcribe it again.
        """
        return {
            "method": "whisper-windows-2",
            **GUARDS,
            "seed": SEED,
            # A transcript without them need not be made again where nobody asks for any.
            **({"word_times": True} if self.word_times else {}),
        }

    @functools.cached_property
    def model(self) -> Any:
        """The loaded model.

        Raises:
            ModelError: it cannot be downloaded, or the file is no Whisper checkpoint.
        """
        try:
            with warnings.catch_warnings():
                # A download that was cut short is begun again; that needs no word.
                warnings.filterwarnings("ignore", ".*SHA256 checksum does not match", UserWarning)
                model = whisper.load_model(self.source, device=self.device)
        except OSError as error:  # urllib's errors are among these
            raise ModelError(
                f"the recogniser {self.name} could not be downloaded or read ({one_line(error)});"
                f" go online once, or {POINT_AT_A_FILE}"
            ) from error
        except Exception as error:  # torch raises nearly anything over a file that is not its own
            raise ModelError(
                f"{self.source} is no Whisper checkpoint: {cause(error)}; {POINT_AT_A_FILE}"
            ) from error
        return model.eval()

    @property
    def features(self) -> Callable[[Samples], LogMel]:
        """The log-mel spectrogram that this checkpoint hears."""
        return functools.partial(log_mel, mel_bands=self.model.dims.n_mels)

    def recognise(
        self, windows: Iterable[Window], language: str
    ) -> Iterator[tuple[Window, Recognition]]:
        """What is said in each window of at most 30 s, as they end; times from the window's start.

        Where the device has no room for so many at once, half as many are tried.

        Raises:
            ModelError: the model cannot be loaded, does not know the language, or too few windows
                fit into the device's memory.
        """
        check_language(self.name, language, self.model.is_multilingual)
        tokenizer = self.tokenizer(language)

        def accepts(outcome: Outcome) -> bool:
            return judged(outcome, tokenizer).passes_guards

        unfinished: dict[tuple[int, int], Window] = {}

        def tracked(source: Iterable[Window]) -> Iterator[Window]:
            for window in source:
                unfinished[window.key] = window
                yield window

        source = iter(windows)
        slots = slots_that_fit(self.model.dims, self.device, self.slots)
        if slots < self.slots:
            self.note(f"a batch of {self.slots} does not fit into memory: going on with {slots}")
        while True:
            again = list(unfinished.values())
            try:
                for window, outcome, temperature in self.decoder(language, slots, accepts).run(
                    tracked(chain(again, source))
                ):
                    heard = self.recognition(window, outcome, temperature, tokenizer)
                    del unfinished[window.key]
                    yield window, heard
                return
            except torch.OutOfMemoryError as error:
                if slots <= FEWEST_ROWS:
                    raise ModelError(
                        f"{slots} windows do not fit into the memory of {self.device};"
                        " use a smaller model, or the CPU: device in pixmo.toml"
                    ) from error
            # Outside of the handler, which keeps the failed decoder's memory alive.
            release_memory(self.device)
            slots = max(FEWEST_ROWS, slots // 2)
            self.note(f"out of memory on {self.device}: going on with {slots} windows at once")

    def decoder(self, language: str, slots: int, accepts: Callable[[Outcome], bool]) -> Decoder:
        """A decoder with room for so many windows."""
        self.tokenizer(language)  # read before openai-whisper's decoding does, quietly
        rules = TokenRules.of(self.model, language, self.network.device)
        return Decoder(Slots(self.network, rules, slots), TEMPERATURES, accepts)

    @functools.cached_property
    def network(self) -> Network:
        """The weights as the decoder takes them; half precision on a GPU."""
        return Network(self.model, torch.float16 if self.device == "cuda" else torch.float32)

    def tokenizer(self, language: str) -> Any:
        """What turns tokens into text; openai-whisper keeps it once it is read."""
        with warnings.catch_warnings():
            # It leaves closing the file of its vocabulary to the garbage collector.
            warnings.simplefilter("ignore", ResourceWarning)
            return get_tokenizer(
                self.model.is_multilingual,
                num_languages=self.model.num_languages,
                language=language,
                task="transcribe",
            )

    def recognition(
        self, window: Window, outcome: Outcome, temperature: float, tokenizer: Any
    ) -> Recognition:
        """The segments heard in one window; none where the model itself hears no speech."""
        words = functools.partial(self.words, window, tokenizer) if self.word_times else None
        return recognition(
            window, outcome, temperature, tokenizer, self.model.is_multilingual, words
        )

    @torch.inference_mode()
    def words(
        self, window: Window, tokenizer: Any, stretches: Sequence[Stretch]
    ) -> list[tuple[Word, ...]]:
        """When each word of the stretches was said, by openai-whisper: from cross-attention."""
        segments: list[dict[str, Any]] = [
            {"seek": 0, "start": start, "end": end, "tokens": tokens}
            for start, end, tokens in stretches
        ]
        add_word_timestamps(
            segments=segments,
            model=self.model,
            tokenizer=tokenizer,
            mel=torch.from_numpy(window.features).to(self.device),
            num_frames=int(window.seconds * FRAMES_PER_SECOND),
            last_speech_timestamp=0.0,
        )
        return [
            tuple(
                Word(said["start"], said["end"], said["word"].strip(), said["probability"])
                for said in segment["words"]
            )
            for segment in segments
        ]


def release_memory(device: str) -> None:
    """What torch keeps of the device's memory for later is free."""
    if device == "cuda":
        torch.cuda.empty_cache()


def chosen_device(device: str) -> str:
    """`cuda` or `cpu`.

    Raises:
        ModelError: no such device on this machine.
    """
    available = torch.cuda.is_available()
    if device == "auto":
        return "cuda" if available else "cpu"
    if device not in ("cpu", "cuda") or (device == "cuda" and not available):
        raise ModelError(f"there is no device {device} on this machine; use auto, cpu or cuda")
    return device


def cause(error: Exception) -> str:
    """Why a file is no checkpoint, in plain words where torch gives advice to programmers."""
    if isinstance(error, (KeyError, TypeError)):
        return "torch reads it, but it holds something else"
    if isinstance(error, RuntimeError):
        return one_line(error)
    return "torch finds no plain weights in it"


def one_line(error: Exception) -> str:
    """An error's message on one line, at most 200 characters; its kind where it has none."""
    return " ".join(str(error).split())[:200] or type(error).__name__
