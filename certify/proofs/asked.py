"""What a proof is asked to be about, a set of inputs and a claim: as people say it and as the checker reads it.

A finished proof, and its file.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...checking.conclusions import Conclusions, StatedProperty, StatedRow
from ...checking.events.inputs import Inputs
from ...checking.events.recordings import FlipRules, OpenRecording, Rules, ShiftRules
from ...checking.network.graph import Graph
from ...checking.network.model import Network
from ...checking.numbers.exact import Refused
from ...checking.short import FORMAT, ROWS_FORMAT
from ...files import write_atomically
from ...models.files.storage import pack
from ...models.networks import SpikingNetwork
from ..branching.question import MarginQuestion
from ..perturbations import L2, EventChange, LInf, Perturbation, PixelBox, SpikeFlip, SpikeShift
from ..perturbations.base import EventSet
from ..questions.classes import own_outputs, property_goal
from ..questions.forms import Property
from ..questions.rows import RowGoal
from ..replay import misclassified
from .tree import Tree, written


@dataclass(frozen=True)
class Proof:
    """That a network keeps its class, or a property, everywhere within `radius` of `sample`, in [lower, upper].

    Of events: for every recording that `rules` make of `sample`.

    Attributes:
        network: `network_hash` of the network.
        label: the class; None of a property.
        sample: one input, in the network's dtype; radius: (1,) or of its shape, float64.
        norm: of the radius, "linf" or "l2"; of events that of their set.
        lower, upper: the range of inputs.
        trees: one for each other class, or clause.
        ties: what a tie between logits is, "argmax" or "strict".
        nodes: how many nodes the search bounded.
        rules: of events: what may flip and move; radius and range are not written then.
        prop: the property, where it is about one.
    """

    network: str
    label: int | None
    sample: np.ndarray
    radius: np.ndarray
    norm: str
    lower: float
    upper: float
    trees: tuple[Tree, ...]
    nodes: int
    ties: str
    rules: Rules | None = None
    prop: StatedProperty | None = None

    @property
    def leaves(self) -> int:
        """Return the number of leaves of all trees."""
        return sum(len(tree.leaves) for tree in self.trees)

    @property
    def _cells(self) -> dict[str, int]:
        """Return what the checker is told of cells: nothing where no layer has any."""
        trials = self.trees[0].trials if self.trees else None
        if trials is None or not trials.celled:
            return {}
        return {"cells": trials.maker.cells, "side": trials.maker.side}

    def save(self, path: str | Path, note: str = "") -> None:
        """Write the file that `spikecert check-proof` checks, atomically; `note` is for people."""
        write_atomically(path, self.packed(note))

    def packed(self, note: str = "") -> bytes:
        """Return the content of that file."""
        text: dict[str, object] = {"network": self.network, "norm": self.norm}
        text |= {"label": self.label, "ties": self.ties} if self.prop is None else self.prop.described
        cells = self._cells
        text |= cells
        tensors = {"sample": self.sample}
        if self.rules is None:
            text |= {"lower": self.lower, "upper": self.upper}
            tensors |= {"radius": self.radius}
        else:
            text |= {"events": self.rules.described}
            tensors |= self.rules.masks
        for tree in self.trees:
            neurons, currents, layers, leaves = tree.listed()
            tensors |= {f"{tree.other}.neuron": neurons, f"{tree.other}.current": currents}
            priced = {layer: prices for layer, prices in enumerate(layers) if prices.any() or not cells}
            tensors |= {f"{tree.other}.prices.{layer}": prices for layer, prices in priced.items()}
            tensors |= {
                f"{tree.other}.narrow.{part}": flat
                for part, flat in written([leaf.narrowing for leaf in leaves]).items()
            }
            if len(tree.rows) > 1:
                tensors[f"{tree.other}.row"] = np.array([leaf.row for leaf in leaves], dtype=np.int32)
        described = json.dumps(text | {"note": note}, sort_keys=True)
        form = FORMAT if self.prop is None else ROWS_FORMAT
        return pack(form, described, {name: torch.from_numpy(x) for name, x in tensors.items()})


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


def left_of(perturbation: Perturbation, recording: OpenRecording, sample: Tensor) -> Perturbation:
    """Return what may still change of a recording as a set around it: what prices are sought for."""
    flips, shifts = recording.rules.flips, recording.rules.shifts
    free, movable = (
        torch.from_numpy(part.T > 0).reshape(sample.shape) for part in (recording.free, recording.movable)
    )
    if isinstance(perturbation, EventChange):
        assert flips is not None
        assert shifts is not None
        flipped = replace(perturbation.flips, count=flips.count, where=free)
        return EventChange(
            flipped, replace(perturbation.shifts, count=shifts.count, total=shifts.total, where=movable)
        )
    if isinstance(perturbation, SpikeFlip):
        assert flips is not None
        return replace(perturbation, count=flips.count, where=free)
    assert isinstance(perturbation, SpikeShift)
    assert shifts is not None
    return replace(perturbation, count=shifts.count, total=shifts.total, where=movable)


def _moves(shifts: SpikeShift, where: np.ndarray | None) -> ShiftRules:
    merge = "or" if shifts.merge == "refuse" else shifts.merge  # whose members are all members of "or"
    return ShiftRules(shifts.jitter, shifts.count, shifts.total, merge, shifts.border, where)


def _mask(events: EventSet, sample: Tensor) -> np.ndarray | None:
    """Return which entries may change; None: all."""
    return None if events.where is None else events.allowed(sample[None]).cpu().numpy()
