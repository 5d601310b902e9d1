"""Bounds of windows of time that training can differentiate: hard resets behind any layers (F5).

Of each signal the ends of weighted sums over time are followed, one for each window (a, t] of steps with the
weights λ^(t−k), and the mean: what a neuron adds up from one spike to the next is such a sum. An affine map
takes a whole row at once, W·m + w·b ± |W|·r for the row's sum of weights w: its radius is that of the sum, and
not the sum of the steps' radii. Behind neurons the ends of rows are those over all trains that the graph of
window_spikes.py holds; and behind a constant current, over the trains of F1: first spike at k, then every k
steps, for all k from that of the high end to that of the low end.

Where only steps are known (a filter, a max pool, changed events) rows are sums of their ends. The arithmetic is
the network's own, without rounding slack: for training, not for proofs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...models.circuit import Added, Algebra, Circuit, Filtered, Fired, Input, Mapped, Pooled, Read
from ...models.dynamics import Dynamics
from ...models.elements.neurons import LIF
from ...models.rules import Leaky, Rule
from ...models.running.compiled import kernel_for
from .affine_ends import affine_ends
from .event_ends import EventBall, events_behind
from .firing import fire
from .valued import Valued
from .window_rows import WindowRows, first_of
from .window_spikes import WindowSpikes


@dataclass(frozen=True)
class WindowEnds:
    """Ends of a signal's rows, (2, R, batch, ...), or of one that is `constant` over time, (2, 1, batch, ...).

    `ball` is what else is known of events that enter the first layer; the ends are then those of single steps.
    """

    rows: Tensor
    constant: bool = False
    ball: EventBall | None = None


@dataclass(frozen=True)
class WindowSums(Algebra[WindowEnds]):
    """The rows of each signal."""

    reader: ClassVar[str] = 'the bounds "windows" of training'
    rules: ClassVar[tuple[type[Rule], ...]] = (Leaky,)

    source: WindowEnds
    family: WindowRows

    def input(self, node: Input) -> WindowEnds:
        """Return the ends of the input."""
        return self.source if self.source.constant or self.source.ball else self._summed(self.source.rows)

    def mapped(self, node: Mapped, x: WindowEnds) -> WindowEnds:
        """Return the ends behind an affine map."""
        if x.ball is not None:
            *both, ball = events_behind(node.map, x.rows[0], x.rows[1], x.ball)
            steps = torch.stack(both)
            return self._summed(steps) if ball is None else WindowEnds(steps, ball=ball)
        ends = affine_ends(node.map, x.rows)
        if x.constant:
            return WindowEnds(ends, constant=True)
        bias = node.map.apply(x.rows.new_zeros((1, *x.rows.shape[3:]))).to(ends.dtype)
        return WindowEnds(ends + _along(self.family.totals - 1.0, ends) * bias)

    def pooled(self, node: Pooled, x: WindowEnds) -> WindowEnds:
        """Return the maxima of the ends of steps."""
        return self._stepwise(x, lambda end: node.windows.largest(end.flatten(0, 1)).unflatten(0, end.shape[:2]))

    def filtered(self, node: Filtered, x: WindowEnds) -> WindowEnds:
        """Return the filtered ends of steps: no weight of a filter is below 0."""
        steps = x.rows if x.constant else self._steps(x)
        found = [node.filter.run(end, node.filter.start(end), self.family.num_steps)[0] for end in steps]
        return self._summed(torch.stack(found))

    def added(self, node: Added, x: WindowEnds, y: WindowEnds) -> WindowEnds:
        """Return the sum."""
        if x.constant and y.constant:
            return WindowEnds(x.rows + y.rows, constant=True)
        return WindowEnds(self.rows_of(x) + self.rows_of(y))

    def fired(self, node: Fired, x: WindowEnds) -> WindowEnds:
        """Return the ends of the spikes' rows.

        Raises:
            ValueError: for a neuron that does not reset to 0, or whose currents are scaled over time.
        """
        rule, layer = node.rule, node.layer
        assert isinstance(rule, Leaky)
        assert isinstance(layer, LIF)
        if rule.reset != "zero" or rule.scale is not None:
            told = f"a {rule.reset!r} reset" + (" and an input scale" if rule.scale is not None else "")
            raise ValueError(
                f'bounds: got "windows" for {node.name}, {told}, expected to reset to 0, and no scale'
            )
        if x.constant:
            return WindowEnds(periodic_rows(layer, x.rows.squeeze(1), self.family))
        windows = x.rows[:, self.family.of_decay(rule.decay)]
        kernel = kernel_for(layer.kernel, windows, None)
        return WindowEnds(WindowSpikes.apply(windows, layer.dynamics, self.family, kernel))  # type: ignore[arg-type]

    def read(self, node: Read, x: WindowEnds) -> WindowEnds:
        """Return the row that the readout reads, (2, 1, batch, ...): the mean, or the last potential.

        Raises:
            ValueError: for a potential of currents that are scaled over time.
        """
        if node.rule is None:
            return x if x.constant else WindowEnds(x.rows[:, -1:], constant=True)
        assert isinstance(node.rule, Leaky)
        if node.rule.scale is not None:
            raise ValueError('bounds: got "windows" and a potential with an input scale, expected none')
        whole = self.family.of_decay(node.rule.decay).start + first_of(self.family.num_steps)
        return WindowEnds(self.rows_of(x)[:, whole : whole + 1], constant=True)

    def rows_of(self, x: WindowEnds) -> Tensor:
        """Return all rows of a signal, (2, R, batch, ...)."""
        return x.rows * _along(self.family.totals, x.rows) if x.constant else x.rows

    def _steps(self, x: WindowEnds) -> Tensor:
        """Return the ends of single steps, (2, T, batch, ...)."""
        return x.rows[:, self.family.single]

    def _summed(self, steps: Tensor) -> WindowEnds:
        return WindowEnds(self.family.sums(steps))

    def _stepwise(self, x: WindowEnds, function: Callable[[Tensor], Tensor]) -> WindowEnds:
        """Return what a function that keeps the order makes of the ends of each step."""
        if x.constant:
            return WindowEnds(torch.stack([function(end) for end in x.rows]), constant=True)
        return self._summed(torch.stack([function(end) for end in self._steps(x)]))


def window_rows(made: Circuit, like: Tensor) -> WindowRows:
    """Return the rows that the neurons of a circuit ask for, of the type and on the device of `like`."""
    decays = {node.rule.decay for node in made.spiking if isinstance(node.rule, Leaky)}
    return WindowRows.of(decays or {1.0}, made.num_steps, like)


def periodic_rows(neuron: LIF, current: Tensor, family: WindowRows) -> Tensor:
    """Return the exact ends of a hard reset's rows under a constant current, for its ends (2, batch, ...).

    The first spike is at the least k with α_k·I ≥ θ, α_k = Σ_{i<k} λ^i (k = T + 1: none), and the train repeats.
    k does not grow with I: the trains of I in [l, u] are those from k(u) to k(l). The gradient is that of the two
    trains at the ends.
    """
    periods = _periods(current, neuron.dynamics, family.num_steps)
    low, high = _extremes(family)
    place = periods[1] * (family.num_steps + 1) + periods[0]
    exact = torch.stack([table[:, place.flatten()].unflatten(1, place.shape) for table in (low, high)])
    trains = torch.stack([neuron(end[None], family.num_steps) for end in current])
    return Valued.apply(family.sums(trains), exact)  # type: ignore[return-value]


def _periods(current: Tensor, dynamics: Dynamics, num_steps: int) -> Tensor:
    """Return k − 1 of each current, T for silence."""
    gain, silent = 0.0, torch.zeros_like(current)
    for _ in range(num_steps):
        gain = 1.0 + dynamics.decay * gain
        silent += 1.0 - fire(gain * current.detach(), dynamics)
    return silent.long()


def _extremes(family: WindowRows) -> tuple[Tensor, Tensor]:
    """Return the least and the greatest rows of the trains from k to k', (R, (T + 1)²), k' running fastest."""
    kinds = family.num_steps + 1
    times = torch.arange(1, kinds, device=family.weights.device)
    periods = torch.arange(1, kinds + 1, device=family.weights.device)[:, None]
    trains = ((times % periods == 0) & (periods < kinds)).to(family.weights.dtype)
    sums = family.weights @ trains.T
    low, high = (sums[:, :, None].repeat(1, 1, kinds) for _ in range(2))
    for first in range(kinds):
        low[:, first, first:] = sums[:, first:].cummin(1).values
        high[:, first, first:] = sums[:, first:].cummax(1).values
    return low.flatten(1), high.flatten(1)


def _along(row: Tensor, ends: Tensor) -> Tensor:
    """Return one number a row, to be multiplied with (2, R, batch, ...)."""
    return row.to(ends.dtype).reshape(-1, *([1] * (ends.dim() - 2)))
