# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalMemberAccess=false
"""A run, layer by layer, against what the kernel allows it at the root of a tree."""

from fractions import Fraction

import numpy as np
import torch

from spikecert import save
from spikecert.checking import read_network
from spikecert.checking.certificates.elaborating import Elaborator
from spikecert.checking.events.inputs import Inputs
from spikecert.checking.kernel.checking import Checker
from spikecert.checking.kernel.numbers import ONE, below
from spikecert.checking.maps.affine import Filter
from spikecert.checking.maps.pooling import Maxima
from spikecert.checking.network.graph import Entrance, Spikes, Sum, Through
from spikecert.models.linear_neuron import LinearNeuron
from spikecert.models.networks import SpikingNetwork, Trace
from spikecert.testing import Case
from support.certificates import of_class, took
from support.exact_numbers import exact, made, values


def asked(case: Case, folder, cells: int = 0) -> Checker:
    """Return a kernel that has taken all facts of the question about the first sample."""
    save(case.network, folder / "network.safetensors")
    steps = case.network.num_steps if case.network.timed else None
    inputs = Inputs.around(case.inputs[0].numpy(), np.array([case.epsilon]), 0.0, 1.0, "linf", steps)
    network = read_network(folder / "network.safetensors")
    ours, kernel = (of_class(network, inputs) for _ in range(2))
    took(kernel, Elaborator(ours, cells).facts())
    return kernel


def traced(network: SpikingNetwork, inputs: torch.Tensor) -> Trace:
    """Return what a run does, each kind of neurons of a layer by itself."""
    with torch.no_grad():
        trace, rules = network.trace(inputs), [neuron.rule(network.num_steps) for neuron in network.neurons]

    def parted(signals: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        found = []
        for signal, rule in zip(signals, rules, strict=True):
            places = rule.places(tuple(signal.shape[2:])) if isinstance(rule, LinearNeuron) else [slice(None)]
            found += [signal.flatten(2)[..., place] for place in places]
        return tuple(found)

    return Trace(parted(trace.currents), parted(trace.potentials), parted(trace.spikes), trace.logits)


def slack(kernel: Checker, logit: int) -> Fraction:
    """Return how far the run's logit may be from the exact one of its own spikes."""
    graph = kernel.nodes.graph
    return Fraction(kernel._slack(logit, [below(w) for w in graph.readings[0]]), ONE) * graph.unit


def check_run(kernel: Checker, x: torch.Tensor, trace, index: int) -> None:
    """Check each layer of one run, of sample `index` of a trace, against what the kernel knows."""
    graph, runs, known = kernel.nodes.graph, 0, []
    for place, node in enumerate(graph.nodes):
        if isinstance(node, Entrance):
            known.append(exact(x.flatten(1)).T if kernel.network.timed else exact(x.flatten()).reshape(-1, 1))
        elif isinstance(node, Spikes):
            spikes = exact(trace.spikes[runs][:, index].flatten(1)).T
            check_layer(
                kernel,
                place,
                known[node.source],
                [part[runs][:, index] for part in (trace.currents, trace.potentials, trace.spikes)],
                spikes,
            )
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
        assert np.all(abs(known[-1]) <= values(kernel.context.sizes.of(place)[0]))
    logits = (known[-1] * np.array(graph.readings[0])).sum(1) * graph.unit
    found = [slack(kernel, k) for k in range(graph.widths[-1])]
    assert np.all(abs(exact(trace.logits[index]) - logits) <= found)


def check_layer(kernel: Checker, place: int, current: np.ndarray, run: list[torch.Tensor], spikes) -> None:
    """Check a layer: its exact currents for the run's own spikes; the run's currents, potentials, spikes."""
    node, context = kernel.nodes.graph.nodes[place], kernel.context
    currents, potentials = (exact(part.flatten(1)).T for part in run[:2])
    if node.feedback is not None:
        before = np.hstack([np.zeros((len(spikes), 1), dtype=int), spikes[:, :-1]])
        current = current + made(Through(0, node.feedback), before)
    current = np.broadcast_to(current, spikes.shape)
    errors = np.array([Fraction(error, ONE) for error in context.sizes.errors(place)])[:, None]
    assert np.all(abs(currents - current) <= errors)
    left = potentials * (1 - spikes) if node.neuron.reset == "zero" else potentials
    if node.neuron.reset == "subtract":  # what the run computes: v − d rounded once, with d rounded to its dtype
        v = run[1].flatten(1)
        drop = torch.tensor(float(node.neuron.drop), dtype=v.dtype)
        left = exact(torch.where(run[2].flatten(1) > 0, v - drop, v)).T
    for j, train in enumerate(spikes.astype(int).tolist()):
        boxes = [context.current(place, j, context.step(t)) for t in range(len(train))]
        if place in context.tables:
            table = context.tables[place]
            held = [r for r in context.rows[place][j] if list(table.trains[r]) == train]
            assert any(inside(currents[j, 0], table.ends[r]) for r in held)
            assert inside(currents[j, 0], context.currents[place][j])
            continue
        assert all(inside(c, box) for c, box in zip(current[j], boxes, strict=True))
        assert all(c <= s <= p for s, (c, p) in zip(train, context.bits[place][j], strict=True))
        check_path(context.invariants[place][j], train, potentials[j], left[j])


def check_path(invariant, train: list[int], potentials, left) -> None:
    """Check that a neuron's run is a path of its invariant, with what it has at each step."""
    index = 0
    for t, spike in enumerate(train):
        (move,) = (move for move in invariant.moves[t][index] if move.spike == spike)
        assert inside(potentials[t], move.part)
        index, node = move.target, invariant.levels[t + 1][move.target]
        assert inside(left[t], (node.low, node.high))


def inside(value: Fraction, box: tuple[int, int]) -> bool:
    return box[0] <= value * ONE <= box[1]
