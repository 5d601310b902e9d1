"""Cut windows of steps out of a network: only what is open in them is left."""

from dataclasses import replace

import torch
from torch import Tensor

from ...kernels.bits import MOST_BITS, BitWindow
from .known import KnownLayer, KnownNetwork


def window(network: KnownNetwork, row: int, steps: slice) -> BitWindow | None:
    """Return the window of some steps; None where it has too many open bits.

    The margins of windows that make up all steps and the row's constant sum up to the row's margin, run by run.
    """
    return None if int(network.open[steps].sum()) > MOST_BITS else _window(network, row, steps)


def counted(network: KnownNetwork, row: int) -> BitWindow | None:
    """Return all steps as one window of neurons that count; None where some forget, or open bits are too many."""
    if not network.counts or int(network.open.sum()) > MOST_BITS:
        return None
    steps = slice(0, len(network.certain))
    pairs = list(zip(network.stages, network.opened(steps), strict=True))
    fewest = _joined([layer.fewest[:, at] for layer, at in pairs if layer.fewest is not None])
    greatest = _joined([layer.greatest[:, at] for layer, at in pairs if layer.greatest is not None])
    return replace(_window(network, row, steps), fewest=fewest, greatest=greatest)


def _window(network: KnownNetwork, row: int, steps: slice) -> BitWindow:
    """Return one window, step by step."""
    step, feature = network.open[steps].nonzero(as_tuple=True)
    lower, upper = _linked(feature, network.rank[steps][step, feature])
    opened, first, costs = network.opened(steps), network.stages[0], network.costs[row, steps]
    factors = torch.stack([layer.factor[steps] for layer in network.stages])
    columns = first.matrix[opened[0]][:, feature].T * factors[0][step][:, None]
    signal, bases = network.certain[steps].double(), list[Tensor]()
    for layer, chosen in zip(network.stages, opened, strict=True):
        current = signal @ layer.matrix[chosen].T + layer.bias[chosen]
        bases.append(current * layer.factor[steps, None])
        signal = layer.must[steps].double().index_fill(1, chosen, 0.0)
    pairs = list(zip(network.stages, opened, strict=True))
    return BitWindow(
        layers=tuple(layer.constants for layer in network.stages),
        sizes=tuple(map(len, opened)),
        step=step.contiguous(),
        columns=columns.contiguous(),
        lower=lower,
        upper=upper,
        base=_joined(bases),
        matrix=_joined(_between(network.stages, opened)),
        factor=factors.contiguous(),
        low=_joined([layer.low[steps.start][at] for layer, at in pairs]),
        high=_joined([layer.high[steps.start][at] for layer, at in pairs]),
        widening=_joined([layer.widening[at] for layer, at in pairs]),
        known=_joined([_spikes(layer, steps, at) for layer, at in pairs]),
        costs=costs[:, opened[-1]].contiguous(),
        constant=float((signal * costs).sum()),
    )


def _linked(feature: Tensor, rank: Tensor) -> tuple[Tensor, Tensor]:
    """Return which bit of its feature is just before each bit by rank, and which just behind it; −1 for none."""
    order = (feature * (int(rank.max()) + 1 if len(rank) else 1) + rank).argsort()
    first, second = order[:-1], order[1:]
    same = feature[first] == feature[second]
    lower, upper = torch.full_like(feature, -1), torch.full_like(feature, -1)
    lower[second[same]], upper[first[same]] = first[same], second[same]
    return lower, upper


def _between(layers: tuple[KnownLayer, ...], opened: list[Tensor]) -> list[Tensor]:
    """Return the weights from open neurons to open neurons, (before, n) each; first nothing, before all layers."""
    pairs = zip(layers[1:], opened, opened[1:], strict=False)
    return [layers[0].matrix.new_empty(0), *(layer.matrix[at][:, before].T for layer, before, at in pairs)]


def _spikes(layer: KnownLayer, steps: slice, chosen: Tensor) -> Tensor:
    """Return 1 for a spike that may be and 3 for one that must be."""
    return (layer.may[steps][:, chosen] + 2 * layer.must[steps][:, chosen]).to(torch.uint8)


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat([part.flatten() for part in parts]).contiguous()
