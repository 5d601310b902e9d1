"""Nodes and time of the complete search against T, width, depth and ε.

    python benchmarks/complete_growth.py [--out benchmarks/figures/complete.svg] [--cache FOLDER]

Digits networks as in complete.py; the first 30 test digits, each by itself, one thread, 30 seconds at most.
Prints Markdown and writes the figure: means over the samples that "trains" leaves open. A hollow mark says that
some sample was left undecided, so that the mean is too low.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import torch
from complete import Case, trained
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from spikecert import LInf, SpikingNetwork, dataset
from spikecert.certify.branching.question import MarginQuestion
from spikecert.certify.branching.search import Search
from spikecert.certify.replay import replays
from spikecert.certify.verifiers.trains import TRAINS

SAMPLES, SECONDS = 30, 30.0
SWEEPS: dict[str, tuple[list[float], list[Case]]] = {
    "T (64-64-10, ε = .05)": (
        [2, 4, 8, 16, 32],
        [Case((64, 64, 10), steps, 0.05, SAMPLES) for steps in (2, 4, 8, 16, 32)],
    ),
    "width w (64-w-10, T = 8, ε = .05)": (
        [16, 64, 128, 256],
        [Case((64, width, 10), 8, 0.05, SAMPLES) for width in (16, 64, 128, 256)],
    ),
    "hidden layers of 32 (T = 4, ε = .02)": (
        [1, 2, 3, 4],
        [Case((64, *[32] * depth, 10), 4, 0.02, SAMPLES) for depth in (1, 2, 3, 4)],
    ),
    "ε (64-64-10, T = 8)": (
        [0.02, 0.04, 0.06, 0.08, 0.1],
        [Case((64, 64, 10), 8, epsilon, SAMPLES) for epsilon in (0.02, 0.04, 0.06, 0.08, 0.1)],
    ),
}


@dataclass(frozen=True)
class Found:
    """What the search took for each sample that was open, and how many it left undecided."""

    nodes: list[int]
    seconds: list[float]
    undecided: int

    @property
    def mean_nodes(self) -> float:
        """Return the mean over open samples, 0 without any."""
        return sum(self.nodes) / max(1, len(self.nodes))

    @property
    def mean_seconds(self) -> float:
        """Return the mean over open samples, 0 without any."""
        return sum(self.seconds) / max(1, len(self.seconds))


def measured(network: SpikingNetwork, case: Case) -> Found:
    """Decide the first samples that the network classifies right and "trains" leaves open."""
    test, threat = dataset("digits").test, LInf(case.epsilon)
    nodes, seconds, undecided = [], [], 0
    for index in range(case.samples):
        inputs, labels = test.inputs[index : index + 1], test.labels[index : index + 1]
        lower = TRAINS.class_margins(network, inputs, labels, threat)
        if int(network(inputs).argmax(1)) != int(labels) or bool((lower > 0).all()):
            continue
        question = MarginQuestion.of_margins(network, inputs, labels, threat, lower <= 0)

        def fails(candidate: Tensor, _: int, labels: Tensor = labels) -> bool:
            return replays(network, candidate, int(labels), "strict")

        started = time.process_time()
        answer = Search().run(question, fails, time.perf_counter() + SECONDS)
        assert answer is not None
        seconds.append(time.process_time() - started)
        nodes.append(int(answer.nodes.sum()))
        undecided += not answer.counterexamples and bool((answer.bound <= 0).any())
    return Found(nodes, seconds, undecided)


def panel(axes: Axes, values: list[float], found: list[Found], label: str) -> None:
    """Draw mean nodes and milliseconds against one size."""
    for name, color, heights in (
        ("nodes", "C0", [point.mean_nodes for point in found]),
        ("milliseconds", "C1", [1000 * point.mean_seconds for point in found]),
    ):
        axes.plot(values, heights, color=color, label=name)
        for value, height, point in zip(values, heights, found, strict=True):
            axes.plot(value, height, "o", color=color, mfc="white" if point.undecided else color)
    axes.set_yscale("log")
    axes.set_xlabel(label)
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.grid(alpha=0.3)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "figures" / "complete.svg")
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cache = arguments.cache or Path(tempfile.mkdtemp())
    print("| network | ε | open | undecided | nodes, mean | worst | CPU s, mean | worst |")
    print("|---" * 8 + "|")
    matplotlib.rcParams["svg.hashsalt"] = "spikecert"  # the same file from the same figure
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    panels = figure.subplots(1, len(SWEEPS), sharey=True)
    for axes, (label, (values, cases)) in zip(panels, SWEEPS.items(), strict=True):
        networks = [trained(case, cache) for case in cases]
        with torch.no_grad():
            found = [measured(network, case) for network, case in zip(networks, cases, strict=True)]
        for case, point in zip(cases, found, strict=True):
            cells = [case.name, case.epsilon, len(point.nodes), point.undecided]
            cells += [round(point.mean_nodes), max(point.nodes, default=0)]
            cells += [f"{value:.2f}" for value in (point.mean_seconds, max(point.seconds, default=0.0))]
            print(f"| {' | '.join(map(str, cells))} |", flush=True)
        panel(axes, values, found, label)
    panels[0].set_ylabel("per open sample")
    panels[0].legend()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.out, metadata={"Date": None})


if __name__ == "__main__":
    main()
