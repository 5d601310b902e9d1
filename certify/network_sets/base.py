"""Sets of networks: what the hardware may be that a network is built into."""

from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...models.circuit import Circuit
from ...models.deadline import Expired
from ...models.networks import SpikingNetwork
from ..bounds.signals.box import Box
from ..bounds.signals.signals import SpikeBound
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
