"""Latency codes: does the class hold for all shifts of events whose sum is at most δ, and in how many seconds?

    python benchmarks/latency.py --root FOLDER [--samples 20] [--networks 784-20-10:5,784-512-10:16,784-512-10:64]
                                 [--readouts first,spikes] [--deltas 1,2,3] [--timeout 60] [--images 20000]
                                 [--epochs 8] [--cache FOLDER]

MNIST, one event an input (encoding "latency"), trained by cross-entropy with surrogate gradients, λ = 1. "first":
neurons that fire once, the class whose output fires first; "spikes": neurons that reset to zero, the class that
fires most. Of the first test images that are right, "auto" decides each with a time limit. One thread.
"""

import argparse
import dataclasses
import itertools
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from spikecert import LIF, CrossEntropy, OneSpikeLIF, SpikeShift, SpikingNetwork, dataset, fit, load, save, verify
from spikecert.training.data.splits import Split

NETWORKS = "784-20-10:5,784-512-10:16,784-512-10:64"
NEURONS = {"first": lambda: OneSpikeLIF(1.0, 0.5), "spikes": lambda: LIF(1.0, 0.5)}
TESTED = 1000
"""Test images that accuracies are of."""


def trained(
    sizes: list[int], steps: int, readout: str, settings: argparse.Namespace, path: Path
) -> SpikingNetwork:
    """Return the network from `path`, or train it from seed 0."""
    if not path.exists():
        torch.manual_seed(0)
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), NEURONS[readout]()]
        network = SpikingNetwork(*layers, num_steps=steps, encoding="latency", readout=readout)
        data = dataset("mnist", settings.root)
        data = dataclasses.replace(
            data, train=first(data.train, settings.images), validation=first(data.validation, TESTED)
        )
        options = {"batch_size": 64, "optimizer": "adam", "learning_rate": 2e-3 if sizes[1] < 100 else 1e-3}
        save(fit(network, data, CrossEntropy(), epochs=settings.epochs, **options).network, path)
    return load(path).eval()


def first(split: Split, count: int) -> Split:
    """Return the first samples."""
    return Split(split.inputs[:count], split.labels[:count])


def accuracy(network: SpikingNetwork, images: Tensor, labels: Tensor) -> float:
    """Return the share of images that are right."""
    with torch.no_grad():
        answers = torch.cat([network(part).argmax(1) for part in images.split(100)])
    return float((answers == labels).float().mean())


def row(network: SpikingNetwork, images: Tensor, labels: Tensor, delta: int, timeout: float) -> list[str]:
    """Return how many samples are verified, broken and open, and the mean and the greatest time of one."""
    found, seconds = [], []
    for image, label in zip(images.split(1), labels.split(1), strict=True):
        started = time.perf_counter()
        found += verify(network, image, label, SpikeShift(None, total=delta), "auto", timeout)
        seconds.append(time.perf_counter() - started)
    counts = [
        sum(verdict.status == status for verdict in found) for status in ("verified", "falsified", "unknown")
    ]
    return [*map(str, counts), f"{sum(seconds) / len(seconds):.2f}", f"{max(seconds):.1f}"]


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder with MNIST's IDX files")
    parser.add_argument("--cache", type=Path, help="where networks are kept")
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--networks", default=NETWORKS)
    parser.add_argument("--readouts", default=",".join(NEURONS))
    parser.add_argument("--deltas", default="1,2,3")
    parser.add_argument("--timeout", type=float, default=60.0)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=8)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cache = arguments.cache or Path(tempfile.mkdtemp())
    cache.mkdir(parents=True, exist_ok=True)
    columns = ("network", "readout", "accuracy", "δ", "samples", "verified", "broken", "open", "s", "longest")
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    test = first(dataset("mnist", arguments.root).test, TESTED)
    images, labels = test.inputs.float(), test.labels
    for name in arguments.networks.split(","):
        shape, steps = name.split(":")
        for readout in arguments.readouts.split(","):
            path = cache / f"latency-{shape}-{steps}-{readout}.safetensors"
            network = trained([int(size) for size in shape.split("-")], int(steps), readout, arguments, path)
            share = accuracy(network, images, labels)
            with torch.no_grad():
                right = (network(images[:200]).argmax(1) == labels[:200]).nonzero().flatten()[: arguments.samples]
            for delta in map(int, arguments.deltas.split(",")):
                cells = row(network, images[right], labels[right], delta, arguments.timeout)
                told = f"{shape}, T = {steps}", readout, f"{100 * share:.1f} %", str(delta), str(len(right))
                print(f"| {' | '.join([*told, *cells])} |", flush=True)


if __name__ == "__main__":
    main()
