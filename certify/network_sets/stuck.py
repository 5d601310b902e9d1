"""StuckNeurons: up to k spiking neurons in all that never fire, or fire at each step."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, product
from math import comb
from typing import ClassVar

import torch
from torch import Tensor

from ...models.circuit import Circuit, circuit
from ...models.constants import at_least, settle, wholes
from ...models.networks import SpikingNetwork
from ..bounds.propagation import Propagation, input_signal
from ..bounds.signals.box import Box
from ..bounds.signals.signals import SpikeBound
from ..perturbations import Perturbation
from ..rounding import Rounding
from ..verdicts import Verdict
from .base import NetworkSet, Question, Search, checked_around
from .faults import Fault, features_of
from .greedy import search
from .listing import listed
from .stuck_bounds import stuck_margins

MOST_LISTED = 2**16
"""Sets of so many members are listed."""


@dataclass(frozen=True)
class StuckNeurons(NetworkSet):
    """All networks that one is with at most `count` of its spiking neurons stuck, each at silence or at firing.

    A neuron is one place of a layer that fires: of a convolution, one channel at one pixel. One that is stuck
    gives 0 at each step, or 1 at each, whatever enters it; all others are as they were. A final neuron whose
    potential is read does not fire, and is none of them.

    Args:
        count: k, of all layers together.
        layers: which spiking layers have them, from 0 on in order of execution; None for all.
        around: inputs around each sample, beside that; None for the sample itself.

    Raises:
        TypeError, ValueError: for a count below 0, or what names no layers.

    >>> StuckNeurons(2, layers=(0,))
    StuckNeurons(count=2, layers=(0,), around=None)
    """

    lists: ClassVar[bool] = True
    count: int = 1
    layers: tuple[int, ...] | None = None
    around: Perturbation | None = None

    def __post_init__(self) -> None:
        settle(self, at_least(0), "count")
        if self.layers is not None:
            layers = wholes("layers", (self.layers,) if isinstance(self.layers, int) else self.layers)
            if not layers or min(layers) < 0 or len(set(layers)) < len(layers):
                raise ValueError(f"layers: got {layers}, expected different numbers from 0 on")
            object.__setattr__(self, "layers", tuple(sorted(layers)))
        checked_around(self.around)

    def nominal(self, network: SpikingNetwork) -> SpikingNetwork:
        """Return the network itself.

        Raises:
            ValueError: for layers that it does not have, or feedbacks.
        """
        made = circuit(network)
        if made.recurs:
            raise ValueError("network: got a layer that hears itself, which StuckNeurons does not know")
        last = len(made.fired) - 1
        if self.layers is not None and self.layers[-1] > last:
            raise ValueError(f"layers: got {self.layers[-1]}, expected at most {last}: numbers of spiking layers")
        return network

    def check(self, network: SpikingNetwork, inputs: Tensor) -> None:
        """Raise ValueError unless `inputs` are valid samples, and there are as many neurons as may be stuck."""
        super().check(network, inputs)
        most = int(self.reach(network, inputs))
        if self.count > most:
            raise ValueError(f"count: got {self.count}, expected at most the {most} neurons that there are")

    def reach(self, network: SpikingNetwork, inputs: Tensor) -> float:
        """Return how many neurons may be stuck."""
        shapes = features_of(network, inputs)
        return float(sum(shape.numel() for layer, shape in enumerate(shapes) if self.takes(layer)))

    @property
    def grid(self) -> float:
        """Return 1: sizes are whole numbers."""
        return 1.0

    def sized(self, size: float) -> "StuckNeurons":
        """Return the set of another count."""
        return replace(self, count=int(size))

    def takes(self, layer: int) -> bool:
        """Return whether neurons of a layer may be stuck."""
        return self.layers is None or layer in self.layers

    def margins(self, circuit: Circuit, box: Box, labels: Tensor, spikes: SpikeBound) -> Tensor:
        """Return lower bounds of logit_y − logit_c for all members and inputs, (batch, classes), float64."""
        healthy = Propagation(input_signal(circuit, box), spikes, Rounding.of(circuit))
        allowed = frozenset(node.name for layer, node in enumerate(circuit.fired) if self.takes(layer))
        return stuck_margins(circuit, healthy, labels, box.lower, self.count, allowed)

    def propose(self, question: Question, generator: torch.Generator) -> Search:
        """Yield members whose stuck neurons were found one by one."""
        return search(self.count, self.takes, question, generator)

    def listed(self, question: Question) -> list[Verdict]:
        """Return each sample's verdict by all members, where there are few."""
        features = features_of(question.network, question.inputs)
        neurons = sum(shape.numel() for layer, shape in enumerate(features) if self.takes(layer))
        count = sum(comb(neurons, size) * 2**size for size in range(self.count + 1))
        if count > MOST_LISTED:
            reason = f"the set has {count} members, above the {MOST_LISTED} that are run"
            none = Verdict("unknown", None, None, "enumeration", 0.0, reason, question.ties)
            return [none] * len(question.labels)
        box, exact = self.enclosure, self.around is None
        return [
            listed(question, index, box(sample[None]), self._members(features), features, exact)
            for index, sample in enumerate(question.inputs)
        ]

    def _members(self, features: list[torch.Size]) -> Iterator[tuple[Fault, ...]]:
        """Yield all members as what is stuck in them, the fewest first."""
        places = [
            (layer, neuron)
            for layer, shape in enumerate(features)
            if self.takes(layer)
            for neuron in range(shape.numel())
        ]
        for size in range(self.count + 1):
            for chosen in combinations(places, size):
                for fires in product((False, True), repeat=size):
                    yield tuple(Fault(*place, fire) for place, fire in zip(chosen, fires, strict=True))
