"""Rules of neurons that rest, or that adapt, by the constants of leaky ones."""

from spikecert.models.linear_neuron import MIXING, LinearNeuron
from spikecert.models.rules import Leaky


def resting(own: Leaky, rest: int, start: float = 0.0) -> LinearNeuron:
    """Return neurons that rest, and start elsewhere."""
    constants = (own.decay,), (own.threshold,), (own.drop,)
    return LinearNeuron(*constants, fires_at=own.fires_at, rest=rest, start=start)


def adaptive(own: Leaky, rise: float, fading: float) -> LinearNeuron:
    """Return neurons whose threshold rises by spikes."""
    constants, firing = (
        ((own.decay,), (own.threshold,), (own.drop,)),
        {"reset": own.reset, "fires_at": own.fires_at},
    )
    states = {"others": 1, "fading": (fading,), "jump": (1.0,), "rise": (rise,), **dict.fromkeys(MIXING, (0.0,))}
    return LinearNeuron(*constants, **firing, **states)
