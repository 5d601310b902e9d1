"""A loop on a grid of cells of its states: which cells runs never leave, and where they end (F21d), n ≤ 3.

A cell is a closed box; the cells cover the region. Over each cell the network's outputs are bounded by "trains",
with all rounding of the run and of the state to its dtype, so the next state is in a box, the cell's image:
what the plant's `image` says of cell and outputs, taken as independent, and w added; see `plants`.

Safe. Drop cells whose images meet a cell that was dropped, or leave the region, until none is. From a cell that is
left each run stays in those that are left, for ever: its next state is in the image, and all cells there are left.

Ultimate. R_0 are the safe cells, R_{k+1} those of R_k that some image of R_k meets. A run from R_0 is in R_k from
step k on: by induction it is in R_k, which images of R_k do not leave (F(R_k) is within F(R_{k−1}), R being
monotone), so its next state is in a cell of R_k that an image meets.

Zoom. Cut the hull of the last R finer. Runs end in R, so in the fine cells that meet R, and so on with their
images; what of an image lies outside of R is met by no run.

How far a controller is from a linear one, and which of its inputs each output can depend on.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...analysis.loops.kept import Rows
from ...models.circuit import Fired, Mapped, Node, Read, circuit
from ...models.networks import SpikingNetwork
from ...models.rules import plain
from .uncertain import NEAR, SampledLoop

MOST_STATES = 3
MOST_CELLS = 2**20
GROWN = 1.0 + 2.0**-30
"""A finer grid's region is greater than the hull of what it is about by this factor."""


@dataclass(frozen=True, eq=False)
class GridSafety:
    """What is proven of a loop on a grid.

    Attributes:
        box: the region, one radius a state.
        safe: (cells, …), one axis a state, rising: from a cell that is True a run stays in such cells for ever.
        ultimate: the box, as radii, in which every such run ends; empty where no cell is safe.
        levels: how many grids were used, one finer than the other.
    """

    box: tuple[float, ...]
    safe: np.ndarray
    ultimate: tuple[float, ...]
    levels: int

    @property
    def proved(self) -> bool:
        """Return whether any cell is safe."""
        return bool(self.safe.any())

    @property
    def share(self) -> float:
        """Return the share of the region that is safe."""
        return float(self.safe.mean())

    def holds(self, states: np.ndarray) -> np.ndarray:
        """Return which states, (batch, n), lie inside of a safe cell, (batch,) of bool."""
        radii, cells = np.asarray(self.box), self.safe.shape[0]
        places = (np.atleast_2d(states) + radii) / (2 * radii) * cells
        found = np.asarray((np.abs(np.atleast_2d(states)) <= radii).all(axis=1))
        for signs in itertools.product((-NEAR, NEAR), repeat=len(self.box)):  # near a border: both cells
            near = np.floor(places + np.array(signs)).astype(np.int64).clip(0, cells - 1)
            found = found & self.safe[tuple(near.T)]
        return found


@dataclass(frozen=True, eq=False)
class _CellGrid:
    """Cells of a region; which cells each one's image meets, first to last, (n, cells, …); whether it leaves."""

    radii: np.ndarray
    cells: int
    first: np.ndarray
    last: np.ndarray
    leaves: np.ndarray

    @staticmethod
    def of(plant: SampledLoop, radii: np.ndarray, cells: int) -> "_CellGrid":
        """Bound the network over each cell, and the next states."""
        size, half = len(radii), radii / cells
        middles = -radii[:, None] + (2 * np.arange(cells) + 1) * half[:, None]
        centres = np.stack([axis.ravel() for axis in np.meshgrid(*middles, indexing="ij")], 1)
        ends = [(end + radii) / (2 * half) for end in plant.images(centres, half)]
        first, last = (np.floor(end + sign * NEAR) for end, sign in zip(ends, (-1.0, 1.0), strict=True))
        stays = np.asarray(((first >= 0) & (last < cells)).all(axis=1))  # no number, where floats end: it leaves
        shape = (size, *[cells] * size)
        first, last = (np.nan_to_num(place).clip(0, cells - 1) for place in (first, last))
        low, high = (place.astype(np.int64).T.reshape(shape) for place in (first, last))
        return _CellGrid(radii, cells, low, high, ~stays.reshape(shape[1:]))

    def safe(self) -> np.ndarray:
        """Return the greatest set of cells whose images lie in it."""
        found = ~self.leaves
        while True:
            kept = found & (_within(~found, self.first, self.last) == 0)
            if kept.sum() == found.sum():
                return found
            found = kept

    def ends(self, found: np.ndarray) -> np.ndarray:
        """Return the cells in which runs of a set, that they do not leave, end."""
        while True:
            kept = found & self._met(found)
            if kept.sum() == found.sum():
                return found
            found = kept

    def _met(self, found: np.ndarray) -> np.ndarray:
        """Return which cells the images of a set meet: a sum of boxes, by their corners."""
        size = found.ndim
        corners = np.zeros([self.cells + 1] * size, dtype=np.int64)
        first, last = self.first[:, found], self.last[:, found]
        for upper in itertools.product((False, True), repeat=size):
            place = tuple(last[k] + 1 if up else first[k] for k, up in enumerate(upper))
            np.add.at(corners, place, -1 if sum(upper) % 2 else 1)
        for axis in range(size):
            corners = corners.cumsum(axis)
        return corners[tuple([slice(0, self.cells)] * size)] > 0

    def hull(self, found: np.ndarray) -> np.ndarray:
        """Return the radii of the box around 0 that holds a set of cells."""
        places = np.argwhere(found)
        ends = np.abs(np.stack([places.min(0), places.max(0) + 1]) * (2 * self.radii / self.cells) - self.radii)
        return ends.max(0)

    def finer(self, plant: SampledLoop, found: np.ndarray, cells: int) -> "tuple[_CellGrid, np.ndarray]":
        """Return the grid of a set's hull, and its cells that meet the set."""
        fine = _CellGrid.of(plant, self.hull(found) * GROWN, cells)
        steps = np.arange(cells)
        first, last = list[np.ndarray](), list[np.ndarray]()
        for own, coarse in zip(fine.radii, self.radii, strict=True):
            low = (steps * (2 * own / cells) - own + coarse) / (2 * coarse / self.cells)
            high = low + (2 * own / cells) / (2 * coarse / self.cells)
            first.append(np.floor(low - NEAR).clip(0, self.cells - 1).astype(np.int64))
            last.append(np.floor(high + NEAR).clip(0, self.cells - 1).astype(np.int64))
        boxes = (np.stack(np.meshgrid(*ends, indexing="ij")) for ends in (first, last))
        return fine, _within(found, *boxes) > 0


def _within(marked: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return how many marked cells each box of cells holds, by sums from a corner on."""
    sums = np.pad(marked.astype(np.int64), [(1, 0)] * marked.ndim)
    for axis in range(marked.ndim):
        sums = sums.cumsum(axis)
    total = np.zeros(first.shape[1:], dtype=np.int64)
    for upper in itertools.product((False, True), repeat=marked.ndim):
        place = tuple(last[k] + 1 if up else first[k] for k, up in enumerate(upper))
        total += sums[place] * (-1 if (marked.ndim - sum(upper)) % 2 else 1)
    return total


def grid_safety(plant: SampledLoop, box: Sequence[float], cells: int, levels: int) -> GridSafety:
    """Return which cells are safe, and where runs from them end.

    Args:
        plant: the loop.
        box: the region, one radius a state.
        cells: along each state.
        levels: grids in all, each but the first of the hull of what the one before left.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # where floats end a cell is one that runs leave
        one = _CellGrid.of(plant, np.asarray(box, dtype=np.float64), cells)
        safe = one.safe()
        if not safe.any():
            return GridSafety(tuple(box), safe, (), 1)
        found, used, before = one.ends(safe), 1, np.full(len(box), np.inf)
        while used < levels and (one.hull(found) < 0.98 * before).any():
            before = one.hull(found)
            one, found = one.finer(plant, found, cells)
            found, used = one.ends(found), used + 1
    return GridSafety(tuple(box), safe, tuple(map(float, one.hull(found) * GROWN)), used)


@dataclass(frozen=True, eq=False)
class ErrorGain:
    """How far a controller is from a linear one, over a box of states.

    Attributes:
        K: the linear one, u ≈ Kx.
        box: one radius a state.
        error: proven, one number an input of the plant.
        attained: the greatest errors that runs had.
        witness: what the network saw in these runs, times its scale: the states where C is None, (inputs, seen).
        closed: whether each error is within its tolerance of what was attained.
    """

    K: Rows
    box: tuple[float, ...]
    error: tuple[float, ...]
    attained: tuple[float, ...]
    witness: Tensor
    closed: bool


OWN = ("mean", "spikes", "potential")
"""Readouts in which each output is of one neuron, or of one entry."""


def influencing(network: SpikingNetwork, seen: int) -> Tensor:
    """Return which inputs each output can depend on, (outputs, seen) of bool: paths of weights that are not 0.

    A weight of 0 adds exactly 0 to each sum, in whatever order. Where there is more than affine maps and leaky
    neurons that are on their own, one row says that all inputs count.
    """
    made, found = circuit(network), torch.eye(seen, dtype=torch.float64)  # one row an input
    for index, node in enumerate(made.nodes[1:]):
        chained = node.sources == (index,)
        if chained and isinstance(node, Mapped):
            found = (node.map.to(torch.float64).absolute().linear(found.to(made.device)) > 0).double()
        elif not (chained and _on_its_own(node)):
            return torch.ones((1, seen), dtype=torch.bool)
    return found.cpu().T > 0


def _on_its_own(node: Node) -> bool:
    """Return whether each entry of a node goes by the same entry of what it reads."""
    if isinstance(node, Read):
        return node.readout in OWN
    return isinstance(node, Fired) and plain(node.rule)
