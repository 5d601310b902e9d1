"""The residual sum; layers of their own at each step; how affine layers run; which hold weights or statistics."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from .registry import ELEMENTS, Element, of_node, register

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
