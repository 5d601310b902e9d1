"""How verification grows with T, width, depth, samples and processes, with exponents, as one picture.

    python benchmarks/scaling.py [--out benchmarks/figures/scaling.svg]

"verify" with compiled kernels on networks 64-…-10 of random weights (behind the first layer 2.5 times as large as
they start, so that all layers fire), λ = .9, hard reset, ε = .01; CPU milliseconds a sample, one thread. An
exponent is the slope of the logarithms, by least squares over all points. Processes: what `verify` takes in
all of them, beside `verify` in one; on a machine that is not shared, wall time follows.
"""

import argparse
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from spikecert import LIF, LInf, SpikingNetwork, mlp, verify

VERIFIERS = ("interval", "trains", "linear")
EPSILON, SAMPLES = 0.01, 20


@dataclass(frozen=True)
class Case:
    """What is asked at one place of an axis."""

    width: int = 64
    depth: int = 2
    num_steps: int = 8
    samples: int = SAMPLES

    def network(self) -> SpikingNetwork:
        """Return the network."""
        torch.manual_seed(0)
        found = mlp((64, *[self.width] * self.depth, 10), num_steps=self.num_steps, neuron=LIF(0.9)).eval()
        for layer in [layer for layer in found.layers if isinstance(layer, nn.Linear)][1:-1]:
            layer.weight.data.mul_(2.5)
        return found

    def milliseconds(self, verifier: str) -> float:
        """Return CPU milliseconds a sample, the kernels being built."""
        network, inputs = self.network(), torch.rand(self.samples, 64, generator=torch.Generator().manual_seed(1))
        labels = network(inputs).argmax(1)
        verify(network, inputs[:1], labels[:1], LInf(EPSILON), verifier)
        started, rounds = time.process_time(), 0
        while rounds < 1 or time.process_time() - started < 0.5:
            verify(network, inputs, labels, LInf(EPSILON), verifier)
            rounds += 1
        return 1000 * (time.process_time() - started) / rounds / self.samples


AXES: dict[str, tuple[tuple[int, ...], Callable[[int], Case]]] = {
    "T": ((8, 16, 32, 64, 128), lambda value: Case(num_steps=value)),
    "width": ((32, 64, 128, 256), lambda value: Case(width=value)),
    "hidden layers": ((2, 4, 6, 8, 10), lambda value: Case(depth=value)),
    "samples": ((1, 4, 16, 64, 256), lambda value: Case(samples=value)),
}


def exponent(values: tuple[int, ...], times: list[float]) -> float:
    """Return the slope of the logarithms."""
    x, y = torch.tensor(values).double().log(), torch.tensor(times).double().log()
    return float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())


def shared(workers: int) -> float:
    """Return CPU milliseconds a sample of "complete" over so many processes; 0 for `verify` in this one."""
    network = Case(depth=2, num_steps=4).network()
    inputs = torch.rand(64, 64, generator=torch.Generator().manual_seed(1))
    labels = network(inputs).argmax(1)
    asked = network, inputs, labels, LInf(0.003), "complete"
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.process_time()
    if workers == 0:
        verify(*asked)
        return 1000 * (time.process_time() - started) / len(inputs)
    verify(*asked, engine="local", workers=workers, batch=8)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 1000 * spent / len(inputs)


def panel(axes: Axes, label: str, values: tuple[int, ...], lines: dict[str, list[float]]) -> None:
    """Draw milliseconds a sample against one size, on logarithmic axes."""
    for name, times in lines.items():
        axes.plot(values, times, marker="o", label=f"{name}, exponent {exponent(values, times):.2f}")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(values, [str(value) for value in values])
    axes.set_xlabel(label)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)


def main() -> None:
    """Measure, print Markdown and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "figures" / "scaling.svg")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    matplotlib.rcParams["svg.hashsalt"] = "spikecert"  # the same file from the same figure
    figure = Figure(figsize=(15, 3.4), layout="constrained")
    panels = figure.subplots(1, len(AXES) + 1)
    print("| grows | values | verifier | CPU ms a sample | exponent |\n|---|---|---|---|---|", flush=True)
    for axes, (label, (values, case)) in zip(panels, AXES.items(), strict=False):
        lines = {name: [case(value).milliseconds(name) for value in values] for name in VERIFIERS}
        panel(axes, label, values, lines)
        for name, times in lines.items():
            told = ", ".join(f"{value:.3g}" for value in times), f"{exponent(values, times):.2f}"
            print(f"| {label} | {', '.join(map(str, values))} | {name} | {' | '.join(told)} |", flush=True)
    counts = (0, 1, 2)
    spent = [shared(count) for count in counts]
    print(f"| processes | verify, 1, 2 | complete | {', '.join(f'{value:.3g}' for value in spent)} | |")
    panels[-1].bar(["verify", "1 process", "2 processes"], spent)
    panels[-1].set_xlabel('"complete" by `verify`')
    panels[0].set_ylabel("CPU milliseconds a sample")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.out, metadata={"Date": None})


if __name__ == "__main__":
    main()
