"""Linear expressions in the signals of a network: what stands in front of a spiking layer."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..models.linear_maps import LinearMap, Shape


@dataclass(frozen=True)
class Expression(ABC):
    """A linear expression in the signals, of a known shape."""

    shape: Shape

    @abstractmethod
    def evaluate(self, signals: Mapping[int, Tensor]) -> Tensor:
        """Return the value for signals (batch, *shape of the signal)."""

    @abstractmethod
    def absolute(self) -> "Expression":
        """Return the expression in which every map has its absolute matrix."""

    @property
    @abstractmethod
    def depth(self) -> int:
        """Return the number of roundings on the longest path."""


@dataclass(frozen=True)
class Reference(Expression):
    """The input (index −1), or the spikes of spiking layer `index`."""

    index: int

    def evaluate(self, signals: Mapping[int, Tensor]) -> Tensor:
        """Return the signal itself."""
        return signals[self.index]

    def absolute(self) -> Expression:
        """Return the signal itself."""
        return self

    @property
    def depth(self) -> int:
        """Return 0."""
        return 0


@dataclass(frozen=True)
class Applied(Expression):
    """An affine layer's matrix applied to an expression."""

    linear: LinearMap
    operand: Expression

    def evaluate(self, signals: Mapping[int, Tensor]) -> Tensor:
        """Return the map of the operand's value."""
        return self.linear.linear(self.operand.evaluate(signals))

    def absolute(self) -> Expression:
        """Return the absolute map applied to the absolute operand."""
        return Applied(self.shape, self.linear.absolute(), self.operand.absolute())

    @property
    def depth(self) -> int:
        """Return the sum of both depths."""
        return self.linear.depth + self.operand.depth


@dataclass(frozen=True)
class Total(Expression):
    """A residual sum."""

    left: Expression
    right: Expression

    def evaluate(self, signals: Mapping[int, Tensor]) -> Tensor:
        """Return the sum of both values."""
        return self.left.evaluate(signals) + self.right.evaluate(signals)

    def absolute(self) -> Expression:
        """Return the sum of the absolute expressions."""
        return Total(self.shape, self.left.absolute(), self.right.absolute())

    @property
    def depth(self) -> int:
        """Return the deeper side and the addition, counted twice for the adjoint's."""
        return max(self.left.depth, self.right.depth) + 2
