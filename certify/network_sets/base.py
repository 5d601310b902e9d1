"""Sets of networks: what the hardware may be that a network is built into, and members of a tolerance.

Members of a tolerance: which numbers of a network vary, and networks that have others in their place.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...models.circuit import Circuit
from ...models.deadline import Expired
from ...models.elements.neurons import LIF
from ...models.elements.varied import VariedLIF
from ...models.merging import weights_and_biases
from ...models.networks import SpikingNetwork
from ..bounds.signals.signals import SpikeBound
from ..bounds.signals.windows import Box
from ..perturbations import Perturbation
from ..verdicts import Verdict


@dataclass(frozen=True)
class Trial:
    """A member of a set, to be run on some samples.

    Attributes:
        member: a network that is used as it is.
        samples: the places of the samples, (n,).
        close: whether inputs around the samples are attacked, too, where the set has any; else they are drawn.
    """

    member: SpikingNetwork
    samples: Tensor
    close: bool = True


Search = Generator[Trial, tuple[Tensor, Tensor], None]
"""Yields members; is sent which samples still stand, (batch,) of bool, and the margins there, (batch,)."""


@dataclass(frozen=True)
class Question:
    """Whether any member of a set misclassifies any sample.

    Attributes:
        network: the nominal member, in evaluation mode.
        inputs, labels: the samples.
        ties: what a tie is.
        expired: whether the time is up.
    """

    network: SpikingNetwork
    inputs: Tensor
    labels: Tensor
    ties: str
    expired: Expired


class NetworkSet(ABC):
    """The networks that one network may be in hardware, each on inputs within `around` of a sample.

    It is no `Perturbation`: that is a set of inputs, and whoever knows those alone refuses it by its type. A
    concrete set keeps one promise in both directions: `margins` hold for every member, rounding paid, and what
    `propose` yields are members, each of which is run as it is.
    """

    lists: ClassVar[bool] = False
    """Whether `listed` answers."""
    around: Perturbation | None
    """The inputs around each sample, or None for the sample alone."""

    @abstractmethod
    def nominal(self, network: SpikingNetwork) -> SpikingNetwork:
        """Return the member that the others lie around.

        Raises:
            ValueError, UnknownNode: for a network that the set is not about.
        """

    @abstractmethod
    def margins(self, circuit: Circuit, box: Box, labels: Tensor, spikes: SpikeBound) -> Tensor:
        """Return lower bounds of logit_y − logit_k for all members and inputs, (batch, classes), float64.

        Args:
            circuit: of `nominal`.
            box: holds the inputs around each sample.
            labels: y, (batch,).
            spikes: what is known of a layer's spikes.
        """

    @abstractmethod
    def propose(self, question: Question, generator: torch.Generator) -> Search:
        """Yield members that may misclassify samples."""

    def listed(self, question: Question) -> list[Verdict]:
        """Return each sample's verdict by every member of a set, or "unknown" where there are too many."""
        raise NotImplementedError(f"{type(self).__name__} has no list of members, and says so by `lists`")

    @abstractmethod
    def sized(self, size: float) -> "NetworkSet":
        """Return the set of one size: sets of greater ones hold those of lesser ones."""

    @abstractmethod
    def reach(self, network: SpikingNetwork, inputs: Tensor) -> float:
        """Return a size from which on there is no set, or it does not grow."""

    @property
    @abstractmethod
    def grid(self) -> float:
        """Return how far sizes are apart: 1 for whole numbers, 0 for reals."""

    def enclosure(self, inputs: Tensor) -> Box:
        """Return a float64 set that holds every input."""
        if self.around is not None:
            return self.around.enclosure(inputs)
        exact = inputs.double()
        return Box(exact, exact)

    def check(self, network: SpikingNetwork, inputs: Tensor) -> None:
        """Raise ValueError unless `inputs` are valid samples for `network`."""
        if self.around is not None:
            self.around.suits(network)
            self.around.check(inputs)


def checked_around(around: object) -> None:
    """Raise TypeError unless `around` is a set of inputs or None."""
    if around is not None and not isinstance(around, Perturbation):
        raise TypeError(
            f"around: got {type(around).__name__}, expected LInf, L2 or another set of inputs, or None"
        )


ROOM = 1.0 - 2.0**-50
"""What float64 may round away of a distance and of a share of a number."""
ULPS = 4
"""How often a number is moved inward before it is left as it was."""


@dataclass(frozen=True)
class Shares:
    """How far numbers may be from themselves: weights and biases, thresholds, decays."""

    weights: float
    threshold: float
    decay: float


@dataclass(frozen=True)
class MemberPlaces:
    """Where in its interval each number of a member lies, −1 to 1: weights by name, θ and λ layer by layer."""

    weights: dict[str, Tensor]
    neurons: list[tuple[float, float]]


def drawn(nominal: SpikingNetwork, generator: torch.Generator) -> MemberPlaces:
    """Return the places of a random corner: −1 or 1 each."""
    parameters = dict(nominal.named_parameters())

    def signs(*shape: int) -> Tensor:
        return torch.randint(0, 2, shape, generator=generator).double() * 2 - 1

    weights = {name: signs(*parameters[name].shape) for name in weights_and_biases(nominal)}
    return MemberPlaces(weights, [(float(one), float(other)) for one, other in signs(len(nominal.neurons), 2)])


@torch.no_grad()
def moved(nominal: SpikingNetwork, places: MemberPlaces, shares: Shares) -> SpikingNetwork:
    """Return the member at some places, every number rounded inward."""
    found = copy.deepcopy(nominal)
    parameters = dict(found.named_parameters())
    for name, place in places.weights.items():
        parameters[name].copy_(inward(parameters[name], place, shares.weights))
    for neuron, (threshold, decay) in zip(found.neurons, places.neurons, strict=True):
        _set(neuron, threshold * shares.threshold, decay * shares.decay)
    return found


def _set(neuron: LIF, threshold: float, decay: float) -> None:
    """Move θ and λ of a layer by shares of themselves; λ to at most 1."""
    if not (threshold or decay):
        return
    own = constants(neuron)
    theta, lam = (
        inward(own[name], torch.full_like(own[name], 1.0 if share > 0 else -1.0), abs(share))
        for name, share in (("threshold", threshold), ("decay", decay))
    )
    lam = torch.where(lam > 1, torch.ones_like(lam), lam)
    if isinstance(neuron, VariedLIF):
        neuron.threshold, neuron.decay = theta, lam
    else:
        neuron.dynamics = replace(neuron.dynamics, threshold=float(theta), decay=float(lam))


def constants(neuron: LIF) -> dict[str, Tensor]:
    """Return θ and λ of a layer, of plain numbers in float64."""
    if isinstance(neuron, VariedLIF):
        return {"threshold": neuron.threshold, "decay": neuron.decay}
    own: Any = neuron.dynamics
    return {name: torch.tensor(getattr(own, name), dtype=torch.float64) for name in ("threshold", "decay")}


def inward(numbers: Tensor, places: Tensor, share: float) -> Tensor:
    """Return n + |n|·share·place in the dtype of n, moved inward where rounding has left the interval."""
    own = numbers.detach()
    exact = own.double()
    moved_to, most = (exact + exact.abs() * share * places.to(exact)).to(own.dtype), exact.abs() * (share * ROOM)
    for _ in range(ULPS):
        outside = (moved_to.double() - exact).abs() > most
        moved_to = torch.where(outside, moved_to.nextafter(own), moved_to)
    return torch.where((moved_to.double() - exact).abs() > most, own, moved_to)


def within(candidates: Tensor, numbers: Tensor, share: float) -> bool:
    """Return whether |c − n| ≤ share·|n| for all pairs, in rationals."""
    if candidates.shape != numbers.shape:
        return False
    pairs = zip(candidates.flatten().tolist(), numbers.flatten().tolist(), strict=True)
    exact = Fraction(share)
    return all(c == n or abs(Fraction(c) - Fraction(n)) <= exact * abs(Fraction(n)) for c, n in pairs)
