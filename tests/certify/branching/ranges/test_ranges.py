"""What decided trains say of other currents: against runs of the network, and against exact linear programs."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog
from torch import Tensor, nn

from spikecert import L2, LIF, LInf, SpikingNetwork, mlp
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.bounds.trains.train_table import TableTrains
from spikecert.certify.branching.nodes.decisions import Nodes, RowRanges
from spikecert.certify.branching.question import MarginQuestion
from spikecert.certify.branching.ranges import FirstLayer, RangeSearch
from spikecert.certify.perturbations import Perturbation
from spikecert.kernels.ranges import ranges_kernel
from spikecert.testing import Case, cases, points
from support.examples import examples

EXAMPLES = examples(200)


def asked(network: SpikingNetwork, inputs: Tensor, labels: Tensor, threat: Perturbation) -> MarginQuestion:
    """Ask for one margin of each sample."""
    left = torch.zeros(len(inputs), int(network(inputs).shape[1]), dtype=torch.bool)
    left[torch.arange(len(inputs)), (labels + 1) % left.shape[1]] = True
    return MarginQuestion.of_margins(network, inputs, labels, threat, left)


def first_trains(question: MarginQuestion) -> TableTrains | None:
    """Return the first layer's trains over each sample's whole set, where they have a table."""
    roots = question.roots()
    found = None if roots is None else question.staged(roots)[0].stages[0].trains
    return found if isinstance(found, TableTrains) else None


def first_layer(question: MarginQuestion) -> FirstLayer:
    """Return the first layer's currents, where slabs narrow them."""
    layer = question._currents
    assert isinstance(layer, FirstLayer)
    return layer


def decided(question: MarginQuestion, spikes: Tensor, chosen: Tensor) -> Nodes:
    """Return a node per sample: the rows from the first to the last with the trains `spikes`, (T, batch, n),
    of the `chosen` neurons, (batch, n)."""
    roots, found = question.roots(), first_trains(question)
    assert roots is not None
    assert found is not None
    assert isinstance(roots.decisions, RowRanges)
    first, last = roots.decisions.first.clone(), roots.decisions.last.clone()
    same = (found.table.trains[:, :, None, None] == spikes.double()).all(1).long()
    lowest, highest = same.argmax(0), len(same) - 1 - same.flip(0).argmax(0)
    first[chosen], last[chosen] = lowest[chosen].to(first.dtype), highest[chosen].to(first.dtype)
    return replace(roots, decisions=RowRanges(first, last))


def narrowed(question: MarginQuestion, nodes: Nodes) -> tuple[Tensor, Tensor, Tensor]:
    """Return both ends of each node's currents, (N, n), and which nodes are empty."""
    network, empty = question.staged(nodes)
    stage = network.stages[0]
    return stage.lower[0].flatten(1), stage.upper[0].flatten(1), empty


@EXAMPLES
@given(case=cases(), seed=st.integers(0, 2**31), ball=st.booleans())
def test_no_run_that_has_the_decided_trains_leaves_the_ranges(case: Case, seed: int, ball: bool):
    if case.network.encoding != "direct":
        return
    threat = L2(case.epsilon) if ball else LInf(case.epsilon)
    question = asked(case.network, case.inputs, case.labels, threat)
    if first_trains(question) is None:
        return
    generator = torch.Generator().manual_seed(seed)
    candidates = points(case, 60, generator)
    candidates[1:4] = points(Case(case.network, candidates[5], case.labels, case.epsilon / 50), 3, generator)
    inside = torch.stack([threat.contains(x, case.inputs) for x in candidates])
    traces = [case.network.trace(x) for x in candidates]
    spikes = torch.stack([trace.spikes[0].flatten(2) for trace in traces])
    currents = torch.stack([trace.currents[0][0].flatten(1) for trace in traces]).double()
    chosen = torch.rand(spikes.shape[2:], generator=generator) < 0.5
    for index in (0, 5, 25):  # the sample, a random input, a corner
        low, high, empty = narrowed(question, decided(question, spikes[index], chosen))
        same = (spikes == spikes[index]).all(1).logical_or(~chosen).all(2) & inside
        assert not bool((same & empty).any()), "a node that holds a run is not empty"
        held = same[..., None] & ~empty[:, None]
        assert bool((~held | ((low <= currents) & (currents <= high))).all())


def narrowed_by(layer: FirstLayer, samples: Tensor, rows: Box, *given: object) -> tuple[Box, Tensor]:
    """Return what the kernel says of nodes whose trains have currents in `rows`."""
    split, chosen, adam, *multipliers = given
    nodes = (samples, rows.lower, rows.upper, split, chosen)
    low, high, empty = ranges_kernel().narrow(layer.packed, nodes, adam, *multipliers)  # pyright: ignore
    return Box(low, high), empty


def wide(seed: int = 0, features: int = 20) -> tuple[SpikingNetwork, Tensor, Tensor]:
    torch.manual_seed(seed)
    network = mlp((features, 16, 3), num_steps=5, neuron=LIF(decay=0.9)).double().eval()
    network.layers[0].weight.data *= 4.0  # pyright: ignore
    inputs = torch.rand(6, features).double()
    with torch.no_grad():
        return network, inputs, network(inputs).argmax(1)


def programs(question: MarginQuestion, node: Nodes, sample: Tensor, epsilon: float) -> list[tuple[float, float]]:
    """Return the exact range of each neuron's current over the inputs of one node, by linear programming."""
    layer = question.network.layers[0]
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()  # pyright: ignore
    found = first_trains(question)
    assert found is not None
    assert isinstance(node.decisions, RowRanges)
    low = found.table.lower[node.decisions.first[0].long()].numpy()
    high = found.table.upper[node.decisions.last[0].long()].numpy()
    matrix = torch.cat([torch.tensor(weight), -torch.tensor(weight)]).numpy()
    limit = torch.cat([torch.tensor(high - bias), torch.tensor(bias - low)]).clamp(-1e9, 1e9).numpy()
    bounds = [(max(x - epsilon, 0.0), min(x + epsilon, 1.0)) for x in sample.tolist()]
    ends = []
    for row, own in zip(weight, bias, strict=True):
        least, most = (linprog(s * row, A_ub=matrix, b_ub=limit, bounds=bounds) for s in (1.0, -1.0))
        ends.append((least.fun + own, own - most.fun) if least.success else (float("inf"), -float("inf")))
    return ends


@pytest.mark.parametrize("seed", range(3))
def test_ranges_hold_those_of_the_linear_program_and_come_close(seed: int):
    network, inputs, labels = wide(seed)
    question = asked(network, inputs, labels, LInf(0.15))
    generator = torch.Generator().manual_seed(seed)
    far = (inputs + 0.15 * torch.rand(inputs.shape, generator=generator).sub(0.5).sign()).clamp(0, 1)
    chosen = torch.rand(len(inputs), 16, generator=generator) < 0.4
    nodes = decided(question, network.trace(far).spikes[0], chosen)
    low, high, empty = narrowed(question, nodes)
    found, wide_found = first_trains(question), question._currents
    assert found is not None
    assert wide_found is not None
    gained = possible = 0.0
    for index in range(len(inputs)):
        assert not bool(empty[index]), "the far input has the decided trains"
        ends = torch.tensor(programs(question, nodes.select(torch.tensor([index])), inputs[index], 0.15)).double()
        assert bool((low[index] <= ends[:, 0] + 1e-9).all())
        assert bool((high[index] >= ends[:, 1] - 1e-9).all())
        is_open = ~chosen[index] & (found.first < found.last).flatten(1)[index]
        before = (wide_found.upper - wide_found.lower)[index][is_open]
        gained += float((before - (high - low)[index][is_open]).sum())
        possible += float((before - (ends[:, 1] - ends[:, 0])[is_open]).sum())
    assert possible > 0.5
    assert gained >= 0.85 * possible


def test_trains_that_exclude_each_other_leave_nothing():
    network, inputs, labels = wide()
    layer = network.layers[0]
    assert isinstance(layer, torch.nn.Linear)
    layer.weight.data[1], layer.bias.data[1] = -layer.weight.data[0], -layer.bias.data[0] + 0.4
    layer.weight.data[0] *= 5.0
    question = asked(network, inputs, labels, LInf(0.5))
    found = first_trains(question)
    assert found is not None
    both = torch.zeros(len(inputs), 16, dtype=torch.bool)
    both[:, :2] = (found.first < found.last).flatten(1)[:, :2].all(1, keepdim=True)
    assert bool(both.any())
    spikes = torch.zeros(5, len(inputs), 16).double()
    spikes[:, :, :2] = 1.0  # both fire at every step: W x + b ≥ 1 for one, ≤ −.6 for the other
    _, _, empty = narrowed(question, decided(question, spikes, both))
    assert torch.equal(empty, both.any(1))


def test_one_neuron_no_weights_and_no_radius():
    network, inputs, labels = wide(features=1)
    question = asked(network, inputs, labels, LInf(0.0))
    low, high, empty = narrowed(
        question, decided(question, network.trace(inputs).spikes[0], torch.ones(6, 16).bool())
    )
    assert not bool(empty.any())
    assert bool((low <= high).all())
    network.layers[0].weight.data.zero_()  # pyright: ignore
    chosen = torch.arange(16) < 8
    spikes = network.trace(inputs).spikes[0]
    for radius in (0.0, 0.3):
        question = asked(network, inputs, labels, LInf(radius))
        _, _, empty = narrowed(question, decided(question, spikes, chosen.expand(6, 16)))
        assert not bool(empty.any())


@pytest.mark.parametrize("scale", [1e-30, 1e12])
def test_tiny_and_huge_weights_give_ranges(scale: float):
    network, inputs, labels = wide()
    network.layers[0].weight.data *= scale  # pyright: ignore
    question = asked(network, inputs, labels, LInf(0.1))
    currents = network.trace(inputs)
    low, high, empty = narrowed(
        question, decided(question, currents.spikes[0], torch.arange(16).expand(6, 16) < 8)
    )
    assert not bool(empty.any())
    assert bool((low <= currents.currents[0][0]).all() and (currents.currents[0][0] <= high).all())


@pytest.mark.parametrize("rate", [1e4, 1e30, float("inf"), float("nan"), -0.2])
def test_any_multipliers_give_ranges_that_hold(rate: float):
    network, inputs, labels = wide(1)
    question = asked(network, inputs, labels, LInf(0.15))
    nodes = decided(question, network.trace(inputs).spikes[0], torch.arange(16).expand(6, 16) < 8)
    layer = first_layer(question)
    found = nodes.decisions.restrict(first_trains(question))  # pyright: ignore[reportArgumentType]
    assert isinstance(found.trains, TableTrains)
    chosen, adam = torch.ones(6, 16, dtype=torch.bool), (3, rate, (0.5, 0.9))
    box, empty = narrowed_by(layer, torch.arange(6), found.trains.currents, found.split, chosen, adam)
    currents = network.trace(inputs).currents[0][0]
    assert not bool(empty.any())
    assert isinstance(box, Box)
    assert bool((box.lower <= currents).all() and (currents <= box.upper).all())


@EXAMPLES
@given(case=cases(), seed=st.integers(0, 2**31), ball=st.booleans())
def test_what_a_node_reports_is_what_its_multipliers_prove(case: Case, seed: int, ball: bool):
    """The sum of ranges.py, written anew: min over the set of (s·W_m − Σν·W)·x + Σν's part, s·b_m, the slack."""
    question = asked(case.network, case.inputs, case.labels, (L2 if ball else LInf)(case.epsilon))
    if case.network.encoding != "direct" or first_trains(question) is None:
        return
    layer, generator = first_layer(question), torch.Generator().manual_seed(seed)
    split, chosen = torch.rand(2, 1, layer.lower.shape[1], generator=generator) < 0.5
    width = (layer.upper - layer.lower)[:1]
    low = layer.lower[:1] + width * torch.rand(width.shape, generator=generator)
    low = torch.where(torch.rand(width.shape, generator=generator) < 0.2, -torch.inf, low)
    rows = Box(low, torch.where(torch.rand(width.shape, generator=generator) < 0.2, torch.inf, low + width / 3))
    deciding, neurons = split[0].nonzero().flatten(), chosen[0].nonzero().flatten()
    if not len(deciding):
        return
    nu = torch.zeros(2 * len(neurons) + 1, len(deciding), dtype=torch.float64)
    box, empty = narrowed_by(layer, torch.zeros(1).long(), rows, split, chosen, (5, 0.2, (0.5, 0.9)), nu)
    least, most = (
        rows.lower[0, deciding] - layer.slack[0, deciding],
        rows.upper[0, deciding] + layer.slack[0, deciding],
    )
    nu = torch.where((nu > 0) & least.isinf() | (nu < 0) & most.isinf(), 0.0, nu)
    own = layer.matrix[neurons]
    costs = torch.cat([own, -own, torch.zeros(1, own.shape[1]).double()]) - nu @ layer.matrix[deciding]
    ends = torch.where(nu > 0, least - layer.bias[deciding], most - layer.bias[deciding])
    shape = layer.source.box.lower.shape[2:]
    value = layer.source.least(costs.view(1, -1, *shape), torch.zeros(len(costs)).long())[0]
    value = value + torch.where(nu == 0, 0.0, nu * ends).sum(1)
    below, above, nothing = value.split([len(neurons), len(neurons), 1])
    loss = 1e-9 * (1.0 + layer.size.max() + nu.abs().sum() * (layer.size.max() + 1.0))
    below, above = below + layer.bias[neurons], layer.bias[neurons] - above
    assert bool(empty) or float(nothing) <= loss
    if bool(empty):
        return
    below = (below - layer.slack[0, neurons]).maximum(layer.lower[0, neurons])
    above = (above + layer.slack[0, neurons]).minimum(layer.upper[0, neurons])
    assert bool(((box.lower[0, neurons] - below).abs() <= loss).all())
    assert bool(((box.upper[0, neurons] - above).abs() <= loss).all())
    over = 2e-12 * costs.norm(dim=1).max() * case.epsilon if ball else 0.0  # that torch takes off a length
    assert bool((box.lower[0, neurons] <= below + over).all() and (box.upper[0, neurons] >= above - over).all())


def test_only_the_neurons_that_cost_most_are_narrowed():
    network, inputs, labels = wide(1)
    question = asked(network, inputs, labels, LInf(0.15))
    nodes = decided(question, network.trace(inputs).spikes[0], torch.arange(16).expand(6, 16) < 8)
    nodes = replace(nodes, prices=(*nodes.prices[:-1], torch.arange(16.0).expand(6, 1, 16)))
    all_low, all_high, _ = narrowed(question, nodes)
    low, high, _ = narrowed(replace(question, ranges=RangeSearch(neurons=2)), nodes)
    wide_low, wide_high, _ = narrowed(replace(question, ranges=None), nodes)
    changed = (low > wide_low) | (high < wide_high)
    assert int(changed.sum(1).max()) <= 2
    assert bool(changed.any())
    assert torch.equal(low[changed], all_low[changed])
    assert torch.equal(high[changed], all_high[changed])


def test_narrowing_decides_hard_samples_in_few_nodes():
    network, inputs, labels = wide(2)
    question = asked(network, inputs, labels, LInf(0.15))
    assert question.ranges is not None
    nodes = decided(question, network.trace(inputs).spikes[0], torch.arange(16).expand(6, 16) < 12)
    free = replace(question, ranges=None)

    def left(which: MarginQuestion) -> float:
        found = which.staged(nodes)[0].stages[0].trains
        assert isinstance(found, TableTrains)
        return float((found.last - found.first).sum())

    assert left(question) < left(free)


def local_network() -> tuple[SpikingNetwork, Tensor, Tensor]:
    """Return a convolutional network and four samples."""
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 2, 3, padding=1), LIF(0.9), nn.Flatten(), nn.Linear(72, 3)
    network = SpikingNetwork(*layers, num_steps=4).double().eval()
    network.layers[0].weight.data *= 4.0  # pyright: ignore
    inputs = torch.rand(4, 1, 6, 6).double()
    with torch.no_grad():
        return network, inputs, network(inputs).argmax(1)


def test_local_neurons_are_narrowed_by_slabs_that_share_their_inputs():
    network, inputs, labels = local_network()
    question = asked(network, inputs, labels, LInf(0.2))
    far = (inputs + 0.2 * (2 * torch.rand(30, *inputs.shape) - 1)).clamp(0, 1).double()
    traces = [network.trace(x) for x in far]
    chosen = torch.zeros(4, 72, dtype=torch.bool)
    chosen[:, torch.tensor([0, 1, 7, 36])] = True  # a corner of the first channel, and of the second
    nodes = decided(question, traces[0].spikes[0].flatten(2), chosen)
    low, high, empty = narrowed(question, nodes)
    wide_low, wide_high, _ = narrowed(replace(question, ranges=None), nodes)
    layer = first_layer(question)
    assert layer.reads is not None
    changed = ((low > wide_low) | (high < wide_high)) & ~empty[:, None]
    assert bool(changed.any())
    assert not bool((changed & ~layer.shares(chosen)).any())
    assert 0 < float(layer.shares(chosen).double().mean()) < 1
    for trace in traces:
        spikes, currents = trace.spikes[0].flatten(2), trace.currents[0][0].flatten(1)
        same = (spikes == traces[0].spikes[0].flatten(2)).all(0).logical_or(~chosen).all(1)
        assert not bool((same & empty).any())
        assert bool(((low <= currents) & (currents <= high))[same].all())


def test_a_matrix_in_parts_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch):
    network, inputs, labels = local_network()
    question = asked(network, inputs, labels, LInf(0.2))
    roots = question.roots()
    assert roots is not None
    stage = question.staged(roots)[0].stages[0]
    whole = stage.matrix()
    monkeypatch.setattr("spikecert.certify.bounds.prices.stages.AT_ONCE", 7)
    assert all(torch.equal(part, other) for part, other in zip(stage.matrix(), whole, strict=True))
    assert whole[0].shape == (72, 36)


@pytest.mark.parametrize("rate", [0.2, 1e4])
def test_an_end_that_does_not_exist_says_nothing(rate: float):
    """Rows that are bounded on one side or none: what multipliers of the other side would prove is not so."""
    network, inputs, _ = wide(2)
    question = asked(network, inputs, torch.zeros(len(inputs), dtype=torch.long), LInf(0.15))
    layer = first_layer(question)
    generator = torch.Generator().manual_seed(0)
    samples, split = torch.arange(6), torch.rand(6, 16, generator=generator) < 0.6
    chosen, adam = torch.ones(6, 16, dtype=torch.bool), (5, rate, (0.5, 0.9))
    far = (inputs + 0.3 * torch.rand(400, 6, 20, generator=generator) - 0.15).clamp(0, 1)
    currents = network.layers[0](far).detach()  # pyright: ignore
    cut = currents[0]
    for low, high in ((-torch.inf, cut), (cut, torch.inf), (-torch.inf, torch.inf)):
        least, most = (torch.as_tensor(end).double().expand(6, 16).contiguous() for end in (low, high))
        rows = Box(least, most)
        box, empty = narrowed_by(layer, samples, rows, split, chosen, adam)
        held = ((currents >= rows.lower) & (currents <= rows.upper)).logical_or(~split).all(2)
        assert bool(held.any(0).all())
        assert not bool(empty.any())
        inside = (box.lower <= currents) & (currents <= box.upper)
        assert bool((inside | ~held[..., None]).all())
