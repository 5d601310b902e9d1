"""What results share: equality of those that hold tensors, none in a graph of gradients, and named tables.

Results stand alone: what is handed out belongs to no graph of gradients.

What the tables of verifiers and attacks hold under a name.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor


class Alike:
    """Base of frozen dataclasses (made with `eq=False`) that are equal where all compared fields are.

    Tensors are where dtype, shape and all entries are, on whichever device; NaN is equal to nothing. Equal ones
    have one hash, which leaves entries out.
    """

    def __eq__(self, other: object) -> bool:
        """Return whether both are of one type with equal fields."""
        if type(other) is not type(self):
            return NotImplemented
        return all(map(_same, _compared(self), _compared(other)))

    def __hash__(self) -> int:
        """Return a hash of the fields, of tensors the shape."""
        return hash(tuple(tuple(x.shape) if isinstance(x, Tensor) else x for x in _compared(self)))


def _compared(result: Any) -> list[Any]:
    return [getattr(result, item.name) for item in fields(result) if item.compare]


def _same(one: Any, other: Any) -> bool:
    if not (isinstance(one, Tensor) and isinstance(other, Tensor)):
        return not isinstance(one, Tensor) and not isinstance(other, Tensor) and bool(one == other)
    alike = (one.dtype, one.shape) == (other.dtype, other.shape)
    return alike and torch.equal(one.cpu(), other.cpu())


def detach(owner: object, *names: str) -> None:
    """Cut the tensors in fields of a frozen dataclass off the graph of whatever made them; None stays."""
    for name in names:
        tensor = getattr(owner, name)
        if tensor is not None:
            object.__setattr__(owner, name, tensor.detach())


Made = TypeVar("Made", covariant=True)


@dataclass(frozen=True)
class Named(Generic[Made]):
    """How something is made that has a name, and what it does, as reports say it."""

    make: Callable[[], Made]
    does: str

    def __call__(self) -> Made:
        """Return a new one."""
        return self.make()
