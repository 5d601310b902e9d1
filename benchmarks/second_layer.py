"""What pairs and splits of the second layer add behind subtracting resets, and which layer's bound is loose.

    python benchmarks/second_layer.py [--epsilons 1,2] [--samples 60] [--open 4] [--cache FOLDER]

Digits, 64-64-64-10, T = 25, λ = .95, trained as in subtracting.py; ε in 255ths; margins in spikes. First what
"trains" proves with pairs of output neurons and without. Then, for open digits and their worst class: the bound at
good prices; each layer's Lagrangian gap there (bounding.py); the bound with a graph of the second layer's spikes;
the best of some splits of one of them; and with a share of those that are open decided as the network runs.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from unittest.mock import patch

import torch
from subtracting import digits
from torch import Tensor

from spikecert import LInf, SpikingNetwork, dataset, load, save
from spikecert.certify.bounds.cells import automaton
from spikecert.certify.bounds.prices.price_search import zero_prices
from spikecert.certify.bounds.signals.signals import Signal
from spikecert.certify.bounds.trains.train_graph import GraphTrains
from spikecert.certify.bounds.trains.train_table import Trains
from spikecert.certify.bounds.trains.trains import conserved_spikes, decidable_spikes
from spikecert.certify.branching import bounding
from spikecert.certify.branching.bounding import Climb, _gaps, bound_nodes, choose_splits
from spikecert.certify.branching.nodes.decisions import OPEN, FixedSpikes, Nodes
from spikecert.certify.branching.question import MarginQuestion
from spikecert.certify.rounding import Rounding
from spikecert.certify.verifiers.trains import TRAINS
from spikecert.models.rules import Leaky

SPLITS = 12
CLIMB = Climb(60, 0.1, momenta=(0.7, 0.9))


def fixing(values: Tensor, seen: list[GraphTrains]) -> Callable[[Signal, Leaky, Rounding], Trains]:
    """Return what finds later layers' trains, the first of them with some spikes fixed; its graph is noted."""
    layers = count()

    def spikes(current: Signal, rule: Leaky, rounding: Rounding) -> Trains:
        """Return the trains of each layer in turn."""
        if next(layers) > 0:
            return conserved_spikes(current, rule, rounding)
        found = decidable_spikes(current, rule, rounding)
        assert isinstance(found, GraphTrains)
        seen.append(found)
        return FixedSpikes(values).restrict(found).trains

    return spikes


def bound_of(question: MarginQuestion, values: Tensor) -> tuple[Tensor, GraphTrains]:
    """Return the bounds with spikes fixed, (N, T, n), and the graph before that."""
    roots, seen = question.starts(), list[GraphTrains]()
    assert roots is not None
    nodes = roots.select(torch.zeros(len(values), dtype=torch.long))
    staged, _ = replace(question, spikes=fixing(values, seen)).staged(nodes)
    nodes = replace(nodes, prices=tuple(price.float() for price in zero_prices(staged, len(values))))
    bounded = bound_nodes(replace(question, spikes=fixing(values, seen)), nodes, CLIMB)
    return bounded.nodes.bound, seen[0]


def gaps_of(question: MarginQuestion, roots: Nodes) -> tuple[float, list[float]]:
    """Return the bound at good prices, and each layer's gap there, first layer first."""
    found: list[float] = []

    def noted(problem, prices, evaluation, trace, *rest):
        parts = zip(problem.layers, evaluation.costs, prices, evaluation.minimisers, strict=True)
        deepest = len(problem.layers) - 1
        found.extend(float(_gaps(*part, trace, deepest - place).sum()) for place, part in enumerate(parts))
        return choose_splits(problem, prices, evaluation, trace, *rest)

    with patch.object(bounding, "choose_splits", noted):
        bound = float(bound_nodes(question, roots, CLIMB).nodes.bound)
    return bound, found[::-1]


def splits(question: MarginQuestion, network: SpikingNetwork, steps: int) -> list[float]:
    """Return the bound with the graph, after the best split, and with a quarter, half and all decided."""
    width, generator = 64, torch.Generator().manual_seed(0)
    none = torch.full((1, steps, width), OPEN, dtype=torch.int8)
    (base,), graph = bound_of(question, none)
    places = (graph.box.lower < graph.box.upper)[:, 0].nonzero()
    own = network.trace(question.inputs).spikes[1][:, 0].to(torch.int8)
    places = places[torch.randperm(len(places), generator=generator)]
    tried = none.repeat(2 * SPLITS, 1, 1)
    for place, (step, neuron) in enumerate(places[:SPLITS].tolist()):
        tried[2 * place, step, neuron], tried[2 * place + 1, step, neuron] = 0, 1
    found = [len(places), float(base), float(bound_of(question, tried)[0].view(-1, 2).amin(1).max())]
    for share in (0.25, 0.5, 1.0):
        some, fixed = places[: int(share * len(places))], none.clone()
        fixed[0, some[:, 0], some[:, 1]] = own[some[:, 0], some[:, 1]]
        found.append(float(bound_of(question, fixed)[0]))
    return [found[0], *(steps * bound for bound in found[1:])]


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epsilons", default="1,2")
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--open", type=int, default=4)
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data, steps = dataset("digits"), 25
    path = (arguments.cache or Path(tempfile.mkdtemp())) / "second_layer.safetensors"
    if not path.exists():
        save(digits((64, 64, 64, 10), steps, 0.95).trained(data.train), path)
    network = load(path).eval()
    inputs, labels = data.test.inputs[: arguments.samples].flatten(1), data.test.labels[: arguments.samples]
    with torch.no_grad():
        right = network(inputs).argmax(1) == labels
        inputs, labels = inputs[right], labels[right]
        for epsilon in map(float, arguments.epsilons.split(",")):
            asked = network, inputs, labels, threat = network, inputs, labels, LInf(epsilon / 255)
            paired = TRAINS.class_margins(*asked)
            with patch.object(automaton, "pair_margins", lambda last, labels, known, rounding: known):
                alone = TRAINS.class_margins(*asked)
            left = (alone <= 0).any(1)
            proved, lacking = (
                [int((each > 0).all(1).sum()) for each in (paired, alone)],
                [float(steps * each.amin(1)[left].mean()) for each in (paired, alone)],
            )
            print(f"\nε = {epsilon}/255, {len(inputs)} right; with pairs, without: {proved}, margins {lacking}\n")
            print("| digit | prices | gaps | open spikes | graph | best split | quarter | half | all |")
            print("|---" * 9 + "|")
            for index in (paired <= 0).any(1).nonzero().flatten()[: arguments.open].tolist():
                one = slice(index, index + 1)
                worst = torch.zeros_like(paired[one], dtype=torch.bool)
                worst[0, paired[index].argmin()] = True
                question = MarginQuestion.of_margins(network, inputs[one], labels[one], threat, worst, "argmax")
                roots = question.starts()
                assert roots is not None
                bound, gaps = gaps_of(question, roots)
                told = ", ".join(f"{steps * gap:.1f}" for gap in gaps)
                row = [f"{found:.1f}" for found in splits(question, network, steps)]
                print(f"| {index} | {steps * bound:.1f} | {told} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
