"""A controller and a plant that need not be linear, box by box: cells that runs never leave, tubes, simulation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...analysis.loops.practical import Rows
from ...models.constants import at_least, reals
from ...models.networks import SpikingNetwork
from ..replay import evaluating
from .given import box_of, identity, matrix_of, numbers_of, rows_of
from .grid import MOST_CELLS, MOST_STATES, GridSafety, grid_safety
from .plants import StepPlant
from .sampled import SampledLoop
from .tube import Tube, checked_size, tube


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
        if count**self.plant.states > MOST_CELLS:
            got = f"{count} cells along each of {self.plant.states} states"
            raise ValueError(f"cells: got {got}, expected {MOST_STATES} states at most, {MOST_CELLS} cells in all")
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
