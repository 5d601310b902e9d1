"""The allowances for rounding hold for real runs, in float32 and float64, and are not idle."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from spikecert import LIF, mlp, save
from spikecert.checking import read_network
from spikecert.checking.bound import Question
from spikecert.checking.graph import Entrance, Spikes, Sum, Through
from spikecert.checking.inputs import Inputs
from spikecert.checking.leaf import Leaf
from spikecert.checking.paths import Reach
from spikecert.checking.varying import Varying
from spikecert.testing import Case, cases, image_networks, points
from support.exact_numbers import exact, made, values
from support.readouts import READOUTS, has_a_form, read_out


def asked(case: Case, folder) -> Question:
    """Return the checker's question about the first sample."""
    save(case.network, folder / "network.safetensors")
    steps = case.network.num_steps if case.network.timed else None
    inputs = Inputs.around(case.inputs[0].numpy(), np.array([case.epsilon]), 0.0, 1.0, "linf", steps)
    return Question(read_network(folder / "network.safetensors"), inputs)


def check_run(question: Question, leaf: Leaf, x: torch.Tensor, trace, index: int) -> None:
    """Check each layer of one run, of sample `index` of a trace, against what the checker allows it."""
    graph, (sizes, _), runs, known = question.graph, question.measured, 0, []
    for place, node in enumerate(graph.nodes):
        if isinstance(node, Entrance):
            known.append(exact(x.flatten(1)).T if question.network.timed else exact(x.flatten()).reshape(-1, 1))
        elif isinstance(node, Spikes):
            spikes = exact(trace.spikes[runs][:, index].flatten(1)).T
            check_layer(question, leaf, place, known[node.source], trace, runs, index, spikes)
            known.append(spikes)
            runs += 1
        elif isinstance(node, Sum):
            known.append(known[node.first] + known[node.second])
        else:
            known.append(made(node, known[node.source]) if isinstance(node, Through) else known[node.source])
        assert np.all(abs(known[-1]) <= values(sizes[place]))
    logits = (known[-1] * np.array(graph.weights)).sum(1) * graph.unit
    slack = [question.readout_slack(k).fraction() * graph.unit for k in range(question.classes)]
    assert np.all(abs(exact(trace.logits[index]) - logits) <= slack)


def check_layer(
    question: Question, leaf: Leaf, place: int, current: np.ndarray, trace, runs, index, spikes
) -> None:
    node, layer, (sizes, errors) = question.graph.nodes[place], question.layers[place], question.measured
    neuron = node.neuron
    run = exact(trace.currents[runs][:, index].flatten(1)).T
    assert np.all(abs(run - current) <= values(errors[node.source]))
    assert np.all(abs(run) <= values(sizes[node.source]))
    if not isinstance(layer, Varying):
        low, high = values(layer.low), values(layer.high)
        rows = leaf.rows(place) & (low <= run[:, :1]) & (run[:, :1] <= high)
        trains = np.array(layer.table.trains, dtype=int)
        assert all(
            any((trains[row] == train).all() for row in np.flatnonzero(allowed))
            for allowed, train in zip(rows, spikes.astype(int), strict=True)
        )
        return
    potentials = exact(trace.potentials[runs][:, index].flatten(1)).T
    left = potentials * (1 - spikes) if neuron.reset == "zero" else potentials
    if neuron.reset == "subtract":  # what the run computes: v − d rounded once, with d rounded to its dtype
        v = trace.potentials[runs][:, index].flatten(1)
        drop = torch.tensor(float(neuron.drop), dtype=v.dtype)
        left = exact(torch.where(trace.spikes[runs][:, index].flatten(1) > 0, v - drop, v)).T
    before = np.hstack([np.zeros((len(left), 1), dtype=int), left[:, :-1]])
    added = potentials - neuron.decay * before
    assert np.all(abs(added - values(layer.scale) * current) <= values(layer.slack))
    powers = values(layer.powers)
    check_reach(*leaf.reach(place), added * powers, potentials * powers, left * powers, spikes)
    assert np.all((potentials * powers >= values(layer.perhaps)) | (spikes == 0))
    assert np.all((potentials * powers <= values(layer.surely)) | (spikes == 1))


def check_reach(neurons: list[Reach], shift: int, added, potentials, left, spikes) -> None:
    """Check Λ·c of a run, (n, T), against each step's box and each window's, and Λ·v against the spans."""
    rows = zip(neurons, added * 2**shift, potentials * 2**shift, left * 2**shift, spikes, strict=True)
    for reach, run, potential, rest, train in rows:
        box, node = reach.boxes, 0
        assert all(low <= c <= high for low, c, high in zip(box.low, run, box.high, strict=True))
        for end, windows in enumerate(box.windows):
            for start, (floor, ceiling) in enumerate(windows):
                assert floor <= run[start : end + 1].sum() <= ceiling
        for t, spike in enumerate(train):
            low, high = reach.spans[node][t - node]
            assert low <= potential[t] <= high
            if spike:
                node = t + 1
                assert reach.starts[node][0] <= rest[t] <= reach.starts[node][1]
        certain, possible = reach.spikes
        assert np.all(np.array(certain) <= train)
        assert np.all(train <= np.array(possible))


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


@given(
    image_networks(side=4, most_channels=2, most_steps=3), st.sampled_from([0.0, 0.1, 1.0]), st.integers(0, 2**31)
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
