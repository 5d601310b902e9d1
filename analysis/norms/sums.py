"""Row and column sums of |A| and A², and the Gram matrix of the smaller side: what explicit norms are made of.

The sparse matrix of a convolution: which weight stands between which pixel and which output.
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
from ..arithmetic import UNDERFLOW, accumulated, gram_error, multiply_up
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
