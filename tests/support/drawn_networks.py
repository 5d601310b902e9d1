"""Coupled neurons of any constants, weights on a grid or off it, and inputs of small dense networks."""

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import CoupledLIF, Share, SpikingNetwork

SHARES = st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0])
FACTORS = st.sampled_from([-0.5, 0.0, 0.0, 0.25, 0.5, 1.0])
THRESHOLDS = st.sampled_from([0.25, 1.0, 1.0, 1.5])
FIRES = st.sampled_from([">=", ">"])


@st.composite
def coupled_neurons(draw: st.DrawFn, width: int = 3) -> CoupledLIF:
    """Return neurons of any constants, alike or one set each."""

    def drawn(numbers: st.SearchStrategy[float]) -> float | list[float]:
        return draw(st.lists(numbers, min_size=width, max_size=width)) if draw(st.booleans()) else draw(numbers)

    constants = SHARES, THRESHOLDS, st.sampled_from([0.5, 1.0, 2.0]), SHARES, *[FACTORS] * 6
    reset = draw(st.sampled_from(["subtract", "zero"]))
    return CoupledLIF(*map(drawn, constants), reset=reset, fires_at=draw(FIRES))


def draw_weights(network: SpikingNetwork, generator: torch.Generator, scale: float, grid: bool) -> None:
    """Set weights and biases of dense and shared layers, on a grid of quarters or not."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | Share):
            for part in layer.parameters():
                numbers = torch.randn(part.shape, generator=generator) * scale
                part.data = (numbers * 4).round() / 4 if grid else numbers


def inputs_of(network: SpikingNetwork, seed: int, count: int = 3) -> Tensor:
    """Return inputs of two features, on a grid of quarters half of the time."""
    shape = (network.num_steps, 2) if network.timed else (2,)
    found = torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed))
    return ((found * 4).round() / 4 if seed % 2 else found).to(network.dtype)
