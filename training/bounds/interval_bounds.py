"""Bounds that training can differentiate: worst logits over a box of inputs, with surrogate gradients.

A spiking layer runs its recursion on both ends; where only the upper end fires the spike is open, and the reset
joins the silent and the fired case (`certify/bounds/intervals.py`). With "trains" a hard reset behind a
constant current takes its exact trains instead (F1): first spike at k, then every k steps. "prefix" bounds counts
over time in place of steps (prefix_bounds.py), "windows" what comes in between any two steps (interval_bounds.py).
The backward pass takes the neuron's surrogate for the derivative of each spike; under "interval", value and
gradient at radius 0 are those of the network.

Ends of windows of spikes, of a hard reset under currents that are known window by window (F5), with gradients.

A neuron's last spike was at a (0: none yet), and it was silent since: at step t its potential is the weighted sum
of the currents of the window (a, t], Σ λ^(t−k)·c[k], within [CL[a,t], CU[a,t]]. Where it was silent at i in
between, v[i] ≤ θ, the potential is at most λ^(t−i)·θ + CU[i,t], too. So

    high[a,t] = min(CU[a,t], min_{a<i<t} λ^(t−i)·θ + CU[i,t]),    low[a,t] = CL[a,t]

hold v[t]. An edge a → t is there iff high[a,t] fires, silence goes on iff low[a,t] does not, and each train of
spikes is a path over nodes a. The ends of Σ_t w[t]·s[t] are those over all paths: dynamic programming over its
window. `high` is not taken below `low`: so no path ends before T, and ends of windows are those of whole paths.

Backwards, a step's spike at the high end stands for the highest potential of all nodes that may be left, and at
the low end for the lowest one: each hands the surrogate's slope there to the window that it came from. Which spike
was the last one is taken as fixed. At radius 0 there is one path, and the gradient is the network's with resets
fixed.

Bounds of windows of time that training can differentiate: hard resets behind any layers (F5).

Of each signal the ends of weighted sums over time are followed, one for each window (a, t] of steps with the
weights λ^(t−k), and the mean: what a neuron adds up from one spike to the next is such a sum. An affine map
takes a whole row at once, W·m + w·b ± |W|·r for the row's sum of weights w: its radius is that of the sum, and
not the sum of the steps' radii. Behind neurons the ends of rows are those over all trains that the graph
holds; and behind a constant current, over the trains of F1 from the low end's to the high end's.

Where only steps are known (a filter, a max pool) rows are sums of their ends. Of changed events each row has ends
of its own (ends.py), in which an event counts once: those of the steps that it may come to are not added.

The weighted sums over time that bounds of windows follow of each signal.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial

import torch
from torch import Tensor

from ...certify.bounds.signals.affine import fold as folded_events
from ...certify.bounds.signals.windows import Box, Spans
from ...certify.bounds.trains.train_graph import path_sums
from ...kernels import CompiledMembrane
from ...models.circuit import Added, Circuit, Fired, Mapped, Read, circuit, fold
from ...models.dynamics import Dynamics
from ...models.elements.neurons import LIF
from ...models.linear_maps import DenseMap, LinearMap
from ...models.networks import SpikingNetwork
from ...models.rules import Leaky, plain
from ...models.running.encoding import MEANS, over_time, rate_code
from ...models.running.membrane import kernel_for, layer_of
from ...models.validation import check_rivals
from .ends import Ends, Followed, check_sums, each, periodic_trains
from .prefix_bounds import Prefixes
from .spike_ends import EventBall, events_behind, fire, potential_ends, spike_ends, valued

Found = tuple[Tensor, Tensor, Tensor]
"""Ends of rows (2, R, ...); the potentials that spikes stand for (2, T, ...); and where their windows start."""


def first_of(step: int) -> int:
    """Return where the windows that end with `step`, from 1, begin in a packed array: those from 0 on."""
    return step * (step - 1) // 2


@dataclass(frozen=True)
class WindowRows:
    """R rows of weights over T steps, all at least 0.

    For each decay λ the T(T + 1)/2 windows (a, t], 0 ≤ a < t ≤ T, packed by their ends and then by their starts,
    with the weights λ^(t−k) of their steps k; and last the mean, 1/T at each step.

    >>> WindowRows.of({0.5}, 2).weights
    tensor([[1.0000, 0.0000],
            [0.5000, 1.0000],
            [0.0000, 1.0000],
            [0.5000, 0.5000]])
    """

    decays: tuple[float, ...]
    num_steps: int
    spans: tuple[tuple[int, int], ...]
    weights: Tensor

    @staticmethod
    def of(decays: Iterable[float], num_steps: int, like: Tensor | None = None) -> "WindowRows":
        """Return the rows for neurons of these decays, of the type and on the device of `like`."""
        known, like = tuple(sorted(decays)), torch.zeros(()) if like is None else like
        spans = [(start, end) for end in range(1, num_steps + 1) for start in range(end)]
        places, ends = [first_of(end + 1) - start - 1 for start, end in spans], range(1, num_steps + 1)
        rows = [Spans.of(Leaky(decay), num_steps).rows(ends)[places] for decay in known]
        mean = torch.full((1, num_steps), 1.0 / num_steps, dtype=torch.float64)
        told = (*(spans * len(known)), (0, num_steps))
        return WindowRows(known, num_steps, told, torch.cat((*rows, mean)).to(like))

    def of_decay(self, decay: float) -> slice:
        """Return which rows are the windows of λ."""
        count = first_of(self.num_steps + 1)
        start = self.decays.index(decay) * count
        return slice(start, start + count)

    @cached_property
    def single(self) -> list[int]:
        """Return the rows of the steps t = 1..T alone, in order."""
        return [first_of(step) + step - 1 for step in range(1, self.num_steps + 1)]

    @cached_property
    def totals(self) -> Tensor:
        """Return the sum of each row's weights, (R,)."""
        return self.weights.sum(1)

    def sums(self, steps: Tensor) -> Tensor:
        """Return Σ_t w[r, t]·x[t], (R, ...), for steps (T, ...)."""
        return torch.einsum("rt,t...->r...", self.weights, steps)


def window_spikes(currents: Tensor, neuron: LIF, rows: WindowRows) -> Box:
    """Return the ends of the spikes' rows, (R, batch, ...), for windows' currents, (2, T(T+1)/2, batch, ...)."""
    kernel, dynamics = kernel_for(currents), neuron.dynamics
    with torch.no_grad():
        follow = eager_windows if kernel is None else partial(_compiled, kernel)
        ends, potentials, starts = follow(currents.contiguous(), dynamics, rows)
        packed = torch.tensor([first_of(step) for step in range(1, rows.num_steps + 1)], device=currents.device)
        places = starts + packed.reshape(-1, *([1] * (currents.dim() - 2)))
    spikes = fire(valued(currents.gather(1, places), potentials), dynamics)
    return Box(valued(rows.sums(spikes[0]), ends[0]), valued(rows.sums(spikes[1]), ends[1]))


def eager_windows(currents: Tensor, dynamics: Dynamics, rows: WindowRows) -> Found:
    """Follow the paths, by torch's own operations."""
    shape = currents.shape[2:]
    alive = torch.zeros((rows.num_steps + 1, *shape), dtype=torch.bool, device=currents.device)
    alive[0] = True
    potentials = currents.new_empty((2, rows.num_steps, *shape))
    starts = torch.zeros(potentials.shape, dtype=torch.int16, device=currents.device)
    edges = []
    for step in range(1, rows.num_steps + 1):
        low, window_high = currents[:, first_of(step) : first_of(step + 1)]
        high, origin = _cut(low, window_high, dynamics)
        least, first = low.where(alive[:step], torch.inf).min(0)
        most, second = high.where(alive[:step], -torch.inf).max(0)
        potentials[:, step - 1] = torch.stack((least, most))
        starts[:, step - 1] = torch.stack((first, origin.gather(0, second[None]).squeeze(0)))
        edges.append(alive[:step] & _fires(high, dynamics))
        alive[:step] &= ~_fires(low, dynamics)
        alive[step] = edges[-1].any(0)
    found = path_sums(edges, alive, rows.weights)
    return torch.stack((found.lower, found.upper)), potentials, starts


def _fires(potential: Tensor, dynamics: Dynamics) -> Tensor:
    return potential >= dynamics.threshold if dynamics.fires_at == ">=" else potential > dynamics.threshold


def _cut(low: Tensor, window_high: Tensor, dynamics: Dynamics) -> tuple[Tensor, Tensor]:
    """Return the high ends of the windows that end with a step, and which window each is of, (step, ...)."""
    steps = len(window_high)
    high, origin = window_high.clone(), torch.empty_like(window_high, dtype=torch.int16)
    origin[steps - 1] = steps - 1
    least, where = torch.full_like(high[0], torch.inf), torch.zeros_like(origin[0])
    for start in reversed(range(steps - 1)):
        silent = window_high[start + 1] + dynamics.threshold * dynamics.decay ** (steps - start - 1)
        where = torch.where(silent < least, start + 1, where)
        least = torch.minimum(silent, least)
        origin[start] = torch.where(least < high[start], where, start)
        high[start] = torch.minimum(high[start], least)
    return high.maximum(low), origin


def _compiled(kernel: CompiledMembrane, currents: Tensor, dynamics: Dynamics, rows: WindowRows) -> Found:
    potentials = currents.new_empty((2, rows.num_steps, *currents.shape[2:]))
    ends = currents.new_empty((2, len(rows.weights), *currents.shape[2:]))
    starts = torch.empty(potentials.shape, dtype=torch.int16)
    cuts = currents.new_tensor([dynamics.threshold * dynamics.decay**age for age in range(rows.num_steps + 1)])
    layer = layer_of(potentials[0], dynamics, rows.num_steps)
    kernel.window_ends(layer, (currents, cuts, rows.weights, torch.tensor(rows.spans)), (ends, potentials, starts))
    return ends, potentials, starts


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
        middle = self.family.sums(folded_events(layer.apply, ball.events).to(ball.events.dtype))
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
        bounds: "interval", "trains", "prefix" (see prefix_bounds.py) or "windows" (see interval_bounds.py).
        ball: of changed events, (batch, ...), where inputs lie in it as well as in the box (see spike_ends.py).
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
            ends = potential_ends(node.layer, ends, self.num_steps)
        return Ends(each(ends, lambda end: over_time(node.readout, end)[None]))
