"""The sample's speech recogniser: a small real Whisper, kept compact, expanded to a checkpoint."""

import io
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from whisper.model import sinusoids

from pixmo.files import replace_atomically
from pixmo.hashing import sha256_file

COMPACT = Path(__file__).parent / "recogniser" / "model.safetensors"
DIMENSIONS = {
    "n_mels": 80,
    "n_audio_ctx": 1500,
    "n_audio_state": 128,
    "n_audio_head": 4,
    "n_audio_layer": 3,
    "n_vocab": 51864,  # English only
    "n_text_ctx": 448,
    "n_text_state": 128,
    "n_text_head": 2,
    "n_text_layer": 2,
}
EMBEDDING = "decoder.token_embedding.weight"
POSITIONS = "encoder.positional_embedding"


def checkpoint(cache_folder: Path) -> Path:
    """An ordinary checkpoint that `whisper.load_model` takes, made in the folder at first use.

    The same bytes for the same shipped weights; the name holds their hash.
    """
    path = cache_folder / f"recogniser-{sha256_file(COMPACT)[:12]}.pt"
    if not path.exists():
        buffer = io.BytesIO()  # torch.save writes the name of a file into it
        torch.save({"dims": DIMENSIONS, "model_state_dict": expand(load_file(COMPACT))}, buffer)
        replace_atomically(path, lambda temporary: temporary.write_bytes(buffer.getvalue()))
    return path


def write_compact(weights: dict[str, Tensor], path: Path) -> None:
    """The file to ship: learned weights in half precision, without what can be computed."""
    replace_atomically(path, lambda temporary: save_file(_halved(weights), temporary))


def expand(compact: dict[str, Tensor]) -> dict[str, Tensor]:
    """Whisper's state: tokens that were never learned all have the row that stood for them."""
    state = dict(compact)
    token_ids, rows = state.pop("token_ids").long(), state.pop("token_rows")
    embedding = state.pop("unused_row").repeat(DIMENSIONS["n_vocab"], 1)
    embedding[token_ids] = rows
    frames, width = DIMENSIONS["n_audio_ctx"], DIMENSIONS["n_audio_state"]
    return {**state, EMBEDDING: embedding, POSITIONS: sinusoids(frames, width).half()}


def _halved(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in sorted(weights.items())
    }
