"""A signal whose features are known in parts: each kind of neuron of a layer by itself."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ....models.rules import Leaky
from ...rounding import Rounding
from .affine import AffineMap
from .signals import AffineSignal, DerivedSignal, Signal
from .windows import Box, Spans, Spread


@dataclass(frozen=True)
class SharedSignal(DerivedSignal):
    """A signal that several readers ask the same of: what was found is kept."""

    @property
    def plain(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether the source's box is uncut."""
        return self.source.plain

    @property
    def binary(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether the source is."""
        return self.source.binary

    @cached_property
    def _steps(self) -> Box:
        return self.source.steps()

    @cached_property
    def _spread(self) -> Spread:
        return self.source.spread()

    @cached_property
    def _magnitude(self) -> Tensor:
        return self.source.magnitude()

    def steps(self) -> Box:
        """Return the source's steps."""
        return self._steps

    def spread(self) -> Spread:
        """Return copies of the source's."""
        return Spread(self._spread.middle.clone(), self._spread.radius.clone())

    def combine(self, rows: Tensor) -> Box:
        """Return the source's own."""
        return self.source.combine(rows)

    def filtered(self, rule: Leaky) -> Box:
        """Return the source's own."""
        return self.source.filtered(rule)

    def windowed(self, asked: Spans, ends: range) -> Box:
        """Return the source's own."""
        return self.source.windowed(asked, ends)

    def magnitude(self) -> Tensor:
        """Return the source's magnitude."""
        return self._magnitude


def chosen(signal: Signal, places: Tensor, rounding: Rounding) -> AffineSignal:
    """Return some features of a signal, flattened: a map that only renames coordinates, and drops the others.

    Args:
        signal: any.
        places: among its flattened features.
        rounding: the dtypes of the run and of the bound.
    """
    behind = signal.source if isinstance(signal, SharedSignal) else signal
    if isinstance(behind, AffineSignal) and behind.map.weights is not None and behind.magnitude().dim() == 2:
        return AffineSignal(behind.source, _rows(behind.map, places), rounding)
    return AffineSignal(signal, _moving(lambda x: x.flatten(1)[:, places.to(x.device)]), rounding)


def _rows(layer: AffineMap, places: Tensor) -> AffineMap:
    """Return some rows of a Linear layer, which rounds each of its outputs by itself."""
    assert layer.weights is not None
    weight, modulus = (matrix[places.to(matrix.device)] for matrix in layer.weights)

    def some(values: Tensor) -> Tensor:
        return values.expand(*values.shape[:-1], layer.weights[0].shape[0])[..., places.to(values.device)]  # type: ignore[index]

    products = layer.products
    return replace(
        layer,
        linear=lambda x: x @ weight.T,
        absolute=lambda x: x @ modulus.T,
        squared=lambda x: some(layer.squared(x)),
        bias=some(layer.bias),
        bias_magnitude=some(layer.bias_magnitude),
        products=None if products is None else lambda x: products(x)[:, places.to(x.device)],
        weights=(weight, modulus),
    )


def placed(places: Tensor, features: torch.Size) -> AffineMap:
    """Return the map that puts flat features at their places among zeros: the adjoint of `chosen`."""

    def spread_out(x: Tensor) -> Tensor:
        flat = x.new_zeros(len(x), features.numel())
        return flat.index_copy(1, places.to(x.device), x).unflatten(1, features)

    return _moving(spread_out)


def _moving(move: Callable[[Tensor], Tensor]) -> AffineMap:
    nothing = torch.zeros(())
    return AffineMap(move, move, move, nothing, nothing, terms=1, reshapes=True)


@dataclass(frozen=True)
class JoinedSignal(Signal):
    """Parts of one signal, each about some of its features; together they are all of them, each once.

    Attributes:
        parts: signals of flat features.
        places: of each part's features among all.
        features: the shape of one sample.
    """

    parts: tuple[Signal, ...]
    places: tuple[Tensor, ...]
    features: torch.Size
    constant: bool = False

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return T."""
        return self.parts[0].num_steps

    @property
    def binary(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return whether all parts are."""
        return all(part.binary for part in self.parts)

    @cached_property
    def _order(self) -> Tensor:
        """Return where each feature is among those of all parts in a row."""
        return torch.cat(self.places).argsort()

    def steps(self) -> Box:
        """Return each part's steps."""
        return self._joined([part.steps() for part in self.parts])

    def spread(self) -> Spread:
        """Return each part's steps as middle and radius."""
        found = [part.spread() for part in self.parts]
        return Spread(self._all([each.middle for each in found]), self._all([each.radius for each in found]))

    def combine(self, rows: Tensor) -> Box:
        """Return each part's ends."""
        return self._joined([part.combine(rows) for part in self.parts])

    def filtered(self, rule: Leaky) -> Box:
        """Return each part's ends."""
        return self._joined([part.filtered(rule) for part in self.parts])

    def windowed(self, asked: Spans, ends: range) -> Box:
        """Return each part's ends."""
        return self._joined([part.windowed(asked, ends) for part in self.parts])

    def magnitude(self) -> Tensor:
        """Return each part's magnitude."""
        found = [part.magnitude() for part in self.parts]
        batch = max(map(len, found))
        return self._all([each.expand(batch, len(places))[None] for each, places in self._pairs(found)])[0]

    def _pairs(self, found: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        return list(zip(found, self.places, strict=True))

    def _joined(self, found: list[Box]) -> Box:
        return Box(self._all([box.lower for box in found]), self._all([box.upper for box in found]))

    def _all(self, found: list[Tensor]) -> Tensor:
        """Return what is known of each part, (k, batch, part), as of all features, (k, batch, ...)."""
        together = torch.cat(found, 2)
        return together.index_select(2, self._order.to(together.device)).unflatten(2, self.features)
