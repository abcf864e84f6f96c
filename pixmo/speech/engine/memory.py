"""How many windows a device has room for."""

from typing import Any

import torch

from pixmo.speech.engine.slots import FEWEST_ROWS

MOST_SLOTS = 256  # beyond, little is gained
SLOTS_ON_CPU = 16
SHARE_OF_FREE = 0.7  # the rest is the encoder's, and what torch keeps for later
BYTES_OF_HALF = 2
LOGITS_KEPT = 8  # copies of a row's logits in 32 bits while the next token is chosen


def slots_that_fit(dims: Any, device: str) -> int:
    """How many windows a Whisper of these dimensions can decode side by side on `device`."""
    if device != "cuda":
        return SLOTS_ON_CPU
    free, _ = torch.cuda.mem_get_info()
    fitting = int(free * SHARE_OF_FREE) // bytes_of_slot(dims)
    return max(FEWEST_ROWS, min(MOST_SLOTS, fitting // 8 * 8))


def bytes_of_slot(dims: Any) -> int:
    """The memory of one window in half precision: keys and values, features, logits."""
    positions = dims.n_audio_ctx + dims.n_text_ctx
    keys_and_values = 2 * dims.n_text_layer * positions * dims.n_text_state * BYTES_OF_HALF
    features = dims.n_audio_ctx * dims.n_audio_state * BYTES_OF_HALF
    return int(keys_and_values + features + LOGITS_KEPT * dims.n_vocab * 4)
