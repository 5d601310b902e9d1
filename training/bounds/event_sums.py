"""Ends of sums over time of the first layer's currents when events change: an event counts once.

For weights A[t] ≥ 0 let X_i = Σ_t A[t]·x_i[t]; what a neuron adds up is Σ_i W_i·X_i + b·Σ_t A[t]. Where the
events x become x̃, X_i rises by at most up_i and falls by at most down_i. Those rooms, and one budget for all
steps:

    moves of up to Δ    an event at t gains m⁺(t) = max_{|t'−t|≤Δ} A[t'] − A[t] or loses m⁻(t) = max A[t] − A[t'];
                        up_i = Σ m⁺(t), down_i = Σ m⁻(t) over the feature's events. Where it may leave the steps,
                        or meet another one and merge into it, A[t'] is 0 too ("or": a hull, as in
                        `certify/bounds/events/shifts.py`).
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

import torch
from torch import Tensor

from ...certify.bounds.events.budgets import Budget
from ...certify.bounds.events.flips import Flips
from ...certify.bounds.events.retimings import Retimings
from ...certify.bounds.events.shifts import Shifts
from ...certify.bounds.events.summed import Summed
from ...certify.bounds.signals.affine import behind, fold
from ...certify.bounds.signals.box import Box
from ...models.linear_maps import LinearMap
from .event_ends import entries_met, greatest_changes


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
