"""Threat models over events: which of them may change."""

from dataclasses import fields

import torch
from torch import Tensor

from ..base import Perturbation
from .regions import EventRegion


class EventSet(Perturbation):
    """Changes of events, all of them or those of a region or a mask. Two sets are equal iff their numbers are."""

    where: EventRegion | Tensor | None

    def allowed(self, inputs: Tensor) -> Tensor:
        """Return which entries may change, broadcastable to `inputs`, of bool.

        Raises:
            ValueError: for a region or a mask that does not fit one sample.
        """
        features = tuple(inputs.shape[1:])
        where = self.where.mask(features) if isinstance(self.where, EventRegion) else self.where
        if where is None:
            return torch.ones((), dtype=torch.bool, device=inputs.device)
        if tuple(where.shape) != features:
            raise ValueError(f"where: got a mask of shape {tuple(where.shape)}, expected one sample's {features}")
        return where.to(inputs.device)

    def _key(self) -> tuple[object, ...]:
        values = (getattr(self, field.name) for field in fields(self))  # pyright: ignore[reportArgumentType]
        return tuple(_plain(value) for value in values)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((type(self), self._key()))


def settle_where(owner: EventSet) -> None:
    """Copy a mask; a region is plain already.

    Raises:
        TypeError: for anything else.
    """
    where = owner.where
    if isinstance(where, Tensor) and where.dtype == torch.bool:
        where = where.detach().clone()
    elif where is not None and not isinstance(where, EventRegion):
        got = getattr(where, "dtype", type(where).__name__)
        raise TypeError(f"where: got {got}, expected an EventRegion or a mask, a tensor of bool")
    object.__setattr__(owner, "where", where)


def _plain(value: object) -> object:
    return (tuple(value.shape), tuple(value.flatten().tolist())) if isinstance(value, Tensor) else value
