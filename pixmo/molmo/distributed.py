"""Several processes that train one model, a device each; torchrun starts them.

Every process holds a share of each weight and of each batch (FSDP2). Source: Zhao et al. 2023,
arXiv 2304.11277, in torch's `fully_shard`.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, distribute_tensor

from pixmo.molmo.device import choose_device

GLOO_SECONDS = 0.5
PATIENCE = timedelta(hours=2)  # with the first process, which reads the release for all


@dataclass(frozen=True)
class ProcessGroup:
    """This process among those that train together."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes what all share: one of them does."""
        return self.rank == 0

    def sum(self, value: Tensor) -> Tensor:
        """The sum of every process's value."""
        if self.size > 1:
            value = value.detach().clone().to(self.device)
            dist.all_reduce(value)
        return value

    def any(self, flag: bool) -> bool:
        """Whether the flag is true in any process."""
        return bool(self.sum(torch.tensor(int(flag)))) if self.size > 1 else flag

    def wait(self) -> None:
        """Every process has come here."""
        if self.size > 1:
            self.any(False)

    def share(self, module: nn.Module, methods: Sequence[str]) -> None:
        """Each process holds its share of every weight, on its device; they are gathered in use.

        Blocks are gathered one at a time; what is around them, while `forward` or one of the
        `methods` of the module runs.
        """
        if self.size == 1:
            return
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

        mesh = init_device_mesh(self.device.type, (self.size,))
        for block in reversed(list(blocks(module))):  # the inner before those that hold them
            fully_shard(block, mesh=mesh)
        fully_shard(module, mesh=mesh)
        for method in methods:
            register_fsdp_forward_method(module, method)


ALONE = ProcessGroup(0, 1, torch.device("cpu"))


def blocks(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the repeated blocks of every transformer in the model, the outer before the inner."""
    for module in model.modules():
        if isinstance(module, nn.ModuleList):
            yield from module


@contextlib.contextmanager
def join(device: str) -> Iterator[ProcessGroup]:
    """A context in which this process is one of its group; alone where torchrun did not start it.

    Raises:
        TrainingError: there is no such device.
    """
    kind = choose_device(device)
    if not dist.is_torchelastic_launched():
        yield ProcessGroup(0, 1, torch.device(kind))
        return
    if kind == "cuda":
        torch.cuda.set_device(dist.get_node_local_rank())
    dist.init_process_group("nccl" if kind == "cuda" else "gloo", timeout=PATIENCE)
    at = torch.device(kind, torch.cuda.current_device()) if kind == "cuda" else torch.device(kind)
    try:
        yield ProcessGroup(dist.get_rank(), dist.get_world_size(), at)
    finally:
        if kind == "cpu":  # gloo's threads free their last tensors; in Python's exit they abort it
            time.sleep(GLOO_SECONDS)
        dist.destroy_process_group()


def gather_whole(tensors: Mapping[str, Tensor], group: ProcessGroup) -> dict[str, Tensor]:
    """The whole tensors in the first process, one after another; none in the others."""
    gathered = {}
    for name, value in tensors.items():
        full = whole(value)
        if group.is_first:
            gathered[name] = full.cpu().contiguous()
    return gathered


def whole(value: Tensor) -> Tensor:
    """All of a tensor that may be shared; every process must ask."""
    value = value.detach()
    return value.full_tensor() if isinstance(value, DTensor) else value


def shared_like(value: Tensor, parameter: Tensor) -> Tensor:
    """A whole tensor, shared among the processes and placed as the parameter is."""
    placed = value.to(parameter.device)
    if isinstance(parameter, DTensor) and value.shape == parameter.shape:
        return distribute_tensor(placed, parameter.device_mesh, parameter.placements)
    return placed
