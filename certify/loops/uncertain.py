"""Loops whose plant or controller is known up to a set: spreads and vertices, and any plant box by box.

Plants that are not known exactly: matrices within a spread, and convex combinations of vertices.

A controller and any plant, box by box: what the network gives over boxes of states, and what comes next.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from ...analysis.loops.kept import Rows
from ...analysis.loops.series import float_above
from ...models.networks import SpikingNetwork
from ..perturbations import PixelBox
from ..verification import bounds
from .plants import Ends, StepPlant, rows_of

MOST_CORNERS = 1024
Pair = tuple[Rows, Rows]
"""A and B."""


def spread_of(value: Any, states: int, inputs: int) -> Pair:
    """Return by how much A and B may be off.

    Raises:
        TypeError, ValueError: for what is no two matrices of numbers of at least 0.
    """
    if not isinstance(value, Sequence) or len(value) != 2:
        raise TypeError(f"spread: got {type(value).__name__}, expected two matrices, one for A and one for B")
    found = rows_of("spread of A", value[0], states, states), rows_of("spread of B", value[1], states, inputs)
    if any(entry < 0 for rows in found for row in rows for entry in row):
        raise ValueError("spread: got a number below 0, expected moduli")
    return found


def vertices_of(value: Any, states: int, inputs: int) -> tuple[Pair, ...]:
    """Return pairs (A, B).

    Raises:
        TypeError, ValueError: for what is no sequence of pairs of matrices.
    """
    if not isinstance(value, Sequence) or any(not isinstance(pair, Sequence) or len(pair) != 2 for pair in value):
        raise TypeError(f"vertices: got {type(value).__name__}, expected pairs (A, B)")
    named = (
        (rows_of(f"vertices[{k}] A", A, states, states), rows_of(f"vertices[{k}] B", B, states, inputs))
        for k, (A, B) in enumerate(value)
    )
    return tuple(named)


def off_by(plant: Pair, spread: Pair | None, vertices: Sequence[Pair]) -> Pair | None:
    """Return how far any plant is from `plant`, entry by entry and from above; None where it is exact."""
    if spread is None and not vertices:
        return None
    parts = [_farthest(rows, [pair[place] for pair in vertices]) for place, rows in enumerate(plant)]
    if spread is None:
        return parts[0], parts[1]
    one, other = (_added(part, more) for part, more in zip(parts, spread, strict=True))
    return one, other


def corners(plant: Pair, spread: Pair | None, vertices: Sequence[Pair]) -> tuple[Pair, ...]:
    """Return the plants of which any other is a convex combination, exactly or a little farther out.

    Raises:
        ValueError: for more than `MOST_CORNERS`.
    """
    found = [plant, *vertices]
    if spread is None:
        return tuple(found)
    loose = [
        (part, i, k)
        for part, rows in enumerate(spread)
        for i, row in enumerate(rows)
        for k, entry in enumerate(row)
        if entry
    ]
    if len(found) * 2 ** len(loose) > MOST_CORNERS:
        raise ValueError(f"spread: got {len(loose)} entries that are off, expected at most {MOST_CORNERS} corners")
    return tuple(
        _moved(one, spread, dict(zip(loose, signs, strict=True)))
        for one in found
        for signs in itertools.product((1, -1), repeat=len(loose))
    )


def _moved(plant: Pair, spread: Pair, signs: dict[tuple[int, int, int], int]) -> Pair:
    """Return one corner, each moved entry rounded away from the plant."""
    first, last = (
        tuple(
            tuple(_beyond(entry, signs.get((part, i, k), 0), spread[part][i][k]) for k, entry in enumerate(row))
            for i, row in enumerate(rows)
        )
        for part, rows in enumerate(plant)
    )
    return first, last


def _beyond(entry: float, sign: int, far: float) -> float:
    if sign == 0:
        return entry
    return sign * float_above(sign * Fraction(entry) + Fraction(far))


def _farthest(rows: Rows, others: Sequence[Rows]) -> Rows:
    return tuple(
        tuple(
            float_above(max((abs(Fraction(o[i][k]) - Fraction(entry)) for o in others), default=Fraction(0)))
            for k, entry in enumerate(row)
        )
        for i, row in enumerate(rows)
    )


def _added(one: Rows, other: Rows) -> Rows:
    return tuple(
        tuple(float_above(Fraction(a) + Fraction(b)) for a, b in zip(row, more, strict=True))
        for row, more in zip(one, other, strict=True)
    )


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
