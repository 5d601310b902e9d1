"""Modules of libraries, read off their neurons and traced: both ways must give the same network, or refuse."""

from collections.abc import Iterator

import torch
from torch import nn

import spikecert
from spikecert import ConversionRefused, SpikingNetwork
from spikecert.models.conversion.converting import random_like
from spikecert.models.elements.layers import walk

from .foreign import Foreign
from .library_readers import convert


def differences(made: Foreign) -> Iterator[str]:
    """Yield what differs: constants, or spikes and logits on random inputs where layers are others.

    "traced" alone where the readers refuse; nothing where both do.
    """
    try:
        traced = spikecert.convert(made.source, made.sample, made.num_steps, made.encoding).network
    except ConversionRefused as error:
        traced, reason = None, str(error)
    try:
        read = convert(made.source, made.sample, made.num_steps, made.encoding).network
    except ConversionRefused as error:
        if traced is not None:
            yield f"traced: {error}"
        return
    if traced is None:
        yield f"refused: {reason}"  # pyright: ignore[reportPossiblyUnboundVariable]
        return
    yield from _unlike(read, traced, made.sample)


def _unlike(read: SpikingNetwork, traced: SpikingNetwork, sample: torch.Tensor) -> Iterator[str]:
    sizes = [[_constants(layer) for layer in walk(network.layers)] for network in (read, traced)]
    if [kind for kind, _ in sizes[0]] == [kind for kind, _ in sizes[1]]:
        same = all(
            len(one) == len(other) and all(map(_close, one, other))
            for (_, one), (_, other) in zip(*sizes, strict=True)
        )
        if same:
            return
    inputs = random_like(sample, 200, 1, read.encoding == "none").double()
    one, other = (network.double().trace(inputs).spikes for network in (read, traced))
    pairs = zip(one, other, strict=False)
    if len(one) != len(other) or any(not torch.equal(first, second) for first, second in pairs):
        yield f"{[kind for kind, _ in sizes[0]]} against {[kind for kind, _ in sizes[1]]}"


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    one, other = torch.broadcast_tensors(one.double(), other.double())
    return bool(((one - other).abs() <= 1e-6 * one.abs().clamp_min(1e-6)).all())


def _constants(layer: nn.Module) -> tuple[str, list[torch.Tensor]]:
    """Return a layer's type and numbers."""
    found = [tensor.detach() for tensor in (*layer.parameters(), *layer.buffers()) if tensor.is_floating_point()]
    dynamics = vars(layer).get("dynamics")
    if dynamics is not None:
        found += [torch.tensor(float(each)) for each in (dynamics.decay, dynamics.threshold, dynamics.drop)]
    return f"{type(layer).__name__} {getattr(dynamics, 'reset', '')} {getattr(dynamics, 'fires_at', '')}", found
