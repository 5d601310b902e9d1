"""Coupled neurons of any constants, weights on a grid or off it, and inputs of small dense networks."""

from math import prod
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import CoupledLIF, Share, SpikingNetwork
from spikecert.models import Neuron
from spikecert.models.dynamics import RESETS
from spikecert.models.linear_neuron import AXES, MIXING, MOST_OTHERS, OWN, LinearNeuron, front_axes
from spikecert.models.rules import Leaky

SHARES = st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0])
FACTORS = st.sampled_from([-0.5, 0.0, 0.0, 0.25, 0.5, 1.0])
THRESHOLDS = st.sampled_from([0.25, 1.0, 1.0, 1.5])
AMOUNTS = st.sampled_from([0.5, 1.0, 2.0])
ANY = st.sampled_from([-1.25, -0.5, 0.0, 0.0, 0.25, 0.5, 0.9, 1.0])
FIRES = st.sampled_from([">=", ">"])


@st.composite
def coupled_neurons(draw: st.DrawFn, width: int = 3, most: int = 3, steps: int = 0) -> Neuron:
    """Return neurons of any constants, alike or one set each; of several w, of any recurrence, or a table.

    Half of them have a floor, a start of their own, or no reset; of these some have constants of each of `steps`,
    and some may fire up to four times a step.
    """
    if most > 1 and draw(st.integers(0, 4)) == 0:
        return draw(tabled_neurons())
    others, coupled = draw(st.sampled_from([1, 1, *range(2, most + 1)])), draw(st.booleans())
    steps = 0 if coupled else steps * draw(st.booleans())
    shares, factors = (SHARES, FACTORS) if others == 1 and draw(st.booleans()) else (ANY, ANY)
    strategies = {"decay": shares, "threshold": THRESHOLDS, "reset_amount": AMOUNTS, "fading": shares}
    constants: dict[str, Any] = {}
    for name in AXES:
        shape = [*front_axes(name, others, steps)] if others > 1 or name in OWN else []
        shape += [width] * draw(st.booleans())
        numbers = draw(st.lists(strategies.get(name, factors), min_size=prod(shape), max_size=prod(shape)))
        constants[name] = torch.tensor(numbers).reshape(shape).tolist()
    constants |= {"fires_at": draw(FIRES), "others": others}
    if coupled:
        return CoupledLIF(**constants, reset=draw(st.sampled_from(["subtract", "zero"])))
    floor, start = draw(st.sampled_from([None, 0.0, -0.25, -1.0])), draw(st.sampled_from([0.0, 0.3, -0.5]))
    reset, several = draw(st.sampled_from(RESETS)), draw(st.sampled_from([1, 1, 2, 4]))
    if reset == "subtract" and several > 1:
        constants |= {"reset_rise": 0.0, "most": several}
    if steps:
        scale = draw(st.lists(st.sampled_from([1.0, 0.5, -0.75]), min_size=steps, max_size=steps))
        constants |= {"steps": steps, "input_scale": draw(st.sampled_from([None, scale]))}
    return Neuron(**constants, reset=reset, floor=floor, start=start)


@st.composite
def tabled_neurons(draw: st.DrawFn) -> CoupledLIF:
    """Return neurons that keep nothing, to which each spike adds by a table: w hands on what later steps hear."""
    jump = draw(st.lists(ANY, min_size=2, max_size=MOST_OTHERS))
    count = len(jump)
    fading, first = torch.diag(torch.ones(count - 1), 1), torch.eye(count)[0]
    return CoupledLIF(
        *(0.0, draw(THRESHOLDS), 0.0, fading.tolist(), jump, 0.0, 0.0, (-first).tolist()),
        fires_at=draw(FIRES),
        others=count,
    )


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


def draw_weights(network: SpikingNetwork, generator: torch.Generator, scale: float, grid: bool) -> None:
    """Set weights and biases of dense and shared layers, on a grid of quarters or not."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | Share):
            for part in layer.parameters():
                numbers = torch.randn(part.shape, generator=generator) * scale
                part.data = (numbers * 4).round() / 4 if grid else numbers


def inputs_of(network: SpikingNetwork, seed: int, count: int = 3) -> Tensor:
    """Return inputs of two features, on a grid of quarters half of the time."""
    shape = (network.num_steps, 2) if network.timed else (2,)
    found = torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed))
    return ((found * 4).round() / 4 if seed % 2 else found).to(network.dtype)
