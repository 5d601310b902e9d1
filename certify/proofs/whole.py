"""Proofs about networks of whole numbers: boxes of whole inputs are halved until each part closes without prices.

A box of one input is known exactly, spike for spike, so a tree ends wherever time does not; of recordings that
change, which are no boxes, spikes of the first layer are split in place of inputs.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ...checking.certificates.elaborating import ShortLeaf
from ...checking.kernel.network import Sum
from ...checking.kernel.numbers import GRID
from ...checking.refusal import Refused
from ...checking.short import LEAF
from .tree import StillOpen, Tree

MOST_NODES = 1 << 14
"""Of one clause's tree."""


class WholeFailure(Exception):
    """An input that is not as claimed was found."""


class WholeTree:
    """One clause's tree as it grows, depth first.

    Args:
        tree: with a root alone.
        shape: of an input; fails: whether some inputs, run as users run them, are not as claimed.
    """

    def __init__(self, tree: Tree, shape: tuple[int, ...], fails: Callable[[Tensor], bool]) -> None:
        self.tree, self.shape, self.fails = tree, shape, fails
        self.maker = tree.trials.maker
        self.context, self.checker = self.maker.context, self.maker.checker
        self.steps = max(map(len, self.context.inputs))
        self.events = tree.trials.nodes.inputs.changes is not None
        self.weights = _weights(tree)

    def close(self) -> None:
        """Split until all is closed.

        Raises:
            StillOpen: where a part does not close.
            WholeFailure: where an input fails.
        """
        tree, stack = self.tree, [0]
        self.maker.said(f"class {tree.other}")
        while stack:
            node = stack.pop()
            row = next((row for row in tree.rows if self._closes(row)), None)
            if row is not None:
                tree.leaves[node] = ShortLeaf([], None, row)
                self.checker._done()
                continue
            neuron, value = self._chosen()
            if len(tree.allowed) > MOST_NODES:
                raise StillOpen(f"{tree.trials.goal.name(tree.other)} is open behind {MOST_NODES} nodes")
            self.maker.split(neuron, value)
            tree.allowed += [np.empty(0), np.empty(0)]
            left = len(tree.allowed) - 2
            tree.splits[node] = neuron, value, left, left + 1
            stack += [left + 1, left]
        self.checker.margins.clear()

    def _closes(self, row: int) -> bool:
        """Return whether the kernel closes a leaf here; what is stated for that is taken back."""
        mark = self.context.mark()
        try:
            return self.maker.proves(self.tree.other, ShortLeaf([None] * len(self.maker.layers), None, row))
        except Refused:  # a number may wrap: of a part of the box it may not
            return False
        finally:
            self.checker.leaf = None
            self.context.undo(mark)

    def _chosen(self) -> tuple[int, float]:
        """Return a split: of the input that may move currents most, in its middle; or of a spike."""
        if self.events:
            return self._spike()
        ends = np.array(
            [[(low >> GRID, high >> GRID) for low, high in own] for own in self.context.inputs], dtype=np.int64
        )
        middles = (ends[..., 0] + ends[..., 1]) // 2
        if self.fails(torch.from_numpy(middles.T.copy()).double().reshape(1, *self.shape)):
            raise WholeFailure
        scores = (ends[..., 1] - ends[..., 0]) * self.weights
        if not (ends[..., 1] > ends[..., 0]).any():
            raise StillOpen("a single input is open: a number of its run may wrap, or be cut as it is read")
        place = int(np.where(ends[..., 1] > ends[..., 0], scores + 1, 0).argmax())
        return LEAF - 1 - place, float(middles.flat[place])

    def _spike(self) -> tuple[int, float]:
        place = self.maker.layers[0]
        bits = [] if place in self.context.tables else self.context.bits[place]
        for j, own in enumerate(bits):
            for t, (certain, possible) in enumerate(own):
                if certain == 0 < possible:
                    return j, float(t)
        raise StillOpen("a part of the set is open even where the spikes of the first neurons are decided")


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
