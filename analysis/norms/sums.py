"""Row and column sums of |A| and A², and the Gram matrix of the smaller side: what explicit norms are made of.

The sparse matrix of a convolution: which weight stands between which pixel and which output.

All nine induced norms of an operator that is small enough to be held, as proven intervals.

    ℓ1→ℓq   the largest ℓq norm of a column       exact
    ℓp→ℓ∞   the largest dual norm of a row        exact
    ℓ2→ℓ2   √λ_max of the Gram matrix             closed by Cholesky (`definite`)
    ℓ∞→ℓ1, ℓ∞→ℓ2, ℓ2→ℓ1                           hard in general: between a local maximum and Hölder's bounds

Hölder's bounds: ‖A‖_{∞→2} ≤ min(‖|A|·1‖₂, √n·‖A‖₂), since |Ax| ≤ |A|·1 and ‖x‖₂ ≤ √n for |x| ≤ 1;
‖A‖_{2→1} is that of Aᵀ; ‖A‖_{∞→1} ≤ min(Σ|A|, √m·‖A‖_{∞→2}).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ...models.deadline import check_time
from ...models.linear_maps import ConvolutionMap, Shape
from ..arithmetic import (
    UNDERFLOW,
    UNIT,
    Interval,
    accumulated,
    gram_error,
    largest_eigenvalue_bound,
    multiply_up,
    root_down,
    root_up,
)
from ..operators import LayerOperator

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def sparse_matrix(convolution: ConvolutionMap, shape: Shape) -> "csr_array":
    """Return the matrix (rows: outputs, columns: inputs) for images (channels, H, W) = shape.

    An image that holds its own pixel numbers (from 1; 0 is padding) is padded and unfolded like any other, which
    gives the pixel behind each kernel position of each output, for every stride, dilation and padding mode.
    """
    from scipy.sparse import csr_array  # imported here: scipy takes half a second

    _, height, width = shape
    outputs, inputs, rows, columns = convolution.weight.shape
    numbers = torch.arange(1, height * width + 1, dtype=torch.float64).reshape(1, 1, height, width)
    padded = convolution.pad(numbers)
    pixels = functional.unfold(padded, (rows, columns), convolution.dilation, 0, convolution.stride)[0].long()
    kernel = convolution.weight.reshape(outputs, inputs, rows * columns, 1)
    position, site = pixels.nonzero(as_tuple=True)
    channel = torch.arange(outputs)[:, None, None]
    group = channel // (outputs // convolution.groups) * inputs
    source = group + torch.arange(inputs)[None, :, None]
    target = channel * pixels.shape[1] + site
    column = source * (height * width) + pixels[position, site] - 1
    values = kernel[:, :, position, 0]
    target = target.expand_as(values)
    size = (outputs * pixels.shape[1], shape[0] * height * width)
    flat = [np.ascontiguousarray(item.reshape(-1).numpy()) for item in (values, target, column)]
    return csr_array((flat[0], (flat[1], flat[2])), shape=size)


_BATCH_ENTRIES = 1 << 24
"""How many entries of A are held at once (128 MiB)."""


@dataclass(frozen=True)
class MatrixSums:
    """Computed sums of a matrix A (rows, columns) and bounds of what rounding did to them.

    Attributes:
        rows, columns: Σ|A| over each row and column.
        square_rows, square_columns: ΣA² over each.
        largest: max |A|.
        gram: AᵀA or AAᵀ, whichever is smaller; None where no ℓ2 norm is asked for.
        entry_error: entries are off by at most entry_error times the entries of the absolute operator.
        absolute_rows, absolute_columns: upper ends of the largest row and column sum of the absolute operator.
    """

    rows: Tensor
    columns: Tensor
    square_rows: Tensor
    square_columns: Tensor
    largest: float
    gram: Tensor | None
    entry_error: float
    absolute_rows: float
    absolute_columns: float

    @property
    def gram_error(self) -> float:
        """Return a bound of ‖gram − the exact Gram matrix‖₂."""
        count = max(len(self.rows), len(self.columns))
        absolute_square = multiply_up(self.absolute_rows, self.absolute_columns)
        relative = int(2 * self.entry_error / accumulated(1)) + 4
        return gram_error(relative + count, absolute_square, min(len(self.rows), len(self.columns)))

    @property
    def summation(self) -> float:
        """Return the relative error of any sum or sum of squares above."""
        return accumulated(max(len(self.rows), len(self.columns)) + 8)


def sums_of_matrix(matrix: Tensor, with_gram: bool, roundings: int = 0) -> MatrixSums:
    """Return the sums of a float64 matrix whose entries have each gone through `roundings` roundings."""
    absolute, square = matrix.abs(), matrix * matrix
    tall = matrix.shape[0] >= matrix.shape[1]
    gram = None
    if with_gram:
        array = matrix.numpy()
        gram = torch.from_numpy(array.T @ array if tall else array @ array.T)
    rows, columns = absolute.sum(1), absolute.sum(0)
    slack = 1.0 + accumulated(sum(matrix.shape) + roundings + 8)
    return MatrixSums(
        rows,
        columns,
        square.sum(1),
        square.sum(0),
        float(absolute.max()),
        gram,
        accumulated(roundings),
        float(rows.max()) * slack,
        float(columns.max()) * slack,
    )


def sums_of_operator(operator: LayerOperator, with_gram: bool) -> MatrixSums:
    """Return the sums of an operator by applying it to the unit vectors of its smaller side."""
    absolute = operator.absolute()
    depth = operator.expression.depth
    slack = 1.0 + accumulated(depth + 8)
    totals = _Totals(operator, with_gram)
    for start, block in _blocks(operator):
        totals.add(start, block)
    entry_error = accumulated(depth)
    rows = float(absolute.apply(torch.ones(1, operator.columns, dtype=torch.float64)).max()) * slack
    columns = float(absolute.adjoint(torch.ones(1, operator.rows, dtype=torch.float64)).max()) * slack
    first, second = (totals.short, totals.long) if totals.wide else (totals.long, totals.short)
    square_first, square_second = (
        (totals.square_short, totals.square_long) if totals.wide else (totals.square_long, totals.square_short)
    )
    return MatrixSums(
        first,
        second,
        square_first,
        square_second,
        totals.largest,
        totals.gram,
        entry_error,
        rows + UNDERFLOW,
        columns + UNDERFLOW,
    )


def sums_of_convolution(convolution: ConvolutionMap, shape: Shape, with_gram: bool) -> MatrixSums:
    """Return the sums of one convolution from its sparse matrix."""
    matrix: Any = sparse_matrix(convolution, shape)  # scipy's stubs know no products of sparse arrays
    absolute, square = abs(matrix), matrix.multiply(matrix)
    rows, columns = _axis_sums(absolute)
    gram = None
    if with_gram:
        tall = matrix.shape[0] >= matrix.shape[1]
        gram = torch.from_numpy((matrix.T @ matrix if tall else matrix @ matrix.T).toarray())
    slack = 1.0 + accumulated(2 * convolution.depth + 8)
    return MatrixSums(
        rows,
        columns,
        *_axis_sums(square),
        float(absolute.max()),
        gram,
        accumulated(convolution.depth),
        float(rows.max()) * slack + UNDERFLOW,
        float(columns.max()) * slack + UNDERFLOW,
    )


def _axis_sums(matrix: Any) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(matrix.sum(1)), torch.from_numpy(matrix.sum(0))


class _Totals:
    """Accumulate sums over blocks of rows (of a wide operator) or columns (of a tall one): the short side."""

    def __init__(self, operator: LayerOperator, with_gram: bool) -> None:
        self.wide = operator.rows < operator.columns
        self.back: Callable[[Tensor], Tensor] = operator.apply if self.wide else operator.adjoint
        short, long = sorted((operator.rows, operator.columns))
        self.long, self.square_long = (
            torch.zeros(long, dtype=torch.float64),
            torch.zeros(long, dtype=torch.float64),
        )
        self.short, self.square_short = (
            torch.zeros(short, dtype=torch.float64),
            torch.zeros(short, dtype=torch.float64),
        )
        self.gram = torch.zeros(short, short, dtype=torch.float64) if with_gram else None
        self.largest = 0.0

    def add(self, start: int, block: Tensor) -> None:
        """Add vectors `start`… of the short side, each of the long side's length."""
        absolute, square = block.abs(), block * block
        stop = start + len(block)
        self.long += absolute.sum(0)
        self.square_long += square.sum(0)
        self.short[start:stop] = absolute.sum(1)
        self.square_short[start:stop] = square.sum(1)
        self.largest = max(self.largest, float(absolute.max()))
        if self.gram is not None:
            self.gram[start:stop] = self.back(block)


def _blocks(operator: LayerOperator) -> Iterator[tuple[int, Tensor]]:
    short, long = sorted((operator.rows, operator.columns))
    forth = operator.adjoint if operator.rows < operator.columns else operator.apply
    size = max(1, min(short, _BATCH_ENTRIES // long))
    for start in range(0, short, size):
        check_time()
        stop = min(short, start + size)
        unit = torch.zeros(stop - start, short, dtype=torch.float64)
        unit[torch.arange(stop - start), torch.arange(start, stop)] = 1.0
        with torch.no_grad():
            block = forth(unit)
        yield start, block


@dataclass(frozen=True)
class MatrixProducts:
    """A matrix as a function, for lower ends: ‖Ax‖/‖x‖ is one for any x. `error` is relative to |A||x|."""

    apply: Callable[[Tensor], Tensor]
    adjoint: Callable[[Tensor], Tensor]
    columns: int
    error: float
    absolute_rows: float
    absolute_columns: float


def explicit_norm(sums: MatrixSums, linear: MatrixProducts, input_norm: str, output_norm: str) -> Interval:
    """Return the interval of one induced norm from the sums of the matrix."""
    if (input_norm, output_norm) == ("l2", "l2"):
        return spectral_norm(sums, linear)
    if (input_norm, output_norm) in _EXACT:
        return _EXACT[input_norm, output_norm](sums)
    return _hard_norm(sums, linear, input_norm, output_norm)


def spectral_norm(sums: MatrixSums, linear: MatrixProducts) -> Interval:
    """Return σ_max(A): above by a proof about the Gram matrix, below by a Rayleigh quotient."""
    if sums.absolute_rows <= UNDERFLOW:
        return Interval(0.0, root_up(multiply_up(sums.absolute_rows, sums.absolute_columns)))
    assert sums.gram is not None
    upper = root_up(largest_eigenvalue_bound(sums.gram, sums.gram_error))
    vector = top_vector(linear)
    return Interval(min(quotient(linear, vector, "l2", "l2"), upper), upper)


def quotient(linear: MatrixProducts, vector: Tensor, input_norm: str, output_norm: str) -> float:
    """Return a proven lower end of ‖Ax‖_q/‖x‖_p ≤ ‖A‖: the computed one less all that may have been rounded.

    |fl(Ax) − Ax| ≤ γ|A||x| entry by entry, whose ℓ2 norm is at most γ·√(‖A‖₁‖A‖_∞)·‖x‖₂ and likewise for ℓ1, ℓ∞.
    """
    image = linear.apply(vector)
    size = max(len(vector), len(image)) + 8
    absolute = {
        "l1": multiply_up(linear.absolute_columns, _norm(vector, "l1")),
        "l2": multiply_up(
            root_up(multiply_up(linear.absolute_rows, linear.absolute_columns)), _norm(vector, "l2")
        ),
        "linf": multiply_up(linear.absolute_rows, _norm(vector, "linf")),
    }[output_norm]
    lost = linear.error * absolute * (1.0 + accumulated(size)) + size * UNDERFLOW
    length = _norm(vector, input_norm)
    if not length > 0.0:
        return 0.0
    return max(
        0.0, (_norm(image, output_norm) * (1.0 - accumulated(size)) - lost) / length * (1.0 - accumulated(size))
    )


def _norm(vector: Tensor, norm: str) -> float:
    return float(torch.linalg.vector_norm(vector, {"l1": 1, "l2": 2, "linf": float("inf")}[norm]))


def top_vector(linear: MatrixProducts, iterations: int = 60, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return about the top right singular vector, by Lanczos iteration with full orthogonalisation."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(linear.columns, generator=generator, dtype=dtype)
    basis = [start / start.norm()]
    images: list[Tensor] = []
    for _ in range(min(iterations, linear.columns)):
        check_time()
        images.append(linear.adjoint(linear.apply(basis[-1])))
        rest = images[-1].clone()
        for _ in range(2):
            stacked = torch.stack(basis)
            rest -= stacked.T @ (stacked @ rest)
        if not float(rest.norm()) > 1e-10 * float(images[-1].norm()):
            break
        basis.append(rest / rest.norm())
    stacked = torch.stack(basis[: len(images)])
    small = stacked @ torch.stack(images).T
    return stacked.T @ torch.linalg.eigh((small + small.T) / 2).eigenvectors[:, -1]


def _interval(value: float, error: float, relative: float, root: bool = False) -> Interval:
    """Return the interval of an exactly-known quantity: its computed value ± error, both ends rounded outward."""
    low = max(0.0, value * (1.0 - relative) - error - UNDERFLOW)
    high = (value + error) * (1.0 + relative) * (1.0 + 4.0 * UNIT) + (UNDERFLOW if value > 0.0 else 0.0)
    return Interval(root_down(low), root_up(high)) if root else Interval(low, high)


def _sum_interval(values: Tensor, absolute: float, sums: MatrixSums) -> Interval:
    return _interval(float(values.max()), sums.entry_error * absolute, sums.summation)


def _square_interval(values: Tensor, absolute: float, sums: MatrixSums) -> Interval:
    # |ã² − a²| ≤ (2γ+γ²)·p², and the sum of p² over a row is at most its sum squared
    error = (2.0 + sums.entry_error) * sums.entry_error * absolute * absolute
    return _interval(float(values.max()), error, sums.summation, root=True)


def _largest_entry(sums: MatrixSums) -> Interval:
    error = sums.entry_error * min(sums.absolute_rows, sums.absolute_columns)
    return Interval(max(0.0, sums.largest - error), (sums.largest + error) * (1.0 + 4.0 * UNIT))


_EXACT: dict[tuple[str, str], Callable[[MatrixSums], Interval]] = {
    ("l1", "l1"): lambda sums: _sum_interval(sums.columns, sums.absolute_columns, sums),
    ("l1", "l2"): lambda sums: _square_interval(sums.square_columns, sums.absolute_columns, sums),
    ("l1", "linf"): _largest_entry,
    ("l2", "linf"): lambda sums: _square_interval(sums.square_rows, sums.absolute_rows, sums),
    ("linf", "linf"): lambda sums: _sum_interval(sums.rows, sums.absolute_rows, sums),
}


def _hard_norm(sums: MatrixSums, linear: MatrixProducts, input_norm: str, output_norm: str) -> Interval:
    spectral = spectral_norm(sums, linear).upper
    margin = sums.entry_error * len(sums.rows)
    rows, columns = (
        _length(sums.rows, margin * sums.absolute_rows),
        _length(sums.columns, margin * sums.absolute_columns),
    )
    into_l2 = min(rows, multiply_up(root_up(float(len(sums.columns))), spectral))
    from_l2 = min(columns, multiply_up(root_up(float(len(sums.rows))), spectral))
    total = (float(sums.rows.sum()) + len(sums.rows) * sums.entry_error * sums.absolute_rows) * (
        1 + 4 * sums.summation
    )
    upper = {
        ("linf", "l2"): into_l2,
        ("l2", "l1"): from_l2,
        ("linf", "l1"): min(
            total,
            multiply_up(root_up(float(len(sums.rows))), into_l2),
            multiply_up(root_up(float(len(sums.columns))), from_l2),
        ),
    }[input_norm, output_norm]
    lower = quotient(linear, local_maximum(linear, input_norm, output_norm), input_norm, output_norm)
    return Interval(min(lower, upper), upper)


def _length(values: Tensor, error: float) -> float:
    size = accumulated(2 * len(values) + 8)
    return (float(values.norm()) + error) * (1.0 + 4.0 * size) + UNDERFLOW


def local_maximum(linear: MatrixProducts, input_norm: str, output_norm: str, iterations: int = 30) -> Tensor:
    """Return x by the ascent x ← the maximiser of ⟨Aᵀd, x⟩, d the dual vector of Ax: never worse than before."""
    vector = torch.randn(linear.columns, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for _ in range(iterations):
        image = linear.apply(vector)
        direction = linear.adjoint(_signs(image) if output_norm == "l1" else image)
        vector = _signs(direction) if input_norm == "linf" else direction
        vector = vector / vector.abs().max().clamp_min(UNDERFLOW)
    return vector


def _signs(vector: Tensor) -> Tensor:
    return torch.where(vector < 0, -1.0, 1.0).to(vector.dtype)
