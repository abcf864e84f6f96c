"""How many windows a device has room for."""

import os
from typing import Any

import torch

from pixmo.speech.engine.slots import FEWEST_ROWS

MOST_SLOTS = 256  # beyond, little is gained
SLOTS_ON_CPU = 16
SHARE_OF_ROOM = 0.7  # the rest is the encoder's, and what torch keeps for later
BYTES_OF_A_NUMBER = {"cuda": 2, "cpu": 4}
LOGITS_KEPT = 8  # copies of a row's logits in 32 bits while the next token is chosen


def slots_that_fit(dims: Any, device: str, wanted: int = 0) -> int:
    """How many windows a Whisper of these dimensions can decode side by side on `device`.

    At most `wanted` (0: as many as pay), but never fewer than a decoder has.
    """
    room = bytes_to_use(device) * SHARE_OF_ROOM
    fitting = int(room / bytes_of_slot(dims, BYTES_OF_A_NUMBER[device]))
    most = wanted or (SLOTS_ON_CPU if device == "cpu" else MOST_SLOTS)
    return max(FEWEST_ROWS, min(most, fitting))


def bytes_to_use(device: str) -> int:
    """The memory to share out: what is free on a GPU, half of all where others come and go."""
    if device == "cuda":
        free, _ = torch.cuda.mem_get_info()
        return free
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def bytes_of_slot(dims: Any, bytes_of_a_number: int) -> int:
    """The memory of one window: keys and values, features, logits."""
    positions = dims.n_audio_ctx + dims.n_text_ctx
    keys_and_values = 2 * dims.n_text_layer * positions * dims.n_text_state
    features = dims.n_audio_ctx * dims.n_audio_state
    logits = LOGITS_KEPT * dims.n_vocab * 4
    return int((keys_and_values + features) * bytes_of_a_number + logits)
