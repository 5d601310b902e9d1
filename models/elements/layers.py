"""The residual sum; layers of their own at each step; how affine layers run; which hold weights or statistics.

nn.MaxPool1d and nn.MaxPool2d: the greatest entry of each window, of currents or of spikes (of these an OR).

A maximum is one of its entries, so it never rounds, and it hands rounding on without adding to it: where each x̂_j
lies within e_j of x_j, |max x̂ − max x| ≤ max e. Proof: x̂_j ≤ x_j + e_j ≤ max x + max e for each j, so max x̂ ≤
max x + max e, and the same with x and x̂ exchanged.

Products of spikes, as SEW's AND and IAND: a sum and neurons without memory, which every reader knows already.

    a·b = 1[a + b ≥ 3/2],      b·(1 − a) = 1[b − a ≥ 1/2],      a, b ∈ {0, 1},

and sums of such numbers are exact in floats. Thresholds lie halfway between two sums, so that bounds, which pay
for rounding, leave no spike open that a and b decide.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..constants import whole
from ..linear_maps import affine_types, linear_map
from ..linear_maps.averaging import Share
from .neurons import LIF
from .registry import ELEMENTS, Element, Extent, Padding, of_node, one_or_each, register

Layers = nn.ModuleList | Sequence[nn.Module]
WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d)
"""Layers with a matrix of weights."""
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
"""Layers whose statistics, in training, are over all steps at once."""


class Residual(nn.Module):
    """The sum branch(x) + shortcut(x); both may hold neurons. An empty shortcut is the identity.

    Args:
        branch: the modules of the main path.
        shortcut: the modules of the other path; none means x itself.
    """

    def __init__(self, branch: list[nn.Module], shortcut: list[nn.Module] | None = None) -> None:
        super().__init__()
        self.branch: nn.ModuleList = nn.ModuleList(in_row(branch))
        self.shortcut: nn.ModuleList = nn.ModuleList(in_row(shortcut or []))


class PerStep(nn.Module):
    """An affine layer of its own at each step, y[t] = W[t]·x[t] + b[t], as batch norms through time have it.

    Args:
        steps: one affine layer for each of T steps.

    Raises:
        TypeError, ValueError: for what is no affine layer, or no layer at all.

    >>> norms = PerStep([nn.BatchNorm1d(2) for _ in range(3)])
    >>> norms(torch.rand(1, 5, 2), num_steps=3).shape
    torch.Size([3, 5, 2])

    References: kim2021revisiting
    """

    def __init__(self, steps: Iterable[nn.Module]) -> None:
        super().__init__()
        self.steps: nn.ModuleList = nn.ModuleList(steps)
        if not self.steps:
            raise ValueError("steps: got no layer, expected one for each step")
        for layer in self.steps:
            if type(layer) not in of_node("mapped"):
                raise TypeError(f"steps: got {type(layer).__name__}, expected affine layers")

    def check(self, num_steps: int) -> None:
        """Raise ValueError unless there is a layer for each of T steps."""
        if num_steps != len(self.steps):
            raise ValueError(f"num_steps: got {num_steps}, expected this PerStep's {len(self.steps)}")

    def forward(self, signal: Tensor, num_steps: int) -> Tensor:
        """Return y, (num_steps, batch, ...), of x: (num_steps, batch, ...), or (1, batch, ...) if constant."""
        return self.resume(signal, None, 0, num_steps, num_steps)[0]

    def resume(
        self, signal: Tensor, residue: Tensor | None, start: int, steps: int, num_steps: int
    ) -> tuple[Tensor, None]:
        """Return y of `steps` steps from `start` on, of T = `num_steps`; nothing is carried over."""
        self.check(num_steps)
        if len(signal) not in (1, steps):
            raise ValueError(f"inputs: a PerStep was given {len(signal)} steps, expected 1 or {steps}")
        found = [run_affine(self.steps[start + t], signal[t % len(signal)][None]) for t in range(steps)]
        shapes = {tuple(each.shape[2:]) for each in found}
        if len(shapes) > 1:
            raise ValueError(
                f"inputs: a PerStep makes signals of {sorted(shapes)}, expected one shape at all steps"
            )
        return torch.cat(found), None


class Composite(nn.Sequential):
    """A name for modules in a row. A network holds these in its place, so that no reader meets it."""

    def check_behind(self, before: Sequence[nn.Module]) -> None:
        """Raise ValueError where it can't stand behind these modules."""


def in_row(modules: Iterable[nn.Module]) -> list[nn.Module]:
    """Return modules in order, those of each `Composite` in its place.

    Raises:
        ValueError: for a `Composite` that can't stand where it does.
    """
    found: list[nn.Module] = []
    for module in modules:
        if isinstance(module, Composite):
            module.check_behind(found)
        found += module if isinstance(module, Composite) else [module]
    return found


register(Element(Residual, "added", fields={}, parts={"branch": (), "shortcut": ()}))
register(Element(PerStep, "chosen", fields={}, parts={"steps": ()}))


def run_affine(layer: nn.Module, signal: Tensor) -> Tensor:
    """Run a layer without a state on a signal, (time, batch, ...), as its element says."""
    element = ELEMENTS.get(type(layer))
    run = apply_affine if element is None or element.run is None else element.run
    return run(layer, signal)


def apply_affine(layer: nn.Module, signal: Tensor) -> Tensor:
    """Apply an affine layer at all time steps at once: (time, batch, ...) → (time, batch, ...)."""
    try:
        return layer(signal.flatten(0, 1)).unflatten(0, signal.shape[:2])
    except (ValueError, RuntimeError) as error:
        if "out of memory" in str(error):
            raise
        shape = tuple(signal.shape[1:])
        raise ValueError(f"inputs: {layer} was given {shape} (batch first) and can't take it: {error}") from error


def plain(layer: nn.Module) -> bool:
    """Return whether a call of a layer is a call of its type's `forward`: no hook, and none of its own."""
    hooks = layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks
    return not hooks and "forward" not in vars(layer) and layer._compiled_call_impl is None


def walk(layers: Layers) -> Iterator[nn.Module]:
    """Yield every affine layer and neuron in execution order, residual branches before their shortcuts."""
    for layer in layers:
        if isinstance(layer, Residual):
            yield from walk(layer.branch)
            yield from walk(layer.shortcut)
        else:
            yield layer


Settings = tuple[int, ...]
MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d)


@dataclass(frozen=True)
class MaxWindows:
    """The windows of a max pool, a number for each axis that they slide along. Padding never counts.

    Attributes:
        size, stride, padding, dilation: as torch has them.
        ceil_mode: whether a last window may begin where a whole one would not fit.
    """

    size: Settings
    stride: Settings
    padding: Settings
    dilation: Settings
    ceil_mode: bool

    @property
    def count(self) -> int:
        """Return how many entries a whole window has."""
        return prod(self.size)

    def largest(self, x: Tensor) -> Tensor:
        """Return the greatest entry of each window of signals (batch, ...).

        Raises:
            ValueError: for signals that the windows do not fit, or a window that holds padding alone.
        """
        pool = F.max_pool1d if len(self.size) == 1 else F.max_pool2d
        try:
            found = pool(x, self.size, self.stride, self.padding, self.dilation, self.ceil_mode)
        except (RuntimeError, ValueError) as error:
            told = " ".join(str(error).split())
            raise ValueError(f"inputs: {self} was given {tuple(x.shape)} (batch first): {told}") from error
        self.check(found)
        return found

    def total(self, x: Tensor) -> Tensor:
        """Return the sum of each window's entries: at least the greatest of them where x ≥ 0."""
        entries = F.pad(x.flatten(1), (0, 1))
        places = self.places(tuple(x.shape[1:])).to(x.device)
        found = entries[:, places[..., 0]]
        for place in places.unbind(-1)[1:]:
            found += entries[:, place]
        return found

    def places(self, features: Settings) -> Tensor:
        """Return which flattened entries of one signal each window holds, (outputs…, n).

        Where a window reaches into the padding it holds the entry behind the last one.
        """
        axes = len(self.size)
        outputs = tuple(self.largest(torch.zeros(1, *features)).shape[1:])
        entry, inside = torch.zeros((), dtype=torch.long), torch.ones((), dtype=torch.bool)
        for axis in range(axes):
            side = features[len(features) - axes + axis]
            at = self._along(axis, outputs[len(outputs) - axes + axis], side)
            shape = [1] * (2 * axes)
            shape[axis], shape[axes + axis] = at.shape
            at = at.view(shape)
            entry, inside = entry * side + at, inside & (at < side)
        others = features[: len(features) - axes]
        first = torch.arange(prod(others)).view(*others, *([1] * (2 * axes))) * prod(features[len(others) :])
        return torch.where(inside, entry + first, prod(features)).flatten(-axes)

    def shared(self, features: Settings) -> int:
        """Return the most windows that hold one entry."""
        counted = torch.bincount(self.places(features).flatten(), minlength=prod(features) + 1)
        return int(counted[:-1].max())

    def check(self, found: Tensor) -> None:
        """Raise ValueError for a maximum of nothing: only windows with gaps can lie in the padding alone."""
        if any(self.padding) and max(self.dilation) > 1 and bool(torch.isneginf(found).any()):
            raise ValueError(f"inputs: {self} has a window that holds padding alone, expected windows with inputs")

    def _along(self, axis: int, outputs: int, side: int) -> Tensor:
        """Return the coordinates of each window's entries along one axis, (outputs, n); `side` where it has fewer.

        Those in front of the first entry are left out, so that n is no more than what fits between the ends.
        """
        gap, start = self.dilation[axis], torch.arange(outputs) * self.stride[axis] - self.padding[axis]
        before = (-start).clamp_min(0).add(gap - 1).div(gap, rounding_mode="floor")
        number = before[:, None] + torch.arange(min(self.size[axis], -(-side // gap)))
        at = start[:, None] + number * gap
        return torch.where(number < self.size[axis], at, side)

    def __repr__(self) -> str:
        """Return name and settings."""
        told = f"{self.size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}"
        return f"MaxPool{len(self.size)}d({told}, ceil_mode={self.ceil_mode})"


def max_windows(layer: nn.Module) -> MaxWindows:
    """Return the windows of a max pool, by its exact type: a subclass may run otherwise.

    Raises:
        TypeError: for another layer.
        ValueError: for one that returns indices, or a setting of another number of axes.
    """
    if type(layer) not in MAX_POOLS:
        known = ", ".join(kind.__name__ for kind in MAX_POOLS)
        raise TypeError(f"network: got a layer of type {type(layer).__name__}, expected one of {known}")
    _check_indices(layer)
    axes = 1 if type(layer) is nn.MaxPool1d else 2
    names = ("kernel_size", "stride", "padding", "dilation")
    size, step, padding, gap = (_settings(name, getattr(layer, name), axes) for name in names)
    return MaxWindows(size, step, padding, gap, bool(layer.ceil_mode))


def _check_indices(layer: Any) -> dict[str, Any]:
    """Say nothing besides; raise ValueError for a pool that returns more than the maxima."""
    if layer.return_indices:
        raise ValueError(f"network: got {layer} with return_indices, expected the maxima alone")
    return {}


def apply_max_pool(layer: nn.Module, signal: Tensor) -> Tensor:
    """Apply a max pool at all time steps at once, (time, batch, ...).

    Raises:
        ValueError: as `max_windows` and `MaxWindows.largest`.
    """
    windows = max_windows(layer)
    found = apply_affine(layer, signal)
    windows.check(found)
    return found


def _settings(name: str, value: Any, axes: int) -> Settings:
    """Return a setting of each axis as plain integers."""
    each = tuple(value) if isinstance(value, tuple | list) else (value,) * axes
    if len(each) != axes:
        raise ValueError(f"{name}: got {value!r}, expected a number or one for each axis")
    return tuple(whole(name, number) for number in each)


def _fields(axes: int) -> dict[str, Any]:
    """Return what a file says of max pools along so many axes."""
    extent, padding = one_or_each(Extent, axes), one_or_each(Padding, axes)
    return {"ceil_mode": bool, "kernel_size": extent, "stride": extent, "padding": padding, "dilation": extent}


for _axes, _kind in enumerate(MAX_POOLS, 1):
    register(Element(_kind, "pooled", max_windows, apply_max_pool, fields=_fields(_axes), said=_check_indices))


def _passes(layer: nn.Module) -> bool:
    """Return whether a layer makes spikes of spikes: the greatest entry of a window is their OR."""
    return type(layer) in MAX_POOLS or (type(layer) in affine_types() and linear_map(layer).reshapes)


class _Product(Composite):
    """Neurons that fire where the sum of two paths reaches θ; `last` stands behind the first path's spikes."""

    def __init__(
        self,
        branch: Sequence[nn.Module],
        shortcut: Sequence[nn.Module],
        threshold: float,
        last: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__(Residual([*branch, *last], list(shortcut)), LIF(0.0, threshold, reset="none"))
        self.paths: dict[str, list[nn.Module]] = {"branch": in_row(branch), "shortcut": in_row(shortcut)}

    def check_behind(self, before: Sequence[nn.Module]) -> None:
        """Raise ValueError unless both paths give spikes: an empty one those of what stands before the gate."""
        for name, path in self.paths.items():
            made = [layer for layer in (*before, *path) if not _passes(layer)]
            if not made or not isinstance(made[-1], LIF):
                found = f"what {type(made[-1]).__name__} gives" if made else "what stands before its list"
                raise ValueError(f"{name}: got {found} in a {type(self).__name__}, expected the spikes of neurons")


class SpikeAnd(_Product):
    """The product branch(x)·shortcut(x) of two layers' spikes, SEW's AND.

    A network holds what it is made of, a `Residual` and a `LIF` without memory, and files name these.

    Args:
        branch, shortcut: modules of both paths, neurons last, or max pools behind them; none means x itself, which
            must then be the spikes of neurons that stand before.

    Raises:
        ValueError: where it is put into a network, for a path that gives no spikes.

    >>> [type(part).__name__ for part in SpikeAnd([nn.Linear(3, 3), LIF()])]
    ['Residual', 'LIF']

    References: fang2021deep
    """

    def __init__(self, branch: Sequence[nn.Module], shortcut: Sequence[nn.Module] = ()) -> None:
        super().__init__(branch, shortcut, 1.5)


class SpikeIand(_Product):
    """The product shortcut(x)·(1 − branch(x)) of two layers' spikes, SEW's IAND.

    Args:
        branch, shortcut: as in `SpikeAnd`. The branch's spikes are taken away by a `Share` of −1, which no
            training moves before it is saved and loaded; at any share below −1/2 it is the same gate.

    References: fang2021deep
    """

    def __init__(self, branch: Sequence[nn.Module], shortcut: Sequence[nn.Module] = ()) -> None:
        super().__init__(branch, shortcut, 0.5, [Share(-1.0).requires_grad_(False)])
