"""What training knows of a signal, and how it goes through a circuit: ends that gradients pass through.

The circuit is folded as the verifiers fold it (`certify/bounds/propagation.py`), in the network's own arithmetic
and without slack for rounding: for training, not for proofs. Ends are those of single steps, or of weighted sums
over time; what neurons make of them say `interval_bounds.py`, `prefix_bounds.py` and `window_bounds.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import ClassVar

import torch
from torch import Tensor

from ...certify.bounds.signals.affine import fold
from ...certify.bounds.signals.box import Box
from ...certify.bounds.trains.train_table import TableTrains, gains, trains_between
from ...models.circuit import (
    Added,
    Algebra,
    Chosen,
    Circuit,
    Filtered,
    Fired,
    Input,
    Mapped,
    Pooled,
    Read,
    Recurred,
)
from ...models.dynamics import Dynamics
from ...models.linear_maps import LinearMap
from ...models.rules import plain
from ...models.running.readouts import MEANS
from .event_ends import EventBall, events_behind, through
from .event_sums import EventSums
from .spike_ends import fire


@dataclass(frozen=True)
class Ends:
    """Ends of a signal.

    Attributes:
        box: of its steps, (T, batch, ...), or of the sums that are followed; (1, batch, ...) if it is constant.
        known: gives the ends of its mean over time, where there are narrower ones than those of the steps' means.
        ball: what else is known of events that enter the first layer; the box is then that of steps.
        sums: what is known of their sums over time, where those are followed.
        filtered: currents, (T, batch, ...), whose sums, as neurons that forget add them up, hold those of the
            signal, where there are narrower ones than those of the steps.
    """

    box: Box
    known: Callable[[], Box] | None = None
    ball: EventBall | None = None
    sums: EventSums | None = None
    filtered: Box | None = None

    @property
    def constant(self) -> bool:
        """Return whether the signal is the same at each step, or there is but one step."""
        return len(self.box.lower) == 1

    def mean(self) -> Box:
        """Return the ends of the mean over time, (1, batch, ...)."""
        if self.known is not None:
            return self.known()
        return self.box if self.constant else each(self.box, lambda end: end.mean(0, keepdim=True))


@dataclass(frozen=True)
class Followed(Algebra[Ends]):
    """The ends of each signal of a circuit: all but what neurons make of them.

    Attributes:
        source: the input's.
        num_steps: T.
    """

    reader: ClassVar[str] = "the bounds of training"

    source: Ends
    num_steps: int

    @property
    def rows(self) -> Tensor | None:
        """Return the weights ≥ 0 of the sums over time that are followed, (R, T); None where steps are."""
        return None

    def of_steps(self, box: Box) -> Ends:
        """Return what is followed of a signal whose steps are known."""
        return Ends(box)

    def steps(self, x: Ends) -> Box:
        """Return the ends of a signal's steps, (1 or T, batch, ...)."""
        return x.box

    def input(self, node: Input) -> Ends:
        """Return the ends of the input."""
        ball, rows = self.source.ball, self.rows
        if ball is None:
            return self.source if self.source.constant else self.of_steps(self.source.box)
        sums = (
            None if rows is None or ball.ends is None else EventSums.of(rows, ball.events, ball.ends, ball.share)
        )
        return replace(self.source, sums=sums)

    def mapped(self, node: Mapped, x: Ends) -> Ends:
        """Return the ends behind an affine map."""
        if x.ball is not None:
            return self.of_events(node.map, x, x.ball)
        mean = None if x.known is None else cache(lambda: through(node.map, x.mean()))
        return Ends(through(node.map, x.box), mean)

    def of_events(self, layer: LinearMap, x: Ends, ball: EventBall) -> Ends:
        """Return the ends behind a layer that reads changed events."""
        if x.sums is not None and not layer.reshapes:
            return self.of_sums(layer, x.sums.behind(layer), x, ball)
        box, ball_behind = events_behind(layer, x.box, ball)
        if ball_behind is None:
            return self.of_steps(box)
        return Ends(box, ball=ball_behind, sums=x.sums and x.sums.moved(partial(fold, layer.apply)))

    def of_sums(self, layer: LinearMap, reach: Box, x: Ends, ball: EventBall) -> Ends:
        """Return the ends behind a layer, for how far each of `rows` may fall and rise, (R, batch, ...)."""
        raise NotImplementedError

    def pooled(self, node: Pooled, x: Ends) -> Ends:
        """Return the maxima of the ends of steps; a maximum of sums is no sum of maxima."""
        found = each(self.steps(x), lambda end: fold(node.windows.largest, end))
        return Ends(found) if x.constant else self.of_steps(found)

    def filtered(self, node: Filtered, x: Ends) -> Ends:
        """Return the filtered ends of steps: no weight of a filter is below 0."""
        run, start = node.filter.run, node.filter.start
        return self.of_steps(each(self.steps(x), lambda end: run(end, start(end), self.num_steps)[0]))

    def chosen(self, node: Chosen, *x: Ends) -> Ends:
        """Return the ends of each step, of its own signal."""
        boxes = [(t, self.steps(each)) for t, each in enumerate(x)]
        ends = [(box.lower[t % len(box.lower)], box.upper[t % len(box.upper)]) for t, box in boxes]
        lower, upper = (torch.stack(end) for end in zip(*ends, strict=True))
        return self.of_steps(Box(lower, upper))

    def added(self, node: Added, x: Ends, y: Ends) -> Ends:
        """Return the sum."""
        mean = None if x.known is None and y.known is None else cache(lambda: x.mean() + y.mean())
        return Ends(x.box + y.box, mean)

    def read(self, node: Read, x: Ends) -> Ends:
        """Return what the readout reads, (1, batch, ...): a mean over time."""
        return Ends(x.mean())


def each(box: Box, function: Callable[[Tensor], Tensor]) -> Box:
    """Return what a function that keeps the order makes of both ends."""
    return Box(function(box.lower), function(box.upper))


def check_sums(bounds: str, reset: str, made: Circuit) -> None:
    """Raise ValueError for what bounds of sums over time do not reach.

    Args:
        bounds: how they are called.
        reset: what their neurons do.
        made: the circuit.
    """
    if made.read.readout not in (*MEANS, "potential"):
        told = f'readout {made.read.readout!r}, expected a mean or "potential"'
        raise ValueError(f'bounds: got "{bounds}" and {told}')
    for node in made.nodes:
        rule = node.rule if isinstance(node, Fired | Recurred | Read) else None
        scaled = plain(rule) and rule.scale is not None
        if isinstance(node, Read) and scaled:
            raise ValueError(f'bounds: got "{bounds}" and a potential with an input scale, expected none')
        if isinstance(node, Fired | Recurred) and plain(rule) and (scaled or rule.reset != reset):
            told = f"a {rule.reset!r} reset" + " and an input scale" * scaled
            wanted = {"zero": "to reset to 0", "subtract": "to subtract"}[reset]
            raise ValueError(f'bounds: got "{bounds}" for {node.name}, {told}, expected {wanted}, and no scale')


def periodic_trains(currents: Box, dynamics: Dynamics, num_steps: int) -> TableTrains:
    """Return the exact trains of a hard reset under constant currents, (1, batch, ...): those from end to end.

    The first spike is at the least k with α_k·I ≥ θ, α_k = Σ_{i<k} λ^i, and the train repeats. k does not grow
    with I.
    """
    first, last = (
        torch.stack([fire(gain * end[0].detach(), dynamics) for gain in gains(dynamics.decay, num_steps)]).sum(0)
        for end in (currents.lower, currents.upper)
    )
    return trains_between(first.long(), last.long(), num_steps, currents.lower)
