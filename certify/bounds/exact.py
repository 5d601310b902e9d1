"""Which layers of a network do not round (F17): where weights lie on a grid and sums stay below 2^24 units of it.

**A sum.** Let a layer's weights be multiples of 2^-k, its inputs of 2^-m, its bias of 2^-(k+m), and |x| ≤ X. If
(Σ_i |w_i|·X_i + |b|)·2^(k+m) ≤ 2^24, each product and each partial sum, in any order, is a whole number of units
2^-(k+m), at most 2^24 of them. float32 holds all of these. So no operation rounds, with fused multiply-adds or
without, in any order, blocking or batch, and the output is Wx + b. *Proof:* by induction over the operations of a
plain sum: both operands are on the grid and below 2^24 units, so is the exact result, and rounding leaves what is
representable as it is. ∎ Plain sums are all that `certify.arithmetic` lets run: TF32, transforms (Winograd, FFT)
and autocast are refused there, since γ speaks of no other algorithms either. Spikes have m = 0, X = 1. An average
of 2^j entries has m + j. A sum of two signals has the finer unit, and the sum of both sizes. Batch norms, shares
and synapses are taken to round.

**A membrane.** Let currents be multiples of 2^-k, what a reset takes off, too, and λ = p/2^q. Then v[t] and
λ·u[t−1] are multiples of 2^-(k+q(t−1)): a product with λ takes q bits more, a sum none, a reset to 0 or by d none.
If |v[t]| ≤ V for all t and V·2^(k+q(T−1)) ≤ 2^24, neither the product, λ·|u| ≤ V, nor the sum rounds. Of currents
in [l, h], S = Σ_{i<T} λ^i: |v| ≤ S·max(|l|, |h|) without a reset; a subtracting one adds S·max(θ, d); a hard one
leaves u ≤ θ, so v ≤ λθ + h, and v ≥ S·min(0, l). θ, d and λ must be float32 numbers themselves, for the run
compares with, and takes off, what they round to.

**What follows.** A layer that does not round gives in float32 what it gives in float64, where no more rounds. So a
bound of a float64 run of that layer is one of the float32 run: its nodes are marked, and bounded with the
allowances of float64. Layers behind the last neurons are never marked: a mean over time may be taken before them.
The first layer is marked only if its inputs are known to lie on a grid: single points, and recordings of whole
numbers whose events move or flip.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...models.circuit import Algebra, Circuit, fold, nodes
from ...models.linear_maps import ConvolutionMap, DenseMap, LinearMap, PoolMap
from ...models.linear_maps.averaging import ShareMap
from ...models.linear_maps.convolution import OneRowMap, TransposedMap
from ...models.rules import LEAKY, RESTS, START, VARIED, Leaky, plain
from ...models.source import OWN
from .signals.windows import Box

DIGITS = 24
"""float32 holds all whole numbers up to 2 to this power."""
FINEST = 100
"""Units below 2^-100 are taken for none: the least normal number is 2^-126."""
USUAL = 24
"""A network none of whose layers has weights on the grid of 2^-24 is not looked at any further."""
LOOKED_AT = 4096
"""Numbers of a layer that are looked at before all are."""
ROOM = 1.0 + 2.0**-30
"""What float64 may have rounded away of sizes."""


@dataclass(frozen=True)
class Lattice:
    """Where the numbers of a signal lie at every step and sample: multiples of 2^-`unit` from `low` to `high`.

    Attributes:
        unit: None where they lie on no grid that is known.
        low, high: (1, ...), float64.
    """

    unit: int | None
    low: Tensor
    high: Tensor

    @property
    def size(self) -> Tensor:
        """Return max |x|."""
        return self.high.maximum(-self.low)

    def spikes(self, most: int) -> "Lattice":
        """Return 0 to `most` for each entry."""
        return Lattice(0, torch.zeros_like(self.low), torch.full_like(self.high, most))


class Exactness(Algebra[Lattice]):
    """Follows grids and sizes through a circuit, and keeps the nodes that do not round."""

    reader = "the exact sums"
    answers = frozenset({LEAKY, VARIED, RESTS, START})
    declared = True
    loops = True

    def __init__(self, source: Lattice, num_steps: int) -> None:
        self.source, self.num_steps = source, num_steps
        self.found: list[nodes.Node] = []

    def input(self, node: nodes.Input) -> Lattice:
        """Return the input's."""
        return self.source

    def mapped(self, node: nodes.Mapped, x: Lattice) -> Lattice:
        """Return the affine image's."""
        exactly = node.map.to(torch.float64)
        middle, radius = exactly.linear((x.low + x.high) / 2), exactly.absolute().linear((x.high - x.low) / 2)
        low, high = middle - radius + exactly.bias, middle + radius + exactly.bias
        if x.unit is None:
            return Lattice(None, low, high)
        if node.map.reshapes:
            return Lattice(x.unit, low, high)
        largest = float((exactly.absolute().linear(x.size) + exactly.bias_magnitude).max())
        unit = self._unit(exactly, x.unit, largest)
        if unit is not None:
            self.found.append(node)
        return Lattice(unit, low, high)

    def _unit(self, layer: LinearMap, before: int, largest: float) -> int | None:
        """Return the unit of a layer's outputs; None where a sum may round."""
        inner = layer.inner if isinstance(layer, OneRowMap) else layer
        if isinstance(inner, PoolMap):
            share = math.log2(inner.terms)
            held = inner.whole and share == int(share) and fits(largest * inner.terms, before)
            unit = before + int(share)
            return unit if held and fits(largest, unit) else None
        if not isinstance(inner, DenseMap | ConvolutionMap | TransposedMap) or largest <= 0:
            return None
        most = min(FINEST, math.floor(DIGITS - math.log2(largest * ROOM)))
        weight = unit_of(inner.weight, most - before)
        bias = 0 if inner.offset is None else unit_of(inner.offset, most)
        return None if weight is None or bias is None else max(weight + before, bias)

    def pooled(self, node: nodes.Pooled, x: Lattice) -> Lattice:
        """Return the maxima's: they are among the entries."""
        return Lattice(x.unit, node.windows.largest(x.low), node.windows.largest(x.high))

    def filtered(self, node: nodes.Filtered, x: Lattice) -> Lattice:
        """Return what a delay moves, 0 before; a synapse's is on no grid that is known."""
        unit = x.unit if node.filter.moves else None
        return Lattice(unit, x.low.clamp_max(0), x.high.clamp_min(0))

    def chosen(self, node: nodes.Chosen, *x: Lattice) -> Lattice:
        """Return the finest grid of all, which each step is on."""
        units = [each.unit for each in x if each.unit is not None]
        unit = max(units) if len(units) == len(x) else None
        low, high = (torch.stack(ends) for ends in ([each.low for each in x], [each.high for each in x]))
        return Lattice(unit, low.amin(0), high.amax(0))

    def added(self, node: nodes.Added, x: Lattice, y: Lattice) -> Lattice:
        """Return the sum's."""
        unit = None if x.unit is None or y.unit is None else max(x.unit, y.unit)
        unit = unit if unit is not None and fits(float((x.size + y.size).max()), unit) else None
        if unit is not None:
            self.found.append(node)
        return Lattice(unit, x.low + y.low, x.high + y.high)

    def fired(self, node: nodes.Fired, x: Lattice) -> Lattice:
        """Return spikes, and keep a layer whose membranes do not round."""
        if plain(node.rule) and membrane_unit(node.rule, x, self.num_steps) is not None:
            self.found.append(node)
        return x.spikes(node.rule.most)

    def recurred(self, node: nodes.Recurred, x: Lattice) -> Lattice:
        """Return spikes."""
        return x.spikes(node.rule.most)

    def read(self, node: nodes.Read, x: Lattice) -> Lattice:
        """Return what is read."""
        return x


def fits(largest: float, unit: int) -> bool:
    """Return whether numbers up to `largest`, multiples of 2^-unit, are float32 numbers, all of them."""
    return unit <= FINEST and largest * ROOM * 2.0**unit <= 2.0**DIGITS


def membrane_unit(rule: Leaky, current: Lattice, num_steps: int) -> int | None:
    """Return the finest unit of the potentials of neurons under a current; None where they may round."""
    if current.unit is None or rule.scale is not None:
        return None
    used = (rule.decay, rule.threshold, *((rule.drop,) if rule.reset == "subtract" else ()))
    if any(float(torch.tensor(number, dtype=torch.float32)) != number for number in used):
        return None
    drop = unit_of(torch.tensor([rule.drop], dtype=torch.float64), FINEST) if rule.reset == "subtract" else 0
    share = unit_of(torch.tensor([rule.decay], dtype=torch.float64), FINEST)
    if drop is None or share is None:
        return None
    unit = max(current.unit, drop) + share * (num_steps - 1)
    largest = largest_potential(rule, current, num_steps)
    return unit if fits(largest, unit) else None


def largest_potential(rule: Leaky, current: Lattice, num_steps: int) -> float:
    """Return V, a bound of |v[t]| at all steps."""
    steps = sum(rule.decay**i for i in range(num_steps))
    low, high = float(current.low.min()), float(current.high.max())
    if rule.reset == "zero":
        return max(rule.decay * rule.threshold + max(high, 0.0), -steps * min(low, 0.0))
    span = rule.span if rule.reset == "subtract" else 0.0
    return steps * (max(high, -low, 0.0) + span)


def unit_of(numbers: Tensor, most: int) -> int | None:
    """Return the least k ≥ 0 such that all numbers are multiples of 2^-k; None where that is above `most`."""
    exact = numbers.detach().double().flatten()
    if most < 0 or not (_whole(exact[:LOOKED_AT], most) and _whole(exact, most)):
        return None
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _whole(exact, middle) else (middle + 1, high)
    return low


def _whole(numbers: Tensor, unit: int) -> bool:
    scaled = numbers * 2.0**unit
    return bool((scaled == scaled.round()).all())


def lattice_of(circuit: Circuit, box: Box) -> Lattice:
    """Return where the numbers of an input set lie, for a box as `Perturbation.enclosure` gives it."""
    lower, upper = circuit.arranged(box.lower), circuit.arranged(box.upper)
    low, high = lower.amin((0, 1))[None].double(), upper.amax((0, 1))[None].double()
    if circuit.source.draws is not None:
        return Lattice(0, torch.zeros_like(low), torch.ones_like(high))
    if torch.equal(box.lower, box.upper):
        return Lattice(unit_of(box.lower, FINEST), low, high)
    if box.budget is not None and box.center is not None and _whole(box.center.double().flatten(), 0):
        return Lattice(0, low.floor(), high.ceil())
    return Lattice(None, low, high)


def marked(circuit: Circuit, box: Box) -> Circuit:
    """Return a circuit that says which of its nodes do not round, for inputs in a box."""
    own = circuit.allowance is OWN  # a source may round where its network does not
    if not own or circuit.dtype != torch.float32 or not any(_on_a_grid(layer) for layer in circuit.maps):
        return circuit
    known = Exactness(lattice_of(circuit, box), circuit.num_steps)
    fold(circuit, known)
    firing = [index for index, node in enumerate(circuit.nodes) if isinstance(node, nodes.Fired | nodes.Recurred)]
    stepwise = set(circuit.nodes[: max(firing, default=-1) + 1])
    return replace(circuit, exact=frozenset(node for node in known.found if node in stepwise))


def _on_a_grid(layer: LinearMap) -> bool:
    weights = [tensor.detach().flatten()[:LOOKED_AT].double() for tensor in layer.tensors]
    return bool(weights) and all(_whole(each, USUAL) for each in weights)


@dataclass(frozen=True)
class CountedLogits:
    """Logits that are whole numbers c over S, but for rounding that keeps their order.

    Attributes:
        steps: S.
        unit: by how much a logit may be off c/S at most; 0 where none is, and S is a power of 2.
    """

    steps: float
    unit: float


def counted(circuit: Circuit) -> CountedLogits | None:
    """Return what counts a network's logits are; None where they are none, or this is not known.

    "spikes"      fl(c/T), c ≤ T spikes: sums of 0 and 1 are exact, and one rounding of a quotient, or two of a
                  product with 1/T, keep the order and move a number of at most 1 by at most ε = 2u
    "first"       −τ, and all logits of networks of whole numbers: exact
    "mean"        shares w > 0 behind spikes, w·fl(c/T): as many more roundings, of all classes alike. Or dense
                  layers whose weights lie on a grid, where T is a power of 2: nothing rounds (see above), whether
                  the mean is taken before them or behind
    "potential"   of neurons with λ = 1 behind such layers: sums over time of votes, T as it is; nothing rounds
    """
    readout, steps, eps = circuit.read.readout, circuit.num_steps, torch.finfo(circuit.dtype).eps
    if readout in ("spikes", "first"):
        return CountedLogits(steps, eps) if readout == "spikes" else CountedLogits(1, 0.0)
    if circuit.whole:
        return CountedLogits(1, 0.0)
    maps, node = list[LinearMap](), circuit.last
    while isinstance(node, nodes.Mapped):
        maps.insert(0, node.map)
        node = circuit.nodes[node.sources[0]]
    if not isinstance(node, nodes.Fired | nodes.Recurred) or node.rule.whole or node.rule.most > 1:
        return None
    if readout == "mean" and all(isinstance(each, ShareMap) for each in maps):
        share = math.prod(each.share.item() for each in maps if isinstance(each, ShareMap))
        return (
            CountedLogits(steps / share, (1 + len(maps)) * eps * share)
            if FAINTEST < share < 1 / FAINTEST
            else None
        )
    rule = circuit.read.rule
    if readout == "mean" and not steps & (steps - 1):
        start, sums = steps.bit_length() - 1, 1
    elif readout == "potential" and plain(rule) and rule.decay == 1.0 and rule.scale is None:
        start, sums = 0, steps
    else:
        return None
    unit = _votes_unit(maps, start, sums)
    return None if unit is None else CountedLogits(2.0**unit, 0.0)


FAINTEST = 1e-30
"""Shares below it, and above its inverse, are not looked at."""


def _votes_unit(maps: list[LinearMap], start: int, sums: int) -> int | None:
    """Return the unit of what dense layers make of multiples of 2^-start, `sums` times; None if it rounds."""
    if not maps or not isinstance(maps[0], DenseMap) or not all(type(each) is DenseMap for each in maps):
        return None
    none = torch.zeros(1, maps[0].weight.shape[1], dtype=torch.float64)
    found, known = Lattice(start, none, none + 1.0), Exactness(Lattice(None, none, none), 1)
    for place, each in enumerate(maps):
        found = known.mapped(nodes.Mapped("", (place,), each), found)
    held = found.unit is not None and fits(float(found.size.max()) * sums, found.unit)
    return found.unit if held else None
