"""The nodes of a search, and what no counterexample of them can use.

The nodes of the search, many at a time, and the pool of those that are open.

Drop what no counterexample of a node can use.

A node's bound is a sum with one term for each first-layer neuron, the least over its rows. With another row's
term in place of the least, the sum bounds the margin on that part of the node alone. Where it is above `LEVEL` the
part is proven, and the node goes on without it (integer programming's reduced-cost fixing). What a node then says
of its margin holds up to min(bound, `LEVEL`).

The error that the bound allows for covers every such sum, since it counts all terms' moduli at their greatest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...bounds.prices.prices import Evaluation, PricedProblem
from .decisions import Decisions, RowRanges


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


LEVEL = 1e-9
"""Parts with a margin above this are dropped."""


def trim_rows(problem: PricedProblem, prices: list[Tensor], evaluation: Evaluation, rows: RowRanges) -> RowRanges:
    """Return the rows of each node without the proven ones at either end.

    Args:
        problem: about S nodes.
        prices: last layer first.
        evaluation: of `problem` at `prices`.
        rows: of the same nodes.
    """
    layer = problem.layers[-1]
    costs = evaluation.costs[-1].flatten(2)[:, layer.pairs[0], layer.pairs[1]]
    found = layer.priced.trains.rows(costs, prices[-1])
    if found is None:
        return rows
    values, start = found
    without = evaluation.bound[layer.pairs[0]] - values.amin(1)
    needed = (without[:, None] + values <= 2 * LEVEL).to(torch.int8)
    first, last = rows.first.clone(), rows.last.clone()
    lowest, highest = start + needed.argmax(1), start + needed.shape[1] - 1 - needed.flip(1).argmax(1)
    first[layer.pairs] = first[layer.pairs].maximum(lowest.to(first.dtype))
    last[layer.pairs] = last[layer.pairs].minimum(highest.to(last.dtype))
    return RowRanges(first, last)
