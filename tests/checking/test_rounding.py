# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalMemberAccess=false
"""The allowances for rounding hold for real runs, in float32 and float64, and are not idle."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

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
from spikecert.checking.numbers.exact import Dyadic
from spikecert.checking.trains.paths import cheapest
from spikecert.testing import Case, cases, image_networks, points
from support.checked_runs import asked, check_run
from support.exact_numbers import exact, made, values
from support.examples import examples
from support.readouts import READOUTS, has_a_form, read_out


@examples(60)
@given(cases(encodings=("direct", "direct", "none")), st.sampled_from(READOUTS), st.integers(0, 2**31))
def test_runs_stay_within_the_allowances(tmp_path_factory, case, readout, seed):
    case = replace(case, network=read_out(case.network, readout))
    assume(has_a_form(case.network))
    question = asked(case, tmp_path_factory.mktemp("rounding"))
    inputs = points(case, 12, torch.Generator().manual_seed(seed))[:, 0]
    with torch.no_grad():
        trace = case.network.trace(inputs)
    leaf = question.leaf(question.first.everything)
    for index, x in enumerate(inputs):
        check_run(question, leaf, x, trace, index)


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
    question = asked(case, tmp_path_factory.mktemp("images"))
    leaf = question.leaf(question.first.everything)
    inputs = points(case, 6, generator)[:, 0]
    with torch.no_grad():
        trace = network.trace(inputs)
    for index, x in enumerate(inputs):
        check_run(question, leaf, x, trace, index)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_allowances_are_of_the_size_of_the_rounding(tmp_path, dtype):
    """Not so wide that nothing could be proven: some runs use up a hundredth of them."""
    torch.manual_seed(0)
    network = mlp((8, 16, 16, 3), num_steps=4, neuron=LIF(0.9)).to(dtype).eval()
    inputs = torch.rand(200, 8, dtype=dtype)
    question = asked(Case(network, inputs, torch.zeros(200), 1.0), tmp_path)
    with torch.no_grad():
        trace = network.trace(inputs)
    first = made(question.graph.nodes[1], exact(inputs).T)
    errors = abs(exact(trace.currents[0][0]).T - first)
    assert 0.01 < float((errors / values(question.measured[1][1])).max()) <= 1.0


@pytest.mark.parametrize("threshold", [0.7, 0.1, 0.3])
def test_a_threshold_is_rounded_as_the_run_rounds_it(tmp_path, threshold):
    network = mlp((1, 2, 2, 2), num_steps=1, neuron=LIF(0.5, threshold=threshold))
    question = asked(Case(network, torch.zeros(1, 1), torch.zeros(1), 0.0), tmp_path)
    rounded = Fraction(float(np.float32(threshold)))
    _, layer = question.layers.values()
    assert values(layer.perhaps)[0] <= rounded <= values(layer.surely)[0]
    assert values(layer.perhaps)[0] < Fraction(threshold) < values(layer.surely)[0]


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
    question = asked(Case(network, torch.zeros(1, 1, dtype=dtype), torch.zeros(1), 0.0), tmp_path)
    _, layer = question.layers.values()
    (most, least), reach = map(values, layer.taken), float(values(question.measured[0][3]).max())
    before = 0.7 + (reach - 0.7) * torch.rand(200, generator=torch.Generator().manual_seed(0), dtype=dtype)
    taken = exact(before) - exact(before - torch.tensor(0.3, dtype=dtype))
    assert np.all((least[2] <= taken) & (taken <= most[2]))
    assert dtype == torch.float64 or np.all(taken != Fraction(0.3))
    assert np.all(most - least < Fraction(1e-5 if dtype == torch.float32 else 1e-14))


def test_prices_pay_for_the_rounding_of_currents(tmp_path):
    torch.manual_seed(0)
    network = mlp((3, 4, 4, 2), 3, LIF(0.9)).eval()
    question = asked(Case(network, torch.rand(1, 3), torch.zeros(1), 0.1), tmp_path)
    leaf, generator = question.leaf(question.first.everything), np.random.default_rng(0)
    (one, first), (two, later) = question.layers.items()
    costs, prices = (Dyadic.of(generator.normal(size=(4, 3))) for _ in range(2))
    neurons, shift = leaf.trains(two)
    priced: list[Any] = [
        cheapest(reach, [int(c) << 100 for c in cost], [int(p) << 100 - shift for p in price])
        for reach, cost, price in zip(neurons, costs.at(60), prices.at(60), strict=True)
    ]
    paid = (abs(values(prices)) * values(later.powers) * values(later.slack)).sum()
    assert paid > 0
    assert later.least(leaf.trains(two), costs, prices).fraction() == Fraction(sum(priced), 1 << 160) - paid
    ends = np.maximum(*(values(prices)[:, :1] * values(end) for end in (first.low, first.high)))
    rows = values(costs) @ np.array(first.table.trains.T, dtype=int) - ends
    expected = sum(row[allowed].min() for row, allowed in zip(rows, leaf.rows(one), strict=True))
    paid = (abs(values(prices)[:, 0]) * values(first.slack)[:, 0]).sum()
    assert paid > 0
    assert first.least(leaf.rows(one), costs, prices[:, 0]).fraction() == expected - paid


def test_a_readout_pays_for_its_rounding(tmp_path):
    """Each class's error is paid for, over the unit: a mean's, and each step of a last potential's."""
    torch.manual_seed(0)
    for readout in ("mean", "spikes", "potential"):
        network = read_out(mlp((3, 4, 2), 3, LIF(0.9, threshold=0.1)).eval(), readout)
        question = asked(Case(network, torch.rand(1, 3), torch.zeros(1), 0.1), tmp_path)
        unit = 2.0**-24
        slack = float(max(question.readout_slack(k).fraction() for k in (0, 1)) * question.graph.unit)
        assert unit / 2 < slack < 200 * unit
        final, reach = question.network.integrator, question.measured[0][-1].max().fraction()
        if final is not None:  # what a step of the recursion adds, at each step
            alone = (values(question.measured[1][-1])[0] * list(map(abs, question.graph.weights))).sum()
            slips = final.slip(reach, question.arithmetic) * sum(final.powers)
            assert question.readout_slack(0).fraction() >= alone + slips
        total, _ = question._readout(0, 1)
        biases = 0.0
        if readout != "spikes":
            bias = network.state_dict()["layers.2.bias"].double()
            biases = float(bias[0] - bias[1]) * float(sum(question.graph.weights))
        assert float(total.fraction()) == pytest.approx(biases, abs=1e-4)
        both = question.readout_slack(0).fraction() + question.readout_slack(1).fraction()
        assert total.fraction() <= Fraction(biases + 1e-12) - both


def test_a_mean_and_a_synapse_are_as_large_as_some_steps_spike(tmp_path):
    """A neuron that fires late: its spikes have a size at that step alone, what mixes steps has it at all."""
    for layers in ((), (Synapse(0.5), nn.Linear(2, 2), LIF(0.9))):
        network = SpikingNetwork(nn.Linear(1, 2, False), LIF(1.0), *layers, nn.Linear(2, 2), num_steps=2).eval()
        network.layers[0].weight.data = torch.tensor([[0.6], [0.1]])
        question = asked(Case(network, torch.ones(1, 1), torch.zeros(1), 0.0), tmp_path)
        sizes = [values(size) for size in question.measured[0]]
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
