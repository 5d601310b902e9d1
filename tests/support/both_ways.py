"""Modules of libraries, read off their neurons and traced: both ways must give the same network, or refuse."""

from collections.abc import Iterator

import torch
from torch import nn

import spikecert
from spikecert import ConversionRefused, SpikingNetwork
from spikecert.models.elements.layers import walk

from .foreign import Foreign
from .library_readers import convert


def differences(made: Foreign) -> Iterator[str]:
    """Yield what differs; "traced" or "refused" alone where there is nothing to compare."""
    try:
        traced = spikecert.convert(made.source, made.sample, made.num_steps, made.encoding).network
    except ConversionRefused as error:
        yield f"refused: {error}"
        return
    try:
        read = convert(made.source, made.sample, made.num_steps, made.encoding).network
    except ConversionRefused as error:
        yield f"traced: {error}"
        return
    yield from _unlike(read, traced)


def _unlike(read: SpikingNetwork, traced: SpikingNetwork) -> Iterator[str]:
    sizes = [[_constants(layer) for layer in walk(network.layers)] for network in (read, traced)]
    if [kind for kind, _ in sizes[0]] == [kind for kind, _ in sizes[1]]:
        for (kind, one), (_, other) in zip(*sizes, strict=True):
            alike = len(one) == len(other) and all(map(_close, one, other))
            if not alike:
                yield f"{kind}: {one} against {other}"


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
