"""What a layer's potential is where no rest has steps left, and whether it is 0 where one has.

With e what is compared, and g where it is silent all the same, a spike is where v = (e + θ)·(1 − g) reaches θ > 0.
A neuron rests for R steps if v is 0 behind each spike of the last R, and another sum without these.
"""

from ..grouping import LayerFirings
from ..polynomials import UNIT, Polynomial


def ungated(layers: LayerFirings, firing: int, potential: Polynomial) -> Polynomial:
    """Return v for a potential e + θ, or by the name of that."""
    gate = layers.firings[firing].gate
    return potential * (Polynomial.of(UNIT) - gate) if gate.terms else potential


def awake(
    layers: LayerFirings, firings: tuple[int, ...], step: int, rest: int, potential: Polynomial
) -> Polynomial | None:
    """Return v of a step without the last spikes; None where it takes something in behind one of them.

    Args:
        layers, firings: the layers, and the firings of one of them.
        step: which of them it is.
        rest: R; 0 for neurons that do not rest.
        potential: e + θ.
    """
    whole = ungated(layers, firings[step], potential)
    resting, free = Polynomial({}), whole
    for each in firings[max(0, step - rest) : step]:
        resting, free = resting + layers.spike(each), free.where(each, False)
    masked = rest == 0 and whole != potential
    return free if not masked and whole == free * (Polynomial.of(UNIT) - resting) else None
