"""A lower bound of a margin at one leaf, exactly, at whatever prices the proof gives (Lagrangian duality).

T·(logit_y − logit_k) = Σ A[j,t]·s[j,t] + T·(b_y − b_k) with A[j,t] = W_yj − W_kj on the last spikes. For any
prices μ on a layer's currents c,

    Σ A·s = (Σ A·s − Σ μ·c) + Σ μ·c ≥ Σ_j min over neuron j's trains and currents of (Σ A·s − μ·c) + Σ μ·c,

and Σ μ·c is the same kind of sum over the spikes before, A ← Wᵀ(a·μ), plus Σ a·μ·b, down to the input box. There
it is least at a corner. The first layer's minimum is over the rows that the leaf allows, at either end of each row
(tables.py); a later layer's is a shortest path (paths.py) within the boxes that the leaf's trains leave its
currents at each step and, for the second layer, over each window of steps: one train of a neuron before it serves
all steps of a window, so the box of the window's sum is far smaller than the sum of the steps' boxes (F5). Wrong
prices can only make the bound lower, so prices need no trust.

Rounding. The run's Î is within `slack` = γ_{n+1}·(|W||x| + |b|) of the exact current of the run's own x, for any
order of summation, and c is what the run adds to λ·û, within |a|·slack + slip of a·I. So Σ|μ|·(that) is paid, and
boxes and rows are widened by it. The logits' own slack, γ_{n+T+4}, is paid at the start, so that a positive bound
is a strict order of the run's logits.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from .exact import Dyadic, Refused, exactly, greater, image, lesser, spread, whole
from .model import Affine, Arithmetic, Network, Neuron
from .paths import Boxes, cheapest, spikes
from .tables import Table, potential_bound, tie, train_table


@dataclass(frozen=True)
class Later:
    """A spiking layer behind another one, for c = v − λ·u, the scaled current that the run really added.

    Attributes:
        affine, scale: c[t] is about scale[t]·(W·s[t] + b); scale (T,).
        powers: Λ[t] = λ^(T−t), (T,).
        slack: how far c may be from that, (n, T).
        surely, perhaps: Λ·(θ + tie) and Λ·(θ − tie), (T,).
    """

    affine: Affine
    scale: Dyadic
    powers: Dyadic
    slack: Dyadic
    surely: Dyadic
    perhaps: Dyadic

    @staticmethod
    def of(affine: Affine, neuron: Neuron, arithmetic: Arithmetic) -> "Later":
        """Return the layer, whose inputs are spikes and whose neurons have a hard reset."""
        slack = current_slack(affine, whole(np.ones(affine.weight.shape[1], dtype=int)), arithmetic)
        size = abs(affine.weight).sum(1) + abs(affine.bias) + slack
        reach, steps = size.max().fraction(), len(neuron.scale)
        largest = max(map(abs, neuron.scale)) * reach
        slip = 4 * arithmetic.unit * (neuron.decay * potential_bound(neuron, reach, arithmetic) + largest)
        scale = _stack([exactly(factor) for factor in neuron.scale])
        powers = _stack([exactly(neuron.decay ** (steps - 1 - t)) for t in range(steps)])
        loose = tie(neuron, arithmetic)
        return Later(
            affine,
            scale,
            powers,
            slack.column() * abs(scale) + Dyadic.outward([slip + 8 * arithmetic.tiny], up=True),
            powers * Dyadic.outward([neuron.threshold + loose], up=True),
            powers * Dyadic.outward([neuron.threshold - loose], up=False),
        )

    @cached_property
    def inside(self) -> Dyadic:
        """Return 1 where a step lies in a window, (T, windows): windows a..t by t, then by a < t."""
        steps = len(self.powers.ints)
        return whole([[int(a <= step <= t) for t in range(steps) for a in range(t)] for step in range(steps)])

    @cached_property
    def weights(self) -> Dyadic:
        """Return Λ[t]·a[t] for the steps of each window, 0 elsewhere, (T, windows)."""
        return (self.powers * self.scale).column() * self.inside

    def boxes(
        self, certain: np.ndarray, possible: np.ndarray, sums: tuple[Dyadic, Dyadic] | None
    ) -> tuple[list[Boxes], int]:
        """Return each neuron's boxes and their power of two.

        Args:
            certain, possible: what the spikes before lie between, (m, T).
            sums: what Σ s·`weights` lies between, (m, windows), if that is known.
        """
        low, high = image(self.affine.weight, self.affine.bias, whole(certain), whole(possible))
        one, two = low * self.scale, high * self.scale
        low, high = (lesser(one, two) - self.slack) * self.powers, (greater(one, two) + self.slack) * self.powers
        ends = [low.coarse(False), high.coarse(True), self.perhaps.coarse(False), self.surely.coarse(True)]
        windows = [] if sums is None else self._windows(*sums)
        shift = max(end.shift for end in (*ends, *windows))
        lows, highs, perhaps, surely = (end.at(shift).tolist() for end in ends)
        spans = [_by_end(*pair) for pair in zip(*(end.at(shift) for end in windows), strict=True)] or [()] * len(
            lows
        )
        rows = zip(lows, highs, spans, strict=True)
        return [Boxes(low, high, surely, perhaps, span) for low, high, span in rows], shift

    def _windows(self, low: Dyadic, high: Dyadic) -> list[Dyadic]:
        """Return floor and ceiling of the sum of Λ·c over each window, (n, windows)."""
        weight, total = self.affine.weight, self.weights.sum(0)
        middle = weight @ (low + high) + self.affine.bias.column() * total * 2
        radius = spread(weight, high - low) + (self.slack * self.powers) @ self.inside * 2
        half = exactly(Fraction(1, 2))
        return [((middle - radius) * half).coarse(False), ((middle + radius) * half).coarse(True)]

    def least(self, boxes: list[Boxes], width: int, costs: Dyadic, prices: Dyadic) -> Dyadic | None:
        """Return the sum over neurons of the least Σ costs·s − Σ prices·Λ·c, or None if one has no train."""
        shift = max(costs.shift, prices.shift + width)
        factor = 1 << shift - prices.shift - width
        pairs = zip(boxes, costs.at(shift).tolist(), prices.ints.tolist(), strict=True)
        found = [cheapest(box, cost, [price * factor for price in row]) for box, cost, row in pairs]
        return None if None in found else Dyadic(np.asarray(sum(found), dtype=object), shift)  # pyright: ignore


@dataclass(frozen=True)
class Question:
    """A network over the box [low, high] of inputs, (m,)."""

    network: Network
    low: Dyadic
    high: Dyadic

    @cached_property
    def slack(self) -> Dyadic:
        """Return how far the run's first currents may be from the exact ones, (n,)."""
        size = greater(abs(self.low), abs(self.high))
        return current_slack(self.network.affine[0], size, self.network.arithmetic)

    @cached_property
    def currents(self) -> tuple[Dyadic, Dyadic]:
        """Return the box of the run's first currents, (n,) each."""
        first = self.network.affine[0]
        low, high = image(first.weight, first.bias, self.low, self.high)
        return low - self.slack, high + self.slack

    @cached_property
    def table(self) -> Table:
        """Return the trains of the first layer."""
        low, high = self.currents
        reach = greater(abs(low), abs(high)).max().fraction()
        return train_table(self.network.neurons[0], reach, self.network.arithmetic)

    @cached_property
    def rows(self) -> tuple[Dyadic, Dyadic, np.ndarray]:
        """Return both ends of each row within each neuron's currents, and whether it is in reach, (n, R) each."""
        low, high = self.currents
        low, high = greater(low.column(), self.table.low), lesser(high.column(), self.table.high)
        return low, high, low <= high

    @cached_property
    def later(self) -> tuple[Later, ...]:
        """Return the spiking layers behind the first."""
        pairs = zip(self.network.affine[1:-1], self.network.neurons[1:], strict=True)
        return tuple(Later.of(*pair, self.network.arithmetic) for pair in pairs)

    @property
    def priced(self) -> list[tuple[int, ...]]:
        """Return the shape of one leaf's prices, layer by layer."""
        widths = [layer.weight.shape[0] for layer in self.network.affine[:-1]]
        return [(widths[0],), *((width, self.network.steps) for width in widths[1:])]

    def side(self, current: Dyadic) -> np.ndarray:
        """Return which rows have their middle at or below `current`, (R,) of bool."""
        return self.table.low + self.table.high <= current * 2

    def margin(self, label: int, other: int, allowed: np.ndarray, prices: list[Dyadic]) -> Dyadic | None:
        """Return the bound of T·(logit_label − logit_other) at a leaf, or None where the leaf holds no train.

        Args:
            label, other: y and k.
            allowed: the first layer's rows, (n, R) of bool, among those in reach.
            prices: p, first layer first, shaped as `priced`; those of a later layer are to be times Λ.
        """
        if not allowed.any(1).all():
            return None
        steps, last = self.network.steps, self.network.affine[-1]
        total = (
            (last.bias[label] - last.bias[other]) - self.readout_slack(label) - self.readout_slack(other)
        ) * steps
        costs = (last.weight[label] - last.weight[other]).column() * whole(np.ones((1, steps), dtype=int))
        boxes = self.boxes(allowed)
        for layer, (box, width), price in reversed(list(zip(self.later, boxes, prices[1:], strict=True))):
            paid = price * layer.powers
            least = layer.least(box, width, costs, price)
            if least is None:
                return None
            total = total + least - (abs(paid) * layer.slack).sum()
            paid = paid * layer.scale
            total = total + (paid.sum(1) * layer.affine.bias).sum()
            costs = layer.affine.weight.T @ paid
        return total + self._first(costs, prices[0], allowed)

    def readout_slack(self, logit: int) -> Dyadic:
        """Return how far the run's logit may be from the exact one of the run's own last spikes."""
        last, arithmetic = self.network.affine[-1], self.network.arithmetic
        terms = last.weight.shape[1] + self.network.steps + 4
        size = (abs(last.weight[logit]).sum() + abs(last.bias[logit])).fraction()
        return Dyadic.outward([arithmetic.gamma(terms) * size + 4 * terms * arithmetic.tiny], up=True)[0]

    def boxes(self, allowed: np.ndarray) -> list[tuple[list[Boxes], int]]:
        """Return the boxes of each later layer, first first, for the trains that the leaf allows."""
        count = allowed.astype(int) @ self.table.trains.astype(int)
        certain, possible = (count == allowed.sum(1)[:, None]).astype(int), (count > 0).astype(int)
        found = []
        for layer in self.later:
            found.append(layer.boxes(certain, possible, self._sums(allowed) if not found else None))
            if len(found) < len(self.later):
                both = [spikes(box) for box in found[-1][0]]
                certain, possible = (np.array(part, dtype=int) for part in zip(*both, strict=True))
        return found

    @cached_property
    def _window_sums(self) -> tuple[Dyadic, Dyadic, dict[bytes, tuple[np.ndarray, np.ndarray]]]:
        """Return Σ s·weights of each row, rounded either way, (R, windows), and the ranges that are known."""
        values = whole(self.table.trains) @ self.later[0].weights
        return values.coarse(False), values.coarse(True), {}

    def _sums(self, allowed: np.ndarray) -> tuple[Dyadic, Dyadic]:
        """Return what Σ s·weights lies between for the rows that each first neuron is allowed, (n, windows)."""
        low, high, known = self._window_sums
        for rows in allowed:
            if rows.tobytes() not in known:
                known[rows.tobytes()] = low.ints[rows].min(0), high.ints[rows].max(0)
        ends = zip(*(known[rows.tobytes()] for rows in allowed), strict=True)
        one, two = (np.stack(end) for end in ends)
        return Dyadic(one, low.shift), Dyadic(two, high.shift)

    def _first(self, costs: Dyadic, price: Dyadic, allowed: np.ndarray) -> Dyadic:
        """Return the least Σ costs·s of the first layer, priced, and of the inputs behind the prices."""
        low, high, _ = self.rows
        first = self.network.affine[0]
        values = costs @ whole(self.table.trains.T) - greater(price.column() * low, price.column() * high)
        rows = zip(values.ints, allowed, strict=True)
        least = sum(min(value[chosen]) for value, chosen in rows)
        pulled = price @ first.weight
        corner = lesser(pulled * self.low, pulled * self.high).sum()
        paid = (price * first.bias).sum() - (abs(price) * self.slack).sum()
        return Dyadic(np.asarray(least, dtype=object), values.shift) + corner + paid


def current_slack(affine: Affine, size: Dyadic, arithmetic: Arithmetic) -> Dyadic:
    """Return a bound of |fl(W·x + b) − (W·x + b)| for |x| ≤ size, (n,), for any order of summation."""
    terms = affine.weight.shape[1] + 1
    sums = abs(affine.weight) @ size + abs(affine.bias)
    if sums.max().fraction() > arithmetic.largest:
        raise Refused("unknown: a current may overflow")
    gamma, least = arithmetic.gamma(terms), 4 * (terms + 1) * arithmetic.tiny
    return Dyadic.outward(
        [gamma * row.fraction() + least for row in map(sums.__getitem__, range(len(sums.ints)))], True
    )


def _by_end(floors: np.ndarray, ceilings: np.ndarray) -> list[list[tuple[int, int]]]:
    """Return a neuron's windows by their last step t, each list by the first step a < t."""
    pairs, found = list(zip(floors.tolist(), ceilings.tolist(), strict=True)), []
    while len(pairs) >= len(found):
        found.append(pairs[: len(found)])
        pairs = pairs[len(found) - 1 :]
    return found


def _stack(numbers: list[Dyadic]) -> Dyadic:
    shift = max(number.shift for number in numbers)
    return Dyadic(np.array([int(number.at(shift)) for number in numbers], dtype=object), shift)
