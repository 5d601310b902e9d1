"""Equality of results that hold tensors: a plain dataclass would ask a tensor of many whether it is true."""

from dataclasses import fields
from typing import Any

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
