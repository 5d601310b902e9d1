"""One clause's tree of splits as it grows, closed leaf by leaf where the kernel will close it.

What a split of the search is to the checker: a current between two rows of the first layer, or a step.

What narrows the first layer's currents at a leaf, as the checker reads it.

Proofs without prices: of networks and readouts for which the search has none.

A clause's tree is split neuron by neuron until the rows that the checker knows of each part's neurons do.

Proofs about networks of whole numbers: boxes of whole inputs are halved until each part closes without prices.

A box of one input is known exactly, spike for spike, so a tree ends wherever time does not.

Proofs about recordings, of whole numbers or where few events change: what becomes of one event after the other is
settled, so that a tree ends in single recordings.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ...checking.certificates.elaborating import ShortLeaf
from ...checking.certificates.trials import LeafTrials
from ...checking.events.recordings import OpenRecording
from ...checking.kernel.network import Sum
from ...checking.kernel.numbers import GRID
from ...checking.refusal import Refused
from ...checking.short import LEAF, Narrowing
from ...models.deadline import LATE, passed
from ..bounds.prices.stages import Stage
from ..bounds.trains.train_table import TrainTable
from ..branching.nodes.decisions import Nodes
from ..branching.question import MarginQuestion
from ..search import Domain, Limits


@dataclass
class Tree:
    """A tree under construction; node 0 is its root.

    Args:
        trials: of its question.
        other: the clause: of a class, the other one of its margin.
    """

    trials: LeafTrials
    other: int
    allowed: list[np.ndarray] = field(default_factory=list)
    splits: dict[int, tuple[int, float, tuple[int, ...]]] = field(default_factory=dict)
    leaves: dict[int, ShortLeaf] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.allowed.append(self.trials.everything)

    def closes(self, node: int, leaf: ShortLeaf) -> bool:
        """Make `node` a leaf if it closes; say whether it does."""
        if not self._proven(self.allowed[node], leaf):
            return False
        self.leaves[node] = leaf
        self.allowed[node] = np.empty(0)  # not needed any more
        return True

    def trim(self, node: int, neuron: int, current: float, left: bool, leaf: ShortLeaf) -> int | None:
        """Split `node` if one side closes, the left or the right one; return the other one, or None."""
        sides = self.trials.sides(self.allowed[node], neuron, current)
        dropped = sides[0] if left else sides[1]
        if not dropped.any(-1).all() or not self._proven(dropped, leaf):
            return None
        one, two = self.divide(node, neuron, current)
        closed, rest = (one, two) if left else (two, one)
        self.leaves[closed], self.allowed[closed] = leaf, np.empty(0)
        return rest

    def _proven(self, allowed: np.ndarray, leaf: ShortLeaf) -> bool:
        return self.trials.closes(self.other, allowed, leaf)

    def divide(self, node: int, neuron: int, current: float) -> tuple[int, int]:
        """Split `node` and return its left and its right side."""
        left, right = self.trials.sides(self.allowed[node], neuron, current)
        self.allowed[node] = np.empty(0)
        one, other = self.parted(node, neuron, current, 2)
        self.allowed[one], self.allowed[other] = left, right
        return one, other

    def parted(self, node: int, neuron: int, current: float, sides: int) -> tuple[int, ...]:
        """Split `node` and return so many sides, of which nothing is said."""
        found = tuple(range(len(self.allowed), len(self.allowed) + sides))
        self.allowed += [np.empty(0)] * sides
        self.splits[node] = neuron, current, found
        return found

    @property
    def rows(self) -> range:
        """Return the rows of its clause, by their numbers."""
        return range(len(self.trials.goal.rows(self.other)))

    def closes_freely(self, node: int = 0, rows: Iterable[int] | None = None) -> bool:
        """Return whether a node closes without prices, by any of these rows, or of all; it is a leaf then."""
        chosen = self.rows if rows is None else rows
        return any(self.closes(node, self.trials.free._replace(row=row)) for row in chosen)

    def listed(self) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], list[ShortLeaf]]:
        """Return neurons and currents of all nodes in pre-order, the prices of each layer, and all leaves."""
        neurons, currents, leaves, stack = [], [], [], [0]
        while stack:
            node = stack.pop()
            if node in self.leaves:
                neurons.append(LEAF)
                currents.append(0.0)
                leaves.append(self.leaves[node])
            else:
                neuron, current, sides = self.splits[node]
                neurons.append(neuron)
                currents.append(current)
                stack += reversed(sides)
        every = zip(*(leaf.prices for leaf in leaves), strict=True)
        layers = [np.stack(layer) for layer in every if layer[0] is not None]
        return np.array(neurons, dtype=np.int32), np.array(currents), layers, leaves


class CheckerSplits(ABC):
    """The splits of one first layer."""

    @staticmethod
    def of(stage: Stage, trials: LeafTrials) -> "CheckerSplits | None":
        """Return those of a staged network's first layer; None where the checker knows its trains otherwise."""
        rows = stage.trains.rows
        if trials.split_by_rows:
            return None if rows is None else RowSplits(rows.table, trials)
        return StepSplits() if rows is None else None

    @abstractmethod
    def value(self, place: int) -> float:
        """Return what the checker splits at for the search's `place`."""

    @abstractmethod
    def place(self, value: float) -> int:
        """Return the search's place for what the checker splits at."""

    def anyhow(self, tree: Tree, node: int) -> tuple[int, float, int] | None:
        """Return a neuron, the checker's value and the search's place for a node that the search would not split.

        None where the checker, too, has nothing left to split.
        """
        chosen = _chosen(tree, node)
        return None if chosen is None else (*chosen, self.place(chosen[1]))


@dataclass(frozen=True)
class RowSplits(CheckerSplits):
    """A table's rows: the search splits behind a row, the checker at a current between it and the next."""

    table: TrainTable
    trials: LeafTrials

    def value(self, place: int) -> float:
        """Return a current between row `place` and the next, as the checker orders them: by their middles there.

        Rows that are reached by rounding alone lie on top of others, and each table makes them as wide as its own
        allowance: between the ends of two of them there may be the middle of a third.
        """
        rows, middles = self._matched
        before, behind = middles[rows <= place], middles[rows > place]
        if len(before) == 0 or len(behind) == 0:  # no neuron's current reaches these rows
            after = min(place + 1, len(self.table.lower) - 1)
            return float(self.table.upper[place] + self.table.lower[after]) / 2
        return float(before.max() + behind.min()) / 2

    @cached_property
    def _matched(self) -> tuple[np.ndarray, np.ndarray]:
        """The search's row for each of the checker's, and their middles: of the same train, where they meet."""
        names: dict[bytes, list[int]] = defaultdict(list)
        for row, train in enumerate(self.table.trains.numpy()):
            names[_name(train)].append(row)
        upper, found = self.table.upper.numpy(), list[tuple[int, float]]()
        for train, middle in zip(self.trials.trains, self.trials.middles.tolist(), strict=True):
            same = names[_name(train)]
            if same:
                meets = int(np.searchsorted(upper[same], middle))
                found.append((same[min(meets, len(same) - 1)], middle))
        rows, middles = np.array(found).reshape(-1, 2).T
        return rows.astype(int), middles

    def place(self, value: float) -> int:
        """Return the row before a current."""
        rows, middles = self._matched
        return int(rows[middles <= value].max(initial=0))


class StepSplits(CheckerSplits):
    """Spikes at steps, counted from 0 by both."""

    def value(self, place: int) -> float:
        """Return the step."""
        return float(place)

    def place(self, value: float) -> int:
        """Return the step."""
        return int(value)


def _name(train: np.ndarray) -> bytes:
    return np.asarray(train, dtype=np.int8).tobytes()


def narrowing_of(question: MarginQuestion, node: Nodes) -> Narrowing | None:
    """Return the multipliers that the search has for one node, or None where it has none."""
    found = question.narrowing(node)
    if found is None:
        return None
    neurons, slabs, multipliers = (part.numpy() for part in found)
    most = float(np.finfo(np.float32).max)  # any multipliers narrow, if less well
    written = np.nan_to_num(multipliers.clip(-most, most)).astype(np.float32)
    return Narrowing(neurons.astype(np.int32), slabs.astype(np.int32), written)


def written(narrowings: Sequence[Narrowing | None]) -> dict[str, np.ndarray]:
    """Return the arrays that `read_narrowings` reads; none where no leaf has any."""
    found = [narrowing for narrowing in narrowings if narrowing is not None]
    if not found:
        return {}
    sizes = [(0, 0) if n is None else (len(n.neurons), len(n.slabs)) for n in narrowings]
    return {
        "sizes": np.array(sizes, dtype=np.int32),
        "neurons": np.concatenate([n.neurons for n in found]),
        "slabs": np.concatenate([n.slabs for n in found]),
        "multipliers": np.concatenate([n.multipliers.ravel() for n in found]),
    }


MOST_NODES = 1 << 10
"""Of one clause's tree."""
MOST_ROWS = 8
"""Of a clause, that are all tried at each node, not only at the root."""


class StillOpen(Exception):
    """A part of the set that does not close."""


def close_all(trees: Iterable[Tree]) -> None:
    """Close trees that have a root alone.

    Raises:
        StillOpen: where one does not close, saying which.
    """
    hopeful = dict[int, int]()
    for tree in trees:
        _FreeTree(tree, hopeful).search([0], Limits())


@dataclass
class _FreeTree(Domain[int]):
    """A tree without prices: rows that closed others are tried first, then those of the clause's own step."""

    tree: Tree
    hopeful: dict[int, int]

    def bound(self, part: int) -> int | None:
        """Return a node that does not close."""
        tree, hopeful = self.tree, self.hopeful
        own = min(tree.other % tree.trials.goal.stride, tree.rows[-1])
        rows = dict.fromkeys([*sorted(hopeful, key=hopeful.__getitem__)[-2:], own])
        if not part or len(tree.rows) <= MOST_ROWS:
            rows |= dict.fromkeys(tree.rows)
        if not tree.closes_freely(part, rows):
            return part
        row = tree.leaves[part].row
        hopeful[row] = hopeful.get(row, 0) + 1
        return None

    def split(self, part: int) -> Iterable[int]:
        """Split a node, or say that it stays open."""
        tree, chosen = self.tree, _chosen(self.tree, part)
        if chosen is None or len(tree.allowed) > MOST_NODES:
            told = "unknown: the search has no prices for such a network, and splits alone do not do"
            raise StillOpen(f"{told}: {tree.trials.goal.name(tree.other)} is open")
        return tree.divide(part, *chosen)


def _chosen(tree: Tree, node: int) -> tuple[int, float] | None:
    """Return a neuron of the first layer, and where it is split; None where all is decided."""
    allowed, trials = tree.allowed[node], tree.trials
    if not trials.split_by_rows:
        open_steps = np.argwhere(allowed.all(2))
        return None if len(open_steps) == 0 else (int(open_steps[0, 0]), float(open_steps[0, 1]))
    counts = allowed.sum(1)
    neuron = int(counts.argmax())
    if counts[neuron] < 2:
        return None
    kept = trials.middles[allowed[neuron]]
    return neuron, float(kept[len(kept) // 2 - 1] + kept[len(kept) // 2]) / 2


MOST_GROWN_NODES = 1 << 14
"""Of one clause's tree."""


class FailingInput(Exception):
    """An input that is not as claimed was found."""


class GrownTree(Domain[int]):
    """One clause's tree as it grows, depth first: each part is asked about as the kernel's state has it.

    Args:
        tree: with a root alone.
        shape: of an input; fails: whether some inputs, run as users run them, are not as claimed.
    """

    def __init__(self, tree: Tree, shape: tuple[int, ...], fails: Callable[[Tensor], bool]) -> None:
        self.tree, self.shape, self.fails = tree, shape, fails
        self.maker = tree.trials.maker
        self.context, self.checker = self.maker.context, self.maker.checker
        self.steps = max(map(len, self.context.inputs))

    @abstractmethod
    def leaves(self) -> Iterable[ShortLeaf]:
        """Return what is worth a try here."""

    @abstractmethod
    def chosen(self) -> tuple[int, float, int]:
        """Return a split of what did not close: as a short proof says it, and how many sides it has.

        Raises:
            StillOpen: where nothing can be split.
            FailingInput: where an input fails.
        """

    def close(self) -> None:
        """Split until all is closed.

        Raises:
            StillOpen: where a part does not close.
            FailingInput: where an input fails.
        """
        self.maker.said(f"class {self.tree.other}")
        self.search([0], Limits())
        self.checker.margins.clear()

    def bound(self, part: int) -> int | None:
        """Return a node of which no leaf closes."""
        leaf = next(filter(self._closes, self.leaves()), None)
        if leaf is None:
            return part
        self.tree.leaves[part] = leaf
        self.checker._done()
        return None

    def split(self, part: int) -> Iterable[int]:
        """Split a node as it is chosen here."""
        tree, (neuron, value, sides) = self.tree, self.chosen()
        if len(tree.allowed) > MOST_GROWN_NODES:
            raise StillOpen(f"{tree.trials.goal.name(tree.other)} is open behind {MOST_GROWN_NODES} nodes")
        self.maker.split(neuron, value)
        return tree.parted(part, neuron, value, sides)

    def _closes(self, leaf: ShortLeaf) -> bool:
        """Return whether the kernel closes a leaf here; what is stated for that is taken back."""
        mark = self.context.mark()
        try:
            return self.maker.proves(self.tree.other, leaf)
        except Refused:  # a number may wrap: of a part of the box it may not
            return False
        finally:
            self.checker.leaf = None
            self.context.undo(mark)


class WholeTree(GrownTree):
    """A tree of whole numbers: inputs are split."""

    def leaves(self) -> Iterable[ShortLeaf]:
        """Return leaves without prices."""
        return (self.tree.trials.unpriced(row) for row in self.tree.rows)

    @cached_property
    def _weights(self) -> np.ndarray:
        return _weights(self.tree)

    def chosen(self) -> tuple[int, float, int]:
        """Return a split of the input that may move currents most, in its middle."""
        ends = np.array(
            [[(low >> GRID, high >> GRID) for low, high in own] for own in self.context.inputs], dtype=np.int64
        )
        middles = (ends[..., 0] + ends[..., 1]) // 2
        if self.fails(torch.from_numpy(middles.T.copy()).double().reshape(1, *self.shape)):
            raise FailingInput
        scores = (ends[..., 1] - ends[..., 0]) * self._weights
        if not (ends[..., 1] > ends[..., 0]).any():
            raise StillOpen("a single input is open: a number of its run may wrap, or be cut as it is read")
        place = int(np.where(ends[..., 1] > ends[..., 0], scores + 1, 0).argmax())
        return LEAF - 1 - place, float(middles.flat[place]), 2


FEW_CHANGES = 16
"""So many events change at most of a recording whose events are split, but for networks of whole numbers."""


def events_are_split(trials: LeafTrials) -> bool:
    """Return whether inputs are recordings whose events are settled one by one: of others spikes are split."""
    changes, whole = trials.nodes.inputs.changes, trials.network.whole is not None
    return isinstance(changes, OpenRecording) and (whole or changes.rules.most <= FEW_CHANGES)


@dataclass(frozen=True)
class Tries:
    """What is tried where a recording may still change so.

    Attributes:
        leaves: worth a try.
        members: of the whole set, float64, that may fail, (n, T, ...); of this part the first.
    """

    leaves: list[ShortLeaf]
    members: Tensor


class EventTree(GrownTree):
    """A tree of recordings: what becomes of one event after the other is settled.

    Args:
        asks: returns what is tried.
        deadline: after which nothing is split, or None.
    """

    def __init__(
        self,
        tree: Tree,
        shape: tuple[int, ...],
        fails: Callable[[Tensor], bool],
        asks: Callable[[OpenRecording], Tries],
        deadline: float | None,
    ) -> None:
        super().__init__(tree, shape, fails)
        self.asks, self.deadline, self.weights = asks, deadline, _weights(tree)

    @property
    def _recording(self) -> OpenRecording:
        entering = self.context.entering[0]
        assert entering is not None
        assert isinstance(entering.changes, OpenRecording)
        return entering.changes

    def leaves(self) -> Iterable[ShortLeaf]:
        """Return those that are worth a try."""
        self._asked = self.asks(self._recording)
        return self._asked.leaves

    def chosen(self) -> tuple[int, float, int]:
        """Return a split of an entry that differs in the member that may fail first, or else of any."""
        recording, members = self._recording, self._asked.members
        if self.fails(members):
            raise FailingInput
        if not recording.splittable.any():
            raise StillOpen("decided only within the rounding error: no event of an open recording may change")
        if passed(self.deadline):
            raise StillOpen(f"{LATE} after {len(self.tree.allowed)} nodes")
        differ = (recording.events != members[0].flatten(1).numpy().T) * (1.0 + self.weights.max())
        place = int(np.where(recording.splittable, 1.0 + self.weights + differ, 0.0).argmax())
        return LEAF - 1 - place, 0.0, len(recording.sides(*divmod(place, self.steps)))


def _weights(tree: Tree) -> np.ndarray:
    """Return how much each input moves the first layer's currents, (m, 1)."""
    nodes, maker = tree.trials.nodes, tree.trials.maker
    source = nodes.nodes[nodes.spiking(maker.layers[0]).source]
    width = len(maker.context.inputs)
    found = np.ones((width, 1))
    if isinstance(source, Sum) and len(source.parts) == 1 and source.parts[0][0] == 0:
        matrix = source.parts[0][1]
        if matrix is not None:
            found[:, 0] = np.bincount(matrix.column, np.abs(matrix.ints.astype(float)), width)
    return found
