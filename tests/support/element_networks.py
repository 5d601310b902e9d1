"""Small networks of the elements that proofs know: gates, kinds of neurons, synapses, max pools, loops."""

from collections.abc import Sequence

import torch
from hypothesis import strategies as st
from torch import nn

from spikecert.models import DLIF, LIF, Recurrent, Residual, SpikingNetwork, Synapse
from spikecert.testing import Case
from support.recurrent import feedbacks, fill
from support.varied import varied

ELEMENTS = ("gate", "memoryless", "kinds", "synapse", "spikes pooled", "currents pooled", "loop", "first pooled")
FACTORS = st.sampled_from([-0.5, 0.0, 1.25])
SEEDS = st.integers(0, 2**31)


@st.composite
def fires(draw: st.DrawFn, steps: int, decays: Sequence[float] = (0.0, 0.5, 0.9, 1.0)) -> LIF:
    """Return a neuron whose decay the checker takes wherever it stands."""
    constants = {
        "decay": draw(st.sampled_from(tuple(decays))),
        "threshold": draw(st.sampled_from([0.25, 1.0, 1.0, 1.5])),
        "reset": draw(st.sampled_from(["zero", "subtract", "none"])),
        "fires_at": draw(st.sampled_from([">=", ">"])),
    }
    if draw(st.integers(0, 3)):
        return LIF(**constants)
    neuron = DLIF(steps, **constants)
    neuron.input_scale.data = torch.tensor(draw(st.lists(FACTORS, min_size=steps, max_size=steps)))
    return neuron


@st.composite
def element_networks(
    draw: st.DrawFn,
    elements: Sequence[str] = ELEMENTS,
    features: int = 2,
    dtypes: Sequence[torch.dtype] = (torch.float32, torch.float64),
    encodings: Sequence[str] = ("direct", "direct", "none"),
    most_steps: int = 4,
) -> SpikingNetwork:
    """Return a dense network with one or two of `elements`, half of them with weights on a grid of quarters."""
    steps, width = draw(st.integers(1, most_steps)), draw(st.integers(2, 4))
    generator = torch.Generator().manual_seed(draw(SEEDS))
    layers: list[nn.Module] = [nn.Linear(features, width)]

    def neuron(**settings) -> LIF:
        return draw(fires(steps, **settings))

    for index in range(draw(st.integers(1, 2))):
        kind = draw(st.sampled_from([e for e in elements if index == 0 or e != "first pooled"] or ["memoryless"]))
        if kind == "first pooled":
            layers += [nn.MaxPool1d(2, 1, 1), neuron(), nn.Linear(width + 1, width)]
            continue
        alone = draw(st.booleans()) and kind in ("kinds", "loop") and index == 0
        layers += [] if alone else [neuron()]
        between: list[nn.Module] = [] if alone else [nn.Linear(width, width)]
        if kind == "gate":
            gate = LIF(0.0, draw(st.sampled_from([0.5, 1.5])), "none")
            layers += [Residual([*between, neuron()]), gate, nn.Linear(width, width)]
        elif kind == "memoryless":
            layers += [*between, neuron(decays=(0.0,)), nn.Linear(width, width)]
        elif kind == "kinds":
            layers += [*between, varied(neuron(), (width,), generator), nn.Linear(width, width)]
        elif kind == "synapse":
            synapse = Synapse(draw(st.sampled_from([0.0, 0.5, 0.9, 1.0])), draw(st.integers(0, 2)))
            layers += draw(st.sampled_from([[*between, synapse], [synapse, *between]]))
        elif kind == "spikes pooled":
            layers += [nn.MaxPool1d(2, 1, 1), nn.Linear(width + 1, width)]
        elif kind == "currents pooled":
            layers += [*between, nn.MaxPool1d(2, 1, 1), neuron(), nn.Linear(width + 1, width)]
        else:
            loop = Recurrent(neuron(), draw(feedbacks(width)))
            layers += [*between, loop, nn.Linear(width, width)]
    layers += draw(st.sampled_from([[neuron()], [varied(neuron(), (width,), generator)], []]))
    if not any(isinstance(layer, LIF) for layer in layers):
        layers.append(neuron())
    layers += draw(st.sampled_from([[], [nn.Linear(width, 3)], [nn.MaxPool1d(2, 1), nn.Linear(width - 1, 3)]]))
    network = SpikingNetwork(*layers, num_steps=steps, encoding=draw(st.sampled_from(tuple(encodings))))
    fill(network, draw(st.booleans()), generator)
    return network.to(draw(st.sampled_from(tuple(dtypes)))).eval()


@st.composite
def element_cases(draw: st.DrawFn, samples: int = 2, **settings) -> Case:
    """Return such a network with samples on a grid of quarters or anywhere, its answers, and a radius."""
    network, generator = draw(element_networks(**settings)), torch.Generator().manual_seed(draw(SEEDS))
    first = network.layers[0]
    assert isinstance(first, nn.Linear)
    batch = torch.rand(samples, *(network.num_steps,) * network.timed, first.in_features, generator=generator)
    batch = ((batch * 4).round() / 4 if draw(st.booleans()) else batch).to(network.dtype)
    with torch.no_grad():
        labels = network(batch).argmax(1)
    return Case(network, batch, labels, draw(st.sampled_from([0.0, 0.01, 0.05, 0.25])))
