"""Layers besides neurons: the residual sum, a learnable share of a path, averages; how affine layers run."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..constants import real, wholes

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


class Share(nn.Module):
    """y = c·x for one learnable number c, such as the share of a path in a residual sum.

    Args:
        start: c of the untrained layer.

    Raises:
        TypeError, ValueError: for a start that is no finite number.

    >>> Share(0.5)(torch.ones(1, 2))
    tensor([[0.5000, 0.5000]], grad_fn=<MulBackward0>)
    """

    def __init__(self, start: float = 1.0) -> None:
        super().__init__()
        self.share: nn.Parameter = nn.Parameter(torch.full((1,), real("start", start)))

    def forward(self, signal: Tensor) -> Tensor:
        """Return c·x."""
        return signal * self.share


class AdaptiveAverage(nn.Module):
    """The adaptive average pool of signals of one size; its windows may overlap, differ in size, or repeat.

    Window i of n along an axis of m entries holds those from ⌊i·m/n⌋ to ⌈(i + 1)·m/n⌉ − 1.

    Args:
        inputs: (height, width) of the images, or (length,) of the sequences, that it takes.
        outputs: those that it makes.

    Raises:
        TypeError, ValueError: for sizes that are not 1 or 2 whole numbers above 0.
    """

    def __init__(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        super().__init__()
        self.inputs: tuple[int, ...] = wholes("inputs", inputs)
        self.outputs: tuple[int, ...] = wholes("outputs", outputs)
        sizes = (*self.inputs, *self.outputs)
        if len(self.inputs) != len(self.outputs) or len(self.inputs) not in (1, 2) or min(sizes) < 1:
            raise ValueError(
                f"outputs: got {self.outputs} of {self.inputs}, expected 1 or 2 sizes above 0 of both"
            )

    def forward(self, signal: Tensor) -> Tensor:
        """Return the averages, (batch, channels, *outputs)."""
        axes = len(self.inputs)
        if signal.dim() != 2 + axes or tuple(signal.shape[2:]) != self.inputs:
            raise ValueError(f"inputs: got {tuple(signal.shape)}, expected (batch, channels, *{self.inputs})")
        pool = F.adaptive_avg_pool1d if axes == 1 else F.adaptive_avg_pool2d
        return pool(signal, self.outputs)  # pyright: ignore[reportArgumentType]

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"{self.inputs}, {self.outputs}"


def apply_affine(layer: nn.Module, signal: Tensor) -> Tensor:
    """Apply an affine layer at all time steps at once: (time, batch, ...) → (time, batch, ...)."""
    try:
        return layer(signal.flatten(0, 1)).unflatten(0, signal.shape[:2])
    except (ValueError, RuntimeError) as error:
        if "out of memory" in str(error):
            raise
        shape = tuple(signal.shape[1:])
        raise ValueError(f"inputs: {layer} was given {shape} (batch first) and can't take it: {error}") from error


def walk(layers: nn.ModuleList) -> Iterator[nn.Module]:
    """Yield every affine layer and neuron in execution order, residual branches before their shortcuts."""
    for layer in layers:
        if isinstance(layer, Residual):
            yield from walk(layer.branch)
            yield from walk(layer.shortcut)
        else:
            yield layer
