"""How many nodes a CPU second the complete search bounds, one thread, and what it decides with a budget of nodes.

    python benchmarks/nodes.py [--epsilons .02,.03,.05] [--samples 10] [--budget 3000]
                               [--cache FOLDER]

Digits, 64-128-64-10, T = 8, trained as in complete.py. Samples that the network gets right and "trains" leaves
open, in order; each is given up after `--budget` nodes.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from complete import Case, trained
from torch import Tensor

from spikecert import LInf, SpikingNetwork, dataset
from spikecert.certify.branching.question import MarginQuestion
from spikecert.certify.branching.search import Search
from spikecert.certify.replay import replays
from spikecert.certify.verifiers.trains import TRAINS


def open_questions(network: SpikingNetwork, epsilon: float, samples: int) -> list[MarginQuestion]:
    """Return the questions about the first samples that are right and that "trains" leaves open."""
    test, threat, found = dataset("digits").test, LInf(epsilon), list[MarginQuestion]()
    for index in range(len(test.inputs)):
        inputs, labels = test.inputs[index : index + 1], test.labels[index : index + 1]
        lower = TRAINS.class_margins(network, inputs, labels, threat)
        if int(network(inputs).argmax(1)) == int(labels) and not bool((lower > 0).all()):
            found.append(MarginQuestion.of_margins(network, inputs, labels, threat, lower <= 0))
        if len(found) == samples:
            break
    return found


def decided(question: MarginQuestion, budget: int) -> tuple[str, int, float]:
    """Return what is known of one sample after so many nodes, how many it took, and the CPU seconds."""

    def fails(candidate: Tensor, _: int) -> bool:
        return replays(question.network, candidate, int(question.labels), "strict")

    started = time.process_time()
    answer = Search(patience=budget * question.bytes_each).run(question, fails, None)
    seconds = time.process_time() - started
    assert answer is not None
    status = "falsified" if answer.counterexamples else "verified" if bool((answer.bound > 0).all()) else "unknown"
    return status, int(answer.nodes.sum()), seconds


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epsilons", default="0.02,0.03,0.05")
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--budget", type=int, default=3000)
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cache = arguments.cache or Path(tempfile.mkdtemp())
    cache.mkdir(parents=True, exist_ok=True)
    case = Case((64, 128, 64, 10), 8, 0.05, arguments.samples)
    network = trained(case, cache)
    with torch.no_grad():
        warm = open_questions(network, 0.05, 1)
        decided(warm[0], 100)  # compilers and imports are not counted
        print("| ε | samples | verified | falsified | unknown | nodes | CPU s | nodes a second |")
        print("|---" * 8 + "|")
        for epsilon in map(float, arguments.epsilons.split(",")):
            found = [
                decided(each, arguments.budget) for each in open_questions(network, epsilon, arguments.samples)
            ]
            nodes, seconds = sum(each[1] for each in found), sum(each[2] for each in found)
            counts = [sum(each[0] == name for each in found) for name in ("verified", "falsified", "unknown")]
            row = [epsilon, len(found), *counts, nodes, f"{seconds:.1f}", round(nodes / max(seconds, 1e-9))]
            print(f"| {' | '.join(map(str, row))} |", flush=True)


if __name__ == "__main__":
    main()
