"""Events that move, and events that come and go: both at once.

What it costs to turn one feature's events into others by moves and flips.

Flipped events.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from ....models.constants import at_least, settle
from ....models.networks import SpikingNetwork
from ....models.validation import check_choice
from ...bounds.events.flips import Flips
from ...bounds.events.moved_events import Shifts
from ...bounds.events.parts import Budgets
from ...bounds.events.summed import Summed
from ...bounds.signals.windows import Box
from ..base import (
    EventRegion,
    EventSet,
    Perturbation,
    settle_where,
    uniform,
)
from .retiming import Allowed, EventThreat, Train, reached
from .spike_shift import SpikeShift

KINDS = ("flip", "insert", "delete")


@dataclass(frozen=True, eq=False)
class SpikeFlip(EventSet, EventThreat):
    """{x̃ ∈ {0,1}ⁿ : x̃ differs from x in at most `count` entries}, for event inputs (batch, T, ...) of 0 and 1.

    A flip inserts an event where there was none, or deletes one.

    Args:
        count: the budget of flips per sample, over all steps and features, ≥ 0.
        kind: "flip": both; "insert" or "delete": one of them only.
        where: which entries may change: an `EventRegion`, a mask with the shape of one sample, or None for all.

    Raises:
        TypeError: for a count that is no integer, or `where` that is neither.
        ValueError: for a count below 0, or another kind.

    >>> SpikeFlip(1).contains(torch.tensor([[[1.0], [1.0]]]), torch.tensor([[[1.0], [0.0]]]))
    tensor([True])
    """

    count: int
    kind: str = "flip"
    where: EventRegion | Tensor | None = None

    def __post_init__(self) -> None:
        settle(self, at_least(0), "count")
        check_choice("kind", self.kind, KINDS)
        settle_where(self)

    def free(self, inputs: Tensor) -> Tensor:
        """Return which entries may flip, shaped like `inputs`, of bool."""
        return self.flippable(inputs) & self.allowed(inputs)

    def flippable(self, values: Tensor) -> Tensor:
        """Return which entries may flip that hold such values, if flips may be where they are."""
        kinds = {"flip": torch.ones_like(values, dtype=torch.bool), "insert": values == 0, "delete": values == 1}
        return kinds[self.kind]

    @property
    def norm(self) -> str:
        """Return "l0"."""
        return "l0"

    def enclosure(self, inputs: Tensor) -> Box:
        """Return what entries may be, cut with the budget of flips; the events alone for count 0.

        k flips move an input by √k in ℓ2, so a ball holds every allowed input too: for whom budgets mean nothing.
        """
        exact = inputs.double()
        return self.enclosed(exact, self.free(exact))

    def enclosed(self, exact: Tensor, free: Tensor) -> Box:
        """Return the enclosure of recordings, (batch, T, ...) of float64, of which entries `free` may flip."""
        if self.count == 0:
            return Box(exact, exact)
        radius = torch.tensor(math.nextafter(math.sqrt(self.count), math.inf), dtype=torch.float64)
        flips = Flips(self.count, torch.where(free, 1.0 - 2.0 * exact, 0.0))
        low, high = exact.masked_fill(free, 0.0), exact.masked_fill(free, 1.0)
        return Box(low, high, exact, radius.to(exact.device), flips)

    def changing(self, sample: Tensor) -> tuple[Tensor, Tensor, Allowed]:
        """Return how many events of one sample may move, which entries may flip, (T, ...) each, and how."""
        free = self.allowed(sample[None]).expand(sample.shape)
        return torch.zeros_like(sample), free, Allowed(kind=self.kind, flips=self.count)

    def part(self, exact: Tensor, movable: Tensor, free: Tensor, left: Budgets) -> Box:
        """Return the enclosure of what changes make of recordings, (n, T, ...), within what is left of budgets."""
        return replace(self, count=left.flips).enclosed(exact, free)

    def project(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return the nearest allowed input: flip what moves over half of the way, the `count` furthest only."""
        change = ((candidates - inputs) * (1.0 - 2.0 * inputs)).nan_to_num(0.0)
        change = change.masked_fill(~self.free(inputs), 0.0).flatten(1)
        greatest = change.topk(min(self.count, change.shape[1]), dim=1)
        flips = torch.zeros_like(change).scatter(1, greatest.indices, (greatest.values > 0.5).to(change.dtype))
        return flipped(inputs, flips.reshape(inputs.shape) > 0)

    def contains(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Count the entries that differ, all of which must be open."""
        binary = ((candidates == 0) | (candidates == 1)).flatten(1).all(1)
        differ = candidates != inputs
        barred = (differ & ~self.free(inputs)).flatten(1).any(1)
        return binary & ~barred & (differ.flatten(1).sum(1) <= self.count)

    def sample(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Flip `count` random entries that are open (all of them, where there are fewer)."""
        free = self.free(inputs)
        order = uniform(inputs, generator).masked_fill(~free, 2.0).flatten(1).argsort(1)
        flips = order.argsort(1) < self.count
        return flipped(inputs, flips.reshape(inputs.shape) & free)

    def alone(self) -> "tuple[SpikeFlip, ...]":
        """Return the flips of one entry."""
        return (replace(self, count=min(self.count, 1)),)

    def check(self, inputs: Tensor) -> None:
        """Raise ValueError unless every entry of `inputs` is 0 or 1, and `where` fits a sample."""
        other = inputs[(inputs != 0) & (inputs != 1)]
        if len(other):
            raise ValueError(f"inputs: got {float(other[0].detach()):g}, expected events of 0 and 1 for SpikeFlip")
        self.allowed(inputs)


def flipped(inputs: Tensor, where: Tensor) -> Tensor:
    """Return `inputs` with the chosen entries flipped."""
    return torch.where(where, 1.0 - inputs, inputs)


@lru_cache(maxsize=2**16)
def mixed(
    fixed: Train, movable: Train, after: Train, inserts: Train, deletes: Train, reach: int, leaves: bool
) -> frozenset[tuple[int, int, int]]:
    """Return (flips, moves, steps) of each way to make `after`; none: there is no way, or there are too many.

    Args:
        fixed, movable: events at each step, 0 or 1.
        after: events afterwards.
        inserts, deletes: where what events became may gain and lose one.
        reach: how far an event may move.
        leaves: whether events may move out of the steps.
    """
    found: set[tuple[int, int, int]] = set()
    try:
        trains = reached(fixed, movable, Allowed(reach, "or", leaves, None, None))
    except OverflowError:
        return frozenset()
    for train, costs in trains.items():
        changes = list(zip(train, after, inserts, deletes, strict=True))
        if all(one == other or (gains if other else loses) for one, other, gains, loses in changes):
            flips = sum(one != other for one, other, _, _ in changes)
            found |= {(flips, moved, steps) for moved, steps in costs}
    return frozenset(found)


@dataclass(frozen=True)
class EventChange(EventThreat):
    """{x̃ : x̃ ∈ flips(y) for a y ∈ shifts(x)}: events move first, and then entries of what they became flip.

    Args:
        flips: how many entries change, of which kind and where; what may be inserted or deleted is judged by y.
        shifts: how events move, merge "or".

    Raises:
        TypeError: for other sets.
        ValueError: for shifts whose events add up, which no flip is meant for.

    >>> both = EventChange(SpikeFlip(1, "delete"), SpikeShift(1, count=1))
    >>> both.contains(torch.tensor([[[0.0], [1.0], [0.0]]]), torch.tensor([[[1.0], [0.0], [1.0]]]))
    tensor([True])
    """

    flips: SpikeFlip
    shifts: SpikeShift

    def __post_init__(self) -> None:
        for name, kind in (("flips", SpikeFlip), ("shifts", SpikeShift)):
            if type(getattr(self, name)) is not kind:
                got = type(getattr(self, name)).__name__
                raise TypeError(f"{name}: got {got}, expected a {kind.__name__}")
        if self.shifts.merge != "or":
            raise ValueError(f"shifts: got merge {self.shifts.merge!r}, expected 'or': flips are of 0 and 1")

    @property
    def norm(self) -> str:
        """Return "l0+shift"."""
        return "l0+shift"

    def enclosure(self, inputs: Tensor) -> Box:
        """Return the ends of each entry, cut with both budgets; that of one set where the other leaves all as is.

        ‖x̃ − x‖₂ ≤ ‖y − x‖₂ + ‖x̃ − y‖₂ ≤ the sum of both radii.
        """
        exact = inputs.double()
        free = self.flips.allowed(exact).expand(exact.shape)
        return self._enclosed(self.shifts.enclosure(exact), free)

    def _enclosed(self, moved: Box, free: Tensor) -> Box:
        """Return the enclosure of flips, of entries `free`, of what is moved."""
        exact, shifts = moved.lower if moved.center is None else moved.center, moved.budget
        if not isinstance(shifts, Shifts) or moved.ball is None:
            return self.flips.enclosed(exact, self.flips.flippable(exact) & free)
        if self.flips.count == 0:
            return moved
        up = (moved.lower == 0) & free & (self.flips.kind != "delete")
        down = (moved.upper == 1) & free & (self.flips.kind != "insert")
        low, high = moved.lower.masked_fill(down, 0.0), moved.upper.masked_fill(up, 1.0)
        direction = up.double() - (down & ~up).double()
        flips = Flips(self.flips.count, direction, other=-(up & down).double())
        radius = (moved.ball + math.nextafter(math.sqrt(self.flips.count), math.inf)) * (1.0 + 1e-15)
        return Box(low, high, exact, radius, Summed(shifts, flips))

    def changing(self, sample: Tensor) -> tuple[Tensor, Tensor, Allowed]:
        """Return how many events of one sample may move, which entries may flip, (T, ...) each, and how."""
        movable, _, allowed = self.shifts.changing(sample)
        _, free, flips = self.flips.changing(sample)
        return movable, free, replace(allowed, kind=flips.kind, flips=flips.flips)

    def part(self, exact: Tensor, movable: Tensor, free: Tensor, left: Budgets) -> Box:
        """Return the enclosure of what changes make of recordings, (n, T, ...), within what is left of budgets."""
        some = replace(self, flips=replace(self.flips, count=left.flips))
        return some._enclosed(self.shifts.part(exact, movable, free, left), free)

    def project(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return candidates that are allowed; of others, the nearest flips of what they are among the shifts."""
        found = self.flips.project(candidates, self.shifts.project(candidates, inputs))
        kept = self.contains(candidates, inputs).view(-1, *([1] * (inputs.dim() - 1)))
        return torch.where(kept, candidates, found)

    def contains(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Look for moves and flips of each feature that differs, within all budgets; decided exactly.

        Where a feature has too many ways, the answer is no.
        """
        binary = ((candidates == 0) | (candidates == 1)).flatten(1).all(1)
        pairs = zip(candidates, inputs, binary.tolist(), strict=True)
        most = self.flips.count
        found = [whole and self._least(candidate, sample, most) < math.inf for candidate, sample, whole in pairs]
        return torch.tensor(found, dtype=torch.bool, device=inputs.device)

    def least_flips(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return how few flips make candidates, of 0 and 1, of moved inputs, (batch,); +inf where none do."""
        pairs = zip(candidates, inputs, strict=True)
        found = [self._least(candidate, sample, sample.numel()) for candidate, sample in pairs]
        return torch.tensor(found, dtype=torch.float64, device=inputs.device)

    def _least(self, candidate: Tensor, sample: Tensor, most: int) -> float:
        """Return the fewest flips up to `most` within the budgets of moves, +inf where these do not suffice."""
        movable = self.shifts.movable(sample[None])[0]
        allowed = self.flips.allowed(sample[None]).expand(sample.shape)
        inserts, deletes = (allowed & (self.flips.kind != other) for other in ("delete", "insert"))
        parts = [part.flatten(1) for part in (sample - movable, movable, candidate, inserts, deletes)]
        differ = (parts[2] != sample.flatten(1)).any(0)
        trains = torch.stack([part.long() for part in parts])[..., differ].permute(2, 0, 1).tolist()
        ways = self.shifts.reach, self.shifts.border == "leave"
        features = [mixed(*map(tuple, feature), *ways) for feature in trains]
        budgets = most, self.shifts.count, self.shifts.total
        known = {(0, 0, 0)}
        for costs in features:
            known = _afforded({(a + x, b + y, c + z) for a, b, c in known for x, y, z in costs}, budgets)
        return min((flips for flips, _, _ in known), default=math.inf)

    def sample(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Move random events, then flip random entries."""
        return self.flips.sample(self.shifts.sample(inputs, generator), generator)

    def alone(self) -> tuple[Perturbation, ...]:
        """Return the moves of one event, and the flips of one entry."""
        (flips,), (shifts,) = self.flips.alone(), self.shifts.alone()
        return EventChange(flips, replace(shifts, count=0)), EventChange(replace(flips, count=0), shifts)

    def check(self, inputs: Tensor) -> None:
        """Raise ValueError unless both sets take `inputs`."""
        self.shifts.check(inputs)
        self.flips.check(inputs)

    def suits(self, network: SpikingNetwork) -> None:
        """Raise ValueError for a network whose inputs are no events over time."""
        self.shifts.suits(network)


Costs = tuple[int, int, int]


def _afforded(costs: set[Costs], budgets: tuple[int | None, int | None, int | None]) -> set[Costs]:
    """Return what is within the budgets; what has none counts 0."""
    capped = {tuple(0 if most is None else cost for cost, most in zip(one, budgets, strict=True)) for one in costs}
    return {
        (flips, moved, steps)
        for flips, moved, steps in capped
        if all(most is None or cost <= most for cost, most in zip((flips, moved, steps), budgets, strict=True))
    }
