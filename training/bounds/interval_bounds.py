"""Bounds that training can differentiate: worst logits over a box of inputs, with surrogate gradients.

Both ends travel as one tensor (2, time, batch, ...): lower, then upper. An affine layer maps middle and radius,
W·m + b and |W|·r. A spiking layer runs its recursion on both ends; where only the upper end fires the spike is
open, and the reset joins the silent and the fired case as certify's interval.py does. With bounds "trains"
a hard reset behind a constant current takes its exact trains instead (F1): first spike at k, then every k steps.
"prefix" bounds counts over time instead of steps (prefix_bounds.py), "windows" what comes in between any two
steps (window_bounds.py).
The backward pass takes the neuron's surrogate for the derivative of each spike; under "interval", value and
gradient at radius 0 are those of the network. The arithmetic is the network's own, without rounding slack: for
training, not for proofs.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ...kernels import CompiledMembrane
from ...models.circuit import (
    Added,
    Algebra,
    Circuit,
    Filtered,
    Fired,
    Input,
    Mapped,
    Pooled,
    Read,
    circuit,
    fold,
)
from ...models.dynamics import Dynamics
from ...models.elements.neurons import LIF
from ...models.linear_maps import DenseMap
from ...models.networks import SpikingNetwork
from ...models.rules import Leaky, Rule
from ...models.running.compiled import covers, kernel_for
from ...models.running.encoding import rate_code
from ...models.running.readouts import MEANS, over_time
from ...models.validation import check_rivals
from .affine_ends import affine_ends, middle_and_radius
from .compiled_ends import SpikeEnds, periodic_spikes
from .event_ends import EventBall, events_behind
from .firing import after_reset, fire
from .prefix_bounds import PrefixEnds, Prefixes, counts
from .valued import Valued
from .window_bounds import WindowEnds, WindowSums, window_rows

BOUNDS = ("interval", "trains", "prefix", "windows")
OVER_TIME = ("prefix", "windows")
"""Those that follow sums over time."""


@dataclass(frozen=True)
class Ends:
    """Ends of a signal at each step, (2, time, batch, ...), and of its mean over time, (2, 1, batch, ...).

    `ball` is what else is known of events that enter the first layer.
    """

    steps: Tensor
    mean: Tensor
    ball: EventBall | None = None

    @staticmethod
    def of(steps: Tensor, ball: EventBall | None = None) -> "Ends":
        """Return the ends of steps taken as independent."""
        return Ends(steps, steps if steps.shape[1] == 1 else steps.mean(1, keepdim=True), ball)

    def __add__(self, other: "Ends") -> "Ends":
        return Ends(self.steps + other.steps, self.mean + other.mean)


def worst_logits(
    network: SpikingNetwork,
    lower: Tensor,
    upper: Tensor,
    labels: Tensor,
    bounds: str = "interval",
    ball: EventBall | None = None,
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

    Raises:
        ValueError: for "prefix" with neurons that reset to 0, "windows" with neurons that do not, either with
            currents that are scaled over time, or a readout that they do not bound; for a network with one output.
    """
    found = _worst_logits(network, lower, upper, labels, bounds, ball)
    check_rivals(found.shape[1])
    return found


def _worst_logits(
    network: SpikingNetwork, lower: Tensor, upper: Tensor, labels: Tensor, bounds: str, ball: EventBall | None
) -> Tensor:
    """Return the same, of any number of classes."""
    made = circuit(network)
    source = _source(network, made, lower, upper)
    ball = None if ball is None else replace(ball, events=made.arranged(ball.events))
    if bounds in OVER_TIME and made.read.readout not in (*MEANS, "potential"):
        raise ValueError(
            f'bounds: got "{bounds}" and readout {made.read.readout!r}, expected a mean or "potential"'
        )
    if bounds == "prefix":
        return _worst_of_counts(made, PrefixEnds(source[0], source[1], ball), labels)
    if bounds == "windows":
        return _worst_of_windows(made, WindowEnds(source, source.shape[1] == 1, ball), labels)
    last, algebra = made.last, _Propagated(Ends.of(source, ball), made.num_steps, bounds)
    if made.read.readout == "mean" and isinstance(last, Mapped) and isinstance(last.map, DenseMap):
        before = fold(made, algebra, until=-2)[last.sources[0]]
        return _differences(before.mean.squeeze(1), last.map, labels)
    known = fold(made, algebra)
    if made.read.rule is not None:
        assert isinstance(made.read.layer, LIF)
        potentials, _ = membrane_ends(known[-1].steps, made.read.layer, made.num_steps)
        return _apart(_over_time(made.read.readout, potentials), labels)
    if made.read.readout not in MEANS:
        return _apart(_over_time(made.read.readout, known[-1].steps), labels)
    return _apart(known[-1].mean.squeeze(1), labels)


def _source(network: SpikingNetwork, made: Circuit, lower: Tensor, upper: Tensor) -> Tensor:
    """Return the ends of what enters the first layer; spikes of a rate code grow with the input."""
    if network.encoding != "rate":
        return torch.stack((made.arranged(lower), made.arranged(upper)))
    drawn = network.thresholds(lower)
    return torch.stack((rate_code(lower, drawn), rate_code(upper, drawn)))


def _over_time(readout: str, ends: Tensor) -> Tensor:
    """Return the ends of what a readout makes of steps, (2, T, ...): it grows with potentials and with spikes."""
    return torch.stack([over_time(readout, end) for end in ends])


def _worst_of_counts(made: Circuit, source: PrefixEnds, labels: Tensor) -> Tensor:
    """Return what `worst_logits` does, by counts over time."""
    algebra, last = Prefixes(source, made.num_steps, counts(made)), made.last
    if made.read.rule is None and isinstance(last, Mapped) and isinstance(last.map, DenseMap):
        before = fold(made, algebra, until=-2)[last.sources[0]]
        return _differences(algebra.read(made.read, before).ends, last.map, labels)
    return _apart(fold(made, algebra)[-1].ends, labels)


def _worst_of_windows(made: Circuit, source: WindowEnds, labels: Tensor) -> Tensor:
    """Return what `worst_logits` does, by windows."""
    algebra, last = WindowSums(source, window_rows(made, source.rows)), made.last
    if made.read.rule is None and isinstance(last, Mapped) and isinstance(last.map, DenseMap):
        before = fold(made, algebra, until=-2)[last.sources[0]]
        return _differences(algebra.read(made.read, before).rows.squeeze(1), last.map, labels)
    return _apart(fold(made, algebra)[-1].rows.squeeze(1), labels)


@dataclass(frozen=True)
class _Propagated(Algebra[Ends]):
    """The ends of each signal of a circuit."""

    reader: ClassVar[str] = "the bounds of training"
    rules: ClassVar[tuple[type[Rule], ...]] = (Leaky,)

    source: Ends
    num_steps: int
    bounds: str

    def input(self, node: Input) -> Ends:
        """Return the ends of the input."""
        return self.source

    def mapped(self, node: Mapped, x: Ends) -> Ends:
        """Return the ends behind an affine map."""
        if x.ball is not None:
            low, high, ball = events_behind(node.map, x.steps[0], x.steps[1], x.ball)
            return Ends.of(torch.stack((low, high)), ball)
        steps = affine_ends(node.map, x.steps)
        return Ends(steps, steps if x.mean is x.steps else affine_ends(node.map, x.mean))

    def pooled(self, node: Pooled, x: Ends) -> Ends:
        """Return the maxima of the ends; a maximum of means is no mean of maxima."""
        return Ends.of(node.windows.largest(x.steps.flatten(0, 2)).unflatten(0, x.steps.shape[:3]))

    def filtered(self, node: Filtered, x: Ends) -> Ends:
        """Return the filtered ends: each of its weights is at least 0."""
        steps = x.steps.transpose(0, 1)
        found, _ = node.filter.run(steps, node.filter.start(steps), self.num_steps)
        return Ends.of(found.transpose(0, 1))

    def added(self, node: Added, x: Ends, y: Ends) -> Ends:
        """Return the sum."""
        return x + y

    def fired(self, node: Fired, x: Ends) -> Ends:
        """Return the ends of spikes."""
        assert isinstance(node.layer, LIF)
        return _spiking(node.layer, x.steps, self.num_steps, self.bounds)

    def read(self, node: Read, x: Ends) -> Ends:
        """Return what the readout reads."""
        return x


def _spiking(neuron: LIF, currents: Tensor, num_steps: int, bounds: str) -> Ends:
    kernel = kernel_for(neuron.kernel, currents, neuron.scale(num_steps))
    spikes = _spike_ends(neuron, currents, num_steps, kernel)
    periodic = neuron.dynamics.reset == "zero" and neuron.scale(num_steps) is None
    if bounds == "interval" or not periodic or currents.shape[1] > 1:
        return Ends.of(spikes)
    constant = currents.detach().squeeze(1)
    if kernel is None:
        exact = periodic_ends(constant, neuron.dynamics, num_steps)
    else:
        exact = periodic_spikes(constant, neuron.dynamics, num_steps, kernel)
    counts = [neuron(current, num_steps).sum(0, keepdim=True) / num_steps for current in currents]
    return Ends(Valued.apply(spikes, exact), torch.stack(counts))  # type: ignore[arg-type]


def _spike_ends(neuron: LIF, currents: Tensor, num_steps: int, kernel: CompiledMembrane | None) -> Tensor:
    if kernel is None or not covers(neuron.dynamics):
        return membrane_ends(currents, neuron, num_steps)[1]
    return SpikeEnds.apply(currents, neuron.scale(num_steps), neuron.dynamics, num_steps, kernel)  # type: ignore


def periodic_ends(current: Tensor, dynamics: Dynamics, num_steps: int) -> Tensor:
    """Return the exact ends of a hard reset's spikes under a constant current, for its ends (2, batch, ...).

    The first spike is at the least k with α_k·I ≥ θ, α_k = Σ_{i<k} λ^i, and the train then repeats. So the trains
    of I in [l, u] are those k with α_k·u ≥ θ > α_{k−1}·l, and silence if θ > α_T·l. Their number of spikes is
    monotone in I.
    """
    gains = [1.0]
    for _ in range(num_steps - 1):
        gains.append(1.0 + dynamics.decay * gains[-1])
    fired = torch.stack([fire(gain * current, dynamics) for gain in gains], 1)
    late = 1.0 - torch.cat((torch.zeros_like(fired[0, :1]), fired[0]))
    reached = torch.cat((fired[1], torch.ones_like(late[:1]))) * late  # by k = 1..T, then silence
    periods, times = torch.arange(1, num_steps + 2), torch.arange(1, num_steps + 1)
    trains = (times % periods[:, None] == 0) & (periods[:, None] <= num_steps)
    low = [1.0 - reached[~train].amax(0) for train in trains.T]
    high = [reached[train].amax(0) for train in trains.T]
    return torch.stack((torch.stack(low), torch.stack(high)))


def membrane_ends(currents: Tensor, neuron: LIF, num_steps: int) -> tuple[Tensor, Tensor]:
    """Return the ends of potentials and spikes, each (2, T, batch, ...), for the ends of the currents."""
    dynamics, scale = neuron.dynamics, neuron.scale(num_steps)
    drives = currents.expand(2, num_steps, *currents.shape[2:])
    if scale is not None:
        drives = _scaled(drives, scale)
    residue = torch.zeros_like(drives[:, 0])
    potentials, spikes = [], []
    for drive in drives.unbind(1):
        potential = torch.add(drive, residue, alpha=dynamics.decay)
        spike = fire(potential, dynamics)
        residue = torch.stack(after_reset(*potential, *spike, dynamics))
        potentials.append(potential)
        spikes.append(spike)
    return torch.stack(potentials, 1), torch.stack(spikes, 1)


def _scaled(drives: Tensor, scale: Tensor) -> Tensor:
    """Return the ends of a[t]·I[t] for factors of any sign."""
    factors = scale.reshape(-1, *([1] * (drives.dim() - 2)))
    middle, radius = middle_and_radius(*drives)
    middle, radius = middle * factors, radius * factors.abs()
    return torch.stack((middle - radius, middle + radius))


def _apart(ends: Tensor, labels: Tensor) -> Tensor:
    """Return upper_k − lower_y from the logits' own boxes, 0 at y."""
    return (ends[1] - ends[0].gather(1, labels[:, None])).scatter(1, labels[:, None], 0.0)


def _differences(ends: Tensor, last: DenseMap, labels: Tensor) -> Tensor:
    """Return (W_k − W_y)·m + b_k − b_y + |W_k − W_y|·r."""
    middle, radius = middle_and_radius(*ends)
    logits = last.apply(middle)
    spread = (last.weight - last.weight[labels].unsqueeze(1)).abs() @ radius.unsqueeze(2)
    return logits - logits.gather(1, labels[:, None]) + spread.squeeze(2)
