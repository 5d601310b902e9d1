"""The first layer's currents over a sample's whole set, and what decided trains say of the others.

What the decided trains of a node say of the other currents of the first layer.

A train that is decided confines its neuron's current I_k = W_k·x + b_k to the ends of its rows, [p_k, q_k]: a slab
that cuts the input set, and so narrows all other currents. For s = ±1 and any multipliers ν, every input x of the
node has

    s·I_m ≥ s·b_m + min over x of (s·W_m − Σ_k ν_k·W_k)·x + Σ_k (ν_k⁺·(p_k − b_k) − ν_k⁻·(q_k − b_k)),

by weak duality, the minimum over the whole input set being closed form; and where the same bound of 0 in place of
s·I_m is positive, the node has no input. A few Adam steps from ν = 0 find multipliers for all neurons and nodes at
once, in float32 and on the box around the set, since any will do; the bound at the best of them is computed in
float64. A neuron's convex hull over a narrower range is much tighter, and trains that no input of the node has any
more need no deciding: hard samples take a thousandth of the nodes.

ranges.c does all of it node by node, with as many slabs and neurons as the node has.

Rounding: the run's currents are exact ones up to the chain's `slack`, so slack_m + Σ|ν_k|·slack_k is paid;
float64's own error is at most 8·(inputs + neurons + terms + 16)·u of the sum of moduli: no number passes more than
inputs + neurons + terms + 16 operations, in whatever order they are summed.

What a split would decide: `ranges.c`, over the box around the set.

A split confines one current more, which narrows all others; where that leaves fewer rows, it decides spikes. What
they are worth together, on the worse side above all, is what a split is worth: chosen so, a hard sample takes a
fifth of the nodes. Bounds of both children at their parent's prices choose alike; this takes a hundredth of their
time. It chooses, and proves nothing.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ...kernels.ranges import Adam, CutRows, NarrowedLayer, ranges_kernel
from ...models.constants import at_least, real, reals, settle
from ..bounds.prices.stages import Staged
from ..bounds.signals.signals import InputSignal
from ..bounds.signals.windows import Box
from ..bounds.trains.train_table import TrainRows

MOST_WEIGHTS = 2**25
"""What the layer's matrix may hold: 256 MiB."""
LOCAL = 0.5
"""Neurons are local where less than this share of the layer's matrix is not 0."""


@dataclass(frozen=True)
class FirstLayer:
    """The currents of the first layer over each sample's whole input set.

    Attributes:
        source: the input set.
        matrix, bias: I = matrix·x + bias, (n, inputs), (n,).
        slack: how far the run's currents may be from that, (batch, n).
        size: the sum of moduli that makes a current, (batch, n).
        lower, upper: where the run's currents lie, (batch, n).
        rows: which trains that leaves, (batch, ...).
        error: what float64 may lose of a sum of moduli of 1.
    """

    source: InputSignal
    matrix: Tensor
    bias: Tensor
    slack: Tensor
    size: Tensor
    lower: Tensor
    upper: Tensor
    rows: TrainRows
    error: float

    @staticmethod
    def of(network: Staged) -> "FirstLayer | None":
        """Return those of a staged network; None without a table, behind a max pool, or of too large a matrix."""
        stage, source = network.stages[0], network.source
        rows = stage.trains.rows
        if rows is None or not all(branch.direct for branch in stage.branches):
            return None
        neurons, inputs = stage.lower[0, 0].numel(), source.box.lower[0, 0].numel()
        if neurons * inputs > MOST_WEIGHTS:
            return None
        matrix, bias = stage.matrix()
        shape, chains = (len(stage.lower[0]), neurons), [branch.chain for branch in stage.branches]
        size = torch.stack(
            [chain.magnitude(source.magnitude()).expand_as(stage.lower[0]) for chain in chains]
        ).sum(0)
        terms = sum(chain.terms for chain in chains)
        return FirstLayer(
            source=source,
            matrix=matrix,
            bias=bias,
            slack=chains[0].slack.expand_as(stage.lower[0]).reshape(shape),
            size=size.reshape(shape),
            lower=stage.lower[0].reshape(shape),
            upper=stage.upper[0].reshape(shape),
            rows=rows,
            error=8 * (inputs + neurons + terms + 16) * torch.finfo(torch.float64).eps,
        )

    @cached_property
    def reads(self) -> Tensor | None:
        """Return which inputs each neuron reads, (n, inputs) of 0 and 1, float32; None if most read most."""
        found = (self.matrix != 0).float()
        return None if float(found.mean()) >= LOCAL else found

    @cached_property
    def packed(self) -> NarrowedLayer:
        """Return it as ranges.c reads it: of a set that is more than a box or a ball, the box around it."""
        box = self.source.box
        known = [self.matrix, self.bias, self.slack, self.size, self.lower, self.upper]
        known += [end[0].flatten(1) for end in (box.lower, box.upper)]
        if box.ball is not None and box.center is not None:
            known += [box.center[0].flatten(1), box.ball.double().expand(len(self.lower))]
        held = [tensor.double().cpu().contiguous() for tensor in known]
        return NarrowedLayer(*held[:8], *(held[8:] or (None, None)), error=self.error)

    def shares(self, split: Tensor) -> Tensor:
        """Return which neurons of a node read an input that one of its `split` neurons reads, (N, n) of bool."""
        if self.reads is None:
            return torch.ones_like(split)
        touched = (split.float() @ self.reads > 0).float()
        return touched @ self.reads.T > 0


def cut_rows(found: TrainRows, score: Tensor, weights: Tensor) -> CutRows:
    """Return rows as the kernel reads them, a neuron's `score`, (N, n), shared out to its open spikes."""
    table = found.table
    opened = 2.0 * table.ranges.radius.sum(0)
    worth = score / opened[found.first, found.last].clamp_min(1.0)
    return CutRows(found.first, found.last, worth, weights.double(), table.lower, table.upper, opened)


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
        chosen, ends = self._chosen(layer, samples, found, split, prices), found.currents
        nodes = samples, ends.lower, ends.upper, split, chosen
        low, high, empty = ranges_kernel().narrow(layer.packed, nodes, self.adam)
        return Box(low, high), empty

    def of_node(
        self, layer: FirstLayer, sample: int, found: TrainRows, split: Tensor, prices: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return what narrows one node: neurons (M,), deciding neurons (K,) and multipliers (2M + 1, K)."""
        samples = torch.tensor([sample])
        chosen = self._chosen(layer, samples, found, split, prices)
        neurons, deciding = (mask[0].nonzero().flatten() for mask in (chosen, split))
        best = torch.zeros(2 * len(neurons) + 1, len(deciding), dtype=torch.float64)
        nodes = samples, found.currents.lower, found.currents.upper, split, chosen
        ranges_kernel().narrow(layer.packed, nodes, self.adam, best)
        return neurons, deciding, best

    def best_cuts(
        self, layer: FirstLayer, samples: Tensor, found: TrainRows, split: Tensor, score: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return where each node is best split, neuron and row, (N,) each.

        Args:
            layer, samples, split: as in `narrowed`.
            found: the rows that each node has, (N, n).
            score: what it is worth to decide all of a neuron, (N, n).
            weights: of each neuron, what experience says, (N, n).
        """
        most = min(self.cuts, max(1, math.isqrt(MOST_PRODUCTS // layer.matrix.shape[1])))
        chosen = _greatest(found.first < found.last, score * weights, most)
        ends = found.currents
        nodes = samples, ends.lower, ends.upper, split, chosen
        return ranges_kernel().foresee(layer.packed, nodes, cut_rows(found, score, weights), self.adam)

    def _chosen(
        self, layer: FirstLayer, samples: Tensor, found: TrainRows, split: Tensor, prices: Tensor
    ) -> Tensor:
        """Return which open neurons of each node are narrowed, (N, n) of bool: none that no slab can narrow."""
        is_open = (found.first < found.last).flatten(1)
        worth = prices.abs() * (layer.upper - layer.lower)[samples]
        return _greatest(is_open & layer.shares(split), worth, self.neurons)


def _greatest(chosen: Tensor, score: Tensor, most: int) -> Tensor:
    """Return the chosen columns of each row, but at most so many, of the greatest score."""
    if int(chosen.sum(1).max()) <= most:
        return chosen
    best = score.masked_fill(~chosen, -1.0).topk(most, dim=1).indices
    return torch.zeros_like(chosen).scatter_(1, best, True) & chosen
