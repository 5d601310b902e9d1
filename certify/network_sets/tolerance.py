"""Tolerance: every weight, threshold and decay within a share of itself, as analog hardware has them.

The worst mismatch that gradients find: their signs, of all samples together and of each by itself.
"""

from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import Tensor
from torch.func import functional_call

from ...models.circuit import Circuit, Filtered, Mapped, Recurred, UnknownNode, circuit, fold
from ...models.constants import nonnegative
from ...models.elements.neurons import LIF
from ...models.linear_maps import DenseMap
from ...models.linear_neuron import leaking
from ...models.merging import merged, prepares, same_layers, weights_and_biases
from ...models.networks import SpikingNetwork
from ...models.validation import check_choice
from ..attacks.gradients import negative_margin
from ..bounds.propagation import input_signal, known_margins
from ..bounds.signals.signals import SpikeBound
from ..bounds.signals.windows import Box
from ..perturbations import Perturbation
from ..rounding import Rounding
from .base import (
    MemberPlaces,
    NetworkSet,
    Search,
    SetQuestion,
    Shares,
    Trial,
    checked_around,
    constants,
    drawn,
    moved,
    within,
)
from .tolerant import TolerantPropagation, TolerantSignal, check_sums, dense_margins, outward, weighted

CORNERS = 8
"""Random members that all samples are run on."""
STEPS = 6
"""Of a sample's own ascent."""


def search(shares: Shares, question: SetQuestion, generator: torch.Generator) -> Search:
    """Yield members of a tolerance, those for all samples first; each sample then has an ascent of its own."""
    everyone = torch.arange(len(question.labels), device=question.labels.device)
    standing, margins = torch.ones_like(everyone).bool(), torch.zeros_like(everyone)
    directions = _directions(shares, len(question.network.neurons))
    parameters = dict(question.network.named_parameters())
    start = {name: torch.zeros_like(parameters[name]) for name in weights_and_biases(question.network)}
    for direction in directions:
        places = _stepped(question, start, everyone[standing], shares, 1.0)
        member = moved(question.network, MemberPlaces(places, direction), shares)
        standing, margins = yield Trial(member, everyone)
    for _ in range(CORNERS):
        places = drawn(question.network, generator)
        standing, margins = yield Trial(moved(question.network, places, shares), everyone, close=False)
    for index in margins.argsort().tolist():  # each sample has a network of its own
        for direction in directions:
            places, one = start, everyone[index : index + 1]
            for step in range(STEPS):
                if not bool(standing[index]):
                    break
                last = step == STEPS - 1
                places = _stepped(question, places, one, shares, 1.0 if last else 0.5)
                member = moved(question.network, MemberPlaces(places, direction), shares)
                standing, margins = yield Trial(member, one, close=last)


def _directions(shares: Shares, layers: int) -> list[list[tuple[float, float]]]:
    """Return to which end all thresholds and all decays go, together."""
    thresholds = (-1.0, 1.0) if shares.threshold else (0.0,)
    decays = (-1.0, 1.0) if shares.decay else (0.0,)
    return [[pair] * layers for pair in product(thresholds, decays)]


def _stepped(
    question: SetQuestion, places: dict[str, Tensor], samples: Tensor, shares: Shares, length: float
) -> dict[str, Tensor]:
    """Return places one step up the margin's loss of some samples."""
    if not shares.weights or not len(samples):
        return places
    parameters = dict(question.network.named_parameters())
    with torch.enable_grad():
        leaves = {name: place.clone().requires_grad_() for name, place in places.items()}
        weights = {
            name: parameters[name].detach() * (1.0 + parameters[name].detach().sign() * shares.weights * leaf)
            for name, leaf in leaves.items()
        }
        logits = functional_call(question.network, weights, (question.inputs[samples],))
        loss = negative_margin(logits, question.labels[samples]).sum()
        found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
    pairs = zip(places.items(), found, strict=True)
    return {name: (place + length * slope.sign()).clamp(-1.0, 1.0) for (name, place), slope in pairs}


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

    def propose(self, question: SetQuestion, generator: torch.Generator) -> Search:
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
