"""A controller and a plant that need not be linear, box by box: cells that runs never leave, tubes, simulation.

A spiking controller that is linear up to stairs: u = φ(Kx).

Boxes of states step by step, for any number of states: a linear loop, and what its error gains add.

u_k = Kx_k + e_k, so x_k = M^k·x_0 + Σ_{j<k} M^{k−1−j}·(B·e_j + w_j), M = A + BK, and with |e_j| ≤ ē_j on the box
that holds x_j, |w_j| ≤ what disturbs there, |x_k| ≤ |M^k|·r_0 + Σ_{j<k} |M^{k−1−j}·B|·ē_j + |M^{k−1−j}|·w̄_j.
By induction each box holds its state. M need not be stable. Powers are exact, all else is rounded up.

Tubes: in which boxes a loop is after 0, 1, 2, … steps, from a box of starts, n ≤ 3.

States lie in cells of a lattice, k·size to (k + 1)·size along each state. R_0 are the cells that meet the starts,
and R_{k+1} those that meet the image of a cell of R_k: the next state of one in a cell is in that cell's image, so
the state after k steps is in a cell of R_k, and, for k > 0, within the hull of the images of R_{k−1}.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import nn

from ...analysis.loops.kept import Rows, closed, felt
from ...analysis.loops.series import Matrix, exact, float_above, product
from ...models.constants import at_least, reals
from ...models.elements.neurons import LIF
from ...models.networks import SpikingNetwork
from ..replay import evaluating
from .grid import MOST_CELLS as MOST_GRID_CELLS
from .grid import MOST_STATES, ErrorGain, GridSafety, grid_safety
from .plants import StepPlant, box_of, identity, matrix_of, numbers_of, rows_of
from .uncertain import NEAR, Pair, SampledLoop


def controller(K: object, hidden: int = 32) -> SpikingNetwork:
    """Return a network of one step that gives each of its inputs back, in stairs: |y − z| ≤ 1/hidden on [−1, 1].

    Neuron k = 1..h of input j fires iff z_j ≥ −1 + (2k − 1)/h, and y_j = −1 + (2/h)·(how many do): z_j lies at
    most 1/h from the middle of its stair. So with z = Kx/r as what it sees, `ClosedLoop(controller(K), A, B, C=K,
    scale=r, gain=r)` has an error gain of about r/h wherever |Kx| ≤ r, for any number of states.
    The float32 run rounds z and the sums; what that adds is in the error gain that the loop proves.

    Args:
        K: the linear controller, (m, n): the network has m inputs and outputs.
        hidden: h, neurons for each input of the plant.

    Raises:
        TypeError, ValueError: for what is no matrix of finite numbers, or no number of neurons.

    >>> controller([[-1.0, -1.7]], hidden=4)(torch.tensor([[-1.0], [0.0], [0.3]])).flatten().tolist()
    [-1.0, 0.0, 0.5]
    """
    inputs, count = len(rows_of("K", K)), at_least(1)("hidden", hidden)
    first, last = nn.Linear(inputs, inputs * count), nn.Linear(inputs * count, inputs)
    each, stairs = torch.eye(inputs), torch.ones(count, 1)
    first.weight.data = torch.kron(each, stairs)
    first.bias.data = (2.0 - (2.0 * torch.arange(1, count + 1) - 1.0) / count).repeat(inputs)
    last.weight.data = torch.kron(each, stairs.T) * (2.0 / count)
    last.bias.data.fill_(-1.0)
    return SpikingNetwork(first, LIF(decay=0.0), last, num_steps=1).eval()


MOST_STEPS = 200
NEARLY = 0.9
"""An error gain is taken from a box that is at most so much greater."""


def reach_boxes(
    plant: Pair,
    off: Pair | None,
    disturbance: tuple[float, ...],
    error: Callable[[tuple[float, ...]], ErrorGain],
    starts: tuple[float, ...],
    steps: int,
) -> tuple[tuple[float, ...], ...]:
    """Return the boxes; see `ClosedLoop.reach`.

    Raises:
        ValueError: for more than `MOST_STEPS`.
    """
    if at_least(1)("steps", steps) > MOST_STEPS:
        raise ValueError(f"steps: got {steps}, expected at most {MOST_STEPS}")
    boxes, gain = [starts], error(starts)
    K, B, first = gain.K, exact(plant[1]), tuple(map(Fraction, starts))
    size = range(len(starts))
    powers: list[Matrix] = [exact(tuple(tuple(float(i == k) for k in size) for i in size))]
    pushed = list[tuple[list[Fraction], tuple[Fraction, ...]]]()
    for _ in range(steps):
        pairs = list(zip(gain.box, boxes[-1], strict=True))
        if not all(a >= b for a, b in pairs) or not any(b >= NEARLY * a for a, b in pairs):
            gain = error(boxes[-1])
        bounds = felt(disturbance, off, K, gain.box, gain.error)
        pushed.append(([Fraction(e) for e in gain.error], bounds))
        powers.append(product(closed(*plant, K), powers[-1]))
        total = _moduli_times(powers[-1], first)
        for power, (errors, bound) in zip(reversed(powers[:-1]), pushed, strict=True):
            one, other = _moduli_times(product(power, B), errors), _moduli_times(power, bound)
            total = [a + b + c for a, b, c in zip(total, one, other, strict=True)]
        boxes.append(tuple(max(float_above(value), 1e-300) for value in total))
    return tuple(boxes)


def _moduli_times(rows: Matrix, weights: Sequence[Fraction]) -> list[Fraction]:
    return [sum((abs(a) * b for a, b in zip(row, weights, strict=True)), Fraction(0)) for row in rows]


MOST_CELLS = 2**20
"""Of one step."""
FARTHEST = 2**20
"""Cells from 0."""


@dataclass(frozen=True, eq=False)
class Tube:
    """Where a loop is step by step.

    Attributes:
        lower, upper: (steps + 1, n): after k steps each state is between row k of both.
        cells: how many cells hold it, (steps + 1,).
    """

    lower: np.ndarray
    upper: np.ndarray
    cells: tuple[int, ...]

    def holds(self, state: int, lower: float, upper: float, first: int, last: int) -> bool:
        """Return whether one state is proven to be in [lower, upper] after each of `first` to `last` steps."""
        span = slice(first, last + 1)
        return bool((self.lower[span, state] >= lower).all() and (self.upper[span, state] <= upper).all())


def tube(loop: SampledLoop, lower: np.ndarray, upper: np.ndarray, steps: int, size: np.ndarray) -> Tube:
    """Return the tube of some steps.

    Args:
        loop: of at most three states.
        lower, upper: of the starts, (n,).
        steps: how many.
        size: of the cells, (n,).

    Raises:
        ValueError: where cells are too many, or states too far.
    """
    ends = [lower[None]], [upper[None]]
    found = _cells(lower[None] / size, upper[None] / size)
    counts = [len(found)]
    for _ in range(steps):
        low, high = loop.images((found + 0.5) * size, size / 2)
        ends[0].append(low.min(0, keepdims=True))
        ends[1].append(high.max(0, keepdims=True))
        found = _cells(low / size, high / size)
        counts.append(len(found))
    return Tube(np.concatenate(ends[0]), np.concatenate(ends[1]), tuple(counts))


def _cells(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the cells that meet boxes, (cells, n) of whole numbers, each once."""
    if (
        not (np.isfinite(low).all() and np.isfinite(high).all())
        or max(np.abs(low).max(), np.abs(high).max()) > FARTHEST
    ):
        raise ValueError(f"size: got cells of which states are more than {FARTHEST} from 0, expected greater ones")
    first, last = (np.floor(low - NEAR).astype(np.int64), np.floor(high + NEAR).astype(np.int64))
    spans = (last - first).max(0) + 1
    if np.prod(spans.astype(float)) * len(first) > 64 * MOST_CELLS:
        raise ValueError(f"size: got cells of which a step needs more than {MOST_CELLS}, expected greater ones")
    parts = list[np.ndarray]()
    for offset in itertools.product(*map(range, map(int, spans))):
        places = first + np.asarray(offset)
        parts.append(places[(places <= last).all(axis=1)])
    found = np.unique(np.concatenate(parts), axis=0)
    if len(found) > MOST_CELLS:
        raise ValueError(
            f"size: got cells of which a step needs {len(found)}, expected greater ones: {MOST_CELLS} at most"
        )
    return found


def checked_size(size: Sequence[float], states: int) -> np.ndarray:
    """Return sizes of cells.

    Raises:
        ValueError: for another number of them.
    """
    found = np.asarray(size, dtype=np.float64)
    if found.shape != (states,) or not (np.isfinite(found).all() and (found > 0).all()):
        raise ValueError(f"size: got {size!r}, expected {states} positive numbers, one a state")
    return found


@dataclass(frozen=True, eq=False)
class PlantLoop:
    """x⁺ = plant(x, u(x + n)) + w, for at most three states.

    Args:
        network: from C·x/scale to u/gain, direct encoding; its membranes start anew at each control step.
        plant: such as `Pendulum()`.
        C, scale, gain, disturbance, noise: as in `ClosedLoop`.

    Raises:
        TypeError, ValueError: for what does not fit, one line each.
    """

    network: SpikingNetwork
    plant: StepPlant
    C: Rows | None = None
    scale: tuple[float, ...] | float = 1.0
    gain: tuple[float, ...] | float = 1.0
    disturbance: tuple[float, ...] | float = 0.0
    noise: tuple[float, ...] | float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.network, SpikingNetwork) or self.network.encoding != "direct":
            raise ValueError('network: expected a SpikingNetwork of encoding "direct"')
        if not isinstance(self.plant, StepPlant):
            raise TypeError(f"plant: got {type(self.plant).__name__}, expected a StepPlant such as Pendulum()")
        states, inputs = self.plant.states, self.plant.inputs
        if states > MOST_STATES:
            raise ValueError(f"cells: got {states} states, expected {MOST_STATES} at most for cells")
        C = identity(states) if self.C is None else rows_of("C", self.C, None, states)
        named = {
            "C": C,
            "scale": numbers_of("scale", self.scale, len(C), above=True),
            "gain": numbers_of("gain", self.gain, inputs, above=True),
            "disturbance": numbers_of("disturbance", self.disturbance, states, above=False),
            "noise": numbers_of("noise", self.noise, states, above=False),
        }
        for name, value in named.items():
            object.__setattr__(self, name, value)
        with evaluating(self.network), torch.no_grad():
            given = self.network(torch.zeros(1, len(C), dtype=self.network.dtype))
        if tuple(given.shape) != (1, inputs):
            raise ValueError(f"network: got outputs of shape {tuple(given.shape)}, expected (1, {inputs})")

    def grid(self, box: Sequence[float], cells: int = 400, levels: int = 7) -> GridSafety:
        """Return which cells of a box runs never leave, and where they end.

        Args:
            box: one radius a state.
            cells: along each state, 2^20 in all at most.
            levels: grids, each finer on what the one before left.

        Raises:
            ValueError: for more cells, or a box that is not bounded.
        """
        radii, count = box_of(box, self.plant.states), at_least(2)("cells", cells)
        if count**self.plant.states > MOST_GRID_CELLS:
            got = f"{count} cells along each of {self.plant.states} states"
            raise ValueError(
                f"cells: got {got}, expected {MOST_STATES} states at most, {MOST_GRID_CELLS} cells in all"
            )
        return grid_safety(self.arrays, radii, count, at_least(1)("levels", levels))

    def tube(self, lower: Sequence[float], upper: Sequence[float], steps: int, size: Sequence[float]) -> Tube:
        """Return in which boxes states are after 0, 1, …, steps from a box of starts.

        Args:
            lower, upper: of the starts, one number a state.
            steps: how many.
            size: of the cells that hold what is reached, one number a state.

        Raises:
            ValueError: for ends that don't fit, or cells that are too many.
        """
        ends = [np.asarray(reals(name, list(end))) for name, end in (("lower", lower), ("upper", upper))]
        if any(len(end) != self.plant.states for end in ends) or not (ends[0] <= ends[1]).all():
            told = f"got {lower!r} and {upper!r}, expected {self.plant.states} rising pairs"
            raise ValueError(f"lower, upper: {told}")
        cells = checked_size(size, self.plant.states)
        return tube(self.arrays, ends[0], ends[1], at_least(1)("steps", steps), cells)

    def run(
        self,
        states: np.ndarray,
        steps: int,
        disturbance: np.ndarray | None = None,
        noise: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return simulated states from `states` (batch, n), (steps + 1, batch, n); w and n as given."""
        return self.arrays.run(states, at_least(0)("steps", steps), disturbance, noise)

    @property
    def arrays(self) -> SampledLoop:
        """Return the loop as arrays."""
        rest = map(np.asarray, (self.scale, self.gain, self.disturbance, self.noise))
        return SampledLoop(self.network, self.plant, matrix_of(self.C), *rest)
