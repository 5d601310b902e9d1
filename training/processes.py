"""Data-parallel training: several processes, each with its part of every batch, and one result.

Every process goes through the same batches in the same order, takes its own rows of each, and sums gradients with
the others before the optimiser's step. Noise is drawn for the whole batch by each process, which then keeps its
rows: so no sample's noise depends on how many processes there are.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..models.elements.layers import BATCH_NORMS
from ..models.networks import SpikingNetwork
from ..processes import bind


@dataclass(frozen=True)
class Processes:
    """How many processes train together, and which of them this one is."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Return whether this process is the one that validates, writes and reports."""
        return self.rank == 0

    def rows(self, total: int) -> slice | None:
        """Return which rows of a batch this process holds; None for all.

        Raises:
            ValueError: for a batch of fewer samples than there are processes.
        """
        if self.count == 1:
            return None
        if total < self.count:
            raise ValueError(f"batch_size: got a batch of {total} for {self.count} processes, expected more")
        return slice(total * self.rank // self.count, total * (self.rank + 1) // self.count)

    def sum_gradients(self, network: nn.Module) -> None:
        """Replace each gradient by its sum over the processes."""
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        if self.count == 1 or not gradients:
            return
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        for gradient, summed in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(summed.view_as(gradient))

    def summed(self, values: dict[str, float]) -> dict[str, float]:
        """Return the sum of each value over the processes."""
        if self.count == 1:
            return values
        weighted = torch.tensor(list(values.values()), dtype=torch.float64)
        dist.all_reduce(weighted)
        return dict(zip(values, weighted.tolist(), strict=True))

    def from_first(self, value: Any) -> Any:
        """Return what the first process passed."""
        if self.count == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box)
        return box[0]

    def agree_on(self, network: nn.Module) -> None:
        """Give every process the first one's weights and buffers."""
        if self.count > 1:
            for tensor in network.state_dict().values():
                dist.broadcast(tensor, 0)


def current() -> Processes:
    """Return the processes of torch's default group; one where there is none."""
    if not (dist.is_available() and dist.is_initialized()):
        return Processes()
    return Processes(dist.get_rank(), dist.get_world_size())


@contextmanager
def joined(device: str = "cpu") -> Iterator[Processes]:
    """Join the processes that torchrun started, for as long as the context lasts.

    Without torchrun, and where they have been joined already, do nothing. From then on a process ends with the
    torchrun that started it, whatever ended that.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or current().count > 1:
        yield current()
        return
    if dist.is_torchelastic_launched():
        bind(os.getppid())
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield current()
    finally:
        dist.destroy_process_group()


def check_accumulation(network: SpikingNetwork, parts: int) -> None:
    """Refuse to part batches of networks that need them whole.

    Raises:
        ValueError: for batch norm, whose statistics are of the batch, and rate codes, whose draws are.
    """
    norm = any(isinstance(module, BATCH_NORMS) for module in network.modules())
    if parts > 1 and (norm or network.encoding == "rate"):
        what = "batch norm" if norm else 'encoding "rate"'
        raise ValueError(f"accumulate: got {parts} and a network with {what}, expected 1: it needs whole batches")


@contextmanager
def common_statistics(network: SpikingNetwork, processes: Processes) -> Iterator[None]:
    """Let batch norm in training mode normalise by the statistics of the whole batch, over all processes."""
    norms = [m for m in network.modules() if isinstance(m, BATCH_NORMS)]
    norms = norms if processes.count > 1 else []
    for norm in norms:
        norm.forward = _normaliser(norm)  # on the object, in front of its class's own
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward


def _normaliser(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> Any:
    own: Any = type(norm).forward

    def forward(signal: Tensor) -> Tensor:
        """Normalise by the mean and the variance over all processes' rows."""
        if not norm.training:
            return own(norm, signal)
        axes = [axis for axis in range(signal.dim()) if axis != 1]
        shape = [1, -1] + [1] * (signal.dim() - 2)
        rows = _sum(torch.tensor(float(signal.numel() // signal.shape[1]), dtype=signal.dtype))
        mean = _sum(signal.sum(axes)) / rows
        centred = signal - mean.view(shape)
        variance = _sum(centred.square().sum(axes)) / rows
        _remember(norm, mean.detach(), variance.detach() * (rows / (rows - 1.0)))
        scaled = centred * (variance + norm.eps).rsqrt().view(shape)
        return scaled if norm.weight is None else scaled * norm.weight.view(shape) + norm.bias.view(shape)

    return forward


def _sum(value: Tensor) -> Tensor:
    """Return the sum over the processes; its gradient is the sum of their gradients."""
    from torch.distributed.nn.functional import all_reduce  # imported here: it needs torch.distributed built in

    return all_reduce(value)


def _remember(norm: nn.BatchNorm1d | nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Update the running statistics as batch norm does."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked.add_(1)
    momentum = 1.0 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, momentum)
    norm.running_var.lerp_(variance, momentum)
