"""States passed by hand: each spelling of the libraries' documents comes in, and no wrong one, fire or not."""

from importlib import import_module
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer as sj
from spikingjelly.activation_based import neuron as sj_neurons
from torch import Tensor, nn

from spikecert import ConversionRefused, convert
from spikecert.models import check_conversion
from support.state_loops import (
    CELLS,
    NORSE_SPELLINGS,
    NORSE_WRONG,
    OWN,
    SPELLINGS,
    WRONG,
    ByHand,
    NorseByHand,
    from_states,
    neuron,
    strong,
)

GENERATOR = torch.Generator().manual_seed(0)
SAMPLE = torch.rand(6, 5, generator=GENERATOR)
FRESH = torch.cat([torch.rand(40, 5, generator=GENERATOR), 4 * torch.randn(40, 5, generator=GENERATOR)])
OTHERWISE = r"state_loops\.py|test_states\.py|output: is not the same function of each step|hear each other"
"""How each refusal names the line, or what comes out."""
SILENT = 1e6
"""A threshold that nothing reaches."""


def equal(module: nn.Module) -> None:
    """Convert a module, and compare its outputs with the network's on inputs that were not compared."""
    found = convert(module, SAMPLE)
    assert found.check.matches
    assert found.check.rates[0] > 0
    with torch.no_grad():
        theirs = module(FRESH)
        torch.testing.assert_close(found.network(FRESH), theirs.mean(0))


def made(kind: str, spelling: str = "reset_mem", wrong: str = "", count: int = 2, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return strong(ByHand([neuron(kind, **options) for _ in range(count)], spelling, wrong))


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("kind", OWN)
def test_each_spelling_of_snntorch_comes_in(kind: str, spelling: str):
    equal(made(kind, spelling))


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("kind", OWN)
def test_no_wrong_state_comes_in_even_where_nothing_fires(kind: str, wrong: str):
    if wrong in ("swapped", "spikes of another") and len(OWN[kind]) == 1:
        pytest.skip("has one state")
    with pytest.raises(ConversionRefused, match=OTHERWISE) as caught:
        convert(made(kind, wrong=wrong, threshold=SILENT), SAMPLE)
    assert "\n" not in str(caught.value)


def test_random_loops_come_in_where_they_are_right_and_spike_alike():
    right = [made for seed in range(24) if (made := from_states(seed)).refusal is None]
    assert 6 < len(right) < 20
    for made in right:
        network = convert(made.source, made.sample).network
        assert check_conversion(made.source, network, FRESH).matches


def test_random_loops_are_refused_where_they_are_wrong():
    for seed in range(24):
        if (made := from_states(seed)).refusal is not None:
            with pytest.raises(ConversionRefused, match=made.refusal):
                convert(made.source, made.sample)


TOLD = {
    ("RLeaky", "swapped"): "step 3 reads its potential of step 2 besides",
    ("RSynaptic", "swapped"): "step 3 reads its potential of step 2 besides",
    ("Synaptic", "swapped"): r"step \d reads another layer's potential of step \d besides",
    ("Leaky", "older"): r"step \d reads its potential of step 2 besides",
    ("Leaky", "other layer"): "fires at 2 of 5 steps, by one equation",
    ("RLeaky", "spikes of another"): "step 1 takes in another current than step 5",
    ("RLeaky", "zeros again"): "step 4 reads its potential of step 2 besides",
    ("Leaky", "halved"): "fires at 2 of 5 steps, by one equation",
}


@pytest.mark.parametrize(("kind", "wrong"), TOLD)
def test_a_refusal_says_which_state_it_is(kind: str, wrong: str):
    with pytest.raises(ConversionRefused, match=TOLD[kind, wrong]):
        convert(made(kind, wrong=wrong), SAMPLE)


class Potential(nn.Module):
    """Takes the potential for the spikes, as in `spk, mem = layer(x, mem, mem)`."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.neuron = nn.Linear(5, 8), neuron("RLeaky")

    def forward(self, x: Tensor) -> Tensor:
        _, mem = self.neuron.reset_mem()  # type: ignore[operator]
        made = []
        for _ in range(4):
            spk, mem = self.neuron(self.first(x), mem, mem)
            made.append(spk)
        return torch.stack(made)


def test_a_potential_that_is_passed_as_spikes_is_told():
    with pytest.raises(ConversionRefused, match=r"test_states\.py:\d+: fires at 2 of 4 steps, by one equation"):
        convert(strong(Potential()), SAMPLE)


def cells(kind: str, spelling: str = "positional", wrong: str = "") -> nn.Module:
    torch.manual_seed(0)
    return strong(NorseByHand([CELLS[kind]() for _ in range(2)], spelling, wrong))


@pytest.mark.parametrize("spelling", NORSE_SPELLINGS)
@pytest.mark.parametrize("kind", CELLS)
def test_each_spelling_of_norse_comes_in(kind: str, spelling: str):
    equal(cells(kind, spelling))


@pytest.mark.parametrize("wrong", NORSE_WRONG)
@pytest.mark.parametrize("kind", CELLS)
def test_no_wrong_state_of_norse_comes_in(kind: str, wrong: str):
    if wrong == "swapped" and kind in ("LIFBoxCell", "IAFCell"):
        pytest.skip("has one state")
    with pytest.raises(ConversionRefused, match=OTHERWISE):
        convert(cells(kind, wrong=wrong), SAMPLE)


class Kept(nn.Module):
    """A layer that keeps its states, and `change` what is done to it behind the second step."""

    def __init__(
        self, layer: nn.Module, change: Any = lambda layer: None, start: Any = lambda layer: None
    ) -> None:
        super().__init__()
        self.first, self.layer, self.last, self.calls = nn.Linear(5, 8), layer, nn.Linear(8, 3), (change, start)

    def forward(self, x: Tensor) -> Tensor:
        change, start = self.calls
        start(self.layer)
        made = []
        for t in range(5):
            made.append(self.last(self.layer(self.first(x))))
            if t == 1:
                change(self.layer)
        return torch.stack(made)


CONTAINERS: dict[str, Any] = {
    "linear": lambda node: sj.LinearRecurrentContainer(node, 8, 8),
    "sum": lambda node: sj.ElementWiseRecurrentContainer(node, torch.add),
    "none": lambda node: node,
}


@pytest.mark.parametrize("start", [lambda layer: None, functional.reset_net], ids=["fresh", "reset"])
@pytest.mark.parametrize("kind", CONTAINERS)
def test_spikingjellys_states_are_its_own(kind: str, start: Any):
    torch.manual_seed(0)
    equal(strong(Kept(CONTAINERS[kind](sj_neurons.LIFNode(v_threshold=0.5)), start=start)))


CHANGES: dict[str, Any] = {
    "reset": functional.reset_net,
    "potential": lambda layer: setattr(_node(layer), "v", _node(layer).v * 0.5),
    "spikes": lambda layer: setattr(layer, "y", torch.zeros_like(layer.y)),
}


def _node(layer: Any) -> Any:
    return getattr(layer, "sub_module", layer)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", CONTAINERS)
def test_states_that_are_set_between_steps_are_refused_even_where_nothing_fires(kind: str, change: str):
    if change == "spikes" and kind == "none":
        pytest.skip("has one state")
    module = Kept(CONTAINERS[kind](sj_neurons.LIFNode(v_threshold=SILENT)), CHANGES[change])
    with pytest.raises(ConversionRefused, match=OTHERWISE):
        convert(module, SAMPLE)


@pytest.mark.parametrize("change", ["reset_mem", "scaled"])
@pytest.mark.parametrize("kind", OWN)
def test_hidden_states_that_are_set_between_steps_are_refused_even_where_nothing_fires(kind: str, change: str):
    module = Kept(neuron(kind, threshold=SILENT, init_hidden=True), _scaled if change == "scaled" else _reset)
    with pytest.raises(ConversionRefused, match=OTHERWISE):
        convert(module, SAMPLE)


def _scaled(layer: Any) -> None:
    layer.mem = layer.mem * 0.5


def _reset(layer: Any) -> None:
    layer.reset_mem()


@pytest.mark.parametrize("kind", OWN)
def test_hidden_states_that_are_reset_first_come_in(kind: str):
    torch.manual_seed(0)
    equal(strong(Kept(neuron(kind, threshold=0.5, init_hidden=True), start=_reset)))
    equal(strong(Kept(neuron(kind, threshold=0.5, init_hidden=True), start=import_module("snntorch.utils").reset)))
