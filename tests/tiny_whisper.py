"""A very small Whisper with random weights: real mechanics, meaningless text."""

from pathlib import Path

import torch
from whisper.model import ModelDimensions, Whisper

WIDTH = 16
END_OF_TEXT = 50257  # of the multilingual vocabulary
LAST_TOKENS_FROM = 12  # position from which the text ends, so that decoding is quick
DIMENSIONS = ModelDimensions(
    n_mels=80,
    n_audio_ctx=1500,
    n_audio_state=WIDTH,
    n_audio_head=2,
    n_audio_layer=1,
    n_vocab=51865,
    n_text_ctx=448,
    n_text_state=WIDTH,
    n_text_head=2,
    n_text_layer=1,
)


def make_tiny_whisper(path: Path, seed: int = 0) -> Path:
    """A checkpoint at `path` that hears different sounds differently, the same for a seed."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = Whisper(DIMENSIONS)
        weights = model.state_dict()
        # Drawn anew: some of Whisper's parameters are made without a value.
        for name in sorted(weights):
            if weights[name].dim() > 1:
                weights[name] = torch.randn(weights[name].shape)
        weights["encoder.positional_embedding"] *= 0.1
    towards_end = torch.nn.functional.normalize(
        torch.randn(WIDTH, generator=generator(seed)), dim=0
    )
    weights["decoder.token_embedding.weight"][END_OF_TEXT] = 30 * towards_end
    weights["decoder.positional_embedding"][LAST_TOKENS_FROM:] = 1000 * towards_end
    torch.save({"dims": vars(DIMENSIONS), "model_state_dict": weights}, path)
    return path


def generator(seed: int) -> torch.Generator:
    """Random numbers of their own."""
    return torch.Generator().manual_seed(seed)
