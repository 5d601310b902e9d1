"""Sets of networks: what the hardware may be that a network is built into, and members of a tolerance.

Members of a tolerance: which numbers of a network vary, and networks that have others in their place.

Neurons that are stuck: networks in which some are, and what is known of spikes where some are.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...models.circuit import Circuit
from ...models.deadline import Expired
from ...models.elements.neurons import LIF, Run
from ...models.merging import weights_and_biases
from ...models.networks import SpikingNetwork
from ..bounds.signals.signals import DerivedSignal, SpikeBound
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
class SetQuestion:
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
    def propose(self, question: SetQuestion, generator: torch.Generator) -> Search:
        """Yield members that may misclassify samples."""

    def listed(self, question: SetQuestion) -> list[Verdict]:
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
    if "threshold" in neuron.holds:
        neuron.threshold, neuron.decay = theta, lam
    else:
        neuron.dynamics = replace(neuron.dynamics, threshold=float(theta), decay=float(lam))


def constants(neuron: LIF) -> dict[str, Tensor]:
    """Return θ and λ of a layer, of plain numbers in float64."""
    if "threshold" in neuron.holds:
        return {name: neuron.get_buffer(name) for name in ("threshold", "decay")}
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


@dataclass(frozen=True)
class Fault:
    """One stuck neuron: at which place of which spiking layer, and whether it fires at each step or at none."""

    layer: int
    neuron: int
    fires: bool


@dataclass(frozen=True)
class Masks:
    """Which neurons of a layer are stuck at silence and which at firing, (n, *features) of bool each."""

    silent: Tensor
    firing: Tensor

    def applied(self, spikes: Tensor) -> Tensor:
        """Return spikes (time, batch, *features) with the stuck ones in their place."""
        return spikes.masked_fill(self.silent, 0.0).masked_fill(self.firing, 1.0)


class _Stuck:
    """What stands behind a layer: a hook of `forward`."""

    def __init__(self, masks: Masks) -> None:
        self.masks: Masks = masks

    def __call__(self, layer: LIF, given: object, spikes: Tensor) -> Tensor:
        return self.masks.applied(spikes)


class _StuckRun:
    """A layer's `run` with the stuck spikes in its record."""

    def __init__(self, layer: LIF, masks: Masks) -> None:
        self.run = layer.run
        self.masks: Masks = masks

    def __call__(self, current: Tensor, num_steps: int) -> Run:
        run = self.run(current, num_steps)
        return replace(run, spikes=self.masks.applied(run.spikes))


def stuck_layers(network: SpikingNetwork) -> list[LIF]:
    """Return the layers that fire, in order of execution: all but one whose potentials are read."""
    neurons = list(network.neurons)
    return neurons[:-1] if network.reads_potentials else neurons


@torch.no_grad()
def features_of(network: SpikingNetwork, inputs: Tensor) -> list[torch.Size]:
    """Return the shape of each layer's neurons, as one sample finds them."""
    found: list[torch.Size] = []
    hooks = [
        layer.register_forward_hook(lambda layer, given, spikes: found.append(spikes.shape[2:]))
        for layer in stuck_layers(network)
    ]
    try:
        network(inputs[:1])
    finally:
        for hook in hooks:
            hook.remove()
    return found


def masks_of(members: Sequence[Sequence[Fault]], features: Sequence[torch.Size], like: Tensor) -> list[Masks]:
    """Return the masks of each layer, a row a member."""
    masks = []
    for layer, shape in enumerate(features):
        both = torch.zeros(2, len(members), shape.numel(), dtype=torch.bool)
        for row, faults in enumerate(members):
            for fault in faults:
                if fault.layer == layer:
                    both[int(fault.fires), row, fault.neuron] = True
        silent, firing = both.to(like.device).unflatten(2, tuple(shape))
        masks.append(Masks(silent, firing))
    return masks


@contextmanager
def stuck(network: SpikingNetwork, masks: Sequence[Masks]) -> Iterator[SpikingNetwork]:
    """Run a network for a while with stuck neurons, those of each sample by its own row of the masks."""
    layers = stuck_layers(network)
    hooks = [layer.register_forward_hook(_Stuck(mask)) for layer, mask in zip(layers, masks, strict=True)]
    try:
        yield network
    finally:
        for hook in hooks:
            hook.remove()


def stuck_member(
    network: SpikingNetwork, faults: Sequence[Fault], features: Sequence[torch.Size]
) -> SpikingNetwork:
    """Return a copy that runs with these neurons stuck, in `forward`, `trace` and gradients alike."""
    found = copy.deepcopy(network)
    masks = masks_of([faults], features, next(found.parameters()))
    for layer, mask in zip(stuck_layers(found), masks, strict=True):
        if bool(mask.silent.any() | mask.firing.any()):
            layer.run = _StuckRun(layer, mask)  # type: ignore[method-assign]
            layer.register_forward_hook(_Stuck(mask))
    return found


def faults_of(member: SpikingNetwork) -> tuple[Fault, ...]:
    """Return which neurons of a member are stuck; none of a network that `stuck_member` has not made."""
    found = []
    for layer, neuron in enumerate(stuck_layers(member)):
        if isinstance(run := vars(neuron).get("run"), _StuckRun):
            for fires, mask in ((False, run.masks.silent), (True, run.masks.firing)):
                found += [Fault(layer, place, fires) for place in mask[0].flatten().nonzero().flatten().tolist()]
    return tuple(found)


@dataclass(frozen=True)
class MaskedSpikes(DerivedSignal):
    """Spikes of which some are stuck, those of each sample by its own row of the masks: exactly 0 or 1 there."""

    masks: Masks
    binary = True

    @property
    def constant(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return False."""
        return False

    def steps(self) -> Box:
        """Return the spikes step by step."""
        box = self.source.steps()
        return self._with(box, box.lower.new_ones(len(box.lower)))

    def combine(self, rows: Tensor) -> Box:
        """Return sums over time: 0 of a silent neuron, and Σ_t rows[k,t] of one that always fires."""
        return self._with(self.source.combine(rows), rows.sum(1))

    def _with(self, box: Box, total: Tensor) -> Box:
        full = total.reshape(-1, *([1] * (box.lower.dim() - 1))).to(box.lower)
        lower, upper = (
            torch.where(self.masks.firing, full, end.masked_fill(self.masks.silent, 0.0))
            for end in (box.lower, box.upper)
        )
        return Box(lower, upper)

    def magnitude(self) -> Tensor:
        """Return 1 where a neuron may fire at some step, and 0 elsewhere."""
        return self.masks.applied(self.source.magnitude())
