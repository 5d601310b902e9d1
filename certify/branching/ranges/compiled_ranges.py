"""`ranges.c` where a network's kernel is "compiled": what narrows all nodes of a batch in one call.

Any multipliers give valid ranges. The kernel computes those ranges, too, over sets that are boxes; what it proves
is what slabs.py proves at its multipliers, up to the order of sums, which the error paid there allows.
"""

from functools import lru_cache

import torch
from torch import Tensor, nn

from ....kernels.loading import load
from ....kernels.search.ranges import CompiledRanges
from ....models.circuit import circuit
from ....models.elements.neurons import LIF
from ....models.networks import SpikingNetwork
from ...bounds.prices.stages import staged
from ...bounds.signals.box import Box
from ...bounds.trains.trains import train_spikes
from .eager_ranges import Adam, multipliers
from .first_layer import FirstLayer
from .slabs import Seek, narrowed


def multipliers_by(wanted: str) -> Seek:
    """Return what seeks multipliers: the compiled kernel if it is `wanted` and there."""

    def seek(rows: Tensor, ends: tuple[Tensor, Tensor], aims: Tensor, adam: Adam) -> Tensor:
        found = ranges_kernel() if wanted == "compiled" and rows.device.type == "cpu" and rows.numel() else None
        if not isinstance(found, CompiledRanges):
            return multipliers(rows, ends, aims, adam)
        return found.multipliers(rows, ends, aims, adam)

    return seek


def narrowed_by(
    wanted: str, layer: FirstLayer, samples: Tensor, rows: Box, split: Tensor, chosen: Tensor, adam: Adam
) -> tuple[Box, Tensor]:
    """Return what `slabs.narrowed` does, by the compiled kernel if it is `wanted`, there, and reaches the set."""
    found = ranges_kernel() if wanted == "compiled" and layer.packed is not None else None
    if not isinstance(found, CompiledRanges) or layer.packed is None:
        return narrowed(layer, samples, rows, split, chosen, adam, multipliers_by(wanted))
    low, high, empty = found.narrow(layer.packed, (samples, rows.lower, rows.upper, split, chosen), adam)
    return Box(low, high), empty


@lru_cache
def ranges_kernel() -> CompiledRanges | str:
    """Return the kernel if it comes as far as torch on a probe, or why there is none."""
    return load("ranges.c", torch.float32, CompiledRanges.of, _agrees)


def _agrees(built: CompiledRanges, dtype: torch.dtype) -> bool:
    """Return whether multipliers, and ranges, on a probe are torch's, up to rounding."""
    generator = torch.Generator().manual_seed(0)
    rows, aims = (torch.randn(3, count, 21, generator=generator, dtype=dtype) for count in (5, 9))
    rows, aims = (part / part.abs().sum(2, keepdim=True) for part in (rows, aims))
    middle = torch.rand(3, 5, generator=generator, dtype=dtype) - 0.5
    ends, adam = ((middle - 0.2).clamp_min(-1.0), (middle + 0.1).clamp_max(1.0)), (4, 0.2, (0.5, 0.9))
    expected, found = (find(rows, ends, aims, adam) for find in (multipliers, built.multipliers))
    return torch.allclose(expected, found, rtol=1e-3, atol=1e-4) and _narrows(built, generator)


def _narrows(built: CompiledRanges, generator: torch.Generator) -> bool:
    """Return whether ranges of a layer of 20 neurons in six nodes are torch's, up to rounding."""
    middle = torch.rand(2, 11, generator=generator).double()
    linear = nn.Linear(11, 20)
    linear.weight.data = torch.randn(20, 11, generator=generator)
    linear.bias.data = torch.randn(20, generator=generator)
    network = SpikingNetwork(linear, LIF(0.9), nn.Linear(20, 2), num_steps=3).double().eval()
    stages = staged(circuit(network), Box(middle - 0.3, middle + 0.2), train_spikes)
    assert stages is not None
    layer = FirstLayer.of(stages)
    assert layer is not None
    assert layer.packed is not None
    samples = torch.arange(6) % 2
    split, chosen = torch.rand(2, 6, 20, generator=generator) < 0.4
    width = (layer.upper - layer.lower)[samples]
    low = layer.lower[samples] + width * torch.rand(6, 20, generator=generator)
    rows, adam = Box(low, low + 0.4 * width), (6, 0.2, (0.5, 0.9))
    expected, none = narrowed(layer, samples, rows, split, chosen, adam, multipliers)
    low, high, empty = built.narrow(layer.packed, (samples, rows.lower, rows.upper, split, chosen), adam)
    pairs = (low, expected.lower), (high, expected.upper)
    return torch.equal(empty, none) and all(torch.allclose(*pair, rtol=1e-3, atol=1e-3) for pair in pairs)
