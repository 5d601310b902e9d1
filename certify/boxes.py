"""Branch and bound over boxes of inputs (search.py), many at once, the oldest first: level by level.

A box of inputs is cut in two across the side that is longest in units of the set's own, in the middle, which both
halves hold: so the boxes of a level, with those that were closed, cover the set, every real input of it. Each box
is bounded by what bounds any set (the exact trains of each neuron, every rounding of the run paid), and where that
is not enough by prices (F3) from the parent's on. A search of d inputs takes about 2^level boxes: it is for up to
`MOST_DIMENSIONS` of them.

Boxes of whole inputs are cut between two whole numbers, so that the halves hold every whole input of the box, and
each once; sides count by the weights that their input meets first. A box of one input is a run.

Inputs that are known exactly, where a spike is too close to its threshold: bounded both ways (points.py).

In every run a spike is there or not. So where one is open, a bound of the runs in which it is and one of those in
which it is not hold together: the lesser one is a bound of all. The first open spike is taken, by its step: those
behind it are often open on its account alone.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from ..models.circuit import Circuit, Mapped
from .bounds.points import Said, walker
from .bounds.prices.price_search import PriceSearch
from .bounds.prices.stages import staged
from .bounds.signals.windows import Box
from .bounds.trains.trains import conserved_spikes, step_spikes
from .perturbations.balls import BoxSet
from .problem import Problem
from .search import Domain

MOST_DIMENSIONS = 3
"""Of how many inputs, at most, a set may move for its boxes to be split without being asked."""
TOGETHER = 512
"""Boxes that are bounded at once."""
MOST_BYTES = 2**28
"""What open boxes take at most where nobody says how much they may."""
LEAST_SHARE = 2.0**-10
"""An input that moves currents by less than this share of what another one does is next to none."""
LEAST_WIDTH = 2.0**-40
"""Boxes narrower than this share of the set are split no further: rounding is all that is left of them."""


def moving(problem: Problem) -> Tensor | None:
    """Return which inputs of each sample move, (batch, ...) of bool; None for a set that is no box of inputs."""
    if problem.circuit.source.draws is not None or not isinstance(problem.perturbation, BoxSet):
        return None
    box = problem.perturbation.enclosure(problem.inputs)
    return box.lower < box.upper


def few_dimensions(problem: Problem) -> bool:
    """Return whether a problem's sets move so few inputs, but for next to nothing, that boxes are soon small.

    It says where boxes are split, and no more: sides that hardly move a current are never split for long.
    """
    found = moving(problem)
    if found is None:
        return False
    if int(found.flatten(1).sum(1).max()) <= MOST_DIMENSIONS:
        return True
    if problem.circuit.whole or found[0].dim() > 1:
        return False
    moves = _moves(problem)
    return int((moves > LEAST_SHARE * moves.amax(1, keepdim=True)).sum(1).max()) <= MOST_DIMENSIONS


def _moves(problem: Problem) -> Tensor:
    """Return by how much each input may move the currents that it meets first, about, (batch, ...)."""
    box = problem.perturbation.enclosure(problem.inputs)
    sides = box.upper - box.lower
    return sides * influence(problem.circuit, tuple(sides.shape[1:])).to(sides)


@dataclass(frozen=True)
class Boxes:
    """N boxes.

    Attributes:
        lower, upper: (N, ...), float64.
        sample: that each is of, (N,).
        known: a bound of what is asked, of the parent, (N,).
        prices: of the parent, last layer first, (N, steps, n) each; None: 0.
    """

    lower: Tensor
    upper: Tensor
    sample: Tensor
    known: Tensor
    prices: tuple[Tensor, ...] | None = None

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.sample)

    def select(self, index: Tensor) -> "Boxes":
        """Return some of them."""
        prices = None if self.prices is None else tuple(price[index] for price in self.prices)
        parts = self.lower[index], self.upper[index], self.sample[index], self.known[index]
        return Boxes(*parts, prices)

    def parts(self) -> Iterator["Boxes"]:
        """Yield as many at once as are bounded together."""
        yield from map(self.select, torch.arange(len(self)).split(TOGETHER))

    def halves(self, unit: Tensor, whole: bool) -> "Boxes":
        """Return both halves of each box, cut where its side is longest in units of `unit`, (batch, ...).

        Both hold the middle, or, of `whole` numbers, those up to it and those behind it.
        """
        sides = ((self.upper - self.lower) / unit[self.sample].clamp_min(1e-300)).flatten(1)
        place = sides.argmax(1, keepdim=True)
        low, high = self.lower.flatten(1), self.upper.flatten(1)
        middle = (low.gather(1, place) + high.gather(1, place)) / 2
        ends = (middle.floor(), middle.floor() + 1.0) if whole else (middle, middle)
        lower = torch.cat([low, low.scatter(1, place, ends[1])]).view(-1, *self.lower.shape[1:])
        upper = torch.cat([high.scatter(1, place, ends[0]), high]).view(-1, *self.lower.shape[1:])
        prices = None if self.prices is None else tuple(torch.cat([price, price]) for price in self.prices)
        return Boxes(lower, upper, self.sample.repeat(2), self.known.repeat(2), prices)


@dataclass
class BoxSearch(Domain[Boxes]):
    """One search: what it is for says which boxes are closed, and what the inputs in them are worth.

    Args:
        problem: whose sets are boxes of inputs.
        prices: how to climb; None: boxes are bounded by their trains alone.
        most: how many boxes may be bounded.

    Attributes:
        closed: the least bound of all closed boxes of each sample, (batch,): with those that were left when the
            search ended, a bound over the whole set.
        settled: which samples need no further boxes, (batch,) of bool.
        unproven: which samples have boxes that were left, neither proven nor settled, (batch,) of bool.
    """

    together: ClassVar[bool] = True
    problem: Problem
    prices: PriceSearch | None = field(default_factory=lambda: PriceSearch(20, rate=0.1))
    most: int = 2**19

    def __post_init__(self) -> None:
        count = len(self.problem.labels)
        self.closed: Tensor = torch.full((count,), torch.inf, dtype=torch.float64)
        self.unproven, self.settled = torch.zeros(2, count, dtype=torch.bool)

    @abstractmethod
    def closes(self, rows: Tensor, sample: Tensor) -> Tensor:
        """Return which boxes need no splitting, given bounds of their columns, (N, columns)."""

    @abstractmethod
    def tried(self, values: Tensor, inputs: Tensor, sample: Tensor) -> None:
        """Take note of runs: the values, (N,), of allowed inputs, (N, ...)."""

    @abstractmethod
    def gap(self, sample: Tensor) -> Tensor:
        """Return what a bound of each box's columns must exceed to be enough for prices, (N,)."""

    @torch.no_grad()
    def run(self) -> None:
        """Split until every box is closed, or it is time to stop."""
        problem, box = self.problem, self.problem.perturbation.enclosure(self.problem.inputs)
        self._unit, self._narrowest = self._units(box)
        samples = torch.arange(len(problem.labels))
        known = torch.full((len(samples),), -torch.inf, dtype=torch.float64)
        memory = MOST_BYTES if problem.memory is None else problem.memory // 2
        limits = replace(problem.limits, memory=memory)
        roots, each = Boxes(box.lower, box.upper, samples, known), 4 * TOGETHER * box.lower[0].numel() * 8
        _, left = self.search(roots.parts(), limits, newest=False, most=TOGETHER, each=each)
        for boxes in left:
            self._leave(boxes)

    def _leave(self, boxes: Boxes) -> None:
        """Note that boxes stay open."""
        self._close(boxes)
        self.unproven[boxes.sample] = True

    def size(self, part: Boxes) -> int:
        """Return how many boxes there are."""
        return len(part)

    def joined(self, parts: list[Boxes]) -> Boxes:
        """Return all boxes of several; prices only where all have some."""
        ends = torch.cat([part.lower for part in parts]), torch.cat([part.upper for part in parts])
        told = torch.cat([part.sample for part in parts]), torch.cat([part.known for part in parts])
        prices = [part.prices for part in parts if part.prices is not None]
        priced = tuple(map(torch.cat, zip(*prices, strict=True))) if len(prices) == len(parts) else None
        return Boxes(*ends, *told, priced)

    def over(self) -> str:
        """Return that no more boxes may be bounded."""
        return f"{self.parts} boxes were bounded" if self.parts >= self.most else ""

    def bound(self, part: Boxes) -> Boxes | None:
        """Try the middles of boxes, close what bounds close, and return those that are open and can be split."""
        boxes = self._unsettled(part)
        if len(boxes) == 0:
            return None
        self._try(boxes)
        boxes = self._open(boxes)
        wide = ((boxes.upper - boxes.lower) > self._narrowest[boxes.sample]).flatten(1).any(1)
        self._leave(boxes.select(~wide))
        return boxes.select(wide) if bool(wide.any()) else None

    def split(self, part: Boxes) -> Iterator[Boxes]:
        """Yield the halves of boxes whose samples are not settled."""
        yield from self._unsettled(part).halves(self._unit, self._whole).parts()

    def _unsettled(self, boxes: Boxes) -> Boxes:
        """Return the boxes of samples that need further ones; the others stay open."""
        settled = self.settled[boxes.sample]
        self._leave(boxes.select(settled))
        return boxes.select(~settled)

    @property
    def _whole(self) -> bool:
        """Return whether inputs are whole numbers."""
        return self.problem.circuit.whole

    def _units(self, box: Box) -> tuple[Tensor, Tensor]:
        """Return in what units sides are compared, and up to which a box is split no further, (batch, ...)."""
        sides = box.upper - box.lower
        if not self._whole:
            if sides[0].dim() > 1:
                return sides, LEAST_WIDTH * sides
            moves = _moves(self.problem)  # what moves next to nothing is split after all else is as small
            share = (LEAST_SHARE * moves.amax(1, keepdim=True) / moves.clamp_min(1e-300)).clamp_min(1.0)
            return sides * share, LEAST_WIDTH * sides
        weights = influence(self.problem.circuit, tuple(sides.shape[1:])).to(sides)
        return (1.0 / weights.clamp_min(1e-9 * float(weights.max()) + 1e-300)).expand_as(sides), 0.0 * sides

    def _try(self, boxes: Boxes) -> None:
        """Run the middle of each box, moved into its set."""
        problem = self.problem
        around = problem.inputs[boxes.sample]
        points = problem.perturbation.project(((boxes.lower + boxes.upper) / 2).to(around.dtype), around)
        values = problem.goal.values(problem.network(points), problem.labels[boxes.sample], points)
        self.tried(values.double(), points, boxes.sample)

    def _open(self, boxes: Boxes) -> Boxes:
        """Close the boxes that bounds close, by trains and then by prices; return the others."""
        goal, labels, rows = self.problem.goal, self.problem.labels[boxes.sample], boxes.known[:, None]
        for spikes in (conserved_spikes,) if self._whole else (step_spikes, conserved_spikes):
            rows = goal.tightened(goal.bounds(self.problem.circuit, Box(boxes.lower, boxes.upper), labels, spikes))
            boxes = replace(boxes, known=boxes.known.maximum(goal.least(rows)))
            shut = self.closes(rows, boxes.sample)
            self._close(boxes.select(shut))
            boxes, rows, labels = boxes.select(~shut), rows[~shut], labels[~shut]
            if len(boxes) == 0:
                return boxes
        return boxes if self.prices is None or self._whole else self._priced(boxes, rows, self.prices)

    def _priced(self, boxes: Boxes, rows: Tensor, search: PriceSearch) -> Boxes:
        """Close boxes by prices, which their halves go on from; only of a question of one column."""
        problem, count = self.problem, len(boxes)
        stages = staged(problem.circuit, Box(boxes.lower, boxes.upper), sums=True)
        if stages is None or rows.shape[1] != 1 or problem.rows is None:
            return boxes
        floor = self.gap(boxes.sample)[:, None]
        every, none = torch.arange(count), torch.zeros(count, dtype=torch.long)
        asked = problem.goal.specifications(problem.labels[boxes.sample], every, none, floor)
        found = search.run(stages, asked, start=boxes.prices, expired=problem.expired)
        lost = 1e-15 * (found.bound.abs() + floor[:, 0].abs())
        rows = rows.maximum((found.bound + floor[:, 0] - lost).nan_to_num(nan=-torch.inf)[:, None])
        known = boxes.known.maximum(problem.goal.least(rows))
        boxes = replace(boxes, known=known, prices=found.prices)
        shut = self.closes(rows, boxes.sample)
        self._close(boxes.select(shut))
        return boxes.select(~shut)

    def _close(self, boxes: Boxes) -> None:
        self.closed.scatter_reduce_(0, boxes.sample, boxes.known, "amin")


MOST_WAYS = 16
"""How many ways one input may be open in at a time."""


def point_bounds(problem: Problem, members: int = 0) -> Tensor:
    """Return lower bounds of the question's columns for the problem's own inputs, each alone, (batch, columns).

    Args:
        problem: of inputs in float64.
        members: of how many such inputs the question is, where these are a part of them.

    Raises:
        OverflowError: where a run may overflow.
        TimeIsUp: where the time that is given ends.
    """
    problem = replace(problem, made=problem.circuit)
    goal, owner = problem.goal, torch.arange(len(problem.labels), device=problem.labels.device)
    said, signals = Said.nothing(problem.inputs), walker(problem.circuit)
    lost, first, least = torch.zeros_like(owner, dtype=torch.bool), None, torch.empty(0)
    while len(owner):
        part = problem.subset(owner)
        found, box = signals(problem.circuit, part.inputs, said), Box(part.inputs, part.inputs)
        lower = goal.tightened(goal.read(problem.circuit, found.known, part.labels, box))
        if first is None:
            first, least = lower, torch.full_like(lower, torch.inf)
        proven = goal.holds(goal.proven(lower, part.labels))
        column = owner[proven][:, None].expand_as(lower[proven])
        least.scatter_reduce_(0, column, lower[proven], "amin")
        left = (~proven).nonzero().flatten()
        forked = found.opened[left, 0] >= 0
        lost[owner[left[~forked]]] = True
        left = left[forked]
        owner, said = owner[left].repeat(2), said.among(left).both_ways(found.opened[left])
        lost |= owner.bincount(minlength=len(lost)) > MOST_WAYS
        kept = ~lost[owner]
        owner, said = owner[kept], said.among(kept)
    assert first is not None
    return first.maximum(least.masked_fill(lost[:, None], -torch.inf))


def influence(circuit: Circuit, features: tuple[int, ...]) -> Tensor:
    """Return the sum of the moduli of the weights that each input meets first, of shape `features`."""
    with torch.enable_grad():
        inputs = torch.ones(1, *features, dtype=torch.float64, device=circuit.device, requires_grad=True)
        signal = inputs * 1.0
        for index, node in enumerate(circuit.nodes[1:]):
            if not isinstance(node, Mapped) or node.sources != (index,):
                break
            signal = node.map.to(torch.float64).absolute().linear(signal)
        (found,) = torch.autograd.grad(signal.sum(), inputs)
    return found[0]
