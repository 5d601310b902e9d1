"""A circuit says what the network does, node by node, and refuses what it could not say.

The fused membrane recursion against the plain one: values, gradients, ties, closed forms.
"""

import itertools
import math
from dataclasses import replace
from typing import Any, ClassVar

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
    Arctan,
    Dynamics,
    Residual,
    Sigmoid,
    SpikingNetwork,
    Surrogate,
    Triangle,
    mlp,
)
from spikecert.models.circuit import Added, Algebra, Fired, Input, Mapped, Read, UnknownNode, circuit, fold
from spikecert.models.dynamics import FIRES_AT, RESETS
from spikecert.models.elements.neurons import in_full
from spikecert.models.rules import Leaky, Rule
from spikecert.models.running.membrane import simulate
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


TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


def random_case(dtype: torch.dtype, constant: bool, scaled: bool, steps: int = 5) -> tuple[Tensor, Tensor | None]:
    generator = torch.Generator().manual_seed(1)
    shape = (1 if constant else steps, 4, 3, 2)
    current = torch.randn(shape, generator=generator, dtype=dtype).mul_(0.8).requires_grad_()
    scale = torch.randn(steps, generator=generator, dtype=dtype).requires_grad_() if scaled else None
    return current, scale


@pytest.mark.parametrize(("reset", "fires_at"), list(itertools.product(RESETS, FIRES_AT)))
@pytest.mark.parametrize(("constant", "scaled"), list(itertools.product((False, True), repeat=2)))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_equal_the_plain_recursion(
    reference_neuron: Any, reset: str, fires_at: str, constant: bool, scaled: bool, dtype: torch.dtype
) -> None:
    compare_with_plain(reference_neuron, Dynamics(0.8, 0.7, reset, fires_at), constant, scaled, dtype)


@pytest.mark.parametrize("amount", [0.3, 1.4])
@pytest.mark.parametrize("constant", [False, True])
def test_a_subtracting_reset_takes_its_amount(reference_neuron: Any, amount: float, constant: bool) -> None:
    dynamics = Dynamics(0.8, 0.7, "subtract", reset_amount=amount)
    assert dynamics.drop == amount
    compare_with_plain(reference_neuron, dynamics, constant, True, torch.float64)


def compare_with_plain(
    reference_neuron: Any, dynamics: Dynamics, constant: bool, scaled: bool, dtype: torch.dtype
) -> None:
    current, scale = random_case(dtype, constant, scaled)
    wrt = [tensor for tensor in (current, scale) if tensor is not None]
    results = []
    for run in (simulate, reference_neuron):
        potentials, spikes = run(current, scale, dynamics, 5)
        weights = torch.linspace(-1, 1, potentials.numel(), dtype=dtype).view_as(potentials)
        gradients = torch.autograd.grad((weights * potentials + weights.flip(0) * spikes).sum(), wrt)
        results.append((potentials, spikes, *gradients))
    assert 0 < float(results[0][1].detach().sum()) < results[0][1].numel()
    for ours, plain in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("surrogate", [Triangle(0.6), Sigmoid(0.3), Arctan(1.5)], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("output", [0, 1], ids=["potentials", "spikes"])
@pytest.mark.parametrize("reset", RESETS)
def test_gradients_of_either_output_alone(
    reference_neuron: Any, surrogate: Surrogate, output: int, reset: str
) -> None:
    dynamics = Dynamics(0.9, reset=reset, surrogate=surrogate)
    current, _ = random_case(torch.float64, constant=False, scaled=False)
    gradients = []
    for run in (simulate, reference_neuron):
        result = run(current, None, dynamics, 5)[output]
        gradients.append(torch.autograd.grad(result.square().sum(), current)[0])
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


dyadic = st.integers(-6, 6).map(lambda k: k / 4)


@examples(150)
@given(
    currents=st.lists(dyadic, min_size=1, max_size=6),
    scale=st.lists(dyadic, min_size=6, max_size=6),
    decay=st.sampled_from([0.0, 0.5, 1.0]),
    reset=st.sampled_from(RESETS),
    fires_at=st.sampled_from(FIRES_AT),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_ties_resolve_as_fires_at_says(
    currents: list[float], scale: list[float], decay: float, reset: str, fires_at: str, dtype: torch.dtype
) -> None:
    """Dyadic numbers are exact in floating point, so that many potentials lie exactly on the threshold."""
    steps = len(currents)
    current = torch.tensor(currents, dtype=dtype).view(steps, 1, 1)
    scales = torch.tensor(scale[:steps], dtype=dtype)
    potentials, spikes = simulate(current, scales, Dynamics(decay, 1.0, reset, fires_at), steps)
    residue = 0.0
    for t in range(steps):
        potential = decay * residue + scale[t] * currents[t]
        spike = potential >= 1.0 if fires_at == ">=" else potential > 1.0
        assert (float(potentials[t]), float(spikes[t])) == (potential, float(spike))
        residue = {"zero": 0.0 if spike else potential, "subtract": potential - spike, "none": potential}[reset]


@given(
    decay=st.floats(0.0, 1.0),
    steps=st.integers(1, 12),
    share=st.floats(0.05, 0.95),
    period=st.integers(1, 12),
)
def test_constant_current_fires_with_the_period_of_its_breakpoints(
    decay: float, steps: int, share: float, period: int
) -> None:
    """Between b_k = θ(1−λ)/(1−λ^k) and b_(k−1), a hard-reset neuron fires at every k-th step."""
    upper = 3.0 if period == 1 else _breakpoint(decay, period - 1)
    lower = _breakpoint(decay, period)
    if upper - lower < 1e-6:
        return
    current = torch.full((1, 1, 1), lower + share * (upper - lower), dtype=torch.float64)
    spikes = simulate(current, None, Dynamics(decay), steps)[1].flatten()
    assert spikes.tolist() == [float((t + 1) % period == 0) for t in range(steps)]


def _breakpoint(decay: float, k: int) -> float:
    return 1.0 / math.fsum(decay**i for i in range(k))


@pytest.mark.parametrize("constant", [False, True])
def test_gradcheck_where_the_recursion_is_linear(constant: bool) -> None:
    current, scale = random_case(torch.float64, constant, scaled=True)
    assert scale is not None
    dynamics = Dynamics(0.7, reset="none")
    assert torch.autograd.gradcheck(lambda c, a: simulate(c, a, dynamics, 5)[0], (current, scale))


@pytest.mark.parametrize("reset", RESETS)
def test_gradcheck_away_from_the_threshold(reset: str) -> None:
    """With a surrogate that vanishes where the potentials are, the backward pass is the true gradient."""
    current = torch.tensor([[[0.1, 2.0]], [[0.2, 2.5]], [[0.1, 3.0]]], dtype=torch.float64, requires_grad=True)
    dynamics = Dynamics(0.5, reset=reset, surrogate=Triangle(0.1))
    assert torch.autograd.gradcheck(lambda c: simulate(c, None, dynamics, 3)[0], (current,))


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("constant", [False, True])
def test_without_gradients_the_same_values(reset: str, constant: bool) -> None:
    current, scale = random_case(torch.float32, constant, scaled=True)
    dynamics = Dynamics(0.9, reset=reset)
    recorded = simulate(current, scale, dynamics, 5)
    before = current.detach().clone()
    with torch.no_grad():
        for ours, expected in zip(simulate(current, scale, dynamics, 5), recorded, strict=True):
            assert torch.equal(ours, expected)
    assert torch.equal(current, before)


def test_layout_of_the_current_does_not_matter() -> None:
    current = torch.randn(4, 6, 5).transpose(0, 1)
    strided = simulate(current, None, Dynamics(0.9), 6)
    compact = simulate(current.contiguous(), None, Dynamics(0.9), 6)
    assert all(torch.equal(a, b) for a, b in zip(strided, compact, strict=True))


def test_large_layers_are_the_sum_of_their_parts() -> None:
    """Whatever is done in blocks must not show: a wide layer equals its halves, gradients included."""
    current = (torch.randn(6, 70, 1024) * 0.7).requires_grad_()
    dynamics = Dynamics(0.9)
    whole = simulate(current, None, dynamics, 6)
    halves = [simulate(part, None, dynamics, 6) for part in current.split(512, dim=2)]
    for k in range(2):
        assert torch.equal(whole[k], torch.cat([half[k] for half in halves], 2))
    (grad_whole,) = torch.autograd.grad((whole[0] * whole[1]).sum(), current)
    (grad_halves,) = torch.autograd.grad(torch.stack([(h[0] * h[1]).sum() for h in halves]).sum(), current)
    torch.testing.assert_close(grad_whole, grad_halves)


def test_scale_one_is_no_scale() -> None:
    current = torch.randn(1, 8, 16)
    for ours, plain in zip(
        (DLIF(5, 0.9)(current, 5), DLIF(5, 0.9).run(current, 5).potentials),
        (LIF(0.9)(current, 5), LIF(0.9).run(current, 5).potentials),
        strict=True,
    ):
        assert torch.equal(ours, plain)


def test_one_step_and_no_memory() -> None:
    current = torch.tensor([[[0.2, 1.0, 1.7]]])
    assert LIF()(current, 1).tolist() == [[[0.0, 1.0, 1.0]]]
    assert LIF(decay=0.0)(current, 3).tolist() == [[[0.0, 1.0, 1.0]]] * 3
    assert LIF(decay=1.0)(current, 5)[:, 0, 0].tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]


def test_a_half_current_is_summed_in_full_where_autocast_made_it() -> None:
    half = torch.ones(2, dtype=torch.bfloat16)
    assert in_full(half).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        assert in_full(half).dtype == torch.float32
        assert in_full(half.double()).dtype == torch.float64
