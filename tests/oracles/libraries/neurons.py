"""A neuron as other libraries write it, and the `LIF` or `DLIF` that spikes alike.

    v[t] = λ·u[t−1] + g·x[t] + (1 − λ)·e,      u[0] = v₀,      fires at θ,
    u[t] = r where it fired (hard reset), v[t] − d (soft), v[t] (none).

With w = (v − c)/g, where c is the potential that a hard reset returns to, and without one that a run starts from,

    w[t] = λ·w[t−1] + x[t] + (1 − λ)(e − c)/g,  w[0] = (v₀ − c)/g,  threshold (θ − c)/g,  subtracted d/g:

a gain becomes a scale of the threshold, a resting potential a shift of it, and neither touches a weight. What is
left of the leak is a constant current; it goes into the bias before.

A synapse, i[t] = κ·i[t−1] + x[t−δ] in the place of x, is a second state: a `Synapse` before the layer, or, where
the neuron hears itself through it, within the loop. Two cases of neurons that do not
need none: where x is constant over time, i[t] = x·Σ_{k<t−δ} κ^k, an input scale; and where nothing fires and the
last potential alone is read, v[T] is a weighted sum of currents, an input scale again.
"""

import copy
from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor, nn

from spikecert.models.conversion.refusal import ConversionRefused
from spikecert.models.elements.neurons import DLIF, LIF
from spikecert.models.elements.recurrent import Recurrent
from spikecert.models.elements.refractory import RefractoryLIF
from spikecert.models.elements.synapses import Synapse
from spikecert.models.elements.varied import VariedLIF
from spikecert.models.surrogates import Triangle

from .constants import Constant, every, settled, told

NEGLIGIBLE = 1e-12
"""A bias below this share of the threshold is rounding in the constants, not a current."""
LARGEST = 1e30
"""The most that a spike may take: single precision holds 3e38."""


@dataclass(frozen=True)
class ForeignNeuron:
    """The constants above, of a layer: numbers, or arrays where its neurons differ.

    Attributes:
        name: of the layer, for messages.
        decay, gain, leak: λ, g, e.
        threshold: θ, None for a neuron that never fires and puts out its potential.
        reset: "zero" (to `level`, r), "subtract" (d = `drop`) or "none".
        start: v₀.
        synapse: κ, None for no synapse.
        delay: δ, by how many steps the input of the synapse comes late.
        feedback: the affine layer of its own last spikes that adds to x; None for a neuron without.
        front: an affine layer that makes x of the signal that the module is given; None where that is x.
        keeps: whether it keeps its state itself; else it starts afresh wherever it is given none.
        at_once: whether it takes all steps in one call, (T, batch, ...), and not one step a call.
        rest: for how many steps it stays at r and does not fire behind a spike of a hard reset; 0 for none.
    """

    name: str
    decay: Constant
    gain: Constant = 1.0
    leak: Constant = 0.0
    threshold: Constant | None = 1.0
    reset: str = "zero"
    level: Constant = 0.0
    start: Constant = 0.0
    drop: Constant | None = None
    fires_at: str = ">"
    synapse: float | None = None
    delay: int = 0
    feedback: nn.Module | None = None
    front: nn.Module | None = None
    keeps: bool = True
    rest: int = 0
    at_once: bool = False

    def refuse(self, reason: str) -> NoReturn:
        """Raise the refusal of this layer."""
        raise ConversionRefused(f"{self.name}: {reason}")

    @property
    def shift(self) -> Constant:
        """Return c."""
        return self.level if self.reset == "zero" else self.start

    @property
    def begins(self) -> Constant:
        """Return w[0], which is 0 but for a hard reset that leaves another potential than the run starts from."""
        return settled((self.start - self.shift) / self.gain)

    @property
    def plain(self) -> bool:
        """Return whether it neither rests nor starts from elsewhere."""
        return self.rest == 0 and every(self.begins == 0.0)

    @property
    def bias(self) -> Constant:
        """Return the constant current (1 − λ)(e − c)/g, 0 where it is rounding."""
        value = (1.0 - self.decay) * (self.leak - self.shift) / self.gain
        threshold = 1.0 if self.threshold is None else self.threshold
        rounding = every(abs(value) <= NEGLIGIBLE * abs(threshold) / self.gain)
        return 0.0 if rounding else settled(value)

    @property
    def leaks(self) -> bool:
        """Return whether there is a constant current."""
        return not every(self.bias == 0.0)


def spiking(neuron: ForeignNeuron, num_steps: int, constant: bool) -> LIF:
    """Return the layer that spikes as `neuron` does, one that hears itself as a loop; arguments as in `_alone`."""
    if neuron.feedback is None:
        return _alone(neuron, num_steps, constant)
    layer = _alone(neuron, num_steps, constant=False)
    synapse = None if neuron.synapse is None else Synapse(neuron.synapse, neuron.delay)
    try:
        return Recurrent(layer, copy.deepcopy(neuron.feedback), synapse)
    except TypeError as error:
        neuron.refuse(str(error))


def _alone(neuron: ForeignNeuron, num_steps: int, constant: bool) -> LIF:
    """Return the layer that spikes as `neuron` does behind `filtering`, on currents that got `neuron.bias` added.

    Args:
        neuron: one that fires.
        num_steps: T.
        constant: whether its input is the same at every step, which takes the place of a synapse.
    """
    _check(neuron)
    assert neuron.threshold is not None
    threshold = settled((neuron.threshold - neuron.shift) / neuron.gain)
    if not every(threshold > 0):
        shift = told(neuron.shift)
        neuron.refuse(f"threshold {told(neuron.threshold)} is not above the resting potential {shift}")
    surrogate = Triangle(float(torch.as_tensor(threshold).max()))
    constants = (neuron.decay, threshold, neuron.reset, neuron.fires_at, surrogate, _amount(neuron, threshold))
    differ = any(isinstance(constant, Tensor) for constant in constants)
    if not neuron.plain:
        return _rested(neuron, threshold, differ, surrogate)
    if neuron.synapse is None or not constant:
        return VariedLIF(*map(_array, constants)) if differ else LIF(*constants)  # type: ignore[arg-type]
    if differ:
        neuron.refuse(
            "has a synapse behind a constant input, and constants that differ within the layer, expected one"
        )
    reached = (range(t + 1 - neuron.delay) for t in range(num_steps))
    return _scaled(constants, [sum((neuron.synapse**k for k in ages), start=0.0) for ages in reached])


def _rested(neuron: ForeignNeuron, threshold: Constant, differ: bool, surrogate: Triangle) -> RefractoryLIF:
    """Return the layer that rests and starts as `neuron` does; its synapse, if it has one, is before it."""
    start = neuron.begins
    if differ or isinstance(start, Tensor):
        what = "rests behind a spike" if neuron.rest else "resets to another potential than it starts from"
        neuron.refuse(f"{what}, and has constants that differ within the layer, expected one each")
    if start >= threshold:  # type: ignore[operator]
        neuron.refuse(f"starts from {told(neuron.start)}, which is not below its threshold")
    return RefractoryLIF(neuron.decay, threshold, neuron.rest, neuron.fires_at, surrogate, start)  # type: ignore[arg-type]


def filtering(neuron: ForeignNeuron, constant: bool) -> list[Synapse]:
    """Return the synapse before a neuron that fires.

    There is none in front of a loop, which holds it, nor for a constant input, which is scaled, unless neurons
    rest or start from elsewhere.
    """
    own = neuron.synapse is None or neuron.feedback is not None
    return [] if own or (constant and neuron.plain) else [Synapse(neuron.synapse, neuron.delay)]  # type: ignore[arg-type]


def _amount(neuron: ForeignNeuron, threshold: Constant) -> Constant | None:
    """Return what a subtracting reset takes away, None for the threshold."""
    if neuron.reset != "subtract" or neuron.drop is None:
        return None
    amount = settled(neuron.drop / neuron.gain)
    if every(amount == threshold):
        return None
    if not every(amount <= LARGEST):
        neuron.refuse(f"takes {told(amount)} for a spike, expected at most {LARGEST:g}")
    return amount


def _array(constant: object) -> object:
    """Return numbers in full precision, and all else as it is."""
    return torch.tensor(constant, dtype=torch.float64) if isinstance(constant, float) else constant


def integrating(neuron: ForeignNeuron, num_steps: int, readout: str) -> list[Synapse | LIF]:
    """Return the final layers whose potential is (v[t] − c)/g of a neuron that never fires, as a readout reads it.

    Where that is the last potential alone, a synapse is an input scale of it; elsewhere it is a layer.
    """
    _check(neuron)
    decay = neuron.decay
    if isinstance(decay, Tensor) or isinstance(neuron.gain, Tensor) or isinstance(neuron.start, Tensor):
        neuron.refuse(
            "its potential is read, and it has constants that differ within the layer, expected one each"
        )
    if neuron.feedback is not None:
        neuron.refuse("hears its own spikes, and its potential is read; expected its spikes to be read")
    if neuron.synapse is None or readout != "potential":
        return [*filtering(neuron, constant=False), LIF(decay, reset="none", fires_at=neuron.fires_at)]
    steps = num_steps - neuron.delay
    weights = [_response(decay, neuron.synapse, steps - t) for t in range(num_steps)]
    return [_scaled((1.0, 1.0, "none", neuron.fires_at), weights)]


def _response(decay: float, synapse: float, steps: int) -> float:
    """Return Σ_{j+k=steps−1} λ^j·κ^k: what a unit of current has left in the potential after so many steps."""
    return sum((decay**j * synapse ** (steps - 1 - j) for j in range(steps)), start=0.0)


def _scaled(constants: tuple, scale: list[float]) -> DLIF:
    layer = DLIF(len(scale), *constants)
    layer.input_scale.data = torch.tensor(scale, dtype=torch.float64)
    return layer


def _check(neuron: ForeignNeuron) -> None:
    if not (every(neuron.decay >= 0.0) and every(neuron.decay <= 1.0)):
        neuron.refuse(f"keeps {told(neuron.decay)} of its potential in a step, expected a share in [0, 1]")
    if not every(neuron.gain > 0.0):
        neuron.refuse(f"takes {told(neuron.gain)} of its input in a step, expected a positive share")
    if neuron.synapse is not None and not 0.0 <= neuron.synapse <= 1.0:
        neuron.refuse(f"its synapse keeps {neuron.synapse:g} of its current in a step, expected a share in [0, 1]")
    if neuron.synapse is not None and neuron.leaks:
        neuron.refuse("has both a synapse and a leak to another potential than it starts from")
