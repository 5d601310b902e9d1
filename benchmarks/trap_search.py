"""Look for inputs of another class around samples, for benchmarks/traps.py: all are run, nothing is bounded."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from spikecert import L2, LInf, SpikeFlip, SpikingNetwork, attack
from spikecert.certify.attacks import PGD, SpikeFlips
from spikecert.certify.perturbations import Perturbation, PixelBox
from spikecert.certify.replay import margins
from spikecert.certify.ties import ARGMAX

FAR = 1e3
HALVINGS = 10
LINES = 4
CLIMBS = 6
MOST_LISTED = 300
"""Inputs within a budget of flips are all tried where they are no more."""


@dataclass(frozen=True)
class Family:
    """Sets of one form and any size: balls, boxes with a radius a feature, flips.

    Attributes:
        name: "linf", "l2", "box" or "l0".
        lower, upper: the range of inputs.
        share: of a box, the radius of each feature at size 1.
    """

    name: str
    lower: float = 0.0
    upper: float = 1.0
    share: Tensor | None = None

    def at(self, size: float) -> Perturbation:
        """Return the set of a size, of plain Python numbers."""
        if self.name == "l0":
            return SpikeFlip(int(size))
        if self.share is not None:
            return PixelBox(self.share * size, self.lower, self.upper)
        return {"linf": LInf, "l2": L2}[self.name](float(size), self.lower, self.upper)

    def distance(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return about the size at which a set holds each candidate, (...) without the axes of a sample."""
        step = (candidates.double() - inputs.double()).abs().flatten(-(inputs.dim() - 1))
        if self.name == "l0":
            return (step > 0).sum(-1).double()
        if self.name == "l2":
            return step.norm(dim=-1)
        if self.share is not None:
            share = self.share.double().flatten()
            step = torch.where(step > 0, step / share, 0.0)
        return step.amax(-1)

    def holds(self, threat: Perturbation, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return which candidates a set of this family holds, (batch,)."""
        return threat.contains(candidates, inputs)

    def doubled(self, size: float) -> float:
        """Return twice a size; of flips one more."""
        return 2 * size + (self.name == "l0")


@dataclass(frozen=True)
class Problem:
    """Samples that the network classifies right, as `ties` has it: inputs (batch, ...), labels (batch,)."""

    network: SpikingNetwork
    inputs: Tensor
    labels: Tensor
    ties: str

    @torch.no_grad()
    def margins(self, candidates: Tensor) -> Tensor:
        """Return the margins of candidates (tries, batch, ...), (tries, batch), float64: above 0 iff they hold."""
        tries = len(candidates)
        logits = self.network(candidates.flatten(0, 1)).double()
        return margins(logits, self.labels.repeat(tries), self.ties).view(tries, -1)

    def other(self, candidates: Tensor) -> Tensor:
        """Return which candidates (tries, batch, ...) have another class, (tries, batch); strict ties do not."""
        found = self.margins(candidates)
        return found <= 0 if self.ties == ARGMAX else found < 0

    def alone(self, candidate: Tensor, index: int) -> float:
        """Return the margin of one candidate, run by itself."""
        part = Problem(self.network, self.inputs[index : index + 1], self.labels[index : index + 1], self.ties)
        return float(part.margins(candidate[None, None])[0, 0])


def nearest(problem: Problem, family: Family, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the nearest inputs of another class that were found, (batch, ...), and their distances; inf: none."""
    best, distance = problem.inputs.clone(), torch.full((len(problem.inputs),), math.inf, dtype=torch.float64)
    for candidates in _far(problem, family, generator):
        other = problem.other(candidates)
        apart = torch.where(other, family.distance(candidates, problem.inputs), torch.inf)
        least, which = apart.min(0)
        closer = least < distance
        best[closer] = candidates[which, torch.arange(len(which))][closer]
        distance = least.minimum(distance)
    return best, distance


def _far(problem: Problem, family: Family, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield inputs far and near: flips of all sizes, or lines to other samples and corners of all sizes."""
    if family.name == "l0":
        yield from (_sampled(problem, family.at(count), 24, generator) for count in range(1, 6))
        return
    yield from _lines(problem, family, generator)
    for size in (0.5, 0.25, 0.12, 0.06, 0.03, 0.01):
        yield _corners(problem, family.at(size), 12, generator)


def _lines(problem: Problem, family: Family, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield points on the segments to some other samples, by bisection for another class."""
    batch = len(problem.inputs)
    order = torch.stack([torch.randperm(batch, generator=generator) for _ in range(LINES)])
    ends = problem.inputs[order]
    if family.share is not None:
        ends = torch.where(family.share > 0, ends, problem.inputs)
    good = torch.zeros(LINES, batch, *([1] * (problem.inputs.dim() - 1)), dtype=problem.inputs.dtype)
    bad = torch.ones_like(good)
    yield ends
    for _ in range(HALVINGS):
        middle = (good + bad) / 2
        tried = (problem.inputs + middle * (ends - problem.inputs)).clamp(family.lower, family.upper)
        yield tried
        other = problem.other(tried).view_as(good)
        good, bad = torch.where(other, good, middle), torch.where(other, middle, bad)


def _repeated(problem: Problem, tries: int) -> Tensor:
    return problem.inputs.expand(tries, *problem.inputs.shape)


def _projected(threat: Perturbation, candidates: Tensor, inputs: Tensor) -> Tensor:
    """Return allowed inputs near candidates (tries, batch, ...)."""
    return threat.project(candidates.flatten(0, 1), inputs.flatten(0, 1)).view_as(candidates)


def _sampled(problem: Problem, threat: Perturbation, tries: int, generator: torch.Generator) -> Tensor:
    inputs = _repeated(problem, tries)
    return threat.sample(inputs.flatten(0, 1), generator).view_as(inputs)


def _corners(problem: Problem, threat: Perturbation, tries: int, generator: torch.Generator) -> Tensor:
    inputs = _repeated(problem, tries)
    direction = torch.randn(inputs.shape, generator=generator, dtype=torch.float64).to(inputs)
    return _projected(threat, inputs + FAR * direction, inputs)


def _attacked(problem: Problem, threat: Perturbation, seed: int) -> Tensor:
    method = SpikeFlips() if isinstance(threat, SpikeFlip) else PGD(steps=5, restarts=1)
    asked = problem.network, problem.inputs, problem.labels, threat, method
    return attack(*asked, seed=seed, ties=problem.ties).inputs[None]


def _every_flip(problem: Problem, count: int) -> Iterator[Tensor]:
    """Yield all inputs within so many flips of each sample, if they are few."""
    entries = problem.inputs[0].numel()
    sizes = range(min(count, entries) + 1)
    if sum(math.comb(entries, size) for size in sizes) > MOST_LISTED:
        return
    for places in itertools.chain.from_iterable(itertools.combinations(range(entries), size) for size in sizes):
        flipped = problem.inputs.flatten(1).clone()
        flipped[:, list(places)] = 1 - flipped[:, list(places)]
        yield flipped.view(1, *problem.inputs.shape)


def candidates(
    problem: Problem, threat: Perturbation, others: Tensor, generator: torch.Generator, thorough: bool
) -> Iterator[Tensor]:
    """Yield allowed inputs, (tries, batch, ...): samples, corners, random ones, toward another class, all flips.

    Args:
        problem, threat: what is tried.
        others: for each sample an input of another class, or itself.
        generator: of all draws.
        thorough: whether an attack by gradients is asked, too.
    """
    yield problem.inputs[None]
    toward = problem.inputs + torch.tensor([0.25, 0.5, 0.75, 0.9, 1.0, 1.25]).view(
        -1, *([1] * problem.inputs.dim())
    ).to(problem.inputs) * (others - problem.inputs)
    yield _projected(threat, toward, _repeated(problem, len(toward)))
    yield _corners(problem, threat, 24, generator)
    yield _sampled(problem, threat, 16, generator)
    if isinstance(threat, SpikeFlip) and (listed := list(_every_flip(problem, threat.count))):
        yield torch.cat(listed)
    if thorough:
        yield _attacked(problem, threat, 0)


def climbed(problem: Problem, threat: Perturbation, start: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield allowed inputs near the worst known, (batch, ...), some features moved; go on from what is worse."""
    best = start
    least = problem.margins(best[None])[0]
    for _ in range(CLIMBS):
        inputs = _repeated(problem, 6)
        moved = torch.rand(inputs.shape, generator=generator, dtype=torch.float64).to(inputs) < 0.4
        far = torch.where(moved, _corners(problem, threat, 6, generator), best.expand_as(inputs))
        tried = _projected(threat, far, inputs)
        yield tried
        found, which = problem.margins(tried).min(0)
        worse = found < least
        best = torch.where(worse.view(-1, *([1] * (best.dim() - 1))), tried[which, torch.arange(len(which))], best)
        least = least.minimum(found)


Constant = Callable[[float], object]
"""What turns the numbers of a set into a numeric type."""


def turned(family: Family, size: float, turn: Constant) -> Perturbation:
    """Return the set of a size whose numbers are of another type; its size may be rounded.

    Raises:
        TypeError, ValueError: where the library refuses the type.
    """
    if family.name == "l0":
        return SpikeFlip(turn(int(size)))  # pyright: ignore[reportArgumentType]
    if family.share is not None:
        return family.at(size)
    return {"linf": LInf, "l2": L2}[family.name](turn(size), family.lower, family.upper)  # pyright: ignore[reportArgumentType]
