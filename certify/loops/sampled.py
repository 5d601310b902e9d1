"""A controller and any plant, box by box: what the network gives over boxes of states, and what comes next."""

from dataclasses import dataclass

import numpy as np
import torch

from ...models.networks import SpikingNetwork
from ..perturbations import PixelBox
from ..verification import bounds
from .plants import Ends, StepPlant

LOST = 2.0**-46
"""What float64 may lose of what the network sees, relative to the sum of moduli."""
NEAR = 1e-9
"""What float64 may lose of a place on a grid, in cells."""


@dataclass(frozen=True, eq=False)
class SampledLoop:
    """x⁺ = the plant's of x and u, plus w, u = gain·network(C·(x + n)/scale); |n| ≤ noise, |w| ≤ disturbance."""

    network: SpikingNetwork
    plant: StepPlant
    C: np.ndarray
    scale: np.ndarray
    gain: np.ndarray
    disturbance: np.ndarray
    noise: np.ndarray

    def images(self, centres: np.ndarray, half: np.ndarray) -> Ends:
        """Return ends of next states, (batch, n), from boxes around centres (batch, n), of half widths (n,)."""
        half = half * (1 + NEAR)  # what centres are rounded by
        low, high = self._outputs(centres, half + self.noise)
        u = low * self.gain, high * self.gain
        slack = LOST * np.maximum(np.abs(u[0]), np.abs(u[1]))
        first, last = self.plant.image((centres - half, centres + half), (u[0] - slack, u[1] + slack))
        lost = LOST * (np.abs(first) + np.abs(last) + self.disturbance)
        return first - self.disturbance - lost, last + self.disturbance + lost

    def _outputs(self, centres: np.ndarray, half: np.ndarray) -> Ends:
        """Return ends of the network's outputs over boxes, (batch, m) each."""
        seen = torch.from_numpy(centres @ self.C.T / self.scale).to(self.network.dtype)
        exact = np.abs(centres) @ np.abs(self.C).T / self.scale
        unit, tiny = torch.finfo(self.network.dtype).eps, torch.finfo(self.network.dtype).tiny
        if not np.isfinite(exact).all():
            raise ValueError("box: got states of which the network sees inf, expected finite numbers")
        # of the centre to the dtype, of any state to it, and float64's own
        around = np.abs(self.C) @ half / self.scale
        radius = around * (1 + LOST) + (2 * unit + LOST) * (exact.max(0) + around) + tiny
        found = bounds(self.network, seen, PixelBox(torch.from_numpy(radius), -torch.inf, torch.inf), "trains")
        return found.lower.double().numpy(), found.upper.double().numpy()

    def control(self, states: np.ndarray) -> np.ndarray:
        """Return u at states that the network sees, (batch, n)."""
        seen = np.atleast_2d(states) @ self.C.T / self.scale
        self.network.eval()
        with torch.no_grad():
            return self.network(torch.from_numpy(seen).to(self.network.dtype)).double().numpy() * self.gain

    def run(
        self,
        states: np.ndarray,
        steps: int,
        disturbance: np.ndarray | None = None,
        noise: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return simulated states from `states` (batch, n), (steps + 1, batch, n); w and n as given for each."""
        found = [np.atleast_2d(np.asarray(states, dtype=np.float64))]
        for step in range(steps):
            seen = found[-1] if noise is None else found[-1] + noise[step]
            x = self.plant.step(found[-1], self.control(seen))
            found.append(x if disturbance is None else x + disturbance[step])
        return np.stack(found)
