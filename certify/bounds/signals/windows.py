"""Sums over windows, Σ_{a<k≤t} w[t−k]·f[k]·x[k]: how they are asked of a signal, step by step.

A window is (a, t]; those of one end t share the weights of their steps, so one walk back from t finds them all.
They are asked for in blocks of ends: of hundreds of steps, all windows at once would not fit memory.

Sets of values: a box per sample, optionally cut with a Euclidean ball and with a budget of changed events.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

from ....models.rules import Leaky
from ..events.flips import Budget


@dataclass(frozen=True)
class Box:
    """{x : lower ≤ x ≤ upper}, and ‖x − center‖₂ ≤ ball per sample where a ball is given, and at most so
    many changes of the events `center` where a budget is given.

    Attributes:
        lower, upper: (batch, ...) or (rows, batch, ...).
        center: the ball's center, with the shape of `lower`, or None.
        ball: its radius, one number or (rows,), or None.
        budget: of changes, or None; it needs a center, the events (or what the rows make of them).
    """

    lower: Tensor
    upper: Tensor
    center: Tensor | None = None
    ball: Tensor | None = None
    budget: Budget | None = None

    def __getitem__(self, row: int) -> "Box":
        """Return the box of one row, without its ball and its budget."""
        return Box(self.lower[row], self.upper[row])

    @property
    def middle(self) -> Tensor:
        """Return (lower + upper)/2."""
        return (self.lower + self.upper).mul_(0.5)

    @property
    def radius(self) -> Tensor:
        """Return (upper − lower)/2."""
        return (self.upper - self.lower).mul_(0.5)

    @property
    def spread(self) -> "Spread":
        """Return middle and radius."""
        return Spread(self.middle, self.radius)

    @property
    def magnitude(self) -> Tensor:
        """Return max |x| over the box."""
        return self.upper.maximum(-self.lower)

    def outward(self, dtype: torch.dtype) -> "Box":
        """Return a box in `dtype`, float32 or float64, that holds this one; ball and budget are left out.

        Each end rounds to x̂ with |x̂ − x| ≤ u·|x| + 2^−150, and moves out by 4u·|x̂| + 2^−100, which pays for that
        and for the rounding of the move itself. No end becomes subnormal, which products would be slow with.

        >>> box = Box(torch.tensor([0.1], dtype=torch.float64), torch.tensor([0.1], dtype=torch.float64))
        >>> bool((box.outward(torch.float32).lower < box.lower) & (box.outward(torch.float32).upper > box.upper))
        True
        """
        lower, upper = self.lower.to(dtype), self.upper.to(dtype)
        return Box(lower - _step(lower), upper + _step(upper))

    def scaled(self, factors: Tensor) -> "Box":
        """Return the box of factors[k]·x for each k: (batch, ...) → (k, batch, ...)."""
        factors = factors.reshape(-1, *([1] * self.lower.dim()))
        one, other = factors * self.lower, factors * self.upper
        return Box(one.minimum(other), one.maximum(other))

    def combined(self, rows: Tensor) -> "Box":
        """Return the box of Σ_t rows[k,t]·x[t] for independent x[t], (k, ...), in the dtype of `rows`."""
        positive, negative = rows.clamp_min(0), rows.clamp_max(0)
        low, high = self.lower.to(rows.dtype), self.upper.to(rows.dtype)
        lower = torch.tensordot(positive, low, 1) + torch.tensordot(negative, high, 1)
        upper = torch.tensordot(positive, high, 1) + torch.tensordot(negative, low, 1)
        return Box(lower, upper)

    def intersection(self, other: "Box") -> "Box":
        """Return the box of what lies in both; empty where an end passes the other."""
        return Box(self.lower.maximum(other.lower), self.upper.minimum(other.upper))

    def __add__(self, other: "Box") -> "Box":
        """Return the box of x + y for independent x and y."""
        return Box(self.lower + other.lower, self.upper + other.upper)


@dataclass(frozen=True)
class Spread:
    """{x : |x − middle| ≤ radius}: a box as its products with W and |W| want it.

    Made from a box, middle and radius carry one rounding each, which the affine layer pays for (see rounding.py).

    Attributes:
        middle, radius: (rows, batch, ...).
    """

    middle: Tensor
    radius: Tensor

    @property
    def box(self) -> Box:
        """Return the ends, each with one rounding."""
        return Box(self.middle - self.radius, self.middle + self.radius)


def _step(ends: Tensor) -> Tensor:
    return ends.abs().mul_(2 * torch.finfo(ends.dtype).eps).add_(2.0**-100)


@dataclass(frozen=True)
class Spans:
    """The windows (a, t] of at most L steps: t − L ≤ a < t, a ≥ 0.

    Attributes:
        ages: w[0..L−1], what a step counts that is so many steps old, (L,), float64.
        factors: f[1..T], (T,), float64.
    """

    ages: Tensor
    factors: Tensor

    @staticmethod
    def of(rule: Leaky, steps: int, longest: int | None = None) -> "Spans":
        """Return the windows of what `rule` sums up: w[j] = λ^j, f = a."""
        length = steps if longest is None else min(longest, steps)
        ages = rule.decay ** torch.arange(length, dtype=torch.float64)
        return Spans(ages, torch.tensor(rule.factors(steps), dtype=torch.float64))

    @property
    def longest(self) -> int:
        """Return L."""
        return len(self.ages)

    @property
    def num_steps(self) -> int:
        """Return T."""
        return len(self.factors)

    @cached_property
    def weights(self) -> Tensor:
        """Return Σ_{j≤i} w[j], (L,): what a window of i + 1 steps counts in all, without factors."""
        return self.ages.cumsum(0)

    def lengths(self, ends: range) -> list[int]:
        """Return how many windows each end has: their lengths are 1, 2, …"""
        return [min(end, self.longest) for end in ends]

    def places(self, ends: range) -> tuple[Tensor, Tensor]:
        """Return the end t, and the length less 1, of each window of `ends`, in order, (windows,) each."""
        lengths = self.lengths(ends)
        sizes = torch.tensor(lengths, dtype=torch.long)
        last = torch.arange(ends.start, ends.stop).repeat_interleave(sizes)
        return last, torch.cat([torch.arange(0), *(torch.arange(length) for length in lengths)])

    def rows(self, ends: range) -> Tensor:
        """Return each window of `ends` as a row of T weights: end by end, the shortest first, (windows, T)."""
        last, age = self.places(ends)
        before = last[:, None] - torch.arange(1, self.num_steps + 1)
        inside = (before >= 0) & (before <= age[:, None])
        return torch.where(inside, self.ages[before.clamp(0, self.longest - 1)], 0.0) * self.factors

    def sums(self, ends: range) -> tuple[Tensor, Tensor]:
        """Return Σ_k of each window's row, and of its moduli, (windows,) each."""
        steps = torch.tensor(list(ends))[:, None] - torch.arange(self.longest)  # by end and age
        each = self.ages * torch.where(steps > 0, self.factors[steps.clamp_min(1) - 1], 0.0)
        kept = steps > 0
        return each.cumsum(1)[kept], each.abs().cumsum(1)[kept]

    def totals(self, values: Tensor, ends: range) -> Tensor:
        """Return Σ_k of each window's row times values[k], by a walk back from each end, (windows, ...)."""
        found = []
        for end, length in zip(ends, self.lengths(ends), strict=True):
            weights = (self.ages[:length] * self.factors[end - length : end].flip(0)).to(values)
            walk = values[end - length : end].flip(0) * weights.view(-1, *([1] * (values.dim() - 1)))
            found.append(walk.cumsum(0))
        return torch.cat(found)

    @property
    def absolute(self) -> "Spans":
        """Return the windows of moduli."""
        return Spans(self.ages.abs(), self.factors.abs())

    def blocks(self, numbers: int) -> Iterator[range]:
        """Yield blocks of ends 1..T of at most about so many windows each."""
        size = max(1, numbers // self.longest)
        for start in range(1, self.num_steps + 1, size):
            yield range(start, min(start + size, self.num_steps + 1))

    def later(self, waits: int) -> "Spans":
        """Return what these windows are of x where the signal is y[t] = x[t−d]: step k counts f[k+d]."""
        waits = min(waits, self.num_steps)
        return Spans(self.ages, torch.cat((self.factors[waits:], self.factors.new_ones(waits))))

    def through(self, decay: float) -> "tuple[Spans, Tensor]":
        """Return what windows of i[t] = κ·i[t−1] + x[t] are of x, and what i[a] counts in that of n steps, (L,).

        In (a, t], i[k] = κ^{k−a}·i[a] + Σ_{a<m≤k} κ^{k−m}·x[m]: so x[m] counts Σ_{i≤t−m} w[i]·κ^{t−m−i}, and i[a]
        counts Σ_{i<n} w[i]·κ^{n−i}. For factors of 1.
        """
        index = torch.arange(self.longest, dtype=torch.float64)
        powers = torch.where(index[:, None] >= index, decay ** (index[:, None] - index).clamp_min(0), 0.0)
        ages = powers @ self.ages
        return Spans(ages, self.factors), ages * decay


def delayed(known: Callable[[Spans, range], Box], asked: Spans, ends: range, waits: int) -> Box:
    """Return the windows of y[t] = x[t−d] by those of x: (a, t] is (a − d, t − d] of x, and y[t] = 0 for t ≤ d.

    Args:
        known: gives the windows of x.
        asked, ends: the windows of y.
        waits: d.
    """
    sooner = range(max(1, ends.start - waits), max(2, ends.stop - waits))
    box = known(asked.later(waits), sooner)
    last, age = asked.places(ends)
    last = last - waits
    begin = torch.tensor([0, *accumulate(asked.lengths(sooner))])
    place = begin[(last - sooner.start).clamp_min(0)] + age.minimum(last - 1).clamp_min(0)
    place, silent = place.to(box.lower.device), (last < 1).to(box.lower.device)
    silent = silent.view(-1, *([1] * (box.lower.dim() - 1)))
    return Box(box.lower[place].masked_fill(silent, 0.0), box.upper[place].masked_fill(silent, 0.0))
