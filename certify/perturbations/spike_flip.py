"""Flipped events."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.constants import at_least, settle
from ..bounds.box import Box
from ..bounds.flips import Flips
from .base import Perturbation
from .members import Members
from .shapes import uniform


@dataclass(frozen=True)
class SpikeFlip(Perturbation):
    """{x̃ ∈ {0,1}ⁿ : x̃ differs from x in at most `count` entries}, for event inputs (batch, T, ...) of 0 and 1.

    A flip inserts an event where there was none, or deletes one.

    Args:
        count: the budget of flips per sample, over all steps and features, ≥ 0.

    Raises:
        TypeError: for a count that is no integer.
        ValueError: for a count below 0.

    >>> SpikeFlip(1).contains(torch.tensor([[[1.0], [1.0]]]), torch.tensor([[[1.0], [0.0]]]))
    tensor([True])
    """

    count: int

    def __post_init__(self) -> None:
        settle(self, at_least(0), "count")

    @property
    def norm(self) -> str:
        """Return "l0"."""
        return "l0"

    def enclosure(self, inputs: Tensor) -> Box:
        """Return [0, 1]ⁿ cut with the budget of flips; the events alone for count 0.

        k flips move an input by √k in ℓ2, so a ball holds every allowed input too: for whom budgets mean nothing.
        """
        exact = inputs.double()
        if self.count == 0:
            return Box(exact, exact)
        radius = torch.tensor(math.nextafter(math.sqrt(self.count), math.inf), dtype=torch.float64)
        flips = Flips(self.count, 1.0 - 2.0 * exact)
        return Box(torch.zeros_like(exact), torch.ones_like(exact), exact, radius.to(inputs.device), flips)

    def project(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return the nearest allowed input: flip what moves over half of the way, the `count` furthest only."""
        change = ((candidates - inputs) * (1.0 - 2.0 * inputs)).nan_to_num(0.0).flatten(1)
        greatest = change.topk(min(self.count, change.shape[1]), dim=1)
        flips = torch.zeros_like(change).scatter(1, greatest.indices, (greatest.values > 0.5).to(change.dtype))
        return flipped(inputs, flips.reshape(inputs.shape) > 0)

    def contains(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Count the entries that differ."""
        binary = ((candidates == 0) | (candidates == 1)).flatten(1).all(1)
        return binary & ((candidates != inputs).flatten(1).sum(1) <= self.count)

    def sample(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Flip `count` random entries (all of them, where there are fewer)."""
        order = uniform(inputs, generator).flatten(1).argsort(1)
        flips = order.argsort(1) < self.count
        return flipped(inputs, flips.reshape(inputs.shape))

    def members(self, sample: Tensor) -> Members:
        """Return all choices of entries to flip, fewest first: Σ_j C(entries, j) for j = 0..count."""
        entries = sample.numel()
        sizes = range(min(self.count, entries) + 1)

        def batches(size: int) -> Iterator[Tensor]:
            """Yield the members."""
            places = itertools.chain.from_iterable(itertools.combinations(range(entries), k) for k in sizes)
            while group := tuple(itertools.islice(places, size)):
                yield flipped(sample.double(), _marked(group, entries).view(-1, *sample.shape).to(sample.device))

        return Members(sum(math.comb(entries, k) for k in sizes), batches)

    def check(self, inputs: Tensor) -> None:
        """Raise ValueError unless every entry of `inputs` is 0 or 1."""
        other = inputs[(inputs != 0) & (inputs != 1)]
        if len(other):
            raise ValueError(f"inputs: got {float(other[0].detach()):g}, expected events of 0 and 1 for SpikeFlip")


def flipped(inputs: Tensor, where: Tensor) -> Tensor:
    """Return `inputs` with the chosen entries flipped."""
    return torch.where(where, 1.0 - inputs, inputs)


def _marked(places: Sequence[tuple[int, ...]], entries: int) -> Tensor:
    """Return a row for each group of places, with True there, (n, entries)."""
    rows = [row for row, group in enumerate(places) for _ in group]
    marks = torch.zeros(len(places), entries, dtype=torch.bool)
    marks[rows, list(itertools.chain.from_iterable(places))] = True
    return marks
