"""Sets that hold a change of class: found by halving a segment down to neighbouring floats, or in a list.

Whoever calls such a set verified is wrong. Distances are rational numbers, and sets say themselves that they hold
what was planted; of events and whole numbers all members are listed here, by other means than the library's own.
"""

import copy
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor, nn

from spikecert import L2, LIF, LInf, SpikeFlip, SpikeShift, SpikingNetwork, StuckNeurons
from spikecert.certify import EventChange, Perturbation, PixelBox
from support.matrix import MOST, Cell, anywhere, first_maximum, flips, runs, wrong
from support.oracles import every_flip, every_shift

RATIOS = (0.99, 0.9999, 0.99999, 1.0)
"""How far from the sample a flip is planted, as a share of the radius; at 1 that is its distance, rounded up."""
EVENT_SETS = (
    SpikeFlip(1),
    SpikeFlip(2),
    SpikeFlip(2, "insert"),
    SpikeFlip(3, "delete"),
    SpikeShift(1, count=1),
    SpikeShift(1),
    SpikeShift(None, total=2),
    SpikeShift(1, count=2, border="leave"),
    SpikeShift(1, merge="refuse"),
    EventChange(SpikeFlip(1), SpikeShift(1, count=1)),
    EventChange(SpikeFlip(1, "delete"), SpikeShift(1)),
)
MOST_MOVED = 6
"""Events of a sample whose moves are listed."""
MOST_PAIRS = 12
"""Pairs of stuck neurons that are tried."""


@dataclass(frozen=True)
class Turn:
    """Two inputs beside each other, (...): one keeps the sample's class and the other has another one."""

    kept: Tensor
    flipped: Tensor


def turn(cell: Cell, tries: int = 64) -> Turn | None:
    """Return the nearest of some changes of class along segments from the sample, or None where none was found."""
    if flips(cell.network, cell.inputs[0], cell.label, cell.ties):
        return None
    far = anywhere(cell, tries)
    ends = far[wrong(runs(cell.network, far), cell.label, cell.ties)]
    found = [_halved(cell, end) for end in ends[torch.randperm(len(ends), generator=cell.generator)[:3]]]
    real = [one for one in found if flips(cell.network, one.flipped, cell.label, cell.ties)]
    return min(real, key=lambda one: distance(one.flipped, cell.inputs[0], "linf"), default=None)


def _halved(cell: Cell, end: Tensor) -> Turn:
    """Return where the class changes between the sample and `end`, which has another one: both sides are run."""
    start, low, high = cell.inputs[0].double(), 0.0, 1.0
    least, most = cell.inputs[0].minimum(end), cell.inputs[0].maximum(end)

    def at(shares: Tensor) -> Tensor:
        moved = start + shares.view(-1, *[1] * start.dim()) * (end.double() - start)
        return moved.to(end.dtype).clamp(least, most)

    while True:
        shares = low + (high - low) * torch.arange(1, 16, dtype=torch.float64) / 16
        shares = shares[(shares > low) & (shares < high)].unique()
        if not len(shares):
            break
        failing = wrong(runs(cell.network, at(shares)), cell.label, cell.ties).tolist()
        first = failing.index(True) if True in failing else len(failing)
        places = [low, *shares.tolist(), high]
        low, high = places[first], places[first + 1]
        if torch.equal(*(kept := at(torch.tensor([low, high], dtype=torch.float64)))):
            break
    kept, flipped = at(torch.tensor([low, high], dtype=torch.float64))
    return Turn(kept, flipped if high < 1.0 else end)


def distance(point: Tensor, sample: Tensor, norm: str) -> Fraction:
    """Return the distance in "linf", or its square in "l2", exactly."""
    parts = [
        abs(Fraction(a) - Fraction(b))
        for a, b in zip(*(x.flatten().tolist() for x in (point, sample)), strict=True)
    ]
    return max(parts) if norm == "linf" else sum((part**2 for part in parts), Fraction(0))


def around(cell: Cell, point: Tensor, norm: str, ratio: float) -> Perturbation:
    """Return a set that holds `point`, at `ratio` of its radius."""
    sample = cell.inputs[0]
    if norm == "box":
        radii = (point.double() - sample.double()).abs() / ratio
        return PixelBox(radii.nextafter(math.inf * radii.sign()).nan_to_num(0.0), *cell.ends)
    far = distance(point, sample, norm)
    if norm == "linf":
        return LInf(math.nextafter(float(far / Fraction(ratio)), math.inf), *cell.ends)
    return L2(math.sqrt(float(far)) / ratio * (1.0 + 2.0**-50), *cell.ends)


def holds(cell: Cell, threat: Perturbation, point: Tensor) -> bool:
    """Return whether the set says that it holds an input."""
    return bool(threat.contains(point[None], cell.inputs).all())


def listed(cell: Cell, threat: Perturbation) -> Tensor | None:
    """Return all inputs of a set of events or whole numbers, (n, ...); None for too many, and other sets."""
    if isinstance(threat, LInf) and cell.kind == "whole":
        reach = range(-int(threat.epsilon), int(threat.epsilon) + 1)
        moves = torch.tensor(list(itertools.product(reach, repeat=cell.inputs.numel())), dtype=torch.float64)
        found = cell.inputs + moves.view(-1, *cell.inputs.shape[1:])
        return found[((found >= 0) & (found <= MOST)).flatten(1).all(1)]
    if isinstance(threat, SpikeFlip):
        return _flipped(cell.inputs[0], threat)
    if isinstance(threat, SpikeShift):
        return _shifted(cell.inputs[0], threat)
    if isinstance(threat, EventChange):
        moved = _shifted(cell.inputs[0], threat.shifts)
        return None if moved is None else torch.cat([_flipped(each, threat.flips) for each in moved]).unique(dim=0)
    return None


def _flipped(events: Tensor, threat: SpikeFlip) -> Tensor:
    found = every_flip(events, threat.count)
    gains, loses = ((found > events).flatten(1).any(1), (found < events).flatten(1).any(1))
    return found[~{"flip": gains & ~gains, "insert": loses, "delete": gains}[threat.kind]]


def _shifted(events: Tensor, threat: SpikeShift) -> Tensor | None:
    if int(events.sum()) > MOST_MOVED:
        return None
    jitter = len(events) if threat.jitter is None else threat.jitter
    known = SpikeShift(jitter, threat.count, threat.total, threat.merge, threat.border)
    flat = events.flatten(1)
    return every_shift(flat, known, torch.ones_like(flat)).view(-1, *events.shape)


def real_sets(cell: Cell, found: Turn | None) -> Iterator[Perturbation]:
    """Yield a ball of each kind: some hold the change of class, some end before it, some are a point."""
    share = cell.random.choice((0.0, 0.3, 0.7, 0.95, 1.0 / 0.99, 1.5))
    for norm in ("linf",) if cell.kind == "rate" else ("linf", "l2", "box"):
        if found is None:
            radius = cell.random.choice((0.02, 0.1, 0.5))
            yield {"linf": LInf, "l2": L2}.get(norm, _box(cell))(radius, *cell.ends)
        else:
            yield around(cell, found.flipped, norm, 1.0 / share) if share else LInf(0.0, *cell.ends)


def _box(cell: Cell) -> Callable[..., PixelBox]:
    return lambda radius, *ends: PixelBox(torch.full_like(cell.inputs[0], radius), *ends)


def sets(cell: Cell, found: Turn | None) -> list[Perturbation]:
    """Return what is asked of a cell: some sets of events, boxes of whole numbers, balls of each norm."""
    if cell.kind == "events":
        timed = cell.network.num_steps > 1
        known = [threat for threat in EVENT_SETS if timed or isinstance(threat, SpikeFlip)]
        return cell.random.sample(known, 3)
    if cell.kind == "whole":
        return [LInf(1.0, *cell.ends), LInf(2.0, *cell.ends)]
    return list(real_sets(cell, found))


def drawn(cell: Cell, threat: Perturbation, found: Turn | None, count: int = 64) -> Tensor:
    """Return some inputs of a set, its corners among them, and the sides of the change of class that it holds."""
    batch = cell.inputs.expand(count, *cell.inputs.shape[1:])
    far = batch + 8 * torch.randn(batch.shape, generator=cell.generator, dtype=batch.dtype)
    parts = [cell.inputs, threat.project(far, batch), threat.sample(batch, cell.generator)]
    points = torch.cat(parts)
    if found is not None:
        sides = torch.stack([found.kept, found.flipped])
        points = torch.cat([points, sides[threat.contains(sides, cell.inputs.expand_as(sides))]])
    return points


def members(cell: Cell, threat: Perturbation, found: Turn | None) -> tuple[Tensor, bool]:
    """Return inputs of a set, and whether these are all."""
    all_of_them = listed(cell, threat)
    return (drawn(cell, threat, found), False) if all_of_them is None else (all_of_them, True)


def mistuned(cell: Cell, tries: int = 3) -> tuple[SpikingNetwork, float] | None:
    """Return a network of another class, and by which share its weights differ; None if none was found."""
    member = copy.deepcopy(cell.network)
    for _ in range(tries):
        signs = [2 * torch.randint(0, 2, part.shape, generator=cell.generator) - 1 for part in member.parameters()]
        low, high = 0.0, cell.random.choice((0.05, 0.25, 0.9))
        if not _fails(cell, _moved(cell, member, signs, high)):
            continue
        while low < (middle := (low + high) / 2) < high and high - low > 2.0**-40:
            low, high = (low, middle) if _fails(cell, _moved(cell, member, signs, middle)) else (middle, high)
        share = float(_share(cell.network, _moved(cell, member, signs, high)))
        return (member, share) if flips(member, cell.inputs[0], cell.label, cell.ties) else None
    return None


def _fails(cell: Cell, member: SpikingNetwork) -> bool:
    return bool(wrong(runs(member, cell.inputs), cell.label, cell.ties).any())


def _moved(cell: Cell, member: SpikingNetwork, signs: list[Tensor], share: float) -> SpikingNetwork:
    """Return a network with each of its weights another one's, moved by a share."""
    for part, own, sign in zip(member.parameters(), cell.network.parameters(), signs, strict=True):
        part.data = own.data * (1 + share * sign.to(own.dtype))
    return member


def _share(one: SpikingNetwork, other: SpikingNetwork) -> Fraction:
    """Return by which share the weights of two networks differ at most, exactly."""
    found = [Fraction(0)]
    for ours, theirs in zip(one.parameters(), other.parameters(), strict=True):
        for a, b in zip(ours.flatten().tolist(), theirs.flatten().tolist(), strict=True):
            found += [abs(Fraction(b) - Fraction(a)) / abs(Fraction(a))] if a else []
    return max(found)


def stuck(cell: Cell) -> Iterator[StuckNeurons]:
    """Yield sets with a member of another class, one or two of whose neurons are stuck.

    A neuron behind a dense layer is stuck where its row is 0 and its bias below 0, or twice the threshold.
    """
    layers = list(cell.network.layers)
    places = [
        (k, row)
        for k, (one, other) in enumerate(itertools.pairwise(layers))
        if isinstance(one, nn.Linear) and type(other) is LIF and (other.reset != "none" or k + 2 < len(layers))
        for row in range(one.out_features)
    ]
    faults = [(k, row, fires) for k, row in places for fires in (False, True)]
    pairs = list(itertools.combinations(faults, 2))
    for chosen in [*((fault,) for fault in faults), *cell.random.sample(pairs, min(len(pairs), MOST_PAIRS))]:
        member = copy.deepcopy(cell.network)
        for k, row, fires in chosen:
            _stick(member.layers[k], member.layers[k + 1], row, fires)
        if flips(member, cell.inputs[0], cell.label, cell.ties):
            yield StuckNeurons(len(chosen))


def _stick(layer: nn.Module, neuron: nn.Module, row: int, fires: bool) -> None:
    assert isinstance(layer, nn.Linear)
    assert isinstance(neuron, LIF)
    layer.weight.data[row] = 0.0
    layer.bias.data[row] = neuron.dynamics.threshold * (2.0 if fires else -1.0)


def plain(cell: Cell) -> bool:
    """Return whether all parameters of a cell's network are weights of dense layers and convolutions."""
    affine = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d)
    with_own = [layer for layer in cell.network.modules() if list(layer.parameters(recurse=False))]
    return cell.kind in ("real", "events") and all(isinstance(layer, affine) for layer in with_own)


def least_margin(logits: Tensor, label: int) -> float:
    """Return the least of all runs' margins of a class."""
    others = torch.cat([logits[:, :label], logits[:, label + 1 :]], 1)
    return float((logits[:, label].double() - others.double().amax(1)).min())


def own_class(network: SpikingNetwork, point: Tensor) -> int:
    """Return the class of one input, (...), run alone."""
    return int(first_maximum(runs(network, point[None])))
