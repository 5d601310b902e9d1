"""Strategies of whole problems: a network, samples, their labels, and a size of perturbation.

Allowed inputs to try: the samples themselves, random ones, extreme ones, and what an attack finds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..certify.attacks import PGD, Attack, EventChanges, SpikeFlips, SpikeShifts, attack
from ..certify.perturbations import EventChange, Perturbation, SpikeFlip, SpikeShift
from ..models.constants import at_least, whole
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


FAR = 1e3
"""How far outside of a set a direction starts that is then projected onto it."""
STEPS = 6
"""Of the attack: few, as checks run hundreds of times."""


def candidates(
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor,
    perturbation: Perturbation,
    count: int,
    seed: int,
    ties: str | None = None,
) -> Iterator[Tensor]:
    """Yield allowed inputs, one for each sample at a time, (batch, ...).

    Args:
        network, inputs, labels, perturbation: the problem.
        count: how many are drawn; half of them are extreme, such as corners of an ℓ∞ ball.
        seed: of the draws and of the attack.
        ties: what the attack takes for a failure, as in `attack`.
    """
    seed, count = whole("seed", seed), at_least(0)("count", count)
    generator = torch.Generator().manual_seed(seed)
    yield inputs
    for index in range(count):
        yield perturbation.sample(inputs, generator)
        if index % 2:
            yield extreme(inputs, perturbation, generator)
    method = _attack(perturbation)
    yield attack(network, inputs, labels, perturbation, method, seed=seed, ties=ties).inputs


def _attack(perturbation: Perturbation) -> Attack:
    """Return a cheap attack on a set."""
    if isinstance(perturbation, SpikeShift):
        return SpikeShifts(steps=3, swaps=3)
    if isinstance(perturbation, EventChange):
        return EventChanges(SpikeShifts(steps=3, swaps=3))
    return SpikeFlips() if isinstance(perturbation, SpikeFlip) else PGD(steps=STEPS, restarts=1)


def extreme(inputs: Tensor, perturbation: Perturbation, generator: torch.Generator) -> Tensor:
    """Return the projection of a far point in a random direction: a corner of a box, a point of a sphere."""
    direction = torch.randn(inputs.shape, generator=generator, dtype=inputs.dtype)
    return perturbation.project(inputs + FAR * direction, inputs)


def own_labels(network: SpikingNetwork, inputs: Tensor, labels: Tensor | None) -> Tensor:
    """Return `labels`, or without them the network's own answers, so that each sample starts out right."""
    if labels is not None:
        return labels
    with torch.no_grad():
        return network(inputs).argmax(1)
