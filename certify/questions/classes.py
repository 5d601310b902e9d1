"""Questions about the class and about outputs, as verifiers ask them.

The question about the class, as verifiers ask it: a margin logit_y − logit_k for each class k.

Properties: what must hold of a network's outputs at every allowed input, as clauses of linear inequalities.

A property is a conjunction of clauses, each a disjunction of inequalities. `&` joins clauses, `|` distributes.
Some depend on the network's number of outputs or on the sample's own ones (`robust`, `top_k`): these say their
clauses once both are known.

A property of some samples of one network: what its rows are, and what it may not be about.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.circuit import Circuit
from ...models.constants import at_least, real, settle, unless_none
from ...models.networks import SpikingNetwork
from ...models.validation import check_rivals
from ..bounds.prices.prices import Specifications
from ..bounds.propagation import known_margins, margin_bounds
from ..bounds.signals.signals import Signal, SpikeBound
from ..bounds.signals.windows import Box
from ..bounds.trains.trains import step_spikes
from ..replay import Runs, evaluating, margins, replays
from ..ties import STRICT, Goal
from .forms import Clauses, Inequality, Property, check_count, output
from .rows import RowGoal


@dataclass(frozen=True)
class ClassGoal(Goal):
    """All margins of a sample's label, one a column; what a verifier needs to know of them."""

    def columns(self, lower: Tensor, labels: Tensor, width: int) -> Tensor:
        """Return what is known before any bound, (batch, classes), from the least of each sample, (batch, 1)."""
        check_rivals(width)
        return lower.expand(-1, width).scatter(1, labels[:, None], torch.inf)

    def holds(self, proven: Tensor) -> Tensor:
        """Return whether samples are verified whose columns are `proven`, (batch, classes) of bool."""
        return proven.all(1)

    def left(self, proven: Tensor) -> Tensor:
        """Return which columns are still to be proven."""
        return ~proven

    def together(self, column: int) -> list[int]:
        """Return the columns of which one is enough: itself alone."""
        return [column]

    def posed(self, network: SpikingNetwork, labels: Tensor) -> tuple[SpikingNetwork, Tensor, str]:
        """Return what attacks see: a network, its labels and what a tie is."""
        return network, labels, self.ties

    def least(self, lower: Tensor) -> Tensor:
        """Return each sample's margin from those of its columns, (batch,)."""
        return lower.amin(1)

    def bounds(
        self, circuit: Circuit, box: Box, labels: Tensor, spikes: SpikeBound, quick: bool = False
    ) -> Tensor:
        """Return lower bounds of the columns over a set, (batch, classes)."""
        return margin_bounds(circuit, box, labels, spikes, quick)

    def read(self, circuit: Circuit, known: list[Signal], labels: Tensor, box: Box) -> Tensor:
        """Return the same from what is known of each node; rows are made in the dtype of `box`."""
        return known_margins(circuit, known, labels, box.lower)

    def values(self, logits: Tensor, labels: Tensor, inputs: Tensor) -> Tensor:
        """Return what a run has, (batch,): at most 0 iff it fails, NaN where nothing can be said."""
        return margins(logits, labels, self.ties)

    def gaps(self, logits: Tensor, labels: Tensor, inputs: Tensor) -> Tensor:
        """Return each column of runs, (batch, classes), float64, without what ties mean."""
        exact = logits.double()
        return exact.gather(1, labels[:, None]) - exact

    def replays(self, network: Runs, candidate: Tensor, label: int) -> bool:
        """Return whether an input fails, run alone and in a batch of copies."""
        return replays(network, candidate, label, self.ties)

    def stands(self, circuit: Circuit, point: Box, label: int) -> bool:
        """Return whether another class wins at a point for certain, in the run of a network's source as well."""
        label_here = torch.tensor([label], device=point.lower.device)
        ends = self.bounds(circuit, point, label_here, step_spikes)[0]
        other = int(ends.argmin())
        lower = self.tightened(self.bounds(circuit, point, torch.full_like(label_here, other), step_spikes))[
            0, label
        ]
        least = circuit.allowance.least
        tie = least == 0.0 and (self.ties == STRICT or other < label)
        return bool((lower > least) | ((lower >= 0.0) & tie))

    def specifications(self, labels: Tensor, samples: Tensor, columns: Tensor, floor: Tensor) -> Specifications:
        """Return some columns of some samples as specifications, above `floor`, (batch, classes)."""
        return Specifications.of_margins(labels, samples, columns, floor)


@dataclass(frozen=True)
class Robust(Property):
    """The class stays: logit_y > logit_k for each k ≠ y; see `robust`."""

    label: int | None = None

    def __post_init__(self) -> None:
        settle(self, unless_none(at_least(0)), "label")

    def clauses(self, own: Sequence[float]) -> Clauses:
        """Return one inequality a clause."""
        label = _label(self.label, own)
        return tuple((_above(label, k, strict=True),) for k in range(len(own)) if k != label)


@dataclass(frozen=True)
class Targeted(Property):
    """Class k is never the one that torch.argmax takes; see `targeted`."""

    label: int

    def __post_init__(self) -> None:
        settle(self, at_least(0), "label")

    def clauses(self, own: Sequence[float]) -> Clauses:
        """Return one clause: some other output keeps k from being the first maximum."""
        target = _label(self.label, own)
        return (tuple(_above(j, target, strict=j > target) for j in range(len(own)) if j != target),)


@dataclass(frozen=True)
class TopK(Property):
    """At most k − 1 outputs reach that of the class; see `top_k`."""

    k: int
    label: int | None = None

    def __post_init__(self) -> None:
        settle(self, at_least(1), "k")
        settle(self, unless_none(at_least(0)), "label")

    def clauses(self, own: Sequence[float]) -> Clauses:
        """Return for each set of k others that one of them stays below the class."""
        label = _label(self.label, own)
        if self.k >= len(own):
            raise ValueError(f"k: got {self.k}, expected less than the network's {len(own)} outputs")
        others = [j for j in range(len(own)) if j != label]
        found = []
        for chosen in itertools.combinations(others, self.k):
            found.append(tuple(_above(label, j, strict=True) for j in chosen))
            check_count(len(found) * self.k)
        return tuple(found)


@dataclass(frozen=True)
class Moves(Property):
    """|y_j − y⁰_j| ≤ δ of one output, or of each; see `moves_at_most`."""

    delta: float
    place: int | None = None

    def __post_init__(self) -> None:
        settle(self, real, "delta")
        settle(self, unless_none(at_least(0)), "place")
        if self.delta < 0:
            raise ValueError(f"delta: got {self.delta!r}, expected a number of at least 0")

    def clauses(self, own: Sequence[float]) -> Clauses:
        """Return two inequalities for each output, one a clause."""
        places = range(len(own)) if self.place is None else (_label(self.place, own),)
        found: list[tuple[Inequality, ...]] = []
        for place in places:
            moved = output[place] - output[place].at_sample
            found += [(Inequality(moved - self.delta),), (Inequality(-moved - self.delta),)]
        return tuple(found)


@dataclass(frozen=True)
class Abstains(Property):
    """No class but the sample's leads all others by τ; see `abstains`."""

    threshold: float
    label: int | None = None

    def __post_init__(self) -> None:
        settle(self, real, "threshold")
        settle(self, unless_none(at_least(0)), "label")
        if self.threshold <= 0:
            raise ValueError(f"threshold: got {self.threshold!r}, expected a positive number")

    def clauses(self, own: Sequence[float]) -> Clauses:
        """Return for each other class that some output is less than τ below its own."""
        label = _label(self.label, own)
        return tuple(
            tuple(Inequality(output[k] - output[j] - self.threshold, True) for j in range(len(own)) if j != k)
            for k in range(len(own))
            if k != label
        )


def robust(label: int | None = None) -> Property:
    """Return that the class stays, strictly: output[y] > output[k] for each k ≠ y.

    `verify(network, inputs, labels, …)` is the usual way to ask this, with one label a sample and ties of choice.

    Args:
        label: y; None for the class of the sample's own outputs.
    """
    return Robust(label)


def targeted(label: int) -> Property:
    """Return that no allowed input is taken for class `label`, as torch.argmax decides."""
    return Targeted(label)


def top_k(k: int, label: int | None = None) -> Property:
    """Return that the class stays among the k greatest outputs: fewer than k others reach it.

    Args:
        k: at least 1, which is `robust`.
        label: the class; None for that of the sample's own outputs.
    """
    return TopK(k, label)


def moves_at_most(delta: float, place: int | None = None) -> Property:
    """Return that no output moves by more than `delta` from the sample's own, or that one of them does not.

    Args:
        delta: at least 0.
        place: of the output; None for all.
    """
    return Moves(delta, place)


def abstains(threshold: float, label: int | None = None) -> Property:
    """Return that a classifier which abstains below a lead of `threshold` is never wrong: it keeps the class, or

    no class leads all others by `threshold`.

    Args:
        threshold: positive.
        label: the class; None for that of the sample's own outputs.
    """
    return Abstains(threshold, label)


def _above(one: int, other: int, strict: bool) -> Inequality:
    """Return output[one] > output[other], or ≥."""
    return Inequality(output[other] - output[one], strict)


def _label(label: int | None, own: Sequence[float]) -> int:
    if label is None:
        check_rivals(len(own))
    found = max(range(len(own)), key=own.__getitem__) if label is None else label
    if found >= len(own):
        raise ValueError(f"property: got output {found}, expected one of the network's {len(own)}")
    return found


@torch.no_grad()
def own_outputs(network: SpikingNetwork, inputs: Tensor) -> Tensor:
    """Return the outputs of each sample, unperturbed and run alone, (batch, classes).

    Raises:
        ValueError: for outputs that are no finite numbers.
    """
    with evaluating(network):
        found = torch.stack([network(sample[None])[0] for sample in inputs])
    if not bool(found.isfinite().all()):
        raise ValueError("network: gave inf or NaN at a sample, expected finite outputs for a property")
    return found


def property_goal(network: SpikingNetwork, inputs: Tensor, prop: Property) -> RowGoal:
    """Return the rows of a property for some samples, question k for sample k.

    Raises:
        ValueError: for an output or an input that is not there, and for inputs that enter by draws.
    """
    goal = RowGoal.of(prop, own_outputs(network, inputs), tuple(inputs.shape[1:]), inputs.device)
    if goal.inputs is not None and network.encoding == "rate":
        raise ValueError('property: got inputs, expected outputs alone for encoding "rate"')
    return goal


def as_labels(network: SpikingNetwork, inputs: Tensor, prop: Property) -> Tensor | None:
    """Return the labels that `robust` asks about, (batch,), as a question about the class; None for others."""
    if not isinstance(prop, Robust):
        return None
    if prop.label is None:
        return own_outputs(network, inputs).argmax(1)
    return torch.full((len(inputs),), prop.label, device=inputs.device)


def check_property_ties(ties: str | None) -> None:
    """Raise ValueError where ties are asked for beside a property."""
    if ties is not None:
        raise ValueError(f"ties: got {ties!r} beside a property, which says itself what a tie is: expected None")


def check_coded(network: SpikingNetwork, events: Tensor, prop: object) -> None:
    """Raise ValueError for a property of latency-coded images that holds inputs: it asks about `events`."""
    if not isinstance(prop, Property) or isinstance(prop, Robust):
        return
    if property_goal(network, events, prop).inputs is not None:
        raise ValueError('property: got inputs, expected outputs alone for encoding "latency"')
