"""What predicting each token costs, without holding the logits of all tokens at once."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CHUNK_LOGITS = 2**26  # made at once: 256 MB; 32,000 tokens of 152,000 logits would be 20 GB


def token_losses(
    x: Tensor,
    targets: Tensor,
    logits_of: Callable[[Tensor], Tensor],
    vocabulary_size: int,
    z_loss: float = 0.0,
    most_logits: int = CHUNK_LOGITS,
) -> Tensor:
    """Nats of predicting `targets` (n) from `x` (n, width), shape (n).

    To each is added `z_loss` times the square of its log-normaliser, which keeps logits from
    drifting (arXiv 2204.02311). Where not all logits may be held they are made chunk by chunk, and
    again in the backward pass.
    """

    def losses(x: Tensor, targets: Tensor) -> Tensor:
        logits = logits_of(x).float()
        nats = F.cross_entropy(logits, targets, reduction="none")
        return nats + z_loss * logits.logsumexp(-1).square() if z_loss else nats

    rows = max(1, most_logits // vocabulary_size)
    if len(targets) <= rows:
        return losses(x, targets)
    chunks = zip(torch.split(x, rows), torch.split(targets, rows), strict=True)
    return torch.cat([checkpoint(losses, *chunk, use_reentrant=False) for chunk in chunks])
