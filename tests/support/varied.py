"""Networks whose layers have neurons of several kinds."""

import torch
from torch import Tensor

from spikecert.models import LIF, Residual, SpikingNetwork, VariedLIF

DECAYS = torch.tensor([0.0, 0.25, 0.5, 0.9, 1.0], dtype=torch.float64)
THRESHOLDS = torch.tensor([0.25, 0.5, 1.0, 3.0], dtype=torch.float64)


def varied(layer: LIF, shape: tuple[int, ...], generator: torch.Generator) -> VariedLIF:
    """Return a layer of the reset and the firing rule of `layer`, with constants of `shape`."""

    def drawn(values: Tensor) -> Tensor:
        return values[torch.randint(len(values), shape, generator=generator)]

    amount = drawn(THRESHOLDS) if layer.reset == "subtract" else None
    constants = drawn(DECAYS), drawn(THRESHOLDS)
    return VariedLIF(*constants, layer.reset, layer.dynamics.fires_at, layer.surrogate, amount)


def vary(network: SpikingNetwork, inputs: Tensor, seed: int) -> SpikingNetwork:
    """Put other kinds of neurons in the place of each LIF: one a channel, or one a neuron."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        shapes = [tuple(current.shape[2:]) for current in network.trace(inputs).currents]
    places = {id(neuron): shape for neuron, shape in zip(network.neurons, shapes, strict=True)}
    _replace(network.layers, places, generator)
    return network.to(network.dtype).eval()


def _replace(layers: torch.nn.ModuleList, places: dict[int, tuple[int, ...]], generator: torch.Generator) -> None:
    for index, layer in enumerate(layers):
        if isinstance(layer, Residual):
            _replace(layer.branch, places, generator)
            _replace(layer.shortcut, places, generator)
        elif type(layer) is LIF:
            shape = places[id(layer)]
            one_each = bool(torch.randint(2, (), generator=generator))
            shape = shape if one_each else (shape[0], *([1] * (len(shape) - 1)))
            layers[index] = varied(layer, shape, generator)
