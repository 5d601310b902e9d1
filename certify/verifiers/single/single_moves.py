"""Try all moves of a single event at once: what breaks is found first, and a set of no other moves is decided."""

import math
import time
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ....models.circuit import Fired, Mapped, Read, fold
from ....models.constants import at_least, settle
from ....models.deadline import TimeIsUp, ending
from ....models.rules import plain
from ....models.running.readouts import LINEAR
from ...bounds.events.moved_events import MovedEvents, first_layer
from ...bounds.events.single_moves import EventMoves, SingleMoves
from ...bounds.propagation import Propagation, input_signal
from ...bounds.signals.box import Box
from ...bounds.signals.signals import Signal
from ...bounds.trains.trains import step_spikes
from ...perturbations import SpikeShift
from ...problem import Problem
from ...rounding import Rounding
from ...verdicts import Verdict
from ..base import Verifier, falsified, one_by_one
from ..enumeration import bounded, failing

TOGETHER = 2**20
"""How many sums of neurons are held at once."""

REPLAYED = 256
"""How many members are run at most: those of the least margins, of which a bound proves nothing."""


@dataclass(frozen=True)
class OneMove(Verifier):
    """Steps a first layer through every recording of which one event has moved (single_moves.py).

    A member that fails falsifies the sample. Where no more than one event may move, the members are the set: the
    sample is verified once each is proven.

    Args:
        most: how many moves a sample may have.
    """

    asks_rows: ClassVar[bool] = True
    most: int = 2**18
    name: str = "one-move"

    def __post_init__(self) -> None:
        settle(self, at_least(0), "most")

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return each sample's verdict; the samples that are left share the time that is left."""
        return one_by_one(replace(problem, made=problem.circuit), self.name, self._one)

    @torch.no_grad()
    def _one(self, problem: Problem) -> Verdict:
        """Decide a problem of one sample."""
        started = time.perf_counter()
        try:
            with ending(problem.deadline):
                return self._tried(problem, started)
        except (OverflowError, TimeIsUp) as error:
            return self._unknown(str(error), started)

    def _tried(self, problem: Problem, started: float) -> Verdict:
        """Bound each member, and run those that are not proven, the worst first."""
        if not steps_moves(problem):
            return self._unknown("its first layer is not stepped move by move", started)
        members = _Moved.of(problem)
        if len(members) > self.most:
            return self._unknown(f"its {len(members)} single moves are more than {self.most}", started)
        lower, proven = members.bounds()
        left = lower.masked_fill(proven, math.inf).argsort()[: int((~proven).sum())]
        points = members.recordings(left[:REPLAYED])
        for candidate in failing(problem, points) if len(left) else ():
            found = falsified(
                problem, 0, candidate, self.name, started, "a recording of which one event moved fails"
            )
            if found.status == "falsified":
                return found
        told = f"of {len(members)} single moves"
        if not members.all:
            return self._unknown(f"{told} none was found to fail, and more events may move", started)
        if len(left) > REPLAYED:
            return self._unknown(f"{len(left)} {told} are left", started)
        if len(left):
            lower[left], enough = bounded(problem, points)
            if not bool(enough.all()):
                return self._unknown(
                    f"{int((~enough).sum())} {told} are decided only within the rounding error", started
                )
        seconds, reason = time.perf_counter() - started, f"each {told} is proven"
        return Verdict("verified", float(lower.min()), None, self.name, seconds, reason, problem.ties)

    def _unknown(self, reason: str, started: float) -> Verdict:
        return Verdict("unknown", None, None, self.name, time.perf_counter() - started, reason)


def steps_moves(problem: Problem) -> bool:
    """Return whether a problem is about moves of events that one affine layer reads, before the only neurons."""
    made, threat = problem.circuit, problem.perturbation
    on_inputs = problem.rows is not None and problem.rows.inputs is not None
    first = None if type(threat) is not SpikeShift or on_inputs or made.whole else first_layer(made)
    if first is None or made.read.readout not in LINEAR:
        return False
    assert isinstance(threat, SpikeShift)
    behind = made.nodes[first + 1]
    affine = all(isinstance(node, Mapped | Read) for node in made.nodes[first + 2 :])
    leaky = isinstance(behind, Fired) and plain(behind.rule)
    return leaky and affine and bool(threat.movable(problem.inputs).any())


@dataclass(frozen=True, eq=False)
class _Moved:
    """The recordings of one sample of which one event has moved; the first is the sample.

    Attributes:
        problem: of one sample.
        features: the input of each move, flat, (M,).
        moves: their steps.
        events: what the first layer makes of events.
    """

    problem: Problem
    features: Tensor
    moves: EventMoves
    events: MovedEvents

    @staticmethod
    def of(problem: Problem) -> "_Moved":
        """Return all members; an event that comes to another one vanishes, where both are one, or may not come."""
        threat, sample = problem.perturbation, problem.inputs.double()
        assert isinstance(threat, SpikeShift)
        flat, steps = sample[0].flatten(1), sample.shape[1]
        before, features = (threat.movable(sample)[0].flatten(1) > 0).nonzero(as_tuple=True)
        after = before[:, None] + torch.tensor([0, *threat.offsets(sample)], device=before.device)
        inside, stays = (after >= 0) & (after < steps), after == before[:, None]
        spare = int(threat.border == "leave")
        kept = (after >= -spare) & (after < steps + spare)
        kept &= ~stays | (torch.arange(len(before), device=before.device) == 0)[:, None]
        taken = inside & ~stays & (flat[after.clamp(0, steps - 1), features[:, None]] > 0)
        if threat.merge == "refuse":
            kept &= ~taken
        gone = ~inside | (taken & (threat.merge == "or"))
        after = torch.where(gone, -1, after)[kept]
        event = kept.nonzero()[:, 0]
        found, column = features.unique(return_inverse=True)
        first = first_layer(problem.circuit)
        assert first is not None
        events = MovedEvents.of(problem.circuit, first, sample, found, before, steps)
        return _Moved(problem, features[event], EventMoves(column[event], before[event], after), events)

    def __len__(self) -> int:
        """Return M."""
        return len(self.features)

    @property
    def all(self) -> bool:
        """Return whether they are the whole set."""
        threat = self.problem.perturbation
        assert isinstance(threat, SpikeShift)
        return threat.most <= 1 or float(threat.movable(self.problem.inputs).sum()) <= 1

    def recordings(self, some: Tensor) -> Tensor:
        """Return some members, (n, T, ...), float64."""
        sample, moves = self.problem.inputs[0].double(), self.moves
        found = sample.flatten(1).repeat(len(some), 1, 1)
        places, features, after = torch.arange(len(some)).to(some), self.features[some], moves.after[some]
        found[places, moves.before[some], features] -= 1.0
        here = after >= 0
        found[places[here], after[here], features[here]] += 1.0
        return found.view(-1, *sample.shape)

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Return a lower bound of each member's margin, and whether that is enough, (M,) each."""
        goal, made = self.problem.goal, self.problem.circuit
        node = made.nodes[made.nodes.index(self.events.layer) + 1]
        assert isinstance(node, Fired)
        assert plain(node.rule)
        fired = SingleMoves.of(self.events, node.rule, self.moves)
        size = max(1, TOGETHER // max(1, self.events.columns.shape[1]))
        found = [self._lower(node, fired.part(slice(start, start + size))) for start in range(0, len(self), size)]
        lower = goal.tightened(torch.cat(found))
        proven = goal.holds(goal.proven(lower, self.problem.labels.expand(len(lower))))
        return goal.least(lower), proven

    def _lower(self, node: Fired, fired: SingleMoves) -> Tensor:
        """Return lower bounds of the margins of some moves, (n, classes)."""
        if self.problem.expired():
            raise TimeIsUp
        made, labels = self.problem.circuit, self.problem.labels.expand(len(fired.layer.event))
        exact = self.problem.inputs.double()
        source = input_signal(made, Box(exact, exact))
        known = fold(made, _FromSpikes(source, step_spikes, Rounding.of(made), node, fired))
        return self.problem.goal.read(made, known, labels, Box(exact, exact))


@dataclass(frozen=True)
class _FromSpikes(Propagation):
    """What is known of a circuit's signals once `moved` are those of the neurons `node`."""

    node: Fired
    moved: SingleMoves

    def fired(self, node: Fired, x: Signal) -> Signal:
        """Return what is known of the spikes."""
        return self.moved if node is self.node else super().fired(node, x)
