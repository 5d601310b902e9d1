"""A layer as a discrete state space: it moves as two runs of the network differ, and no gain lies below it."""

import math

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spikecert.analysis import StateSpace, gain, system
from spikecert.analysis.state_space import frequencies
from spikecert.models import DLIF, LIF, Recurrent, RefractoryLIF, SpikingNetwork, Synapse, VariedLIF, mlp

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
