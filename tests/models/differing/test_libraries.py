"""Builds of other libraries against the network that was meant: what each does otherwise is named."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert import LIF, Synapse, differ
from support.builds import network, samples

ONE, TWO = nn.Linear(6, 12), nn.Linear(12, 4)
with torch.random.fork_rng(devices=[]), torch.no_grad():
    torch.manual_seed(0)
    for layer, scale in ((ONE, 3.0), (TWO, 4.0)):
        layer.reset_parameters()
        layer.weight.mul_(scale)
SOFT = network(
    ONE, LIF(0.9, reset="subtract", fires_at=">"), TWO, LIF(0.8, reset="subtract", fires_at=">"), num_steps=10
)
HARD = network(ONE, LIF(0.9), TWO, LIF(0.8), num_steps=10)


class OfSnnTorch(nn.Module):
    def __init__(self, beta: float = 0.9, **settings: Any) -> None:
        super().__init__()
        snntorch = pytest.importorskip("snntorch")
        self.one, self.two = copy.deepcopy((ONE, TWO))
        self.first, self.second = snntorch.Leaky(beta, **settings), snntorch.Leaky(0.8, **settings)

    def forward(self, x: Tensor) -> Tensor:
        u, v, found = self.first.reset_mem(), self.second.reset_mem(), []
        for _ in range(10):
            s, u = self.first(self.one(x), u)
            s, v = self.second(self.two(s), v)
            found.append(s)
        return torch.stack(found)


SNNTORCH = {
    "a reset that comes late": ({}, "order: layers.1, layers.3: B resets behind the leak of the next step"),
    "one that does not": ({"reset_delay": False}, "order: layers.1, layers.3: B takes off again, a step later"),
    "another beta": ({"beta": 0.85, "reset_delay": False}, "decay: layers.1: λ = 0.9 against 0.85; and order: "),
    "to zero": (
        {"reset_mechanism": "zero", "reset_delay": False},
        "reset: layers.1, layers.3: by subtraction against",
    ),
}


@pytest.mark.parametrize("name", SNNTORCH)
def test_what_snntorch_does_otherwise_is_named(name: str) -> None:
    settings, words = SNNTORCH[name]
    found = differ(SOFT, OfSnnTorch(**settings), samples())
    assert found.mended
    assert found.cause.startswith(words)
    assert not found.same


SPIKINGJELLY = {
    "the same": ({}, ""),
    "an input that decays": ({"decay_input": True}, "decay: layers.1, layers.3: B lets its input decay, too"),
    "a rest": ({"v_reset": -0.3}, "reset: layers.1, layers.3: to 0 against -0.3"),
}


@pytest.mark.parametrize("name", SPIKINGJELLY)
@pytest.mark.filterwarnings("ignore")
def test_what_spikingjelly_does_otherwise_is_named(name: str) -> None:
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
    settings, words = SPIKINGJELLY[name]
    given = {"decay_input": False, "v_reset": 0.0} | settings
    one, two = copy.deepcopy((ONE, TWO))
    module = nn.Sequential(one, neuron.LIFNode(10.0, **given), two, neuron.LIFNode(5.0, **given))
    found = differ(HARD, module, samples(), num_steps=10)
    assert found.cause.startswith(words)
    assert found.same == (words == "")
    assert found.mended == (words != "")


def test_what_norse_does_otherwise_is_named() -> None:
    norse = pytest.importorskip("norse.torch")
    rates = norse.LIFParameters(tau_mem_inv=torch.tensor(100.0), tau_syn_inv=torch.tensor(200.0))
    one, two = copy.deepcopy((ONE, TWO))
    module = norse.SequentialState(one, norse.LIFCell(rates), two, norse.LIFCell(rates))
    parts = (ONE, Synapse(0.8), LIF(0.9, fires_at=">"), TWO, Synapse(0.8), LIF(0.9, fires_at=">"))
    found = differ(network(*parts, num_steps=10), module, samples(), num_steps=10)
    assert found.mended
    assert found.cause.startswith("decay: ")
    assert "lets its input decay, too" in found.cause
