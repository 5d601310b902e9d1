"""The weights of a matrix in order of their moduli, row by row: which units of a step meet the greatest ones."""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace

import numpy as np

from ..work import CALL, hold, spend
from .exact import Dyadic, whole
from .sparse import Matrix


@dataclass(frozen=True, eq=False)
class OneSign:
    """The moduli of the weights of one sign, row by row, the greatest of each row first.

    Attributes:
        rows: n.
        matrix: of these weights.
        row, column, ints: of each weight; shift: of all.
        known: what was asked of before.
    """

    rows: int
    matrix: Matrix
    row: np.ndarray
    column: np.ndarray
    ints: np.ndarray
    shift: int
    known: dict[Hashable, np.ndarray] = field(default_factory=dict)

    @staticmethod
    def of(matrix: Matrix, sign: int) -> "OneSign":
        """Return the weights of a matrix that have this sign, 1 or −1."""
        signed = matrix.ints * sign
        spend(CALL + 32 * len(signed), matrix.shift)
        kept = np.flatnonzero(np.asarray(signed > 0, dtype=bool))
        row, column, ints = matrix.row[kept], matrix.column[kept], signed[kept]
        order = np.argsort(-ints, kind="stable")
        order = order[np.argsort(row[order], kind="stable")]
        alone = Matrix(matrix.shape, row, column, ints, matrix.shift)
        return OneSign(matrix.shape[0], alone, row[order], column[order], ints[order], matrix.shift)

    def greatest(self, name: Hashable, marks: np.ndarray, step: int, most: int) -> np.ndarray:
        """Return the moduli that the units of a step meet, `most` of each row at most and 0 behind them, (n, ·).

        Args:
            name: of `marks`, by which the answer is remembered.
            marks: how many units each entry has, (m, T).
            step: the step.
            most: how many are asked for.
        """
        if (name, step, most) not in self.known:
            many = marks[self.column, step].clip(max=most)
            spend(CALL + len(many) // 4 + 2 * int(many.sum()))
            hold("changes of events", int(many.sum()))
            taken = np.repeat(np.arange(len(many)), many)
            row = self.row[taken]
            place = np.arange(len(taken)) - np.searchsorted(row, np.arange(self.rows))[row]
            kept = place < most
            width = int(place[kept].max(initial=-1)) + 1
            hold("changes of events", self.rows * width)
            spend(CALL + self.rows * width // 4)
            found = np.zeros((self.rows, width), dtype=object)
            found[row[kept], place[kept]] = self.ints[taken[kept]]
            self.known[name, step, most] = found
        return self.known[name, step, most]

    def totals(self, name: Hashable, marks: np.ndarray) -> Dyadic:
        """Return the sums of the moduli that the units of each step meet, (n, T); as `greatest`."""
        if name not in self.known:
            self.known[name] = (self.matrix @ whole(marks)).ints
        return Dyadic(self.known[name], self.shift)


@dataclass(frozen=True)
class Ranks:
    """The weights of a matrix of n rows, those above 0 and those below."""

    rows: int
    above: OneSign
    below: OneSign

    def afresh(self) -> "Ranks":
        """Return the same, of which nothing was asked yet."""
        return Ranks(self.rows, replace(self.above, known={}), replace(self.below, known={}))

    @staticmethod
    def of(matrix: Matrix) -> "Ranks":
        """Return the weights of a matrix."""
        return Ranks(matrix.shape[0], OneSign.of(matrix, 1), OneSign.of(matrix, -1))
