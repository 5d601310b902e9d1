"""The ranges of ranges.py over any input set, at multipliers that ranges.c finds on the box around it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ....kernels.ranges import Adam, ranges_kernel
from ...bounds.signals.box import Box
from .first_layer import FirstLayer

MOST_NUMBERS = 2**22
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
    return nodes.split(max(1, MOST_NUMBERS // each))


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
