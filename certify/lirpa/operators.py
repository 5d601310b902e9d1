"""The two bounded operations: what auto_LiRPA asks of a spike and of a reset. Importing this imports auto_LiRPA.

Both have one slope per plane that α-CROWN may choose freely (any slope is sound, see relaxation.py).
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from ...models.deadline import check_time
from .compat import submodule
from .relaxation import (
    Plane,
    RelaxedLayer,
    SegmentEnds,
    best_slope,
    line,
    plane,
    residue_ends,
    spike_ends,
    value_range,
)
from .unrolled import RESIDUE, SPIKE, Residue, Spike

_Optimizable: Any = submodule("bound_ops").BoundOptimizableActivation

LOWER, UPPER = 1.0, -1.0


class BoundThreshold(_Optimizable):
    """What spike and residue share; a subclass says which ends and which planes.

    Slopes are kept per node from which a bound starts: (4, specification, batch, ...), the first axis for the
    lower and upper plane of a lower bound, then of an upper bound.
    """

    def __init__(
        self,
        neurons: Sequence[RelaxedLayer],
        attr: dict[str, Any],
        inputs: list[Any],
        output_index: int,
        options: Any,
    ) -> None:
        check_time()  # building takes longest where there are many
        super().__init__(attr, inputs, output_index, options)
        self.layer = attr["layer"]
        self.neuron = neurons[self.layer]
        self.requires_input_bounds = [0]
        self.alpha_batch_dim = 2

    def ends(self, lower: Tensor, upper: Tensor) -> SegmentEnds:
        """Return the ends of the output's two segments."""
        raise NotImplementedError

    def slope(self, ends: SegmentEnds, sign: float) -> Tensor:
        """Return the slope of a plane where none has been optimised."""
        raise NotImplementedError

    def plane(self, ends: SegmentEnds, slope: Tensor, sign: float) -> Plane:
        """Return the best plane of one slope."""
        raise NotImplementedError

    def interval_propagate(self, *inputs: Any) -> tuple[Tensor, Tensor]:
        """Return the range of the output; the spike given to a residue follows from the potential."""
        return value_range(self.ends(inputs[0][0], inputs[0][1]))

    def init_opt_parameters(self, start_nodes: list[Any]) -> None:
        """Start each slope at the one that is used without optimisation."""
        ends = self.ends(self.inputs[0].lower, self.inputs[0].upper)
        once = torch.stack([self.slope(ends, sign) for sign in (LOWER, UPPER, LOWER, UPPER)]).unsqueeze(1)
        self.alpha = OrderedDict()
        for name, size, *_ in start_nodes:
            count = size if isinstance(size, int) else prod(size)
            self.alpha[name] = once.detach().repeat(1, count, *[1] * (once.dim() - 2))

    def bound_backward(
        self, last_lA: Any, last_uA: Any, *inputs: Any, start_node: Any = None, **_: Any
    ) -> tuple[list[tuple[Any, Any]], Any, Any]:
        """Return the coefficients of the inputs and the offsets, for a lower and an upper bound."""
        ends = self.ends(inputs[0].lower, inputs[0].upper)
        slopes = self._slopes(ends, start_node)
        below, above = self.plane(ends, slopes[0], LOWER), self.plane(ends, slopes[1], UPPER)
        potential_l, spike_l, offset_l = _through(last_lA, below, above, len(inputs) > 1)
        below, above = self.plane(ends, slopes[2], LOWER), self.plane(ends, slopes[3], UPPER)
        potential_u, spike_u, offset_u = _through(last_uA, above, below, len(inputs) > 1)
        coefficients = [(potential_l, potential_u), (spike_l, spike_u)]
        return coefficients[: len(inputs)], offset_l, offset_u

    def _slopes(self, ends: SegmentEnds, start_node: Any) -> Sequence[Tensor]:
        if self.opt_stage in ("opt", "reuse") and start_node is not None and start_node.name in self.alpha:
            return self.alpha[start_node.name]
        lower, upper = self.slope(ends, LOWER), self.slope(ends, UPPER)
        return (lower, upper, lower, upper)


class BoundSpike(BoundThreshold):
    """s = 1[v fires]."""

    def forward(self, potential: Tensor) -> Tensor:
        """Return the spikes."""
        return Spike.forward(None, potential, self.neuron.rule, self.layer)

    def ends(self, lower: Tensor, upper: Tensor) -> SegmentEnds:
        """Return the ends of s."""
        return spike_ends(lower, upper, self.neuron)

    def slope(self, ends: SegmentEnds, sign: float) -> Tensor:
        """Return the slope of the line that is closest at the middle."""
        return best_slope(ends, self.neuron, sign)

    def plane(self, ends: SegmentEnds, slope: Tensor, sign: float) -> Plane:
        """Return the best line."""
        return line(ends, slope, self.neuron, sign)


class BoundResidue(BoundThreshold):
    """λ·u, with planes in v and s: what they say of s is left to the spike, whose relaxation joins both its uses.

    That is far tighter than a line in v alone, which relaxes the same jump a second time.
    """

    def forward(self, potential: Tensor, spike: Tensor) -> Tensor:
        """Return λ·u."""
        return Residue.forward(None, potential, spike, self.neuron.rule, self.layer)

    def ends(self, lower: Tensor, upper: Tensor) -> SegmentEnds:
        """Return the ends of λ·u."""
        return residue_ends(lower, upper, self.neuron)

    def slope(self, ends: SegmentEnds, sign: float) -> Tensor:
        """Return the slope of the longer segment, on which the plane is then exact."""
        decay = self.neuron.rule.decay * torch.ones_like(ends.points[0])
        if self.neuron.rule.reset != "zero":
            return decay
        silent, fired = ends.points[1] - ends.points[0], ends.points[3] - ends.points[2]
        return torch.where(ends.silent & ~(ends.fired & (fired > silent)), decay, 0.0)

    def plane(self, ends: SegmentEnds, slope: Tensor, sign: float) -> Plane:
        """Return the best plane."""
        return plane(ends, slope, self.neuron, sign)


def custom_operations(neurons: Sequence[RelaxedLayer]) -> dict[str, Callable[..., BoundThreshold]]:
    """Return what BoundedModule's `custom_ops` expects, for the neurons of one network and one batch."""
    return {
        SPIKE: lambda *arguments: BoundSpike(neurons, *arguments),
        RESIDUE: lambda *arguments: BoundResidue(neurons, *arguments),
    }


def _through(last: Any, positive: Plane, negative: Plane, with_spike: bool) -> tuple[Any, Any, Any]:
    """Return the coefficients of v and s and the offset, for coefficients `last` of the output.

    Args:
        last: (specification, batch, ...), or None where no such bound is asked for.
        positive, negative: the planes for coefficients above and below 0.
        with_spike: whether the coefficient of s is asked for.

    Raises:
        OverflowError: for coefficients beyond float64, of which auto_LiRPA would drop the offset.
    """
    if last is None:
        return None, None, 0
    if not isinstance(last, Tensor):
        raise TypeError(f"last: got {type(last).__name__}, expected a matrix (conv_mode must be 'matrix')")
    if not bool(torch.isfinite(last).all()):
        raise OverflowError("the coefficients of the linear bound grow beyond float64")
    above = last > 0
    offset = last * torch.where(above, positive.offset, negative.offset)
    spike = last * torch.where(above, positive.spike, negative.spike) if with_spike else None
    return last * torch.where(above, positive.slope, negative.slope), spike, offset.flatten(2).sum(2)
