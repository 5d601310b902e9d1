"""Events that come at another time."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ....models.constants import at_least, settle, unless_none
from ....models.networks import SpikingNetwork
from ....models.validation import check_choice
from ...bounds.events.moved_events import Shifts
from ...bounds.events.parts import Budgets
from ...bounds.signals.windows import Box
from ..base import EventRegion, EventSet, settle_where, uniform
from .retiming import Allowed, Cost, EventThreat, least, priced, within

MERGES, BORDERS = ("or", "add", "refuse"), ("stay", "leave")
FAR = 2**31
"""Further than any event moves."""

MOST_EVENTS = 255
"""Of one entry: as many as a byte of a recording holds."""


@dataclass(frozen=True, eq=False)
class SpikeShift(EventSet, EventThreat):
    """All recordings in which events of x come up to `jitter` steps sooner or later, for inputs (batch, T, ...).

    Of a sample at most `count` events move, and Σ|t' − t| over them is at most `total`. Each event keeps its
    feature. No event comes in from outside.

    Args:
        jitter: Δ ≥ 0, how far an event moves at most, in steps, below T; None: any way.
        count: how many events may move; None: all.
        total: the sum of all moves, in steps; None: any.
        merge: what two events of one entry are: "or": one event (inputs of 0 and 1), "add": two (whole numbers),
            "refuse": not allowed (inputs of 0 and 1): none moves to where another one stays or comes to, as on a
            sensor of capacity 1; where an event went, another may come.
        border: "stay": events stay within the T steps; "leave": they may also move out of them, and are gone; who
            leaves pays the distance to the first step outside.
        where: which events may move: an `EventRegion` or a mask of where they are, or None for all.

    Raises:
        TypeError: for a budget that is no integer, or `where` that is neither.
        ValueError: for a budget below 0, or another merge or border.

    **"refuse" lies within "or".** A member of "refuse" is x after moves within the budgets that no two events end
    in one entry of. The same moves are allowed in "or", where merging changes nothing of an input without two
    events in one entry: so it is a member of "or" too. What is verified for "or" thus holds for "refuse", and its
    enclosure, bounds and proofs are those of "or". ∎

    >>> SpikeShift(1).contains(torch.tensor([[[0.0], [1.0]]]), torch.tensor([[[1.0], [0.0]]]))
    tensor([True])
    """

    jitter: int | None
    count: int | None = None
    total: int | None = None
    merge: str = "or"
    border: str = "stay"
    where: EventRegion | Tensor | None = None

    def __post_init__(self) -> None:
        settle(self, unless_none(at_least(0)), "jitter", "count", "total")
        check_choice("merge", self.merge, MERGES)
        check_choice("border", self.border, BORDERS)
        settle_where(self)

    @property
    def norm(self) -> str:
        """Return "shift"."""
        return "shift"

    @property
    def reach(self) -> int:
        """Return how far one event can move."""
        return min(FAR if budget is None else budget for budget in (self.jitter, self.total))

    @property
    def most(self) -> float:
        """Return how many events can move."""
        known = [budget for budget in (self.count, self.total) if budget is not None]
        return 0 if self.reach == 0 else min(known, default=math.inf)

    def movable(self, inputs: Tensor) -> Tensor:
        """Return how many events of each entry may move, like `inputs`."""
        return inputs * self.allowed(inputs) if self.most and self.reach else torch.zeros_like(inputs)

    def layers(self, inputs: Tensor) -> Tensor:
        """Return the events that may move, each in one of several marks, (layers, batch, T, ...) of bool."""
        return _levels(self.movable(inputs))

    def enclosure(self, inputs: Tensor) -> Box:
        """Return the ends of each entry, cut with the budget of moves; the events alone where none can move.

        A move changes two entries by 1, and k moves to one entry change it by k: an ℓ2 ball of radius √2·k, or of
        √(2k) where events merge, holds every allowed input, too: for whom budgets mean nothing.
        """
        exact = inputs.double()
        return self.enclosed(exact, self.movable(exact))

    def enclosed(self, exact: Tensor, movable: Tensor) -> Box:
        """Return the enclosure of recordings of which `movable` events may move, (batch, T, ...), float64 each."""
        most = min(self.most, float(movable.flatten(1).sum(1).max())) if movable.numel() else 0.0
        if most == 0:
            return Box(exact, exact)
        square = 2 * most**2 if self.merge == "add" else 2 * most
        radius = torch.tensor(math.nextafter(math.sqrt(square), math.inf), dtype=torch.float64)
        low, high = self._ends(exact, movable)
        return Box(low, high, exact, radius.to(exact.device), self._budget(exact, movable))

    def changing(self, sample: Tensor) -> tuple[Tensor, Tensor, Allowed]:
        """Return how many events of one sample may move, which entries may flip, (T, ...) each, and how."""
        reach = min(self.reach, len(sample) if self.border == "leave" else len(sample) - 1)
        allowed = Allowed(reach, self.merge, self.border == "leave", self.count, self.total)
        return self.movable(sample[None])[0], torch.zeros_like(sample, dtype=torch.bool), allowed

    def part(self, exact: Tensor, movable: Tensor, free: Tensor, left: Budgets) -> Box:
        """Return the enclosure of what changes make of recordings, (n, T, ...), within what is left of budgets."""
        events = float(movable.flatten(1).sum(1).amax()) if movable.numel() else 0.0
        count = None if left.moves >= events else left.moves  # what binds nothing makes sums of all events
        total = None if self.jitter is not None and left.steps >= events * self.jitter else left.steps
        return replace(self, total=total, count=count, where=None).enclosed(exact, movable)

    def _ends(self, exact: Tensor, movable: Tensor) -> tuple[Tensor, Tensor]:
        """Return the least and the greatest value of each entry."""
        if self.merge != "add":
            return exact - movable, exact.maximum(_around(movable, self.reach).clamp_max(1.0))
        more = _around(movable, self.reach).clamp_max(self.most)
        return exact - movable.clamp_max(self.most), exact + more

    def _budget(self, exact: Tensor, movable: Tensor) -> Shifts:
        """Return what bounds sums over events; those that can meet another one are marked by themselves."""
        if self.merge == "add":
            marks = tuple(_levels(movable).double().unbind(0))
            meets = (False,) * len(marks)
        else:
            near = _around(exact, self.reach)
            if self.most >= 2:
                near = near + _around(movable, 2 * self.reach)
            marks = movable * (near == 0), movable * (near > 0)
            meets = False, True
        settings = exact.shape[1], min(self.reach, exact.shape[1]), self.count, self.total, self.border == "leave"
        return Shifts(*settings, marks, meets, apart=self.merge == "refuse")

    def offsets(self, inputs: Tensor) -> list[int]:
        """Return all moves of an event of recordings (batch, T, ...), the shortest first."""
        return [sign * step for step in range(1, min(self.reach, inputs.shape[1]) + 1) for sign in (1, -1)]

    def left(self, moves: Tensor) -> Tensor:
        """Return how far events may still move in all once they have moved by `moves`, (batch, n): (batch,)."""
        spent = moves.abs().sum(1).double()
        return torch.full_like(spent, torch.inf if self.total is None else self.total) - spent

    def retimed(self, inputs: Tensor, layers: Tensor, offsets: Tensor) -> Tensor:
        """Return inputs whose events `layers` have moved by `offsets`, integers of the same shape.

        With "refuse" events that may not be where they would come to stay where they are.
        """
        if self.merge == "refuse":
            offsets = kept_apart(inputs, layers[0] * offsets[0])[None]
        steps = inputs.shape[1]
        places = torch.arange(steps, device=inputs.device).view(-1, *([1] * (inputs.dim() - 2))) + offsets
        moving = layers & (offsets != 0)
        arriving = moving & (places >= 0) & (places < steps)
        found = inputs - moving.sum(0).to(inputs)
        for here, place in zip(arriving, places.clamp(0, steps - 1), strict=True):
            found.scatter_add_(1, place, here.to(found))
        return found.clamp_max(1.0) if self.merge == "or" else found

    def project(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return candidates that are allowed; of others, the sample with the moves that they call for most.

        An event is called to where the candidate is greater than where the event is, by more than half.
        """
        layers, steps = self.layers(inputs), self.reach
        if steps == 0 or not bool(layers.any()):
            return inputs.clone()
        values = candidates.nan_to_num(0.0)
        offsets = torch.tensor(self.offsets(inputs), device=inputs.device)
        gains = torch.stack([self.at(values, o) for o in self.offsets(inputs)], -1) - values.unsqueeze(-1)
        best = gains.max(-1)
        calls = torch.where(layers & (best.values > 0.5), best.values, 0.0)
        moved = self.retimed(inputs, layers, self.afforded(calls, offsets[best.indices].expand_as(layers)))
        kept = self.contains(candidates, inputs).view(-1, *([1] * (inputs.dim() - 1)))
        return torch.where(kept, candidates, moved)

    def contains(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Match the events of each feature that differs with those of the candidate; decided exactly.

        Where a feature has too many ways to be matched, the answer is no.
        """
        return torch.tensor(
            [self._holds(*pair) for pair in zip(candidates, inputs, strict=True)],
            dtype=torch.bool,
            device=inputs.device,
        )

    def least(self, candidate: Tensor, sample: Tensor) -> tuple[float, float]:
        """Return how few moves make a sample's candidate, and by how few steps in all; inf for what none make."""
        return least(self._fronts(candidate, sample), self.count, self.total)

    def _holds(self, candidate: Tensor, sample: Tensor) -> bool:
        if not bool(self._whole(candidate).all()):
            return False
        return within(self._fronts(candidate, sample), self.count, self.total)

    def _fronts(self, candidate: Tensor, sample: Tensor) -> list[tuple[Cost, ...]]:
        """Return what the moves of each feature that differs cost."""
        after, before = candidate.flatten(1), sample.flatten(1)
        movable = self.movable(sample[None])[0].flatten(1)
        differ = (after != before).any(0)
        triples = torch.stack([before - movable, movable, after])[..., differ].long().permute(2, 0, 1).tolist()
        allowed = Allowed(self.reach, self.merge, self.border == "leave", None, None)
        return [priced(tuple(a), tuple(b), tuple(c), allowed) for a, b, c in triples]

    def _whole(self, candidate: Tensor) -> Tensor:
        """Return which entries are numbers of events."""
        most = torch.inf if self.merge == "add" else 1.0
        return candidate.isfinite() & (candidate == candidate.floor()) & (candidate >= 0) & (candidate <= most)

    def sample(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Move random events to random steps within reach, as many as the budgets allow."""
        layers, steps = self.layers(inputs), self.reach
        if steps == 0 or not bool(layers.any()):
            return inputs.clone()
        draws = [uniform(layers.double(), generator) for _ in range(2)]
        offsets = torch.tensor(self.offsets(inputs), device=inputs.device)
        chosen = offsets[(draws[0] * len(offsets)).long().clamp_max(len(offsets) - 1)]
        calls = torch.where(layers & self._inside(chosen, inputs), draws[1] + 1e-9, 0.0)
        return self.retimed(inputs, layers, self.afforded(calls, chosen))

    def alone(self) -> "tuple[SpikeShift, ...]":
        """Return the moves of one event."""
        return (self if self.most <= 1 else replace(self, count=1),)

    def check(self, inputs: Tensor) -> None:
        """Raise ValueError unless `inputs` are recordings of more steps than the jitter, and `where` fits one."""
        if inputs.dim() < 3:
            raise ValueError(f"inputs: got shape {tuple(inputs.shape)}, expected recordings (batch, T, ...)")
        if self.jitter is not None and self.jitter >= inputs.shape[1]:
            told = f"expected less than the recordings' {inputs.shape[1]} steps"
            raise ValueError(f"jitter: got {self.jitter}, {told}")
        most = MOST_EVENTS if self.merge == "add" else 1
        other = inputs[(inputs < 0) | (inputs > most) | (inputs != inputs.floor())]
        if len(other):
            expected = f"whole numbers up to {MOST_EVENTS}" if self.merge == "add" else "events of 0 and 1"
            told = f'expected {expected} for SpikeShift with merge "{self.merge}"'
            raise ValueError(f"inputs: got {float(other[0].detach()):g}, {told}")
        self.allowed(inputs)

    def suits(self, network: SpikingNetwork) -> None:
        """Raise ValueError for a network whose inputs are no events over time."""
        if not network.timed:
            told = f'got SpikeShift for encoding "{network.encoding}"'
            raise ValueError(f'perturbation: {told}, expected encoding "none", whose inputs are events over time')

    def _inside(self, offsets: Tensor, inputs: Tensor) -> Tensor:
        """Return which moves the border allows; who leaves goes no further than the first step outside."""
        steps, spare = inputs.shape[1], int(self.border == "leave")
        places = torch.arange(steps, device=inputs.device).view(-1, *([1] * (inputs.dim() - 2))) + offsets
        return (places >= -spare) & (places < steps + spare)

    def at(self, values: Tensor, offset: int) -> Tensor:
        """Return the values `offset` steps later, (batch, T, ...); outside −∞, or 0 for who may leave."""
        steps, spare = values.shape[1], int(self.border == "leave")
        found = torch.full_like(values, -torch.inf)
        places = torch.arange(steps, device=values.device) + offset
        found[:, (places >= -spare) & (places < steps + spare)] = 0.0
        inside = (places >= 0) & (places < steps)
        found[:, inside] = values[:, places[inside]]
        return found

    def afforded(self, calls: Tensor, offsets: Tensor) -> Tensor:
        """Return the offsets of the strongest calls > 0 that the budgets pay for, 0 elsewhere."""
        flat = calls.transpose(0, 1).flatten(1)
        order = flat.sort(dim=1, descending=True, stable=True)
        sizes = offsets.abs().transpose(0, 1).flatten(1).gather(1, order.indices)
        paid = order.values > 0
        if self.count is not None:
            paid &= torch.arange(flat.shape[1], device=flat.device) < self.count
        if self.total is not None:
            paid &= (sizes * paid).cumsum(1) <= self.total
        taken = torch.zeros_like(flat, dtype=torch.bool).scatter(1, order.indices, paid)
        return offsets * taken.view(calls.shape[1], len(calls), *calls.shape[2:]).transpose(0, 1)


def kept_apart(inputs: Tensor, offsets: Tensor) -> Tensor:
    """Return moves of events of 0 and 1, (batch, T, ...), of which no two end in one entry: some, the others 0.

    Where events come to one entry, an event that is there and stays keeps it; else the one that comes the shortest
    way does, the later one of two that come as far. Who may not come stays, which may keep others from coming: at
    most as many rounds as there are events.
    """
    steps = inputs.shape[1]
    places = torch.arange(steps, device=inputs.device).view(-1, *([1] * (inputs.dim() - 2)))
    while True:
        ends = places + offsets
        coming = (offsets != 0) & (ends >= 0) & (ends < steps)
        ends = ends.clamp(0, steps - 1)
        rank = torch.where(coming, 2 * offsets.abs() + (offsets < 0).long(), 2 * FAR)
        best = torch.full_like(rank, 2 * FAR).scatter_reduce(1, ends, rank, "amin")
        best = torch.where((inputs > 0) & (offsets == 0), -1, best)
        refused = coming & (rank != best.gather(1, ends))
        if not bool(refused.any()):
            return offsets
        offsets = offsets.masked_fill(refused, 0)


def _levels(movable: Tensor) -> Tensor:
    """Return the events of `movable`, each in one of several marks, (layers, batch, T, ...) of bool."""
    most = max(1, int(movable.max())) if movable.numel() else 1
    levels = torch.arange(1, most + 1, device=movable.device).view(-1, *([1] * movable.dim()))
    return movable >= levels


def _around(events: Tensor, reach: int) -> Tensor:
    """Return how many events are within `reach` steps of each entry, but not in it, (batch, T, ...)."""
    steps, found = events.shape[1], torch.zeros_like(events)
    for distance in range(1, min(reach, steps - 1) + 1):
        found[:, distance:] += events[:, :-distance]
        found[:, :-distance] += events[:, distance:]
    return found
