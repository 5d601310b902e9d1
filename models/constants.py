"""Constants as plain numbers: each is converted once, to a Python float or int, or refused in one line.

A numpy scalar, a torch scalar or a rational computes otherwise than the float that it equals (np.uint8 wraps, a
tensor changes in place, np.float16 hashes like a float): nothing behind these functions ever sees one.
"""

import math
from collections.abc import Callable, Iterable
from decimal import Decimal
from numbers import Integral, Real
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
LARGEST = 2**63 - 1


def real(name: str, value: object, *, finite: bool = True) -> float:
    """Return a real number as a Python float, rounded once; −0 becomes 0.

    Args:
        name: of the argument.
        value: a Python or numpy number of any width, a torch scalar, a Fraction or a Decimal.
        finite: whether ±inf is refused.

    Raises:
        TypeError: for what is no real number: a truth value, a string, a complex number, an array.
        ValueError: for NaN, inf (where refused) or a number beyond float64.

    >>> from fractions import Fraction
    >>> real("decay", Fraction(1, 4)), real("threshold", torch.tensor(2))
    (0.25, 2.0)
    """
    number = _scalar(name, value, "a number")
    try:
        found = float(number) + 0.0
    except OverflowError as error:
        raise ValueError(f"{name}: got an integer beyond float64, expected a number") from error
    except ValueError as error:  # a signalling NaN of Decimal
        raise ValueError(f"{name}: got {value!r}, expected a number") from error
    if math.isnan(found) or (math.isinf(found) and finite):
        raise ValueError(f"{name}: got {found!r}, expected a finite number")
    if math.isinf(found) and number != found:
        raise ValueError(f"{name}: got a number beyond float64, expected a number")
    return found


def reals(name: str, values: object) -> tuple[float, ...]:
    """Return finite real numbers as Python floats; `real` says which are refused."""
    return tuple(real(name, value) for value in _several(name, values, "numbers"))


def whole(name: str, value: object) -> int:
    """Return a whole number as a Python int.

    Raises:
        TypeError: for what is no integer: a truth value, a float, a string.
        ValueError: for an integer beyond int64, which no tensor has as its size.

    >>> whole("num_steps", torch.tensor(8))
    8
    """
    number = _scalar(name, value, "an integer")
    if not isinstance(number, Integral):
        raise TypeError(f"{name}: got {type(value).__name__}, expected an integer")
    found = int(number)
    if abs(found) > LARGEST:
        raise ValueError(f"{name}: got an integer beyond int64, expected a smaller one")
    return found


def wholes(name: str, values: object) -> tuple[int, ...]:
    """Return whole numbers as Python ints; `whole` says which are refused."""
    return tuple(whole(name, value) for value in _several(name, values, "integers"))


def at_least(least: int) -> Callable[[str, object], int]:
    """Return the converter of whole numbers that refuses those below `least`.

    >>> at_least(1)("steps", 20)
    20
    """

    def convert(name: str, value: object) -> int:
        """Return a whole number of at least `least` as a Python int."""
        found = whole(name, value)
        if found < least:
            raise ValueError(f"{name}: got {found}, expected at least {least}")
        return found

    return convert


def positive(name: str, value: object) -> float:
    """Return a positive, finite number as a Python float.

    Raises:
        TypeError, ValueError: as `real`, and for 0 and less.
    """
    found = real(name, value, finite=False)
    if not 0.0 < found < math.inf:
        raise ValueError(f"{name}: got {found!r}, expected a positive finite number")
    return found


def nonnegative(name: str, value: object) -> float:
    """Return a finite number of at least 0 as a Python float.

    Raises:
        TypeError, ValueError: as `real`, and for less than 0.
    """
    found = real(name, value, finite=False)
    if not 0.0 <= found < math.inf:
        raise ValueError(f"{name}: got {found!r}, expected a finite number of at least 0")
    return found


def share(name: str, value: object) -> float:
    """Return a number in [0, 1] as a Python float.

    Raises:
        TypeError, ValueError: as `real`, and for numbers outside.
    """
    found = real(name, value, finite=False)
    if not 0.0 <= found <= 1.0:
        raise ValueError(f"{name}: got {found!r}, expected a number in [0, 1]")
    return found


def unless_none(convert: Callable[[str, object], T]) -> Callable[[str, object], T | None]:
    """Return the converter that leaves None as it is.

    >>> unless_none(positive)("timeout", None) is None
    True
    """
    return lambda name, value: None if value is None else convert(name, value)


def settle(owner: object, convert: Callable[[str, object], object], *names: str) -> None:
    """Put in the place of fields, of a frozen dataclass too, what `convert` makes of each name and value."""
    for name in names:
        object.__setattr__(owner, name, convert(name, getattr(owner, name)))


def check_normal(name: str, value: float, dtype: torch.dtype) -> None:
    """Raise ValueError unless `value` is 0 or a normal number of the dtype that a network runs in.

    A subnormal number has no relative precision, and a run may take it for 0: no error analysis holds for it.
    """
    limits = torch.finfo(dtype)
    if value != 0.0 and not limits.tiny <= abs(value) <= limits.max:
        expected = f"0 or a modulus from {limits.tiny:.3g} to {limits.max:.3g} in {dtype}"
        raise ValueError(f"{name}: got {value!r}, expected {expected}")


def _several(name: str, values: object, expected: str) -> Iterable[object]:
    """Return `values`; raise TypeError for what is no sequence of numbers."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable) or getattr(values, "shape", 0) == ():
        raise TypeError(f"{name}: got {type(values).__name__}, expected {expected}")
    return values


def _scalar(name: str, value: object, expected: str) -> Real | Decimal:
    """Return what `float` or `int` takes once; a tensor of one entry as its number."""
    if isinstance(value, Tensor) and value.dim() == 0 and not value.is_complex() and not value.is_meta:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        raise TypeError(f"{name}: got {type(value).__name__}, expected {expected}")
    return value
