"""Which tokens may follow, as openai-whisper's logit filters say it, without a loop over rows.

Source: openai-whisper's `SuppressBlank`, `SuppressTokens` and `ApplyTimestampRules`. What a row may
say next depends on its last two tokens and its last timestamp alone, so four masks over the
vocabulary and one comparison are all the rules.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from whisper.decoding import DecodingOptions, DecodingTask

FREE = 0  # within a text
FIRST = 1  # nothing said yet: a timestamp, and an early one
CLOSED = 2  # a timestamp behind text: another one follows, or the end
OPENED = 3  # two timestamps, or the first one: text follows
MODES = 4


@dataclass(frozen=True)
class TokenRules:
    """The vocabulary's layout and what is forbidden where."""

    prompt: tuple[int, ...]  # the tokens every window begins with
    sot_position: int  # where in the prompt the model is asked whether anybody speaks
    longest: int  # tokens a window may say
    end_of_text: int
    timestamp_begin: int
    no_speech: int
    text: int  # any plain token of it
    language: int | None  # the prompt's; None where the model knows but one
    languages: Tensor  # all the model knows
    forbidden: Tensor  # [MODES, vocabulary]: 0 where a token may follow, else -inf

    @classmethod
    def of(cls, model: object, language: str, device: torch.device) -> "TokenRules":
        """The rules of a `whisper.model.Whisper`, for speech in one language."""
        options = DecodingOptions(language=language, temperature=0.0)
        task = DecodingTask(model, options)
        tokenizer = task.tokenizer
        vocabulary: int = model.dims.n_vocab  # type: ignore[attr-defined]
        begin, end = tokenizer.timestamp_begin, tokenizer.eot
        never = torch.zeros(vocabulary, dtype=torch.bool)
        never[list(task._get_suppress_tokens())] = True
        if tokenizer.no_timestamps is not None:
            never[tokenizer.no_timestamps] = True
        masks = never.repeat(MODES, 1)
        masks[FIRST, :begin] = True
        latest = round(options.max_initial_timestamp / 0.02)
        masks[FIRST, begin + latest + 1 :] = True
        masks[CLOSED, :end] = True
        masks[OPENED, begin:] = True
        forbidden = torch.zeros(MODES, vocabulary).masked_fill_(masks, -torch.inf)
        return cls(
            tuple(task.initial_tokens),
            task.sot_index,
            task.sample_len,
            end,
            begin,
            tokenizer.no_speech,
            tokenizer.encode(" a")[0],
            tokenizer.language_token if model.is_multilingual else None,  # type: ignore[attr-defined]
            torch.tensor(tokenizer.all_language_tokens, device=device),
            forbidden.to(device),
        )
