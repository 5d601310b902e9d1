# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalMemberAccess=false
"""The allowances for rounding hold for real runs, in float32 and float64, and are not idle."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from spikecert import LIF, LInf, SpikingNetwork, Synapse, mlp, save, verify
from spikecert.certify.proofs import Prover
from spikecert.checking import check
from spikecert.checking.events.inputs import Inputs
from spikecert.checking.kernel.numbers import ONE
from spikecert.testing import Case, cases, image_networks, points
from support.certificates import bound_of
from support.checked_runs import asked, check_run, slack
from support.exact_numbers import exact, made, values
from support.examples import examples
from support.readouts import READOUTS, has_a_form, read_out


@examples(60)
@given(cases(encodings=("direct", "direct", "none")), st.sampled_from(READOUTS), st.integers(0, 2**31))
def test_runs_stay_within_the_allowances(tmp_path_factory, case, readout, seed):
    case = replace(case, network=read_out(case.network, readout))
    assume(has_a_form(case.network))
    kernel = asked(case, tmp_path_factory.mktemp("rounding"))
    inputs = points(case, 12, torch.Generator().manual_seed(seed))[:, 0]
    with torch.no_grad():
        trace = case.network.trace(inputs)
    for index, x in enumerate(inputs):
        check_run(kernel, x, trace, index)


@examples(30)
@given(
    image_networks(side=4, most_channels=2, most_steps=3, pools=("average",)),
    st.sampled_from([0.0, 0.1, 1.0]),
    st.integers(0, 2**31),
)
def test_runs_of_images_stay_within_the_allowances(tmp_path_factory, network, epsilon, seed):
    assume(has_a_form(network))
    generator = torch.Generator().manual_seed(seed)
    batch = torch.rand((1, 1, 4, 4), generator=generator).to(network.dtype)
    case = Case(network, batch, torch.zeros(1), epsilon)
    kernel = asked(case, tmp_path_factory.mktemp("images"))
    inputs = points(case, 6, generator)[:, 0]
    with torch.no_grad():
        trace = network.trace(inputs)
    for index, x in enumerate(inputs):
        check_run(kernel, x, trace, index)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_allowances_are_of_the_size_of_the_rounding(tmp_path, dtype):
    """Not so wide that nothing could be proven: some runs use up a hundredth of them."""
    torch.manual_seed(0)
    network = mlp((8, 16, 16, 3), num_steps=4, neuron=LIF(0.9)).to(dtype).eval()
    inputs = torch.rand(200, 8, dtype=dtype)
    kernel = asked(Case(network, inputs, torch.zeros(200), 1.0), tmp_path)
    with torch.no_grad():
        trace = network.trace(inputs)
    first = made(kernel.nodes.graph.nodes[1], exact(inputs).T)
    errors = abs(exact(trace.currents[0][0]).T - first)
    assert 0.01 < float((errors / values(kernel.context.sizes.of(1)[1])).max()) <= 1.0


@pytest.mark.parametrize("threshold", [0.7, 0.1, 0.3])
def test_a_threshold_is_rounded_as_the_run_rounds_it(tmp_path, threshold):
    network = mlp((1, 2, 2, 2), num_steps=1, neuron=LIF(0.5, threshold=threshold))
    kernel = asked(Case(network, torch.zeros(1, 1), torch.zeros(1), 0.0), tmp_path)
    rounded = Fraction(float(np.float32(threshold)))
    neuron = kernel.nodes.spiking(kernel.nodes.graph.spiking[1]).neuron
    assert neuron.low <= rounded * ONE <= neuron.high
    assert neuron.low < Fraction(threshold) * ONE < neuron.high


def test_the_box_is_exact():
    """0.1 + 0.2 is above 0.3 in float64; here it is what it is."""
    found = Inputs.around(np.array([0.1, 0.95], dtype=np.float32), np.array([0.2]), 0.0, 1.0)
    low, high = values(found.low)[:, 0], values(found.high)[:, 0]
    assert low[0] == 0
    assert high[0] == Fraction(float(np.float32(0.1))) + Fraction(0.2)
    assert low[1] == Fraction(float(np.float32(0.95))) - Fraction(0.2)
    assert high[1] == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_a_subtracting_spike_takes_is_rounded_as_the_run_rounds_it(tmp_path, dtype):
    network = mlp((1, 2, 2, 2), 3, LIF(0.9, threshold=0.7, reset="subtract", reset_amount=0.3)).to(dtype)
    kernel = asked(Case(network, torch.zeros(1, 1, dtype=dtype), torch.zeros(1), 0.0), tmp_path)
    neuron = kernel.nodes.spiking(kernel.nodes.graph.spiking[1]).neuron
    before = 0.7 + 3.0 * torch.rand(200, generator=torch.Generator().manual_seed(0), dtype=dtype)
    taken = exact(before) - exact(before - torch.tensor(0.3, dtype=dtype))
    loose = Fraction(neuron.lost(1, (0, 4 * ONE)), ONE)
    assert np.all(abs(taken - Fraction(neuron.drop, ONE)) <= loose)
    assert dtype == torch.float64 or np.all(taken != Fraction(0.3))
    assert loose < (1e-5 if dtype == torch.float32 else 1e-14)


def test_a_readout_pays_for_its_rounding(tmp_path, monkeypatch):
    """Each class's error is paid for, over the unit: a mean's, and each step of a last potential's."""
    torch.manual_seed(0)
    for readout in ("mean", "spikes", "potential"):
        network = read_out(mlp((3, 4, 2), 3, LIF(0.9, threshold=0.1)).eval(), readout)
        kernel = asked(Case(network, torch.rand(1, 3), torch.zeros(1), 0.1), tmp_path)
        unit, graph, sizes = 2.0**-24, kernel.nodes.graph, kernel.context.sizes
        assert unit / 2 < float(max(slack(kernel, k) for k in (0, 1))) < 200 * unit
        size, error = sizes.of(len(graph.nodes) - 1)
        final = kernel.network.integrator
        if final is not None:  # what a step of the recursion adds, at each step
            alone = (values(error)[0] * list(map(abs, graph.readings[0]))).sum()
            slips = final.slip(size.max().fraction(), kernel.network.arithmetic) * sum(final.powers)
            assert slack(kernel, 0) >= alone + slips
        both = slack(kernel, 0) + slack(kernel, 1)
        paid = bound_of(kernel)
        monkeypatch.setattr(kernel, "_slack", lambda logit, weights: 0)
        assert bound_of(kernel) - paid == both


def test_a_mean_and_a_synapse_are_as_large_as_some_steps_spike(tmp_path):
    """A neuron that fires late: its spikes have a size at that step alone, what mixes steps has it at all."""
    for layers in ((), (Synapse(0.5), nn.Linear(2, 2), LIF(0.9))):
        network = SpikingNetwork(nn.Linear(1, 2, False), LIF(1.0), *layers, nn.Linear(2, 2), num_steps=2).eval()
        network.layers[0].weight.data = torch.tensor([[0.6], [0.1]])
        kernel = asked(Case(network, torch.ones(1, 1), torch.zeros(1), 0.0), tmp_path)
        sizes = [values(kernel.context.sizes.of(place)[0]) for place in range(len(kernel.nodes.nodes))]
        assert sizes[2].tolist() == [[0, 1], [0, 0]]
        assert sizes[3].shape == (2, 1)
        assert sizes[3][0, 0] >= 1
        assert sizes[4].min() > 0


def test_what_zeros_leave_closes_deep_questions(tmp_path):
    """In bounds and in their proofs: with all spikes taken for 1 this sample was neither verified nor proven."""
    torch.manual_seed(4)
    layers = [part for size in (8, *[40] * 5) for part in (nn.Linear(size, 40), LIF(0.5))]
    network = SpikingNetwork(*layers, nn.Linear(40, 3), num_steps=4).eval()
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data *= 4.0
    x = torch.rand(12, 8)[2:3]
    with torch.no_grad():
        labels = network(x).argmax(1)
    assert verify(network, x, labels, LInf(0.0), verifier="trains")[0].status == "verified"
    save(network, tmp_path / "deep.safetensors")
    Prover.of(network).prove(x[0], int(labels), LInf(0.0)).save(tmp_path / "deep.proof")
    assert check(tmp_path / "deep.proof", tmp_path / "deep.safetensors").margin > 0
