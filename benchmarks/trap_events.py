"""Sets of changed events for benchmarks/traps.py, each listed in full by other means than the library's."""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from trap_draw import Draw
from trap_networks import Drawn
from trap_search import Family, Problem

from spikecert import EventChange, SpikeFlip, SpikeShift
from spikecert.certify.perturbations import Perturbation

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from support.event_rules import KINDS, members

MOST_EVENTS, SAMPLES, RUNGS = 3, 24, 3
"""Of events that may move in a sample; of samples; of sizes that are listed."""
CHUNK = 256
EventThreat = SpikeFlip | SpikeShift | EventChange


@dataclass(frozen=True, eq=False)
class Listed(Family):
    """Sets of one form around events: at size k at most about k of them change, at k − ½ those of a mask alone.

    Attributes:
        flips: what may come and go, or None.
        shifts: what may move, or None.
        mask: which entries may change at sizes that are not whole, like one recording.
        latency: the steps of a latency code, whose events are those of images; None: inputs are recordings.
    """

    flips: SpikeFlip | None = None
    shifts: SpikeShift | None = None
    mask: Tensor | None = None
    latency: int | None = None

    def at(self, size: float) -> EventThreat:
        """Return the set of a size."""
        k, where = math.ceil(size), self.mask if size % 1 else None
        if self.shifts is None:
            assert self.flips is not None
            return replace(self.flips, count=k, where=where)
        budget = "count" if self.shifts.total is None else "total"
        shifts = replace(self.shifts, where=where, **{budget: k})
        flips = self.flips and replace(self.flips, count=(k + 1) // 2, where=where)
        return shifts if flips is None else EventChange(flips, shifts)

    def doubled(self, size: float) -> float:
        """Return the next whole size."""
        return math.floor(size) + 1

    def holds(self, threat: Perturbation, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return which candidates are listed, (batch,)."""
        rows = zip(self._every(threat, inputs), self._events(candidates), strict=True)
        return torch.tensor([bool((every == row).flatten(1).all(1).any()) for every, row in rows])

    def lists(self, threat: Perturbation, inputs: Tensor) -> Iterator[Tensor]:
        """Yield all inputs of each sample's set, (tries, batch, ...), some twice where others have more."""
        found = [self._inputs(every, x) for every, x in zip(self._every(threat, inputs), inputs, strict=True)]
        most = max(map(len, found))
        full = torch.stack([one[torch.arange(most) % len(one)] for one in found], 1)
        yield from full.split(CHUNK)

    def _every(self, threat: Perturbation, inputs: Tensor) -> Iterator[Tensor]:
        """Yield all recordings of each sample's set, (n, T, features)."""
        assert isinstance(threat, EventThreat)
        flat = _flat(threat)
        for events in self._events(inputs):
            yield _members(flat, tuple(events.shape), tuple(events.flatten().tolist()))

    def _events(self, inputs: Tensor) -> Tensor:
        """Return recordings (batch, T, features): of images the events at ⌊(1 − x)·(T − 1) + ½⌋."""
        if self.latency is None:
            return inputs.double().flatten(2)
        steps = ((1.0 - inputs.double()) * (self.latency - 1) + 0.5).floor().long()
        return one_hot(steps.flatten(1), self.latency).movedim(2, 1).double()

    def _inputs(self, listed: Tensor, sample: Tensor) -> Tensor:
        """Return the inputs whose events are listed; of images the sample's own brightness where it stays."""
        if self.latency is None:
            return listed.to(sample.dtype).view(-1, *sample.shape)
        steps, there = listed.argmax(1), self._events(sample[None])[0].argmax(0)
        moved = (1.0 - steps.double() / (self.latency - 1)).to(sample.dtype)
        return torch.where(steps == there, sample.flatten(), moved).view(-1, *sample.shape)

    def nearest(self, problem: Problem) -> tuple[Tensor, Tensor]:
        """Return inputs of another class, (batch, ...), and the sizes at which they come; inf: none is listed."""
        best = problem.inputs.clone()
        sizes = torch.full((len(best),), torch.inf, dtype=torch.float64)
        for size in range(1, RUNGS + 1):
            for tried in self.lists(self.at(size), problem.inputs):
                other, place = problem.other(tried).max(0)
                new = other & sizes.isinf()
                best[new] = tried[place, torch.arange(len(best))][new]
                sizes[new] = size
        return best, sizes


@lru_cache(maxsize=4096)
def _members(threat: EventThreat, shape: tuple[int, ...], numbers: tuple[float, ...]) -> Tensor:
    """Return all recordings of a set around one (T, features)."""
    return members(torch.tensor(numbers, dtype=torch.float64).view(shape), threat)


def _flat(threat: EventThreat) -> EventThreat:
    """Return the set whose masks are (T, features)."""
    if isinstance(threat, EventChange):
        flips, shifts = _flat(threat.flips), _flat(threat.shifts)
        assert isinstance(flips, SpikeFlip)
        assert isinstance(shifts, SpikeShift)
        return EventChange(flips, shifts)
    return replace(threat, where=threat.where.flatten(1)) if isinstance(threat.where, Tensor) else threat


def listed_family(draw: Draw, made: Drawn) -> tuple[Listed, Tensor]:
    """Return a family of sets of changed events, and samples of few events for it."""
    r, shape, latency = draw.random, made.shape, made.network.encoding == "latency"
    form = "shift" if latency else r.choice(("flips", "shift", "add", "flips+shift"))
    recorded = (draw.steps, *shape) if latency else shape
    jitter = r.randint(1, min(2, draw.steps - 1))
    total = r.choice((None, None, 1))
    border = "stay" if latency else r.choice(("stay", "leave"))
    merge = "add" if form == "add" else "or"
    shifts, flips = SpikeShift(jitter, None, total, merge, border), SpikeFlip(1, r.choice(KINDS))
    mask = torch.rand(recorded, generator=draw.generator) < r.choice((0.3, 0.5, 0.7))
    name = {"shift": f"shift, {border}", "add": f"shift, add, {border}"}.get(form, form)
    parts = None if "flips" not in form else flips, None if form == "flips" else shifts
    family = Listed(f"{name}, listed", 0.0, 1.0, None, *parts, mask, draw.steps if latency else None)
    if latency:
        return family, draw.uniform(SAMPLES, *shape).to(draw.dtype).unique(dim=0)
    events = (torch.rand(SAMPLES, *shape, generator=draw.generator) < r.choice((0.2, 0.5))).long()
    if form == "add":
        events *= torch.randint(1, 3, events.shape, generator=draw.generator)
    if form != "flips":
        events = _few(events)
    return family, events.to(draw.dtype).unique(dim=0)


def _few(events: Tensor) -> Tensor:
    """Return recordings of the first events of each, of which there are few."""
    found = events.flatten(1)
    before = found.cumsum(1) - found
    return found.minimum((MOST_EVENTS - before).clamp_min(0)).view_as(events)
