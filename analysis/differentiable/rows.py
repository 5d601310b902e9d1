"""The norm of each row of an operator, differentiable: how far a unit of its input can move each neuron's current.

And of each column: how far one entry of its input can move all currents.

Where every input reaches every output by at most one path, each entry of A is a product of entries of the maps,
so ‖A_j‖_q^q is the operator of the maps' powers |·|^q, applied to ones: one pass. Others are written out.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from ..expressions import Applied, Expression, Reference, Total
from ..operators import LayerOperator

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
    if isinstance(node, Total):
        return _weights(node.left) + _weights(node.right)
    if isinstance(node, Applied):
        return [*_weights(node.operand), *node.linear.tensors]
    return []


def _powers(node: Expression, order: int) -> Tensor:
    """Return Σ over inputs of |entry|^order for each output, (1, *shape)."""
    if isinstance(node, Reference):
        return torch.ones(1, *node.shape)
    if isinstance(node, Total):
        left, right = _powers(node.left, order), _powers(node.right, order)
        return left + right.to(left)
    assert isinstance(node, Applied)
    inner = _powers(node.operand, order)
    return node.linear.power(order).linear(inner.to(node.linear.tensors[0]) if node.linear.tensors else inner)


def _paths(node: Expression) -> int:
    """Return 2 if each input reaches at most one output, 1 if by at most one path, 0 if neither is known."""
    if isinstance(node, Reference):
        return 2
    if isinstance(node, Total):
        apart = not (_signals(node.left) & _signals(node.right))
        return min(_paths(node.left), _paths(node.right)) if apart else 0
    assert isinstance(node, Applied)
    return node.linear.mixes(_paths(node.operand))


def _signals(node: Expression) -> set[int]:
    if isinstance(node, Reference):
        return {node.index}
    if isinstance(node, Total):
        return _signals(node.left) | _signals(node.right)
    assert isinstance(node, Applied)
    return _signals(node.operand)


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
