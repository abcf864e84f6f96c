"""Where a model computes: the device, its precision, its memory."""

import contextlib
import resource
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from pixmo.errors import TrainingError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def choose_device(device: str) -> str:
    """`cpu` or `cuda`; `auto` is cuda where there is one.

    Raises:
        TrainingError: cuda is asked for and there is none.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise TrainingError(f"there is no device {device!r}; there are auto, cpu, cuda")
    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise TrainingError("torch sees no CUDA device here; use --device cpu")
    return "cuda" if has_cuda and device != "cpu" else "cpu"


@contextlib.contextmanager
def memory_told(device: torch.device, micro_batch: int) -> Iterator[None]:
    """A context in which running out of memory is an error that says what to lower.

    Raises:
        TrainingError: memory is short.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not is_out_of_memory(error):
            raise
        raise TrainingError(
            f"memory of {device} ran out with {micro_batch} examples computed at once;"
            " lower --micro-batch, which adds up smaller pieces of the same batch, or choose a"
            " smaller --size"
        ) from error


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch means by it that memory ran out; on a CPU it has no class for that."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def precision_on(device: torch.device, name: str) -> torch.dtype:
    """The type that matrix products are computed in; `auto` is bf16 on a GPU that has it.

    Raises:
        TrainingError: there is no such precision.
    """
    if name == "auto":
        has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if has_bf16 else torch.float32
    if name not in PRECISIONS:
        raise TrainingError(f"there is no precision {name!r}; there are auto, fp32, bf16")
    return PRECISIONS[name]


def recompute(block: nn.Module) -> None:
    """From now on the block keeps only what comes in, and runs again in the backward pass.

    A third more to compute, for a small part of the memory. Source: Chen et al. 2016, arXiv
    1604.06174.
    """
    forward = block.forward

    def run(*given: Any, **named: Any) -> Any:  # no partial: torch would not compile through it
        return checkpoint(forward, *given, use_reentrant=False, **named)

    block.forward = run


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory that was in use: the GPU's, or this process's where there is none."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kibibytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
