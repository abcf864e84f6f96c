"""An openai-whisper checkpoint as a folder that CTranslate2 reads, without a download."""

import functools
import itertools
import warnings
from collections.abc import Mapping
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from whisper.tokenizer import get_tokenizer

from pixmo.files import temporary_path

TOKENS_WITHOUT_LANGUAGES = 51_765  # of Whisper's multilingual vocabulary
ENGLISH_TOKENS = 51_864
# CTranslate2 looks for the name that the published models use.
NO_SPEECH = {"<|nospeech|>": "<|nocaptions|>"}


def convert(checkpoint: Path, folder: Path) -> None:
    """`folder` holds the weights of `checkpoint` in their own precision, or still what it held.

    Raises:
        Exception: whatever torch raises over a file that is no checkpoint of Whisper's.
    """
    from ctranslate2.specs import WhisperSpec

    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    dims, weights = content["dims"], content["model_state_dict"]
    spec = WhisperSpec(
        dims["n_audio_layer"], dims["n_audio_head"], dims["n_text_layer"], dims["n_text_head"]
    )
    fill(spec, Weights(weights, ""))
    spec.register_vocabulary(vocabulary(dims["n_vocab"]))
    tokenizer = whisper_tokenizer(dims["n_vocab"])
    spec.config.suppress_ids = list(tokenizer.non_speech_tokens)
    spec.config.suppress_ids_begin = [*tokenizer.encode(" "), tokenizer.eot]
    spec.config.lang_ids = list(tokenizer.all_language_tokens)
    # CTranslate2's own choice where a model does not name those that follow the sound.
    layers = range(dims["n_text_layer"] // 2, dims["n_text_layer"])
    spec.config.alignment_heads = list(itertools.product(layers, range(dims["n_text_head"])))
    spec.validate()
    is_half = weights["decoder.token_embedding.weight"].dtype == torch.float16
    spec.optimize("float16" if is_half else "float32")
    with temporary_path(folder) as temporary:
        # A folder is not unlinked as a file is.
        temporary.mkdir()
        try:
            spec.save(str(temporary))
            temporary.replace(folder)
        finally:
            rmtree(temporary, ignore_errors=True)


class Weights:
    """A checkpoint's tensors whose names begin with a prefix."""

    def __init__(self, tensors: Mapping[str, Tensor], prefix: str) -> None:
        self.tensors, self.prefix = tensors, prefix

    def __truediv__(self, name: str) -> "Weights":
        return Weights(self.tensors, f"{self.prefix}{name}.")

    def array(self, name: str) -> NDArray[Any]:
        """One of them."""
        return self.tensors[self.prefix + name].contiguous().numpy()

    def has(self, name: str) -> bool:
        """Whether there is one of this name."""
        return self.prefix + name in self.tensors


def fill(spec: Any, weights: Weights) -> None:
    """A CTranslate2 specification has all of a checkpoint's weights."""
    encoder, decoder = weights / "encoder", weights / "decoder"
    for number, convolution in enumerate((spec.encoder.conv1, spec.encoder.conv2), 1):
        fill_affine(convolution, encoder / f"conv{number}")
    spec.encoder.position_encodings.encodings = encoder.array("positional_embedding")
    fill_norm(spec.encoder.layer_norm, encoder / "ln_post")
    spec.decoder.embeddings.weight = decoder.array("token_embedding.weight")
    spec.decoder.projection.weight = spec.decoder.embeddings.weight
    spec.decoder.position_encodings.encodings = decoder.array("positional_embedding")
    fill_norm(spec.decoder.layer_norm, decoder / "ln")
    for part, source in ((spec.encoder, encoder), (spec.decoder, decoder)):
        for number, layer in enumerate(part.layer):
            fill_layer(layer, source / f"blocks.{number}")


def fill_layer(layer: Any, weights: Weights) -> None:
    """A layer of the encoder or the decoder is complete."""
    own = weights / "attn"
    fill_norm(layer.self_attention.layer_norm, weights / "attn_ln")
    fill_together(layer.self_attention.linear[0], own / "query", own / "key", own / "value")
    fill_affine(layer.self_attention.linear[1], own / "out")
    if weights.has("cross_attn.query.weight"):
        cross = weights / "cross_attn"
        fill_norm(layer.attention.layer_norm, weights / "cross_attn_ln")
        fill_affine(layer.attention.linear[0], cross / "query")
        fill_together(layer.attention.linear[1], cross / "key", cross / "value")
        fill_affine(layer.attention.linear[2], cross / "out")
    fill_norm(layer.ffn.layer_norm, weights / "mlp_ln")
    fill_affine(layer.ffn.linear_0, weights / "mlp.0")
    fill_affine(layer.ffn.linear_1, weights / "mlp.2")


def fill_affine(spec: Any, weights: Weights) -> None:
    """A linear map or a convolution has its weight and, where there is one, its bias."""
    spec.weight = weights.array("weight")
    if weights.has("bias"):
        spec.bias = weights.array("bias")


def fill_norm(spec: Any, weights: Weights) -> None:
    """A layer norm is complete."""
    spec.gamma, spec.beta = weights.array("weight"), weights.array("bias")


def fill_together(spec: Any, *parts: Weights) -> None:
    """One linear map computes what several do; keys have no bias."""
    spec.weight = np.concatenate([part.array("weight") for part in parts])
    biases = [
        part.array("bias") if part.has("bias") else np.zeros_like(part.array("weight")[:, 0])
        for part in parts
    ]
    spec.bias = np.concatenate(biases)


def whisper_tokenizer(tokens: int, language: str | None = None) -> Any:
    """openai-whisper's tokenizer for a vocabulary of so many tokens."""
    is_multilingual = tokens > ENGLISH_TOKENS
    languages = tokens - TOKENS_WITHOUT_LANGUAGES - int(is_multilingual)
    with warnings.catch_warnings():
        # It leaves closing the file of its vocabulary to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        return get_tokenizer(is_multilingual, num_languages=languages, language=language)


def vocabulary(tokens: int) -> list[str]:
    """Every token by its number, as the published models spell it."""
    encoding = whisper_tokenizer(tokens).encoding
    names = {number: spelled(data) for data, number in encoding._mergeable_ranks.items()}
    special = encoding._special_tokens.items()
    names |= {number: NO_SPEECH.get(name, name) for name, number in special}
    return [names[number] for number in range(tokens)]


def spelled(data: bytes) -> str:
    """A token's bytes as characters that can be seen, one each, as GPT-2's vocabulary has them."""
    letters = visible_letters()
    return "".join(letters[byte] for byte in data)


@functools.cache
def visible_letters() -> tuple[str, ...]:
    """The character that stands for each byte."""
    visible = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1)}
    visible |= set(range(ord("®"), ord("ÿ") + 1))
    others = itertools.count(256)
    return tuple(chr(byte if byte in visible else next(others)) for byte in range(256))
