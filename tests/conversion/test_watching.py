"""Modules that match on every input that is compared, and differ elsewhere: refused for what they do."""

from collections.abc import Callable
from typing import Any

import norse.torch as norse
import numpy as np
import pytest
import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn

from spikecert import ConversionRefused, convert, from_nir, from_norse, from_snntorch, from_spikingjelly
from spikecert.models import RefractoryLIF
from support.foreign import snntorch

Change = Callable[[Tensor], Tensor]


def same(value: Tensor) -> Tensor:
    return value


class Loop(nn.Module):
    """Two snnTorch layers over six steps, with a function in four places, which does nothing at first."""

    def __init__(self, current: Change = same, state: Change = same, start: Change = same, output: Change = same):
        super().__init__()
        self.first, self.second = nn.Linear(16, 12), nn.Linear(12, 3)
        self.neuron: Any = snntorch.Leaky(beta=0.5)
        self.changes = current, state, start, output

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of the last layer over time."""
        current, state, start, output = self.changes
        potential, found = start(torch.zeros(len(x), 12, dtype=x.dtype)), []
        for _ in range(6):
            spikes, potential = self.neuron(current(self.first(x)), potential)
            potential = state(potential)
            found.append(self.second(spikes))
        return output(torch.stack(found).mean(0))


def test_a_loop_that_does_nothing_else_is_accepted(sample):
    assert from_snntorch(Loop(), sample).num_steps == 6


WHERE = (
    r"test_watching\.py:\d+: (clamp: a lower bound|fires at one step only)"
    r"|signals multiply each other|hears the potential of a neuron"
)


@pytest.mark.parametrize("place", ["current", "state", "output"])
@pytest.mark.parametrize("change", [lambda v: v.clamp(-99, 99), lambda v: torch.where(v > 99, v * 2, v)])
def test_a_function_that_changes_nothing_that_is_compared_is_refused(sample, place, change):
    with pytest.raises(ConversionRefused, match=WHERE):
        from_snntorch(Loop(**{place: change}), sample)


def test_potentials_are_counted_from_another_start(sample):
    made = convert(Loop(start=lambda v: v + 0.25), sample)
    assert made.check.matches
    assert made.network.neurons[0].dynamics.threshold == 0.75


def test_a_state_that_fades_besides_is_refused(sample):
    """The reset of the next step is decided by what is left."""
    with pytest.raises(ConversionRefused, match=r"test_watching\.py:\d+: is no neuron that is known here"):
        convert(Loop(state=lambda v: v * 0.999999), sample)


def test_norse_states_that_start_elsewhere_come_in(sample):
    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.neuron = nn.Linear(16, 3), norse.LIFBoxCell(dt=0.005)

        def forward(self, x: Tensor) -> Tensor:
            from norse.torch.functional.lif_box import LIFBoxFeedForwardState

            state, found = LIFBoxFeedForwardState(v=torch.full((len(x), 3), 1e-5)), []
            for _ in range(4):
                spikes, state = self.neuron(self.first(x), state)
                found.append(spikes)
            return torch.stack(found)

    (layer,) = from_norse(Module(), sample.float()).neurons
    assert isinstance(layer, RefractoryLIF)
    assert (layer.rest, layer.start) == (0, pytest.approx(2e-5))


class Above(surrogate.SurrogateFunctionBase):
    """A spike strictly above the threshold, where SpikingJelly's own are at it, too."""

    def forward(self, x: Tensor) -> Tensor:
        """Return 1 above 0."""
        return (x > 0).to(x)


def test_a_spike_function_of_ones_own_decides_ties():
    module: Any = nn.Sequential(
        nn.Linear(1, 1, bias=False), neuron.IFNode(surrogate_function=Above(), v_reset=None)
    )
    module[0].weight.data.fill_(1.0)
    network = from_spikingjelly(module, torch.rand(8, 1), num_steps=1)
    assert network(torch.ones(1, 1)).item() == module(torch.ones(1, 1)).item() == 0.0
    module = nn.Sequential(
        nn.Linear(1, 1, bias=False), snntorch.Leaky(0.5, spike_grad=lambda v: (v >= 0).float(), init_hidden=True)
    )
    module[0].weight.data.fill_(1.0)
    network = from_snntorch(module, torch.rand(8, 1), num_steps=1)
    assert network(torch.ones(1, 1)).item() == module(torch.ones(1, 1)).item() == 1.0


def test_a_spike_function_that_is_no_step_is_refused(sample):
    module = nn.Sequential(nn.Linear(16, 3), snntorch.Leaky(0.5, spike_grad=torch.sigmoid, init_hidden=True))
    with pytest.raises(ConversionRefused, match="sigmoid: of a signal it is a graded gate"):
        from_snntorch(module, sample.float(), num_steps=4)


def test_layers_that_run_otherwise_than_their_type_are_refused(sample):
    module: Any = nn.Sequential(nn.Linear(16, 12), neuron.IFNode(), nn.Linear(12, 3))
    forward = module[0].forward
    module[0].forward = lambda x: forward(x).clamp(-99, 99)
    with pytest.raises(ConversionRefused, match=r"test_watching\.py:\d+: clamp: a lower bound"):
        from_spikingjelly(module, sample.float(), num_steps=4)
    del module[0].forward
    module[0].register_forward_hook(lambda layer, given, gave: gave.clamp(-99, 99))
    with pytest.raises(ConversionRefused, match=r"test_watching\.py:\d+: clamp: a lower bound"):
        from_spikingjelly(module, sample.float(), num_steps=4)
    module[0]._forward_hooks.clear()
    hook = nn.modules.module.register_module_forward_hook(
        lambda layer, given, gave: gave * 1.0 + 0.0 * gave.mean()
    )
    try:
        with pytest.raises(ConversionRefused, match=r"test_watching\.py:\d+: mean: "):
            from_spikingjelly(module, sample.float(), num_steps=4)
    finally:
        hook.remove()


def test_a_neuron_is_what_it_runs_by_and_not_what_it_says(sample):
    leaky: Any = snntorch.Leaky(beta=0.5, init_hidden=True)
    leaky.reset_mechanism = "zero"
    network = from_snntorch(nn.Sequential(nn.Linear(16, 3), leaky), sample.float(), num_steps=4)
    assert network.neurons[0].reset == "subtract"
    node: Any = neuron.IFNode()
    node.v_reset = 0.25
    module = nn.Sequential(nn.Linear(16, 3), node)
    network = from_spikingjelly(module, 9.0 * sample.float(), num_steps=4)
    total, far = torch.zeros(40, 3), 9.0 * torch.randn(40, 16)
    node.reset()
    with torch.no_grad():
        for _ in range(4):
            total = total + module(far)
        torch.testing.assert_close(network(far), total / 4)


def test_weights_of_two_types_are_refused(sample):
    module = nn.Sequential(nn.Linear(16, 12), neuron.IFNode(), nn.Linear(12, 3).double())
    with pytest.raises(ConversionRefused, match="must have the same dtype, but got Float and Double"):
        from_spikingjelly(module, sample.float(), num_steps=4)


@pytest.mark.parametrize("output", [lambda v: -v, lambda v: v + torch.tensor([0.0, 1e-5, 0.0])])
def test_small_outputs_are_what_they_are(sample, output):
    module = Loop(output=output).float()
    with torch.no_grad():
        module.second.weight.mul_(1e-5)
        module.second.bias.mul_(1e-5)
    network = from_snntorch(module, sample.float())
    with torch.no_grad():
        torch.testing.assert_close(network(sample.float()), module(sample.float()), rtol=1e-4, atol=1e-10)


def test_outputs_in_another_order_are_refused(sample):
    with pytest.raises(ConversionRefused, match=r"test_watching\.py:\d+: flip: turns an axis around"):
        from_snntorch(Loop(output=lambda v: v.flip(1)).float(), sample.float())


def test_a_decay_too_small_for_its_reset_is_what_it_computes(sample):
    """A delayed reset of θ is one of θ/β at once, which is too much for float32: nothing of it is written so."""
    module = nn.Sequential(nn.Linear(16, 3), snntorch.Leaky(torch.tensor(1e-45), init_hidden=True))
    found = convert(module, 9.0 * sample.float(), num_steps=4)
    assert found.check.matches
    assert found.check.rates[0] > 0
    total, far = torch.zeros(40, 3), 9.0 * torch.randn(40, 16)
    module[1].reset_mem()  # pyright: ignore[reportCallIssue]
    with torch.no_grad():
        for _ in range(4):
            total = total + module(far)
        torch.testing.assert_close(found.network(far), total / 4)


def test_graphs_with_constants_missing_or_of_another_kind_are_refused():
    nir: Any = pytest.importorskip("nir")

    def graph(**changes: Any) -> Any:
        constants = {"tau": 1e-3, "r": 10.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
        node = nir.LIF(**{key: np.full(3, value) for key, value in constants.items()})
        for key, value in changes.items():
            setattr(node, key, value)
        ends = nir.Input(np.array([2])), nir.Output(np.array([3]))
        weights = nir.Linear(np.ones((3, 2), np.float32))
        return nir.NIRGraph.from_list(ends[0], weights, node, ends[1], type_check=False)

    for changes, told in (({"v_reset": None}, "LIF without v_reset"), ({"r": np.full(3, 1 + 1j)}, "complex")):
        with pytest.raises(ConversionRefused, match=told):
            from_nir(graph(**changes), num_steps=4)
    for metadata, told in (
        ({"num_steps": "many"}, "num_steps: got 'many'"),
        ({"num_steps": 10**9}, "num_steps: got 1e\\+09"),
        ({"num_steps": 2.5}, "num_steps: got 2.5"),
        ({"num_steps": 4, "dt": "short"}, "dt: got 'short'"),
        ({"num_steps": 4, "dt": np.inf}, "dt: got inf"),
    ):
        told_graph = graph()
        told_graph.metadata = metadata
        with pytest.raises(ValueError, match=told):
            from_nir(told_graph)


def test_a_single_step_is_asked_for_by_its_number(sample):
    module = nn.Sequential(nn.Linear(16, 3), snntorch.Leaky(0.5, init_hidden=True))
    with pytest.raises(ConversionRefused, match="num_steps is not given"):
        from_snntorch(module, sample.float())
    assert from_snntorch(module, sample.float(), num_steps=1).num_steps == 1
