# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalMemberAccess=false
"""A run, layer by layer, against what the checker allows it."""

import numpy as np
import torch

from spikecert import save
from spikecert.checking import read_network
from spikecert.checking.bound import Question
from spikecert.checking.events.inputs import Inputs
from spikecert.checking.leaf import Leaf
from spikecert.checking.maps.filters import Filter
from spikecert.checking.maps.pooling import Maxima
from spikecert.checking.network.graph import Entrance, Spikes, Sum, Through
from spikecert.checking.network.loops import driven
from spikecert.checking.trains.constant import Constant
from spikecert.checking.trains.memoryless import Memoryless
from spikecert.checking.trains.paths import Reach
from spikecert.checking.trains.subtracting import Subtracting
from spikecert.models.elements.varied import Varied
from spikecert.models.networks import SpikingNetwork, Trace
from spikecert.testing import Case
from support.exact_numbers import exact, made, values


def asked(case: Case, folder, cells: int = 0) -> Question:
    """Return the checker's question about the first sample."""
    save(case.network, folder / "network.safetensors")
    steps = case.network.num_steps if case.network.timed else None
    inputs = Inputs.around(case.inputs[0].numpy(), np.array([case.epsilon]), 0.0, 1.0, "linf", steps)
    return Question(read_network(folder / "network.safetensors"), inputs, cells)


def traced(network: SpikingNetwork, inputs: torch.Tensor) -> Trace:
    """Return what a run does, each kind of neurons of a layer by itself."""
    with torch.no_grad():
        trace, rules = network.trace(inputs), [neuron.rule(network.num_steps) for neuron in network.neurons]

    def parted(signals: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        found = []
        for signal, rule in zip(signals, rules, strict=True):
            places = rule.places(tuple(signal.shape[2:])) if isinstance(rule, Varied) else [slice(None)]
            found += [signal.flatten(2)[..., place] for place in places]
        return tuple(found)

    return Trace(parted(trace.currents), parted(trace.potentials), parted(trace.spikes), trace.logits)


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
        elif isinstance(node, Maxima):
            known.append(np.maximum.reduceat(known[node.source][node.windows.entry], node.windows.starts))
        elif isinstance(node, Filter):
            whole = np.broadcast_to(known[node.source], (len(known[node.source]), node.steps))
            known.append(whole @ values(node.over_time))
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
    size, error = sizes[node.source], errors[node.source]
    if node.feedback is not None:
        size, error = driven(node.feedback, size, error, question.arithmetic)
        before = np.hstack([np.zeros((len(spikes), 1), dtype=int), spikes[:, :-1]])
        current = current + made(Through(0, node.feedback), before)
    assert np.all(abs(run - current) <= values(error))
    assert np.all(abs(run) <= values(size))
    if isinstance(layer, Subtracting):
        certain, possible = map(values, layer.spikes(leaf.trains(place)))
        assert np.all((certain <= spikes) & (spikes <= possible))
        return
    if isinstance(layer, Constant):
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
    if isinstance(layer, Memoryless):
        found = leaf.trains(place)
        assert np.all((values(found.low) <= potentials) & (potentials <= values(found.high)))
        assert np.all((potentials >= values(layer.perhaps)) | (spikes == 0))
        assert np.all((potentials <= values(layer.surely)) | (spikes == 1))
        assert found.possible[np.indices(spikes.shape)[0], np.indices(spikes.shape)[1], spikes.astype(int)].all()
        return
    powers = values(layer.powers)
    neurons, shift = leaf.trains(place)
    check_reach(neurons, shift, added * powers, potentials * powers, left * powers, spikes)
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
                start = reach.starts[node]
                assert start is not None
                assert start[0] <= rest[t] <= start[1]
        certain, possible = reach.spikes
        assert np.all(np.array(certain) <= train)
        assert np.all(train <= np.array(possible))
