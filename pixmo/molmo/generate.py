"""Answers written by a trained model: greedily, in batches, every token read once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pixmo.molmo.crops import Crops
from pixmo.molmo.data import PREFIX_SEGMENT, Packed, collate, image_tokens
from pixmo.molmo.language import Cache
from pixmo.molmo.model import Molmo
from pixmo.molmo.tokenizer import BOS, EOS, Tokenizer

ANSWER_SEGMENT = 1
BATCH_REQUESTS = 64


@dataclass(frozen=True)
class Request:
    """What a model is asked: an image, and a prompt in the forms of `prompts`."""

    image: Crops
    prompt: str


def generate(
    model: Molmo,
    tokenizer: Tokenizer,
    requests: Sequence[Request],
    most_tokens: int = 0,
    batch_requests: int = BATCH_REQUESTS,
) -> Iterator[str]:
    """Yield the answers in order, each of the likeliest tokens until the model ends it.

    An answer of `most_tokens` is cut there; 0 stands for the size's own `most_answer_tokens`.
    """
    most = most_tokens or model.size.most_answer_tokens
    for start in range(0, len(requests), batch_requests):
        chosen = requests[start : start + batch_requests]
        prompts = [pack_prompt(one, tokenizer) for one in chosen]
        for tokens in answer(model, prompts, [one.image for one in chosen], most):
            yield tokenizer.decode(tokens).strip()


def pack_prompt(request: Request, tokenizer: Tokenizer) -> Packed:
    """Image and prompt as the sequence that the answer goes on."""
    prefix, prompt = [BOS, *image_tokens(request.image)], tokenizer.encode(request.prompt)
    length = len(prefix) + len(prompt)
    segments = [PREFIX_SEGMENT] * len(prefix) + [ANSWER_SEGMENT] * len(prompt)
    return Packed(
        tokens=np.array([*prefix, *prompt], np.int64),
        segments=np.array(segments, np.int64),
        positions=np.arange(length, dtype=np.int64),
        weights=np.zeros(length, np.float32),
        annotations=(),
        characters=(),
    )


@torch.no_grad()
def answer(
    model: Molmo, prompts: Sequence[Packed], images: Sequence[Crops], most_tokens: int
) -> list[list[int]]:
    """The tokens that follow each prompt, without the one that ends the answer."""
    model.eval()
    device = next(model.parameters()).device
    batch, cache = collate(prompts, images).to(device), Cache()
    lengths = torch.tensor([len(one.tokens) for one in prompts], device=device)
    vectors = model(batch, cache)[torch.arange(len(prompts), device=device), lengths - 1]
    segment = torch.full((len(prompts), 1), ANSWER_SEGMENT, device=device)
    written: list[torch.Tensor] = []
    ended = torch.zeros(len(prompts), dtype=torch.bool, device=device)
    for position in range(most_tokens):
        following = model.language.logits(vectors).argmax(-1)
        ended |= following == EOS
        written.append(following.masked_fill(ended, EOS))
        if bool(ended.all()) or position == most_tokens - 1:
            break
        x = model.language.embedding(written[-1].unsqueeze(1))
        at = (lengths + position).unsqueeze(1)
        vectors = model.language(x, segment, at, cache).squeeze(1)
    tokens: list[list[int]] = torch.stack(written, 1).tolist()
    return [row[: row.index(EOS)] if EOS in row else row for row in tokens]
