"""Bounds of windows of time that training can differentiate: hard resets behind any layers (F5).

Of each signal the ends of weighted sums over time are followed, one for each window (a, t] of steps with the
weights λ^(t−k), and the mean: what a neuron adds up from one spike to the next is such a sum. An affine map
takes a whole row at once, W·m + w·b ± |W|·r for the row's sum of weights w: its radius is that of the sum, and
not the sum of the steps' radii. Behind neurons the ends of rows are those over all trains that the graph of
window_spikes.py holds; and behind a constant current, over the trains of F1 from the low end's to the high end's.

Where only steps are known (a filter, a max pool) rows are sums of their ends. Of changed events each row has ends
of its own (event_sums.py), in which an event counts once: those of the steps that it may come to are not added.

The weighted sums over time that bounds of windows follow of each signal.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...certify.bounds.signals.affine import fold
from ...certify.bounds.signals.box import Box
from ...models.circuit import Added, Circuit, Fired, Mapped, Read
from ...models.elements.neurons import LIF
from ...models.linear_maps import LinearMap
from ...models.rules import plain
from .ends import Ends, Followed, check_sums, each, periodic_trains
from .event_ends import EventBall, events_behind
from .spike_ends import valued
from .window_spikes import WindowRows, first_of, window_spikes


@dataclass(frozen=True)
class WindowSums(Followed):
    """The ends of each signal's rows, (R, batch, ...), or of one that is constant over time.

    Attributes:
        family: the rows that the neurons of the circuit ask for.
    """

    family: WindowRows

    @staticmethod
    def of(made: Circuit, source: Ends) -> "WindowSums":
        """Return the ends of a circuit's signals."""
        check_sums("windows", "zero", made)
        decays = {node.rule.decay for node in made.spiking if plain(node.rule)}
        return WindowSums(source, made.num_steps, WindowRows.of(decays or {1.0}, made.num_steps, source.box.lower))

    @property
    def rows(self) -> Tensor:
        """Return the rows' weights."""
        return self.family.weights

    def of_sums(self, layer: LinearMap, reach: Box, x: Ends, ball: EventBall) -> Ends:
        """Return the rows' ends: the narrower ones of events that count once and of the ends of steps."""
        steps, _ = events_behind(layer, x.box, ball)
        middle = self.family.sums(fold(layer.apply, ball.events).to(ball.events.dtype))
        return Ends(self.of_steps(steps).box.intersection(each(reach, lambda end: middle + end)))

    def of_steps(self, box: Box) -> Ends:
        """Return the sums of the ends of steps."""
        return Ends(each(box, self.family.sums))

    def steps(self, x: Ends) -> Box:
        """Return the ends of single steps, (1 or T, batch, ...)."""
        return x.box if x.constant or x.ball else each(x.box, lambda rows: rows[self.family.single])

    def mapped(self, node: Mapped, x: Ends) -> Ends:
        """Return the ends behind an affine map, whose bias counts as often as a row's weights say."""
        found = super().mapped(node, x)
        if x.ball is not None or x.constant:
            return found
        bias = node.map.apply(x.box.lower.new_zeros((1, *x.box.lower.shape[2:]))).to(found.box.lower.dtype)
        return Ends(each(found.box, lambda rows: rows + self._along(self.family.totals - 1.0, rows) * bias))

    def added(self, node: Added, x: Ends, y: Ends) -> Ends:
        """Return the sum."""
        same = x.constant and y.constant
        return super().added(node, x, y) if same else Ends(self._rows(x) + self._rows(y))

    def fired(self, node: Fired, x: Ends) -> Ends:
        """Return the ends of the spikes' rows: of F1's trains with the gradient of those at the two ends."""
        rule, layer = node.rule, node.layer
        assert plain(rule)
        assert isinstance(layer, LIF)
        if x.constant:
            exact = periodic_trains(x.box, layer.dynamics, self.num_steps).combine(self.family.weights)
            own = each(x.box, lambda end: self.family.sums(layer(end, self.num_steps)))
            return Ends(Box(valued(own.lower, exact.lower), valued(own.upper, exact.upper)))
        box = self._rows(x)
        windows = torch.stack((box.lower, box.upper))[:, self.family.of_decay(rule.decay)]
        return Ends(window_spikes(windows, layer, self.family))

    def read(self, node: Read, x: Ends) -> Ends:
        """Return the row that the readout reads: the mean, or the last potential."""
        if node.rule is None:
            return x if x.constant else Ends(each(self._rows(x), lambda rows: rows[-1:]))
        assert plain(node.rule)
        whole = self.family.of_decay(node.rule.decay).start + first_of(self.num_steps)
        return Ends(each(self._rows(x), lambda rows: rows[whole : whole + 1]))

    def _rows(self, x: Ends) -> Box:
        """Return all rows of a signal, (R, batch, ...)."""
        if x.ball is not None and not x.constant:
            return self.of_steps(x.box).box
        return each(x.box, lambda end: end * self._along(self.family.totals, end)) if x.constant else x.box

    def _along(self, row: Tensor, ends: Tensor) -> Tensor:
        """Return one number a row, to be multiplied with (R, batch, ...)."""
        return row.to(ends.dtype).reshape(-1, *([1] * (ends.dim() - 1)))
