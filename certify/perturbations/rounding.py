"""Sums of two floating-point numbers, rounded in a given direction."""

import math

import torch
from torch import Tensor


def sum_up(first: Tensor, second: Tensor | float) -> Tensor:
    """Return the least float64 number that is at least first + second, exactly."""
    total, error = _two_sum(first, second)
    return torch.where((error > 0) | (total == -math.inf), _next(total, math.inf), total)


def sum_down(first: Tensor, second: Tensor | float) -> Tensor:
    """Return the greatest float64 number that is at most first + second, exactly."""
    total, error = _two_sum(first, second)
    return torch.where((error < 0) | (total == math.inf), _next(total, -math.inf), total)


def round_up(exact: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the least numbers of `dtype` that are at least `exact`."""
    rounded = exact.to(dtype)
    return torch.where(rounded.double() < exact, _next(rounded, math.inf), rounded)


def round_down(exact: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the greatest numbers of `dtype` that are at most `exact`."""
    return -round_up(-exact, dtype)


def _two_sum(first: Tensor, second: Tensor | float) -> tuple[Tensor, Tensor]:
    """Return the rounded sum and its error: rounded + error = first + second, exactly (Knuth, 1969)."""
    total = first + second
    part = total - first
    return total, (first - (total - part)) + (second - part)


def _next(value: Tensor, towards: float) -> Tensor:
    return torch.nextafter(value, value.new_tensor(towards))
