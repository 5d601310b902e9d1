"""Induced norms of operators that are small enough to hold: dense matrices, and any with a side up to 4096."""

import math
from itertools import takewhile

import torch
from torch import Tensor

from ...models.linear_maps import ConvolutionMap, DenseMap, LinearMap, Shape
from ..arithmetic.definite import UNDERFLOW
from ..arithmetic.intervals import Interval, accumulated
from ..gains.neuron_gains import check_norm
from ..operators import LayerOperator
from .explicit import MatrixProducts, explicit_norm
from .sums import MatrixSums, sums_of_convolution, sums_of_matrix, sums_of_operator

EXPLICIT_SIDE = 4096
"""An operator whose smaller side is at most this is treated by its Gram matrix, whatever it is made of."""


def held_norm(operator: LayerOperator, input_norm: str, output_norm: str) -> Interval | None:
    """Return a proven interval of an induced norm of `operator`, or None where it is too large to hold."""
    if operator.dense is not None:
        return _dense_norm(operator.dense, input_norm, output_norm)
    if min(operator.rows, operator.columns) > EXPLICIT_SIDE:
        return None
    sums = _sums(operator, _needs_gram(input_norm, output_norm))
    linear = MatrixProducts(
        lambda vector: operator.apply(vector[None]).detach()[0],
        lambda vector: operator.adjoint(vector[None])[0],
        operator.columns,
        sums.entry_error,
        sums.absolute_rows,
        sums.absolute_columns,
    )
    return explicit_norm(sums, linear, input_norm, output_norm)


def _sums(operator: LayerOperator, with_gram: bool) -> MatrixSums:
    maps = [linear for linear in operator.chain or () if not linear.reshapes]
    if len(maps) == 1 and isinstance(maps[0], ConvolutionMap):
        return sums_of_convolution(maps[0], _shape_before(operator, maps[0]), with_gram)
    return sums_of_operator(operator, with_gram)


def _shape_before(operator: LayerOperator, linear: LinearMap) -> Shape:
    """Return the shape that a map of the chain is given, behind what reshapes the one signal."""
    (shape,) = operator.sources.values()
    for earlier in takewhile(lambda item: item is not linear, operator.chain or ()):
        shape = earlier.output_shape(shape)
    return shape


def matrix_norm(matrix: Tensor, input_norm: str = "l2", output_norm: str = "l2") -> Interval:
    """Return a proven interval of an induced norm of an explicit matrix.

    The matrix is first divided by a power of two, which is exact, so that nothing over- or underflows.

    Raises:
        ValueError: for NaN or inf.

    >>> matrix_norm(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).contains(4.0)
    True
    """
    check_norm("input_norm", input_norm)
    check_norm("output_norm", output_norm)
    if matrix.dim() != 2 or not bool(torch.isfinite(matrix).all()):
        raise ValueError(f"matrix: got shape {tuple(matrix.shape)}, or NaN or inf; expected a finite matrix")
    return _dense_norm(DenseMap(matrix.detach().to("cpu", torch.float64)), input_norm, output_norm)


def _dense_norm(dense: DenseMap, input_norm: str, output_norm: str) -> Interval:
    values = dense.weight.contiguous()
    largest = float(values.abs().max())
    if largest == 0.0:
        return Interval(0.0, 0.0)
    exponent = math.frexp(largest)[1]
    values = _scaled(values, exponent)
    sums = sums_of_matrix(values, _needs_gram(input_norm, output_norm), dense.roundings)
    linear = MatrixProducts(
        lambda vector: values @ vector,
        lambda vector: values.T @ vector,
        values.shape[1],
        accumulated(sum(values.shape) + dense.roundings + 2),
        sums.absolute_rows,
        sums.absolute_columns,
    )
    return _rescale(explicit_norm(sums, linear, input_norm, output_norm), exponent)


def _scaled(values: Tensor, exponent: int) -> Tensor:
    """Return values·2^−exponent, in two steps because 2^exponent itself may overflow."""
    half = exponent // 2
    return values * 2.0**-half * 2.0 ** (half - exponent)


def _needs_gram(input_norm: str, output_norm: str) -> bool:
    return input_norm != "l1" and output_norm != "linf"


def _rescale(interval: Interval, exponent: int) -> Interval:
    """Multiply by 2^exponent, which is exact unless it under- or overflows: then move outward."""
    lower, upper = (_ldexp(end, exponent) for end in (interval.lower, interval.upper))
    lower = min(lower, 1.7976931348623157e308)
    if lower < UNDERFLOW:
        lower = max(0.0, math.nextafter(lower, -math.inf))
    return Interval(lower, math.nextafter(upper, math.inf) if upper < UNDERFLOW else upper)


def _ldexp(value: float, exponent: int) -> float:
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return math.inf
