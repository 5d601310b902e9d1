"""The sets that questions are about, each grown by one size, and which size and samples make a question hard.

A size is bisected once so that "trains" proves about half of a subject's pool, and the four samples are taken
whose margins are nearest to 0 there: then "verified", "falsified" and "unknown" all come up. Both are kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spikecert import L2 as Ball2
from spikecert import EventChange, LInf, SpikeFlip, SpikeShift, StuckNeurons, Tolerance, verify
from spikecert.certify.perturbations import PixelBox

from .subjects import POOL, Subject

STEPS = 7
"""Of a bisection, between sizes of `ENDS`, in logarithms."""
ENDS = 1e-3, 1.0
REFUSALS = (ValueError, TypeError, NotImplementedError, OverflowError)
AnySet = object


@dataclass(frozen=True)
class Family:
    """Sets of one kind.

    Attributes:
        name: what questions call it.
        around: makes the set of a size, for samples of a shape.
        timed: whether samples are recordings of events.
        sizes: those to choose from; None: any real number.
        networks: whether it is a set of networks.
        scale: what radii are measured in: a name of `certified_radius`; "": the set itself.
    """

    name: str
    around: Callable[[float, tuple[int, ...]], AnySet]
    timed: bool = False
    sizes: tuple[int, ...] | None = None
    networks: bool = False
    scale: str | None = None


def _box(size: float, shape: tuple[int, ...]) -> PixelBox:
    """Return radii of 1, 0, ½ and 2 sizes in turn."""
    count = int(torch.tensor(shape).prod())
    parts = torch.tensor([1.0, 0.0, 0.5, 2.0], dtype=torch.float64).repeat(count // 4 + 1)[:count]
    return PixelBox(size * parts.reshape(shape))


def _part(size: float, shape: tuple[int, ...]) -> Tensor | None:
    """Return a quarter or a half of a recording's entries, for sizes of 1 and 2; None: all."""
    if size >= 3:
        return None
    return (torch.arange(int(torch.tensor(shape).prod())) % 4 < size).reshape(shape)


def _flips(size: float, shape: tuple[int, ...]) -> SpikeFlip:
    return SpikeFlip(1 if size < 4 else 2, where=_part(size, shape))


def _moves(size: float, shape: tuple[int, ...]) -> SpikeShift:
    return SpikeShift(1, count=1 if size < 4 else 2, where=_part(size, shape))


def _both(size: float, shape: tuple[int, ...]) -> EventChange:
    return EventChange(_flips(size, shape), _moves(size, shape))


def _total(size: float, _: tuple[int, ...]) -> SpikeShift:
    return SpikeShift(None, total=int(size), merge="add")


def _stuck(size: float, _: tuple[int, ...]) -> StuckNeurons:
    return StuckNeurons(1, layers=(0,) if size < 2 else None)


EVERY = (
    Family("linf", lambda size, _: LInf(size), scale="linf"),
    Family("far", lambda size, _: LInf(size)),
    Family("l2", lambda size, _: Ball2(size), scale="l2"),
    Family("box", _box),
    Family("flips", _flips, True, (1, 2, 3, 4), scale="l0"),
    Family("moves", _moves, True, (1, 2, 3, 4), scale="shift"),
    Family("both", _both, True, (1, 2, 3)),
    Family("total", _total, scale="shift"),
    Family("tolerance", lambda size, _: Tolerance(size, size / 2), networks=True, scale=""),
    Family("stuck", _stuck, False, (1, 2), True, ""),
)
NAMED = {family.name: family for family in EVERY}
FAMILIES = tuple(family for family in EVERY if family.name not in ("far", "total"))
"""Those that elements meet: balls that "trains" leaves open are for larger networks, sums of moves for the zoo."""
FAR = 3
"""How many times the size of "linf" that of "far" is."""


@dataclass(frozen=True)
class Pose:
    """How a set is asked about.

    Attributes:
        size: of the set.
        picked: which samples of the pool.
    """

    size: float
    picked: tuple[int, ...]


def timed(subject: Subject, family: Family) -> bool:
    """Return whether a subject is given recordings: a latency code makes its own, whose events may move."""
    return family.timed and subject.settings.get("encoding") != "latency"


def made(subject: Subject, family: Family, size: float) -> AnySet:
    """Return the set of a size around a subject's samples."""
    if subject.most is not None and not family.timed and not family.networks:
        return (
            LInf(size, 0.0, float(subject.most))
            if family.name == "linf"
            else family.around(size, subject.features)
        )
    shape = (subject.steps,) * timed(subject, family) + subject.features
    return family.around(size, shape)


def posed(subject: Subject, family: Family) -> Pose:
    """Return the size at which "trains" proves half of the pool, and the samples nearest to the edge there."""
    if family.name == "far":
        near = posed(subject, NAMED["linf"])
        return replace(near, size=float(f"{FAR * near.size:.2g}"))
    fixed = subject.fixed.get(family.name)
    sizes = (
        (fixed,) if fixed else (1, 2, 3) if subject.most is not None and family.name == "linf" else family.sizes
    )
    if subject.asked == 1:
        return Pose(float(fixed or 1.0), (0,))
    try:
        size = _bisected(subject, family) if sizes is None else _chosen(subject, family, sizes)
        nearest = _nearest(_margins(subject, family, size), subject.asked)
    except REFUSALS:
        return Pose(float(sizes[0] if sizes else 0.05), tuple(range(subject.asked)))
    return Pose(size, nearest)


def _nearest(margins: Tensor, most: int) -> tuple[int, ...]:
    """Return the samples on both sides of 0 that are nearest to it, in turn, the nearest first."""
    ranks = []
    for proven in (True, False):
        side = ((margins > 0) == proven).nonzero().flatten()
        ranks += list(enumerate(side[margins[side].abs().argsort(stable=True)].tolist()))
    return tuple(index for _, index in sorted(ranks)[:most])


def _margins(subject: Subject, family: Family, size: float) -> Tensor:
    """Return the margins that "trains" proves of the pool."""
    in_time = timed(subject, family)
    network, inputs = subject.network(in_time), subject.samples(in_time)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    found = verify(network, inputs, labels, made(subject, family, size), "trains")  # pyright: ignore[reportArgumentType]
    return torch.tensor([-1e300 if verdict.margin is None else verdict.margin for verdict in found])


def _proven(subject: Subject, family: Family, size: float) -> int:
    return int((_margins(subject, family, size) > 0).sum())


def _bisected(subject: Subject, family: Family) -> float:
    low, high = ENDS
    for _ in range(STEPS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if 2 * _proven(subject, family, middle) >= POOL else (low, middle)
    return float(f"{low:.2g}")


def _chosen(subject: Subject, family: Family, sizes: Sequence[float]) -> float:
    """Return the whole size at which the share that is proven is nearest to a half."""
    return float(min(sizes, key=lambda size: abs(2 * _proven(subject, family, size) - POOL)))
