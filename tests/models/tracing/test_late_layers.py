"""Layers that hear spikes of a step before, of inputs over time: at first steps biases alone have reached them.

Neurons by hand come in as what they compute; changed at one step, by as little as can be, they do not.
"""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from spikecert import ConversionRefused, PerStep, convert, from_torch
from spikecert.models import DLIF, LIF, AdaptiveLIF, RefractoryLIF, Synapse, check_conversion
from support.traced_neurons import STYLES, WRONG, Looped

STEPS = 6


class Late(nn.Module):
    """Spikes of the potential before, as hybrid conversions have them: each layer comes a step later.

    Args:
        layers: how many.
        change: the bias of the last one is times 1 + this at a step.
        at: that step.
        first: its potential begins with this.
    """

    def __init__(self, layers: int, change: float = 0.0, at: int = -1, first: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(1)
        sizes = [5, 6, 4, 4][: layers + 1]
        self.each = [nn.Linear(one, other) for one, other in pairwise(sizes)]
        self.layers = nn.ModuleList(self.each)
        for layer in self.each:
            layer.weight.data.mul_(5.0)
        self.read, self.change, self.at, self.first = nn.Linear(sizes[-1], 3), change, at, first

    def forward(self, x: Tensor) -> Tensor:
        potentials = [x.new_zeros(x.shape[1], layer.out_features) for layer in self.each]
        potentials[-1] = potentials[-1] + self.first
        total = x.new_zeros(x.shape[1], 3)
        for t in range(STEPS):
            signal = x[t]
            for place, layer in enumerate(self.each):
                spike = (potentials[place] / 0.7 - 1.0 > 0).to(x.dtype)
                last = place == len(self.each) - 1 and t == self.at
                current = layer(signal) + (self.change * layer.bias if last else 0.0)
                potentials[place] = 0.95 * potentials[place] + current - 0.7 * spike
                signal = spike
            total = total + self.read(signal)
        return total


def sample(count: int = 8, seed: int = 1) -> Tensor:
    return torch.rand(count, STEPS, 5, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("layers", "first"), [(2, 0.0), (3, 0.0), (2, 2.0**-12), (2, 0.25)])
def test_layers_that_biases_alone_have_reached_come_in(layers: int, first: float):
    """A first potential elsewhere is where potentials are counted from, not a rounding."""
    module = Late(layers, first=first)
    network = convert(module, sample(), encoding="none").network
    assert len(network.neurons) > layers
    for seed, scale in enumerate((1.0, 10.0, 1000.0, -3.0)):
        x = scale * sample(250, seed)
        theirs, ours = module(x.transpose(0, 1)), network(x)
        assert torch.allclose(theirs, ours, atol=1e-4)


@pytest.mark.parametrize("change", [2.0**-12, -0.5])
@pytest.mark.parametrize("at", range(STEPS - 1))
def test_a_bias_that_is_another_at_one_step_is_refused(change: float, at: int):
    with pytest.raises(ConversionRefused):
        convert(Late(2, change, at), sample(), encoding="none")


@pytest.mark.parametrize("at", range(STEPS - 1))
def test_roundings_are_those_of_the_type(at: int):
    """What a few roundings in float32 would be is another bias in float64."""
    assert convert(Late(2).double(), sample().double(), encoding="none").check.matches
    with pytest.raises(ConversionRefused):
        convert(Late(2, 2.0**-24, at).double(), sample().double(), encoding="none")


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
