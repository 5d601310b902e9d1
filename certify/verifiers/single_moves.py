"""Sets of moves of one event: all moves are tried at once, and what breaks is found first.

Let an event of input i leave step t for step t', or vanish. Then the layer's currents are those of the recording
x, less a[t]·W_i at t and with a[t']·W_i more at t': two additions a neuron, where running the recording takes all
of the layer's products. From the first of both steps on each neuron is stepped by itself, from where it stands in
x. Its potential lies in

    [low, high] ← λ·[low, high] + [l[t], u[t]] ± a·W_i, widened by the step's rounding;

above θ + tie it fires for certain, below θ − tie it is silent for certain. Where neither holds it is followed both
ways, with [max(low, θ − tie), high] as it fires and [low, min(high, θ + tie)] as it is silent, a few times; from
then on it is *open*: whatever it does, Σ_t r[t]·s[t] moves by at most the sum of r's negative, or positive,
entries. So what is found holds for every run of the moved recording, and most neurons have one number.

Rounding. A step of x has k products other than 0, a moved one at most k + 1, and |W|·x̃[t] ≤ |W|·x[t] + max_i
|W_i|. So γ_{k+1} of that and |b| is what the run's current may stray by (rounding.py: zeros round nothing); eight
roundings more pay for the sums that are kept here, two a current. One step of the recursion strays by
8u·(λ·M + X + δ) + η, M ≥ |û| the potential's own modulus and X ≥ |a·I| the current's (rounding.py): far less than
what serves all steps.

Try all moves of a single event at once: what breaks is found first, and a set of no other moves is decided.

Small sets of inputs of layers that hear themselves over many steps: listed first, as bounds cost more there.
"""

import math
import time
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from ...kernels.moves import MovingLayer, moves_kernel
from ...models.circuit import Fired, Mapped, Read, Recurred, fold
from ...models.constants import at_least, settle
from ...models.deadline import TimeIsUp, ending
from ...models.rules import Leaky, plain
from ...models.running.encoding import LINEAR
from ..bounds.events.moved_events import MovedEvents, first_layer
from ..bounds.long_trains import LONG
from ..bounds.propagation import Propagation, input_signal
from ..bounds.signals.membrane import drive, scaled_box
from ..bounds.signals.signals import InputSignal, Signal
from ..bounds.signals.windows import Box
from ..bounds.trains.trains import step_spikes
from ..perturbations import SpikeShift
from ..problem import Problem
from ..rounding import Rounding, product_error, step_error
from ..verdicts import Unfinished, Verdict
from .base import Verifier, decided, falsified, one_by_one
from .enumeration import Enumeration, bounded, failing

OWN = 8
"""Roundings that a current takes here, beside those of its products."""


@dataclass(frozen=True)
class EventMoves:
    """EventMoves of one event each, (M,) each.

    Attributes:
        column: which feature's, in the order in which columns are kept.
        before, after: from which step, and to which; −1 where the event vanishes.
    """

    column: Tensor
    before: Tensor
    after: Tensor


@dataclass(frozen=True, eq=False)
class SingleMoves(Signal):
    """The spikes of a layer in M recordings, as sums over time, (·, M, ...).

    Attributes:
        layer: its currents in the recording, and the moves.
        reset: of its neurons.
        constants: of its neurons, as the kernel names them.
        shape: of the layer's outputs.
    """

    layer: MovingLayer
    reset: str
    constants: tuple[float, ...]
    shape: torch.Size

    constant = False
    binary = True

    @staticmethod
    def of(events: MovedEvents, rule: Leaky, moves: EventMoves) -> "SingleMoves":
        """Return the signal of moves.

        Args:
            events: of the recording, and what the layer makes of each feature's.
            rule: of the neurons behind the layer.
            moves: which columns of `events` they are of, from which step, and to which.

        Raises:
            OverflowError: where the run may overflow.
        """
        made, rounding, sample = events.map, events.rounding, events.entering
        made.slack(2 * events.features, rounding)  # raises where a sum may overflow
        far = events.columns.abs().amax(0).view(events.currents[0].shape)
        active = None if made.active is None else made.active(sample)
        count = (sample.new_full((1,), made.terms) if active is None else active + 1.0).clamp_max(made.terms)
        size = made.absolute(sample) + far + made.bias_magnitude
        slack = size * product_error(count, rounding, OWN) + made.underflow(2 * events.features, rounding)
        lower, upper = events.currents - slack, events.currents + slack
        hull = InputSignal(Box((lower - far)[:, None], (upper + far)[:, None]), len(sample))
        limits = drive(hull, rule, rounding).limits  # raises where a potential may overflow
        scaled, factors = scaled_box(Box(lower, upper), rule.scale_like(lower)), rule.factors(len(sample))
        kept = scaled.lower.flatten(1), scaled.upper.flatten(1), lower.new_tensor(factors), events.columns
        layer = MovingLayer(*kept, moves.column, moves.before, moves.after)
        constants = (
            rule.decay,
            *limits,
            rule.drop,
            step_error(0.0, 0.0, 1.0, rounding),
            rule.span,
            rounding.smallest,
        )
        return SingleMoves(layer, rule.reset, constants, far.shape)

    def part(self, some: slice) -> "SingleMoves":
        """Return some of the moves."""
        layer = self.layer
        event, before, after = layer.event[some], layer.before[some], layer.after[some]
        return replace(self, layer=replace(layer, event=event, before=before, after=after))

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return the number of steps T."""
        return len(self.layer.lower)

    def steps(self) -> Box:
        """Return whether each spike is certain, impossible or open."""
        return self.combine(torch.eye(self.num_steps).to(self.layer.lower))

    def combine(self, rows: Tensor) -> Box:
        """Return the ends of Σ_t rows[k,t]·s[t], (k, M, ...)."""
        device = self.layer.lower.device
        layer = MovingLayer(*(part.cpu() for part in vars(self.layer).values()))
        ends = moves_kernel().sums(layer, self.constants, self.reset, rows.double().cpu())
        low, high = (end.unflatten(2, self.shape).to(device) for end in ends)
        return Box(low, high)

    def magnitude(self) -> Tensor:
        """Return 1: a neuron may fire."""
        return self.layer.lower.new_ones(len(self.layer.event), *self.shape)


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


UNASKED = "no small set of inputs of a layer that hears itself over many steps"
"""What is said of a sample that is left to others."""


@dataclass(frozen=True)
class ListedLoops(Verifier):
    """Asks `Enumeration` where a bound of the whole set walks a graph for each pair of steps: T³ in all.

    Args:
        enumeration: what runs the members.
    """

    asks_rows: ClassVar[bool] = True
    enumeration: Enumeration = field(default_factory=Enumeration)
    name: str = "listed-loops"

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return each sample's verdict."""
        made = problem.circuit
        verdicts = [Verdict("unknown", None, None, self.name, 0.0, UNASKED)] * len(problem.labels)
        if made.num_steps < LONG or not any(isinstance(node, Recurred) for node in made.nodes):
            return verdicts
        taken = self.enumeration.takes(problem).nonzero().flatten().tolist()
        part = problem.subset(torch.tensor(taken, device=problem.labels.device, dtype=torch.long))
        found, interrupted = decided(self.enumeration, part) if taken else ((), False)
        for index, verdict in zip(taken, found, strict=True):
            verdicts[index] = verdict
        if interrupted:
            raise Unfinished(verdicts)
        return verdicts
