"""How far floating-point arithmetic may stray: what makes a verdict hold for the network as it runs.

With unit roundoff u, a dot product of n terms computed in any order of summation, with or without fused
multiply-add, errs by at most γ_n·Σ|w||x|, γ_n = n·u/(1 − n·u) (Higham, 2002, section 3.1). Each bound is
widened by that error twice over: once for the network's run in its own dtype, and four times for the bound's own
rounding, which is float64's, or float32's where a first look is to be cheap: the same proof, a wider bound.

Why four times is enough, for one affine layer on a box [l, u]: middle m and radius r each take one rounding, and
their products with W and |W| at most γ_n·|W||m| and γ_n·|W||r|, where |m| + r ≤ max(|l|, |u|), the magnitude that
γ is multiplied with. The sums with bias and slack, the two ends and the slack's own products take the rest:
n + 10 roundings at most, of the 4·(n + 2) that are paid. Where only k products may be other than 0, the bound's
own are 0 at the others, too, and k stands for n; for k = 0 only the slack and the two ends round, and 8 are paid.
"""

import math
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor

from ...models.circuit import Circuit


@dataclass(frozen=True)
class Rounding:
    """The floating-point type that a network runs in, and the one its bound is computed in, as constants.

    Attributes:
        dtype: of the run.
        bound: of the bound; it must hold the run's numbers exactly.
        whole: whether all numbers are whole, so that none rounds: see models/circuit/whole.py.
        factor, stray: of what a converted network carries of its source (models/source.py).
    """

    dtype: torch.dtype
    bound: torch.dtype = torch.float64
    whole: bool = False
    factor: float = 1.0
    stray: float = 0.0

    @staticmethod
    def of(circuit: Circuit) -> "Rounding":
        """Return that of a circuit's run, and of its source's."""
        allowed = circuit.allowance
        return Rounding(circuit.dtype, whole=circuit.whole, factor=allowed.factor, stray=allowed.stray)

    @property
    def unit(self) -> float:
        """Return F·u_run + 4·u_bound: the relative error of one operation, in the run and in the bound."""
        if self.whole:
            return 0.0
        return self.factor * torch.finfo(self.dtype).eps / 2 + 4 * torch.finfo(self.bound).eps / 2

    @property
    def smallest(self) -> float:
        """Return an absolute error that covers underflow of one step, flushing to zero included."""
        if self.whole:
            return 0.0
        return 8 * torch.finfo(self.dtype).tiny + 16 * torch.finfo(self.bound).tiny

    @property
    def largest(self) -> float:
        """Return the magnitude above which the run may overflow, or whole numbers no longer be exact."""
        return 2.0**51 if self.whole else torch.finfo(self.dtype).max / 8

    @overload
    def gamma(self, terms: int) -> float: ...
    @overload
    def gamma(self, terms: Tensor) -> Tensor: ...
    def gamma(self, terms: int | Tensor) -> float | Tensor:
        """Return γ_terms for the run and the bound together; of each of many numbers of terms, float64.

        Raises:
            OverflowError: where terms·u ≥ 1/2: nothing can be said of so long a sum.
        """
        product: float | Tensor = (terms + 2) * self.unit
        if not float(product.max() if isinstance(product, Tensor) else product) < 0.5:
            raise OverflowError(f"terms: a sum of {terms} terms in {self.dtype} has no useful error bound")
        return product / (1.0 - product)


def euclidean(values: Tensor, dim: int) -> Tensor:
    """Return at least the Euclidean length along `dim`, up to relative rounding: squares may vanish, so each pays.

    >>> bool(euclidean(torch.tensor([3e-200], dtype=torch.float64), 0) >= 3e-200)
    True
    """
    return (values.square().sum(dim) + values.shape[dim] * torch.finfo(values.dtype).tiny).sqrt()


def above(value: float) -> float:
    """Return `value` moved up by four units in the last place."""
    return value + 4 * math.ulp(value)


def below(value: float) -> float:
    """Return `value` moved down by four units in the last place."""
    return value - 4 * math.ulp(value)
