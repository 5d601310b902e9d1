"""Automata that rules declare: their reachable states, the paths through them, and loops.

The trains of a layer as the paths of a layered automaton: every question about them is a shortest path.

From a rule's own declaration to the automaton of a layer: which states its neurons may reach, step by step.

A state is a box of as many numbers as the rule has, under a label. `moves` says what silence and a spike (or
several) make of it; states that have one label then are joined into their hull. So **every run stays inside
some path**, and where boxes of one label differ in nothing the paths are the runs' trains exactly: for currents
that are independent over time that is so of a hard reset, whose label is its last spike.

Rounding is paid by `state_slack` (certify/rounding.py): it widens the current, each other number at each
step, and the threshold; what is computed here is the exact step's own interval, with the bound's own rounding
among what that pays.

Labels grow with T at most. Above `MOST_LABELS` those that `moves` can't tell apart are joined, neighbours first.

Spikes of layers that hear themselves, of neurons whose rule declares its automaton.

**The start**, from nothing: `walked` asks for a step's current when the spikes of the step before are known. Where
their box holds s[t−1], the box of c[t] = x[t] + (V·s[t−1] + b), or of what a synapse makes of it, holds the run's
current (recurrent.py), and the states of the automaton that are reached by currents in it hold the run's state: by
induction over t from s[0] = 0 the box of spikes holds s[t]. What rounding adds at a step is that of the widest
current under any spikes at all.

**A pass**: as in recurrent.py what holds all currents of the layer under spikes that are known gives spikes that
hold, by whatever finds the spikes of such neurons under a current.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ....models.circuit import Recurred
from ....models.deadline import check_time
from ....models.rules import DeclaredRule, Label, Move, Range, declared
from ...rounding import Rounding, StateSlack, state_slack
from ...verdicts import SoundnessError
from ..signals.affine import affine_map
from ..signals.membrane import scaled_box
from ..signals.signals import Signal, equal_weights
from ..signals.windows import Box
from ..trains.recurrent import PASSES, DelayedSpikes, FeedbackLoop
from ..trains.train_table import Trains

TOGETHER = 2**22
"""How many lengths of paths are held at once."""


@dataclass(frozen=True)
class Edges:
    """The edges of one step, E of them, alike for all neurons; which a neuron has is told by `exists`.

    Attributes:
        sources, targets: of each edge, the states before and behind it, (E,).
        spikes: how many spikes it has, (E,).
        exists: (E, batch, ...) of bool.
        count: how many states there are behind it.
    """

    sources: Tensor
    targets: Tensor
    spikes: Tensor
    exists: Tensor
    count: int

    def least(self, length: Tensor, weights: Tensor) -> Tensor:
        """Return the least lengths of paths to each state behind this step, (rows, count, batch, ...).

        Args:
            length: those before it, (rows, states, batch, ...).
            weights: of a spike, (rows,).
        """
        costs = weights.reshape(-1, *([1] * (length.dim() - 1))) * self.spikes.to(length).reshape(
            -1, *([1] * (length.dim() - 2))
        )
        found = (length[:, self.sources] + costs).masked_fill_(~self.exists, torch.inf)
        return self.gathered(found, 1, "amin")

    def gathered(self, values: Tensor, dim: int, how: str) -> Tensor:
        """Return the least ("amin") or greatest ("amax") value of the edges into each state; `dim` is theirs."""
        shape = (*values.shape[:dim], self.count, *values.shape[dim + 1 :])
        index = self.targets.reshape(-1, *([1] * (values.dim() - dim - 1))).expand_as(values)
        return values.new_zeros(shape).scatter_reduce_(dim, index, values, how, include_self=False)


@dataclass(frozen=True)
class PathTrains(Trains):
    """The spikes of a layer.

    Attributes:
        moves: the edges of each step.
        box: how many spikes each step has at least and at most, (T, batch, ...).
        known: where the numbers of the state lie before each step, whatever the label, (T, numbers, batch, ...).
        allowance: what was paid for the run's rounding.
    """

    moves: tuple[Edges, ...]
    box: Box
    known: Box
    allowance: StateSlack

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return the number of steps T."""
        return len(self.moves)

    @property
    def binary(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether there is at most one spike a step."""
        return all(int(step.spikes.max()) <= 1 for step in self.moves)

    def steps(self) -> Box:
        """Return the spikes step by step."""
        return self.box

    def magnitude(self) -> Tensor:
        """Return the most spikes that a neuron has at a step."""
        return self.box.upper.amax(0)

    def combine(self, rows: Tensor) -> Box:
        """Return the exact range over all paths: one shortest and one longest path for each row."""
        weights = equal_weights(rows)
        if weights is not None:
            return self._ends(torch.ones_like(rows[:1]))[0].scaled(weights)
        return self._ends(rows)

    def _ends(self, rows: Tensor) -> Box:
        most = max(step.exists.numel() for step in self.moves)
        parts = torch.cat((rows, -rows)).split(max(1, TOGETHER // max(1, most)))
        lower, upper = torch.cat([self._least(part) for part in parts]).chunk(2)
        return Box(lower, -upper)

    def _least(self, rows: Tensor) -> Tensor:
        """Return min over paths of Σ_t rows[r, t]·s[t], (rows, batch, ...)."""
        length = rows.new_zeros(len(rows), 1, *self.box.lower.shape[1:])
        for t, step in enumerate(self.moves):
            check_time()
            length = step.least(length, rows[:, t])
        return length.amin(1)


MOST_LABELS = 64
"""How many labels are kept apart at one step."""


@dataclass(frozen=True)
class _Reached:
    """The states that may be reached: K labels, which neurons may have each, and boxes, (K, batch, ...)."""

    labels: tuple[Label, ...]
    alive: Tensor
    numbers: tuple[Range, ...]

    @property
    def hull(self) -> tuple[Tensor, Tensor]:
        """Return the ends of each number over all labels, (numbers, batch, ...)."""
        dead = ~self.alive
        low = [ends.low.masked_fill(dead, torch.inf).amin(0) for ends in self.numbers]
        high = [ends.high.masked_fill(dead, -torch.inf).amax(0) for ends in self.numbers]
        return torch.stack(low), torch.stack(high)


Cuts = Callable[[tuple[Label, ...], int], Range]
"""Where potentials of these labels lie at a step before a reset, (labels, batch, ...)."""


def path_trains(current: Signal, rule: DeclaredRule, rounding: Rounding, cuts: Cuts | None = None) -> PathTrains:
    """Return the trains of neurons of `rule` under `current`, step by step.

    Args:
        current, rule, rounding: of the layer.
        cuts: what else is known of potentials, of a rule that takes it (`within`); None for nothing.

    Raises:
        OverflowError: where a number of the run may overflow.
    """
    box, steps = current.steps(), current.num_steps
    factors = box.lower.new_tensor(rule.factors(steps))
    constant = len(box.lower) == 1 and bool((factors == factors[0]).all())
    scaled = scaled_box(box, factors[:1] if constant else factors)
    allowance = slack_of(rule, current, scaled, rounding)
    lower, upper = scaled.lower - allowance.current, scaled.upper + allowance.current
    if rule.whole:  # sets of events have real ends, outward by a few units in the last place
        lower, upper = lower.ceil(), upper.floor()

    def entering(t: int, _: Box) -> Range:
        """Return where the current of a step lies."""
        row = slice(t % len(lower), t % len(lower) + 1)
        return Range(lower[row], upper[row])

    return walked(rule, allowance, entering, torch.zeros_like(lower[0]), steps, cuts)


def slack_of(rule: DeclaredRule, current: Signal, scaled: Box, rounding: Rounding) -> StateSlack:
    """Return what the run of neurons of `rule` may stray by under `current`, `scaled` by its factors.

    Raises:
        OverflowError: as `path_trains`.
    """
    widest = scaled.upper.amax(0).maximum(-scaled.lower.amin(0))
    rule.admit(current.magnitude(), current.num_steps)
    return state_slack(rule.recursion(scaled.lower), widest, current.num_steps, rounding)


def walked(
    rule: DeclaredRule,
    allowance: StateSlack,
    entering: Callable[[int, Box], Range],
    like: Tensor,
    steps: int,
    cuts: Cuts | None = None,
) -> PathTrains:
    """Return the trains of neurons of `rule`, whose currents are asked for step by step.

    Args:
        rule, cuts: as in `path_trains`.
        allowance: what their run may stray by.
        entering: returns where the current of step t = 0..T−1 lies, widened by `allowance`, behind spikes of the
            step before that lie in a box, (1, batch, ...).
        like: (batch, ...), zeros.
        steps: T.
    """
    numbers = rule.recursion(like[None]).numbers
    starts = [torch.full_like(like[None], number.start) for number in numbers]
    states = _Reached((rule.first,), torch.ones_like(starts[0]).bool(), tuple(Range(x, x) for x in starts))
    moves, hulls, spikes = [], [], [Box(like[None], like[None])]
    for t in range(steps):
        check_time()
        hulls.append(states.hull)
        step, states = _advanced(states, rule, entering(t, spikes[-1]), allowance, t + 1, cuts)
        moves.append(step)
        spikes.append(_spikes(step, like))
    low, high = (torch.stack(ends) for ends in zip(*hulls, strict=True))
    box = Box(torch.cat([each.lower for each in spikes[1:]]), torch.cat([each.upper for each in spikes[1:]]))
    return PathTrains(tuple(moves), box, Box(low, high), allowance)


def _advanced(
    states: _Reached, rule: DeclaredRule, current: Range, allowance: StateSlack, t: int, cuts: Cuts | None
) -> tuple[Edges, _Reached]:
    """Return the edges of step t, and the states behind it."""
    asked = states.labels, states.numbers, current, allowance.tie
    outcomes = rule.moves(*asked) if cuts is None else rule.within(*asked, cuts(states.labels, t))
    exists = torch.cat([states.alive & move.possible for move in outcomes])
    edges = exists.flatten(1).any(1).nonzero().flatten()
    spikes = edges // len(states.labels)
    sources = edges % len(states.labels)
    found = [
        rule.label(states.labels[source], spike, t)
        for source, spike in zip(sources.tolist(), spikes.tolist(), strict=True)
    ]
    labels, targets = _joined(found)
    step = Edges(sources, edges.new_tensor(targets), spikes, exists[edges], len(labels))
    if not bool(step.exists.any(0).all()):
        raise SoundnessError(f"no state of {type(rule).__name__} is left at step {t}, though each run has one")
    alive, hulls = _hulls(outcomes, edges, step, allowance)
    return step, _Reached(labels, alive, hulls)


def _hulls(
    outcomes: tuple[Move, ...], edges: Tensor, step: Edges, allowance: StateSlack
) -> tuple[Tensor, tuple[Range, ...]]:
    """Return whether anything leads to each label, and its hulls, 0 where nothing does: they stay finite."""
    hulls, shape = [], outcomes[0].possible.shape
    alive = step.gathered(step.exists.byte(), 0, "amax").bool()
    for index, error in enumerate(allowance.numbers):
        ends = [move.state[index] for move in outcomes]
        low, high = (
            torch.cat([end.expand(shape) for end in side])[edges]
            for side in ([each.low for each in ends], [each.high for each in ends])
        )
        low = step.gathered(low.masked_fill(~step.exists, torch.inf), 0, "amin") - error
        high = step.gathered(high.masked_fill(~step.exists, -torch.inf), 0, "amax") + error
        hulls.append(Range(low.masked_fill(~alive, 0.0), high.masked_fill(~alive, 0.0)))
    return alive, tuple(hulls)


def _joined(found: list[Label]) -> tuple[tuple[Label, ...], list[int]]:
    """Return the labels that are kept apart, at most `MOST_LABELS` of one kind, and each entry's place in them."""
    kept: list[Label] = []
    place: dict[Label, int] = {}
    for kind in sorted({label[0] for label in found}):
        alike = sorted({label for label in found if label[0] == kind})
        each = -(-len(alike) // MOST_LABELS)
        for start in range(0, len(alike), each):
            group = alike[start : start + each]
            place |= dict.fromkeys(group, len(kept))
            kept.append(group[-1])
    return tuple(kept), [place[label] for label in found]


def _spikes(step: Edges, like: Tensor) -> Box:
    """Return how many spikes a step has at least and at most, (1, batch, ...)."""
    spikes = step.spikes.reshape(-1, *([1] * (step.exists.dim() - 1))).to(like)
    least = torch.where(step.exists, spikes, torch.inf).amin(0)
    most = torch.where(step.exists, spikes, -torch.inf).amax(0)
    return Box(least[None], most[None])


def looping_spikes(
    below: Signal, node: Recurred, spikes: Callable[[Signal], Signal], rounding: Rounding
) -> tuple[Signal, Signal]:
    """Return what is known of the currents of a layer that hears itself, and of the spikes under them.

    Args:
        below: x, what comes from other layers.
        node: the layer.
        spikes: what finds the spikes of its neurons under a current.
        rounding: the dtypes of the run and of the bound.
    """
    assert declared(node.rule)
    loop = FeedbackLoop(below, affine_map(node.feedback, rounding.bound), rounding, node.filter, node.rule.most)
    found: Signal = from_nothing(loop, node.rule)
    box = found.steps()
    current = loop.current(DelayedSpikes(found, box))
    for _ in range(PASSES):
        current = loop.current(DelayedSpikes(found, box))
        found = spikes(current)
        box = box.intersection(found.steps())
    return current, found


def from_nothing(loop: FeedbackLoop, rule: DeclaredRule) -> PathTrains:
    """Return the trains of neurons of `rule`, of currents that are known step by step."""
    free, steps = loop.free, loop.below.num_steps
    box = free.steps()
    factors = box.lower.new_tensor(rule.factors(steps))
    scaled = scaled_box(box, factors)
    follow, slack = loop.follow(), slack_of(rule, free, scaled, loop.rounding)

    def entering(t: int, before: Box) -> Range:
        """Return where the current of a step lies behind spikes of the step before in a box."""
        found = scaled_box(follow(t, before).box, factors[t : t + 1])
        return Range(found.lower - slack.current, found.upper + slack.current)

    return walked(rule, slack, entering, torch.zeros_like(scaled.lower[0]), steps)
