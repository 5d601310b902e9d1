"""What a proof is asked to be about: a set of inputs, as threat models say it and as the checker reads it."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ...checking.events.inputs import Inputs
from ...checking.events.recordings import FlipRules, Rules, ShiftRules
from ...checking.network.model import Network
from ...checking.numbers.exact import Refused
from ..perturbations import L2, EventChange, LInf, Perturbation, PixelBox, SpikeFlip, SpikeShift
from ..perturbations.events.event_sets import EventSet
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

    def proof(self, network: str, label: int, trees: tuple[Tree, ...], nodes: int, ties: str) -> Proof:
        """Return a proof about it."""
        ball = self.sample, self.radius, self.norm, self.lower, self.upper
        return Proof(network, label, *ball, trees, nodes, ties, self.rules)


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
