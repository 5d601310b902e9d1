"""The norm of each row of an operator, differentiable: how far a unit of its input can move each neuron's current.

And of each column: how far one entry of its input can move all currents.

Where every input reaches every output by at most one path, each entry of A is a product of entries of the stages,
so ‖A_j‖_q^q is the operator of the stages' powers |·|^q, applied to ones: one pass. Others are written out.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..operators import Applied, Expression, LayerOperator, Signal, Sum
from ..stages import Convolution, Dense, Flatten, Pool, Scale, Stage

_BLOCK = 256


def row_norms(operator: LayerOperator, order: int) -> Tensor:
    """Return the ℓ1 (order 1) or ℓ2 (order 2) norm of each row of a live operator, (rows,), to rounding."""
    powers = _powers(operator.expression, order) if _paths(operator.expression) else None
    total = _written_out(operator, order) if powers is None else powers.flatten()
    return total if order == 1 else total.clamp_min(torch.finfo(total.dtype).tiny).sqrt()


def column_sums(operator: LayerOperator) -> Tensor:
    """Return the ℓ1 norm of each column of a live operator, (columns,), to rounding."""
    if not _paths(operator.expression):
        return torch.cat([block.abs().sum(1) for block in _blocks(operator)])
    absolute = operator.absolute()
    zero = dtype_of(operator).new_zeros(1, operator.columns).requires_grad_()
    with torch.enable_grad():
        (sums,) = torch.autograd.grad(absolute.apply(zero).sum(), zero, create_graph=True)
    return sums[0]


def dtype_of(operator: LayerOperator) -> Tensor:
    """Return a tensor of the dtype and device of the operator's weights."""
    tensors = _weights(operator.expression)
    return tensors[0].detach() if tensors else torch.ones(1)


def _weights(node: Expression) -> list[Tensor]:
    if isinstance(node, Sum):
        return _weights(node.left) + _weights(node.right)
    if isinstance(node, Applied):
        own = getattr(node.stage, "weight", getattr(node.stage, "factor", None))
        return _weights(node.operand) + ([] if own is None else [own])
    return []


def _powers(node: Expression, order: int) -> Tensor:
    """Return Σ over inputs of |entry|^order for each output, (1, *shape)."""
    if isinstance(node, Signal):
        return torch.ones(1, *node.shape)
    if isinstance(node, Sum):
        left, right = _powers(node.left, order), _powers(node.right, order)
        return left + right.to(left)
    assert isinstance(node, Applied)
    inner, weights = _powers(node.operand, order), _weights(node)
    raised = _raised(node.stage, order)
    share = math.prod(node.stage.kernel) ** (1 - order) if isinstance(node.stage, Pool) else 1.0
    return raised.apply(inner.to(weights[0]) if weights else inner) * share


def _raised(stage: Stage, order: int) -> Stage:
    """Return the stage of |entries|^order; a pool's equal entries are the caller's to scale."""
    if isinstance(stage, (Dense, Convolution)):
        return replace(stage, weight=stage.weight.abs() ** order)
    return Scale(stage.factor.abs() ** order) if isinstance(stage, Scale) else stage


def _paths(node: Expression) -> int:
    """Return 2 if each input reaches at most one output, 1 if by at most one path, 0 if neither is known."""
    if isinstance(node, Signal):
        return 2
    if isinstance(node, Sum):
        apart = not (_signals(node.left) & _signals(node.right))
        return min(_paths(node.left), _paths(node.right)) if apart else 0
    assert isinstance(node, Applied)
    return _AFTER[type(node.stage)](node.stage, _paths(node.operand))


def _signals(node: Expression) -> set[int]:
    if isinstance(node, Signal):
        return {node.index}
    if isinstance(node, Sum):
        return _signals(node.left) | _signals(node.right)
    assert isinstance(node, Applied)
    return _signals(node.operand)


def _mixing(stage: Stage, before: int) -> int:
    return 1 if before == 2 else 0


def _convolving(stage: Convolution, before: int) -> int:
    return _mixing(stage, before) if stage.padding_mode == "zeros" else 0


def _pooling(stage: Pool, before: int) -> int:
    plain = stage.padding == (0, 0) and not stage.ceil_mode
    apart = all(step >= size for step, size in zip(stage.stride, stage.kernel, strict=True))
    return 2 if before == 2 and plain and apart else 0


_AFTER: dict[type[Stage], Callable[[Any, int], int]] = {
    Dense: _mixing,
    Convolution: _convolving,
    Pool: _pooling,
    Scale: lambda stage, before: before,
    Flatten: lambda stage, before: before,
}


def _written_out(operator: LayerOperator, order: int) -> Tensor:
    """Return Σ |entry|^order of each row from the operator's matrix."""
    return torch.stack([(block.abs() ** order).sum(0) for block in _blocks(operator)]).sum(0)


def _blocks(operator: LayerOperator) -> Iterator[Tensor]:
    """Yield the operator's columns, some at a time, (columns, rows)."""
    like = dtype_of(operator)
    for start in range(0, operator.columns, _BLOCK):
        count = min(_BLOCK, operator.columns - start)
        unit = like.new_zeros(count, operator.columns)
        unit[torch.arange(count), torch.arange(start, start + count)] = 1.0
        yield operator.apply(unit)
