"""What is known of signals where up to k neurons in all are stuck: one budget, split in every way over the layers.

**What is kept.** For j = 0..k a value holds what is known of a signal if at most j neurons in front of it are
stuck; of a layer's spikes, of those of its neurons that are not stuck themselves (`fresh`). Let a layer of weights
read fresh spikes, at most i of which are stuck at 0 or 1, and j − i in front of them. Of Σ_m w_m·z_m, where z_m =
Σ_t r[t]·s_m[t] lies in [l_m, u_m] if m is not stuck, and is 0 or R = Σ_t r[t] if it is, the upper end is at most

    Σ_m max(w_m·l_m, w_m·u_m) + the sum of the i greatest max(0, max(0, w_m·R) − max(w_m·l_m, w_m·u_m)),

since each stuck neuron takes its own term away and puts in at most max(0, w_m·R); lower ends are mirrored. The
hull over all i ≤ j is what is known for j: no stuck neuron is counted twice on one path, and k + 1 values are all
that a layer needs. A neuron that is stuck is so at all steps, so this holds of any r: steps, windows, counts.

**What is lost.** Each output has its own i greatest; sums of parts (`Residual`) have a budget each; what reads
fresh spikes in another way than by weighted sums (max pools, synapses, sums, neurons) reads all of them as open
once i ≥ 1. So does a readout of the spikes themselves, in which a stuck output is a class without a rival, or
none: that is no loss.

**Margins.** The rows W_y − W_c of a last dense layer are weights of one output each: the same bound, from below.

**Rounding.** A stuck neuron's spike is 0 or 1 as any other is: the run strays by γ·(|W|·1 + |b|) at most, which is
paid with all sizes 1. The sums of the i greatest take a few roundings in float64 of Σ|w|·Σ|r|: 4i + 16 are paid.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from ...models.circuit import Algebra, Circuit, fold, nodes
from ...models.linear_maps import DenseMap, LinearMap
from ...models.rules import SEVERAL
from ..bounds.propagation import (
    Propagation,
    check_readout,
    known_margins,
    largest_margins,
    logit_steps,
    readout_rows,
)
from ..bounds.signals.affine import AffineMap, affine_map
from ..bounds.signals.signals import DerivedSignal, Signal
from ..bounds.signals.windows import Box, Spans
from ..rounding import Rounding, over_rows, over_time, own_error, vanished

MOST_NUMBERS = 2**22
"""How many products are held at once."""


@dataclass(frozen=True)
class Budgeted:
    """What is known of a signal for j = 0..k stuck neurons in front of it; of fresh spikes, of healthy ones."""

    signals: tuple[Signal, ...]
    fresh: bool = False

    def each(self, made: Callable[[Signal], Signal], fresh: bool = False) -> "Budgeted":
        """Return what is made of each signal; one that stands for several budgets is asked once."""
        known = {id(signal): made(signal) for signal in self.signals}
        return Budgeted(tuple(known[id(signal)] for signal in self.signals), fresh)

    @property
    def settled(self) -> "Budgeted":
        """Return fresh spikes with stuck ones among them: any may be."""
        if not self.fresh:
            return self
        return Budgeted((self.signals[0], *(PerhapsStuck(signal) for signal in self.signals[1:])))


@dataclass(frozen=True)
class PerhapsStuck(DerivedSignal):
    """Spikes any of which may be stuck."""

    binary = True

    @property
    def constant(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return False."""
        return False

    def steps(self) -> Box:
        """Return 0 to 1."""
        box = self.source.steps()
        return Box(torch.zeros_like(box.lower), torch.ones_like(box.upper))

    def combine(self, rows: Tensor) -> Box:
        """Return the hull of what it is and of what 0 or 1 at each step comes to."""
        box, total = self.source.combine(rows), rows.sum(1)
        total = total.reshape(-1, *([1] * (box.lower.dim() - 1))).to(box.lower)
        zero = torch.zeros_like(total)
        return Box(box.lower.minimum(zero).minimum(total), box.upper.maximum(zero).maximum(total))

    def magnitude(self) -> Tensor:
        """Return 1."""
        return torch.ones_like(self.source.magnitude())


@dataclass(frozen=True)
class StuckSignal(DerivedSignal):
    """y[t] = W·x[t] + b for spikes x, at most j of which are stuck, or in front of which some are.

    Attributes:
        source: x with j stuck neurons in front.
        fewer: x with j − i stuck neurons in front, for i = 1..j.
        layer: W and b.
        rounding: the dtypes of the run and of the bound.
    """

    fewer: tuple[Signal, ...]
    layer: LinearMap
    rounding: Rounding

    @cached_property
    def map(self) -> AffineMap:
        """Return the layer as a map."""
        return affine_map(self.layer)

    def steps(self) -> Box:
        """Return where each step's output lies."""
        boxes = [signal.steps() for signal in (self.source, *self.fewer)]
        ones = boxes[0].lower.new_ones(len(boxes[0].lower), dtype=torch.float64)
        return self._hull(boxes, ones, ones, 0)

    def combine(self, rows: Tensor) -> Box:
        """Return where weighted sums over time lie."""
        rows = rows.double()
        boxes = [signal.combine(rows) for signal in (self.source, *self.fewer)]
        return self._hull(boxes, rows.sum(1), rows.abs().sum(1), over_rows(self.num_steps))

    def windowed(self, asked: Spans, ends: range) -> Box:
        """Return where windows lie."""
        boxes = [signal.windowed(asked, ends) for signal in (self.source, *self.fewer)]
        total, moduli = (each.double() for each in asked.sums(ends))
        return self._hull(boxes, total, moduli, over_rows(self.num_steps))

    def magnitude(self) -> Tensor:
        """Return a bound of |y[t]|: any spike may be there."""
        return self.map.magnitude(self._ones, self.rounding)

    @cached_property
    def _ones(self) -> Tensor:
        return torch.ones_like(self.source.magnitude(), dtype=torch.float64)

    def _hull(self, boxes: list[Box], total: Tensor, moduli: Tensor, steps: int) -> Box:
        total, moduli = total.to(self._ones), moduli.to(self._ones)
        lower, upper = None, None
        for count, box in enumerate(boxes):
            found = self.map.image(box, self._ones, total, moduli, self.rounding, steps, {})
            if count:
                found = self._widened(found, box, total, moduli, count)
            lower = found.lower if lower is None else lower.minimum(found.lower)
            upper = found.upper if upper is None else upper.maximum(found.upper)
        assert lower is not None
        assert upper is not None
        return Box(lower, upper)

    def _widened(self, image: Box, box: Box, total: Tensor, moduli: Tensor, count: int) -> Box:
        """Return the image with `count` stuck inputs of each output."""
        own = self.map.absolute(self._ones) * own_error(4 * count + 16)
        fall, rise = torch.zeros_like(image.lower), torch.zeros_like(image.upper)
        flat = Box(box.lower.double().flatten(0, 1), box.upper.double().flatten(0, 1))
        each = total.repeat_interleave(box.lower.shape[1])
        products = aligned(self.layer.to(torch.float64))
        assert products is not None
        for rows in _blocks(len(flat.lower), image.lower[0, 0].numel() * self.map.terms):
            terms = Terms.of(products, Box(flat.lower[rows], flat.upper[rows]), each[rows])
            fall.flatten(0, 1)[rows] = terms.falls(count)
            rise.flatten(0, 1)[rows] = terms.rises(count)
        own = own * moduli.reshape(-1, *([1] * (image.lower.dim() - 1)))
        return Box(image.lower - fall - own, image.upper + rise + own)


@dataclass(frozen=True)
class Terms:
    """The products w_m·z_m of each output: their ends, and what they are where z_m = R, (n, …, terms)."""

    lower: Tensor
    upper: Tensor
    full: Tensor

    @staticmethod
    def of(products: Callable[[Tensor], Tensor], box: Box, total: Tensor) -> "Terms":
        """Return the products over a box (n, ...), R of each row being `total`, (n,)."""
        middle, radius = products(box.middle), products(box.radius).abs()
        full = total.reshape(-1, *([1] * (box.lower.dim() - 1))).expand_as(box.lower)
        return Terms(middle - radius, middle + radius, products(full.contiguous()))

    def rises(self, count: int) -> Tensor:
        """Return the sum of the greatest rises of the upper ends, (n, …)."""
        return _greatest((self.full.clamp_min(0) - self.upper).clamp_min_(0), count)

    def falls(self, count: int) -> Tensor:
        """Return the sum of the greatest falls of the lower ends, (n, …)."""
        return _greatest((self.lower - self.full.clamp_max(0)).clamp_min_(0), count)


def _greatest(changes: Tensor, count: int) -> Tensor:
    return changes.topk(min(count, changes.shape[-1]), -1).values.sum(-1)


def _blocks(rows: int, numbers: int) -> Iterator[slice]:
    """Yield slices of rows that have `numbers` products each."""
    size = max(1, MOST_NUMBERS // max(1, numbers))
    for start in range(0, rows, size):
        yield slice(start, start + size)


def aligned(layer: LinearMap) -> Callable[[Tensor], Tensor] | None:
    """Return x ↦ the products of each output in one order whatever x is; None where a map does not offer them."""
    if isinstance(layer, DenseMap):
        return lambda x: x.unsqueeze(-2) * layer.weight
    return layer.products


class StuckPropagation(Algebra[Budgeted]):
    """What is known of each signal for each number of stuck neurons.

    Args:
        healthy: what is known of one signal behind another.
        count: k.
        allowed: the names of the nodes whose neurons may be stuck.
    """

    reader: ClassVar[str] = "StuckNeurons"
    answers: ClassVar[frozenset[str]] = Propagation.answers
    declared: ClassVar[bool] = True

    def __init__(self, healthy: Propagation, count: int, allowed: frozenset[str]) -> None:
        self.healthy, self.count, self.allowed = healthy, count, allowed

    def input(self, node: nodes.Input) -> Budgeted:
        """Return the input, which no neuron is in front of."""
        return Budgeted((self.healthy.source,) * (self.count + 1))

    def mapped(self, node: nodes.Mapped, x: Budgeted) -> Budgeted:
        """Return affine images; fresh spikes have stuck ones among them from there on."""
        if x.fresh and node.map.reshapes:
            return x.each(lambda signal: self.healthy.mapped(node, signal), fresh=True)
        if x.fresh and aligned(node.map) is not None:
            first, rounding = self.healthy.mapped(node, x.signals[0]), self.healthy.rounding
            later = (
                StuckSignal(x.signals[j], tuple(reversed(x.signals[:j])), node.map, rounding)
                for j in range(1, self.count + 1)
            )
            return Budgeted((first, *later))
        return x.settled.each(lambda signal: self.healthy.mapped(node, signal))

    def pooled(self, node: nodes.Pooled, x: Budgeted) -> Budgeted:
        """Return the maxima."""
        return x.settled.each(lambda signal: self.healthy.pooled(node, signal))

    def filtered(self, node: nodes.Filtered, x: Budgeted) -> Budgeted:
        """Return the filtered signals."""
        return x.settled.each(lambda signal: self.healthy.filtered(node, signal))

    def chosen(self, node: nodes.Chosen, *x: Budgeted) -> Budgeted:
        """Return the signal of each step; each may have all that are stuck."""
        every = zip(*(each.settled.signals for each in x), strict=True)
        return Budgeted(tuple(self.healthy.chosen(node, *signals) for signals in every))

    def added(self, node: nodes.Added, x: Budgeted, y: Budgeted) -> Budgeted:
        """Return sums; each part may have all that are stuck."""
        pairs = zip(x.settled.signals, y.settled.signals, strict=True)
        return Budgeted(tuple(self.healthy.added(node, *pair) for pair in pairs))

    def fired(self, node: nodes.Fired, x: Budgeted) -> Budgeted:
        """Return healthy spikes, of which there is one a step at most, as of stuck neurons."""
        if node.rule.most > 1:
            raise self.refuse(node, f"a {type(node.layer).__name__} of {SEVERAL}")
        return x.settled.each(lambda signal: self.healthy.fired(node, signal), fresh=node.name in self.allowed)

    def recurred(self, node: nodes.Recurred, x: Budgeted) -> Budgeted:
        """Refuse feedbacks, which hear their stuck neurons."""
        raise self.refuse(node, "a layer that hears itself")

    def read(self, node: nodes.Read, x: Budgeted) -> Budgeted:
        """Return what is read."""
        return x


def stuck_margins(
    circuit: Circuit, healthy: Propagation, labels: Tensor, like: Tensor, count: int, allowed: frozenset[str]
) -> Tensor:
    """Return lower bounds of logit_y − logit_c with at most `count` stuck neurons, (batch, classes)."""
    known, last = fold(circuit, StuckPropagation(healthy, count, allowed)), circuit.last
    if isinstance(last, nodes.Mapped) and isinstance(last.map, DenseMap) and known[last.sources[0]].fresh:
        return _dense_margins(circuit, known, labels, like, count)
    return known_margins(circuit, [value.settled.signals[count] for value in known], labels, like)


def _dense_margins(circuit: Circuit, known: list[Budgeted], labels: Tensor, like: Tensor, count: int) -> Tensor:
    last, run = circuit.last, Rounding.of(circuit)
    assert isinstance(last, nodes.Mapped)
    assert isinstance(last.map, DenseMap)
    spikes, logits = known[last.sources[0]].signals, known[-1].signals[count]
    check_readout(circuit, logits, run)
    check_readout(circuit, PerhapsStuck(spikes[0]), run)
    rows = readout_rows(circuit, like)
    lower = torch.stack([_rows_least(last.map, spikes, row, labels, run) for row in rows.split(1)])
    if circuit.read.readout == "largest":
        lower = largest_margins(lower, logit_steps(logits, rows, run), labels)[None]
    return lower.squeeze(0).scatter(1, labels[:, None], torch.inf)


def _rows_least(
    layer: DenseMap, spikes: tuple[Signal, ...], row: Tensor, labels: Tensor, rounding: Rounding
) -> Tensor:
    """Return the least (W_y − W_c)·z + (b_y − b_c)·Σ row over z = Σ_t row[t]·s[t], stuck ones among them."""
    exact, weight = affine_map(layer), layer.to(torch.float64).weight
    total, moduli, found = float(row.sum()), row.abs().sum(), None
    bias = (exact.bias * total).expand(len(weight))
    for stuck in range(len(spikes)):
        box = spikes[len(spikes) - 1 - stuck].combine(row)[0]
        box = Box(box.lower.double(), box.upper.double())
        least = box.lower.new_empty(len(labels), len(weight))
        for label in labels.unique().tolist():
            chosen = (labels == label).nonzero().flatten()
            joint = weight[label] - weight
            for part in chosen.split(max(1, MOST_NUMBERS // joint.numel())):
                one = Box(box.lower[part], box.upper[part])
                terms = Terms.of(
                    lambda x, joint=joint: x.unsqueeze(-2) * joint, one, one.lower.new_full((len(part),), total)
                )
                least[part] = terms.lower.sum(-1) - (terms.falls(stuck) if stuck else 0.0) + bias[label] - bias
        found = least if found is None else found.minimum(least)
    assert found is not None
    ones = torch.ones_like(spikes[0].magnitude(), dtype=torch.float64)
    slack = exact.slack(ones, rounding, over_time(spikes[0].num_steps))
    slack = slack + (exact.absolute(ones) + exact.bias_magnitude) * own_error(
        2 * layer.terms + 4 * len(spikes) + 24
    )
    slack = (slack * moduli + vanished(spikes[0].num_steps, rounding)).expand_as(found)
    return found - slack - slack.gather(1, labels[:, None])
