"""The rows of a table as short proofs name them."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..kernel.numbers import GRID, Box
from ..kernel.tables import Train
from ..network.neurons import Neuron as Described
from ..numbers.arithmetic import Arithmetic
from ..numbers.exact import Dyadic
from ..trains.tables import train_table


@dataclass(frozen=True)
class ShortRows:
    """The rows of a table as short proofs order them, by their middles: a split names a current between two."""

    trains: list[Train]
    middles: list[Fraction]
    ends: list[tuple[Fraction, Fraction]]

    @staticmethod
    def of(neuron: Described, currents: list[Box], arithmetic: Arithmetic) -> "ShortRows":
        """Return those of neurons with these currents."""
        low, high = (
            Dyadic(np.array([[end] for end in ends], dtype=object), GRID) for ends in zip(*currents, strict=True)
        )
        table = train_table(neuron, low, high, arithmetic)
        ends = list(zip(table.low.fractions(), table.high.fractions(), strict=True))
        return ShortRows(
            [tuple(map(int, train)) for train in table.trains], [(low + high) / 2 for low, high in ends], ends
        )

    def place(self, train: Train, box: Box) -> int:
        """Return which of them a row of the kernel's table is part of."""
        middle = Fraction(sum(box), 2 << GRID)
        rows = [row for row, other in enumerate(self.trains) if other == train]
        return min(rows, key=lambda row: max(self.ends[row][0] - middle, middle - self.ends[row][1]))
