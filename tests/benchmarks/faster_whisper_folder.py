"""A checkpoint as a folder that faster-whisper's own `WhisperModel` takes, without a download."""

import json
import re
from itertools import pairwise
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from pixmo.speech.ctranslate2_weights import NO_SPEECH, convert, spelled, whisper_tokenizer

TIMESTAMP = re.compile(r"<\|\d+\.\d\d\|>")  # no token of its tokenizer.json


def faster_whisper_folder(checkpoint: Path, folder: Path) -> Path:
    """`folder` with the weights, the tokenizer and the number of mel bands."""
    convert(checkpoint, folder)
    dims = torch.load(checkpoint, map_location="cpu", weights_only=True)["dims"]
    tokenizer(dims["n_vocab"]).save(str(folder / "tokenizer.json"))
    # faster-whisper reads the mel bands here, not from the weights.
    preprocessor = {"feature_size": dims["n_mels"]}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


def tokenizer(tokens: int) -> Tokenizer:
    """openai-whisper's vocabulary as `tokenizers` holds it: its ranks, and the merges they mean."""
    encoding = whisper_tokenizer(tokens).encoding
    ranks = encoding._mergeable_ranks
    merges = [
        (spelled(parts[0]), spelled(parts[1]))
        for data, rank in ranks.items()
        if len(data) > 1 and len(parts := halves(ranks, data, rank)) == 2
    ]
    made = Tokenizer(models.BPE({spelled(data): rank for data, rank in ranks.items()}, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = sorted(encoding._special_tokens.items(), key=lambda item: item[1])
    names = [NO_SPEECH.get(name, name) for name, _ in special if not TIMESTAMP.fullmatch(name)]
    made.add_special_tokens([AddedToken(name, special=True) for name in names])
    return made


def halves(ranks: dict[bytes, int], data: bytes, rank: int) -> list[bytes]:
    """What merges of lower rank leave of a token: the two parts that its own merge joins."""
    parts = [bytes([byte]) for byte in data]
    while len(parts) > 2:
        pairs = [ranks.get(a + b, rank) for a, b in pairwise(parts)]
        lowest = min(pairs)
        if lowest >= rank:
            break
        at = pairs.index(lowest)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts
