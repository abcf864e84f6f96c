"""OpenAI's Whisper as a recogniser: window by window, with its own guards.

Source: Radford et al. 2022, Robust Speech Recognition via Large-Scale Weak Supervision, section
4.5: a window whose text fails a guard is decoded again at a higher temperature. Previous text is
not shown to the model: it makes errors run on from window to window.
"""

import functools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import whisper
from whisper.audio import N_FRAMES, N_SAMPLES, log_mel_spectrogram, pad_or_trim
from whisper.tokenizer import LANGUAGES, get_tokenizer

from pixmo.errors import ModelError
from pixmo.hashing import sha256_file
from pixmo.speech.audio import SAMPLE_RATE, Samples
from pixmo.speech.recogniser import Recognition, Segment

TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
COMPRESSION_RATIO_ABOVE = 2.4  # repeats itself
AVG_LOGPROB_BELOW = -1.0  # is unsure
NO_SPEECH_PROB_ABOVE = 0.6  # and unsure: is silence
SECONDS_PER_TIMESTAMP = 0.02
SEED = 0  # of the sampling at temperatures above 0
POINT_AT_A_FILE = "give the path of a checkpoint file: --model PATH, or model in pixmo.toml"


@dataclass(frozen=True)
class WhisperRecogniser:
    """A Whisper checkpoint on a device; its weights are loaded when first needed."""

    name: str
    source: str  # what `whisper.load_model` takes
    sha256: str
    device: str

    @classmethod
    def load(
        cls, model: str, device: str = "auto", folder: Path | None = None
    ) -> "WhisperRecogniser":
        """The recogniser of a name openai-whisper knows, or of a checkpoint file.

        A relative path is looked up in `folder` (default: the current one).

        Raises:
            ModelError: no such name or file, or no such device.
        """
        chosen = chosen_device(device)
        if model in whisper.available_models():
            # openai-whisper checks a download, and every later read of it, against its address.
            return cls(model, model, whisper._MODELS[model].split("/")[-2], chosen)
        path = (folder or Path()) / Path(model).expanduser()
        if not path.is_file():
            names = ", ".join(whisper.available_models())
            raise ModelError(
                f"there is no recogniser {model}: no file {path}, and none of openai-whisper's"
                f" names ({names}); {POINT_AT_A_FILE}"
            )
        return cls(path.stem, str(path), sha256_file(path), chosen)

    @property
    def options(self) -> Mapping[str, object]:
        """What decides the text beside the weights.

        Not the device: half precision on a GPU differs only in rounding, and moving a workspace
        to another machine is no reason to transcribe it again.
        """
        return {
            "method": "whisper-windows-1",
            "temperatures": TEMPERATURES,
            "compression_ratio_above": COMPRESSION_RATIO_ABOVE,
            "avg_logprob_below": AVG_LOGPROB_BELOW,
            "no_speech_prob_above": NO_SPEECH_PROB_ABOVE,
            "seed": SEED,
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
                f"{self.source} is no Whisper checkpoint ({one_line(error)}); {POINT_AT_A_FILE}"
            ) from error
        return model.eval()

    def recognise(self, windows: Sequence[Samples], language: str) -> list[Recognition]:
        """What is said in each window of at most 30 s, in order; times from the window's start.

        Raises:
            ModelError: the model cannot be loaded or does not know the language.
        """
        if language not in LANGUAGES or (language != "en" and not self.model.is_multilingual):
            raise ModelError(
                f"the recogniser {self.name} does not know the language {language!r}; set language"
                " in pixmo.toml to an ISO 639-1 code that it knows, such as en"
            )
        self.tokenizer(language)  # read before whisper.decode does, quietly
        return [Recognition(tuple(self.segments(window, language)), language) for window in windows]

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

    def segments(self, window: Samples, language: str) -> Iterator[Segment]:
        """The segments heard in one window; none where the model itself hears no speech."""
        result = self.decode_guarded(window, language)
        if result.no_speech_prob > NO_SPEECH_PROB_ABOVE and is_unsure(result):
            return
        tokenizer = self.tokenizer(language)
        seconds = len(window) / SAMPLE_RATE
        for start, end, tokens in timed_tokens(result.tokens, tokenizer.timestamp_begin, seconds):
            text = tokenizer.decode(tokens).strip()
            if text:
                yield Segment(
                    start,
                    end,
                    text,
                    float(result.avg_logprob),
                    float(result.compression_ratio),
                    float(result.no_speech_prob),
                    float(result.temperature),
                )

    @torch.inference_mode()
    def decode_guarded(self, window: Samples, language: str) -> Any:
        """Whisper's decoding at the first temperature whose text passes the guards."""
        half = self.device == "cuda"
        mel = log_mel_spectrogram(window, self.model.dims.n_mels, padding=N_SAMPLES)
        mel = pad_or_trim(mel[:, :-N_FRAMES], N_FRAMES).to(self.device)
        features = self.model.encoder((mel.half() if half else mel).unsqueeze(0))[0]
        devices = [torch.cuda.current_device()] if half else []
        # Seeded for each window: the text must not depend on what was heard before it.
        with torch.random.fork_rng(devices):
            torch.manual_seed(SEED)
            for temperature in TEMPERATURES:
                options = whisper.DecodingOptions(
                    language=language, temperature=temperature, fp16=half
                )
                result = whisper.decode(self.model, features, options)
                if passes_guards(result):
                    break
        return result


def passes_guards(result: Any) -> bool:
    """Whether no higher temperature need be tried."""
    if is_unsure(result):
        return bool(result.no_speech_prob > NO_SPEECH_PROB_ABOVE)
    return bool(result.compression_ratio <= COMPRESSION_RATIO_ABOVE)


def is_unsure(result: Any) -> bool:
    """Whether the mean log-probability of a token is low."""
    return bool(result.avg_logprob < AVG_LOGPROB_BELOW)


def timed_tokens(
    tokens: Sequence[int], timestamp_begin: int, seconds: float
) -> Iterator[tuple[float, float, list[int]]]:
    """Start, end (seconds) and tokens of every stretch of text between timestamp tokens."""
    start = 0.0
    text: list[int] = []
    for token in tokens:
        if token < timestamp_begin:
            text.append(token)
            continue
        time = min((token - timestamp_begin) * SECONDS_PER_TIMESTAMP, seconds)
        if text:
            yield start, max(start, time), text
            text = []
        start = time
    if text:
        yield start, max(start, seconds), text


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


def one_line(error: Exception) -> str:
    """An error's message on one line, at most 200 characters; its kind where it has none."""
    return " ".join(str(error).split())[:200] or type(error).__name__
