"""Neurons written by hand come in as what they compute; changed at one step, as little as it can be, they do not."""

import pytest
import torch
from torch import Tensor

from spikecert import ConversionRefused, from_torch
from spikecert.models import LIF, AdaptiveLIF, RefractoryLIF, Synapse
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


@pytest.mark.parametrize("sample", [SAMPLE, EVENTS], ids=["direct", "events"])
@pytest.mark.parametrize("name", STYLES)
def test_neurons_by_hand_come_in_as_what_they_compute(name: str, sample: Tensor):
    network = from_torch(Looped(STYLES[name]), sample, encoding="none" if sample.dim() == 3 else "direct")
    (neuron,), (kind, reset) = network.neurons, kind_of(name)
    assert type(neuron) is kind
    assert neuron.reset == reset
    assert any(isinstance(layer, Synapse) for layer in network.layers) == name.startswith("synaptic")
    decay = neuron.dynamics.decay
    assert decay == DECAY or (name == "hard_by_charge" and abs(decay - DECAY) < 1e-7)


@pytest.mark.parametrize("change", WRONG)
@pytest.mark.parametrize("name", STYLES)
def test_a_neuron_that_is_another_one_at_one_step_is_refused(name: str, change: str):
    module = Looped(STYLES[name], WRONG[change], step=1 + (len(name) + len(change)) % 3)
    if (name, change) in SAME:
        return
    with pytest.raises(ConversionRefused) as caught:
        from_torch(module, EVENTS, encoding="none")
    assert "\n" not in str(caught.value)
