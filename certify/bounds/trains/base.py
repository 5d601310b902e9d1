"""One face for what stands behind a layer that fires: a set of spike trains that holds those of every run.

A family of trains says where they lie (`steps`, `combine`: see signals.py). It may say more; what it
does not say has a default here, or in signals.py, that claims nothing. What a reader in another folder makes of a
family is a function of its type, in one table there, and trains that are not in it are refused:

    priced (prices/priced_layer.py), gain_rows (prices/gain_rows.py), tight_spikes (milp/encoding.py),
    root (branching/nodes/decisions.py).
"""

from collections.abc import Callable
from functools import cached_property

from torch import Tensor

from ....models.rules import Leaky
from ...rounding import Rounding
from ..signals.signals import Signal
from .forms import TrainPaths, TrainRows


class Trains(Signal):
    """The spike trains that the neurons of a layer may have."""

    constant = False
    binary = True
    priced = False
    """Whether prices on the currents in front of a layer reach its trains."""

    def magnitude(self) -> Tensor:
        """Return 1 where a neuron may fire at some step, and 0 elsewhere."""
        return self._fires

    @cached_property
    def _fires(self) -> Tensor:
        return self.steps().upper.amax(0).clamp(0, 1)

    @property
    def rows(self) -> TrainRows | None:
        """Return the rows of a table that the trains are (F1); None where they are none."""
        return None

    @property
    def paths(self) -> TrainPaths | None:
        """Return the paths of a graph that the trains are (F2); None where they are none."""
        return None

    @property
    def price_steps(self) -> int:
        """Return how many prices a neuron has: on its one current, or on each step's."""
        return self.num_steps if self.rows is None else 1

    @property
    def price_numbers(self) -> int:
        """Return about how many numbers a neuron's trains take with prices: by row, or by edge and segment."""
        return self.num_steps**2 * (self.num_steps + 8) if self.rows is None else 8 * len(self.rows.table.lower)

    def priceable(self, decay: float) -> bool:
        """Return whether prices may differ from 0, for neurons of this decay."""
        return self.priced


TrainBound = Callable[[Signal, Leaky, Rounding], Trains]
"""Turns what is known of a layer's input currents into the trains that its neurons may have."""
