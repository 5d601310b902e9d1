"""A neuron that rests for one step after a spike, written in several ways, and networks to put it in."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from spikecert import (
    LIF,
    LInf,
    Residual,
    SpikingNetwork,
)
from spikecert.models import Dynamics
from spikecert.models.elements.neurons import Run
from spikecert.models.rules import Leaky, Rule

STEPS = 6
INPUTS = torch.rand(3, 4, generator=torch.Generator().manual_seed(0))
THREAT = LInf(0.01)


def rested(current: Tensor, num_steps: int, dynamics: Dynamics) -> Run:
    """Return the run of neurons that ignore their current, and stay at 0, for one step after a spike."""
    current = current.expand(num_steps, *current.shape[1:])
    potential, spike = torch.zeros_like(current[0]), torch.zeros_like(current[0])
    potentials, spikes = [], []
    for drive in current:
        potential = (dynamics.decay * potential * (1 - spike) + drive) * (1 - spike)
        spike = (potential >= dynamics.threshold).to(current.dtype)
        potentials.append(potential)
        spikes.append(spike)
    return Run(current, torch.stack(potentials), torch.stack(spikes))


class Overriding(LIF):
    """A subclass that runs otherwise and states nothing."""

    def run(self, current: Tensor, num_steps: int) -> Run:
        return rested(current, num_steps, self.dynamics)

    def forward(self, current: Tensor, num_steps: int) -> Tensor:
        return self.run(current, num_steps).spikes


class Lying(Overriding):
    """A neuron of another recursion that states the rule of a leaky one."""

    def rule(self, num_steps: int) -> Rule:
        return Leaky.of(self.dynamics)


class Resting(nn.Module):
    """A class that changes every call, wherever it stands among a type's bases."""

    def __call__(self, *arguments: Any) -> Tensor:
        spikes = super().__call__(*arguments).clone()
        spikes[1:] *= 1 - spikes[:-1]
        return spikes


class Mixed(LIF, Resting):
    """A subclass without a line of its own: what changes it stands behind LIF."""


@dataclass(frozen=True)
class RefractoryRule(Rule):
    """v[t] = λ·u[t−1] + I[t]; after a spike u = 0 and one step is skipped."""

    layers: ClassVar[tuple[type[nn.Module], ...]] = ()

    decay: float
    threshold: float


class Refractory(Overriding):
    """A neuron of another recursion that says so."""

    def rule(self, num_steps: int) -> Rule:
        return RefractoryRule(self.dynamics.decay, self.dynamics.threshold)


RefractoryRule.layers = (Refractory,)


class Delayed(nn.Linear):
    """An affine layer with a memory: every other step is silent."""

    def forward(self, input: Tensor) -> Tensor:
        found = super().forward(input).clone()
        found[1::2] = 0.0
        return found


class Masking(Residual):
    """A sum that might be anything."""


def network(*first: nn.Module, **settings: Any) -> SpikingNetwork:
    """Return a network whose first layers are given, or the usual ones."""
    torch.manual_seed(0)
    front = first or (nn.Linear(4, 6), LIF(0.9, 0.3))
    return SpikingNetwork(*front, nn.Linear(6, 3), **{"num_steps": STEPS, **settings}).eval()


def behind(neuron: LIF) -> SpikingNetwork:
    """Return the network whose neuron is given."""
    torch.manual_seed(0)
    return network(nn.Linear(4, 6), neuron)


def labels_of(net: SpikingNetwork) -> Tensor:
    """Return the network's own answers, so that no sample is decided by itself."""
    with torch.no_grad():
        return net(INPUTS).argmax(1)
