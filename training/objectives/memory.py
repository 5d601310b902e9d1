"""What an objective carries from step to step: warm-started vectors, for each network that it trains."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from torch import Tensor

from ...models.networks import SpikingNetwork
from .base import Objective


class Memory:
    """Named tensors for each network, forgotten with it; a copy or a pickle starts empty."""

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[SpikingNetwork, dict[str, Tensor]] = WeakKeyDictionary()

    def of(self, network: SpikingNetwork) -> dict[str, Tensor]:
        """Return the tensors kept for `network`, to be read and changed."""
        return self._kept.setdefault(network, {})

    def __reduce__(self) -> tuple[type["Memory"], tuple[()]]:
        """Return how to make an empty one."""
        return (Memory, ())


@dataclass(frozen=True)
class Remembering(Objective):
    """An objective with vectors that `fit` keeps in its checkpoints; they are no part of what the objective is."""

    memory: Memory = field(default_factory=Memory, kw_only=True, repr=False, compare=False)

    def remembered(self, network: SpikingNetwork) -> Mapping[str, Tensor]:
        """Return the tensors kept for `network`."""
        return self.memory.of(network)

    def remember(self, network: SpikingNetwork, tensors: Mapping[str, Tensor]) -> None:
        """Take up what `remembered` returned in an earlier run."""
        self.memory.of(network).update(tensors)
