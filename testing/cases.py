"""Strategies of whole problems: a network, samples, their labels, and a size of perturbation."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..models.networks import SpikingNetwork
from .networks import DTYPES, drawn_network, features_of
from .neurons import st


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
    dtypes: Sequence[torch.dtype] = DTYPES,
    encodings: Sequence[str] = ("direct", "direct", "none"),
) -> Case:
    """Return a network as `networks` does, with four samples and ε; all on the grid or none of them."""
    drawn = drawn_network(draw, most_layers, most_width, most_steps, features, dtypes, encodings, None)
    network = drawn.network
    shape = (4, network.num_steps, *features_of(network)) if network.timed else (4, *features_of(network))
    batch = torch.rand(shape, generator=drawn.generator)
    batch = ((batch * 4).round() / 4 if drawn.grid else batch).to(network.dtype)
    radii = [0.0, 0.25] if drawn.grid else [0.0, 0.01, 0.05, 0.2, 1.0]
    return Case(network, batch, _answers(network, batch), draw(st.sampled_from(radii)))


@st.composite
def event_cases(draw: st.DrawFn, dtypes: Sequence[torch.dtype] = DTYPES) -> EventCase:
    """Return a random network fed events, so small that all flips can be listed."""
    case = draw(cases(most_width=4, most_steps=3, features=3, dtypes=dtypes, encodings=("direct", "none", "none")))
    events = (case.inputs > 0.5).to(case.inputs.dtype)
    return EventCase(case.network, events, _answers(case.network, events), draw(st.integers(0, 3)))


def points(case: Case, count: int, generator: torch.Generator) -> Tensor:
    """Return allowed inputs of each sample, (count, batch, ...): random ones, corners, and the sample itself."""
    low = (case.inputs - case.epsilon).clamp(0, 1)
    high = (case.inputs + case.epsilon).clamp(0, 1)
    share = torch.rand((count, *case.inputs.shape), generator=generator).to(case.inputs)
    share[count // 3 : 2 * count // 3] = share[count // 3 : 2 * count // 3].round()
    allowed = torch.minimum(low + share * (high - low), high)
    allowed[0] = case.inputs
    inside = ((allowed.double() - case.inputs.double()).abs() <= case.epsilon) | (allowed == case.inputs)
    return torch.where(inside, allowed, case.inputs)


def _answers(network: SpikingNetwork, batch: Tensor) -> Tensor:
    with torch.no_grad():
        return network(batch).argmax(1)
