"""What auto_LiRPA asks of a node: its value, its interval, and what coefficients become that go back through it.

Importing this imports auto_LiRPA. Coefficients are (specification, batch, ...), or None where such a bound is not
asked for.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ...models.deadline import check_time
from .library import load
from .relaxation import LOWER, UPPER, JumpSegments, Plane, RelaxedLayer

_operators: Any = load().bound_ops
Ends = tuple[Tensor, Tensor]


class AffineNode(_operators.Bound):
    """W·x + b.

    Args:
        linear, absolute: x ↦ Wx and |W|x.
        bias: b, broadcastable to one output.
        source: the node x.
    """

    def __init__(
        self,
        linear: Callable[[Tensor], Tensor],
        absolute: Callable[[Tensor], Tensor],
        bias: Tensor,
        source: Any,
    ) -> None:
        super().__init__({}, [source], 0, {})
        self.product, self.absolute, self.bias = linear, absolute, bias  # its `linear` auto_LiRPA deletes

    def forward(self, x: Tensor) -> Tensor:
        """Return W·x + b."""
        return self.product(x) + self.bias

    def interval_propagate(self, ends: Ends) -> Ends:
        """Return W·middle + b ± |W|·radius."""
        middle, radius = self.product((ends[0] + ends[1]) / 2), self.absolute((ends[1] - ends[0]) / 2)
        return middle - radius + self.bias, middle + radius + self.bias

    def bound_backward(self, lower: Any, upper: Any, source: Any) -> tuple[list[Any], Any, Any]:
        """Return A·W and A·b."""
        check_time()
        shape = source.output_shape[1:]
        return [(self._pulled(lower, shape), self._pulled(upper, shape))], self._biased(lower), self._biased(upper)

    def _pulled(self, rows: Tensor | None, shape: torch.Size) -> Tensor | None:
        if rows is None:
            return None
        flat = rows.flatten(0, 1)
        pull = torch.func.vjp(self.product, flat.new_zeros(len(flat), *shape))[1]
        return pull(flat)[0].unflatten(0, rows.shape[:2])

    def _biased(self, rows: Tensor | None) -> Any:
        return 0 if rows is None else rows.flatten(2) @ self.bias.to(rows).expand(rows.shape[2:]).flatten()


class SumNode(_operators.Bound):
    """Σ_i w_i·x_i.

    Args:
        terms: each w_i and the node x_i.
    """

    def __init__(self, terms: Sequence[tuple[float, Any]]) -> None:
        super().__init__({}, [source for _, source in terms], 0, {})
        self.weights = [weight for weight, _ in terms]

    def forward(self, *values: Tensor) -> Any:
        """Return the sum."""
        return sum(value * weight for value, weight in zip(values, self.weights, strict=True))

    def interval_propagate(self, *ends: Ends) -> Any:
        """Return the sums of the lower ends and of the upper ones; a negative weight swaps them."""
        pairs = [pair if weight >= 0 else pair[::-1] for pair, weight in zip(ends, self.weights, strict=True)]
        return tuple(self.forward(*side) for side in zip(*pairs, strict=True))

    def bound_backward(self, lower: Any, upper: Any, *sources: Any) -> tuple[list[Any], Any, Any]:
        """Return w_i·A."""
        check_time()
        return [tuple(_times(rows, weight) for rows in (lower, upper)) for weight in self.weights], 0, 0


class JumpNode(_operators.BoundOptimizableActivation):
    """An output of a potential, the spike or what is left to the next step; the latter may use the former.

    A plane may have any slope, so α-CROWN chooses one for each bound that is asked for: (4, specification,
    batch, ...), the first axis for the lower and upper plane of a lower bound, then of an upper bound.

    Args:
        neuron: of the layer.
        segments: of the output.
        sources: the potential, and the spike where planes use it.
    """

    def __init__(self, neuron: RelaxedLayer, segments: type[JumpSegments], *sources: Any) -> None:
        check_time()  # of many steps, building alone takes long
        super().__init__({}, list(sources), 0, {})
        self.neuron, self.segments = neuron, segments
        self.requires_input_bounds, self.alpha_batch_dim = [0], 2

    def forward(self, potential: Tensor, spike: Tensor | None = None) -> Tensor:
        """Return the output."""
        rule = self.neuron.rule
        fires = torch.ge if rule.fires_at == ">=" else torch.gt
        return self.segments.output(rule, potential, fires(potential, rule.threshold).to(potential))

    def interval_propagate(self, ends: Ends, spike: Any = None) -> Ends:
        """Return the least and the greatest value; the spike follows from the potential."""
        values = self.segments.over(*ends, self.neuron).values
        return values.amin(0), values.amax(0)

    def init_opt_parameters(self, start_nodes: list[Any]) -> None:
        """Start at the slopes without a search; of the bounds that are asked for only the logits' are searched."""
        slopes = torch.stack(self._slopes(self.known)).unsqueeze(1).detach()
        sizes = {name: size for name, size, _ in start_nodes if isinstance(size, int)}
        self.alpha = OrderedDict((name, slopes.repeat_interleave(size, 1)) for name, size in sizes.items())

    @property
    def known(self) -> JumpSegments:
        """Return the segments over what is known of the potential."""
        return self.segments.over(self.inputs[0].lower, self.inputs[0].upper, self.neuron)

    def bound_backward(
        self, lower: Any, upper: Any, *sources: Any, start_node: Any = None, **_: Any
    ) -> tuple[list[Any], Any, Any]:
        """Return the coefficients of the potential, and of the spike where it is a source, and the offsets."""
        check_time()
        ends = self.known
        chosen = self.alpha.get(start_node.name) if self.opt_stage in ("opt", "reuse") else None
        slopes = self._slopes(ends) if chosen is None else chosen
        planes = [ends.plane(slope, sign) for slope, sign in zip(slopes, (LOWER, UPPER) * 2, strict=True)]
        below, above = _relaxed(lower, planes[0], planes[1]), _relaxed(upper, planes[3], planes[2])
        pairs = list(zip(below, above, strict=True))
        return pairs[: len(sources)], *pairs[-1]

    def _slopes(self, ends: JumpSegments) -> list[Tensor]:
        """Return those that are used without a search."""
        return [ends.slope(LOWER), ends.slope(UPPER)] * 2


def _times(rows: Tensor | None, weight: float) -> Tensor | None:
    return rows if rows is None or weight == 1.0 else rows * weight


def _relaxed(rows: Tensor | None, positive: Plane, negative: Plane) -> tuple[Any, Any, Any]:
    """Return the coefficients of v and s and the offset, for coefficients of the output.

    Args:
        rows: the coefficients.
        positive, negative: the planes for those above and below 0.

    Raises:
        OverflowError: for coefficients beyond float64, of which auto_LiRPA would drop the offset.
    """
    if rows is None:
        return None, None, 0
    if not bool(torch.isfinite(rows).all()):
        raise OverflowError("the coefficients of the linear bound grow beyond float64")
    chosen = [torch.where(rows > 0, *pair) for pair in zip(positive, negative, strict=True)]
    slope, spike, offset = (rows * part for part in chosen)
    return slope, spike, offset.flatten(2).sum(2)
