"""What differs between constants and tensors of two modules, in words, and its exchange."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...conversion.populations import Constant

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


def matches(a: Sequence[Hashable], b: Sequence[Hashable]) -> tuple[tuple[int, int], ...]:
    """Return the places of a longest common subsequence, the earliest in both.

    >>> matches("abc", "axbc")
    ((0, 0), (1, 2), (2, 3))
    """
    best = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in range(len(a) - 1, -1, -1):
        for j in range(len(b) - 1, -1, -1):
            equal = best[i + 1][j + 1] + 1 if a[i] == b[j] else 0
            best[i][j] = max(equal, best[i + 1][j], best[i][j + 1])
    found, i, j = [], 0, 0
    while i < len(a) and j < len(b):
        if a[i] == b[j] and best[i][j] == best[i + 1][j + 1] + 1:
            found.append((i, j))
            i, j = i + 1, j + 1
        elif best[i + 1][j] >= best[i][j + 1]:
            i += 1
        else:
            j += 1
    return tuple(found)


KINDS = ("weight", "bias", "decay", "threshold", "reset", "order", "delay", "loop", "ties", "saturation")
"""What a cause begins with."""


@dataclass(frozen=True)
class Exchange:
    """A setting that differs, or a dialect that may be spoken.

    Attributes:
        kind: one of `KINDS`.
        layer: where, by its name in the build that is changed.
        words: what differs, A's against B's.
        place: the index of the spiking layer whose trains it changes first; as many as there are for the outputs.
        key: by which it is told apart from others.
        rounding: whether it is no more than a rounding of floats.
    """

    kind: str
    layer: str
    words: str
    place: int
    key: tuple[int | str, ...]
    rounding: bool = False

    @property
    def text(self) -> str:
        """Return it in one line."""
        return f"{self.kind}: {self.layer}: {self.words}"


def joined(exchanges: list[Exchange]) -> str:
    """Return several in one line; those of one kind and one difference in several layers are told once."""
    groups: dict[tuple[str, str], list[str]] = {}
    for each in exchanges:
        groups.setdefault((each.kind, each.words), []).append(each.layer)
    return "; and ".join(f"{kind}: {', '.join(layers)}: {words}" for (kind, words), layers in groups.items())


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Return what a module computes by."""
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name: tensor for name, tensor in named if tensor.is_floating_point()}


def tensors_apart(a: nn.Module, b: nn.Module, dtype: torch.dtype) -> list[tuple[str, str, str, bool]]:
    """Return (name, kind, words, whether rounding alone did it) of each tensor that differs."""
    one, other = tensors_of(a), tensors_of(b)
    found = []
    for name in dict.fromkeys((*one, *other)):
        pair = one.get(name), other.get(name)
        if not equal(*pair, dtype):
            kind = "bias" if name.split(".")[-1] in ("bias", "running_mean") else "weight"
            found.append((name, kind, weights_apart(name, *pair), rounded_apart(*pair, dtype)))
    return found


def exchange_tensors(into: nn.Module, source: nn.Module, names: Sequence[str]) -> None:
    """Give a module some tensors of another; one that the other lacks is taken away."""
    given = tensors_of(source)
    for name in names:
        owner, _, key = name.rpartition(".")
        part = into.get_submodule(owner)
        if name not in given:
            setattr(part, key, None)
        elif getattr(part, key) is None:
            setattr(part, key, nn.Parameter(given[name].detach().clone()))
        else:
            with torch.no_grad():
                getattr(part, key).copy_(given[name])
