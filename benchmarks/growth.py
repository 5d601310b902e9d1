"""What bounds cost beside a forward pass on the same batch, and how that grows with T, width and depth.

    python benchmarks/growth.py [--out benchmarks/figures/growth.svg]

Prints Markdown tables and writes the figure. "interval" and "trains" are whole bounds of every margin, in float32
like the forward pass; "windows" is the second stage of the verifier "trains", in float64, which only sees samples
that the first leaves open. CPU milliseconds of one thread, the least of the repetitions that fit half a second.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikecert import LIF, LInf, mlp
from spikecert.certify.bounds.interval import interval_spikes
from spikecert.certify.bounds.propagation import SpikeBound, margin_bounds
from spikecert.certify.bounds.trains import step_spikes, window_spikes

BATCH, EPSILON = 128, 0.02
BOUNDS: dict[str, SpikeBound] = {"interval": interval_spikes, "trains": step_spikes, "windows": window_spikes}
PATIENCE = 0.5
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
    calls: dict[str, Callable[[], object]] = {"forward": lambda: network(inputs)}
    for name, bound in BOUNDS.items():
        quick = name != "windows"
        calls[name] = lambda bound=bound, quick=quick: margin_bounds(network, box, labels, bound, quick)
    return Point(sizes, num_steps, {name: 1000 * least_time(call) for name, call in calls.items()})


def least_time(call: Callable[[], object]) -> float:
    """Return the least CPU seconds of a call."""
    times: list[float] = []
    while not times or sum(times) < PATIENCE:
        started = time.process_time()
        call()
        times.append(time.process_time() - started)
    return min(times)


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
        ]
        print(f"| {' | '.join(row)} | {point.ratio('interval', 'trains'):.1f} × |", flush=True)


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
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
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
