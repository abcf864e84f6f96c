"""Whisper's network as plain functions over its weights, for a decoder that keeps slots.

openai-whisper's own modules grow their cache by one concatenation a token and convert weights at
every call; these functions write into a cache that is already there. B is the number of rows, D the
model's width, H its heads, W = D / H a head's width, T the tokens of a slot.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

# Weight and bias of a linear map, a convolution or a layer norm.
Affine: TypeAlias = tuple[Tensor, Tensor | None]


@dataclass(frozen=True)
class EncoderLayer:
    """Weights of one encoder layer."""

    attention_norm: Affine
    query_key_value: Affine
    attention_out: Affine
    mlp_norm: Affine
    mlp_in: Affine
    mlp_out: Affine


@dataclass(frozen=True)
class DecoderLayer(EncoderLayer):
    """Weights of one decoder layer: an encoder layer's, and those that look at the sound."""

    cross_norm: Affine
    cross_query: Affine
    cross_key: Affine
    cross_value: Affine
    cross_out: Affine


@dataclass(frozen=True)
class Cache:
    """Keys and values by slot, written in place. Each [layers, slots, H, positions, W]."""

    own_keys: Tensor  # positions: T tokens
    own_values: Tensor
    sound_keys: Tensor  # positions: 1,500 frames of 20 ms
    sound_values: Tensor


class Network:
    """The weights of an openai-whisper model in one data type, on one device."""

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        """`model` is a `whisper.model.Whisper`; its weights are shared where nothing changes."""
        self.dims = model.dims
        self.dtype = dtype
        encoder, decoder = model.encoder, model.decoder
        self.device = decoder.token_embedding.weight.device
        self.convolutions = [self.affine(encoder.conv1), self.affine(encoder.conv2)]
        self.frame_positions = encoder.positional_embedding.to(dtype)
        self.encoder_layers = [EncoderLayer(**self.shared(block)) for block in encoder.blocks]
        self.encoder_norm = self.affine(encoder.ln_post)
        self.token_embedding = decoder.token_embedding.weight.detach().to(dtype)
        self.token_positions = decoder.positional_embedding.detach().to(dtype)
        self.decoder_layers = [
            DecoderLayer(
                **self.shared(block),
                cross_norm=self.affine(block.cross_attn_ln),
                cross_query=self.affine(block.cross_attn.query),
                cross_key=self.affine(block.cross_attn.key),
                cross_value=self.affine(block.cross_attn.value),
                cross_out=self.affine(block.cross_attn.out),
            )
            for block in decoder.blocks
        ]
        self.decoder_norm = self.affine(decoder.ln)

    def affine(self, module: Any) -> Affine:
        """A module's weight and bias."""
        bias = module.bias
        return module.weight.detach().to(self.dtype), (
            None if bias is None else bias.detach().to(self.dtype)
        )

    def shared(self, block: Any) -> dict[str, Affine]:
        """What layers of both kinds have; query, key and value as one map."""
        parts = [block.attn.query, block.attn.key, block.attn.value]
        # Whisper's keys have no bias.
        biases = [torch.zeros_like(parts[0].bias) if p.bias is None else p.bias for p in parts]
        together = (torch.cat([p.weight for p in parts]), torch.cat(biases))
        return {
            "attention_norm": self.affine(block.attn_ln),
            "query_key_value": (
                together[0].detach().to(self.dtype),
                together[1].detach().to(self.dtype),
            ),
            "attention_out": self.affine(block.attn.out),
            "mlp_norm": self.affine(block.mlp_ln),
            "mlp_in": self.affine(block.mlp[0]),
            "mlp_out": self.affine(block.mlp[2]),
        }

    def norm(self, x: Tensor, weights: Affine) -> Tensor:
        """Layer norm over the last axis; sums are made in 32 bits whatever the data type."""
        return F.layer_norm(x, (x.shape[-1],), *weights)

    def mlp(self, x: Tensor, layer: EncoderLayer) -> Tensor:
        """A layer's second half, its residual included."""
        inner = F.gelu(F.linear(self.norm(x, layer.mlp_norm), *layer.mlp_in))
        return x + F.linear(inner, *layer.mlp_out)

    def encode(self, mel: Tensor) -> Tensor:
        """What the sound is, frame by frame: [B, mel bands, 3000] to [B, 1500, D]."""
        x = mel.to(self.device, self.dtype)
        x = F.gelu(F.conv1d(x, *self.convolutions[0], padding=1))
        x = F.gelu(F.conv1d(x, *self.convolutions[1], stride=2, padding=1))
        x = x.permute(0, 2, 1) + self.frame_positions
        batch, frames, width = x.shape
        for layer in self.encoder_layers:
            inner = F.linear(self.norm(x, layer.attention_norm), *layer.query_key_value)
            heads = inner.view(batch, frames, 3, self.dims.n_audio_head, -1)
            query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
            seen = F.scaled_dot_product_attention(query, key, value)
            seen = seen.transpose(1, 2).reshape(batch, frames, width)
            x = self.mlp(x + F.linear(seen, *layer.attention_out), layer)
        return self.norm(x, self.encoder_norm)

    def empty_cache(self, slots: int, tokens: int) -> Cache:
        """A cache for `slots` rows of at most `tokens` tokens."""
        heads = self.dims.n_text_head
        layers, width = self.dims.n_text_layer, self.dims.n_text_state // heads

        def zeros(positions: int) -> Tensor:
            shape = (layers, slots, heads, positions, width)
            return torch.zeros(shape, device=self.device, dtype=self.dtype)

        frames = self.dims.n_audio_ctx
        return Cache(zeros(tokens), zeros(tokens), zeros(frames), zeros(frames))

    def hear(self, features: Tensor, slots: Tensor, cache: Cache) -> None:
        """The slots' keys and values of the sound are those of `features`, [B, 1500, D]."""
        shape = (*features.shape[:2], self.dims.n_text_head, -1)
        for number, layer in enumerate(self.decoder_layers):
            for kept, weights in (
                (cache.sound_keys, layer.cross_key),
                (cache.sound_values, layer.cross_value),
            ):
                kept[number][slots] = F.linear(features, *weights).view(shape).transpose(1, 2)

    def logits(self, tokens: Tensor, positions: Tensor, cache: Cache) -> Tensor:
        """What may follow `tokens` [B] at `positions` [B] in the first B slots: [B, vocabulary].

        Shapes depend on B alone and nothing waits for the device, so a CUDA graph can hold it.
        """
        rows = len(tokens)
        heads = self.dims.n_text_head
        row = torch.arange(rows, device=self.device)[:, None]
        head = torch.arange(heads, device=self.device)[None, :]
        place = torch.arange(cache.own_keys.shape[3], device=self.device)
        # An additive mask: as booleans each layer would convert it anew.
        hidden = torch.zeros(rows, 1, 1, len(place), device=self.device, dtype=self.dtype)
        hidden.masked_fill_((place > positions[:, None])[:, None, None], -torch.inf)
        x = F.embedding(tokens, self.token_embedding) + F.embedding(positions, self.token_positions)
        for number, layer in enumerate(self.decoder_layers):
            own_keys, own_values = cache.own_keys[number][:rows], cache.own_values[number][:rows]
            inner = F.linear(self.norm(x, layer.attention_norm), *layer.query_key_value)
            query, key, value = inner.view(rows, 3, heads, -1).unbind(1)
            own_keys.index_put_((row, head, positions[:, None]), key)
            own_values.index_put_((row, head, positions[:, None]), value)
            x = x + F.linear(
                attend(query, own_keys, own_values, hidden).view(rows, -1), *layer.attention_out
            )
            query = F.linear(self.norm(x, layer.cross_norm), *layer.cross_query)
            seen = attend(
                query.view(rows, heads, -1),
                cache.sound_keys[number][:rows],
                cache.sound_values[number][:rows],
            )
            x = x + F.linear(seen.view(rows, -1), *layer.cross_out)
            x = self.mlp(x, layer)
        return F.linear(self.norm(x, self.decoder_norm), self.token_embedding)


def attend(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention of one token a row: query [B, H, W] over keys and values [B, H, positions, W]."""
    seen = F.scaled_dot_product_attention(query[:, :, None], keys, values, attn_mask=mask)
    return seen[:, :, 0]
