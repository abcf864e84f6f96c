"""Whisper's network with a small vocabulary and two helping heads, and what it is judged by."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from whisper.model import (
    ModelDimensions,
    MultiHeadAttention,
    ResidualAttentionBlock,
    Whisper,
    sinusoids,
)

from pixmo.demo.training.batches import NOTHING, Batch
from pixmo.demo.training.codes import TIMESTAMPS

WIDTH = 128
DIMENSIONS = ModelDimensions(
    n_mels=80,
    n_audio_ctx=1500,
    n_audio_state=WIDTH,
    n_audio_head=4,
    n_audio_layer=3,
    n_vocab=51864,
    n_text_ctx=448,
    n_text_state=WIDTH,
    n_text_head=2,
    n_text_layer=2,
)
PHONEME_LAYER = 1  # of the encoder
TIMESTAMP_BLUR = 2.0  # standard deviation of a timestamp's target, in steps of 20 ms
ATTENTION_SLACK = 3  # encoder frames around a word in which attention to it is right
# of each encoder layer: the frames its heads begin by looking at, how sharply, by which sinusoids
LOCAL_ATTENTION = (
    ((-5, -2, 2, 5), 1.5, (0, 30)),
    ((-12, -4, 4, 12), 1.3, (0, 36)),
    ((-20, -7, 7, 20), 1.1, (4, 40)),
)


@dataclass(frozen=True)
class Losses:
    """What a step is judged by; text accuracy counts tokens that are not timestamps."""

    text: Tensor
    timestamps: Tensor
    decoder: Tensor
    words: Tensor
    phonemes: Tensor
    attention: Tensor
    text_accuracy: Tensor


class Table(nn.Module):
    """Token embeddings: a row for each token in use, smooth rows for times, one for all others."""

    position: Tensor

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(tokens, WIDTH) * 0.05)
        self.unused = nn.Parameter(torch.randn(WIDTH) * 0.05)
        self.projection = nn.Parameter(torch.randn(WIDTH, WIDTH) * 0.02)
        self.bias = nn.Parameter(torch.randn(WIDTH) * 0.05)
        self.register_buffer("position", sinusoids(TIMESTAMPS, WIDTH))

    def timestamps(self) -> Tensor:
        return self.position @ self.projection + self.bias

    def forward(self) -> Tensor:
        return torch.cat([self.tokens, self.timestamps(), self.unused[None]])


class Learner(nn.Module):
    """Whisper in training.

    Its softmax runs over the tokens in use and one that counts for all others, which have one row:
    that is exact, at a fraction of the cost. The heads for words and phonemes are thrown away.
    """

    def __init__(self, tokens: int, words: int, phonemes: int) -> None:
        super().__init__()
        self.whisper = Whisper(DIMENSIONS)
        self.whisper.decoder.token_embedding = nn.Identity()
        self.table = Table(tokens)
        self.word_head = nn.Linear(WIDTH, words + 1)
        self.phoneme_head = nn.Linear(WIDTH, phonemes + 1)
        self.unused_tokens = DIMENSIONS.n_vocab - TIMESTAMPS - tokens
        self._initialise()

    def _initialise(self) -> None:
        nn.init.normal_(self.whisper.decoder.positional_embedding, std=0.02)
        for name, parameter in self.whisper.named_parameters():
            if name.endswith("weight") and parameter.ndim == 2:
                small = "out" in name or "mlp.2" in name
                nn.init.normal_(parameter, std=0.04 if small else WIDTH**-0.5)
        for block, (offsets, sharpness, sinusoid_range) in zip(
            self.whisper.encoder.blocks, LOCAL_ATTENTION, strict=True
        ):
            _attend_to_offsets(block, offsets, sharpness, sinusoid_range)

    def encode(self, mel: Tensor, offsets: list[int]) -> tuple[Tensor, Tensor]:
        """Encoder output and its layer that hears phonemes, for windows at these offsets."""
        encoder = self.whisper.encoder
        x = F.gelu(encoder.conv2(F.gelu(encoder.conv1(mel)))).permute(0, 2, 1)
        frames = x.shape[1]
        x = x + torch.stack([encoder.positional_embedding[at : at + frames] for at in offsets])
        middle = x
        for i, block in enumerate(encoder.blocks):
            x = block(x)
            if i == PHONEME_LAYER:
                middle = x
        return encoder.ln_post(x), middle

    def decode(self, codes: Tensor, audio: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states after the decoder, and where the last layer's cross-attention looks."""
        decoder = self.whisper.decoder
        x = F.embedding(codes, table) + decoder.positional_embedding[: codes.shape[1]]
        *first_blocks, last = decoder.blocks
        for block in first_blocks:
            x = block(x, audio, mask=decoder.mask)
        x = x + last.attn(last.attn_ln(x), mask=decoder.mask)[0]
        attended, attention = _attend(last.cross_attn, last.cross_attn_ln(x), audio)
        x = x + attended
        x = x + last.mlp(last.mlp_ln(x))
        return decoder.ln(x), attention

    def forward(self, batch: Batch) -> Losses:
        with torch.autocast("cpu", torch.bfloat16):
            audio, middle = self.encode(batch.mel, batch.offsets)
            words = self.word_head(audio).float()
            phonemes = self.phoneme_head(F.layer_norm(middle, (WIDTH,))).float()
            table = self.table()
            hidden, attention = self.decode(batch.codes, audio, table)
            wanted = batch.targets != NOTHING
            logits = (hidden[wanted] @ table.t().to(hidden.dtype)).float()
        unused = logits[:, -1:] + math.log(self.unused_tokens)
        log_probabilities = torch.cat([logits[:, :-1], unused], -1).log_softmax(-1)
        text, timestamps, accuracy = self._token_losses(log_probabilities, batch.targets[wanted])
        count = len(text) + len(timestamps)
        return Losses(
            text=text.mean(),
            timestamps=timestamps.mean() if len(timestamps) else torch.zeros(()),
            decoder=(text.sum() + timestamps.sum()) / count,
            words=F.cross_entropy(words.flatten(0, 1), batch.labels[:, 0].flatten()),
            phonemes=F.cross_entropy(phonemes.flatten(0, 1), batch.labels[:, 1].flatten()),
            attention=_attention_loss(attention, batch.spans),
            text_accuracy=accuracy,
        )

    def _token_losses(
        self, log_probabilities: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Losses of the text tokens and of the timestamps, which may be a bit off; accuracy."""
        first = len(self.table.tokens)
        timed = targets >= first
        said = log_probabilities[~timed]
        text = -said.gather(1, targets[~timed][:, None])[:, 0]
        near = torch.arange(-8, 9)
        weight = torch.exp(-0.5 * (near / TIMESTAMP_BLUR) ** 2)
        around = (targets[timed][:, None] - first + near).clamp(0, TIMESTAMPS - 1) + first
        timestamps = -(log_probabilities[timed].gather(1, around) * weight / weight.sum()).sum(1)
        accuracy = (said.argmax(-1) == targets[~timed]).float().mean()
        return text, timestamps, accuracy


def _attend(layer: MultiHeadAttention, x: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
    """What the layer's own forward gives, and its weights with the gradient it detaches."""

    def heads(values: Tensor) -> Tensor:
        return values.view(*values.shape[:2], layer.n_head, -1).transpose(1, 2)

    query, key, value = heads(layer.query(x)), heads(layer.key(audio)), heads(layer.value(audio))
    scores = (query @ key.transpose(-1, -2)).float() * query.shape[-1] ** -0.5
    weights = scores.softmax(-1)
    attended: Tensor = layer.out((weights.to(value.dtype) @ value).transpose(1, 2).flatten(2))
    return attended, weights


def _attention_loss(attention: Tensor, spans: Tensor) -> Tensor:
    """How little each word's tokens look at where the word is heard.

    attention shape = (windows, heads, codes, encoder frames)
    """
    position = torch.arange(attention.shape[-1]).float()
    inside = position >= spans[..., 0:1] - ATTENTION_SLACK
    inside &= position <= spans[..., 1:2] + ATTENTION_SLACK
    seen = (attention * inside[:, None]).sum(-1).clamp(min=1e-6)
    heard = (spans[..., 0] >= 0)[:, None]
    return (-seen.log() * heard).sum() / (heard.sum() * attention.shape[1] + 1)


def _attend_to_offsets(
    block: ResidualAttentionBlock,
    offsets: tuple[int, ...],
    sharpness: float,
    sinusoid_range: tuple[int, int],
) -> None:
    """Each head begins by looking at a fixed distance: its keys are sinusoids turned by it."""
    rate = torch.exp(-np.log(10000) / (WIDTH // 2 - 1) * torch.arange(WIDTH // 2))
    head_width = WIDTH // len(offsets)
    half = head_width // 2
    chosen = torch.linspace(*sinusoid_range, half).round().long().tolist()
    for head, offset in enumerate(offsets):
        query, key = torch.zeros(head_width, WIDTH), torch.zeros(head_width, WIDTH)
        for j, i in enumerate(chosen):
            cosine, sine = math.cos(rate[i] * offset), math.sin(rate[i] * offset)
            query[j, i] = query[half + j, WIDTH // 2 + i] = 1
            key[j, i] = key[half + j, WIDTH // 2 + i] = cosine
            key[j, WIDTH // 2 + i] = -sine
            key[half + j, i] = sine
        rows = slice(head * head_width, (head + 1) * head_width)
        noise = 0.02 * torch.randn(2, head_width, WIDTH)
        block.attn.query.weight.data[rows] = sharpness * query + noise[0]
        block.attn.key.weight.data[rows] = sharpness * key + noise[1]
    block.attn.query.bias.data.zero_()
