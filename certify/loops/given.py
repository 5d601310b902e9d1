"""What loops are given: matrices, numbers and boxes, each refused by its name."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from ...analysis.loops.practical import Rows
from ...models.constants import reals


def matrix_of(rows: Rows | None) -> np.ndarray:
    """Return rows as an array."""
    return np.asarray(rows, dtype=np.float64)


def identity(size: int) -> Rows:
    """Return the unit matrix."""
    return tuple(tuple(float(i == k) for k in range(size)) for i in range(size))


def rows_of(name: str, value: object, height: int | None = None, width: int | None = None) -> Rows:
    """Return a matrix of finite numbers as rows of floats."""
    several = value.tolist() if isinstance(value, np.ndarray | Tensor) else value
    if not isinstance(several, Sequence) or isinstance(several, str | bytes):
        raise TypeError(f"{name}: got {type(value).__name__}, expected a matrix of numbers")
    found = tuple(reals(name, row) for row in several)
    if not found or not found[0] or len({len(row) for row in found}) != 1:
        raise ValueError(f"{name}: got rows of {sorted({len(row) for row in found})} numbers, expected a matrix")
    shape, wanted = (len(found), len(found[0])), (height or len(found), width or len(found[0]))
    if shape != wanted:
        raise ValueError(f"{name}: got shape {shape}, expected {wanted}")
    return found


def numbers_of(name: str, value: object, count: int, above: bool) -> tuple[float, ...]:
    """Return `count` numbers of at least 0, or above it; one number stands for all."""
    single = not isinstance(value, tuple | list | np.ndarray | Tensor)
    found = reals(name, [value] * count if single else value)
    if len(found) != count or any(x < 0 or (above and x == 0) for x in found):
        expected = f"{count} {'positive numbers' if above else 'numbers of at least 0'}, or one"
        raise ValueError(f"{name}: got {value!r}, expected {expected}")
    return found


def box_of(box: object, states: int) -> tuple[float, ...]:
    """Return the radii of a box of states.

    Raises:
        TypeError, ValueError: for another number of them, NaN, inf, or none that is positive.
    """
    return numbers_of(
        "box", list(box) if isinstance(box, Sequence | np.ndarray | Tensor) else box, states, above=True
    )
