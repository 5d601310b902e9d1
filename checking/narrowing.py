"""What a leaf's rows of some neurons say of the currents of others, by multipliers that the proof gives.

The rows that are left to neuron k confine its exact current W_k·x + b_k to [p_k, q_k]. For s = ±1, any multipliers
ν and every input x that a run at this leaf may have,

    s·(W_m·x + b_m) ≥ s·b_m − Σ ν_k·b_k + min over all inputs of (s·W_m − Σ ν_k·W_k)·x + Σ (ν_k⁺·p_k + ν_k⁻·q_k),

ν⁺ and ν⁻ being the positive and the negative part; and where the same bound of 0 in place of s·(W_m·x + b_m) is
positive, no run is at this leaf. Wrong multipliers only make the bounds worse, so they need no trust.
"""

from dataclasses import replace

import numpy as np

from .events.inputs import Inputs
from .numbers.exact import Dyadic, Refused, greater, lesser
from .numbers.sparse import Matrix
from .short import Narrowing
from .trains.constant import Constant
from .work import spend


class OldNarrowing(Narrowing):
    def narrowed(
        self, layer: Constant, allowed: np.ndarray, inputs: Inputs, currents: tuple[Matrix, Dyadic]
    ) -> tuple[Constant, np.ndarray] | None:
        """Return the layer and the rows that are left, or None where the leaf holds no run.

        Args:
            layer: the first one.
            allowed: the leaf's rows, (n, R) of bool, some for each neuron.
            inputs: the whole set.
            currents: the exact map from inputs to currents, W and b (n, 1).

        Raises:
            Refused: for numbers that do not fit.
        """
        self._check(len(allowed))
        count, matrix, bias = len(self.neurons), *currents
        lowest, highest = _ends(layer, allowed)
        prices = Dyadic.of(self.multipliers, "a multiplier")
        zero = prices * 0
        held = greater(prices, zero) @ lowest[self.slabs] + lesser(prices, zero) @ highest[self.slabs]
        aims = self._aims(len(allowed), prices)
        costs = matrix.T @ aims
        rest = aims.T @ bias + held
        values = [
            (inputs.least(costs[:, index].column()) + rest[index, 0]).coarse(False)
            for index in range(2 * count + 1)
        ]
        if values[-1].fraction() > 0:
            return None
        return self._cut(layer, allowed, values[:count], values[count:-1])

    def _aims(self, size: int, prices: Dyadic) -> Dyadic:
        """Return s·e_m − Σ ν_k·e_k, a column for each bound, (n, 2M + 1)."""
        one, count = 1 << prices.shift, len(self.neurons)
        spend(size * (2 * count + 1), prices.shift)
        aims = np.zeros((size, 2 * count + 1), dtype=object)
        np.subtract.at(aims, self.slabs, prices.ints.T)
        for index, neuron in enumerate(self.neurons):
            aims[neuron, index] += one
            aims[neuron, count + index] -= one
        return Dyadic(aims, prices.shift)

    def _cut(
        self, layer: Constant, allowed: np.ndarray, below: list[Dyadic], above: list[Dyadic]
    ) -> tuple[Constant, np.ndarray] | None:
        slacks = [layer.slack[neuron, 0] for neuron in self.neurons]
        bounds = zip(self.neurons, slacks, below, above, strict=True)
        ends = [(neuron, least - slack, slack - most) for neuron, slack, least, most in bounds]
        shift = max([layer.low.shift, layer.high.shift, *(end.shift for _, *pair in ends for end in pair)])
        spend(2 * layer.low.shape[1] * len(ends), shift)
        low, high = layer.low.at(shift).copy(), layer.high.at(shift).copy()
        for neuron, least, most in ends:
            low[neuron] = np.maximum(low[neuron], least.at(shift))
            high[neuron] = np.minimum(high[neuron], most.at(shift))
        left = allowed & np.asarray(low <= high, dtype=bool)
        cut = replace(layer, low=Dyadic(low, shift), high=Dyadic(high, shift))
        return (cut, left) if left.any(1).all() else None

    def _check(self, size: int) -> None:
        wanted = (2 * len(self.neurons) + 1, len(self.slabs))
        if self.neurons.ndim != 1 or self.slabs.ndim != 1 or self.multipliers.shape != wanted:
            raise Refused("a leaf's multipliers have sizes that do not fit")
        for part in (self.neurons, self.slabs):
            if part.dtype.kind != "i" or (part < 0).any() or (part >= size).any():
                raise Refused(f"a leaf's multipliers are about a neuron that is none of {size}")


def _ends(layer: Constant, allowed: np.ndarray) -> tuple[Dyadic, Dyadic]:
    """Return where the exact currents lie for the rows that are allowed, (n, 1) each."""
    spend(2 * allowed.size)
    least = np.array([min(row[kept]) for row, kept in zip(layer.low.ints, allowed, strict=True)], dtype=object)
    most = np.array([max(row[kept]) for row, kept in zip(layer.high.ints, allowed, strict=True)], dtype=object)
    return (
        Dyadic(least, layer.low.shift).column() - layer.slack,
        Dyadic(most, layer.high.shift).column() + layer.slack,
    )
