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

Rounding: the run's currents are exact ones up to the chain's `slack`, so slack_m + Σ|ν_k|·slack_k is paid;
float64's own error is at most 8·(inputs + neurons + terms + 16)·u of the sum of moduli.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ....models.constants import at_least, real, reals, settle
from ...bounds.prices.stages import Staged
from ...bounds.signals.box import Box
from ...bounds.signals.signals import InputSignal
from ...bounds.trains.forms import TrainRows
from .compiled_ranges import multipliers_for

MOST_NUMBERS = 2**22
"""What a tensor of the search may hold; the layer's matrix may hold 8 times as much, 256 MiB."""
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
        kernel: what seeks multipliers: "eager", or "compiled" where that is there.
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
    kernel: str = "eager"

    @staticmethod
    def of(network: Staged) -> "FirstLayer | None":
        """Return those of a staged network; None without a table, behind a max pool, or of too large a matrix."""
        stage, source = network.stages[0], network.source
        rows = stage.trains.rows
        if rows is None or not all(branch.direct for branch in stage.branches):
            return None
        neurons, inputs = stage.lower[0, 0].numel(), source.box.lower[0, 0].numel()
        if neurons * inputs > 8 * MOST_NUMBERS:
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
            kernel=stage.rule.kernel,
        )

    @cached_property
    def reads(self) -> Tensor | None:
        """Return which inputs each neuron reads, (n, inputs) of 0 and 1, float32; None if most read most."""
        found = (self.matrix != 0).float()
        return None if float(found.mean()) >= LOCAL else found

    def shares(self, split: Tensor) -> Tensor:
        """Return which neurons of a node read an input that one of its `split` neurons reads, (N, n) of bool."""
        if self.reads is None:
            return torch.ones_like(split)
        touched = (split.float() @ self.reads > 0).float()
        return touched @ self.reads.T > 0


@dataclass(frozen=True)
class RangeSearch:
    """How to narrow.

    Args:
        iterations: Adam steps of the multipliers; 0: do not narrow.
        rate: of a step, where the slopes of both neurons over the box sum to 1; it falls to a tenth on the way.
        momenta: Adam's β₁ and β₂.
        neurons: of a node that are narrowed, at most: those whose range costs most at its parent's prices, of
            those that share an input with a decided one.
    """

    iterations: int = 12
    rate: float = 0.2
    momenta: tuple[float, float] = (0.5, 0.9)
    neurons: int = 256

    def __post_init__(self) -> None:
        settle(self, at_least(0), "iterations", "neurons")
        settle(self, real, "rate")
        settle(self, reals, "momenta")

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
        lower, upper = layer.lower[samples], layer.upper[samples]
        low, high, empty = lower.clone(), upper.clone(), torch.zeros_like(samples, dtype=torch.bool)
        rows = found.currents
        is_open = self._chosen(layer, found, split, prices.abs() * (upper - lower))
        for part in _parts(layer, split, is_open):
            slabs = _Slabs.of(layer, samples[part], Box(rows.lower[part], rows.upper[part]), split[part])
            neurons, real = _listed(is_open[part])
            least, most, none = slabs.bound(neurons, self._multipliers(slabs, neurons))
            where = part[:, None].expand_as(neurons)[real], neurons[real]
            low[where], high[where] = low[where].maximum(least[real]), high[where].minimum(most[real])
            empty[part] = none
        empty |= (low > high).any(1)
        keep = empty[:, None]
        return Box(torch.where(keep, lower, low), torch.where(keep, upper, high)), empty

    def of_node(
        self, layer: FirstLayer, sample: int, found: TrainRows, split: Tensor, prices: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return what narrows one node: neurons (M,), deciding neurons (K,) and multipliers (2M + 1, K)."""
        reach = (layer.upper - layer.lower)[sample]
        neurons, _ = _listed(self._chosen(layer, found, split, prices.abs() * reach))
        slabs = _Slabs.of(layer, torch.tensor([sample]), found.currents, split)
        return neurons[0], split[0].nonzero().flatten(), self._multipliers(slabs, neurons)[0]

    def _chosen(self, layer: FirstLayer, found: TrainRows, split: Tensor, worth: Tensor) -> Tensor:
        """Return which open neurons of each node are narrowed, (N, n) of bool: none that no slab can narrow."""
        is_open = (found.first < found.last).flatten(1)
        return _greatest(is_open & layer.shares(split), worth, self.neurons)

    def _multipliers(self, slabs: "_Slabs", neurons: Tensor) -> Tensor:
        """Return good multipliers for the bounds of I of some neurons of each node, then of −I, then of 0.

        Everything is in units of the box: x = middle + radius·z with |z| ≤ 1, each row's slopes summing to 1.
        """
        inputs = slabs.touched
        rows, size = _normal(slabs.matrix, slabs.radius, inputs)
        aims, reach = _normal(slabs.layer.matrix[neurons], slabs.radius, inputs)
        least, most = ((end / size).clamp(-1.0, 1.0).float() for end in slabs.ends_around_middle())
        adam = self.iterations, self.rate, self.momenta
        best = multipliers_for(slabs.layer.kernel, rows, (least, most), _both_signs(aims), adam)
        ratio = torch.cat([reach, reach, reach.new_ones(len(reach), 1)], 1)[..., None] / size[:, None]
        return best.double() * ratio


@dataclass(frozen=True)
class _Slabs:
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
    def of(layer: FirstLayer, samples: Tensor, rows: Box, split: Tensor) -> "_Slabs":
        """Return the slabs of the `split` neurons of each node, whose trains' currents lie in `rows`, (N, n)."""
        neurons, real = _listed(split)
        bias, slack = layer.bias[neurons], layer.slack[samples[:, None], neurons]
        box = layer.source.box
        return _Slabs(
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
        return _listed((self.matrix != 0).any(1))[0]

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
        costs = torch.baddbmm(_both_signs(layer.matrix[neurons]), prices, self.matrix, alpha=-1.0)
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


def _parts(layer: FirstLayer, split: Tensor, is_open: Tensor) -> tuple[Tensor, ...]:
    """Return the nodes that have something decided and something open, as many at once as may be."""
    nodes = (split.any(1) & is_open.any(1)).nonzero().flatten()
    if len(nodes) == 0:
        return ()
    each = 3 * int(is_open.sum(1).max()) * max(layer.matrix.shape[1], int(split.sum(1).max()))
    return nodes.split(max(1, MOST_NUMBERS // each))


def _listed(chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Return each row's chosen columns first, as many as the fullest row has, and which of them are chosen."""
    order = chosen.to(torch.int8).argsort(dim=1, descending=True, stable=True)
    order = order[:, : int(chosen.sum(1).max())]
    return order, chosen.gather(1, order)


def _both_signs(aims: Tensor) -> Tensor:
    """Return the aims (N, M, inputs), then their negatives, then one of 0."""
    return torch.cat([aims, -aims, aims.new_zeros(len(aims), 1, aims.shape[2])], 1)


def _greatest(chosen: Tensor, score: Tensor, most: int) -> Tensor:
    """Return the chosen columns of each row, but at most so many, of the greatest score."""
    if int(chosen.sum(1).max()) <= most:
        return chosen
    best = score.masked_fill(~chosen, -1.0).topk(most, dim=1).indices
    return torch.zeros_like(chosen).scatter_(1, best, True) & chosen


def _normal(rows: Tensor, radius: Tensor, inputs: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return rows (N, K, inputs) times the radius, divided by their sum of moduli, in float32, and that sum.

    Of some `inputs`, (N, S), only these are returned: of what no slab reads no multiplier changes anything.
    """
    scaled = rows * radius[:, None]
    size = scaled.abs().sum(2).clamp_min(1e-300)
    if inputs is not None:
        scaled = scaled.gather(2, inputs[:, None].expand(-1, scaled.shape[1], -1))
    return (scaled / size[..., None]).float(), size
