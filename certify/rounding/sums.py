"""What sums may stray by, in the run and in the bound: of products, of two signals, and over time.

γ_n·Σ|terms| in any order of summation (units.py). A weighted sum over time, Σ_t r[t]·x[t], with rows of powers,
takes in run and bound at most 3T + 2 roundings for the powers and the recursion that stands for them and T for the
sum: γ_{4T+8}. Behind an affine layer of n terms those come on top of n.

**Zeros round nothing.** Of the n products of an output let all but k be of an x that is 0, with finite weights.
Then γ_{k+1}·(Σ|w||x| + |b|) bounds what the run strays by, in any order, blocking or padding by zeros, with fused
multiply-adds or without. *Proof:* such a run is a tree: its leaves are the products, the bias and the zeros that
blocks are filled with, its inner nodes are additions. fl(w·0) = 0, fl(a + 0) = a and fma(w, 0, a) = a, up to the
sign of a zero, which no sum tells. So a node rounds only if leaves that may be other than 0 lie below both of its
sides. There are at most k + 1 of them; on its way to the root each meets at most k nodes that round, since every
such node brings in another one, and a product is rounded once before: at most k + 1 factors 1 + δ, |δ| ≤ u
(Higham, 2002, lemma 3.1). ∎ Of a spike's products, w·1, not even that one rounds. `product_error` pays for k + 2,
as for n.

x is 0 where a bound of its modulus is. A step's own bound serves where a layer that fires follows, for that is run
step by step; where none does, a run may take the mean over time before the map: a bound for all steps is due.
"""

from typing import overload

import torch
from torch import Tensor

from .units import Rounding


def over_time(num_steps: int) -> int:
    """Return 4T + 8, the roundings that a weighted sum over time adds to each of its terms."""
    return 4 * num_steps + 8


def over_rows(num_steps: int) -> int:
    """Return 4T + 4, those of rows and their sum where what is read of it pays for the rest (readouts.py)."""
    return 4 * num_steps + 4


@overload
def product_error(terms: int, rounding: Rounding, further: int = 0) -> float: ...
@overload
def product_error(terms: Tensor, rounding: Rounding, further: int = 0) -> Tensor: ...
def product_error(terms: int | Tensor, rounding: Rounding, further: int = 0) -> float | Tensor:
    """Return γ for an affine output of n = `terms` products, and `further` roundings of a sum over time.

    Only products that may be other than 0 count; outputs that have different numbers of them have a γ each.
    """
    return rounding.gamma(terms + further)


def own_error(terms: int) -> float:
    """Return γ for n = `terms` roundings of a bound's own float64, where the run's are paid elsewhere."""
    return Rounding(torch.float64).gamma(terms)


def lost_products(terms: int, largest: float, reach: float, rounding: Rounding) -> float:
    """Return what underflow may take from n products: of each, of its weight ≤ `largest`, of its x ≤ `reach`."""
    return rounding.smallest * terms * (1.0 + reach + largest)


def widened(exact: Tensor, terms: int, rounding: Rounding) -> Tensor:
    """Return a bound of the run's moduli from the exact Σ|w||x| + |b|."""
    return exact * (1.0 + rounding.gamma(terms + 4))


def sum_magnitude(one: Tensor, other: Tensor, rounding: Rounding) -> Tensor:
    """Return a bound of the run's |x + y|, from those of |x| and |y|."""
    return (one + other) * (1.0 + rounding.gamma(2))


def sum_slack(magnitude: Tensor, num_steps: int, rounding: Rounding) -> Tensor:
    """Return what a sum of two signals adds, at each step and in a sum over time, to each unit of weight."""
    return magnitude * rounding.gamma(num_steps + 2)


def weighted_slack(magnitude: Tensor, num_steps: int, rounding: Rounding, further: int = 0) -> Tensor:
    """Return what a weighted sum over time adds to each unit of weight, for signals up to `magnitude`."""
    return magnitude * rounding.gamma(over_time(num_steps) + further)
