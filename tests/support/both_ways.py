"""Modules of libraries, read off their neurons and traced: both ways must give the same network, or refuse."""

import torch
from torch import nn

import spikecert
from spikecert import ConversionRefused, SpikingNetwork
from spikecert.models.conversion.converting import random_like
from spikecert.models.elements.layers import walk

from .foreign import Foreign
from .library_readers import convert

OUTCOMES = ("equal", "the same function", "traced alone", "read alone", "refused by both", "different")


def outcome(made: Foreign) -> tuple[str, str]:
    """Return which of `OUTCOMES` a module has, and a reason: of a refusal, or what differs."""
    networks, reasons = [], []
    for way in (convert, spikecert.convert):
        try:
            networks.append(way(made.source, made.sample, made.num_steps, made.encoding).network)
        except ConversionRefused as error:
            networks.append(None)
            reasons.append(str(error))
    read, traced = networks
    if read is None or traced is None:
        alone = "refused by both" if read is traced else ("read alone" if traced is None else "traced alone")
        return alone, " | ".join(reasons)
    return _alike(read, traced, made.sample)


def _alike(read: SpikingNetwork, traced: SpikingNetwork, sample: torch.Tensor) -> tuple[str, str]:
    sizes = [[_constants(layer) for layer in walk(network.layers)] for network in (read, traced)]
    if [kind for kind, _ in sizes[0]] == [kind for kind, _ in sizes[1]]:
        same = all(
            len(one) == len(other) and all(map(_close, one, other))
            for (_, one), (_, other) in zip(*sizes, strict=True)
        )
        if same:
            return "equal", ""
    inputs = random_like(sample, 200, 1, read.encoding == "none").double()
    with torch.no_grad():
        ours, theirs = (network.double()(inputs) for network in (traced, read))
    told = f"{[kind for kind, _ in sizes[0]]} against {[kind for kind, _ in sizes[1]]}"
    return ("the same function" if torch.allclose(ours, theirs, atol=1e-9) else "different"), told


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
