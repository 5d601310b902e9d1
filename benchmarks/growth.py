"""What bounds cost beside a forward pass on the same batch, and how that grows with T, width and depth.

    python benchmarks/growth.py [--out benchmarks/figures/growth.svg] [--same-library]
    python benchmarks/growth.py --long [--steps 500]

Prints Markdown tables and writes the figure. "interval" and "trains" are whole bounds of every margin, in float32
like the forward pass; "windows" is the second stage of the verifier "trains", in float64, which only sees samples
that the first leaves open. CPU milliseconds of one thread, medians; all calls but "windows" take turns.
With --same-library the bounds' products are left to the library that torch takes for the forward pass; otherwise
oneDNN takes them where it is the faster one.

With --long: the float64 stage of "trains" on 64-64-64-10 over up to 500 steps, for 100 samples, CPU milliseconds a
sample, and what memory the process has taken at most, torch's own included; then what labels for the last steps
alone lose beside labels for all of 192 steps.
"""

import argparse
import itertools
import math
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikecert import LIF, LInf, mlp
from spikecert.certify.bounds.intervals import interval_spikes
from spikecert.certify.bounds.long_trains import labels_of
from spikecert.certify.bounds.propagation import margin_bounds
from spikecert.certify.bounds.signals import affine as products
from spikecert.certify.bounds.signals.signals import SpikeBound
from spikecert.certify.bounds.trains import trains as compiled_long
from spikecert.certify.bounds.trains.trains import step_spikes, window_spikes
from spikecert.certify.problem import Problem
from spikecert.certify.verifiers import TRAINS
from spikecert.models.circuit import circuit

BATCH, EPSILON = 128, 0.02
QUICK: dict[str, SpikeBound] = {"interval": interval_spikes, "trains": step_spikes}
BOUNDS = (*QUICK, "windows")
PATIENCE = 2.0
"""Seconds for the calls that take turns, in all."""
Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Point:
    """One network and the milliseconds of a forward pass and of each bound."""

    sizes: Sizes
    num_steps: int
    milliseconds: dict[str, float]

    def ratio(self, *names: str) -> float:
        """Return what the named bounds cost together, in forward passes."""
        return sum(self.milliseconds[name] for name in names) / self.milliseconds["forward"]


def measured(sizes: Sizes, num_steps: int) -> Point:
    """Measure one network with random weights and inputs."""
    torch.manual_seed(0)
    network = mlp(sizes, num_steps=num_steps, neuron=LIF(decay=0.9)).eval()
    inputs = torch.rand(BATCH, sizes[0])
    labels, box = network(inputs).argmax(1), LInf(EPSILON).enclosure(inputs)
    calls: dict[str, Callable[[], object]] = {}
    calls["forward"] = partial(network, inputs)
    for name, bound in QUICK.items():
        calls[name] = lambda bound=bound: margin_bounds(circuit(network), box, labels, bound, True)
    times = in_turns(calls)
    windows: dict[str, Callable[[], object]] = {
        "windows": partial(margin_bounds, circuit(network), box, labels, window_spikes)
    }
    times.update(in_turns(windows, PATIENCE / 4))
    return Point(sizes, num_steps, {key: 1000 * seconds for key, seconds in times.items()})


def in_turns(calls: dict[str, Callable[[], object]], patience: float = PATIENCE) -> dict[str, float]:
    """Return the median CPU seconds of each call; each round makes every call once."""
    times: dict[str, list[float]] = {key: [] for key in calls}
    began = time.process_time()
    while True:
        for key, call in calls.items():
            started = time.process_time()
            call()
            times[key].append(time.process_time() - started)
        if time.process_time() - began >= patience:
            break
    return {key: statistics.median(found) for key, found in times.items()}


def table(points: list[Point]) -> None:
    """Print Markdown: milliseconds, and forward passes in parentheses."""
    print(f"\n| network | T | forward | {' | '.join(BOUNDS)} | interval + trains |\n|{'---|' * (4 + len(BOUNDS))}")
    for point in points:
        cells = [f"{point.milliseconds[name]:.2f} ({point.ratio(name):.1f} ×)" for name in BOUNDS]
        row = [
            "-".join(map(str, point.sizes)),
            str(point.num_steps),
            f"{point.milliseconds['forward']:.2f}",
            *cells,
            f"{point.ratio(*QUICK):.1f} ×",
        ]
        print(f"| {' | '.join(row)} |", flush=True)


def long_problem(sizes: Sizes, num_steps: int, neuron: LIF, samples: int, epsilon: float = EPSILON) -> Problem:
    """Return samples around a network with random weights."""
    torch.manual_seed(0)
    network = mlp(sizes, num_steps=num_steps, neuron=neuron).eval()
    inputs = torch.rand(samples, sizes[0])
    return Problem(network, inputs, network(inputs).argmax(1), LInf(epsilon))


def long_margins(problem: Problem) -> torch.Tensor:
    """Return the margins of the float64 stage of "trains", some samples after others as in `verify`."""
    stage = TRAINS.phases(problem.circuit)[-1]
    return stage(problem, problem.inputs).amin(1)


def long_row(asked: tuple[Sizes, str, float, int]) -> str:
    """Return what many steps take, as a row of the table; in a process of its own."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    sizes, reset, decay, num_steps = asked
    problem = long_problem(sizes, num_steps, LIF(decay=decay, reset=reset), 100)
    long_margins(problem.subset(torch.arange(2)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.process_time()
    long_margins(problem)
    cost = 10 * (time.process_time() - started)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    name = "-".join(map(str, sizes))
    return f"| {name} | {reset} | {decay} | {num_steps} | {cost:.1f} | {memory:.0f} | {memory - before:.0f} |"


def long_table(sizes: Sizes, steps: list[int]) -> None:
    """Print what many steps take, a row for each kind of neuron and T."""
    print("\n| network | reset | λ | T | ms a sample | MiB in all | beside 2 samples |\n" + "|---" * 7 + "|")
    kinds = [(reset, decay) for reset in ("zero", "subtract") for decay in (0.9, 0.99, 1.0)]
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for asked in itertools.product(kinds, steps):
            print(pool.apply(long_row, ((sizes, *asked[0], asked[1]),)), flush=True)


def cut_table(num_steps: int) -> None:
    """Print what labels for the last 32 or 64 steps lose beside labels for all, behind a hard reset."""
    print(
        "\n| λ | labels | ε | verified, cut | with all labels | margins lower by, mean | at most |\n"
        + "|---" * 7
        + "|"
    )
    for decay, epsilon in itertools.product((0.9, 0.99, 1.0), (0.001, 0.003, 0.01)):
        problem = long_problem((64, 64, 64, 10), num_steps, LIF(decay=decay), 20, epsilon)
        found = []
        for labels in (labels_of, lambda _, steps: steps):
            setattr(compiled_long, "labels_of", labels)  # noqa: B010 (it is no name of that module's)
            found.append(long_margins(problem))
        cut, whole = found
        lost, count = whole - cut, labels_of(decay, num_steps)
        told = f"{lost.mean():.2g} | {lost.max():.2g}"
        print(f"| {decay} | {count} | {epsilon} | {(cut > 0).sum()} | {(whole > 0).sum()} | {told} |", flush=True)


def panel(axes: Axes, points: list[Point], values: list[int], label: str) -> None:
    """Draw milliseconds a sample against one size."""
    for name in ("forward", *BOUNDS):
        axes.plot(values, [p.milliseconds[name] / BATCH for p in points], marker="o", label=name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(values, [str(value) for value in values])
    axes.set_xlabel(label)
    axes.grid(alpha=0.3)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "figures" / "growth.svg")
    parser.add_argument("--long", action="store_true", help="Many steps, and nothing else.")
    parser.add_argument("--steps", type=int, nargs="+", default=[64, 128, 256, 500], help="T of --long.")
    parser.add_argument("--same-library", action="store_true", help="Bounds by the library of the forward pass.")
    arguments = parser.parse_args()
    if arguments.same_library:
        products.WORTH = math.inf
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    if arguments.long:
        long_table((64, 64, 64, 10), arguments.steps)
        cut_table(192)
        return
    steps, widths, depths = [2, 4, 8, 16, 32], [32, 64, 128, 256, 512], [1, 2, 4, 8]
    sweeps = {
        "T (64-128-128-10)": (steps, [measured((64, 128, 128, 10), value) for value in steps]),
        "width w (64-w-w-10, T = 8)": (widths, [measured((64, value, value, 10), 8) for value in widths]),
        "hidden layers of 128 (T = 8)": (depths, [measured((64, *[128] * value, 10), 8) for value in depths]),
    }
    table([measured((784, 512, 256, 10), 8), *(point for _, points in sweeps.values() for point in points)])
    matplotlib.rcParams["svg.hashsalt"] = "spikecert"  # the same file from the same figure
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    panels = figure.subplots(1, len(sweeps), sharey=True)
    for axes, (label, (values, points)) in zip(panels, sweeps.items(), strict=True):
        panel(axes, points, values, label)
    panels[0].set_ylabel("CPU milliseconds a sample")
    panels[0].legend()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.out, metadata={"Date": None})


if __name__ == "__main__":
    main()
