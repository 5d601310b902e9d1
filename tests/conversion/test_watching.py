"""Modules that match on every input that is compared, and differ elsewhere: refused for what they do."""

from collections.abc import Callable
from typing import Any

import norse.torch as norse
import numpy as np
import pytest
import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn

from spikecert import ConversionRefused, from_nir, from_norse, from_snntorch, from_spikingjelly
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


@pytest.mark.parametrize("place", ["current", "state", "output"])
@pytest.mark.parametrize("change", [lambda v: v.clamp(-99, 99), lambda v: torch.where(v > 99, v * 2, v)])
def test_a_function_that_changes_nothing_that_is_compared_is_refused(sample, place, change):
    with pytest.raises(ConversionRefused, match="outside of its layers"):
        from_snntorch(Loop(**{place: change}), sample)


def test_a_state_from_elsewhere_is_refused(sample):
    with pytest.raises(ConversionRefused, match="starts from another state"):
        from_snntorch(Loop(start=lambda v: v + 1e-5), sample)
    with pytest.raises(ConversionRefused, match="a state that it did not give"):
        from_snntorch(Loop(state=lambda v: v * 0.999999), sample)


def test_norse_states_that_start_elsewhere_are_refused(sample):
    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.neuron = nn.Linear(16, 3), norse.LIFBoxCell(dt=0.01)

        def forward(self, x: Tensor) -> Tensor:
            from norse.torch.functional.lif_box import LIFBoxFeedForwardState

            state, found = LIFBoxFeedForwardState(v=torch.full((len(x), 3), 1e-5)), []
            for _ in range(4):
                spikes, state = self.neuron(self.first(x), state)
                found.append(spikes)
            return torch.stack(found)

    with pytest.raises(ConversionRefused, match="starts from another state"):
        from_norse(Module(), sample.float())


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
    with pytest.raises(ConversionRefused, match="no step from 0 to 1"):
        from_snntorch(module, sample.float(), num_steps=4)


def test_layers_that_run_otherwise_than_their_type_are_refused(sample):
    module: Any = nn.Sequential(nn.Linear(16, 12), neuron.IFNode(), nn.Linear(12, 3))
    forward = module[0].forward
    module[0].forward = lambda x: forward(x).clamp(-99, 99)
    with pytest.raises(ConversionRefused, match="0: has a forward of its own"):
        from_spikingjelly(module, sample.float(), num_steps=4)
    del module[0].forward
    module[0].register_forward_hook(lambda layer, given, gave: gave.clamp(-99, 99))
    with pytest.raises(ConversionRefused, match=r"clamp \(test_watching\.py:\d+\) outside of its layers"):
        from_spikingjelly(module, sample.float(), num_steps=4)
    hook = nn.modules.module.register_module_forward_hook(lambda layer, given, gave: None)
    try:
        with pytest.raises(ConversionRefused, match="hook on all modules"):
            from_spikingjelly(module, sample.float(), num_steps=4)
    finally:
        hook.remove()


def test_constants_changed_after_construction_are_refused(sample):
    leaky: Any = snntorch.Leaky(beta=0.5, init_hidden=True)
    leaky.reset_mechanism = "zero"
    with pytest.raises(ConversionRefused, match="another reset_mechanism than it was made with"):
        from_snntorch(nn.Sequential(nn.Linear(16, 3), leaky), sample.float(), num_steps=4)
    node: Any = neuron.IFNode()
    node.v_reset = 1e-5
    with pytest.raises(ConversionRefused, match="resets to 1e-05 but starts at 0"):
        from_spikingjelly(nn.Sequential(nn.Linear(16, 3), node), sample.float(), num_steps=4)


def test_weights_of_two_types_are_refused(sample):
    module = nn.Sequential(nn.Linear(16, 12), neuron.IFNode(), nn.Linear(12, 3).double())
    with pytest.raises(ConversionRefused, match=r"weights of torch\.float32 and torch\.float64"):
        from_spikingjelly(module, sample.float(), num_steps=4)


@pytest.mark.parametrize(
    "output", [lambda v: -v, lambda v: v.flip(1), lambda v: v + torch.tensor([0.0, 1e-5, 0.0])]
)
def test_outputs_are_compared_in_their_own_size(sample, output):
    module = Loop(output=output)
    with torch.no_grad():
        module.second.weight.mul_(1e-5)
        module.second.bias.mul_(1e-5)
    with pytest.raises(ConversionRefused, match="output: the module returns"):
        from_snntorch(module.float(), sample.float())


def test_a_decay_too_small_for_its_reset_is_refused(sample):
    module = nn.Sequential(nn.Linear(16, 3), snntorch.Leaky(torch.tensor(1e-45), init_hidden=True))
    with pytest.raises(ConversionRefused, match="for a spike, expected at most"):
        from_snntorch(module, sample.float(), num_steps=4)


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
