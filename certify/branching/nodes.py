"""The nodes of the search, many at a time, and the pool of those that are open."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .decisions import Decisions


@dataclass(frozen=True)
class Splits:
    """Where each node is to be split: flat first-layer neuron, and row (table) or step (graph); each (N,)."""

    neuron: Tensor
    place: Tensor

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Return neuron and place of each node."""
        return self.neuron, self.place


@dataclass(frozen=True)
class Nodes:
    """N nodes.

    Attributes:
        row: which specification each is about, (N,).
        bound: a proven lower bound of its margin, (N,).
        decisions: about the first spiking layer.
        prices: per spiking layer, last layer first, each (N, steps, n), float32: where its children start.
        splits: where it is to be split next; meaningless in a node that was not bounded yet.
    """

    row: Tensor
    bound: Tensor
    decisions: Decisions
    prices: tuple[Tensor, ...]
    splits: Splits

    def __len__(self) -> int:
        """Return how many nodes there are, N."""
        return len(self.row)

    def select(self, index: Tensor) -> "Nodes":
        """Return some nodes, by index or by mask."""
        return self.rebuilt([tensor[index] for tensor in self.tensors()])

    def children(self) -> "Nodes":
        """Return both children of every node, left ones first, with the bound and the prices of their parent."""
        both = zip(*(part.tensors() for part in self.decisions.children(*self.splits.tensors())), strict=True)
        decisions = self.decisions.of([torch.cat(pair) for pair in both])
        twice = self.rebuilt([torch.cat([tensor, tensor]) for tensor in self.tensors()])
        return replace(twice, decisions=decisions)

    def updated(self, bound: Tensor, prices: tuple[Tensor, ...], splits: Splits) -> "Nodes":
        """Return the same nodes with other bounds, prices and splits."""
        return replace(self, bound=bound, prices=prices, splits=splits)

    def redecided(self, index: Tensor, decisions: Decisions) -> "Nodes":
        """Return the same nodes, those at `index` with other decisions."""
        parts = zip(self.decisions.tensors(), decisions.tensors(), strict=True)
        changed = self.decisions.of([known.index_copy(0, index, new) for known, new in parts])
        return replace(self, decisions=changed)

    def tensors(self) -> list[Tensor]:
        """Return all that is stored, each (N, ...)."""
        return [self.row, self.bound, *self.splits.tensors(), *self.decisions.tensors(), *self.prices]

    def rebuilt(self, tensors: Sequence[Tensor]) -> "Nodes":
        """Return nodes of the same kind from such tensors."""
        row, bound, neuron, place, *rest = tensors
        count = len(self.decisions.tensors())
        return Nodes(row, bound, self.decisions.of(rest[:count]), tuple(rest[count:]), Splits(neuron, place))


class NodePool:
    """Open nodes in slots that are used again; grows by doubling.

    Args:
        like: nodes of the kind that will be stored.
        most_bytes: above half of this, `take` works depth first, which keeps the pool small.
    """

    def __init__(self, like: Nodes, most_bytes: int) -> None:
        self._like = like
        self._slots = [tensor.new_empty((0, *tensor.shape[1:])) for tensor in like.tensors()]
        self._used = torch.zeros(0, dtype=torch.bool)
        each = sum(tensor[:1].numel() * tensor.element_size() for tensor in like.tensors())
        self.capacity = max(1, most_bytes // each)

    def __len__(self) -> int:
        """Return how many nodes are open."""
        return int(self._used.sum())

    def put(self, nodes: Nodes) -> None:
        """Store nodes."""
        missing = len(nodes) - int((~self._used).sum())
        if missing > 0:
            self._grow(max(missing, len(self._used)))
        free = (~self._used).nonzero().flatten()[: len(nodes)]
        for slot, tensor in zip(self._slots, nodes.tensors(), strict=True):
            slot[free] = tensor
        self._used[free] = True

    def take(self, count: int, effort: Tensor) -> Nodes:
        """Remove and return up to `count` nodes: of the rows with least `effort` first, worst bound first.

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
        chosen = used[order[:count]]
        taken = self._like.rebuilt([slot[chosen] for slot in self._slots])
        self._used[chosen] = False
        return taken

    def drop(self, rows: Tensor) -> None:
        """Forget the nodes of some rows, given by mask over all rows."""
        self._used &= ~rows[self._slots[0]] if len(self._used) else self._used

    def least(self, count: int) -> Tensor:
        """Return the least bound among the open nodes of each of `count` rows, +inf where there is none."""
        least = torch.full((count,), torch.inf, dtype=torch.float64)
        row, bound = self._slots[0][self._used], self._slots[1][self._used]
        return least.scatter_reduce(0, row, bound, "amin")

    def _grow(self, more: int) -> None:
        self._slots = [torch.cat([slot, slot.new_zeros((more, *slot.shape[1:]))]) for slot in self._slots]
        self._used = torch.cat([self._used, self._used.new_zeros(more)])
