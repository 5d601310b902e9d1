"""What logits are read off a network's last signal.

mean        (1/T)·Σ_t x[t] of the last affine layer
spikes      (1/T)·Σ_t s[t] of a last neuron
potential   u[T] of a last neuron that never fires
summed      Σ_t u[t] of such a neuron
largest     max_t u[t] of such a neuron, or max_t x[t] of a last affine layer
first       −τ of a last neuron, τ the step of its first spike, T + 1 without one: the class that fires first
"""

from torch import Tensor

READOUTS = ("mean", "spikes", "potential", "summed", "largest", "first")
MEANS = ("mean", "spikes")
"""Those that are means over time."""
LINEAR = (*MEANS, "potential", "summed")
"""Those that are weighted sums over time."""


def reads_potentials(readout: str, neuron_last: bool) -> bool:
    """Return whether a readout is of the potentials of a last neuron, which then never fires."""
    return readout in ("potential", "summed") or (readout == "largest" and neuron_last)


def fits(readout: str, neuron_last: bool) -> bool:
    """Return whether a readout has what it reads: a last neuron, or none."""
    return readout == "largest" or neuron_last == (readout != "mean")


def over_time(readout: str, signal: Tensor) -> Tensor:
    """Return what "potential", "summed", "largest" or "first" makes of a signal (T, ...).

    τ − 1 is the number of steps t with no spike up to t, Σ_t Π_{k≤t} (1 − s[k]): exact, and gradients reach
    spikes.
    """
    if readout == "potential":
        return signal[-1]
    if readout == "summed":
        return signal.sum(0)
    return signal.amax(0) if readout == "largest" else -(1.0 + (1.0 - signal).cumprod(0).sum(0))
