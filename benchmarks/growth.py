"""What bounds cost beside a forward pass on the same batch, and how that grows with T, width and depth.

    python benchmarks/growth.py [--out benchmarks/figures/growth.svg] [--same-library]
    python benchmarks/growth.py --long

Prints Markdown tables and writes the figure. "interval" and "trains" are whole bounds of every margin, in float32
like the forward pass; "windows" is the second stage of the verifier "trains", in float64, which only sees samples
that the first leaves open. CPU milliseconds of one thread, medians; all calls but "windows" take turns.
"compiled": forward pass and bounds of a network whose kernel that is. With --same-library the bounds' products are
left to the library that torch takes for the forward pass; otherwise oneDNN takes them where it is the faster one.

With --long: the float64 stage of "trains" on 64-64-64-10 and 64-64-64-64-10 over up to 512 steps, for 100 samples,
CPU milliseconds a sample, and what memory the process has taken at most.
"""

import argparse
import copy
import math
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
from spikecert.certify.bounds.intervals.interval import interval_spikes
from spikecert.certify.bounds.propagation import margin_bounds
from spikecert.certify.bounds.signals import products
from spikecert.certify.bounds.signals.signals import SpikeBound
from spikecert.certify.bounds.trains.conserved import conserved_spikes
from spikecert.certify.bounds.trains.trains import step_spikes, window_spikes
from spikecert.models.circuit import circuit
from spikecert.models.kernels import use_kernel

BATCH, EPSILON = 128, 0.02
QUICK: dict[str, SpikeBound] = {"interval": interval_spikes, "trains": step_spikes}
BOUNDS = (*QUICK, "windows")
PATIENCE = 2.0
"""Seconds for the calls that take turns, in all."""
Sizes = tuple[int, ...]
Key = tuple[str, str]
"""What is called, and the kernel."""


@dataclass(frozen=True)
class Point:
    """One network and the milliseconds of a forward pass and of each bound."""

    sizes: Sizes
    num_steps: int
    milliseconds: dict[Key, float]

    def ratio(self, *names: str, kernel: str = "eager") -> float:
        """Return what the named bounds cost together, in forward passes."""
        return sum(self.milliseconds[name, kernel] for name in names) / self.milliseconds["forward", kernel]


def measured(sizes: Sizes, num_steps: int) -> Point:
    """Measure one network with random weights and inputs."""
    torch.manual_seed(0)
    networks = {"eager": mlp(sizes, num_steps=num_steps, neuron=LIF(decay=0.9)).eval()}
    networks["compiled"] = copy.deepcopy(networks["eager"])
    use_kernel(networks["compiled"], "compiled")
    inputs = torch.rand(BATCH, sizes[0])
    labels, box = networks["eager"](inputs).argmax(1), LInf(EPSILON).enclosure(inputs)
    calls: dict[Key, Callable[[], object]] = {}
    for kernel, network in networks.items():
        calls["forward", kernel] = partial(network, inputs)
        for name, bound in QUICK.items():
            calls[name, kernel] = lambda network=network, bound=bound: margin_bounds(
                circuit(network), box, labels, bound, True
            )
    times = in_turns(calls)
    windows: dict[Key, Callable[[], object]] = {
        ("windows", "eager"): partial(margin_bounds, circuit(networks["eager"]), box, labels, window_spikes)
    }
    times.update(in_turns(windows, PATIENCE / 4))
    return Point(sizes, num_steps, {key: 1000 * seconds for key, seconds in times.items()})


def in_turns(calls: dict[Key, Callable[[], object]], patience: float = PATIENCE) -> dict[Key, float]:
    """Return the median CPU seconds of each call; each round makes every call once."""
    times: dict[Key, list[float]] = {key: [] for key in calls}
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
    print(
        f"\n| network | T | forward | {' | '.join(BOUNDS)} | interval + trains | the same, compiled |"
        f"\n|{'---|' * (5 + len(BOUNDS))}"
    )
    for point in points:
        cells = [f"{point.milliseconds[name, 'eager']:.2f} ({point.ratio(name):.1f} ×)" for name in BOUNDS]
        row = [
            "-".join(map(str, point.sizes)),
            str(point.num_steps),
            f"{point.milliseconds['forward', 'eager']:.2f}",
            *cells,
            f"{point.ratio(*QUICK):.1f} ×",
            f"{point.ratio(*QUICK, kernel='compiled'):.1f} ×",
        ]
        print(f"| {' | '.join(row)} |", flush=True)


def long_table() -> None:
    """Print what many steps take, a row for each network and T."""
    print("\n| network | reset | λ | T | ms a sample | MiB in all |\n|---|---|---|---|---|---|")
    for sizes in ((64, 64, 64, 10), (64, 64, 64, 64, 10)):
        for reset, decay in (("zero", 0.9), ("zero", 0.99), ("zero", 1.0), ("subtract", 0.9)):
            for num_steps in (16, 64, 128, 256, 512):
                torch.manual_seed(0)
                network = mlp(sizes, num_steps=num_steps, neuron=LIF(decay=decay, reset=reset)).eval()
                use_kernel(network, "compiled")
                inputs = torch.rand(100, sizes[0])
                labels, box = network(inputs).argmax(1), LInf(EPSILON).enclosure(inputs)
                bound = partial(margin_bounds, circuit(network), box, labels, conserved_spikes)
                seconds = in_turns({("trains", "compiled"): bound}, 0.0 if num_steps > 64 else PATIENCE / 4)
                memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                name, cost = "-".join(map(str, sizes)), 10 * seconds["trains", "compiled"]
                print(f"| {name} | {reset} | {decay} | {num_steps} | {cost:.2f} | {memory:.0f} |", flush=True)


def panel(axes: Axes, points: list[Point], values: list[int], label: str) -> None:
    """Draw milliseconds a sample against one size."""
    for name in ("forward", *BOUNDS):
        axes.plot(values, [p.milliseconds[name, "eager"] / BATCH for p in points], marker="o", label=name)
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
    parser.add_argument("--same-library", action="store_true", help="Bounds by the library of the forward pass.")
    arguments = parser.parse_args()
    if arguments.same_library:
        products.WORTH = math.inf
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    if arguments.long:
        long_table()
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
