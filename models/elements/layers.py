"""The residual sum; how affine layers run; which layers hold weights or statistics."""

from collections.abc import Iterable, Iterator, Sequence

from torch import Tensor, nn

from .registry import Element, register

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


register(Element(Residual, "added", fields={}, parts={"branch": (), "shortcut": ()}))


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
