"""Operators too large to hold: proven bounds from their parts, and lower ends from inputs that attain them.

Upper ends. A chain is bounded by the product of its maps' norms, stacked signals W₁s₁ + W₂s₂ by ‖[W₁ W₂]‖₂ ≤
√(‖W₁‖₂² + ‖W₂‖₂²), a sum of two paths from one signal by the sum of their bounds. For the other norms the
absolute operator gives ‖A‖_∞ ≤ max |A|·1, ‖A‖₁ ≤ max |A|ᵀ·1, and max |A| ≤ both;
‖A‖_{1→2} ≤ √(‖A‖₁·max|A|) since Σa² ≤ max|a|·Σ|a|, and ‖A‖_{2→∞} alike.

Lower ends are quotients ‖Ax‖/‖x‖ at a chosen x, less rounding.
"""

import math

import torch

from ...models.linear_maps import ConvolutionMap, DenseMap, LinearMap, ScaleMap, Shape
from ..arithmetic.definite import UNDERFLOW
from ..arithmetic.intervals import Interval, accumulated, add_up, multiply_up, root_up
from ..expressions import Applied, Expression, Reference, Total
from ..operators import LayerOperator
from .explicit import MatrixProducts, local_maximum, quotient, top_vector
from .held import held_norm
from .torus import torus_bound


def composed_norm(operator: LayerOperator, input_norm: str, output_norm: str) -> Interval:
    """Return a proven interval of one induced norm of a large operator; its width is what the structure allows."""
    linear = _products(operator)
    upper = _upper(operator, linear, input_norm, output_norm)
    if (input_norm, output_norm) == ("l2", "l2"):
        start = top_vector(linear, 25, torch.float32).double()  # a candidate may be rough, its quotient not
    elif input_norm == "l1":
        start = _heaviest_column(operator)
    elif output_norm == "linf":
        start = _heaviest_row(operator, input_norm)
    else:
        start = local_maximum(linear, input_norm, output_norm, 5)
    return Interval(min(quotient(linear, start, input_norm, output_norm), upper), upper)


def _products(operator: LayerOperator) -> MatrixProducts:
    depth = operator.expression.depth
    absolute = operator.absolute()
    slack = 1.0 + accumulated(depth + 8)
    rows = absolute.apply(torch.ones(1, operator.columns, dtype=torch.float64)).max()
    columns = absolute.adjoint(torch.ones(1, operator.rows, dtype=torch.float64)).max()
    return MatrixProducts(
        lambda vector: operator.apply(vector[None]).detach()[0],
        lambda vector: operator.adjoint(vector[None])[0],
        operator.columns,
        accumulated(depth),
        float(rows) * slack + UNDERFLOW,
        float(columns) * slack + UNDERFLOW,
    )


def _upper(operator: LayerOperator, linear: MatrixProducts, input_norm: str, output_norm: str) -> float:
    rows, columns = linear.absolute_rows, linear.absolute_columns
    entry = min(rows, columns, _entry_bound(operator))
    if input_norm == "l1":
        return {"l1": columns, "l2": root_up(multiply_up(columns, entry)), "linf": entry}[output_norm]
    if (input_norm, output_norm) == ("linf", "linf"):
        return rows
    holder = root_up(multiply_up(rows, columns))
    spectral = min(holder, _spectral_upper(operator))
    if output_norm == "linf":
        return min(spectral, root_up(multiply_up(rows, entry)))
    into_l2 = min(multiply_up(root_up(operator.columns), spectral), multiply_up(root_up(operator.rows), rows))
    from_l2 = min(multiply_up(root_up(operator.rows), spectral), multiply_up(root_up(operator.columns), columns))
    return {
        ("l2", "l2"): spectral,
        ("linf", "l2"): into_l2,
        ("l2", "l1"): from_l2,
        ("linf", "l1"): multiply_up(root_up(operator.rows), into_l2),
    }[input_norm, output_norm]


def _entry_bound(operator: LayerOperator) -> float:
    """Return max |A| where the operator has one map with weights and no sum, else inf."""
    heavy = [linear for linear in operator.chain or () if not linear.reshapes]
    if len(heavy) != 1 or not isinstance(heavy[0], (DenseMap, ConvolutionMap)) or operator.chain is None:
        return math.inf
    if isinstance(heavy[0], ConvolutionMap) and heavy[0].padding_mode != "zeros":
        return math.inf
    return float(heavy[0].weight.abs().max()) * (1.0 + accumulated(heavy[0].roundings + 2))


def _spectral_upper(operator: LayerOperator) -> float:
    if operator.chain is not None:
        return chain_bound(operator.chain, next(iter(operator.sources.values())))
    total = 0.0
    for part in _by_source(operator.expression).values():
        total = add_up(total, multiply_up(part, part))
    return root_up(total)


def _by_source(expression: Expression) -> dict[int, float]:
    """Return an upper end of ‖W_j‖₂ for each signal j that the expression reads."""
    if isinstance(expression, Reference):
        return {expression.index: 1.0}
    if isinstance(expression, Applied):
        factor = map_bound(expression.linear, expression.operand.shape)
        return {index: multiply_up(factor, bound) for index, bound in _by_source(expression.operand).items()}
    assert isinstance(expression, Total)
    left, right = _by_source(expression.left), _by_source(expression.right)
    return {index: add_up(left.get(index, 0.0), right.get(index, 0.0)) for index in left | right}


def chain_bound(maps: tuple[LinearMap, ...], shape: Shape) -> float:
    """Return the product of the proven spectral bounds of maps in order, for signals of `shape`."""
    bound = 1.0
    for linear in maps:
        bound = multiply_up(bound, map_bound(linear, shape))
        shape = linear.output_shape(shape)
    return bound


def map_bound(linear: LinearMap, shape: Shape) -> float:
    """Return a proven upper end of the spectral norm of one map."""
    if linear.reshapes:
        return 1.0
    if isinstance(linear, ScaleMap):
        return float(linear.factor.abs().max()) * (1.0 + accumulated(linear.depth + 2))
    if linear.channelwise:
        shape = (1, *shape[1:])
    output = linear.output_shape(shape)
    alone = LayerOperator("map", Applied(output, linear, Reference(shape, 0)), {0: shape})
    held = held_norm(alone, "l2", "l2")
    if held is not None:
        return held.upper
    bound = multiply_up(_products(alone).absolute_rows, _products(alone).absolute_columns)
    return (
        min(root_up(bound), torus_bound(linear, shape)) if isinstance(linear, ConvolutionMap) else root_up(bound)
    )


def _heaviest_column(operator: LayerOperator) -> torch.Tensor:
    weights = operator.absolute().adjoint(torch.ones(1, operator.rows, dtype=torch.float64))[0]
    return torch.nn.functional.one_hot(weights.argmax(), operator.columns).double()


def _heaviest_row(operator: LayerOperator, input_norm: str) -> torch.Tensor:
    weights = operator.absolute().apply(torch.ones(1, operator.columns, dtype=torch.float64))[0]
    unit = torch.nn.functional.one_hot(weights.argmax(), operator.rows).double()
    row = operator.adjoint(unit[None])[0]
    return torch.where(row < 0, -1.0, 1.0).double() if input_norm == "linf" else row
