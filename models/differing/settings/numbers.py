"""How two arrays of constants differ, in words."""

import math

import torch
from torch import Tensor

from ...conversion.constants import Constant

NEAR = 4.0
"""Roundings of the coarser dtype by which numbers may differ that arithmetic alone made so."""
MOST_BITS = 16
LEVELS = 4
"""The least number of levels by which a grid is seen."""


def array(value: Constant | None) -> Tensor:
    """Return numbers as float64; nothing as an empty array."""
    return torch.zeros(0, dtype=torch.float64) if value is None else torch.as_tensor(value).detach().double()


def equal(a: Constant | None, b: Constant | None, dtype: torch.dtype) -> bool:
    """Return whether two constants are the same numbers in a dtype, spread out or not."""
    if (a is None) != (b is None):
        return False
    one, other = array(a).to(dtype), array(b).to(dtype)
    try:
        return bool((one == other).all())
    except RuntimeError:
        return False


def rounded_apart(a: Constant | None, b: Constant | None, dtype: torch.dtype) -> bool:
    """Return whether two constants differ by roundings alone."""
    one, other = array(a), array(b)
    if one.shape != other.shape or one.numel() == 0:
        return one.numel() == other.numel()
    size = torch.maximum(one.abs(), other.abs())
    return bool(((one - other).abs() <= NEAR * torch.finfo(dtype).eps * size).all())


def told(value: Constant | None) -> str:
    """Return a constant in few digits."""
    if value is None:
        return "none"
    found = array(value)
    low, high = float(found.min()), float(found.max())
    return f"{low:.6g}" if low == high else f"{low:.6g}…{high:.6g}"


def apart(name: str, a: Constant | None, b: Constant | None) -> str:
    """Return how constants of a layer's neurons differ."""
    one, other = array(a), array(b)
    if one.numel() == other.numel() == 1 or 0 in (one.numel(), other.numel()):
        return f"{name} = {told(a)} against {told(b)}"
    one, other = torch.broadcast_tensors(one, other)
    wrong = (one != other).nonzero()
    if len(wrong) == 1:
        place = tuple(wrong[0].tolist())
        return f"{name} of neuron {_place(place)} = {float(one[place]):.6g} against {float(other[place]):.6g}"
    return f"{name} = {told(a)} against {told(b)}, {len(wrong)} of {one.numel()} differ"


def weights_apart(name: str, a: Tensor | None, b: Tensor | None) -> str:
    """Return how two arrays of weights differ: one entry, a grid, a cut, a factor, or how many by how much."""
    if a is None or b is None:
        return (
            f"{name} is {'missing' if a is None else 'there'} in A, and {'missing' if b is None else 'there'} in B"
        )
    if a.shape != b.shape:
        return f"{name} has shape {tuple(a.shape)} in A and {tuple(b.shape)} in B"
    one, other = a.detach().double(), b.detach().double()
    wrong = (one != other).nonzero()
    if len(wrong) == 1:
        place = tuple(wrong[0].tolist())
        return f"{name}[{_place(place)}] = {float(one[place]):.6g} against {float(other[place]):.6g}"
    how = _grid(one, other) or _grid(other, one, "A's are B's ") or _cut(one, other) or _factor(one, other)
    most = float((one - other).abs().max())
    return f"{len(wrong)} of {one.numel()} entries of {name} differ, by up to {most:.3g}{how and f': {how}'}"


def _place(place: tuple[int, ...]) -> str:
    return ", ".join(map(str, place))


def _grid(exact: Tensor, rounded: Tensor, whose: str = "B's are A's ") -> str:
    """Return that some numbers are others' roundings to a grid; "" where they are not."""
    levels = rounded.unique()
    size = float(levels.abs().max())
    steps = levels.diff()
    if len(levels) < LEVELS or size == 0.0:
        return ""
    step = float(steps.min())
    for parts in (1, 2, 3, 4):  # the least gap may be several steps
        unit = step / parts
        shares = levels / unit
        fits = bool(((shares - shares.round()).abs() <= 1e-3 * shares.abs().clamp_min(1.0)).all())
        near = float((exact - rounded).abs().max()) <= 0.501 * unit * (1 + 1e-6)
        bits = math.ceil(math.log2(2 * size / unit + 1))
        if fits and near and bits <= MOST_BITS:
            return f"{whose}rounded to {bits} bits, steps of {unit:.6g}"
    return ""


def _cut(exact: Tensor, other: Tensor) -> str:
    low, high = float(other.min()), float(other.max())
    cut = bool(torch.equal(exact.clamp(low, high), other))
    return f"B's are A's cut off at {low:.6g} and {high:.6g} (saturation)" if cut else ""


def _factor(one: Tensor, other: Tensor) -> str:
    """Return by what all numbers are multiplied; "" where there is no such factor."""
    there = one != 0
    if not bool(there.any()):
        return ""
    factor = float((other[there] / one[there]).median())
    same = bool(((other - factor * one).abs() <= 1e-5 * other.abs().max()).all())
    return f"B's are A's times {factor:.6g}" if same else ""
