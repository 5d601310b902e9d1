"""Proofs without prices: of networks and readouts for which the search has none.

A clause's tree is split neuron by neuron until the rows that the checker knows of each part's neurons do.
"""

from collections.abc import Iterable

import numpy as np

from .tree import Tree

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
        _close(tree, hopeful)


def _close(tree: Tree, hopeful: dict[int, int]) -> None:
    """Close a tree; rows that closed others are tried first, then those of the clause's own step."""
    stack = [0]
    own = min(tree.other % tree.trials.goal.stride, tree.rows[-1])
    while stack:
        node = stack.pop()
        rows = dict.fromkeys([*sorted(hopeful, key=hopeful.__getitem__)[-2:], own])
        if not node or len(tree.rows) <= MOST_ROWS:
            rows |= dict.fromkeys(tree.rows)
        if tree.closes_freely(node, rows):
            row = tree.leaves[node].row
            hopeful[row] = hopeful.get(row, 0) + 1
            continue
        chosen = _chosen(tree, node)
        if chosen is None or len(tree.allowed) > MOST_NODES:
            told = "unknown: the search has no prices for such a network, and splits alone do not do"
            raise StillOpen(f"{told}: {tree.trials.goal.name(tree.other)} is open")
        stack += tree.divide(node, *chosen)[::-1]


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
