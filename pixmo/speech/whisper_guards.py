"""What Whisper's engines share: its guards, and the segments between its timestamps.

Source of the guards: Radford et al. 2022, Robust Speech Recognition via Large-Scale Weak
Supervision, section 4.5; the thresholds are openai-whisper's.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, TypeAlias

from whisper.tokenizer import LANGUAGES

from pixmo.errors import ModelError
from pixmo.speech.engine.slots import Outcome
from pixmo.speech.recogniser import Recognition, Segment, Window, Word
from pixmo.speech.transcripts import compression_ratio

TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
COMPRESSION_RATIO_ABOVE = 2.4  # repeats itself
AVG_LOGPROB_BELOW = -1.0  # is unsure
NO_SPEECH_PROB_ABOVE = 0.6  # and unsure: is silence
# What decides a text, for a recogniser's options.
GUARDS: dict[str, object] = {
    "temperatures": TEMPERATURES,
    "compression_ratio_above": COMPRESSION_RATIO_ABOVE,
    "avg_logprob_below": AVG_LOGPROB_BELOW,
    "no_speech_prob_above": NO_SPEECH_PROB_ABOVE,
}
SECONDS_PER_TIMESTAMP = 0.02
DIGITS = 4  # of probabilities; what is behind them depends on the machine

Stretch: TypeAlias = tuple[float, float, list[int]]  # start, end (seconds), tokens of a text


@dataclass(frozen=True)
class Judged:
    """An outcome with what Whisper's guards look at."""

    tokens: tuple[int, ...]
    text: str
    avg_logprob: float
    no_speech_prob: float

    @property
    def compression_ratio(self) -> float:
        """How much the text repeats itself."""
        return compression_ratio(self.text)

    @property
    def is_unsure(self) -> bool:
        """Whether the mean log-probability of a token is low."""
        return self.avg_logprob < AVG_LOGPROB_BELOW

    @property
    def is_silence(self) -> bool:
        """Whether the model itself hears no speech."""
        return self.is_unsure and self.no_speech_prob > NO_SPEECH_PROB_ABOVE

    @property
    def passes_guards(self) -> bool:
        """Whether no higher temperature need be tried."""
        if self.is_unsure:
            return self.is_silence
        return self.compression_ratio <= COMPRESSION_RATIO_ABOVE


def judged(outcome: Outcome, tokenizer: Any) -> Judged:
    """The outcome's text and measures, as openai-whisper defines them."""
    return Judged(
        outcome.tokens,
        tokenizer.decode(list(outcome.tokens)).strip(),
        round(outcome.sum_logprob / (len(outcome.tokens) + 1), DIGITS),
        round(outcome.no_speech_prob, DIGITS),
    )


def check_language(name: str, language: str, is_multilingual: bool) -> None:
    """Nothing, if the recogniser of this name can hear the language (ISO 639-1).

    Raises:
        ModelError: it cannot.
    """
    if language not in LANGUAGES or (language != "en" and not is_multilingual):
        raise ModelError(
            f"the recogniser {name} does not know the language {language!r}; set language"
            " in pixmo.toml to an ISO 639-1 code that it knows, such as en"
        )


def recognition(
    window: Window,
    outcome: Outcome,
    temperature: float,
    tokenizer: Any,
    is_multilingual: bool,
    words: Callable[[Sequence[Stretch]], Sequence[tuple[Word, ...]]] | None = None,
) -> Recognition:
    """The segments heard in one window; none where the model itself hears no speech.

    Times in seconds from the window's start. `words` gives each stretch the times of its words.
    """
    language_prob = round(outcome.language_prob, DIGITS) if is_multilingual else None
    result = judged(outcome, tokenizer)
    if result.is_silence:
        return Recognition((), language_prob)
    measures = (result.avg_logprob, result.compression_ratio, result.no_speech_prob)
    stretches = [
        stretch
        for stretch in timed_tokens(result.tokens, tokenizer.timestamp_begin, window.seconds)
        if tokenizer.decode(stretch[2]).strip()
    ]
    times = words(stretches) if words else repeat(())
    segments = tuple(
        Segment(start, end, tokenizer.decode(tokens).strip(), *measures, temperature, timed)
        for (start, end, tokens), timed in zip(stretches, times, strict=False)
    )
    return Recognition(segments, language_prob)


def timed_tokens(tokens: Sequence[int], timestamp_begin: int, seconds: float) -> Iterator[Stretch]:
    """Every stretch of text between timestamp tokens."""
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
