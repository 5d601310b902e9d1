"""Networks of neurons whose thresholds adapt, and what these do by hand."""

import itertools

import torch
from hypothesis import strategies as st
from torch import Tensor

from spikecert.models import AdaptiveLIF, SpikingNetwork
from spikecert.testing import adaptive_neurons
from spikecert.testing import networks as any_networks


@st.composite
def networks(draw: st.DrawFn, **sizes) -> SpikingNetwork:
    """Return a dense network of such neurons; half of all have weights on a grid, with currents on thresholds."""
    return draw(any_networks(neuron=draw(adaptive_neurons()), **sizes))


def by_hand(layer: AdaptiveLIF, current: Tensor) -> Tensor:
    """Return the spikes of currents (T, batch, n), neuron by neuron."""
    d, found = layer.dynamics, torch.zeros_like(current)
    for place in itertools.product(*map(range, current.shape[1:])):
        u = a = 0.0
        for t in range(len(current)):
            v, limit = d.decay * u + float(current[(t, *place)]), d.threshold + layer.adaptation * a
            fires = v >= limit if d.fires_at == ">=" else v > limit
            u = v - d.drop * fires if d.reset == "subtract" else v * (1 - fires)
            a, found[(t, *place)] = layer.threshold_decay * a + fires, float(fires)
    return found
