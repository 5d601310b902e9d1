"""A circuit says what the network does, node by node, and refuses what it could not say."""

from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert.certify import LInf
from spikecert.certify.verification import bounds
from spikecert.certify.verifiers import INTERVAL, TRAINS, Gain, Linear, MarginVerifier
from spikecert.models import (
    DLIF,
    LIF,
    Residual,
    SpikingNetwork,
    mlp,
)
from spikecert.models.circuit import Added, Algebra, Fired, Input, Mapped, Read, UnknownNode, circuit, fold
from spikecert.models.rules import Leaky, Rule
from spikecert.testing import residual_networks
from support.examples import examples


class Running(Algebra[Tensor]):
    """Runs a circuit: a signal is (T, batch, ...)."""

    reader: ClassVar[str] = "the test"

    def __init__(self, inputs: Tensor, steps: int) -> None:
        self.inputs, self.steps = inputs, steps

    def input(self, node: Input) -> Tensor:
        return self.inputs.expand(self.steps, *self.inputs.shape[1:])

    def mapped(self, node: Mapped, x: Tensor) -> Tensor:
        return torch.stack([node.map.apply(step) for step in x])

    def added(self, node: Added, x: Tensor, y: Tensor) -> Tensor:
        return x + y

    def fired(self, node: Fired, x: Tensor) -> Tensor:
        rule, carried, spikes = node.rule, torch.zeros_like(x[0]), []
        assert isinstance(rule, Leaky)
        for factor, current in zip(rule.factors(self.steps), x, strict=True):
            potential = rule.decay * carried + factor * current
            fires = potential >= rule.threshold if rule.fires_at == ">=" else potential > rule.threshold
            spikes.append(fires.to(x))
            lowered = potential - rule.drop * spikes[-1] if rule.reset == "subtract" else potential
            carried = potential * (1 - spikes[-1]) if rule.reset == "zero" else lowered
        return torch.stack(spikes)

    def read(self, node: Read, x: Tensor) -> Tensor:
        return x.mean(0)


@examples(60)
@given(residual_networks(dtypes=(torch.float64,)), st.integers(0, 2**31))
def test_a_circuit_runs_as_its_network(network: SpikingNetwork, seed: int):
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            layer.bias.data += 1e-3 * torch.rand(layer.bias.shape, generator=torch.Generator().manual_seed(seed))
    made = circuit(network)
    first = network.layers[0]
    assert isinstance(first, nn.Linear)
    shape = (network.num_steps, first.in_features) if network.timed else (first.in_features,)
    inputs = torch.rand(3, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        found = fold(made, Running(made.arranged(inputs), made.num_steps))[-1]
        torch.testing.assert_close(found, network(inputs))


@pytest.mark.parametrize("verifier", [INTERVAL, TRAINS, Linear(), Gain()], ids=lambda verifier: verifier.name)
def test_a_sum_is_of_both_parts(verifier: MarginVerifier):
    """The shortcut takes back what the branch gives."""
    torch.manual_seed(0)
    branch, shortcut = nn.Linear(3, 2), nn.Linear(3, 2)
    shortcut.weight.data = 0.1 - branch.weight.data
    network = SpikingNetwork(nn.Linear(2, 3), LIF(0.9, 0.2), Residual([branch], [shortcut]), num_steps=3).eval()
    inputs = torch.rand(6, 2)
    ends = bounds(network, inputs, LInf(0.0), verifier)
    with torch.no_grad():
        logits = network(inputs).double()
    assert bool(((ends.lower <= logits) & (logits <= ends.upper)).all())


class Stranger(nn.Module):
    """States a rule of this library, and runs by its own code."""

    def rule(self, num_steps: int) -> Leaky:
        return Leaky(0.5)


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (lambda net: net.layers.__setitem__(1, Stranger()), TypeError, "runs otherwise than its node says"),
        (lambda net: net.layers[0].double(), ValueError, "expected all of it in"),
        (lambda net: vars(net).update(readout="potential"), ValueError, "readout"),
    ],
)
def test_what_it_could_not_say_is_refused(change, error: type[Exception], told: str):
    network = mlp((3, 4, 2), num_steps=3)
    change(network)
    with pytest.raises(error, match=told):
        circuit(network)


def test_a_last_potential_needs_neurons_that_never_reset():
    last = LIF(0.9, reset="none")
    network = SpikingNetwork(nn.Linear(2, 2), last, num_steps=3, readout="potential").eval()
    circuit(network)
    last.dynamics = replace(last.dynamics, reset="zero", reset_amount=None)
    with pytest.raises(ValueError, match='needs a final neuron with reset="none"'):
        circuit(network)


@pytest.mark.parametrize(
    "neuron", [LIF(2.0**-140), LIF(0.5, 2.0**-140), LIF(0.5, 1.0, "subtract", reset_amount=1e-40)]
)
def test_a_constant_that_the_run_does_not_hold_is_refused(neuron: LIF):
    network = mlp((3, 4, 2), num_steps=3, neuron=neuron)
    circuit(network.double())
    with pytest.raises(ValueError, match=r"^network: layers\.1: .* expected 0 or a modulus from"):
        circuit(network.float())


def test_a_scale_that_the_run_does_not_hold_is_refused():
    neuron = DLIF(3, 0.5)
    neuron.input_scale.data[1] = 1e-40
    with pytest.raises(ValueError, match=r"^network: layers\.1: input_scale: got"):
        circuit(SpikingNetwork(nn.Linear(2, 2), neuron, nn.Linear(2, 2), num_steps=3))


class Special(Leaky):
    """A rule that no reader names."""


@pytest.mark.parametrize("rule", [Rule(), Special(0.5)], ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("until", [None, 1])
def test_a_rule_that_is_not_named_is_refused_wherever_it_stands(rule: Rule, until: int | None):
    made = circuit(mlp((3, 4, 2), num_steps=3))
    nodes = [replace(node, rule=rule) if isinstance(node, Fired) else node for node in made.nodes]
    with pytest.raises(UnknownNode, match="of rule"):
        fold(replace(made, nodes=tuple(nodes)), Running(torch.rand(1, 2, 3), 3), until)


def test_an_encoding_and_a_node_that_are_not_known_are_refused():
    made = circuit(mlp((3, 4, 2), num_steps=3))

    class Other(Mapped):
        kind = "other"

    first, second, *rest = made.nodes
    assert isinstance(second, Mapped)
    strange = Other(second.name, second.sources, second.map)
    for nodes in ((replace(first, encoding="later"), second, *rest), (first, strange, *rest)):
        with pytest.raises(UnknownNode):
            fold(replace(made, nodes=nodes), Running(torch.rand(1, 2, 3), 3))


def test_a_network_that_was_given_another_encoding_is_refused():
    network = mlp((3, 4, 2), num_steps=3)
    vars(network)["encoding"] = "later"
    with pytest.raises(ValueError, match=r"^encoding: got 'later', expected one of direct"):
        circuit(network)


def test_a_compiled_module_and_a_hook_on_all_modules_are_refused():
    network = mlp((3, 4, 2), num_steps=3)
    network.layers[0]._compiled_call_impl = lambda x: x
    with pytest.raises(ValueError, match="compile"):
        circuit(network)
    network.layers[0]._compiled_call_impl = None
    handle = nn.modules.module.register_module_forward_hook(lambda module, inputs, output: output)
    try:
        with pytest.raises(ValueError, match="hook on all modules"):
            circuit(network)
    finally:
        handle.remove()
    circuit(network)


def test_a_rule_holds_plain_numbers_and_grows_by_what_is_greater():
    assert Leaky(0.5, 1.0, "subtract", drop=2.0).span == 2.0
    assert Leaky(0.5, 3.0, "subtract", drop=2.0).span == 3.0
    dynamics = LIF(0.5).dynamics
    object.__setattr__(dynamics, "decay", torch.tensor(0.5))
    with pytest.raises(TypeError, match=r"^decay: got Tensor, expected a Python float$"):
        Leaky.of(dynamics)


@pytest.mark.parametrize("timed", [False, True])
def test_inputs_are_put_back_as_they_were(timed: bool):
    made = circuit(mlp((3, 4, 2), 5, encoding="none" if timed else "direct"))
    inputs = torch.rand(2, 5, 3) if timed else torch.rand(2, 3)
    arranged = made.arranged(inputs)
    assert arranged.shape == ((5, 2, 3) if timed else (1, 2, 3))
    assert made.rearranged(arranged).equal(inputs)
