"""Events that move, and events that come and go: both at once.

What it costs to turn one feature's events into others by moves and flips.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ....models.networks import SpikingNetwork
from ...bounds.events.flips import Flips
from ...bounds.events.moved_events import Shifts
from ...bounds.events.summed import Summed
from ...bounds.signals.windows import Box
from ..base import Members, Perturbation
from .retiming import MOST_STATES, Cost, Train, dearer, front, places
from .spike_flip import SpikeFlip
from .spike_shift import SpikeShift


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
    for train, costs in _reached(fixed, movable, reach, leaves).items():
        changes = list(zip(train, after, inserts, deletes, strict=True))
        if all(one == other or (gains if other else loses) for one, other, gains, loses in changes):
            flips = sum(one != other for one, other, _, _ in changes)
            found |= {(flips, moved, steps) for moved, steps in costs}
    return frozenset(found)


@lru_cache(maxsize=2**16)
def _reached(fixed: Train, movable: Train, reach: int, leaves: bool) -> dict[Train, tuple[Cost, ...]]:
    """Return each train that moves make, with its least costs; nothing where there are too many."""
    states: dict[Train, tuple[Cost, ...]] = {fixed: ((0, 0),)}
    for step in (step for step, event in enumerate(movable) if event):
        found: dict[Train, set[Cost]] = {}
        for state, costs in states.items():
            for place, distance in places(step, len(fixed), reach, leaves):
                reached = state if place < 0 else (*state[:place], 1, *state[place + 1 :])
                found.setdefault(reached, set()).update(dearer(costs, distance))
        if len(found) > MOST_STATES:
            return {}
        states = {state: front(costs) for state, costs in found.items()}
    return states


@dataclass(frozen=True)
class EventChange(Perturbation):
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
        moved = self.shifts.enclosure(inputs)
        if not isinstance(moved.budget, Shifts) or moved.ball is None:
            return self.flips.enclosure(inputs)
        if self.flips.count == 0:
            return moved
        up, down = self._open(moved)
        low, high = moved.lower.masked_fill(down, 0.0), moved.upper.masked_fill(up, 1.0)
        direction = up.double() - (down & ~up).double()
        flips = Flips(self.flips.count, direction, other=-(up & down).double())
        radius = (moved.ball + math.nextafter(math.sqrt(self.flips.count), math.inf)) * (1.0 + 1e-15)
        return Box(low, high, inputs.double(), radius, Summed(moved.budget, flips))

    def _open(self, moved: Box) -> tuple[Tensor, Tensor]:
        """Return where a moved recording may lack an event to insert, and where it may have one to delete."""
        allowed = self.flips.allowed(moved.lower)
        up, down = (moved.lower == 0) & allowed, (moved.upper == 1) & allowed
        return up & (self.flips.kind != "delete"), down & (self.flips.kind != "insert")

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

    def members(self, sample: Tensor) -> Members:
        """Return the flips of each choice of moves; choices may make the same input.

        Entries are chosen whatever the moves made of them: one that may not flip then stays.
        """
        moves = self.shifts.members(sample)
        allowed = self.flips.allowed(sample[None]).expand(sample.shape)
        places = SpikeFlip(self.flips.count, where=allowed.clone()).members(torch.zeros_like(sample))

        def batches(size: int) -> Iterator[Tensor]:
            """Yield the members."""
            for chosen in places.batches(max(1, size // 16)):
                for moved in moves.batches(max(1, size // len(chosen))):
                    pairs = moved.repeat_interleave(len(chosen), 0), chosen.repeat(len(moved), *[1] * sample.dim())
                    yield torch.where((pairs[1] > 0) & self.flips.free(pairs[0]), 1.0 - pairs[0], pairs[0])

        return Members(moves.count * places.count, batches)

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
