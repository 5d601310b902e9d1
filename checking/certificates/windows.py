"""Windows of steps over which currents are summed up, many at once."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False)
class StepWindows:
    """Factors of each step, (k, T)."""

    factors: np.ndarray

    @cached_property
    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the factors above 0, those below, and their moduli, (T, k) each."""
        turned = self.factors.T
        return np.maximum(turned, 0), np.minimum(turned, 0), np.abs(turned)

    @cached_property
    def ends(self) -> list[tuple[int, int]]:
        """Return the first step of each window, and the one behind its last."""
        used = [np.flatnonzero(row) for row in self.factors]
        return [(int(row[0]), int(row[-1]) + 1) if len(row) else (0, 0) for row in used]
