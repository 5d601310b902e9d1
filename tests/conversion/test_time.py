"""Neurons take a step a call, or all steps at once: given otherwise, they take the batch for time, or time for it.

Where nothing fires, or states do not matter, no comparison shows that.
"""

from collections.abc import Callable
from typing import Any

import norse.torch as norse
import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based import layer as sj
from spikingjelly.activation_based import neuron as sj_neurons
from torch import Tensor, nn

from spikecert import ConversionRefused, convert
from spikecert.models.conversion.sources import restart
from support.foreign import snntorch

SAMPLE = torch.rand(6, 5, generator=torch.Generator().manual_seed(0))
SILENT = 1e6
STEPS = 4


class Middle(nn.Module):
    """Two dense layers and a neuron between them, which is given a step at each call, or all steps in one."""

    def __init__(self, neuron: nn.Module, at_once: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.neuron, self.last, self.at_once = nn.Linear(5, 8), neuron, nn.Linear(8, 3), at_once
        self.first.weight.data.mul_(3.0)

    def forward(self, x: Tensor) -> Tensor:
        if self.at_once:
            return self.last(_spikes(self.neuron(self.first(x).expand(STEPS, -1, -1))))
        return torch.stack([self.last(_spikes(self.neuron(self.first(x)))) for _ in range(STEPS)])


def _spikes(found: Any) -> Tensor:
    return found[0] if isinstance(found, tuple) else found


def lif(kind: Any, level: float) -> nn.Module:
    return kind(norse.LIFParameters(tau_mem_inv=torch.tensor(500.0), v_th=torch.tensor(level)))


SINGLE: dict[str, Callable[[float], nn.Module]] = {
    "IFNode": lambda level: sj_neurons.IFNode(v_threshold=level),
    "LIFNode": lambda level: sj_neurons.LIFNode(v_threshold=level),
    "ParametricLIFNode": lambda level: sj_neurons.ParametricLIFNode(v_threshold=level),
    "linear": lambda level: sj.LinearRecurrentContainer(sj_neurons.IFNode(level), 8, 8),
    "sum": lambda level: sj.ElementWiseRecurrentContainer(sj_neurons.IFNode(level), torch.add),
    "Leaky": lambda level: snntorch.Leaky(0.9, threshold=level, init_hidden=True),
    "Synaptic": lambda level: snntorch.Synaptic(0.9, 0.8, threshold=level, init_hidden=True),
    "RLeaky": lambda level: snntorch.RLeaky(0.9, linear_features=8, threshold=level, init_hidden=True),
}
"""Neurons that take one step a call."""
CELLS: dict[str, Callable[[float], nn.Module]] = {
    "LIFCell": lambda level: lif(norse.LIFCell, level),
    "LIFRecurrentCell": lambda level: norse.LIFRecurrentCell(8, 8, norse.LIFParameters(v_th=torch.tensor(level))),
}
SEVERAL: dict[str, Callable[[float], nn.Module]] = {
    **{kind: lambda level, kind=kind: stepped(SINGLE[kind](level)) for kind in list(SINGLE)[:5]},
    "LIF": lambda level: lif(norse.LIF, level),
    "LIFRecurrent": lambda level: norse.LIFRecurrent(8, 8, norse.LIFParameters(v_th=torch.tensor(level))),
    "Lift": lambda level: norse.Lift(lif(norse.LIFCell, level)),
    "MultiStepContainer": lambda level: sj.MultiStepContainer(sj_neurons.IFNode(level)),
    "StepModeContainer": lambda level: sj.StepModeContainer(True, "m", sj_neurons.IFNode(level)),
}
"""Neurons, and containers of one, that take all steps at once."""


def stepped(module: Any) -> nn.Module:
    module.step_mode = "m"
    return module


@pytest.mark.parametrize("kind", SINGLE)
def test_a_step_a_call_comes_in(kind: str):
    assert convert(Middle(SINGLE[kind](0.5), at_once=False), SAMPLE).check.rates[0] > 0


@pytest.mark.parametrize("kind", SEVERAL)
def test_all_steps_at_once_come_in(kind: str):
    assert convert(Middle(SEVERAL[kind](0.1), at_once=True), SAMPLE).check.matches


@pytest.mark.parametrize("kind", list(SINGLE)[:5])
def test_time_that_is_taken_for_the_batch_is_refused_even_where_nothing_fires(kind: str):
    with pytest.raises(ConversionRefused, match="stack: makes a second axis of time"):
        convert(Middle(SINGLE[kind](SILENT), at_once=True), SAMPLE)


@pytest.mark.parametrize("level", [0.5, 0.1])
@pytest.mark.parametrize("kind", [*list(SINGLE)[5:], *CELLS])
def test_a_step_that_is_taken_once_for_all_has_no_memory(kind: str, level: float):
    """What is called once starts anew for each step: a neuron whose λ is 0."""
    module = Middle({**SINGLE, **CELLS}[kind](level), at_once=True)
    network, far = convert(module, SAMPLE).network, 9.0 * torch.randn(40, 5)
    restart(module)
    with torch.no_grad():
        torch.testing.assert_close(network(far), module(far).mean(0))


@pytest.mark.parametrize("kind", SEVERAL)
def test_a_batch_that_is_taken_for_time_is_refused_even_where_nothing_fires(kind: str):
    with pytest.raises(
        ConversionRefused,
        match=r"test_time\.py:\d+: select: takes one entry of the batch axis; expected steps of time only",
    ):
        convert(Middle(SEVERAL[kind](SILENT), at_once=False), SAMPLE, None)


@pytest.mark.parametrize("kind", [sj.SeqToANNContainer, lambda *parts: sj.StepModeContainer(False, "m", *parts)])
def test_a_neuron_in_a_container_of_layers_without_states_is_refused(kind: Any):
    inner = kind(sj_neurons.IFNode(SILENT))
    with pytest.raises(ConversionRefused):
        convert(Middle(inner, at_once=True), SAMPLE)


def test_a_node_of_several_steps_within_a_container_is_given_all_of_them():
    """All that is in step mode "m" is called once, with a sequence: so there is no step before, to be heard."""
    torch.manual_seed(0)
    container = sj.LinearRecurrentContainer(sj_neurons.IFNode(0.5), 8, 8)
    container.sub_module.step_mode = "m"  # type: ignore[assignment]
    module = nn.Sequential(nn.Linear(5, 8), container, nn.Linear(8, 3))
    network, far = convert(module, SAMPLE, STEPS).network, 9.0 * torch.randn(40, 5)
    functional.reset_net(module)
    with torch.no_grad():
        torch.testing.assert_close(network(far), module(far.expand(STEPS, -1, -1)).mean(0))


def test_containers_that_take_no_single_step_are_given_all():
    torch.manual_seed(0)
    parts = nn.Linear(5, 8), sj_neurons.IFNode(0.5), nn.Linear(8, 3)
    assert convert(sj.MultiStepContainer(*parts), SAMPLE, STEPS).check.rates[0] > 0
    layers = sj.SeqToANNContainer(parts[0]), stepped(sj_neurons.IFNode(0.5)), sj.SeqToANNContainer(parts[2])
    assert convert(nn.Sequential(*layers), SAMPLE, STEPS).check.rates[0] > 0


class Once(nn.Module):
    """A first layer whose neuron is called once for all steps, and a second one at each of them."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(5, 8), first, nn.Linear(8, 3), second])

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self)
        spikes = self.layers[1](self.layers[0](x))
        return torch.stack([self.layers[3](self.layers[2](spikes)) for _ in range(STEPS)])


def test_a_neuron_that_is_called_once_for_all_steps_fires_alike_at_each():
    module = nn.Sequential(Once(sj_neurons.IFNode(0.5), sj_neurons.IFNode(0.1)))
    network, far = convert(module, SAMPLE).network, 9.0 * torch.randn(40, 5)
    with torch.no_grad():
        torch.testing.assert_close(network(far), module(far).mean(0))


def test_a_mode_that_is_set_for_all_is_each_layers_own():
    torch.manual_seed(0)
    parts = sj.Linear(5, 8), sj.LinearRecurrentContainer(sj_neurons.IFNode(0.5), 8, 8), sj.Linear(8, 3)
    module = nn.Sequential(*parts)
    functional.set_step_mode(module, "m")
    assert convert(module, SAMPLE, STEPS).check.matches
