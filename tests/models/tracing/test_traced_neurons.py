"""Neurons by hand come in as what they compute; changed at one step, by as little as can be, they do not."""

import pytest
import torch
from torch import Tensor

from spikecert import ConversionRefused, PerStep, check_conversion, from_torch
from spikecert.models import DLIF, LIF, AdaptiveLIF, RefractoryLIF, Synapse
from support.traced_neurons import STYLES, WRONG, Looped

DECAY = float(torch.tensor(0.8))
SAMPLE = torch.rand(6, 5, generator=torch.Generator().manual_seed(1))
EVENTS = (torch.rand(6, Looped.STEPS, 5, generator=torch.Generator().manual_seed(1)) < 0.6).float()
SAME = {("resting", "reset")}
"""What a reset leaves is of no account where the next step rests."""


def kind_of(name: str) -> tuple[type, str]:
    """Return the layer and the reset that a style is."""
    kinds = {"resting": RefractoryLIF, "adaptive": AdaptiveLIF, "adaptive_soft": AdaptiveLIF}
    reset = "none" if name == "silent_reset" else "subtract" if "soft" in name else "zero"
    return kinds.get(name, LIF), reset


HALF = {name: (SAMPLE, EVENTS)[place % 2] for place, name in enumerate([*STYLES][::2])}
PAIRS = [(name, change) for name in STYLES for change in WRONG if (name, change) not in SAME]


def comes_in(name: str, sample: Tensor) -> None:
    network = from_torch(Looped(STYLES[name]), sample, encoding="none" if sample.dim() == 3 else "direct")
    (neuron,), (kind, reset) = network.neurons, kind_of(name)
    constant = name.startswith("synaptic") and sample.dim() == 2  # what a synapse makes of it is known
    assert type(neuron) is (DLIF if constant else kind)
    assert neuron.reset == reset
    assert any(isinstance(layer, Synapse) for layer in network.layers) == (
        name.startswith("synaptic") and not constant
    )
    decay = neuron.dynamics.decay
    assert decay == DECAY or (name == "hard_by_charge" and abs(decay - DECAY) < 1e-7)


def is_refused(name: str, change: str, step: int) -> bool:
    """Return whether a neuron is refused in one line; else check that it came in as what it computes.

    A threshold of another step is a current, where v goes on by v − d·s, or where no step follows.
    """
    module = Looped(STYLES[name], WRONG[change], step)
    try:
        network = from_torch(module, EVENTS, encoding="none")
    except ConversionRefused as error:
        return "\n" not in str(error)
    assert any(isinstance(layer, PerStep) for layer in network.layers)
    generator = torch.Generator().manual_seed(2)
    for scale in (1.0, 4.0, -3.0):
        inputs = torch.randn(300, Looped.STEPS, 5, generator=generator) * scale
        assert check_conversion(module, network, inputs).matches
    return False


def may_come_in(name: str, change: str, step: int) -> bool:
    """Return whether a current of its own at a step may make a change up."""
    if change == "threshold":
        return kind_of(name)[1] != "zero" or step == Looped.STEPS - 1
    return (name, change) == ("silent_reset", "reset")  # which takes a constant off at that step


@pytest.mark.parametrize("name", [*STYLES][::2])
def test_neurons_by_hand_come_in_as_what_they_compute(name: str):
    comes_in(name, HALF[name])


@pytest.mark.parametrize(("name", "change"), PAIRS[::5])
def test_a_neuron_that_is_another_one_at_one_step_is_refused(name: str, change: str):
    step = 1 + (len(name) + len(change)) % 2
    assert is_refused(name, change, step) or may_come_in(name, change, step)


@pytest.mark.slow
@pytest.mark.parametrize("name", STYLES)
def test_neurons_by_hand_and_all_that_is_wrong_with_them(name: str):
    for sample in (SAMPLE, EVENTS):
        comes_in(name, sample)
    for change in WRONG:
        for step in range(1, Looped.STEPS - (change == "reset")):
            if (name, change) not in SAME:
                assert is_refused(name, change, step) or may_come_in(name, change, step)
