"""The pool of open nodes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .nodes import Nodes


class NodePool:
    """Open nodes in slots that are used again; grows by doubling, and tensor by tensor.

    Args:
        like: nodes of the kind that will be stored.
        most_bytes: above half of this, `take` works depth first, which keeps the pool small.

    Attributes:
        capacity: how many nodes `most_bytes` hold.
        each: bytes of a node.
    """

    def __init__(self, like: Nodes, most_bytes: int) -> None:
        self._like = like
        self._slots = [tensor.new_empty((0, *tensor.shape[1:])) for tensor in like.tensors()]
        self._used = torch.zeros(0, dtype=torch.bool)
        self.each: int = sum(tensor[:1].numel() * tensor.element_size() for tensor in like.tensors())
        self.capacity: int = max(1, most_bytes // self.each)

    def __len__(self) -> int:
        """Return how many nodes are open."""
        return int(self._used.sum())

    @property
    def bytes(self) -> int:
        """Return what the slots take, used or not."""
        return len(self._used) * self.each

    @property
    def deepest(self) -> int:
        """Return the depth of the deepest open node, 0 where none is."""
        depth = self._slots[2][self._used]
        return int(depth.max()) if len(depth) else 0

    def put(self, nodes: Nodes) -> None:
        """Store nodes."""
        missing = len(nodes) - int((~self._used).sum())
        if missing > 0:
            room = max(0, self.capacity - len(self._used))
            self._grow(max(missing, min(len(self._used), room)))
        free = (~self._used).nonzero().flatten()[: len(nodes)]
        for slot, tensor in zip(self._slots, nodes.tensors(), strict=True):
            slot[free] = tensor
        self._used[free] = True

    def take(self, count: int, effort: Tensor) -> Nodes:
        """Remove and return up to `count` nodes: of the rows with least `effort` first, worst bound first.

        Above half of the capacity it takes the best bound first, and no more nodes than what is free holds.

        Args:
            count: at most so many.
            effort: nodes spent so far on what each row is about, (rows,).
        """
        used = self._used.nonzero().flatten()
        row, bound = self._slots[0][used], self._slots[1][used]
        deep = len(used) > self.capacity // 2
        order = (-bound if deep else bound).argsort(stable=True)
        turn = torch.log2(effort[row[order]] + 1.0).floor()
        order = order[turn.argsort(stable=True)] if not deep else order
        chosen = used[order[: min(count, max(1, self.capacity - len(used))) if deep else count]]
        taken = self._like.rebuilt([slot[chosen] for slot in self._slots])
        self._used[chosen] = False
        return taken

    def drop(self, rows: Tensor) -> None:
        """Forget the nodes of some rows, given by mask over all rows."""
        self._used &= ~rows[self._slots[0]] if len(self._used) else self._used

    def least(self, count: int) -> Tensor:
        """Return the least bound among the open nodes of each of `count` rows, +inf where there is none."""
        return least_of(count, [(self._slots[0][self._used], self._slots[1][self._used])])

    def _grow(self, more: int) -> None:
        for place, slot in enumerate(self._slots):
            self._slots[place] = torch.cat([slot, slot.new_zeros((more, *slot.shape[1:]))])
        self._used = torch.cat([self._used, self._used.new_zeros(more)])


def least_of(count: int, parts: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the least bound of each of `count` rows, +inf where there is none, of (rows, bounds) (N,) each."""
    least = torch.full((count,), torch.inf, dtype=torch.float64)
    for row, bound in parts:
        least.scatter_reduce_(0, row, bound, "amin")
    return least
