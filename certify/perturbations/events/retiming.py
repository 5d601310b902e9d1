"""What it costs to retime one feature's events, and all ways to retime those of a sample."""

import itertools
import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import le

import torch
from torch import Tensor

from ...bounds.events.parts import Budgets, Parts, Piece, RankedChanges, Way, spread
from ...bounds.signals.windows import Box
from ..base import ChangedMembers, MemberChanges, Perturbation

Train = tuple[int, ...]
Cost = tuple[int, int]
"""How many events moved, and by how many steps in all."""

MOST_STATES = 2**16
"""What may become of a feature's events that are changed together."""

MOST_WAYS = 2**22
"""In how many ways single changes may happen of sets that are listed, or split."""

MOST_TOLD = 2**17
"""And in how many those of features that are not alike: so many are made one by one."""


@lru_cache(maxsize=2**16)
def priced(fixed: Train, movable: Train, after: Train, allowed: "Allowed") -> tuple[Cost, ...]:
    """Return the least costs, none of them below another, of turning a feature's events into `after`.

    None: it can't be done, or there are too many ways.
    """
    try:
        return reached(fixed, movable, allowed, after).get(after, ())
    except OverflowError:
        return ()


def within(fronts: Sequence[tuple[Cost, ...]], count: int | None, total: int | None) -> bool:
    """Return whether one cost of each feature can be chosen such that their sums are within both budgets."""
    return bool(_affordable(_summed(fronts, count is not None, total is not None), count, total))


def least(fronts: Sequence[tuple[Cost, ...]], count: int | None, total: int | None) -> tuple[float, float]:
    """Return how few events move, and by how few steps in all, within both budgets; inf where nothing is."""
    found = _affordable(_summed(fronts, True, True), count, total)
    moved, steps = (min((cost[place] for cost in found), default=math.inf) for place in (0, 1))
    return moved, steps


def _summed(fronts: Sequence[tuple[Cost, ...]], counted: bool, measured: bool) -> tuple[Cost, ...]:
    """Return the least sums of one cost of each feature; what is not looked at is 0."""
    known: tuple[Cost, ...] = ((0, 0),)
    for costs in fronts:
        sums = {(one + other, steps + more) for one, steps in known for other, more in costs}
        known = front({(one * counted, steps * measured) for one, steps in sums})
    return known


def _affordable(costs: Sequence[Cost], count: int | None, total: int | None) -> list[Cost]:
    return [
        (moved, steps)
        for moved, steps in costs
        if (count is None or moved <= count) and (total is None or steps <= total)
    ]


def places(step: int, steps: int, reach: int, leaves: bool) -> tuple[tuple[int, int], ...]:
    """Return where an event may be, and how far that is: its own step first, −1 for outside last."""
    ahead = [(place, abs(place - step)) for place in range(max(0, step - reach), min(steps, step + reach + 1))]
    outside = min(step + 1, steps - step)
    own = [(step, 0)]
    return tuple(own + [place for place in ahead if place[1]] + [(-1, outside)] * (leaves and outside <= reach))


def dearer(costs: tuple[Cost, ...], distance: int) -> set[Cost]:
    return {(moved + (distance > 0), steps + distance) for moved, steps in costs}


def front(costs: set[Cost]) -> tuple[Cost, ...]:
    """Return the costs that none other undercuts in both."""
    found: list[Cost] = []
    for moved, steps in sorted(costs):
        if not found or steps < found[-1][1]:
            found.append((moved, steps))
    return tuple(found)


@dataclass(frozen=True)
class Allowed:
    """What may become of events: see `SpikeShift` and `SpikeFlip`; of no moves `reach` is 0."""

    reach: int = 0
    merge: str = "or"
    leaves: bool = False
    count: int | None = 0
    total: int | None = 0
    kind: str = "flip"
    flips: int = 0

    @property
    def several(self) -> bool:
        """Return whether more than one event may move."""
        return all(budget is None or budget > 1 for budget in (self.count, self.total))

    def flippable(self, value: float) -> bool:
        """Return whether such an entry may flip."""
        return self.kind == "flip" or value == (self.kind == "delete")


def reached(
    fixed: Train, movable: Train, allowed: Allowed, goal: Train | None = None
) -> dict[Train, tuple[Cost, ...]]:
    """Return each train that moves make of one feature's events, with its least costs.

    Args:
        fixed, movable: events at each step.
        allowed: how they may move.
        goal: what has no more events of a step than this; None: any train.

    Raises:
        OverflowError: where there are too many.
    """
    states: dict[Train, tuple[Cost, ...]] = {fixed: ((0, 0),)}
    most = (math.inf if allowed.merge == "add" else 1,) * len(fixed) if goal is None else goal
    for step in itertools.chain.from_iterable([step] * many for step, many in enumerate(movable)):
        found: dict[Train, set[Cost]] = {}
        for state, costs in states.items():
            for place, distance in places(step, len(fixed), allowed.reach, allowed.leaves):
                here = 1 if allowed.merge == "or" else state[place] + 1
                if place >= 0 and here > most[place]:
                    continue
                after = state if place < 0 else (*state[:place], here, *state[place + 1 :])
                if paid := _affordable(tuple(dearer(costs, distance)), allowed.count, allowed.total):
                    found.setdefault(after, set()).update(paid)
        if len(found) > MOST_STATES:
            raise OverflowError(f"a feature's events make more than {MOST_STATES} trains")
        states = {state: front(costs) for state, costs in found.items()}
    return states


@lru_cache(maxsize=2**12)
def pieces(train: Train, movable: Train, free: Train, allowed: Allowed) -> tuple[tuple[Piece, ...], Train]:
    """Return what may become of a feature's events, in pieces that do not hang together, and their steps, marked.

    Events that may come to one entry are one piece, with all that may flip where they may come; where events add
    up, each is one.

    Args:
        train: events at each step.
        movable: how many of them may move.
        free: which entries may flip, if what they are then lets them.
        allowed: how.

    Raises:
        OverflowError: where there are too many ways.
    """
    fixed = tuple(have - moves for have, moves in zip(train, movable, strict=True))
    inside, found = set[int](), list[Piece]()
    for events in _together(movable, allowed):
        span = range(max(0, events[0] - allowed.reach), min(len(train), events[-1] + allowed.reach + 1))
        inside.update(span)
        around = slice(span.start, span.stop)  # who may leave is as near to an end of it as to one of all steps
        still = (0,) * len(span) if allowed.merge == "add" else fixed[around]
        moving = tuple(int(step in events) for step in span)
        found.append(_later(_piece(still, moving, free[around], allowed), span.start))
    return tuple(found), tuple(int(step in inside) for step in range(len(train)))


@lru_cache(maxsize=2**16)
def _later(piece: Piece, start: int) -> Piece:
    """Return a piece `start` steps later."""
    moves = tuple((step + start, meets) for step, meets in piece.moves)
    flips = tuple((step + start, goes) for step, goes in piece.flips)
    ways = ((cost, tuple((step + start, by) for step, by in entries)) for cost, entries in piece.ways)
    return Piece(moves, flips, tuple(ways))


def _flip(step: int, goes: float) -> Piece:
    """Return the flip of an entry of which an event goes, or −1."""
    return Piece((), ((step, goes),), ((Budgets(0, 0, 1), ((step, -goes),)),))


def _together(movable: Train, allowed: Allowed) -> list[tuple[int, ...]]:
    """Return the steps of the events of each piece."""
    if allowed.reach == 0:
        return []
    found, adds = list[tuple[int, ...]](), allowed.merge == "add"
    for step in itertools.chain.from_iterable([step] * many for step, many in enumerate(movable)):
        if found and not adds and step - found[-1][-1] <= 2 * allowed.reach:
            found[-1] = (*found[-1], step)
        else:
            found.append((step,))
    return found


@lru_cache(maxsize=2**12)
def _piece(fixed: Train, moving: Train, free: Train, allowed: Allowed) -> Piece:
    """Return what may become of some events, with entries around that may flip."""
    before = tuple(map(max, fixed, moving))
    found: dict[Train, set[Budgets]] = {before: {Budgets(0, 0, 0)}}
    for train, costs in reached(fixed, moving, allowed).items():
        flips = [step for step, event in enumerate(train) if free[step] and allowed.flippable(event)]
        for many in range(min(allowed.flips, len(flips)) + 1):
            for chosen in itertools.combinations(flips, many):
                after = tuple(1 - event if step in chosen else event for step, event in enumerate(train))
                found.setdefault(after, set()).update(Budgets(*cost, many) for cost in costs)
            if len(found) > MOST_STATES:
                raise OverflowError(f"a feature's events make more than {MOST_STATES} trains")
    ways = tuple(
        _way(before, after, cost) for after, costs in found.items() for cost in _least(costs) if any(cost)
    )
    events = [step for step, event in enumerate(moving) if event]
    moves = tuple((step, _meets(step, fixed, moving, allowed)) for step in events)
    steps = [step for step, open_here in enumerate(free) if open_here and allowed.flips]
    lost = [(step, 1.0) for step in steps if allowed.kind != "insert"]
    won = [(step, -1.0) for step in steps if allowed.kind != "delete" and not fixed[step]]
    return Piece(moves, (*lost, *won), ways)


def _way(before: Train, after: Train, cost: Budgets) -> Way:
    steps = (step for step in range(len(before)) if before[step] != after[step])
    return cost, tuple((step, float(after[step] - before[step])) for step in steps)


def _least(costs: set[Budgets]) -> list[Budgets]:
    """Return the costs that no other one undercuts."""
    return [cost for cost in costs if not any(all(map(le, other, cost)) for other in costs - {cost})]


def _meets(step: int, fixed: Train, moving: Train, allowed: Allowed) -> bool:
    """Return whether an event can meet another one and be merged into it."""
    if allowed.merge != "or":
        return False
    near = [abs(step - other) for other, event in enumerate(moving) if event and other != step]
    near += [abs(step - other) * (1 + allowed.several) for other, event in enumerate(fixed) if event]
    return min(near, default=math.inf) <= allowed.reach * (1 + allowed.several)


class EventThreat(Perturbation):
    """A set of changed events."""

    @abstractmethod
    def changing(self, sample: Tensor) -> tuple[Tensor, Tensor, Allowed]:
        """Return how many events of one sample may move, which entries may flip, (T, ...) each, and how."""

    @abstractmethod
    def part(self, exact: Tensor, movable: Tensor, free: Tensor, left: Budgets) -> Box:
        """Return the enclosure of what changes make of recordings, (n, T, ...), within what is left of budgets."""

    def members(self, sample: Tensor) -> ChangedMembers:
        """Return all recordings that changes make, few changes first.

        Each is listed once, but where events add up, and where one is made in ways that take other budgets.

        Raises:
            OverflowError: where there are too many ways to make them.
        """
        order = torch.arange(sample[0].numel(), device=sample.device)
        ranked, whole = ranked_changes(self, sample, order)

        def changes(size: int) -> Iterator[MemberChanges]:
            """Yield what members change."""
            return (MemberChanges(*ranked.entries(parts)) for parts in ranked.choices(whole, size))

        free = torch.zeros_like(order, dtype=torch.bool).index_fill_(0, ranked.features.flatten(), True)
        return ChangedMembers.of(ranked.number(whole), sample, changes, free)


def ranked_changes(threat: EventThreat, sample: Tensor, order: Tensor) -> tuple[RankedChanges, Parts]:
    """Return the changes of one sample, (T, ...), and the part that is the set.

    Args:
        threat: the set.
        sample: the recording.
        order: its features, flat, those whose changes rank first in front.

    Raises:
        OverflowError: where there are too many ways to make them.
    """
    movable, free, allowed = threat.changing(sample)
    train, *marks = (part.reshape(len(sample), -1).to(sample) for part in (sample, movable, free))
    moving = marks[0].any(0).nonzero().flatten()
    kinds, kind = torch.cat([train, *marks])[:, moving].long().unique(dim=1, return_inverse=True)
    each, told = list[tuple[tuple[Piece, ...], Train]](), 0
    for one in kinds.T.view(-1, 3, len(train)).tolist():
        each.append(pieces(*map(tuple, one), allowed))
        told += sum(len(piece.ways) for piece in each[-1][0])
        if told > MOST_TOLD:
            raise OverflowError(f"events change together in more than {MOST_TOLD} ways")
    change, flat = spread([len(some) for some, _ in each], kind)
    every = [piece for some, _ in each for piece in some]
    alone = (marks[1] > 0) & (
        (train == 0) & (allowed.kind != "delete") | (train == 1) & (allowed.kind != "insert")
    )
    inside = torch.tensor([own for _, own in each], dtype=torch.bool).view(-1, len(train)).to(alone.device)
    alone[:, moving] &= ~inside[kind].T
    steps, single = alone.nonzero(as_tuple=True)
    flat = torch.cat([flat, len(every) + 2 * steps + train[steps, single].long()])
    every += [_flip(step, goes) for step in range(len(train)) for goes in (-1.0, 1.0)]
    features = torch.cat([moving[change], single])
    rank = order.argsort()[features].argsort(stable=True)
    features, flat = features[rank], flat[rank]
    ways = torch.tensor([len(piece.ways) for piece in every]).long().to(flat.device)
    if int(ways[flat].sum()) > MOST_WAYS:
        raise OverflowError(f"events change in more than {MOST_WAYS} ways")
    held = train.double().abs()
    reach = held.sum(0) if allowed.merge == "add" else held.amax(0)
    most = reach.index_fill(0, features, 1.0).maximum(reach).view(sample.shape[1:])
    found = RankedChanges.of(sample[None], every, features, flat, most, allowed.reach, allowed.leaves)
    return found, found.whole((allowed.count, allowed.total, allowed.flips))
