"""The weighted sums over time that bounds of windows follow of each signal."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ...certify.bounds.signals.membrane import window_rows
from ...models.rules import Leaky


def first_of(step: int) -> int:
    """Return where the windows that end with `step`, from 1, begin in a packed array: those from 0 on."""
    return step * (step - 1) // 2


@dataclass(frozen=True)
class WindowRows:
    """R rows of weights over T steps, all at least 0.

    For each decay λ the T(T + 1)/2 windows (a, t], 0 ≤ a < t ≤ T, packed by their ends and then by their starts,
    with the weights λ^(t−k) of their steps k; and last the mean, 1/T at each step.

    >>> WindowRows.of({0.5}, 2).weights
    tensor([[1.0000, 0.0000],
            [0.5000, 1.0000],
            [0.0000, 1.0000],
            [0.5000, 0.5000]])
    """

    decays: tuple[float, ...]
    num_steps: int
    spans: tuple[tuple[int, int], ...]
    weights: Tensor

    @staticmethod
    def of(decays: Iterable[float], num_steps: int, like: Tensor | None = None) -> "WindowRows":
        """Return the rows for neurons of these decays, of the type and on the device of `like`."""
        known, like = tuple(sorted(decays)), torch.zeros(()) if like is None else like
        starts, ends = torch.ones(num_steps, num_steps).triu().nonzero(as_tuple=True)
        packed = ends.argsort(stable=True)
        spans = list(zip(starts[packed].tolist(), (ends[packed] + 1).tolist(), strict=True))
        rows = [window_rows(num_steps, Leaky(decay))[0][packed] for decay in known]
        mean = torch.full((1, num_steps), 1.0 / num_steps, dtype=torch.float64)
        told = (*(spans * len(known)), (0, num_steps))
        return WindowRows(known, num_steps, told, torch.cat((*rows, mean)).to(like))

    def of_decay(self, decay: float) -> slice:
        """Return which rows are the windows of λ."""
        count = first_of(self.num_steps + 1)
        start = self.decays.index(decay) * count
        return slice(start, start + count)

    @cached_property
    def single(self) -> list[int]:
        """Return the rows of the steps t = 1..T alone, in order."""
        return [first_of(step) + step - 1 for step in range(1, self.num_steps + 1)]

    @cached_property
    def totals(self) -> Tensor:
        """Return the sum of each row's weights, (R,)."""
        return self.weights.sum(1)

    def sums(self, steps: Tensor) -> Tensor:
        """Return Σ_t w[r, t]·x[t], (R, ...), for steps (T, ...)."""
        return torch.einsum("rt,t...->r...", self.weights, steps)
