"""What training knows of a signal, and how it goes through a circuit: ends that gradients pass through.

The circuit is folded as the verifiers fold it (`certify/bounds/propagation.py`), in the network's own arithmetic
and without slack for rounding: for training, not for proofs. Ends are those of single steps, or of weighted sums
over time; what neurons make of them say `interval_bounds.py`, `prefix_bounds.py` and `interval_bounds.py`.

Ends of sums over time of the first layer's currents when events change: an event counts once.

For weights A[t] ≥ 0 let X_i = Σ_t A[t]·x_i[t]; what a neuron adds up is Σ_i W_i·X_i + b·Σ_t A[t]. Where the
events x become x̃, X_i rises by at most up_i and falls by at most down_i. Those rooms, and one budget for all
steps:

    moves of up to Δ    an event at t gains m⁺(t) = max_{|t'−t|≤Δ} A[t'] − A[t] or loses m⁻(t) = max A[t] − A[t'];
                        up_i = Σ m⁺(t), down_i = Σ m⁻(t) over the feature's events. Where it may leave the steps,
                        or meet another one and merge into it, A[t'] is 0 too ("or": a hull, as in
                        `certify/bounds/events/moved_events.py`).
    flips               up_i = Σ A[t] over entries that may come, down_i over those that may go.

Let u_i be how far X_i goes in the direction of W_i's sign. Each change moves one X_i by at most g, the greatest of
these single gains, so k changes in all give Σ_i u_i ≤ k·g, and with u_i ≤ room_i

    the sum rises by at most max Σ_i |W_i|·u_i,

which is `greatest_changes`. Where all events may move it is Σ_i |W_i|·room_i. Where events move and flip, both
rises add up: one is that of the moved recording, the other that from there. ∎

**Exact where** gains are 0 or 1, as those of prefix sums (A = 1 up to t, 0 behind), and events do not merge: the k
greatest |W_i| are taken, one an event. And never more is granted than by the ends of steps:

**Never wider than steps.** With the entries' ends x − f[t] ≤ x̃[t] ≤ x + r[t] rooms are also at most Σ_t A[t]·r[t]
and Σ_t A[t]·f[t], and are cut to these. For A of 0 and 1 the u above, Σ_i u_i ≤ k and u_i ≤ Σ_t A[t]·r_i[t], is a
sum over steps of parts u_i[t] ≤ r_i[t] with Σ_i u_i[t] ≤ k each: what the ends of steps grant together. For both
moves and flips the joint rooms with the sum of both budgets are a bound, too, and the lesser one is taken. ∎

Budgets may be taken in part, as training raises them: a share of k where there is one, of the rooms elsewhere.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import ClassVar

import torch
from torch import Tensor

from ...certify.bounds.events.flips import Budget, Flips
from ...certify.bounds.events.moved_events import Retimings, Shifts
from ...certify.bounds.events.summed import Summed
from ...certify.bounds.signals.affine import behind, fold
from ...certify.bounds.signals.windows import Box
from ...certify.bounds.trains.train_table import TableTrains, gains, trains_between
from ...models.circuit import Algebra, Circuit, nodes
from ...models.dynamics import Dynamics
from ...models.linear_maps import LinearMap
from ...models.rules import plain
from ...models.running.encoding import MEANS
from .spike_ends import EventBall, entries_met, events_behind, fire, greatest_changes, through


@dataclass(frozen=True)
class Rooms:
    """How far Σ_t rows[k,t]·x[t] may rise and fall, entry by entry, and all entries together.

    Attributes:
        up, down: (k, batch, ...), ≥ 0.
        most: of their sum over the entries, (k,); inf where only each entry has a limit.
    """

    up: Tensor
    down: Tensor
    most: Tensor

    def moved(self, change: Callable[[Tensor], Tensor]) -> "Rooms":
        """Return the rooms with their entries renamed."""
        return replace(self, up=change(self.up), down=change(self.down))

    def behind(self, layer: LinearMap) -> Box:
        """Return −fall and rise of the sums of W·x, (k, batch, ...)."""
        met = entries_met(layer)
        if met is None or bool(self.most.isinf().all()):
            found = behind(layer.linear, layer.absolute().linear, Box(-self.down, self.up).spread)
            return Box((found.middle - found.radius).to(self.up), (found.middle + found.radius).to(self.up))
        weight, entries = met
        up, down = (entries(room.flatten(0, 1)) for room in (self.up, self.down))
        each = self.most.to(self.up).repeat_interleave(self.up.shape[1])
        rise, fall = greatest_changes(weight, up, down, each)
        shape = fold(layer.linear, self.up).shape
        return Box(-fall.reshape(shape), rise.reshape(shape))


@dataclass(frozen=True)
class EventSums:
    """What is known of weighted sums over time of all recordings of a set.

    Attributes:
        rows: the weights, (k, T).
        choices: each a bound by itself: the sum of what its rooms grant.
    """

    rows: Tensor
    choices: tuple[tuple[Rooms, ...], ...]

    @staticmethod
    def of(rows: Tensor, events: Tensor, ends: Box, share: float) -> "EventSums":
        """Return the rooms of the sums.

        Args:
            rows: (k, T), ≥ 0.
            events: x, (T, batch, ...).
            ends: of each entry, with the budget of changes, as a threat model encloses x; time first.
            share: of the budget, or of the rooms where it has no limit.
        """
        rows = rows.to(events)
        up, down = (ends.upper.to(events) - events, events - ends.lower.to(events))
        steps = Rooms(_summed(rows, up), _summed(rows, down), torch.full((len(rows),), torch.inf))
        if ends.budget is None:
            return EventSums(rows, ((_shared(steps, share),),))
        parts = tuple(_cut(part, steps) for part in _rooms(rows, ends.budget, events))
        choices = [tuple(_shared(part, share) for part in parts)]
        if len(parts) > 1:
            joint = replace(steps, most=torch.stack([part.most for part in parts]).sum(0))
            choices.append((_shared(joint, share),))
        return EventSums(rows, tuple(choices))

    def moved(self, change: Callable[[Tensor], Tensor]) -> "EventSums":
        """Return the sums with their entries renamed."""
        renamed = (tuple(rooms.moved(change) for rooms in parts) for parts in self.choices)
        return replace(self, choices=tuple(renamed))

    def behind(self, layer: LinearMap) -> Box:
        """Return −fall and rise of the sums of the layer's outputs, (k, batch, ...)."""
        found = [[rooms.behind(layer) for rooms in parts] for parts in self.choices]
        sums = [Box(sum(p.lower for p in parts), sum(p.upper for p in parts)) for parts in found]  # pyright: ignore[reportArgumentType]
        least = sums[0]
        for other in sums[1:]:
            least = least.intersection(other)
        return least


def _summed(rows: Tensor, steps: Tensor) -> Tensor:
    return torch.einsum("kt,t...->k...", rows, steps)


def _cut(part: Rooms, steps: Rooms) -> Rooms:
    return replace(part, up=part.up.minimum(steps.up), down=part.down.minimum(steps.down))


def _shared(part: Rooms, share: float) -> Rooms:
    """Return a share of the budget, or of the rooms where there is none."""
    if bool(part.most.isinf().all()):
        return part.moved(lambda room: share * room)
    return replace(part, most=share * part.most)


def _rooms(rows: Tensor, budget: Budget, like: Tensor) -> tuple[Rooms, ...]:
    """Return the rooms of each of a budget's parts."""
    if isinstance(budget, Summed):
        return (*_rooms(rows, budget.shifts, like), *_rooms(rows, budget.flips, like))
    if isinstance(budget, Flips):
        return (_of_flips(rows, budget, like),)
    assert isinstance(budget, Shifts)
    return (_of_moves(rows, budget, like),)


def _of_flips(rows: Tensor, flips: Flips, like: Tensor) -> Rooms:
    ways = [way.to(like) for way in (flips.direction, flips.other) if way is not None]
    up, down = (_summed(rows, torch.stack([(s * way).clamp_min(0) for way in ways]).sum(0)) for s in (1.0, -1.0))
    return Rooms(up, down, flips.count * rows.amax(1))


def _of_moves(rows: Tensor, shifts: Shifts, like: Tensor) -> Rooms:
    """Return the rooms of moves; a move of several steps counts as one of the budget of steps."""
    up = down = like.new_zeros(len(rows), *like.shape[1:])
    most = rows.new_zeros(len(rows))
    for marks, meets in zip(shifts.events, shifts.meets, strict=True):
        higher, lower = (
            Retimings.of(sign * rows, shifts.jitter, shifts.leaves, meets).gains[..., -1] for sign in (1.0, -1.0)
        )
        up, down = up + _summed(higher, marks.to(like)), down + _summed(lower, marks.to(like))
        most = torch.stack((most, higher.amax(1), lower.amax(1))).amax(0)
    budget = min(math.inf if limit is None else limit for limit in (shifts.count, shifts.most))
    return Rooms(up, down, most * budget if budget < math.inf else torch.full_like(most, torch.inf))


@dataclass(frozen=True)
class Ends:
    """Ends of a signal.

    Attributes:
        box: of its steps, (T, batch, ...), or of the sums that are followed; (1, batch, ...) if it is constant.
        known: gives the ends of its mean over time, where there are narrower ones than those of the steps' means.
        ball: what else is known of events that enter the first layer; the box is then that of steps.
        sums: what is known of their sums over time, where those are followed.
        filtered: currents, (T, batch, ...), whose sums, as neurons that forget add them up, hold those of the
            signal, where there are narrower ones than those of the steps.
    """

    box: Box
    known: Callable[[], Box] | None = None
    ball: EventBall | None = None
    sums: EventSums | None = None
    filtered: Box | None = None

    @property
    def constant(self) -> bool:
        """Return whether the signal is the same at each step, or there is but one step."""
        return len(self.box.lower) == 1

    def mean(self) -> Box:
        """Return the ends of the mean over time, (1, batch, ...)."""
        if self.known is not None:
            return self.known()
        return self.box if self.constant else each(self.box, lambda end: end.mean(0, keepdim=True))


@dataclass(frozen=True)
class Followed(Algebra[Ends]):
    """The ends of each signal of a circuit: all but what neurons make of them.

    Attributes:
        source: the input's.
        num_steps: T.
    """

    reader: ClassVar[str] = "the bounds of training"

    source: Ends
    num_steps: int

    @property
    def rows(self) -> Tensor | None:
        """Return the weights ≥ 0 of the sums over time that are followed, (R, T); None where steps are."""
        return None

    def of_steps(self, box: Box) -> Ends:
        """Return what is followed of a signal whose steps are known."""
        return Ends(box)

    def steps(self, x: Ends) -> Box:
        """Return the ends of a signal's steps, (1 or T, batch, ...)."""
        return x.box

    def input(self, node: nodes.Input) -> Ends:
        """Return the ends of the input."""
        ball, rows = self.source.ball, self.rows
        if ball is None:
            return self.source if self.source.constant else self.of_steps(self.source.box)
        sums = (
            None if rows is None or ball.ends is None else EventSums.of(rows, ball.events, ball.ends, ball.share)
        )
        return replace(self.source, sums=sums)

    def mapped(self, node: nodes.Mapped, x: Ends) -> Ends:
        """Return the ends behind an affine map."""
        if x.ball is not None:
            return self.of_events(node.map, x, x.ball)
        mean = None if x.known is None else cache(lambda: through(node.map, x.mean()))
        return Ends(through(node.map, x.box), mean)

    def of_events(self, layer: LinearMap, x: Ends, ball: EventBall) -> Ends:
        """Return the ends behind a layer that reads changed events."""
        if x.sums is not None and not layer.reshapes:
            return self.of_sums(layer, x.sums.behind(layer), x, ball)
        box, ball_behind = events_behind(layer, x.box, ball)
        if ball_behind is None:
            return self.of_steps(box)
        return Ends(box, ball=ball_behind, sums=x.sums and x.sums.moved(partial(fold, layer.apply)))

    def of_sums(self, layer: LinearMap, reach: Box, x: Ends, ball: EventBall) -> Ends:
        """Return the ends behind a layer, for how far each of `rows` may fall and rise, (R, batch, ...)."""
        raise NotImplementedError

    def pooled(self, node: nodes.Pooled, x: Ends) -> Ends:
        """Return the maxima of the ends of steps; a maximum of sums is no sum of maxima."""
        found = each(self.steps(x), lambda end: fold(node.windows.largest, end))
        return Ends(found) if x.constant else self.of_steps(found)

    def filtered(self, node: nodes.Filtered, x: Ends) -> Ends:
        """Return the filtered ends of steps: no weight of a filter is below 0."""
        run, start = node.filter.run, node.filter.start
        return self.of_steps(each(self.steps(x), lambda end: run(end, start(end), self.num_steps)[0]))

    def chosen(self, node: nodes.Chosen, *x: Ends) -> Ends:
        """Return the ends of each step, of its own signal."""
        boxes = [(t, self.steps(each)) for t, each in enumerate(x)]
        ends = [(box.lower[t % len(box.lower)], box.upper[t % len(box.upper)]) for t, box in boxes]
        lower, upper = (torch.stack(end) for end in zip(*ends, strict=True))
        return self.of_steps(Box(lower, upper))

    def added(self, node: nodes.Added, x: Ends, y: Ends) -> Ends:
        """Return the sum."""
        mean = None if x.known is None and y.known is None else cache(lambda: x.mean() + y.mean())
        return Ends(x.box + y.box, mean)

    def read(self, node: nodes.Read, x: Ends) -> Ends:
        """Return what the readout reads, (1, batch, ...): a mean over time."""
        return Ends(x.mean())


def each(box: Box, function: Callable[[Tensor], Tensor]) -> Box:
    """Return what a function that keeps the order makes of both ends."""
    return Box(function(box.lower), function(box.upper))


def check_sums(bounds: str, reset: str, made: Circuit, front: frozenset[nodes.Node] = frozenset()) -> None:
    """Raise ValueError for what bounds of sums over time do not reach.

    Args:
        bounds: how they are called.
        reset: what their neurons do.
        made: the circuit.
        front: neurons that may do anything.
    """
    if made.read.readout not in (*MEANS, "potential"):
        told = f'readout {made.read.readout!r}, expected a mean or "potential"'
        raise ValueError(f'bounds: got "{bounds}" and {told}')
    for node in (each for each in made.nodes if each not in front):
        rule = node.rule if isinstance(node, nodes.Fired | nodes.Recurred | nodes.Read) else None
        scaled = plain(rule) and rule.scale is not None
        if isinstance(node, nodes.Read) and scaled:
            raise ValueError(f'bounds: got "{bounds}" and a potential with an input scale, expected none')
        if isinstance(node, nodes.Fired | nodes.Recurred) and plain(rule) and (scaled or rule.reset != reset):
            told = f"a {rule.reset!r} reset" + " and an input scale" * scaled
            wanted = {"zero": "to reset to 0", "subtract": "to subtract"}[reset]
            raise ValueError(f'bounds: got "{bounds}" for {node.name}, {told}, expected {wanted}, and no scale')


def periodic_trains(currents: Box, dynamics: Dynamics, num_steps: int) -> TableTrains:
    """Return the exact trains of a hard reset under constant currents, (1, batch, ...): those from end to end.

    The first spike is at the least k with α_k·I ≥ θ, α_k = Σ_{i<k} λ^i, and the train repeats. k does not grow
    with I.
    """
    first, last = (
        torch.stack([fire(gain * end[0].detach(), dynamics) for gain in gains(dynamics.decay, num_steps)]).sum(0)
        for end in (currents.lower, currents.upper)
    )
    return trains_between(first.long(), last.long(), num_steps, currents.lower)
