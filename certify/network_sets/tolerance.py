"""Tolerance: every weight, threshold and decay within a share of itself, as analog hardware has them."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...models.circuit import Circuit, Filtered, Mapped, Recurred, UnknownNode, circuit, fold
from ...models.constants import nonnegative
from ...models.elements.neurons import LIF
from ...models.linear_maps import DenseMap
from ...models.linear_neuron import leaking
from ...models.merging import merged, prepares, same_layers, weights_and_biases
from ...models.networks import SpikingNetwork
from ...models.validation import check_choice
from ..bounds.propagation import input_signal, known_margins
from ..bounds.signals.box import Box
from ..bounds.signals.signals import SpikeBound
from ..perturbations import Perturbation
from ..rounding import Rounding
from .base import NetworkSet, Question, Search, checked_around
from .members import Shares, constants, within
from .mismatch import search
from .tolerant import TolerantPropagation, TolerantSignal, check_sums, dense_margins, outward, weighted

SHARES = ("weights", "threshold", "decay")


@dataclass(frozen=True)
class Tolerance(NetworkSet):
    """All networks whose numbers lie within a share of one network's, each number by itself.

    Batch norms are first merged into the layer in front (`models.merging`), and the set lies around that: W' with
    |W' − W| ≤ p|W| and b' alike for each weight and bias of a dense layer or a convolution, all in the network's
    dtype, which multiplies and adds as ever. A kernel has one set of weights; what is verified holds even where
    each of its places has its own. Thresholds θ' ∈ θ·[1 − q, 1 + q] and decays λ' ∈ λ·[1 − d, 1 + d] ∩ [0, 1] may
    differ from neuron to neuron; what a reset subtracts is θ' unless an amount of its own is given. Average pools
    and `Normalize`, which are no hardware's weights, stay exact.

    Args:
        weights: p, of weights and biases.
        threshold: q.
        decay: d.
        around: inputs around each sample, beside that; None for the sample itself.
        grows: what sizes are of, "weights", "threshold" or "decay", where the others are to stay; None for all in
            proportion.

    Raises:
        TypeError, ValueError: for shares that are no numbers in [0, 1), and what names none.

    >>> Tolerance(weights=0.05, threshold=0.025).sized(0.5)
    Tolerance(weights=0.5, threshold=0.25, decay=0.0, around=None, grows=None)
    """

    weights: float = 0.0
    threshold: float = 0.0
    decay: float = 0.0
    around: Perturbation | None = None
    grows: str | None = None

    def __post_init__(self) -> None:
        if self.grows is not None:
            check_choice("grows", self.grows, SHARES)
        for name in SHARES:
            share = nonnegative(name, getattr(self, name))
            if share >= 1.0:
                raise ValueError(f"{name}: got {share!r}, expected a share in [0, 1)")
            object.__setattr__(self, name, share)
        checked_around(self.around)

    @property
    def shares(self) -> Shares:
        """Return all three."""
        return Shares(self.weights, self.threshold, self.decay)

    @property
    def lead(self) -> float:
        """Return the share that sizes are told by: of weights where they vary, else of what does."""
        if self.grows is not None:
            return getattr(self, self.grows)
        return self.weights or self.threshold or self.decay

    def sized(self, size: float) -> "Tolerance":
        """Return the set whose `lead` is `size`, the other shares in proportion; of none, of weights alone."""
        if self.grows is not None:
            return replace(self, **{self.grows: size})
        if not self.lead:
            return replace(self, weights=size)
        return replace(self, **{name: size * (getattr(self, name) / self.lead) for name in SHARES})

    def reach(self, network: SpikingNetwork, inputs: Tensor) -> float:
        """Return the size at which the greatest share that grows is 1: no set is as large."""
        if self.grows is not None:
            return 1.0
        return self.lead / max(self.weights, self.threshold, self.decay) if self.lead else 1.0

    @property
    def grid(self) -> float:
        """Return 0: shares are real numbers."""
        return 0.0

    def nominal(self, network: SpikingNetwork) -> SpikingNetwork:
        """Return the network with its batch norms merged.

        Raises:
            UnknownNode, ValueError: for a norm with no weights in front, feedbacks, learned factors, and, where
                thresholds or decays vary, neurons, synapses and readouts of other rules.
        """
        found = merged(network)
        made = circuit(found)
        for node in made.nodes:
            told = f"network: {node.name or 'the network'} is"
            if isinstance(node, Recurred):
                raise UnknownNode(f"{told} a layer that hears itself, which Tolerance does not know")
            if isinstance(node, Mapped) and self.weights and _unmerged(node, found):
                expected = "a dense layer or a convolution in front to merge it into"
                raise ValueError(f"{told} {node.map}, with numbers of its own, expected {expected}")
            if isinstance(node, Filtered) and self.decay and node.filter.decay:
                raise ValueError(f"decay: got {self.decay!r} with a synapse ({node.name}), expected 0")
        if self.threshold or self.decay:
            for node in made.fired:
                if not leaking(node.rule):
                    told = " and ".join(sorted(node.rule.features))
                    raise UnknownNode(f"network: {node.name} has {told}, which Tolerance does not vary")
        if self.decay and made.read.rule is not None:
            raise ValueError(f"decay: got {self.decay!r} with a readout of potentials, expected 0")
        return found

    def margins(self, circuit: Circuit, box: Box, labels: Tensor, spikes: SpikeBound) -> Tensor:
        """Return lower bounds of logit_y − logit_k for all members and inputs, (batch, classes), float64."""
        weights, threshold, decay = (outward(getattr(self, name)) for name in SHARES)
        rounding, source = Rounding.of(circuit), input_signal(circuit, box)
        known, last = (
            fold(
                circuit,
                TolerantPropagation(source, spikes, rounding, weights=weights, threshold=threshold, decay=decay),
            ),
            circuit.last,
        )
        for signal in known:
            if isinstance(signal, TolerantSignal):  # a mean over time may be taken of it, or of what it reads
                check_sums(signal, rounding)
        if self.weights and isinstance(last, Mapped) and isinstance(last.map, DenseMap):
            return dense_margins(circuit, known, labels, box.lower, weights)
        return known_margins(circuit, known, labels, box.lower)

    def propose(self, question: Question, generator: torch.Generator) -> Search:
        """Yield members where the margin's gradient leads, and random corners."""
        return search(self.shares, question, generator)

    def contains(self, network: SpikingNetwork, member: SpikingNetwork) -> bool:
        """Return whether a network is a member of the set around another, decided exactly."""
        nominal = self.nominal(network)
        ours, others, names = (
            dict(nominal.named_parameters()),
            dict(member.named_parameters()),
            weights_and_biases(nominal),
        )
        return (
            same_layers(nominal, member)
            and ours.keys() == others.keys()
            and all(within(others[name], ours[name], self.weights * (name in names)) for name in ours)
            and all(self._alike(*pair) for pair in zip(nominal.neurons, member.neurons, strict=True))
        )

    def _alike(self, one: LIF, other: LIF) -> bool:
        """Return whether the neurons of two layers differ by no more than they may."""
        own, theirs = constants(one), constants(other)
        threshold = within(theirs["threshold"], own["threshold"], self.threshold)
        decay = within(theirs["decay"], own["decay"], self.decay) and bool((theirs["decay"] <= 1).all())
        return threshold and decay


def _unmerged(node: Mapped, network: SpikingNetwork) -> bool:
    """Return whether a map has tensors that no share is known for; `Normalize` is no hardware's."""
    if weighted(node.map) or not node.map.tensors:
        return False
    return not prepares(network, node.name)
