"""A layer as a discrete state space: it moves as two runs of the network differ, and no gain lies below it.

MPPD: the exact identity for every reset, the simplified recursion, and where each holds.
"""

import math

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spikecert.analysis import StateSpace, gain, mppd, neuron_gain, system
from spikecert.analysis.state_space import frequencies
from spikecert.models import DLIF, LIF, Recurrent, RefractoryLIF, SpikingNetwork, Synapse, VariedLIF, mlp
from support.examples import examples

DECAYS = st.sampled_from((0.0, 0.25, 0.5, 0.9, 1.0))


def driven(found: StateSpace, inputs: torch.Tensor) -> np.ndarray:
    """Return what scipy makes of the system, (T, outputs)."""
    scipys = scipy.signal.dlti(*found.matrices, dt=found.dt)
    return scipy.signal.dlsim(scipys, inputs.numpy())[1]


def differing(network: SpikingNetwork, one: torch.Tensor, other: torch.Tensor) -> np.ndarray:
    """Return by how much the potentials of the first layer differ, (T, neurons)."""
    with torch.no_grad():
        first, second = (network.trace(run[None]).potentials[0] for run in (one, other))
    return (first - second).flatten(2)[:, 0].numpy()


@given(DECAYS, DECAYS, st.integers(0, 3), st.integers(1, 3), st.integers(1, 7), st.integers(0, 2**31))
def test_differences_without_reset_obey_it(
    decay: float, kappa: float, delay: int, neurons: int, steps: int, seed: int
) -> None:
    torch.manual_seed(seed)
    layers = (nn.Linear(2, neurons), Synapse(kappa, delay), LIF(decay, reset="none"), nn.Linear(neurons, 2))
    network = SpikingNetwork(*layers, num_steps=steps, encoding="none").double().eval()
    one, other = torch.rand(2, steps, 2, dtype=torch.float64)
    found = system(network)
    assert driven(found, one - other) == pytest.approx(differing(network, one, other), abs=1e-12)
    assert len(found.states) == len(found.A) == neurons * (1 + delay + (kappa > 0))
    assert sorted(set(np.linalg.eigvals(found.A).real.round(6)) | {decay}) == sorted(
        {decay} | ({kappa} if kappa else set()) | ({0.0} if delay else set())
    )


def test_differences_behind_equal_spikes_of_a_subtracting_reset_obey_it() -> None:
    network = mlp((1, 1, 2), num_steps=5, neuron=LIF(0.9, 1.0, "subtract")).double().eval()
    with torch.no_grad():
        for name, parameter in network.layers[0].named_parameters():
            parameter.fill_(float(name == "weight"))
    one, other = torch.full((5, 1), 0.8, dtype=torch.float64), torch.full((5, 1), 0.81, dtype=torch.float64)
    both = torch.stack((one[0], other[0]))
    with torch.no_grad():
        traced = network.trace(both)
    assert bool((traced.spikes[0][:, 0] == traced.spikes[0][:, 1]).all())
    assert float(traced.spikes[0].sum()) > 0
    apart = (traced.potentials[0][:, 0] - traced.potentials[0][:, 1]).numpy()
    assert driven(system(network), one - other) == pytest.approx(apart, abs=1e-12)


def test_neurons_that_differ_and_several_sources() -> None:
    torch.manual_seed(1)
    varied = VariedLIF(torch.tensor([0.2, 0.7]), torch.ones(2), "none")
    network = (
        SpikingNetwork(nn.Linear(3, 2), varied, nn.Linear(2, 2), num_steps=4, encoding="none").double().eval()
    )
    one, other = torch.rand(2, 4, 3, dtype=torch.float64)
    assert np.diag(system(network).A) == pytest.approx([0.2, 0.7])
    assert driven(system(network), one - other) == pytest.approx(differing(network, one, other), abs=1e-12)
    second = system(mlp((3, 4, 5, 2), neuron=LIF(0.5)), "layers.3")
    assert (second.sources, second.B.shape) == (("layers.1",), (5, 4))


@pytest.mark.parametrize("kappa", [None, 0.5])
def test_no_gain_lies_below_it(kappa: float | None) -> None:
    torch.manual_seed(0)
    synapse = () if kappa is None else (Synapse(kappa, 1),)
    network = SpikingNetwork(nn.Linear(4, 3), *synapse, LIF(0.8), nn.Linear(3, 2), num_steps=6).double()
    found = system(network)
    peak = frequencies(found, np.geomspace(1e-4, math.pi, 60)).max()
    lasting = gain(network, horizon=math.inf).layers[0].gain
    assert 0.999 * lasting <= peak <= lasting
    powers = [np.linalg.matrix_power(found.A, k) for k in range(5)]
    terms = [found.D, *(found.C @ power @ found.B for power in powers)]
    zero = np.zeros_like(terms[0])
    whole = np.block([[terms[t - k] if k <= t else zero for k in range(6)] for t in range(6)])
    assert np.linalg.norm(whole, 2) <= gain(network).layers[0].gain


def test_what_has_no_such_system_is_refused_by_name() -> None:
    neuron = DLIF(3)
    with torch.no_grad():
        neuron.input_scale[1] = 2.0
    network = mlp((4, 3, 2), num_steps=3, neuron=neuron)
    with pytest.raises(TypeError, match=r"^layer: layers.1 scales its input by 1 to 2 over time: no one system"):
        system(network)
    assert system(network, inputs="current").D.tolist() == np.eye(3).tolist()
    pooled = SpikingNetwork(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), LIF(), nn.Flatten(), nn.Linear(8, 2), num_steps=3)
    with pytest.raises(TypeError, match=r"^layer: layers.2 stands behind a max pool"):
        system(pooled, input_shape=(1, 6, 6))
    for neuron in (RefractoryLIF(0.9), Recurrent(LIF(), nn.Linear(3, 3))):
        with pytest.raises(TypeError, match="the analysis of gains"):
            system(SpikingNetwork(nn.Linear(4, 3), neuron, nn.Linear(3, 2), num_steps=3))
    plain = mlp((4, 3, 2))
    for layer, told in (
        (1, "got 1, expected 0 to 0"),
        (-1, "got -1"),
        ("readout", "got 'readout', expected one of"),
    ):
        with pytest.raises(ValueError, match=f"^layer: {told}"):
            system(plain, layer)
    with pytest.raises(ValueError, match=r"^inputs: got 'volts', expected one of spikes, current$"):
        system(plain, inputs="volts")
    with pytest.raises(ValueError, match=r"^layer: layers.1 has 6000 states and 4 inputs"):
        system(mlp((4, 6000, 2)))
    with pytest.raises(ValueError, match="has a pole"):
        frequencies(system(mlp((1, 1, 2), neuron=LIF(1.0))), np.zeros(1))


def network(
    reset: str, steps: int = 7, decay: float = 0.9, seed: int = 0, amount: float | None = None
) -> SpikingNetwork:
    torch.manual_seed(seed)
    neuron = DLIF(steps, decay=decay, reset=reset, threshold=0.3, reset_amount=amount)
    net = mlp((6, 9, 8, 3), steps, neuron).double()
    for neuron in net.neurons:
        neuron.input_scale.data = torch.randn(steps).double()  # type: ignore[union-attr]
    return net


@pytest.mark.parametrize(
    ("reset", "amount"), [("zero", None), ("subtract", None), ("subtract", 0.5), ("none", None)]
)
@pytest.mark.parametrize("decay", [0.0, 0.9, 1.0])
def test_the_identity_is_exact_for_every_reset(reset: str, amount: float | None, decay: float) -> None:
    net = network(reset, decay=decay, amount=amount)
    x = torch.randn(5, 6, dtype=torch.float64)
    result = mppd(net, x, x + 0.3 * torch.randn_like(x), include_input_scale=True)
    assert result.identity_error() < 1e-13
    for exact, simplified, reset_term in zip(result.exact, result.simplified, result.reset_term, strict=True):
        response = torch.zeros_like(exact[0])
        for t in range(len(exact)):
            response = decay * response + reset_term[t]
            torch.testing.assert_close(exact[t], simplified[t] - response, rtol=0, atol=1e-12)


def test_a_corrupted_reset_term_breaks_the_identity() -> None:
    import dataclasses

    x = torch.rand(5, 6, dtype=torch.float64) * 3
    result = mppd(network("zero"), x, x + torch.randn_like(x))
    assert any(bool(term.any()) for term in result.reset_term)
    forgotten = tuple(torch.zeros_like(term) for term in result.reset_term)
    assert dataclasses.replace(result, reset_term=forgotten).identity_error() > 0.01


def test_the_authors_variant_leaves_the_input_scale_out() -> None:
    net, x = network("zero"), torch.randn(4, 6, dtype=torch.float64)
    y = x + 0.1
    paper, authors = mppd(net, x, y, include_input_scale=True), mppd(net, x, y)
    first = net.layers[0]
    assert isinstance(first, nn.Linear)
    w = (x - y) @ first.weight.T
    state = torch.zeros_like(w)
    for t in range(net.num_steps):
        state = 0.9 * state + w
        torch.testing.assert_close(authors.simplified[0][t], state)
    assert not torch.allclose(paper.simplified[0], authors.simplified[0])
    assert paper.include_input_scale
    assert not authors.include_input_scale


@given(seed=st.integers(0, 10_000), reset=st.sampled_from(["zero", "subtract"]))
@examples(60)
def test_gains_hold_for_the_true_potential_while_trains_agree(seed: int, reset: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    net = SpikingNetwork(nn.Linear(4, 5), LIF(0.9, reset=reset), nn.Linear(5, 2), num_steps=6).double()
    x = 2 * torch.rand(8, 4, generator=generator, dtype=torch.float64)
    y = x + 1e-3 * torch.randn(8, 4, generator=generator, dtype=torch.float64)
    same = (net.trace(x).spikes[0] == net.trace(y).spikes[0]).all(0)
    result = mppd(net, x, y)
    exact, drive = result.exact[0].norm(dim=0), result.drive[0].norm(dim=0)
    assert bool((exact[same] <= neuron_gain(0.9, 6) * drive[same] + 1e-12).all())
    if reset == "subtract":
        torch.testing.assert_close(result.exact[0][:, same], result.simplified[0][:, same])


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_gains_fail_for_the_true_potential_where_trains_differ(reset: str) -> None:
    net = SpikingNetwork(nn.Linear(1, 1), LIF(0.9, reset=reset), nn.Linear(1, 1), num_steps=4).double()
    net.load_state_dict({"layers.0.weight": torch.ones(1, 1), "layers.0.bias": torch.zeros(1),
                         "layers.2.weight": torch.ones(1, 1), "layers.2.bias": torch.zeros(1)})  # fmt: skip
    x = torch.tensor([[1.0]]).double()
    result = mppd(net, x, x - 1e-6)
    assert result.exact[0].norm().item() > 1e4 * neuron_gain(0.9, 4) * result.drive[0].norm().item()


@pytest.mark.parametrize(
    ("clean", "perturbed", "error"),
    [
        (torch.rand(3, 6), torch.rand(3, 6), TypeError),
        (torch.rand(3, 6).double(), torch.rand(2, 6).double(), ValueError),
        (torch.rand(3, 6).double(), torch.full((3, 6), float("nan")).double(), ValueError),
        (torch.rand(0, 6).double(), torch.rand(0, 6).double(), ValueError),
    ],
)
def test_must_raise(clean: torch.Tensor, perturbed: torch.Tensor, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^(inputs|perturbed): got"):
        mppd(network("zero"), clean, perturbed)


def test_nan_in_the_weights_is_refused() -> None:
    net = network("zero")
    net.layers[0].weight.data[0, 0] = float("nan")  # type: ignore[union-attr, operator]
    with pytest.raises(ValueError, match=r"^network: layers\.0\.weight"):
        mppd(net, torch.rand(1, 6).double(), torch.rand(1, 6).double())
