"""Bounds that training can differentiate: worst logits over a box of inputs, with surrogate gradients.

A spiking layer runs its recursion on both ends; where only the upper end fires the spike is open, and the reset
joins the silent and the fired case (`certify/bounds/intervals/resets.py`). With "trains" a hard reset behind a
constant current takes its exact trains instead (F1): first spike at k, then every k steps. "prefix" bounds counts
over time in place of steps (prefix_bounds.py), "windows" what comes in between any two steps (window_bounds.py).
The backward pass takes the neuron's surrogate for the derivative of each spike; under "interval", value and
gradient at radius 0 are those of the network.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from torch import Tensor

from ...certify.bounds.signals.box import Box
from ...models.circuit import Circuit, Fired, Mapped, Read, circuit, fold
from ...models.elements.neurons import LIF
from ...models.linear_maps import DenseMap
from ...models.networks import SpikingNetwork
from ...models.running.encoding import rate_code
from ...models.running.readouts import MEANS, over_time
from ...models.validation import check_rivals
from .ends import Ends, Followed, each, periodic_trains
from .event_ends import EventBall
from .prefix_bounds import Prefixes
from .spike_ends import potential_ends, spike_ends, valued
from .window_bounds import WindowSums

FOLLOWED: dict[str, Callable[[Circuit, Ends], Followed]] = {
    "interval": lambda made, source: SingleSteps(source, made.num_steps),
    "trains": lambda made, source: SingleSteps(source, made.num_steps, exact=True),
    "prefix": Prefixes.of,
    "windows": WindowSums.of,
}
BOUNDS = tuple(FOLLOWED)


def worst_logits(
    network: SpikingNetwork,
    lower: Tensor,
    upper: Tensor,
    labels: Tensor,
    bounds: str = "interval",
    ball: EventBall | None = None,
    margin: float = 0.0,
) -> Tensor:
    """Return upper bounds of logit_k − logit_y over the box [lower, upper] of inputs, (batch, classes); 0 at y.

    Batch norm is taken as in evaluation mode. Where a Linear layer is last, its rows are subtracted before the
    bound is taken: (W_k − W_y)·x, not two logits' boxes.

    Args:
        network: of any layers.
        lower, upper: (batch, ...).
        labels: y, (batch,).
        bounds: "interval", "trains", "prefix" (see prefix_bounds.py) or "windows" (see window_bounds.py).
        ball: of changed events, (batch, ...), where inputs lie in it as well as in the box (see event_ends.py).
        margin: of "prefix", as a share of each threshold, ≥ 0: by how much a spike is to be decided.

    Raises:
        ValueError: for "prefix" with neurons that reset to 0, "windows" with neurons that do not, either with
            currents that are scaled over time, or a readout that they do not bound; for a network with one output.
    """
    made = circuit(network)
    ball = None if ball is None else ball.moved(made.arranged)
    followed, last = FOLLOWED[bounds](made, Ends(_source(network, made, lower, upper), ball=ball)), made.last
    if margin:
        followed = with_margin(followed, margin, bounds)
    if made.read.readout == "mean" and isinstance(last, Mapped) and isinstance(last.map, DenseMap):
        before = fold(made, followed, until=-2)[last.sources[0]]
        found = _differences(followed.read(made.read, before).box, last.map, labels)
    else:
        found = _apart(fold(made, followed)[-1].box, labels)
    check_rivals(found.shape[1])
    return found


def output_ends(network: SpikingNetwork, lower: Tensor, upper: Tensor, bounds: str = "interval") -> Box:
    """Return ends of each output over the box [lower, upper] of inputs, (batch, outputs); see `worst_logits`."""
    made = circuit(network)
    followed = FOLLOWED[bounds](made, Ends(_source(network, made, lower, upper)))
    return each(fold(made, followed)[-1].box, lambda end: end.squeeze(0))


def with_margin(followed: Followed, margin: float, bounds: str) -> Followed:
    """Return bounds by which a spike is decided by a share of its threshold.

    Raises:
        ValueError: for other bounds than "prefix".
    """
    if not isinstance(followed, Prefixes):
        raise ValueError(f'margin: got {margin:g} with bounds {bounds!r}, expected 0, or bounds "prefix"')
    return replace(followed, margin=margin)


def _source(network: SpikingNetwork, made: Circuit, lower: Tensor, upper: Tensor) -> Box:
    """Return the ends of what enters the first layer; spikes of a rate code grow with the input."""
    if network.encoding != "rate":
        return Box(made.arranged(lower), made.arranged(upper))
    drawn = network.thresholds(lower)
    return Box(rate_code(lower, drawn), rate_code(upper, drawn))


def _apart(ends: Box, labels: Tensor) -> Tensor:
    """Return upper_k − lower_y from the logits' own boxes, 0 at y."""
    lower, upper = ends.lower.squeeze(0), ends.upper.squeeze(0)
    return (upper - lower.gather(1, labels[:, None])).scatter(1, labels[:, None], 0.0)


def _differences(ends: Box, last: DenseMap, labels: Tensor) -> Tensor:
    """Return (W_k − W_y)·m + b_k − b_y + |W_k − W_y|·r."""
    logits = last.apply(ends.middle.squeeze(0))
    spread = (last.weight - last.weight[labels].unsqueeze(1)).abs() @ ends.radius.squeeze(0).unsqueeze(2)
    return logits - logits.gather(1, labels[:, None]) + spread.squeeze(2)


@dataclass(frozen=True)
class SingleSteps(Followed):
    """Ends of single steps, taken as independent.

    Attributes:
        exact: whether a hard reset behind a constant current takes its exact trains.
    """

    exact: bool = False

    def of_steps(self, box: Box) -> Ends:
        """Return the steps; their mean goes on by itself."""
        return Ends(box, cache(Ends(box).mean))

    def fired(self, node: Fired, x: Ends) -> Ends:
        """Return the ends of spikes."""
        assert isinstance(node.layer, LIF)
        return self.spikes(node.layer, x.box)

    def spikes(self, neuron: LIF, currents: Box) -> Ends:
        """Return the ends of a layer's spikes."""
        ends = spike_ends(neuron, currents, self.num_steps)
        periodic = neuron.dynamics.reset == "zero" and neuron.scale(self.num_steps) is None
        if not (self.exact and periodic and len(currents.lower) == 1):
            return self.of_steps(ends)
        exact = periodic_trains(currents, neuron.dynamics, self.num_steps).steps()
        count = cache(
            lambda: each(currents, lambda end: neuron(end, self.num_steps).sum(0, True) / self.num_steps)
        )
        return Ends(Box(valued(ends.lower, exact.lower), valued(ends.upper, exact.upper)), count)

    def read(self, node: Read, x: Ends) -> Ends:
        """Return what the readout reads: it grows with potentials and with spikes."""
        if node.rule is None and node.readout in MEANS:
            return super().read(node, x)
        ends = x.box
        if node.rule is not None:
            assert isinstance(node.layer, LIF)
            ends = potential_ends(node.layer, ends, self.num_steps)
        return Ends(each(ends, lambda end: over_time(node.readout, end)[None]))
