"""How far a controller is from a linear one."""

from dataclasses import dataclass

from torch import Tensor

from ...analysis.loops.practical import Rows


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
