"""What a proof is asked to be about, a set of inputs and a claim: as people say it and as the checker reads it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...checking.conclusions import Conclusions, StatedProperty, StatedRow
from ...checking.events.inputs import Inputs
from ...checking.events.recordings import FlipRules, Rules, ShiftRules
from ...checking.network.graph import Graph
from ...checking.network.model import Network
from ...checking.numbers.exact import Refused
from ...models.networks import SpikingNetwork
from ..branching.question import MarginQuestion
from ..perturbations import L2, EventChange, LInf, Perturbation, PixelBox, SpikeFlip, SpikeShift
from ..perturbations.base import EventSet
from ..questions.forms import Property
from ..questions.properties import own_outputs, property_goal
from ..questions.rows import RowGoal
from ..replay import misclassified
from .proof import Proof
from .tree import Tree


@dataclass(frozen=True)
class AskedSet:
    """The inputs around a sample; fields as of `Proof`."""

    sample: np.ndarray
    radius: np.ndarray
    norm: str
    lower: float
    upper: float
    rules: Rules | None = None

    def inputs(self, network: Network) -> Inputs:
        """Return the set as the checker reads it.

        Raises:
            Refused: for a sample that the set does not suit.
        """
        if self.rules is not None:
            return self.rules.around(self.sample, network.recorded)
        return network.inputs(self.sample, self.radius, self.lower, self.upper, self.norm)

    def proof(self, network: str, claim: "AskedClaim", trees: tuple[Tree, ...], nodes: int) -> Proof:
        """Return a proof about it."""
        ball = self.sample, self.radius, self.norm, self.lower, self.upper
        return Proof(network, claim.label, *ball, trees, nodes, claim.ties, self.rules, claim.stated)


@dataclass(frozen=True)
class AskedClaim:
    """What is to be shown of a network over a set: that its class stays, or a property.

    Attributes:
        label: the class; None for a property.
        ties: what a tie between logits is.
        stated: the property as its file says it; rows: as the search asks it, of one sample.
    """

    label: int | None
    ties: str
    stated: StatedProperty | None = None
    rows: RowGoal | None = None

    @staticmethod
    def of_property(network: SpikingNetwork, sample: Tensor, prop: Property) -> "AskedClaim":
        """Return a property, of a sample's own outputs as they are run alone.

        Raises:
            ValueError: for a property that the network has no outputs or inputs for.
        """
        rows = property_goal(network, sample[None], prop)
        own = own_outputs(network, sample[None])[0].tolist()
        clauses = tuple(
            tuple(
                StatedRow(form.outputs, form.inputs, form.own, form.constant, strict)
                for form, strict in ((row.form, row.strict) for row in clause)
            )
            for clause in prop.clauses(own)
        )
        return AskedClaim(None, rows.ties, StatedProperty(clauses, tuple(own)), rows)

    def concluded(self, graph: Graph, inputs: int) -> Conclusions:
        """Return what the checker is to be shown."""
        if self.stated is not None:
            return self.stated.concluded(graph, inputs)
        assert self.label is not None
        return Conclusions.of_class(graph, self.label, self.ties)

    def question(
        self,
        network: SpikingNetwork,
        sample: Tensor,
        perturbation: Perturbation,
        clauses: Sequence[int],
        width: int,
    ) -> tuple[MarginQuestion, list[int]]:
        """Return what the search is asked of some clauses; of each of its rows, which one of its clause it is.

        Args:
            network, sample, perturbation: that it is about.
            clauses: by number; of a class the other ones.
            width: how many outputs there are.
        """
        asked, zero = network, torch.zeros(1, dtype=torch.long)
        if self.rows is not None:
            left = torch.isin(self.rows.clause, torch.tensor(clauses))
            question = MarginQuestion.of_rows(asked, sample[None], zero, perturbation, self.rows, left[None])
            numbers = [n for count in self.rows.clause.bincount().tolist() for n in range(count)]
            return question, [numbers[row] for row in left.nonzero().flatten().tolist()]
        assert self.label is not None
        left = torch.isin(torch.arange(width), torch.tensor(clauses, dtype=torch.long))
        labels = zero + self.label
        question = MarginQuestion.of_margins(asked, sample[None], labels, perturbation, left[None], self.ties)
        return question, [0] * len(clauses)

    def fails(self, network: SpikingNetwork, candidates: Tensor) -> bool:
        """Return whether some inputs, run as users run them, are not as claimed."""
        if self.rows is not None:
            values = self.rows.values(
                network(candidates), torch.zeros(len(candidates), dtype=torch.long), candidates
            )
            return any(self.rows.replays(network, candidates[i], 0) for i in (values <= 0).nonzero().flatten())
        assert self.label is not None
        labels = torch.full((len(candidates),), self.label)
        return bool(misclassified(network, candidates, labels, self.ties).any())


def asked_of(perturbation: Perturbation, sample: Tensor) -> AskedSet:
    """Return the set of a threat model around one sample.

    Raises:
        Refused: for a threat model that has no proof form, or a mask that does not fit the sample.
    """
    middle = sample.numpy()
    if isinstance(perturbation, LInf | PixelBox | L2):
        radius = np.atleast_1d(np.asarray(perturbation.extent, dtype=np.float64))
        if radius.size > 1:
            radius = np.broadcast_to(radius, middle.shape).copy()
        if isinstance(perturbation.lower, Tensor) or isinstance(perturbation.upper, Tensor):
            raise Refused("lower, upper: got ends of each feature, expected one of all: proofs hold no other")
        norm = "l2" if isinstance(perturbation, L2) else "linf"
        return AskedSet(middle, radius, norm, float(perturbation.lower), float(perturbation.upper))
    try:
        rules = rules_of(perturbation, sample)
    except ValueError as error:
        raise Refused(str(error)) from error
    return AskedSet(middle, np.zeros(0), perturbation.norm, -np.inf, np.inf, rules)


def rules_of(perturbation: Perturbation, sample: Tensor) -> Rules:
    """Return what a threat model changes of the events of a sample.

    Raises:
        Refused: for a threat model without such rules.
        ValueError: for a mask that does not fit the sample.
    """
    flips = shifts = None
    if type(perturbation) is SpikeFlip:
        flips = perturbation
    elif type(perturbation) is SpikeShift:
        shifts = perturbation
    elif type(perturbation) is EventChange:
        flips, shifts = perturbation.flips, perturbation.shifts
    else:
        raise Refused(f"unknown: no proof form for norm {perturbation.norm!r}")
    return Rules(
        None if flips is None else FlipRules(flips.count, flips.kind, _mask(flips, sample)),
        None if shifts is None else _moves(shifts, _mask(shifts, sample)),
    )


def _moves(shifts: SpikeShift, where: np.ndarray | None) -> ShiftRules:
    merge = "or" if shifts.merge == "refuse" else shifts.merge  # whose members are all members of "or"
    return ShiftRules(shifts.jitter, shifts.count, shifts.total, merge, shifts.border, where)


def _mask(events: EventSet, sample: Tensor) -> np.ndarray | None:
    """Return which entries may change; None: all."""
    return None if events.where is None else events.allowed(sample[None]).cpu().numpy()
