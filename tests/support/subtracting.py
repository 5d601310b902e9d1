"""Networks whose neurons subtract what they fire, small enough to be run on many inputs."""

import itertools

import torch
from hypothesis import strategies as st
from torch import nn

from spikecert import DLIF, LIF, SpikingNetwork

DECAYS = st.sampled_from([0.0, 0.5, 0.95, 1.0])
AMOUNTS = st.sampled_from([None, 0.5, 1.25, 2.0])
"""Shares of θ; None: as snnTorch's delayed reset, which takes θ/λ, and θ where λ is 0."""
FACTORS = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 1.25])


@st.composite
def subtracting_neurons(draw: st.DrawFn, steps: int, decay: float | None = None) -> LIF:
    """Return a LIF or DLIF that subtracts."""
    decay = draw(DECAYS) if decay is None else decay
    threshold, share = draw(st.sampled_from([1.0, 1.0, 0.25, 3.0])), draw(AMOUNTS)
    amount = threshold * ((1.0 / decay if decay else 1.0) if share is None else share)
    constants = {"reset": "subtract", "fires_at": draw(st.sampled_from([">=", ">"])), "reset_amount": amount}
    if draw(st.booleans()):
        return LIF(decay, threshold, **constants)
    neuron = DLIF(steps, decay, threshold, **constants)
    neuron.input_scale.data = torch.tensor(draw(st.lists(FACTORS, min_size=steps, max_size=steps)))
    return neuron


@st.composite
def subtracting_networks(
    draw: st.DrawFn,
    most_steps: int = 12,
    most_layers: int = 3,
    most_width: int = 6,
    features: int | None = None,
    encodings: tuple[str, ...] = ("direct", "direct", "none"),
    readouts: tuple[str, ...] = ("spikes", "spikes", "mean", "potential"),
    dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.float64),
) -> SpikingNetwork:
    """Return a dense network of neurons that subtract, of one decay or of several, with random weights."""
    steps, one = draw(st.integers(1, most_steps)), draw(st.none() | DECAYS)
    widths = draw(st.lists(st.integers(1, most_width), min_size=2, max_size=most_layers))
    widths = [widths[0] if features is None else features, *widths[1:], draw(st.integers(2, 3))]
    readout, layers = draw(st.sampled_from(readouts)), list[nn.Module]()
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), draw(subtracting_neurons(steps, one))]
    if readout == "mean":
        layers.pop()
    if readout == "potential":
        layers[-1] = LIF(draw(DECAYS), reset="none")
    network = SpikingNetwork(*layers, num_steps=steps, readout=readout, encoding=draw(st.sampled_from(encodings)))
    grid, generator = draw(st.booleans()), torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    for layer in layers:
        if isinstance(layer, nn.Linear):
            for parameter in layer.parameters():
                drawn = torch.randn(parameter.shape, generator=generator) * 1.5
                parameter.data = (drawn * 4).round() / 4 if grid else drawn
    return network.to(draw(st.sampled_from(dtypes))).eval()


def small(steps: int = 12) -> SpikingNetwork:
    """Return a network of snnTorch's defaults: resets by subtraction, one step late, and counts of spikes."""
    torch.manual_seed(3)
    neurons = (LIF(0.95, reset="subtract", reset_amount=1 / 0.95, fires_at=">") for _ in range(3))
    layers = [(nn.Linear(a, b), next(neurons)) for a, b in ((6, 12), (12, 10), (10, 3))]
    network = SpikingNetwork(*(part for pair in layers for part in pair), num_steps=steps, readout="spikes").eval()
    for parameter in network.parameters():
        parameter.data *= 2.0
    return network
