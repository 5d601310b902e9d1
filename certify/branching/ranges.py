"""The first layer's currents over a sample's whole set, and what decided trains say of the others.

The ranges of ranges.py over any input set, at multipliers that ranges.c finds on the box around it.

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

ranges.c does all of it node by node, with as many slabs and neurons as the node has; sets that are more than a box
are bounded by torch.

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
    def packed(self) -> NarrowedLayer | None:
        """Return it as ranges.c reads it; None where the input set is more than a box."""
        box = self.source.box
        if not self.source.plain or box.lower.device.type != "cpu":
            return None
        known = (self.matrix, self.bias, self.slack, self.size, self.lower, self.upper)
        ends = box.lower[0].flatten(1), box.upper[0].flatten(1)
        return NarrowedLayer(*(tensor.double().contiguous() for tensor in (*known, *ends)), error=self.error)

    def shares(self, split: Tensor) -> Tensor:
        """Return which neurons of a node read an input that one of its `split` neurons reads, (N, n) of bool."""
        if self.reads is None:
            return torch.ones_like(split)
        touched = (split.float() @ self.reads > 0).float()
        return touched @ self.reads.T > 0


NUMBERS_AT_ONCE = 2**22
"""What a tensor of the search may hold."""


@dataclass(frozen=True)
class Slabs:
    """What the decisions of N nodes say of x: least ≤ matrix·x ≤ most, up to K slabs a node.

    Attributes:
        layer: the first layer.
        samples: of each node, (N,).
        matrix: (N, K, inputs); 0 where a node has fewer slabs.
        least, most: widened by the slack; infinite where there is no end, (N, K).
        size: sums of moduli of a slab's current and bias, (N, K).
        middle, radius: of the input's box, (N, inputs).
    """

    layer: FirstLayer
    samples: Tensor
    matrix: Tensor
    least: Tensor
    most: Tensor
    size: Tensor
    middle: Tensor
    radius: Tensor

    @staticmethod
    def of(layer: FirstLayer, samples: Tensor, rows: Box, split: Tensor) -> "Slabs":
        """Return the slabs of the `split` neurons of each node, whose trains' currents lie in `rows`, (N, n)."""
        neurons, real = listed(split)
        bias, slack = layer.bias[neurons], layer.slack[samples[:, None], neurons]
        box = layer.source.box
        return Slabs(
            layer=layer,
            samples=samples,
            matrix=layer.matrix[neurons] * real[..., None],
            least=(rows.lower.gather(1, neurons) - slack - bias).masked_fill(~real, -torch.inf),
            most=(rows.upper.gather(1, neurons) + slack - bias).masked_fill(~real, torch.inf),
            size=layer.size[samples[:, None], neurons],
            middle=box.middle[0].flatten(1)[samples],
            radius=box.radius[0].flatten(1)[samples],
        )

    @property
    def touched(self) -> Tensor | None:
        """Return inputs that hold all that a node's slabs read, (N, S); None where neurons are not local."""
        if self.layer.reads is None:
            return None
        return listed((self.matrix != 0).any(1))[0]

    def ends_around_middle(self) -> tuple[Tensor, Tensor]:
        """Return both ends less what the middle of the box makes, (N, K)."""
        center = (self.matrix @ self.middle[..., None]).squeeze(2)
        return self.least - center, self.most - center

    def bound(self, neurons: Tensor, prices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return where the run's currents of some neurons lie, both (N, M), and which nodes are empty, (N,).

        Args:
            neurons: M of each node, (N, M).
            prices: multipliers, (N, 2M + 1, K).
        """
        layer, samples = self.layer, self.samples[:, None]
        rising, falling = prices.clamp_min(0.0), prices.clamp_max(0.0)
        rising = rising.masked_fill(self.least.isinf()[:, None], 0.0)
        falling = falling.masked_fill(self.most.isinf()[:, None], 0.0)
        prices = rising + falling
        costs = torch.baddbmm(both_signs(layer.matrix[neurons]), prices, self.matrix, alpha=-1.0)
        shape = layer.source.box.lower.shape[2:]
        rows = self.samples[:, None].expand(costs.shape[:2]).flatten()
        value, _ = layer.source.least(costs.flatten(0, 1).unflatten(1, shape)[None], rows)
        least, most = (end.masked_fill(end.isinf(), 0.0)[..., None] for end in (self.least, self.most))
        value = value.view(costs.shape[:2]) + (rising @ least + falling @ most).squeeze(2)
        size = self.size[..., None] + least.abs() + most.abs()
        own = layer.size[samples, neurons]
        own = torch.cat([own, own, torch.zeros_like(own[:, :1])], 1)
        error = layer.error * ((prices.abs() @ size).squeeze(2) + own)
        value = (value - error).nan_to_num(nan=-torch.inf, posinf=-torch.inf)
        below, above, nothing = value.split([neurons.shape[1], neurons.shape[1], 1], 1)
        bias, slack = layer.bias[neurons], layer.slack[samples, neurons]
        return below + bias - slack, bias - above + slack, nothing[:, 0] > 0

    def multipliers(self, neurons: Tensor, adam: Adam) -> Tensor:
        """Return good multipliers for the bounds of I of some neurons of each node, then of −I, then of 0.

        Everything is in units of the box: x = middle + radius·z with |z| ≤ 1, each row's slopes summing to 1.
        """
        inputs = self.touched
        rows, size = _normal(self.matrix, self.radius, inputs)
        aims, reach = _normal(self.layer.matrix[neurons], self.radius, inputs)
        least, most = ((end / size).clamp(-1.0, 1.0).float() for end in self.ends_around_middle())
        given = rows, least, most, both_signs(aims)
        rows, least, most, aims = (tensor.cpu() for tensor in given)
        best = ranges_kernel().multipliers(rows, (least, most), aims, adam).to(reach.device)
        ratio = torch.cat([reach, reach, reach.new_ones(len(reach), 1)], 1)[..., None] / size[:, None]
        return best.double() * ratio


def narrowed(
    layer: FirstLayer, samples: Tensor, rows: Box, split: Tensor, chosen: Tensor, adam: Adam
) -> tuple[Box, Tensor]:
    """Return the run's currents in each node, (N, n), and in which nodes none are left, (N,) of bool.

    Args:
        layer: of the samples.
        samples: of each node, (N,).
        rows: where the currents of the trains that are left lie, (N, n).
        split: which neurons decisions restrict, (N, n) of bool.
        chosen: which are narrowed, (N, n) of bool.
        adam: how multipliers are sought.
    """
    lower, upper = layer.lower[samples], layer.upper[samples]
    low, high, empty = lower.clone(), upper.clone(), torch.zeros_like(samples, dtype=torch.bool)
    for part in _parts(layer, split, chosen):
        slabs = Slabs.of(layer, samples[part], Box(rows.lower[part], rows.upper[part]), split[part])
        neurons, real = listed(chosen[part])
        least, most, none = slabs.bound(neurons, slabs.multipliers(neurons, adam))
        where = part[:, None].expand_as(neurons)[real], neurons[real]
        low[where], high[where] = low[where].maximum(least[real]), high[where].minimum(most[real])
        empty[part] = none
    empty |= (low > high).any(1)
    keep = empty[:, None]
    return Box(torch.where(keep, lower, low), torch.where(keep, upper, high)), empty


def _parts(layer: FirstLayer, split: Tensor, is_open: Tensor) -> tuple[Tensor, ...]:
    """Return the nodes that have something decided and something open, as many at once as may be."""
    nodes = (split.any(1) & is_open.any(1)).nonzero().flatten()
    if len(nodes) == 0:
        return ()
    each = 3 * int(is_open.sum(1).max()) * max(layer.matrix.shape[1], int(split.sum(1).max()))
    return nodes.split(max(1, NUMBERS_AT_ONCE // each))


def listed(chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Return each row's chosen columns first, as many as the fullest row has, and which of them are chosen."""
    order = chosen.to(torch.int8).argsort(dim=1, descending=True, stable=True)
    order = order[:, : int(chosen.sum(1).max())]
    return order, chosen.gather(1, order)


def both_signs(aims: Tensor) -> Tensor:
    """Return the aims (N, M, inputs), then their negatives, then one of 0."""
    return torch.cat([aims, -aims, aims.new_zeros(len(aims), 1, aims.shape[2])], 1)


def _normal(rows: Tensor, radius: Tensor, inputs: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return rows (N, K, inputs) times the radius, divided by their sum of moduli, in float32, and that sum.

    Of some `inputs`, (N, S), only these are returned: of what no slab reads no multiplier changes anything.
    """
    scaled = rows * radius[:, None]
    size = scaled.abs().sum(2).clamp_min(1e-300)
    if inputs is not None:
        scaled = scaled.gather(2, inputs[:, None].expand(-1, scaled.shape[1], -1))
    return (scaled / size[..., None]).float(), size


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
