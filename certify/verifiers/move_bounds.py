"""Bounds of the margins of parts of a set of moves, many at once."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

from torch import Tensor

from ...models.circuit import Circuit, Fired, Mapped, Recurred, fold
from ..bounds.events.moved_events import Movable, MovedCurrents, MovedEvents, first_layer
from ..bounds.propagation import Propagation, input_signal, propagate
from ..bounds.signals.box import Box
from ..bounds.signals.signals import Signal
from ..bounds.trains.trains import window_spikes
from ..perturbations import SpikeShift
from ..problem import Problem
from ..questions.classes import ClassGoal
from ..questions.rows import RowGoal
from ..rounding import Rounding
from ..splitting.move_parts import Parts, RankedEvents
from .enumeration import work_each

TOGETHER = 2**22
"""How many numbers the recordings have that are bounded at once."""

NUMBERS = 2**22
"""How many numbers what is known of the layers' trains has, about, that is made at once."""

FEW_MOVES = 16
"""For how many moves, or steps of them, sums are kept."""


class PartBound(ABC):
    """What bounds parts of one problem of one sample.

    Attributes:
        size: how many are bounded at once.
    """

    size: int

    @property
    @abstractmethod
    def work(self) -> int:
        """Return how much work a part is, as `work_each` counts it."""

    @abstractmethod
    def lower(self, parts: Parts) -> Tensor:
        """Return lower bounds of logit_y − logit_k over each part, (n, classes), float64; +inf at k = y."""


@dataclass(frozen=True, eq=False)
class SetBound(PartBound):
    """Bounds each part as any set of moves around a recording, by the bound of "trains"."""

    problem: Problem
    threat: SpikeShift
    ranked: RankedEvents

    @property
    def size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return how many recordings are taken at once."""
        return max(1, TOGETHER // self.problem.inputs.numel())

    @property
    def work(self) -> int:
        """Return that of a member."""
        return work_each(self.problem.circuit, tuple(self.problem.inputs.shape[2:]))

    def lower(self, parts: Parts) -> Tensor:
        """Return lower bounds of the margins."""
        threat = replace(self.threat, total=parts.steps, count=parts.events, where=None)
        box = threat.enclosed(self.ranked.recordings(parts).double(), self.ranked.marks(parts))
        labels = self.problem.labels.expand(len(parts))
        return self.problem.goal.bounds(self.problem.circuit, box, labels, window_spikes)


@dataclass(frozen=True, eq=False)
class SumBound(PartBound):
    """The same for a first layer that is affine, whose sums over events are kept (moved_events.py).

    Attributes:
        circuit: the network.
        goal: what is asked.
        label: y, or which of its questions, (1,).
        moved: the events.
        source: what is known of the recording.
        size: how many parts are bounded at once.
    """

    circuit: Circuit
    goal: ClassGoal | RowGoal
    label: Tensor
    moved: MovedEvents
    source: Signal
    size: int

    @staticmethod
    def of(problem: Problem, ranked: RankedEvents) -> "SumBound":
        """Return the bound of a network whose first layer alone reads the input."""
        made = problem.circuit
        first = first_layer(made)
        assert first is not None
        exact = ranked.sample.double()
        moved = MovedEvents.of(made, first, exact, ranked.features, ranked.before, ranked.jitter)
        source = input_signal(made, Box(exact, exact))
        return SumBound(
            made, problem.goal, problem.labels, moved, source, max(1, NUMBERS // _numbers(made, source))
        )

    @property
    def work(self) -> int:
        """Return that of a member but for the first layer's products."""
        features = tuple(self.source.magnitude().shape[1:])
        first = self.moved.currents[0].numel() * self.moved.map.terms
        return work_each(self.circuit, features) - self.moved.num_steps * first

    def lower(self, parts: Parts) -> Tensor:
        """Return lower bounds of the margins."""
        made, moves = self.moved.after(parts.moved, parts.there), parts.moved.shape[1]
        currents = MovedCurrents(self.moved, made, moves, Movable(parts.steps, parts.events), parts.places)
        known = fold(self.circuit, _FromFirst(self.source, window_spikes, self.moved.rounding, currents))
        return self.goal.read(self.circuit, known, self.label.expand(len(parts)), Box(made, made))


@dataclass(frozen=True)
class _FromFirst(Propagation):
    """What is known of a circuit's signals once `currents` are those of its first affine layer."""

    currents: MovedCurrents

    def mapped(self, node: Mapped, x: Signal) -> Signal:
        """Return the affine image; of the first layer, what is known."""
        return self.currents if node is self.currents.events.layer else super().mapped(node, x)


def _numbers(circuit: Circuit, source: Signal) -> int:
    """Return about how many numbers a part is: an edge of a graph, or a step of neurons that fire once."""
    known = propagate(circuit, source, window_spikes, Rounding.of(circuit))
    pairs = zip(circuit.nodes, known, strict=True)
    fired = [signal for node, signal in pairs if isinstance(node, Fired | Recurred)]
    return sum(signal.magnitude().numel() * signal.numbers for signal in fired)


def sums_are_kept(problem: Problem) -> bool:
    """Return whether parts of a set of moves are bounded by kept sums: few move, and the rest lets them."""
    threat = problem.perturbation
    assert isinstance(threat, SpikeShift)
    few = [budget for budget in (threat.count, threat.total) if budget is not None and budget <= FEW_MOVES]
    on_inputs = problem.rows is not None and problem.rows.inputs is not None
    return bool(few) and not on_inputs and first_layer(problem.circuit) is not None


def bound_of(problem: Problem, threat: SpikeShift, ranked: RankedEvents) -> PartBound:
    """Return what bounds the parts of a set of moves."""
    return SumBound.of(problem, ranked) if sums_are_kept(problem) else SetBound(problem, threat, ranked)
