"""A build of a network whose sums do not round: `exact_twin` (F17).

Batch norms are merged into the layer in front, and weights and biases rounded to a grid 2^-k, layer by layer, with
the largest k at which no sum exceeds 2^24 units (certify/bounds/exact.py): such sums are the same in any order, on
any machine and in any batch. Where λ = p/2^q, potentials lie on the grid 2^-(k+q(T−1)), too: k is then as large
as leaves 2^24 units for them, unless the largest weight would keep fewer than seven bits.

**The threshold.** On a grid a potential equals θ with positive probability, and a bound must take it for both. So
θ is first rounded to the unit g of potentials, up where it fires at ≥, down at >, and then moved by g/2, down at
≥, up at >. No multiple of g lies between: v ≥ θ iff v ≥ ⌈θ⌉ iff v ≥ ⌈θ⌉ − g/2 for such v, and v > θ iff v > ⌊θ⌋
iff v > ⌊θ⌋ + g/2. (An off-grid θ that is moved as it stands may pass one.) What a reset subtracts is rounded to
the currents' unit, and no longer follows θ. Other λ leave θ as it is, and membranes round: their recursion's
allowance is then paid as ever.

The first layer of real inputs rounds wherever they are not multiples of 2^-8 themselves, as pictures n/256 are.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...models.circuit import Algebra, Circuit, circuit, fold, nodes
from ...models.linear_maps import LinearMap, PoolMap
from ...models.linear_maps.convolution import OneRowMap
from ...models.merging import greatest_sum, merged
from ...models.networks import SpikingNetwork
from ...models.rules import LEAKY, RESTS, START, VARIED, Leaky, plain
from ..bounds.exact import DIGITS, fits, unit_of
from ..network_sets.tolerant import weighted

INPUT_BITS = 8
"""Inputs under direct coding are taken for multiples of 2^-8 in [−1, 1]."""
LEAST_BITS = 7
"""So many bits the largest weight of a layer keeps for the sake of its membranes."""
MOST_HALVINGS = 14
"""q(T − 1) above this leaves no bits for weights."""
TOGETHER = 256
"""Samples run at once for an accuracy."""


@dataclass(frozen=True)
class TwinLayer:
    """What became of a layer.

    Attributes:
        name: of its module.
        grid: k of its weights' grid 2^-k; None where they stayed as they were.
        sums: whether its sums are known not to round, in any order.
        membranes: the same of the membranes behind it.
    """

    name: str
    grid: int | None
    sums: bool
    membranes: bool


@dataclass(frozen=True)
class Twin:
    """What an exact twin is, and costs.

    Attributes:
        layers: with weights, in order.
        accuracy, twin_accuracy: of the network and of its twin on the data; None without data.
    """

    layers: tuple[TwinLayer, ...]
    accuracy: float | None = None
    twin_accuracy: float | None = None

    def __str__(self) -> str:
        """Return one line a layer, and the cost."""
        lines = [
            f"{layer.name}: "
            + ("as it was" if layer.grid is None else f"grid 2^-{layer.grid}")
            + f", sums {'exact' if layer.sums else 'round'}"
            + f", membranes {'exact' if layer.membranes else 'round: the recursion’s allowance stays'}"
            for layer in self.layers
        ]
        if self.accuracy is not None and self.twin_accuracy is not None:
            lines.append(f"accuracy {self.accuracy:.4f} → {self.twin_accuracy:.4f}")
        return "\n".join(lines)


def exact_twin(network: SpikingNetwork, data: Any = None) -> SpikingNetwork:
    """Return a copy of a network in which as many sums and membranes as can be do not round.

    Its attribute `twin` says layer by layer what was reached, and what it costs in accuracy.

    Args:
        network: in float32.
        data: inputs and labels as a pair, or anything that has `.inputs` and `.labels`; None to tell no accuracy.

    Raises:
        TypeError, ValueError: for a network of another dtype, or data that is neither.

    >>> from torch import nn
    >>> from spikecert.models import LIF
    >>> twin = exact_twin(SpikingNetwork(nn.Linear(4, 3), LIF(0.5), nn.Linear(3, 2), num_steps=4))
    >>> [layer.sums for layer in twin.twin.layers]
    [True, True]
    """
    found = merged(network)
    if found.dtype != torch.float32:
        raise ValueError(f"network: got {found.dtype}, expected torch.float32, whose sums round")
    made = circuit(found)
    gridding = _Gridding(found, made)
    with torch.no_grad():
        fold(made, gridding)
    costs: tuple[float | None, float | None] = (None, None)
    if data is not None:
        inputs, labels = _pair(data)
        costs = _accuracy(network, inputs, labels), _accuracy(found, inputs, labels)
    found.twin = Twin(tuple(gridding.layers.values()), *costs)  # type: ignore[assignment]
    return found


class _Multiples(NamedTuple):
    """Multiples of 2^-unit up to `largest`; unit None: not known. `layer` is whose weights made them."""

    unit: int | None
    largest: float
    layer: str | None = None


class _Gridding(Algebra[_Multiples]):
    """Rounds the numbers of a network as it goes through its circuit."""

    reader = "the exact twin"
    answers = frozenset({LEAKY, VARIED, RESTS, START})
    declared = True
    loops = True

    def __init__(self, network: SpikingNetwork, made: Circuit) -> None:
        self.network, self.made = network, made
        self.layers: dict[str, TwinLayer] = {}

    def input(self, node: nodes.Input) -> _Multiples:
        """Return what inputs are taken to be."""
        return _Multiples(INPUT_BITS if node.encoding == "direct" else 0, 1.0)

    def mapped(self, node: nodes.Mapped, x: _Multiples) -> _Multiples:
        """Round a layer with weights; follow the others."""
        if node.map.reshapes:
            return x
        if not weighted(node.map):
            return self._unweighted(node.map, x)
        layer: Any = self.network.get_submodule(node.name)
        if x.unit is None:
            self.layers[node.name] = TwinLayer(node.name, None, False, False)
            return _Multiples(None, greatest_sum(layer, x.largest), node.name)
        grid = self._grid(node, layer, x)
        for name in ("weight", "bias"):
            numbers = getattr(layer, name)
            if numbers is not None:
                fine = grid if name == "weight" else grid + x.unit
                numbers.copy_((numbers.double() * 2.0**fine).round() * 2.0**-fine)
        sums = fits(greatest_sum(layer, x.largest), grid + x.unit)
        self.layers[node.name] = TwinLayer(node.name, grid, sums, False)
        return _Multiples(grid + x.unit if sums else None, greatest_sum(layer, x.largest), node.name)

    def _unweighted(self, layer: LinearMap, x: _Multiples) -> _Multiples:
        inner = layer.inner if isinstance(layer, OneRowMap) else layer
        if isinstance(inner, PoolMap) and inner.whole and x.unit is not None:
            halvings = inner.terms.bit_length() - 1
            if 2**halvings == inner.terms and fits(x.largest * inner.terms, x.unit + halvings):
                return _Multiples(x.unit + halvings, x.largest, x.layer)
        largest = x.largest if layer.keeps_zeros else float("inf")
        return _Multiples(None, largest, x.layer)

    def _grid(self, node: nodes.Mapped, layer: Any, x: _Multiples) -> int:
        """Return k: as fine as the sums, and if they keep bits enough the membranes, allow."""
        assert x.unit is not None
        largest = max(greatest_sum(layer, x.largest), 2.0**-20)
        room = largest + (layer.weight[0].numel() + 1) * 2.0**-10
        grid = _most(room) - x.unit
        rule = self._behind(node)
        halvings = None if rule is None else _halvings(rule, self.made.num_steps)
        if rule is None or halvings is None:
            return max(grid, 0)
        steps = sum(rule.decay**i for i in range(self.made.num_steps))
        span = rule.span if rule.reset == "subtract" else 0.0
        potential = max(rule.decay * rule.threshold + room, steps * (room + span))
        threshold = _most(2.0 * rule.threshold) - x.unit - halvings
        membranes = min(_most(potential) - x.unit - halvings, threshold)
        least = LEAST_BITS - int(torch.frexp(layer.weight.abs().max()).exponent)
        return max(membranes if membranes >= least else min(grid, threshold), 0)

    def _behind(self, node: nodes.Mapped) -> Leaky | None:
        """Return the rule of the neurons next behind a layer, if they are leaky."""
        later = self.made.nodes[self.made.nodes.index(node) :]
        fired = next((each for each in later if isinstance(each, nodes.Fired | nodes.Recurred)), None)
        return fired.rule if isinstance(fired, nodes.Fired) and plain(fired.rule) else None

    def pooled(self, node: nodes.Pooled, x: _Multiples) -> _Multiples:
        """Return the same grid."""
        return x

    def filtered(self, node: nodes.Filtered, x: _Multiples) -> _Multiples:
        """Return the same grid of what is only moved in time."""
        return x if node.filter.moves else _Multiples(None, float("inf"), x.layer)

    def added(self, node: nodes.Added, x: _Multiples, y: _Multiples) -> _Multiples:
        """Return the finer grid of both."""
        largest, layer = x.largest + y.largest, x.layer or y.layer
        if x.unit is None or y.unit is None or not fits(largest, max(x.unit, y.unit)):
            return _Multiples(None, largest, layer)
        return _Multiples(max(x.unit, y.unit), largest, layer)

    def fired(self, node: nodes.Fired, x: _Multiples) -> _Multiples:
        """Move a threshold to where no potential is, and round what a reset takes off."""
        rule, spikes = node.rule, _Multiples(0, float(node.rule.most))
        layer: Any = self.network.get_submodule(node.name)
        if not plain(rule) or x.unit is None or hasattr(layer, "threshold"):
            return spikes
        halvings = _halvings(rule, self.made.num_steps)
        if halvings is None:
            return spikes
        unit = x.unit + halvings
        changed = moved_threshold(rule.threshold, rule.fires_at, unit)
        if changed is None:
            return spikes
        more: dict[str, Any] = {}
        if rule.reset == "subtract":
            drop = max(1, round(rule.drop * 2.0**x.unit)) * 2.0**-x.unit
            more = {"reset_amount": drop}
        layer.dynamics = replace(layer.dynamics, threshold=changed, **more)
        steps = sum(rule.decay**i for i in range(self.made.num_steps))
        span = max(changed, more.get("reset_amount", 0.0)) if more else 0.0
        potential = max(rule.decay * changed + x.largest, steps * (x.largest + span))
        if x.layer is not None:
            known = self.layers[x.layer]
            self.layers[x.layer] = replace(known, membranes=known.sums and fits(potential, unit))
        return spikes

    def recurred(self, node: nodes.Recurred, x: _Multiples) -> _Multiples:
        """Leave a layer that hears itself as it is."""
        return _Multiples(0, float(node.rule.most))

    def read(self, node: nodes.Read, x: _Multiples) -> _Multiples:
        """Return what is read."""
        return x


def moved_threshold(threshold: float, fires_at: str, unit: int) -> float | None:
    """Return θ rounded to 2^-unit and moved half a unit; None where float32 has no such number.

    >>> moved_threshold(10.3, ">=", 0), moved_threshold(10.3, ">", 0), moved_threshold(1.0, ">=", 2)
    (10.5, 10.5, 0.875)
    """
    scaled = threshold * 2.0**unit
    whole = -(-scaled // 1) if fires_at == ">=" else scaled // 1
    found = (whole + (-0.5 if fires_at == ">=" else 0.5)) * 2.0**-unit
    held = abs(whole) < 2.0 ** (DIGITS - 1) and found > 0
    return found if held else None


def _halvings(rule: Leaky, num_steps: int) -> int | None:
    """Return q(T − 1) for λ = p/2^q; None where that is too much, or a current is scaled."""
    share = unit_of(torch.tensor([rule.decay], dtype=torch.float64), MOST_HALVINGS)
    if share is None or rule.scale is not None or share * (num_steps - 1) > MOST_HALVINGS:
        return None
    return share * (num_steps - 1)


def _most(largest: float) -> int:
    """Return the greatest k with largest·2^k ≤ 2^24, and a little room."""
    return DIGITS - int(torch.frexp(torch.tensor(largest * 1.001, dtype=torch.float64)).exponent)


def _pair(data: Any) -> tuple[Tensor, Tensor]:
    """Return inputs and labels."""
    pair = data if isinstance(data, tuple) else (getattr(data, "inputs", None), getattr(data, "labels", None))
    tensors = [each for each in pair if isinstance(each, Tensor)]
    if len(pair) != 2 or len(tensors) != 2:
        raise TypeError(f"data: got {type(data).__name__}, expected two tensors, or what has inputs and labels")
    return tensors[0], tensors[1]


@torch.no_grad()
def _accuracy(network: SpikingNetwork, inputs: Tensor, labels: Tensor) -> float:
    mode = network.training
    network.eval()
    right = sum(
        int((network(part).argmax(1) == part_labels).sum())
        for part, part_labels in zip(inputs.split(TOGETHER), labels.split(TOGETHER), strict=True)
    )
    network.train(mode)
    return right / len(labels)
