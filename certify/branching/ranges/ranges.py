"""What the decided trains of a node say of the other currents of the first layer.

A train that is decided confines its neuron's current I_k = W_k·x + b_k to the ends of its rows, [p_k, q_k]: a slab
that cuts the input set, and so narrows all other currents. For s = ±1 and any multipliers ν, every input x of the
node has

    s·I_m ≥ s·b_m + min over x of (s·W_m − Σ_k ν_k·W_k)·x + Σ_k (ν_k⁺·(p_k − b_k) − ν_k⁻·(q_k − b_k)),

by weak duality, the minimum over the whole input set being closed form; and where the same bound of 0 in place of
s·I_m is positive, the node has no input. A few Adam steps from ν = 0 find multipliers for all neurons and nodes at
once, in float32 and on the box around the set, since any will do; the bound at the best of them is computed in
float64. A neuron's convex hull over a narrower range is much tighter, and trains that no input of the node has any
more need no deciding: hard samples take a thousandth of the nodes.

ranges.c does all of it node by node, with as many slabs and neurons as the node has; slabs.py bounds by torch over
sets that are more than a box.

Rounding: the run's currents are exact ones up to the chain's `slack`, so slack_m + Σ|ν_k|·slack_k is paid;
float64's own error is at most 8·(inputs + neurons + terms + 16)·u of the sum of moduli: no number passes more than
inputs + neurons + terms + 16 operations, in whatever order they are summed.

What a split would decide: `ranges.c`, over sets that are boxes.

A split confines one current more, which narrows all others; where that leaves fewer rows, it decides spikes. What
they are worth together, on the worse side above all, is what a split is worth: chosen so, a hard sample takes a
fifth of the nodes. Bounds of both children at their parent's prices choose alike; this takes a hundredth of their
time. It chooses, and proves nothing.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ....kernels.ranges import Adam, CutRows, ranges_kernel
from ....models.constants import at_least, real, reals, settle
from ...bounds.signals.box import Box
from ...bounds.trains.base import TrainRows
from .first_layer import FirstLayer
from .slabs import Slabs, listed, narrowed

MOST_NUMBERS = 2**20
"""Cuts, possible or not, that are looked at at once."""
SPARED = 1e-3
"""What a side is worth that decides nothing, as a share of the most that any side of the node decides."""


def best_cuts(
    layer: FirstLayer,
    samples: Tensor,
    found: TrainRows,
    split: Tensor,
    chosen: Tensor,
    score: Tensor,
    weights: Tensor,
    adam: Adam,
) -> tuple[Tensor, Tensor] | None:
    """Return the cut of each node that is worth most, neuron and row, (N,) each; None where no kernel says so.

    Args:
        layer: of the samples.
        samples: of each node, (N,).
        found: the rows that each node has, (N, n).
        split: which neurons its decisions restrict, (N, n) of bool.
        chosen: which may be cut, and are looked at, (N, n) of bool.
        score: what it is worth to decide all of a neuron, (N, n).
        weights: of each neuron, what experience says, (N, n).
        adam: how multipliers are sought.
    """
    if layer.packed is None:
        return None
    rows, ends, best = cut_rows(found, score), found.currents, list[Tensor]()
    count = len(rows.low)
    for part in torch.arange(len(samples)).split(max(1, MOST_NUMBERS // (count * split.shape[1]))):
        given = (tensor[part] for tensor in (samples, ends.lower, ends.upper, split, chosen))
        sides = ranges_kernel().foresee(layer.packed, tuple(given), rows.of(part), adam)
        worth = _worth(*sides) * weights[part, :, None]
        place = torch.arange(count)
        inside = (rows.first[part, :, None] <= place) & (place < rows.last[part, :, None])
        best.append(torch.where(inside & chosen[part, :, None], worth, -1.0).flatten(1).argmax(1))
    places = torch.cat(best)
    return places // count, places % count


def _worth(*sides: Tensor) -> Tensor:
    """Return what cuts are worth, given what either side decides: their product, each (N, n, R)."""
    below, above = (side.nan_to_num(0.0, 0.0, 0.0) for side in sides)
    spared = SPARED * below.maximum(above).amax((1, 2), keepdim=True)
    return (below + spared) * (above + spared)


def cut_rows(found: TrainRows, score: Tensor) -> CutRows:
    """Return rows as the kernel reads them, a neuron's `score`, (N, n), shared out to its open spikes."""
    table = found.table
    opened = 2.0 * table.ranges.radius.sum(0)
    worth = score / opened[found.first, found.last].clamp_min(1.0)
    return CutRows(found.first, found.last, worth, table.lower, table.upper, opened)


MOST_PRODUCTS = 2**20
"""Of how many pairs of a node's neurons, times inputs, it is seen what cutting one does to the other."""


@dataclass(frozen=True)
class RangeSearch:
    """How to narrow.

    Args:
        iterations: Adam steps of the multipliers; 0: do not narrow.
        rate: of a step, where the slopes of both neurons over the box sum to 1; it falls to a tenth on the way.
        momenta: Adam's β₁ and β₂.
        neurons: of a node that are narrowed, at most: those whose range costs most at its parent's prices, of
            those that share an input with a decided one.
        cuts: how many neurons of a node are looked at for its split, at most: those of the greatest score, and
            fewer where there are many inputs (`MOST_PRODUCTS`).
    """

    iterations: int = 8
    rate: float = 0.4
    momenta: tuple[float, float] = (0.5, 0.7)
    neurons: int = 256
    cuts: int = 64

    def __post_init__(self) -> None:
        settle(self, at_least(0), "iterations", "neurons", "cuts")
        settle(self, real, "rate")
        settle(self, reals, "momenta")

    @property
    def adam(self) -> Adam:
        """Return the search's constants."""
        return self.iterations, self.rate, self.momenta

    def narrowed(
        self, layer: FirstLayer, samples: Tensor, found: TrainRows, split: Tensor, prices: Tensor
    ) -> tuple[Box, Tensor]:
        """Return the run's currents in each node, (N, n), and in which nodes none are left, (N,) of bool.

        Args:
            layer: of the samples.
            samples: of each node, (N,).
            found: the trains that each node's decisions leave.
            split: which neurons these decisions restrict, (N, n) of bool.
            prices: of each neuron's current, (N, n): with its range, what narrowing it is worth.
        """
        reach = (layer.upper - layer.lower)[samples]
        chosen = self._chosen(layer, found, split, prices.abs() * reach)
        return narrowed_by(layer, samples, found.currents, split, chosen, self.adam)

    def of_node(
        self, layer: FirstLayer, sample: int, found: TrainRows, split: Tensor, prices: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return what narrows one node: neurons (M,), deciding neurons (K,) and multipliers (2M + 1, K)."""
        reach = (layer.upper - layer.lower)[sample]
        neurons, _ = listed(self._chosen(layer, found, split, prices.abs() * reach))
        slabs = Slabs.of(layer, torch.tensor([sample]), found.currents, split)
        best = slabs.multipliers(neurons, self.adam)
        return neurons[0], split[0].nonzero().flatten(), best[0]

    def best_cuts(
        self, layer: FirstLayer, samples: Tensor, found: TrainRows, split: Tensor, score: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor] | None:
        """Return where each node is best split, neuron and row, (N,) each; None where nobody says.

        Args:
            layer, samples, split: as in `narrowed`.
            found: the rows that each node has, (N, n).
            score: what it is worth to decide all of a neuron, (N, n).
            weights: of each neuron, what experience says, (N, n).
        """
        if not self.iterations or not self.cuts:
            return None
        most = min(self.cuts, max(1, math.isqrt(MOST_PRODUCTS // layer.matrix.shape[1])))
        chosen = _greatest(found.first < found.last, score * weights, most)
        return best_cuts(layer, samples, found, split, chosen, score, weights, self.adam)

    def _chosen(self, layer: FirstLayer, found: TrainRows, split: Tensor, worth: Tensor) -> Tensor:
        """Return which open neurons of each node are narrowed, (N, n) of bool: none that no slab can narrow."""
        is_open = (found.first < found.last).flatten(1)
        return _greatest(is_open & layer.shares(split), worth, self.neurons)


def narrowed_by(
    layer: FirstLayer, samples: Tensor, rows: Box, split: Tensor, chosen: Tensor, adam: Adam
) -> tuple[Box, Tensor]:
    """Return what `slabs.narrowed` does, by ranges.c over sets that are boxes."""
    if layer.packed is None:
        return narrowed(layer, samples, rows, split, chosen, adam)
    low, high, empty = ranges_kernel().narrow(layer.packed, (samples, rows.lower, rows.upper, split, chosen), adam)
    return Box(low, high), empty


def _greatest(chosen: Tensor, score: Tensor, most: int) -> Tensor:
    """Return the chosen columns of each row, but at most so many, of the greatest score."""
    if int(chosen.sum(1).max()) <= most:
        return chosen
    best = score.masked_fill(~chosen, -1.0).topk(most, dim=1).indices
    return torch.zeros_like(chosen).scatter_(1, best, True) & chosen
