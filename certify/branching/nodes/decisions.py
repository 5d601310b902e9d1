"""What a node of the search has decided of the first spiking layer: once its trains are, the whole network is.

A layer whose current is constant over time has a table of trains (F1): a node keeps a run of its rows for each
neuron. It carries the rows, not the ends of the current's interval: rows overlap by the rounding error, so an
interval would readmit the neighbour that was split off. Any other layer has a graph (F2): a node fixes spikes.

The nodes of a search, and what no counterexample of them can use.

The nodes of the search, many at a time, and the pool of those that are open.

Drop what no counterexample of a node can use.

A node's bound is a sum with one term for each first-layer neuron, the least over its rows. With another row's
term in place of the least, the sum bounds the margin on that part of the node alone. Where it is above `LEVEL` the
part is proven, and the node goes on without it (integer programming's reduced-cost fixing). What a node then says
of its margin holds up to min(bound, `LEVEL`).

The error that the bound allows for covers every such sum, since it counts all terms' moduli at their greatest.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Generic, TypeVar

import torch
from torch import Tensor

from ....models.networks import Trace
from ...bounds.prices.priced_layer import Least
from ...bounds.prices.prices import Evaluation, PricedProblem
from ...bounds.signals.windows import Box
from ...bounds.trains.train_graph import GraphTrains
from ...bounds.trains.train_table import TableTrains, TrainRows, Trains, TrainTable

OPEN = -1

Family = TypeVar("Family", bound=Trains)

Places = tuple[Tensor, Tensor, Tensor]
"""Where to split each node, neuron and place, and whether a neuron is open; (N,) each."""


@dataclass(frozen=True)
class Restricted(Generic[Family]):
    """A layer's trains in each node.

    Attributes:
        trains: those that the decisions leave.
        split: neurons that a decision restricts, (N, n) of bool.
        empty: nodes in which some neuron has no train left, (N,) of bool; `trains` means nothing there.
    """

    trains: Family
    split: Tensor
    empty: Tensor


class Decisions(ABC, Generic[Family]):
    """The decisions of N nodes about one layer's n neurons."""

    @abstractmethod
    def restrict(self, found: Family) -> Restricted[Family]:
        """Return the trains that are left, for `found` with one row of the batch per node."""

    @abstractmethod
    def tensors(self) -> tuple[Tensor, ...]:
        """Return what is stored, each (N, ...)."""

    @abstractmethod
    def split(self, found: Family, nodes: Tensor, score: Tensor, least: Least, trace: Trace) -> Places:
        """Return where to split each node.

        Args:
            found: the layer's trains.
            nodes: which row of its batch each node is, (N,).
            score: what a split of each neuron is worth, (N, n).
            least: what a relaxation believes of the layer.
            trace: of the network at the relaxation's minimising inputs.
        """

    def enclosure(self, box: Box) -> Box:
        """Return what the decisions leave of each node's input set `box`."""
        return box

    @property
    def size(self) -> int:
        """Return how many neurons may be split."""
        return self.tensors()[0].shape[-1]

    @abstractmethod
    def of(self, tensors: Sequence[Tensor]) -> "Decisions":
        """Return decisions of the same kind from such tensors."""

    @abstractmethod
    def children(self, neuron: Tensor, place: Tensor) -> tuple["Decisions", "Decisions"]:
        """Return both children of each node, split at `place` of `neuron`, each (N,)."""


@dataclass(frozen=True)
class RowRanges(Decisions[TableTrains]):
    """Rows first..last of each neuron's table, (N, n)."""

    first: Tensor
    last: Tensor

    @staticmethod
    def root(found: TableTrains, count: int) -> "RowRanges":
        """Return `count` nodes that have decided nothing."""
        shape = (count, found.first[0].numel())
        first = torch.zeros(shape, dtype=torch.int16, device=found.first.device)
        return RowRanges(first, torch.full_like(first, len(found.table.lower) - 1))

    def restrict(self, found: TableTrains) -> Restricted[TableTrains]:
        """Intersect with the rows that are in reach anyway."""
        known_first, known_last = found.first.flatten(1), found.last.flatten(1)
        first, last = known_first.maximum(self.first), known_last.minimum(self.last)
        split = (first > known_first) | (last < known_last)
        empty = (first > last).any(1)
        shape = found.first.shape
        kept = replace(found, first=first.view(shape), last=last.maximum(first).view(shape))
        return Restricted(kept, split, empty)

    def split(self, found: TableTrains, nodes: Tensor, score: Tensor, least: Least, trace: Trace) -> Places:
        """Split the rows of one neuron between the row of the network's current and the believed one."""
        left = self.within(found, nodes)
        neuron, splittable = _greatest(score, left.first < left.last)
        node = torch.arange(len(neuron), device=neuron.device)
        first, last = left.first[node, neuron], left.last[node, neuron]
        current = trace.currents[0][0].flatten(1)[node, neuron].double()
        believed = _row_of(found.table, least.spikes.flatten(2)[:, node, neuron], first, last)
        return neuron, _between(found.table, first, last, current, believed), splittable

    def within(self, found: TrainRows, nodes: Tensor) -> TrainRows:
        """Return the rows that are left of those in reach, (N, n), `nodes` as in `split`."""
        first, last = (rows[nodes].flatten(1) for rows in (found.first, found.last))
        return TrainRows(found.table, first.maximum(self.first), last.minimum(self.last))

    def tensors(self) -> tuple[Tensor, ...]:
        """Return both ends."""
        return self.first, self.last

    def of(self, tensors: Sequence[Tensor]) -> "RowRanges":
        """Return row ranges."""
        return RowRanges(*tensors)

    def children(self, neuron: Tensor, place: Tensor) -> tuple["RowRanges", "RowRanges"]:
        """Return rows first..place on one side and place + 1..last on the other."""
        nodes = torch.arange(len(neuron), device=neuron.device)
        last, first = self.last.clone(), self.first.clone()
        last[nodes, neuron] = last[nodes, neuron].minimum(place.to(last.dtype))
        first[nodes, neuron] = first[nodes, neuron].maximum((place + 1).to(first.dtype))
        return RowRanges(self.first, last), RowRanges(first, self.last)


@dataclass(frozen=True)
class FixedSpikes(Decisions[GraphTrains]):
    """Spikes that are fixed to 0 or 1, or `OPEN`, (N, T, n)."""

    value: Tensor

    @staticmethod
    def root(found: GraphTrains, count: int) -> "FixedSpikes":
        """Return `count` nodes that have decided nothing."""
        shape = (count, found.num_steps, found.ends[0, 0].numel())
        return FixedSpikes(torch.full(shape, OPEN, dtype=torch.int8, device=found.ends.device))

    def restrict(self, found: GraphTrains) -> Restricted[GraphTrains]:
        """Drop the edges that a fixed spike forbids, and whatever lies on no path any more."""
        shape = found.ends.shape[1:]
        value = self.value.transpose(0, 1)
        edges = _allowed(_matrix(found), value)
        edges, forward, backward = _on_paths(edges)
        empty = ~backward[0].all(1)
        if bool(empty.any()) and bool((self.value[empty] != OPEN).any()):  # sums over no path are no numbers
            opened = self.value.masked_fill(empty[:, None, None], OPEN)
            return replace(FixedSpikes(opened).restrict(found), empty=empty)
        possible = (forward & backward)[1:-1]
        box = Box((possible & ~_avoidable(edges)).double(), possible.double())
        split = (value != OPEN).any(0)
        kept = replace(
            found,
            edges=tuple(edges[:t, t].unflatten(2, shape[1:]) for t in range(1, found.num_steps + 1)),
            ends=edges[:, -1].unflatten(2, shape[1:]),
            box=Box(box.lower.unflatten(2, shape[1:]), box.upper.unflatten(2, shape[1:])),
        )
        return Restricted(kept, split, empty)

    def split(self, found: GraphTrains, nodes: Tensor, score: Tensor, least: Least, trace: Trace) -> Places:
        """Split the first step at which the network spikes otherwise than believed, or the first open one."""
        open_steps = (found.box.lower < found.box.upper)[:, nodes].flatten(2)
        neuron, splittable = _greatest(score, open_steps.any(0))
        node = torch.arange(len(neuron), device=neuron.device)
        opened = open_steps[:, node, neuron]
        actual = trace.spikes[0].flatten(2)[:, node, neuron].double()
        differs = opened & (actual != least.spikes.flatten(2)[:, node, neuron])
        place = torch.where(differs.any(0), differs.long().argmax(0), opened.long().argmax(0))
        return neuron, place, splittable

    def tensors(self) -> tuple[Tensor, ...]:
        """Return the spikes."""
        return (self.value,)

    def of(self, tensors: Sequence[Tensor]) -> "FixedSpikes":
        """Return fixed spikes."""
        return FixedSpikes(*tensors)

    def children(self, neuron: Tensor, place: Tensor) -> tuple["FixedSpikes", "FixedSpikes"]:
        """Return silence at step `place` on one side and a spike there on the other."""
        nodes = torch.arange(len(neuron), device=neuron.device)
        silent, fires = self.value.clone(), self.value.clone()
        silent[nodes, place, neuron] = 0
        fires[nodes, place, neuron] = 1
        return FixedSpikes(silent), FixedSpikes(fires)


@singledispatch
def root(found: Trains, count: int) -> Decisions:
    """Return the decisions of `count` nodes that have decided nothing."""
    raise TypeError(f"trains: got {type(found).__name__}, which no search decides")


root.register(TableTrains, RowRanges.root)
root.register(GraphTrains, FixedSpikes.root)


def _between(table: TrainTable, first: Tensor, last: Tensor, current: Tensor, believed: Tensor) -> Tensor:
    """Return where to cut rows first..last, between that of a current and the believed one, (N,) each."""
    actual = torch.searchsorted(table.upper, current).minimum(last).maximum(first)
    believed = believed.minimum(last).maximum(first)
    place = torch.where(actual < believed, actual, torch.where(actual > believed, actual - 1, believed))
    return place.minimum(last - 1).maximum(first)


def _row_of(table: TrainTable, spikes: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Return the row first ≤ r ≤ last with the given train, (T, N) → (N,)."""
    row = torch.arange(len(table.trains), device=first.device)
    same = (table.trains @ spikes * 2 - table.trains.sum(1, keepdim=True) == spikes.sum(0)).T
    inside = (row >= first[:, None]) & (row <= last[:, None])
    return (same & inside).long().argmax(1)


def _greatest(score: Tensor, open_neurons: Tensor) -> tuple[Tensor, Tensor]:
    """Return the open neuron with the greatest score in each node, and whether there is an open one."""
    neuron = torch.where(open_neurons, score, -1.0).argmax(1)
    return neuron, open_neurons.any(1)


def _matrix(found: GraphTrains) -> Tensor:
    """Return edge [τ, t] for τ = 0..T and t = 0..T + 1, where t = T + 1 is the end, (T + 1, T + 2, N, n)."""
    steps, ends = found.num_steps, found.ends.flatten(2)
    edges = ends.new_zeros(steps + 1, steps + 2, *ends.shape[1:])
    for t, edge in enumerate(found.edges, start=1):
        edges[:t, t] = edge.flatten(2)
    edges[:, -1] = ends
    return edges


def _allowed(edges: Tensor, value: Tensor) -> Tensor:
    """Drop edges into a step that is fixed silent, and edges over a step that is fixed to fire."""
    steps = len(value)
    fired = (value == 1).cumsum(0)
    fired = torch.cat([fired.new_zeros(1, *fired.shape[1:]), fired])  # [t]: fixed spikes up to step t
    for t in range(1, steps + 2):
        over = fired[t - 1] > fired[: min(t, steps + 1)]
        edges[: min(t, steps + 1), t] &= ~over
        if t <= steps:
            edges[:, t] &= value[t - 1] != 0
    return edges


def _on_paths(edges: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Keep edges on a path from node 0 to the end; return them and which nodes 0..T + 1 have a path to either."""
    nodes = edges.shape[1]
    forward, backward = edges.new_zeros(nodes, *edges.shape[2:]), edges.new_zeros(nodes, *edges.shape[2:])
    forward[0], backward[-1] = True, True
    for t in range(1, nodes):
        forward[t] = (edges[:t, t] & forward[:t]).any(0)
    for t in range(nodes - 2, -1, -1):
        backward[t] = (edges[t, t + 1 :] & backward[t + 1 :]).any(0)
    return edges & forward[:-1, None] & backward[None], forward, backward


def _avoidable(edges: Tensor) -> Tensor:
    """Return, for steps 1..T, whether some edge on a path passes over the step, (T, N, n)."""
    steps = len(edges) - 1
    return torch.stack([edges[:t, t + 1 :].flatten(0, 1).any(0) for t in range(1, steps + 1)])


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
