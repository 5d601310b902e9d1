"""Builds of one small network for the differ: trained, deployed, and written by hand."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from spikecert import LIF, Recurrent, SpikingNetwork

STEPS = 8


def maps(seed: int = 0) -> tuple[nn.Linear, nn.Linear, nn.Linear]:
    """Return three dense layers, 6-12-8-3, whose neurons fire about every third step."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = nn.Linear(6, 12), nn.Linear(12, 8), nn.Linear(8, 3)
    with torch.no_grad():
        for layer in made:
            layer.weight.mul_(3)
    return made


def loop(seed: int = 7) -> nn.Linear:
    """Return the map by which the first hidden layer hears itself."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Linear(12, 12)


def network(*modules: nn.Module, num_steps: int = STEPS, **settings: Any) -> SpikingNetwork:
    """Return a network of copies of modules."""
    return SpikingNetwork(*copy.deepcopy(modules), num_steps=num_steps, **settings)


def trained(reset: str = "zero", heard: nn.Module | None = None, **constants: Any) -> SpikingNetwork:
    """Return the network that others are builds of: λ = .9 and .8."""
    one, other, last = maps()
    first: LIF = LIF(0.9, reset=reset, **constants)
    first = first if heard is None else Recurrent(first, copy.deepcopy(heard))
    return network(one, first, other, LIF(0.8, reset=reset, **constants), last)


def samples(count: int = 40, seed: int = 1, features: int = 6) -> Tensor:
    """Return inputs."""
    return torch.rand(count, features, generator=torch.Generator().manual_seed(seed))


class PlainNeurons(nn.Module):
    """Neurons as someone wrote them by hand."""

    def __init__(self, decay: float, reset: str = "zero", **settings: Any) -> None:
        super().__init__()
        self.decay, self.reset, self.settings = decay, reset, settings
        self.v: Tensor | None = None
        self.s: Tensor | None = None

    def again(self) -> None:
        """Go back to the start."""
        self.v = self.s = None

    def forward(self, x: Tensor) -> Tensor:
        """Take a step."""
        own, late = self.settings, self.settings.get("late", False)
        v = x if self.v is None else self.decay * self.v + x
        if late and self.s is not None:
            v = self._left(v, self.s)
        v = v.clamp(own["floor"]) if "floor" in own else v
        v = v.clamp(max=own["ceiling"]) if "ceiling" in own else v
        s = (v > 1.0 if own.get("strict") else v >= 1.0).to(v)
        self.v, self.s = v if late else self._left(v, s), s
        return s

    def _left(self, v: Tensor, s: Tensor) -> Tensor:
        if self.reset == "subtract":
            return v - s
        if self.reset == "none":
            return v
        return torch.where(s > 0, torch.full_like(v, self.settings.get("value", 0.0)), v)


class PlainNetwork(nn.Module):
    """The same network as someone wrote it by hand, a loop over time with a platform's habits."""

    def __init__(
        self, reset: str = "zero", heard: nn.Module | None = None, heard_late: int = 0, waits: int = 0, **own: Any
    ) -> None:
        super().__init__()
        self.one: Any
        self.one, self.two, self.last = maps()
        self.heard, self.heard_late, self.waits = copy.deepcopy(heard), heard_late, waits
        settings = {name: value for name, value in own.items() if name not in ("decays", "first_bias", "bias")}
        first, second = own.get("decays", (0.9, 0.8))
        self.first, self.second = (PlainNeurons(decay, reset, **settings) for decay in (first, second))
        self.first_bias = own.get("first_bias", True)
        if not own.get("bias", True):
            self.one.bias = None

    def forward(self, x: Tensor) -> Tensor:
        """Run all steps."""
        self.first.again()
        self.second.again()
        spikes, currents, total = [], [], torch.zeros(len(x), 3, dtype=x.dtype)
        for t in range(STEPS):
            current = self.one(x)
            if self.heard is not None:
                late = t - 1 - self.heard_late
                if late >= 0 or self.first_bias:
                    current = current + self.heard(spikes[late] if late >= 0 else torch.zeros_like(current))
            currents.append(current)
            heard = currents[t - self.waits] if t >= self.waits else torch.zeros_like(current)
            spikes.append(self.first(heard))
            total = total + self.last(self.second(self.two(spikes[-1])))
        return total / STEPS
