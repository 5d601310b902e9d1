"""A set of inputs that can be listed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Members:
    """All inputs around one sample, or one of each kind that a network can tell apart.

    Attributes:
        count: how many there are.
        batches: of at most as many as it is given: float64, (n, ...), in a fixed order.
    """

    count: int
    batches: Callable[[int], Iterator[Tensor]]
