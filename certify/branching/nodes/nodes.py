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
        depth: how many splits made it, (N,).
    """

    row: Tensor
    bound: Tensor
    decisions: Decisions
    prices: tuple[Tensor, ...]
    splits: Splits
    depth: Tensor

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
        return replace(twice, decisions=decisions, depth=twice.depth + 1)

    def redecided(self, index: Tensor, decisions: Decisions) -> "Nodes":
        """Return the same nodes, those at `index` with other decisions."""
        parts = zip(self.decisions.tensors(), decisions.tensors(), strict=True)
        changed = self.decisions.of([known.index_copy(0, index, new) for known, new in parts])
        return replace(self, decisions=changed)

    def tensors(self) -> list[Tensor]:
        """Return all that is stored, each (N, ...)."""
        return [self.row, self.bound, self.depth, *self.splits.tensors(), *self.decisions.tensors(), *self.prices]

    def rebuilt(self, tensors: Sequence[Tensor]) -> "Nodes":
        """Return nodes of the same kind from such tensors."""
        row, bound, depth, neuron, place, *rest = tensors
        count = len(self.decisions.tensors())
        decisions, splits = self.decisions.of(rest[:count]), Splits(neuron, place)
        return Nodes(row, bound, decisions, tuple(rest[count:]), splits, depth)
