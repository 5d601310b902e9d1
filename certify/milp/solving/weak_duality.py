"""Bounds of linear programs that hold whatever a solver says: any multipliers give one, float64 is paid for."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ..program import Model

UNIT = 2.0**-52
"""Twice float64's unit roundoff: pays for the rounding of the error's own computation as well."""
LARGEST_MULTIPLIER = 1e100
"""No sum of such multipliers overflows."""
TINY = 1e-290
"""More than all underflows of a sum cost."""


@dataclass(frozen=True)
class WeakDual:
    """min cost·z over row_lower ≤ A·z ≤ row_upper, lower ≤ z ≤ upper, bounded from below by any multipliers y.

    For each point z of the program, with d = cost − Aᵀy,

        cost·z = d·z + y·(A·z) ≥ Σ_j min(d_j·lower_j, d_j·upper_j) + Σ_i y_i·e_i,

    e_i = row_lower_i where y_i > 0, row_upper_i elsewhere. Where a row has no such end, or a multiplier is beyond
    `LARGEST_MULTIPLIER`, it is set to 0. With cost = 0 a bound above 0 shows that there is no z.
    An entry of d is the sum of n_j + 1 terms, whose error is at most (n_j + 1)·u·Σ|terms| (u = 2⁻⁵³) in any order;
    it widens d_j, and costs at most that times max(|lower_j|, |upper_j|). The last sum pays alike.

    Args:
        model: the program; its bounds on variables are given with each question, as a search narrows them.
    """

    model: Model
    transposed: sparse.csr_array
    moduli: sparse.csr_array
    terms: np.ndarray

    @staticmethod
    def of(model: Model) -> "WeakDual":
        """Return the bounds of one program."""
        transposed = sparse.csr_array(model.rows.T)
        return WeakDual(model, transposed, abs(transposed), np.diff(transposed.indptr) + 4.0)

    def bound(self, cost: np.ndarray, multipliers: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
        """Return a lower bound of the minimum, −inf or NaN at worst.

        Args:
            cost: (n,).
            multipliers: one for each row, any numbers.
            lower: of the variables, (n,).
            upper: of the variables, (n,).
        """
        ends = np.where(multipliers > 0, self.model.row_lower, self.model.row_upper)
        usable = np.isfinite(ends) & (np.abs(multipliers) <= LARGEST_MULTIPLIER)
        y, ends = np.where(usable, multipliers, 0.0), np.where(usable, ends, 0.0)
        reduced = cost - self.transposed @ y
        error = self.terms * UNIT * (np.abs(cost) + self.moduli @ np.abs(y)) + TINY
        least = np.minimum(reduced * lower, reduced * upper)
        parts = np.concatenate([least, y * ends])
        lost = error * np.maximum(np.abs(lower), np.abs(upper))
        size = np.abs(parts).sum() + lost.sum()
        return float(parts.sum() - lost.sum() - (len(parts) + len(lost) + 4.0) * UNIT * size - TINY)
