"""Modules that round more than their networks, or end in functions that make ties, and changes of their class."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from spikecert import LInf, SpikingNetwork, verify

from .examples import THOROUGH


class Spelled(nn.Module):
    """Two dense layers and a leaky neuron, written out, with something done to each of its numbers.

    Args:
        before, potential, ending: what is done to the input, to the potential at each step, and to the output.
        scale: of the output.
        sums: into how many partial sums the current is taken apart.
        reset: "zero" or "subtract".
    """

    def __init__(
        self,
        before: Callable[[Tensor], Tensor] | None = None,
        potential: Callable[[Tensor], Tensor] | None = None,
        ending: Callable[[Tensor], Tensor] | None = None,
        scale: float = 1.0,
        sums: int = 1,
        reset: str = "zero",
        steps: int = 4,
        decay: float = 0.9,
    ) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 12), nn.Linear(12, 3)
        self.before, self.potential, self.ending, self.scale = before, potential, ending, scale
        self.sums, self.reset, self.steps, self.decay = sums, reset, steps, decay

    def current(self, x: Tensor) -> Tensor:
        """Return W·x + b, at once or in parts."""
        if self.sums == 1:
            return self.first(x)
        total = torch.zeros_like(self.first.bias)
        for _ in range(self.sums):
            total = total + nn.functional.linear(x, self.first.weight / self.sums)
        return total + self.first.bias

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over time of what the last layer makes of spikes."""
        v = torch.zeros(len(x), 12)
        out: Any = 0.0
        for _ in range(self.steps):
            v = self.decay * v + self.current(x if self.before is None else self.before(x))
            v = v if self.potential is None else self.potential(v)
            s = (v > 1.0).float()
            v = v * (1 - s) if self.reset == "zero" else v - s
            out = out + self.last(s)
        out = out / self.steps * self.scale
        return out if self.ending is None else self.ending(out)


def multiplied(v: Tensor) -> Tensor:
    """Return 200 products in a row of what they leave as it is, but for rounding."""
    for _ in range(100):
        v = v * 1.1 * (1 / 1.1)
    return v


SPELLINGS: dict[str, Callable[[], Spelled]] = {
    "as usual": Spelled,
    "subtracting": partial(Spelled, reset="subtract"),
    "no decay": partial(Spelled, decay=1.0),
    "little memory": partial(Spelled, decay=2.0**-10),
    "softmax": partial(Spelled, ending=lambda y: y.softmax(1)),
    "softmax of little": partial(Spelled, scale=1e-9, ending=lambda y: y.softmax(1)),
    "log_softmax of little": partial(Spelled, scale=1e-8, ending=lambda y: y.log_softmax(1)),
    "overflow": partial(Spelled, before=lambda x: x * 1e38 * 1e-38),
    "subnormal": partial(Spelled, before=lambda x: x * 1e-41 * 1e20 * 1e21),
    "subnormal potential": partial(Spelled, potential=lambda v: v * 1e-43 * 1e21 * 1e22),
    "products": partial(Spelled, potential=multiplied),
    "products, subtracting": partial(Spelled, potential=multiplied, reset="subtract"),
    "partial sums": partial(Spelled, sums=200 if THOROUGH else 50),
    "many steps": partial(Spelled, steps=40),
}


def drawn(name: str, seed: int) -> Spelled:
    """Return a module with weights of a seed, on which classes change often."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = SPELLINGS[name]()
        for layer in (module.first, module.last):
            layer.weight.data *= 3
    return module.eval()


@dataclass(frozen=True)
class Planted:
    """Samples, and inputs near them that a module takes for another class.

    Attributes:
        samples, labels: (n, ...), and the module's classes.
        flips: (n, ...), at a distance of `share` times `epsilon` from the samples.
        sets: around each sample; the flip is within it.
    """

    samples: Tensor
    labels: Tensor
    flips: Tensor
    sets: LInf


def planted(
    module: Callable[[Tensor], Tensor],
    ends: tuple[float, float],
    epsilon: float,
    share: float,
    count: int,
    seed: int,
    width: int = 4,
) -> Planted:
    """Return flips just within sets: changes of class along random segments, bisected to neighbouring floats."""
    g, (low, high) = torch.Generator().manual_seed(seed), ends
    x = torch.rand(count, width, generator=g) * (high - low) + low
    along = torch.randint(0, 2, (count, width), generator=g).double() * 2 - 1

    def at(places: Tensor) -> Tensor:
        """Return points of the segments."""
        return (x.double() + places[:, None] * along).float().clamp(low, high)

    def classes(points: Tensor) -> Tensor:
        """Return the module's."""
        with torch.no_grad():
            return module(points).argmax(1)

    places = torch.linspace(-0.6, 0.6, 25, dtype=torch.float64) * (high - low) / 2
    seen = torch.stack([classes(at(place.expand(count))) for place in places], 1)
    changes = seen[:, 1:] != seen[:, :-1]
    first = changes.double().argmax(1)
    one, other, kept = places[first], places[first + 1], seen.gather(1, first[:, None])[:, 0]
    for _ in range(40):
        middle = (one + other) / 2
        same = classes(at(middle)) == kept
        one, other = torch.where(same, middle, one), torch.where(same, other, middle)
    sets = LInf(epsilon, low, high)
    samples, flips = at(other - epsilon * share), at(other)
    labels = classes(samples)
    moving = changes.any(1) & sets.contains(flips, samples) & (classes(flips) != labels)
    return Planted(samples[moving], labels[moving], flips[moving], sets)


def answers(network: SpikingNetwork, asked: Planted, verifier: str) -> list[str]:
    """Return the status of each sample; "refused" where a question is beyond what the source is known for."""
    try:
        found = verify(network, asked.samples, asked.labels, asked.sets, verifier, timeout=1.0, ties="argmax")
    except ValueError as error:
        if "source" not in str(error):
            raise
        return ["refused"] * len(asked.samples)
    return [verdict.status for verdict in found]
