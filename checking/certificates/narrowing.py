"""Which multipliers of a short proof's leaf narrow currents (F8), in floats: the others need not be written."""

import numpy as np

from ..events.entering import composed
from ..kernel.contexts import Context
from ..kernel.narrowing import slab
from ..kernel.numbers import HUGE, ONE
from ..short import Narrowing
from .reach import ULP, FloatMap, floats
from .words import SHORT, near, onto_grid

Bound = tuple[int, int, dict[int, int]]
WORTH = 1e-9
"""Which part of its box a price's current must lose, at least."""


class FloatNarrowing:
    """What multipliers say of the currents of a layer that is one map of the inputs, of a box."""

    @staticmethod
    def of(context: Context, place: int) -> "FloatNarrowing | None":
        """Return that of a layer, None for other ones."""
        graph, inputs = context.nodes.graph, context.nodes.inputs
        if not (inputs.ball is None and inputs.changes is None and inputs.order is None and graph.constant[0]):
            return None
        maps, source = composed(graph), context.nodes.spiking(place).source
        currents = FloatMap.of(*maps[source]) if source in maps else None
        return None if currents is None or currents.full is None else FloatNarrowing(context, place, currents)

    def __init__(self, context: Context, place: int, currents: FloatMap) -> None:
        self.context, self.place, self.currents = context, place, currents
        inputs = context.nodes.inputs
        self.low, self.high = floats(inputs.low)[:, 0], floats(inputs.high)[:, 0]

    def told(self, narrowing: Narrowing, priced: np.ndarray) -> list[Bound]:
        """State what a leaf's multipliers prove, and return those that say more than is known.

        Args:
            narrowing: the multipliers.
            priced: whether each neuron's current has a price, so that more than its rows counts.
        """
        given = [(int(m), sign) for sign in (1, -1) for m in narrowing.neurons] + [(0, 0)]
        multipliers = np.round(narrowing.multipliers.astype(float) * 2.0**SHORT) / 2.0**SHORT
        assert len(given) == len(multipliers)
        found = list(zip(given, multipliers, self._bounds(narrowing, given, multipliers), strict=True))
        return [
            (m, sign, {int(k): near(float(nu), SHORT) for k, nu in zip(narrowing.slabs, row, strict=True) if nu})
            for (m, sign), row, bound in found
            if self._narrows(m, sign, bound, bool(priced[m]))
        ]

    def _bounds(self, narrowing: Narrowing, given: list[tuple[int, int]], multipliers: np.ndarray) -> np.ndarray:
        """Return numbers below sign·I_m, for each."""
        full, bias = self.currents.full, self.currents.bias[:, 0]
        assert full is not None
        boxes = [slab(self.context, self.place, int(k)) for k in narrowing.slabs]
        slabs = np.array([[low / ONE, high / ONE] for low, high in boxes])
        aims = np.zeros((len(given), len(full)))
        for k, column in zip(narrowing.slabs, multipliers.T, strict=True):
            aims[:, k] -= column
        for index, (m, sign) in enumerate(given):
            aims[index, m] += sign
        costs, size = aims @ full, np.abs(aims) @ np.abs(full)
        value = np.maximum(costs, 0) @ self.low + np.minimum(costs, 0) @ self.high + aims @ bias
        value += np.minimum(multipliers * slabs[:, 0], multipliers * slabs[:, 1]).sum(1)
        total = size @ np.maximum(abs(self.low), abs(self.high)) + np.abs(aims) @ np.abs(bias)
        total += np.abs(multipliers) @ np.abs(slabs).max(1)
        return value - ULP * (full.shape[0] + full.shape[1] + 8) * total

    def _narrows(self, m: int, sign: int, bound: float, priced: bool) -> bool:
        """State a bound, and return whether it says more than is known."""
        context, place = self.context, self.place
        if sign == 0:
            if bound > 0:
                context.set(context.empty, 0, True, place)
            return bound > 0
        error, exact = context.sizes.errors(place)[m], onto_grid(bound)
        low, high = (exact - error, HUGE) if sign > 0 else (-HUGE, error - exact)
        box, rows = context.currents[place][m], context.rows[place][m]
        cut = max(low, box[0]), min(high, box[1])
        left = context.reached(place, cut, rows)
        if left == rows and not (priced and box[1] - box[0] - cut[1] + cut[0] > WORTH * (box[1] - box[0])):
            return False
        context.set(context.currents[place], m, cut, place)
        context.leave(place, m, left)
        return True
