"""Hypothesis strategies: small spiking networks, some of them with currents exactly on thresholds."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert.models import DLIF, LIF, SpikingNetwork, mlp

DECAYS = st.sampled_from([0.0, 0.25, 0.5, 0.9, 0.99, 1.0]) | st.floats(0.0, 1.0)
THRESHOLDS = st.sampled_from([1.0, 1.0, 0.25, 3.0])
RESETS = st.sampled_from(["zero", "subtract", "none"])
FIRES = st.sampled_from([">=", ">"])


@st.composite
def neurons(draw: st.DrawFn, num_steps: int, scaled: bool | None = None, reset: str | None = None) -> LIF:
    """Return a LIF, or a DLIF whose input scale may be negative, zero or constant."""
    constants = {
        "decay": draw(DECAYS),
        "threshold": draw(THRESHOLDS),
        "reset": draw(RESETS) if reset is None else reset,
        "fires_at": draw(FIRES),
    }
    if not (draw(st.booleans()) if scaled is None else scaled):
        return LIF(**constants)
    neuron = DLIF(num_steps, **constants)
    factors = draw(
        st.lists(st.sampled_from([-1.5, -0.5, 0.0, 0.5, 1.0, 1.25]), min_size=num_steps, max_size=num_steps)
    )
    neuron.input_scale.data = torch.tensor(factors)
    return neuron


@dataclass(frozen=True)
class Case:
    """A network with samples, labels (the network's own answers) and a radius."""

    network: SpikingNetwork
    inputs: Tensor
    labels: Tensor
    epsilon: float


@dataclass(frozen=True)
class EventCase:
    """A network with events, labels (the network's own answers) and a budget of flips."""

    network: SpikingNetwork
    events: Tensor
    labels: Tensor
    count: int


@st.composite
def cases(
    draw: st.DrawFn,
    most_layers: int = 3,
    most_width: int = 8,
    most_steps: int = 6,
    features: int | None = None,
    dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.float64),
    encodings: tuple[str, ...] = ("direct", "direct", "none"),
) -> Case:
    """Return a random network; on a grid of 1/4 (weights, inputs, ε) in half of the cases, which makes ties."""
    num_steps = draw(st.integers(1, most_steps))
    widths = draw(st.lists(st.integers(1, most_width), min_size=2, max_size=most_layers + 1))
    if features is not None:
        widths[0] = features
    network = mlp((*widths, draw(st.integers(2, 4))), num_steps, draw(neurons(num_steps)))
    network.encoding = draw(st.sampled_from(encodings))
    grid, generator = draw(st.booleans()), torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    _fill(network, grid, generator)
    network.to(draw(st.sampled_from(dtypes))).eval()
    shape = (4, num_steps, widths[0]) if network.timed else (4, widths[0])
    inputs = torch.rand(shape, generator=generator)
    inputs = ((inputs * 4).round() / 4 if grid else inputs).to(network.dtype)
    epsilon = draw(st.sampled_from([0.0, 0.25]) if grid else st.sampled_from([0.0, 0.01, 0.05, 0.2, 1.0]))
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    return Case(network, inputs, labels, epsilon)


@st.composite
def event_cases(draw: st.DrawFn, dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.float64)) -> EventCase:
    """Return a random network fed events, so small that all flips can be listed."""
    case = draw(cases(most_width=4, most_steps=3, features=3, dtypes=dtypes, encodings=("direct", "none", "none")))
    events = (case.inputs > 0.5).to(case.inputs.dtype)
    with torch.no_grad():
        labels = case.network(events).argmax(1)
    return EventCase(case.network, events, labels, draw(st.integers(0, 3)))


def _fill(network: SpikingNetwork, grid: bool, generator: torch.Generator) -> None:
    for layer in network.layers:
        if isinstance(layer, nn.Linear):
            for parameter in (layer.weight, layer.bias):
                values = torch.randn(parameter.shape, generator=generator) * 1.5
                parameter.data = (values * 4).round() / 4 if grid else values


def points(case: Case, count: int, generator: torch.Generator) -> Tensor:
    """Return allowed inputs of each sample, (count, batch, ...): random ones, corners, and the sample itself."""
    low = (case.inputs - case.epsilon).clamp(0, 1)
    high = (case.inputs + case.epsilon).clamp(0, 1)
    share = torch.rand((count, *case.inputs.shape), generator=generator).to(case.inputs)
    share[count // 3 : 2 * count // 3] = share[count // 3 : 2 * count // 3].round()
    chosen = torch.minimum(low + share * (high - low), high)
    chosen[0] = case.inputs
    inside = ((chosen.double() - case.inputs.double()).abs() <= case.epsilon) | (chosen == case.inputs)
    return torch.where(inside, chosen, case.inputs)
