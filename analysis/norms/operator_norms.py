"""Induced norms of an operator: choose the sharpest proven method that its size and structure allow.

The spectral norm of a large convolution, bounded by that of a circular convolution that contains it.

Claim. Put the image on a torus with n ≥ max(H + max(top, bottom), H + top + bottom − K + 1) rows (K: the extent of
the dilated kernel; columns alike), n a multiple of the stride. Then every output of the zero-padded convolution is
the output of the circular one at some site, different outputs at different sites: the padding positions −top..−1
and H..H+bottom−1 fall, modulo n, on sites outside the image. So A = P·C·E with an isometric embedding E and a
selection P, and ‖A‖₂ ≤ ‖C‖₂. The discrete Fourier transform makes C block-diagonal: one c_out × s²c_in block B a
frequency (s² phases for stride s), so ‖C‖₂ is the greatest of their norms, each closed by Cholesky of τI − BᴴB.

A circular padding that preserves the size is that torus itself, and ‖A‖₂ = ‖C‖₂. Any other padding is a linear map
of norm √(the most copies that a pixel has), times the convolution of the padded image.

References: sedghi2019singular

Operators too large to hold: proven bounds from their parts, and lower ends from inputs that attain them.

Upper ends. A chain is bounded by the product of its maps' norms, stacked signals W₁s₁ + W₂s₂ by ‖[W₁ W₂]‖₂ ≤
√(‖W₁‖₂² + ‖W₂‖₂²), a sum of two paths from one signal by the sum of their bounds. For the other norms the
absolute operator gives ‖A‖_∞ ≤ max |A|·1, ‖A‖₁ ≤ max |A|ᵀ·1, and max |A| ≤ both;
‖A‖_{1→2} ≤ √(‖A‖₁·max|A|) since Σa² ≤ max|a|·Σ|a|, and ‖A‖_{2→∞} alike.

Lower ends are quotients ‖Ax‖/‖x‖ at a chosen x, less rounding.

Induced norms of operators that are small enough to hold: dense matrices, and any with a side up to 4096.
"""

import math
from dataclasses import replace
from itertools import takewhile

import torch
from torch import Tensor

from ...models.deadline import check_time
from ...models.linear_maps import ConvolutionMap, DenseMap, LinearMap, ScaleMap, Shape
from ..arithmetic import (
    UNDERFLOW,
    Interval,
    accumulated,
    add_up,
    gram_error,
    largest_eigenvalue_bound,
    multiply_up,
    root_up,
)
from ..expressions import Applied, Expression, Reference, Total
from ..gains.neuron_gains import check_norm
from ..operators import INPUT, LayerOperator, Peaks
from .sums import (
    MatrixProducts,
    MatrixSums,
    explicit_norm,
    local_maximum,
    quotient,
    sums_of_convolution,
    sums_of_matrix,
    sums_of_operator,
    top_vector,
)

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


_BATCH_ENTRIES = 1 << 22


def torus_bound(convolution: ConvolutionMap, shape: Shape) -> float:
    """Return a proven upper end of ‖A‖₂ for a convolution of images (channels, H, W) = shape."""
    _, height, width = shape
    if convolution.padding_mode == "zeros":
        return _spectral_bound(convolution, _torus(convolution, height, width))
    top, bottom, left, right = convolution.padding
    if convolution.padding_mode == "circular" and _preserves_size(convolution):
        return _spectral_bound(convolution, (height, width))
    inner = replace(convolution, padding=(0, 0, 0, 0), padding_mode="zeros")
    padded = (height + top + bottom, width + left + right)
    return multiply_up(_copies(convolution, height, width), _spectral_bound(inner, _torus(inner, *padded)))


def _preserves_size(convolution: ConvolutionMap) -> bool:
    totals = (sum(convolution.padding[:2]), sum(convolution.padding[2:]))
    return convolution.stride == (1, 1) and all(
        total == extent - 1 for total, extent in zip(totals, _extent(convolution), strict=True)
    )


def _extent(convolution: ConvolutionMap) -> tuple[int, int]:
    rows, columns = convolution.weight.shape[2:]
    return (convolution.dilation[0] * (rows - 1) + 1, convolution.dilation[1] * (columns - 1) + 1)


def _torus(convolution: ConvolutionMap, height: int, width: int) -> tuple[int, int]:
    top, bottom, left, right = convolution.padding
    rows, columns = _extent(convolution)
    sides = (
        max(height + max(top, bottom), height + top + bottom - rows + 1),
        max(width + max(left, right), width + left + right - columns + 1),
    )
    row_stride, column_stride = convolution.stride
    return (math.ceil(sides[0] / row_stride) * row_stride, math.ceil(sides[1] / column_stride) * column_stride)


def _copies(convolution: ConvolutionMap, height: int, width: int) -> float:
    """Return √(the most copies of one pixel): the norm of the padding, whose columns are orthogonal."""
    image = torch.zeros(1, 1, height, width, dtype=torch.float64, requires_grad=True)
    padded = convolution.pad(image)
    (counts,) = torch.autograd.grad(padded, image, torch.ones_like(padded))
    return root_up(float(counts.max()))


def _spectral_bound(convolution: ConvolutionMap, torus: tuple[int, int]) -> float:
    groups = convolution.weight.chunk(convolution.groups)
    return root_up(max(_group_bound(convolution, weight, torus) for weight in groups))


def _group_bound(convolution: ConvolutionMap, weight: Tensor, torus: tuple[int, int]) -> float:
    """Return a proven upper end of max over frequencies of σ_max(B)²."""
    if not bool(weight.any()):
        return 0.0
    frequencies = _frequencies(convolution, torus)
    blocks_at_once = max(1, _BATCH_ENTRIES // max(1, weight[:, :, 0, 0].numel() * math.prod(convolution.stride)))
    error = _block_gram_error(convolution, weight)
    grams = (_grams(_symbol(convolution, weight, torus, chunk)) for chunk in frequencies.split(blocks_at_once))
    return max(largest_eigenvalue_bound(gram, error) for gram in grams)


def _frequencies(convolution: ConvolutionMap, torus: tuple[int, int]) -> Tensor:
    """Return one of each pair of conjugate frequencies (f₁, f₂), as integers, (count, 2)."""
    rows, columns = torus[0] // convolution.stride[0], torus[1] // convolution.stride[1]
    first, second = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    all_pairs = torch.stack([first.flatten(), second.flatten()], 1)
    mirror = (-all_pairs) % torch.tensor([rows, columns])
    keep = all_pairs[:, 0] * columns + all_pairs[:, 1] <= mirror[:, 0] * columns + mirror[:, 1]
    return all_pairs[keep]


def _symbol(convolution: ConvolutionMap, weight: Tensor, torus: tuple[int, int], frequencies: Tensor) -> Tensor:
    """Return the blocks B(f), (frequencies, c_out, phases·c_in): B_r(f) = Σ_m K[s·m + r]·exp(2πi f·m/(n/s))."""
    check_time()
    phases: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}
    for row in range(weight.shape[2]):
        for column in range(weight.shape[3]):
            position = (row * convolution.dilation[0], column * convolution.dilation[1])
            steps = [divmod(p, s) for p, s in zip(position, convolution.stride, strict=True)]
            shift = _rotation(frequencies, (steps[0][0], steps[1][0]), torus, convolution.stride)
            phases.setdefault((steps[0][1], steps[1][1]), []).append((shift, weight[:, :, row, column]))
    return torch.cat([_combine(terms) for terms in phases.values()], dim=2)


def _rotation(
    frequencies: Tensor, step: tuple[int, int], torus: tuple[int, int], stride: tuple[int, int]
) -> Tensor:
    rows, columns = torus[0] // stride[0], torus[1] // stride[1]
    turns = (frequencies[:, 0] * step[0] % rows).double() / rows + (
        frequencies[:, 1] * step[1] % columns
    ).double() / columns
    angle = 2.0 * math.pi * turns
    return torch.complex(torch.cos(angle), torch.sin(angle))


def _combine(terms: list[tuple[Tensor, Tensor]]) -> Tensor:
    shifts = torch.stack([shift for shift, _ in terms], 1)
    kernels = torch.stack([kernel for _, kernel in terms]).to(torch.complex128)
    return (shifts @ kernels.flatten(1)).reshape(len(shifts), *kernels.shape[1:])


def _grams(blocks: Tensor) -> Tensor:
    return blocks @ blocks.mH if blocks.shape[1] <= blocks.shape[2] else blocks.mH @ blocks


def _block_gram_error(convolution: ConvolutionMap, weight: Tensor) -> float:
    """Bound ‖fl(BᴴB) − BᴴB‖₂ at every frequency.

    |B| ≤ Σ_k |K_k| entry by entry (phases side by side), and ‖·‖₂² ≤ ‖·‖₁‖·‖_∞. A rotation is off by less than
    100u (its angle, below 4π, by 5 roundings), a sum over k terms by γ_{2k}, complex products by 4u each.
    """
    terms = weight.shape[2] * weight.shape[3]
    total = weight.abs().sum((2, 3))
    slack = 1.0 + accumulated(sum(weight.shape[:2]) + terms + 8)
    # rows hold all phases side by side, a column holds one phase: its sum is at most the sum over all
    square = multiply_up(float(total.sum(1).max()) * slack, float(total.sum(0).max()) * slack)
    entry = 100 + 8 * terms + convolution.roundings
    depth = 2 * entry + 8 * (max(weight.shape[:2]) * math.prod(convolution.stride) + 4)
    return gram_error(depth, square, max(weight.shape[:2]) * math.prod(convolution.stride))


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


def operator_norm(operator: LayerOperator, input_norm: str = "l2", output_norm: str = "l2") -> Interval:
    """Return a proven interval of max ‖Ax‖_q/‖x‖_p for the operator in front of a spiking layer.

    Behind max pools it is that of max ‖Ax − Ay‖_q/‖x − y‖_p, with 0 for its lower end.

    Args:
        operator: one of `layer_operators(network)`.
        input_norm, output_norm: "l1", "l2" or "linf" for p and q.

    Returns:
        Both ends true in floating point. Dense layers and operators with a side of at most 4096: to 1e-9 and
        better (except ℓ∞→ℓ1, ℓ∞→ℓ2 and ℓ2→ℓ1, which are NP-hard). Larger ones: `composed_norm`.

    Raises:
        ValueError: for an unknown norm.
    """
    check_norm("input_norm", input_norm)
    check_norm("output_norm", output_norm)
    own = _linear_norm(operator, input_norm, output_norm)
    if not operator.peaks:
        return own
    return Interval(0.0, multiply_up(own.upper, _reach(operator, input_norm)))


def _linear_norm(operator: LayerOperator, input_norm: str, output_norm: str) -> Interval:
    held = held_norm(operator, input_norm, output_norm)
    return held if held is not None else composed_norm(operator, input_norm, output_norm)


def _reach(operator: LayerOperator, norm: str) -> float:
    """Return an upper end of ‖what the operator reads‖/‖signals‖, maxima among it, for changes in one norm.

    With c_i the Lipschitz constant of each max pool: (1 + Σ c_i^p)^{1/p}, 1 for what is read without a pool.
    """
    parts = [_lipschitz(peak, norm) for peak in operator.peaks.values()]
    parts += [1.0] * any(index >= INPUT for index in operator.sources)
    if norm == "linf":
        return max(parts)
    total = 0.0
    for part in parts:
        total = add_up(total, part if norm == "l1" else multiply_up(part, part))
    return total if norm == "l1" else root_up(total)


def _lipschitz(peak: Peaks, norm: str) -> float:
    """Return m^{1/p} times the norm of what is pooled."""
    inner = peak.inner
    if isinstance(inner.expression, Reference):
        before = _reach(inner, norm) if inner.peaks else 1.0
    else:
        before = operator_norm(inner, norm, norm).upper
    share = {"l1": float(peak.shared), "l2": root_up(float(peak.shared)), "linf": 1.0}[norm]
    return multiply_up(share, before)
