"""Flipped events."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ....models.constants import at_least, settle
from ....models.validation import check_choice
from ...bounds.events.flips import Flips
from ...bounds.signals.windows import Box
from ..base import EventRegion, EventSet, Members, settle_where, uniform

KINDS = ("flip", "insert", "delete")


@dataclass(frozen=True, eq=False)
class SpikeFlip(EventSet):
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
        kinds = {"flip": torch.ones_like(inputs, dtype=torch.bool), "insert": inputs == 0, "delete": inputs == 1}
        return kinds[self.kind] & self.allowed(inputs)

    @property
    def norm(self) -> str:
        """Return "l0"."""
        return "l0"

    def enclosure(self, inputs: Tensor) -> Box:
        """Return what entries may be, cut with the budget of flips; the events alone for count 0.

        k flips move an input by √k in ℓ2, so a ball holds every allowed input too: for whom budgets mean nothing.
        """
        exact = inputs.double()
        if self.count == 0:
            return Box(exact, exact)
        radius = torch.tensor(math.nextafter(math.sqrt(self.count), math.inf), dtype=torch.float64)
        free = self.free(exact)
        flips = Flips(self.count, torch.where(free, 1.0 - 2.0 * exact, 0.0))
        low, high = exact.masked_fill(free, 0.0), exact.masked_fill(free, 1.0)
        return Box(low, high, exact, radius.to(inputs.device), flips)

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

    def members(self, sample: Tensor) -> Members:
        """Return all choices of entries to flip, fewest first: Σ_j C(entries, j) for j = 0..count."""
        entries = self.free(sample[None]).flatten().nonzero().flatten().tolist()
        sizes = range(min(self.count, len(entries)) + 1)

        def batches(size: int) -> Iterator[Tensor]:
            """Yield the members."""
            places = itertools.chain.from_iterable(itertools.combinations(entries, k) for k in sizes)
            while group := tuple(itertools.islice(places, size)):
                marks = _marked(group, sample.numel()).view(-1, *sample.shape)
                yield flipped(sample.double(), marks.to(sample.device))

        return Members(sum(math.comb(len(entries), k) for k in sizes), batches)

    def check(self, inputs: Tensor) -> None:
        """Raise ValueError unless every entry of `inputs` is 0 or 1, and `where` fits a sample."""
        other = inputs[(inputs != 0) & (inputs != 1)]
        if len(other):
            raise ValueError(f"inputs: got {float(other[0].detach()):g}, expected events of 0 and 1 for SpikeFlip")
        self.allowed(inputs)


def flipped(inputs: Tensor, where: Tensor) -> Tensor:
    """Return `inputs` with the chosen entries flipped."""
    return torch.where(where, 1.0 - inputs, inputs)


def _marked(places: Sequence[tuple[int, ...]], entries: int) -> Tensor:
    """Return a row for each group of places, with True there, (n, entries)."""
    rows = [row for row, group in enumerate(places) for _ in group]
    marks = torch.zeros(len(places), entries, dtype=torch.bool)
    marks[rows, list(itertools.chain.from_iterable(places))] = True
    return marks
