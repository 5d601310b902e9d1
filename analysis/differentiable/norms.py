"""Norms of operators, of their rows and of their columns, differentiable in weights.

The norm of each row of an operator, differentiable: how far a unit of its input can move each neuron's current.

And of each column: how far one entry of its input can move all currents.

Where every input reaches every output by at most one path, each entry of A is a product of entries of the maps,
so ‖A_j‖_q^q is the operator of the maps' powers |·|^q, applied to ones: one pass. Others are written out.

Induced norms of the operator in front of a spiking layer, differentiable in its weights.

ℓ2→ℓ2  ‖A·v‖₂ at the unit vector v of a power iteration on AᵀA: never above the norm, and with v warm-started from
       the last training step near it. Its gradient at fixed v is that of the norm once v has converged.
ℓ∞→ℓ∞  the greatest row sum of |A|;  ℓ1→ℓ1  the greatest column sum of |A|;  ℓ2→ℓ∞  the greatest row norm.
"""

from collections.abc import Callable, Iterator, MutableMapping

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


COLD = 30
"""Iterations from a random start; warm-started vectors need one or two."""


def operator_norm(
    operator: LayerOperator,
    input_norm: str = "l2",
    output_norm: str = "l2",
    vectors: MutableMapping[str, Tensor] | None = None,
    iterations: int = 1,
) -> Tensor:
    """Return ‖A‖_{p→q} of a live operator as a scalar; for ℓ2→ℓ2 a lower end of it.

    Args:
        operator: one of `layer_operators(network, shape, live=True)`.
        input_norm, output_norm: one of `NORM_PAIRS`.
        vectors: where the power iteration's vector is taken from and left, by the operator's name; one that is not
            there, or of another size, is started from a fixed seed.
        iterations: of the power iteration.

    Raises:
        ValueError: for another pair of norms.
    """
    check_pair(input_norm, output_norm)
    if (input_norm, output_norm) != ("l2", "l2"):
        return _SUMS[input_norm, output_norm](operator)
    return _spectral(operator, {} if vectors is None else vectors, iterations)


def check_pair(input_norm: str, output_norm: str) -> None:
    """Raise ValueError unless the pair of norms is known."""
    if (input_norm, output_norm) not in NORM_PAIRS:
        known = ", ".join("→".join(pair) for pair in NORM_PAIRS)
        raise ValueError(f"input_norm, output_norm: got {input_norm}→{output_norm}, expected one of {known}")


def _spectral(operator: LayerOperator, vectors: MutableMapping[str, Tensor], iterations: int) -> Tensor:
    like = dtype_of(operator)
    vector = vectors.get(operator.name)
    if vector is None or len(vector) != operator.columns:
        vector, iterations = _random(operator.columns), max(iterations, COLD)
    vector = vector.to(like)
    with torch.no_grad():
        for _ in range(iterations):
            vector = _normalised(operator.adjoint(operator.apply(vector[None]))[0], vector)
    vectors[operator.name] = vector
    return torch.linalg.vector_norm(operator.apply(vector[None]))


def _random(size: int) -> Tensor:
    vector = torch.randn(size, generator=torch.Generator().manual_seed(0))
    return vector / vector.norm()


def _normalised(vector: Tensor, before: Tensor) -> Tensor:
    """Return the unit vector, or the one before where the operator sends it to 0."""
    size = torch.linalg.vector_norm(vector)
    return torch.where(size > 0, vector / size.clamp_min(torch.finfo(size.dtype).tiny), before)


def _row_sum(operator: LayerOperator) -> Tensor:
    return row_norms(operator, 1).amax()


def _row_norm(operator: LayerOperator) -> Tensor:
    return row_norms(operator, 2).amax()


def _column_sum(operator: LayerOperator) -> Tensor:
    return column_sums(operator).amax()


_SUMS: dict[tuple[str, str], Callable[[LayerOperator], Tensor]] = {
    ("linf", "linf"): _row_sum,
    ("l1", "l1"): _column_sum,
    ("l2", "linf"): _row_norm,
}

NORM_PAIRS = (("l2", "l2"), *_SUMS)
