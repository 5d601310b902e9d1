"""Input currents of a spiking layer as boxes per step, scaled and widened so that bounds may use real numbers.

The run computes v̂[t] = fl(fl(λ·û[t−1]) + fl(a·I[t])) with λ and θ rounded to its dtype, and after a
subtracting reset û = fl(v̂ − θ). Each step errs by at most 8u·(λ·M + |a·I| + θ), with M a bound of |û|. Adding
that error to the box of a·I[t] makes every rounded run a run of the exact recursion on the widened box; the
comparison with θ, rounded too, is taken as both outcomes within `tie` of θ.
"""

from dataclasses import dataclass

from torch import Tensor

from ...models.neurons import LIF
from .rounding import Rounding
from .signals import Signal


@dataclass(frozen=True)
class Drive:
    """What drives one spiking layer.

    Attributes:
        lower, upper: box of the scaled current a[t]·I[t], widened by the run's rounding, (T, batch, ...).
        surely: v above this fires for certain (θ + tie).
        perhaps: v at or above this may fire (θ − tie).
    """

    lower: Tensor
    upper: Tensor
    surely: float
    perhaps: float


def drive(current: Signal, neuron: LIF, rounding: Rounding) -> Drive:
    """Return the widened, scaled boxes of `current` for `neuron`."""
    dynamics, box = neuron.dynamics, current.steps()
    lower, upper = box.lower, box.upper
    scale = neuron.scale(current.num_steps)
    if scale is not None:
        scaled = scale.detach().double().reshape(-1, *([1] * (lower.dim() - 1)))
        one, other = scaled * lower, scaled * upper
        lower, upper = one.minimum(other), one.maximum(other)
    widest = lower.abs().maximum(upper.abs()).amax(0)
    steps = sum(dynamics.decay**k for k in range(current.num_steps))
    size = steps * (widest + dynamics.threshold)
    slack = 8 * rounding.unit * (dynamics.decay * size + widest + dynamics.threshold) + rounding.smallest
    if not bool((size <= rounding.largest).all()):
        raise OverflowError(f"a membrane potential may reach {float(size.max()):.3g}, beyond {rounding.dtype}")
    tie = 8 * rounding.unit * dynamics.threshold
    shape = (current.num_steps, *lower.shape[1:])
    return Drive(
        (lower - slack).expand(shape),
        (upper + slack).expand(shape),
        dynamics.threshold + tie,
        dynamics.threshold - tie,
    )
