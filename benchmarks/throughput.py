"""Forward and training step of 784-512-256-10, T=8, batch 128: spikecert, the products alone, other libraries.

Run `python benchmarks/throughput.py [--network dense] [--repetitions 40] [--threads N] [--clock cpu]`; with
`--network convolutional` it is 3-32-64-64-10 on 32², 3×3 each, T=4, batch 16, without the other libraries.

The limit, "products alone", does the same products with nothing between them, by torch and in the layout that
networks have: the first layer once, the next for all T steps, the last on the mean over time; in the step also
those of weights and of signals but the first. It has no bias, no loss and no zeroing of gradients, which the other
rows have; none has an optimiser. A step may do with less than the products: gradients of weights are summed over
spikes alone. All rows keep freed memory, as `fit` does. Repetitions take turns, so that a busy machine slows all
rows alike; with one thread, the clock "cpu" leaves out the time that other programs had. snnTorch and SpikingJelly
are compared where they are installed (pip install snntorch spikingjelly).
"""

import argparse
import importlib.metadata
import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from spikecert import LIF, MSMPPD, CertifiedLoss, GaussianNoise, SpikingNetwork, mlp
from spikecert.kernels.loading import kept_memory
from spikecert.training import Objective

SIZES = (784, 512, 256, 10)
STEPS, BATCH, DECAY = 8, 128, 0.99

CHANNELS, SIDE, CONVOLVED_STEPS, CONVOLVED_BATCH = (3, 32, 64, 64), 32, 4, 16

NETWORKS = {
    "dense": ("-".join(map(str, SIZES)), STEPS, BATCH),
    "convolutional": (f"{'-'.join(map(str, CHANNELS))}-10 on {SIDE}²", CONVOLVED_STEPS, CONVOLVED_BATCH),
}
"""What each is called, its T and its batch."""

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

OBJECTIVES: dict[str, Objective] = {
    "noise alone (2 × the samples)": MSMPPD(rho=0.0, perturbation=GaussianNoise()),
    "MS-MPPD with noise (2 × the samples)": MSMPPD(perturbation=GaussianNoise()),
    'CertifiedLoss("trains")': CertifiedLoss(bounds="trains", ramp=0.0),
}

Call = Callable[[], object]


@dataclass(frozen=True)
class Contender:
    """One row of the table: a forward pass without gradients, and a training step (zero, forward, backward)."""

    name: str
    forward: Call
    step: Call


def inputs() -> tuple[Tensor, Tensor]:
    """Return one batch of images and labels."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(BATCH, SIZES[0], generator=generator), torch.randint(10, (BATCH,), generator=generator)


def contender(
    name: str,
    network: nn.Module,
    logits: Callable[[Tensor], Tensor],
    batch: tuple[Tensor, Tensor] | None = None,
) -> Contender:
    """Return the row of a network whose `logits` function maps a batch to logits."""
    images, labels = batch or inputs()
    parameters = [*network.parameters()]

    def forward() -> None:
        with torch.no_grad():
            logits(images)

    def step() -> None:
        for parameter in parameters:  # as optimisers do it, without a walk through the modules
            parameter.grad = None
        cross_entropy(logits(images), labels).backward()

    return Contender(name, forward, step)


def spikecert_network() -> Contender:
    """Return this library's row."""
    network = mlp(SIZES, STEPS, LIF(decay=DECAY))
    return contender("spikecert", network, network)


def spikecert_objective(name: str, objective: Objective) -> Contender:
    """Return a training step with another objective than the cross-entropy of the other rows."""
    network = mlp(SIZES, STEPS, LIF(decay=DECAY))
    plain = contender("", network, network)
    (images, labels), generator = inputs(), torch.Generator().manual_seed(0)

    def step() -> None:
        network.zero_grad()
        objective.loss(network, images, labels, generator).total.backward()

    return Contender(name, plain.forward, step)


def matmuls() -> Contender:
    """Return the limit: the same matrix products, with operands of the same shapes."""
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(n, m, generator=generator) for m, n in itertools.pairwise(SIZES)]
    rows = (BATCH, STEPS * BATCH, BATCH)
    signals = [torch.rand(r, m, generator=generator) for r, m in zip(rows, SIZES[:-1], strict=True)]
    grads = [torch.rand(r, n, generator=generator) for r, n in zip(rows, SIZES[1:], strict=True)]

    def forward() -> None:
        for signal, weight in zip(signals, weights, strict=True):
            torch.mm(signal, weight.T)

    def step() -> None:
        forward()
        for k, (signal, weight, grad) in enumerate(zip(signals, weights, grads, strict=True)):
            torch.mm(grad.T, signal)
            if k > 0:
                torch.mm(grad, weight)

    return Contender("products alone (the limit)", forward, step)


def convolutional_network() -> Contender:
    """Return this library's row for convolutions, their weights doubled so that all layers fire."""
    modules: list[nn.Module] = []
    for m, n in itertools.pairwise(CHANNELS):
        modules += [nn.Conv2d(m, n, 3, padding=1), LIF(decay=DECAY)]
    readout = nn.Linear(CHANNELS[-1] * SIDE**2, 10)
    network = SpikingNetwork(*modules, nn.Flatten(), readout, num_steps=CONVOLVED_STEPS)
    with torch.no_grad():
        for layer in modules[::2]:
            layer.weight *= 2  # type: ignore[operator]
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(CONVOLVED_BATCH, CHANNELS[0], SIDE, SIDE, generator=generator)
    labels = torch.randint(10, (CONVOLVED_BATCH,), generator=generator)
    return contender("spikecert", network, network, (images, labels))


def convolutions() -> Contender:
    """Return the limit for convolutions."""
    generator = torch.Generator().manual_seed(0)
    rows = (CONVOLVED_BATCH, *[CONVOLVED_STEPS * CONVOLVED_BATCH] * (len(CHANNELS) - 2))
    weights = [torch.randn(n, m, 3, 3, generator=generator) for m, n in itertools.pairwise(CHANNELS)]
    signals, grads = (
        [torch.rand(r, c, SIDE, SIDE, generator=generator) for r, c in zip(rows, channels, strict=True)]
        for channels in (CHANNELS[:-1], CHANNELS[1:])
    )
    mean, last = (torch.rand(n, CHANNELS[-1] * SIDE**2, generator=generator) for n in (CONVOLVED_BATCH, 10))
    grad = torch.rand(CONVOLVED_BATCH, 10, generator=generator)

    def forward() -> None:
        for signal, weight in zip(signals, weights, strict=True):
            torch.conv2d(signal, weight, padding=1)
        torch.mm(mean, last.T)

    def step() -> None:
        forward()
        for k, pair in enumerate(zip(signals, weights, grads, strict=True)):
            _convolved_back(*pair, asked=(k > 0, True, False))
        torch.mm(grad.T, mean)
        torch.mm(grad, last)

    return Contender("products alone (the limit)", forward, step)


def _convolved_back(signal: Tensor, weight: Tensor, grad: Tensor, asked: tuple[bool, bool, bool]) -> None:
    ones, zeros = (1, 1), (0, 0)
    torch.ops.aten.convolution_backward(grad, signal, weight, None, ones, ones, ones, False, zeros, 1, asked)


def snntorch_network() -> Contender:
    """Return snnTorch's row: its step-by-step loop, as in its tutorials."""
    import snntorch  # pyright: ignore[reportMissingImports]

    layers = nn.ModuleList(nn.Linear(m, n) for m, n in itertools.pairwise(SIZES))
    neurons = [snntorch.Leaky(beta=DECAY, reset_mechanism="zero") for _ in SIZES[1:-1]]

    def logits(images: Tensor) -> Tensor:
        potentials = [neuron.init_leaky() for neuron in neurons]
        total = torch.zeros(())
        for _ in range(STEPS):
            signal = images
            for k, neuron in enumerate(neurons):
                signal, potentials[k] = neuron(layers[k](signal), potentials[k])
            total = total + layers[-1](signal)
        return total / STEPS

    return contender(f"snnTorch {importlib.metadata.version('snntorch')}", layers, logits)


def spikingjelly_network() -> Contender:
    """Return SpikingJelly's row: multi-step mode, the first layer applied once."""
    from spikingjelly.activation_based import (  # pyright: ignore[reportMissingImports]
        functional,
        layer,
        neuron,
    )

    def spiking() -> nn.Module:
        return neuron.LIFNode(tau=1 / (1 - DECAY), decay_input=False, step_mode="m", detach_reset=False)

    first = nn.Linear(SIZES[0], SIZES[1])
    rest = nn.Sequential(
        spiking(),
        layer.Linear(SIZES[1], SIZES[2], step_mode="m"),
        spiking(),
        layer.Linear(SIZES[2], SIZES[3], step_mode="m"),
    )

    def logits(images: Tensor) -> Tensor:
        functional.reset_net(rest)
        return rest(first(images).expand(STEPS, -1, -1)).mean(0)

    name = f"SpikingJelly {importlib.metadata.version('spikingjelly')}, multi-step"
    return contender(name, nn.ModuleList([first, rest]), logits)


def available(network: str) -> tuple[list[Contender], list[str]]:
    """Return the rows that can be measured, and what is missing for the others."""
    if network == "convolutional":
        return [convolutions(), convolutional_network()], []
    rows, missing = [matmuls(), spikecert_network()], []
    rows += [spikecert_objective(name, objective) for name, objective in OBJECTIVES.items()]
    for name, build in (("snntorch", snntorch_network), ("spikingjelly", spikingjelly_network)):
        try:
            rows.append(build())
        except ImportError as error:
            missing.append(f"{name} is not installed ({error}), its row is left out")
    return rows, missing


def measure(calls: list[Call], repetitions: int, clock: Callable[[], float]) -> list[float]:
    """Return the median seconds of each call; the calls take turns."""
    for call in calls:
        for _ in range(3):
            call()
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(repetitions):
        for call, taken in zip(calls, seconds, strict=True):
            start = clock()
            call()
            taken.append(clock() - start)
    return [statistics.median(taken) for taken in seconds]


def main() -> None:
    """Measure all rows and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, default="dense")
    parser.add_argument("--repetitions", type=int, default=40)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    rows, missing = available(arguments.network)
    repetitions, clock = arguments.repetitions, CLOCKS[arguments.clock]
    with kept_memory():
        forward, step = (
            measure([getattr(row, name) for row in rows], repetitions, clock) for name in ("forward", "step")
        )
    sizes, steps, batch = NETWORKS[arguments.network]
    setting = f"T={steps}, batch {batch}, float32, torch {torch.__version__}, {arguments.threads} thread(s)"
    setting += f", {arguments.clock} time"
    print(f"{sizes}, {setting}, median of {arguments.repetitions} interleaved repetitions\n")
    print("| | forward, ms | × products | training step, ms | × products |\n|---|---|---|---|---|")
    for row, f, s in zip(rows, forward, step, strict=True):
        print(f"| {row.name} | {f * 1e3:.2f} | {f / forward[0]:.2f} | {s * 1e3:.2f} | {s / step[0]:.2f} |")
    for line in missing:
        print(f"\n{line}")


if __name__ == "__main__":
    main()
