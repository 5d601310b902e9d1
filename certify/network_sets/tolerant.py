"""What is known of signals where every weight and bias of an affine layer is within a share p of itself.

**One layer.** For W' with |W' − W| ≤ p|W| entry by entry and x ≥ 0, W'x lies between Lx and Ux, L = W − p|W| and
U = W + p|W|, and both are attained. Over a box of x ≥ 0 with middle m and radius r the ends are L·m − |L|·r and
U·m + |U|·r: attained at corners, entry by entry. An x of either sign is x⁺ − x⁻ with x⁺ ∈ [l⁺, u⁺] and x⁻ ∈
[(−u)⁺, (−l)⁺], and −W'x⁻ lies between −Ux⁻ and −Lx⁻; where an entry may have both signs, one part is 0 at each
end, so nothing is lost. A bias counts Σ_t r[t] times, by U's or L's as that sum's sign says.

**Over time** a member's weights are the same at each step: Σ_t r[t]·(W'x[t] + b') = W'z + b'·Σ r[t], where
z = Σ r[t]·x[t]. So the same holds of any weighted sum z, and windows and counts are as sharp as one step is.

**A margin** W'_y·x − W'_k·x has rows of its own for both classes: for x ≥ 0 it is at least (L_y − U_k)·x.

**Sets that a ball or a budget cuts** have the nominal image, ± p·(|W||z| + |b||Σ r|) by the box alone.

**Rounding.** A member's run strays by at most γ·(|W'||x| + |b'|) ≤ γ·(W̄|x| + b̄), W̄ = (1 + p)|W|: what the map W̄ is
to pay, and so its sizes and its overflow. The bound's own products are two in place of one, of n + 12 roundings
each, with Σ W̄·(u⁺ + (−l)⁺) ≤ 2·W̄|z|: 2n + 24 units in the last place of float64 are paid beside that. p itself is
rounded outward, so that U and L, once rounded, hold all members.

A leaky neuron whose λ and θ are known up to a share of each: its automaton holds that of every such neuron.

A neuron of λ' ∈ [λ₁, λ₂] and θ' ∈ [θ₁, θ₂] makes of u ∈ [l, h] the potential λ'·u + c. For a fixed u that is
monotone in λ', so it lies between min(λ₁·l, λ₂·l) + c and max(λ₁·h, λ₂·h) + c. It is silent only where
v ≤ θ' ≤ θ₂, and fires only where v ≥ θ' ≥ θ₁. A subtracting reset leaves v − d', with d' = θ' where the neuron
says no amount of its own. So each step of each neuron is among the moves below, and each of its trains is a path.
That λ' and θ' are the same at all steps is forgotten: the paths are more than the trains.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from ...models.circuit import Circuit, Fired, Mapped, Recurred
from ...models.linear_maps import ConvolutionMap, DenseMap, LinearMap
from ...models.linear_maps.convolution import OneRowMap, TransposedMap
from ...models.linear_neuron import LinearNeuron, leaking
from ...models.rules import DeclaredRule, Label, Leaky, Move, Number, Range, Recursion, reset_label
from ..bounds.automata.paths import path_trains
from ..bounds.propagation import Propagation, check_readout, largest_margins, logit_steps, readout_rows
from ..bounds.signals.affine import AffineMap, affine_map
from ..bounds.signals.signals import DerivedSignal, Signal
from ..bounds.signals.windows import Box, Spans
from ..rounding import Rounding, check_potential, over_rows, over_time, own_error, vanished

Constant = float | Tensor
Constants = tuple[Constant, Constant, Constant]


@dataclass(frozen=True)
class Loose(DeclaredRule):
    """The neurons of `own` with θ within ±`threshold` and λ within ±`decay` of themselves, λ in [0, 1].

    Attributes:
        own: the rule that they lie around.
        threshold, decay: shares, rounded outward.
    """

    own: Leaky | LinearNeuron
    threshold: float
    decay: float

    def _constants(self, like: Tensor) -> Constants:
        """Return λ, θ and d of `own`; of neurons that differ as (*features), like (n, batch, *features)."""
        return self.own.constants(like)

    def recursion(self, like: Tensor) -> Recursion:
        """Return the potential's, with the greatest constants that there may be."""
        decay, threshold, drop = self._constants(like)
        highest, span = self._decays(decay)[1], _number(threshold).maximum(_number(drop))
        most = 1.0 + self.threshold
        size = span * most
        return Recursion(threshold * most, (Number(highest, size if size.dim() else float(size)),))

    def moves(
        self, labels: tuple[Label, ...], state: tuple[Range, ...], current: Range, tie: float | Tensor
    ) -> tuple[Move, Move]:
        """Return silence up to the greatest θ, and a spike from the least on."""
        decay, threshold, drop = self._constants(current.low)
        (slow, fast), before = self._decays(decay), state[0]
        low = (before.low * slow).minimum(before.low * fast) + current.low
        high = (before.high * slow).maximum(before.high * fast) + current.high
        least, most = threshold * (1.0 - self.threshold), threshold * (1.0 + self.threshold)
        potential = Range(low, high)
        quiet, fires = potential.below(most + tie), potential.above(least - tie)
        return Move(quiet.some, (quiet,)), Move(fires.some, (self._after(fires, threshold, drop),))

    def _after(self, fires: Range, threshold: Constant, drop: Constant) -> Range:
        """Return what a spike leaves; an amount equal to θ is taken to follow it, or to stay."""
        if self.own.reset != "subtract":
            return fires.times(0.0) if self.own.reset == "zero" else fires
        follows = (_number(drop) == _number(threshold)).to(fires.low) * self.threshold
        return Range(fires.low - drop * (1.0 + follows), fires.high - drop * (1.0 - follows))

    def _decays(self, decay: Constant) -> tuple[Constant, Constant]:
        if isinstance(decay, Tensor):
            return decay * (1.0 - self.decay), (decay * (1.0 + self.decay)).clamp_max(1.0)
        return decay * (1.0 - self.decay), min(1.0, decay * (1.0 + self.decay))

    def label(self, label: Label, spike: int, t: int) -> Label:
        """Return the last spike's step, or a count."""
        return reset_label(self.own.reset, label, spike, t)

    def factors(self, num_steps: int) -> tuple[float, ...]:
        """Return the input scale of `own`."""
        return self.own.factors(num_steps)


def _number(constant: Constant) -> Tensor:
    return torch.as_tensor(constant, dtype=torch.float64)


@dataclass(frozen=True)
class Weights:
    """An affine layer whose numbers are within a share of themselves.

    Attributes:
        exact: the layer itself.
        least, most: the maps of L and U.
        wide: that of W̄.
        share: p, rounded outward.
    """

    exact: AffineMap
    least: AffineMap
    most: AffineMap
    wide: AffineMap
    share: float

    @staticmethod
    def of(layer: LinearMap, share: float) -> "Weights":
        """Return a layer with weights, see `weighted`, within ±`share`."""
        exactly = layer.to(torch.float64)
        least, most = (affine_map(_moved(exactly, sign * share)) for sign in (-1.0, 1.0))
        wide = _made(exactly, lambda numbers: numbers.abs() * (1.0 + share))
        return Weights(affine_map(layer), least, most, affine_map(wide), share)

    def image(
        self, box: Box, magnitude: Tensor, total: Tensor, moduli: Tensor, rounding: Rounding, steps: int
    ) -> Box:
        """Return where Σ_t rows[k,t]·(W'x[t] + b') lies, for the box of z[k] = Σ_t rows[k,t]·x[t].

        Args:
            box: (k, batch, ...).
            magnitude: a bound of |x[t]| for every t.
            total, moduli: Σ_t rows[k,t] and Σ_t |rows[k,t]|, (k,).
            rounding, steps: as `AffineMap.image` takes them.

        Raises:
            OverflowError: where a member's run may overflow its dtype.
        """
        slack = self.slack(magnitude, rounding, steps)
        lower, upper = self._linear(box)
        shape = (-1, *([1] * (lower.dim() - 1)))
        total, moduli = total.reshape(shape), moduli.reshape(shape)
        plus, minus = total.clamp_min(0), total.clamp_max(0)
        lower = lower + plus * self.least.bias + minus * self.most.bias - slack * moduli
        upper = upper + plus * self.most.bias + minus * self.least.bias + slack * moduli
        return Box(lower, upper) if box.center is None else self._cut(Box(lower, upper), box, total, moduli, slack)

    def slack(self, magnitude: Tensor, rounding: Rounding, steps: int) -> Tensor:
        """Return how far a member's run may be from W'x + b', and the bound from what it says."""
        own = self.wide.absolute(magnitude) + self.wide.bias_magnitude
        return self.wide.slack(magnitude, rounding, steps) + own * own_error(2 * self.wide.terms + 24)

    def _linear(self, box: Box) -> tuple[Tensor, Tensor]:
        """Return the ends of W'z."""
        above, below = parts(box)
        lower = _through(self.least, above)[0]
        upper = _through(self.most, above)[1]
        if below is not None:
            lower = lower - _through(self.most, below)[1]
            upper = upper - _through(self.least, below)[0]
        return lower, upper

    def _cut(self, found: Box, box: Box, total: Tensor, moduli: Tensor, slack: Tensor) -> Box:
        """Cut ends to the nominal image of a set that a ball or a budget cuts, and what weights may add to it."""
        nothing, own = torch.zeros_like(total.flatten()), Rounding(torch.float64)  # rounding is paid by `slack`
        exact = self.exact.image(box, box.magnitude.amax(0), total.flatten(), nothing, own, 0, {})
        size = _rows(self.wide.absolute, box.magnitude) + self.wide.bias_magnitude * total.abs()
        extra = size * self.share + slack * moduli
        return found.intersection(Box(exact.lower - extra, exact.upper + extra))


def weighted(layer: LinearMap) -> bool:
    """Return whether a layer has weights and a bias of its own."""
    inner = layer.inner if isinstance(layer, OneRowMap) else layer
    return isinstance(inner, DenseMap | ConvolutionMap | TransposedMap)


def parts(box: Box) -> tuple[Box, Box | None]:
    """Return the boxes of z⁺ and of z⁻, None where no entry is below 0."""
    low, high = box.lower.double(), box.upper.double()
    if bool((low >= 0).all()):
        return Box(low, high), None
    above = Box(low.clamp_min(0), high.clamp_min(0))
    return above, Box(high.neg().clamp_min(0), low.neg().clamp_min(0))


def outward(share: float) -> float:
    """Return a share moved up by more than any bound of it rounds; 0 stays 0."""
    return share * (1.0 + 2.0**-48) + 2.0**-48 if share else 0.0


def _moved(layer: LinearMap, share: float) -> LinearMap:
    """Return the map of W + share·|W| and b + share·|b|."""
    return _made(layer, lambda numbers: numbers + share * numbers.abs())


def _made(layer: LinearMap, change) -> LinearMap:
    """Return a layer with numbers that `change` makes of its own."""
    if isinstance(layer, OneRowMap):
        return OneRowMap(_made(layer.inner, change))
    assert isinstance(layer, DenseMap | ConvolutionMap | TransposedMap)
    offset = None if layer.offset is None else change(layer.offset)
    return replace(layer, weight=change(layer.weight), offset=offset)


def _rows(operator, rows: Tensor) -> Tensor:
    return operator(rows.flatten(0, 1)).unflatten(0, rows.shape[:2])


def _through(layer: AffineMap, box: Box) -> tuple[Tensor, Tensor]:
    """Return the ends of A·z over a box, for one matrix A."""
    middle, radius = _rows(layer.linear, box.middle), _rows(layer.absolute, box.radius)
    return middle - radius, middle + radius


@dataclass(frozen=True)
class TolerantSignal(DerivedSignal):
    """y[t] = W'·x[t] + b' for a signal x and all members' W' and b'."""

    weights: Weights
    rounding: Rounding

    def steps(self) -> Box:
        """Return where each step's output lies."""
        box = self.source.steps()
        ones = box.lower.new_ones(len(box.lower), dtype=torch.float64)
        return self._image(box, ones, ones, 0)

    def combine(self, rows: Tensor) -> Box:
        """Return where weighted sums lie; the bias counts Σ_t rows[k,t] times."""
        rows = rows.double()
        return self._image(self.source.combine(rows), rows.sum(1), rows.abs().sum(1), over_rows(self.num_steps))

    def windowed(self, asked: Spans, ends: range) -> Box:
        """Return where windows lie."""
        total, moduli = (each.double() for each in asked.sums(ends))
        return self._image(self.source.windowed(asked, ends), total, moduli, over_rows(self.num_steps))

    def magnitude(self) -> Tensor:
        """Return a bound of |y[t]| in any member's run."""
        return self._magnitude

    @cached_property
    def _magnitude(self) -> Tensor:
        return self.weights.wide.magnitude(self.source.magnitude().double(), self.rounding)

    def _image(self, box: Box, total: Tensor, moduli: Tensor, steps: int) -> Box:
        magnitude = self.source.magnitude().double()
        total, moduli = total.to(magnitude), moduli.to(magnitude)
        return self.weights.image(box, magnitude, total, moduli, self.rounding, steps)


@dataclass(frozen=True)
class TolerantPropagation(Propagation):
    """What is known of each signal in all members of a set of networks.

    Attributes:
        weights, threshold, decay: shares, rounded outward.
    """

    reader: ClassVar[str] = "Tolerance"
    weights: float = 0.0
    threshold: float = 0.0
    decay: float = 0.0

    def mapped(self, node: Mapped, x: Signal) -> Signal:
        """Return what affine layers make; those without weights of their own are what they are."""
        if not self.weights or not weighted(node.map):
            return super().mapped(node, x)
        return TolerantSignal(x, Weights.of(node.map, self.weights), self.rounding)

    def fired(self, node: Fired, x: Signal) -> Signal:
        """Return what is known of the spikes."""
        if not (self.threshold or self.decay):
            return super().fired(node, x)
        assert leaking(node.rule)
        return path_trains(x, Loose(node.rule, self.threshold, self.decay), self.rounding)

    def recurred(self, node: Recurred, x: Signal) -> Signal:
        """Refuse feedbacks, whose weights are hardware, too."""
        raise self.refuse(node, "a layer that hears itself")


def check_sums(signal: TolerantSignal, rounding: Rounding) -> None:
    """Raise OverflowError where the sum over time of a signal, or of what it reads, may overflow."""
    for part in (signal, signal.source):
        check_potential(signal.num_steps * float(part.magnitude().max()), rounding, "the readout")


def dense_margins(circuit: Circuit, known: list[Signal], labels: Tensor, like: Tensor, share: float) -> Tensor:
    """Return lower bounds of logit_y − logit_k behind a last dense layer within ±`share`, (batch, classes)."""
    last, run = circuit.last, Rounding.of(circuit)
    assert isinstance(last, Mapped)
    check_readout(circuit, known[-1], run)
    rows, before = readout_rows(circuit, like), known[last.sources[0]]
    weights = Weights.of(last.map, share)
    lower = torch.stack([_difference(weights, last.map, before, row, labels, run) for row in rows.split(1)])
    if circuit.read.readout == "largest":
        lower = largest_margins(lower, logit_steps(known[-1], rows, run), labels)[None]
    return lower.squeeze(0).scatter(1, labels[:, None], torch.inf)


def _difference(
    weights: Weights, layer: LinearMap, before: Signal, row: Tensor, labels: Tensor, rounding: Rounding
) -> Tensor:
    """Return the least W'_y·z − W'_k·z + (b'_y − b'_k)·Σ row over the box of z = Σ_t row[t]·before[t]."""
    assert isinstance(layer, DenseMap)
    exactly = layer.to(torch.float64)
    least, most = (_moved(exactly, sign * weights.share) for sign in (-1.0, 1.0))
    assert isinstance(least, DenseMap)
    assert isinstance(most, DenseMap)
    above, below = parts(before.combine(row)[0])
    total, moduli = float(row.sum()), row.abs().sum()
    down, up = (weights.least.bias, weights.most.bias) if total >= 0 else (weights.most.bias, weights.least.bias)
    shape = (len(above.lower), len(exactly.weight))
    down, up = (each.expand(shape[1]) for each in (down, up))
    found = above.lower.new_empty(shape)
    for label in labels.unique():
        chosen = labels == label
        found[chosen] = _least(least.weight[label] - most.weight, above, chosen) + total * (down[label] - up)
        if below is not None:
            found[chosen] += _least(least.weight - most.weight[label], below, chosen)
    slack = weights.slack(before.magnitude().double(), rounding, over_time(before.num_steps)) * moduli
    slack = (slack + vanished(before.num_steps, rounding)).expand_as(found)
    return found - slack - slack.gather(1, labels[:, None])


def _least(matrix: Tensor, box: Box, chosen: Tensor) -> Tensor:
    return box.middle[chosen] @ matrix.T - box.radius[chosen] @ matrix.abs().T
