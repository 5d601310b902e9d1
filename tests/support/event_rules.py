"""Small recordings, rules of what may change of them, and all recordings that this makes, found by other means."""

from dataclasses import dataclass, replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from spikecert import EventChange, SpikeFlip, SpikeShift
from spikecert.testing.neurons import SEEDS
from support.oracles import every_flip, every_shift

KINDS = ("flip", "insert", "delete")
SETS = ("flips", "shift", "add", "flips+shift")


@dataclass(frozen=True)
class Changing:
    """A recording (T, features), a set around it, and all its members, (n, T, features)."""

    events: Tensor
    threat: SpikeFlip | SpikeShift | EventChange
    every: Tensor


def members(events: Tensor, threat: SpikeFlip | SpikeShift | EventChange) -> Tensor:
    """Return all recordings of a set, each once."""
    if isinstance(threat, EventChange):
        found = [flips(moved, threat.flips) for moved in shifts(events, threat.shifts)]
    else:
        found = [flips(events, threat) if isinstance(threat, SpikeFlip) else shifts(events, threat)]
    return torch.cat(found).unique(dim=0)


def flips(events: Tensor, threat: SpikeFlip) -> Tensor:
    """Return all recordings with flips of one."""
    every, opened = every_flip(events, threat.count), threat.allowed(events[None]).expand(events.shape)
    kinds = {"flip": (True, True), "insert": (True, False), "delete": (False, True)}[threat.kind]
    free = torch.where(events == 0, *kinds) & opened
    return every[((every == events) | free).flatten(1).all(1)]


def shifts(events: Tensor, threat: SpikeShift) -> Tensor:
    """Return all recordings with moves of events of one."""
    reach = len(events) if threat.total is None else min(threat.total, len(events))
    known = threat if threat.jitter is not None else replace(threat, jitter=reach)
    return every_shift(events, known, threat.allowed(events[None]).expand(events.shape))


@st.composite
def changing(draw: st.DrawFn, steps: int, features: int, dtype: torch.dtype = torch.float64) -> Changing:
    """Return a recording of few events and any rules."""
    generator = torch.Generator().manual_seed(draw(SEEDS))
    chosen, density = draw(st.sampled_from(SETS)), draw(st.sampled_from([0.2, 0.5]))
    events = (torch.rand(steps, features, generator=generator) < density).to(dtype)
    if chosen == "add":
        events = events * torch.randint(1, 3, events.shape, generator=generator)
    for extra in events.flatten().nonzero().flatten()[5:].tolist():
        events.view(-1)[extra] = 0
    masks = [torch.rand(events.shape, generator=generator) > draw(st.sampled_from([-1.0, 0.3])) for _ in "ab"]
    flip = SpikeFlip(
        draw(st.integers(0, 2)), draw(st.sampled_from(KINDS)), draw(st.sampled_from([None, masks[0]]))
    )
    jitter, count, total = draw(st.integers(0, min(2, steps - 1))), *(draw(BUDGETS) for _ in "ab")
    jitter = None if total is not None and draw(st.booleans()) else jitter
    merge, border = "add" if chosen == "add" else "or", draw(st.sampled_from(["stay", "leave"]))
    shift = SpikeShift(jitter, count, total, merge, border, draw(st.sampled_from([None, masks[1]])))
    threat = {"flips": flip, "flips+shift": EventChange(flip, replace(shift, merge="or"))}.get(chosen, shift)
    return Changing(events, threat, members(events, threat))


BUDGETS = st.sampled_from([None, 0, 1, 1, 2, 3])
