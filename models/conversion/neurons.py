"""A neuron as other libraries write it, and the `LIF` or `DLIF` that spikes alike.

    v[t] = λ·u[t−1] + g·x[t] + (1 − λ)·e,      u[0] = v₀,      fires at θ,
    u[t] = r where it fired (hard reset), v[t] − d (soft), v[t] (none).

With w = (v − c)/g, where c is the potential that a run starts from and, under a hard reset, returns to,

    w[t] = λ·w[t−1] + x[t] + (1 − λ)(e − c)/g,     threshold (θ − c)/g,     subtracted d/g:

a gain becomes a scale of the threshold, a resting potential a shift of it, and neither touches a weight. What is
left of the leak is a constant current; it goes into the bias before.

A synapse, i[t] = κ·i[t−1] + x[t−δ] in the place of x, is a second state: a `Synapse` before the layer. Two cases
need none: where x is constant over time, i[t] = x·Σ_{k<t−δ} κ^k, an input scale; and where nothing fires and the
last potential alone is read, v[T] is a weighted sum of currents, an input scale again.
"""

from dataclasses import dataclass
from typing import NoReturn

import torch

from ..neurons import DLIF, LIF
from ..surrogates import Triangle
from ..synapses import Synapse
from .refusal import ConversionRefused

NEGLIGIBLE = 1e-12
"""A bias below this share of the threshold is rounding in the constants, not a current."""
LARGEST = 1e30
"""The most that a spike may take: single precision holds 3e38."""


@dataclass(frozen=True)
class ForeignNeuron:
    """The constants above.

    Attributes:
        name: of the layer, for messages.
        decay, gain, leak: λ, g, e.
        threshold: θ, None for a neuron that never fires and puts out its potential.
        reset: "zero" (to `level`, r), "subtract" (d = `drop`) or "none".
        start: v₀.
        synapse: κ, None for no synapse.
        delay: δ, by how many steps the input of the synapse comes late.
    """

    name: str
    decay: float
    gain: float = 1.0
    leak: float = 0.0
    threshold: float | None = 1.0
    reset: str = "zero"
    level: float = 0.0
    start: float = 0.0
    drop: float | None = None
    fires_at: str = ">"
    synapse: float | None = None
    delay: int = 0

    def refuse(self, reason: str) -> NoReturn:
        """Raise the refusal of this layer."""
        raise ConversionRefused(f"{self.name}: {reason}")

    @property
    def shift(self) -> float:
        """Return c."""
        if self.reset == "zero" and self.level != self.start:
            self.refuse(f"resets to {self.level:g} but starts at {self.start:g}, expected one potential for both")
        return self.start

    @property
    def bias(self) -> float:
        """Return the constant current (1 − λ)(e − c)/g, 0 where it is rounding."""
        value = (1.0 - self.decay) * (self.leak - self.shift) / self.gain
        return 0.0 if abs(value) <= NEGLIGIBLE * abs(self.threshold or 1.0) / self.gain else value


def spiking(neuron: ForeignNeuron, num_steps: int, constant: bool) -> LIF:
    """Return the layer that spikes as `neuron` does behind `filtering`, on currents that got `neuron.bias` added.

    Args:
        neuron: one that fires.
        num_steps: T.
        constant: whether its input is the same at every step, which takes the place of a synapse.
    """
    _check(neuron)
    assert neuron.threshold is not None
    threshold = (neuron.threshold - neuron.shift) / neuron.gain
    if threshold <= 0:
        neuron.refuse(f"threshold {neuron.threshold:g} is not above the resting potential {neuron.shift:g}")
    amount = None
    if neuron.reset == "subtract" and neuron.drop is not None:
        amount = neuron.drop / neuron.gain
        amount = None if amount == threshold else amount
        if amount is not None and amount > LARGEST:
            neuron.refuse(f"takes {amount:g} for a spike, expected at most {LARGEST:g}")
    constants = (neuron.decay, threshold, neuron.reset, neuron.fires_at, Triangle(threshold), amount)
    if neuron.synapse is None or not constant:
        return LIF(*constants)
    reached = (range(t + 1 - neuron.delay) for t in range(num_steps))
    return _scaled(constants, [sum((neuron.synapse**k for k in ages), start=0.0) for ages in reached])


def filtering(neuron: ForeignNeuron, constant: bool) -> list[Synapse]:
    """Return the synapse of a neuron that fires; none where its input is constant over time."""
    return [] if neuron.synapse is None or constant else [Synapse(neuron.synapse, neuron.delay)]


def integrating(neuron: ForeignNeuron, num_steps: int) -> LIF:
    """Return the final layer whose last potential is (v[T] − c)/g of a neuron that never fires."""
    _check(neuron)
    if neuron.synapse is None:
        return LIF(neuron.decay, reset="none", fires_at=neuron.fires_at)
    steps = num_steps - neuron.delay
    weights = [_response(neuron.decay, neuron.synapse, steps - t) for t in range(num_steps)]
    return _scaled((1.0, 1.0, "none", neuron.fires_at), weights)


def _response(decay: float, synapse: float, steps: int) -> float:
    """Return Σ_{j+k=steps−1} λ^j·κ^k: what a unit of current has left in the potential after so many steps."""
    return sum((decay**j * synapse ** (steps - 1 - j) for j in range(steps)), start=0.0)


def _scaled(constants: tuple, scale: list[float]) -> DLIF:
    layer = DLIF(len(scale), *constants)
    layer.input_scale.data = torch.tensor(scale, dtype=torch.float64)
    return layer


def _check(neuron: ForeignNeuron) -> None:
    if not 0.0 <= neuron.decay <= 1.0:
        neuron.refuse(f"keeps {neuron.decay:g} of its potential in a step, expected a share in [0, 1]")
    if not neuron.gain > 0.0:
        neuron.refuse(f"takes {neuron.gain:g} of its input in a step, expected a positive share")
    if neuron.synapse is not None and not 0.0 <= neuron.synapse <= 1.0:
        neuron.refuse(f"its synapse keeps {neuron.synapse:g} of its current in a step, expected a share in [0, 1]")
    if neuron.synapse is not None and neuron.bias != 0.0:
        neuron.refuse("has both a synapse and a leak to another potential than it starts from")
