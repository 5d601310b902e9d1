"""Flipped events: what each verifier proves, and what the attack leaves.

    python benchmarks/flips.py --root FOLDER [--samples 50] [--searched 10] [--seconds 20] [--cache FOLDER]
                               [--only nmnist,small]

N-MNIST (1,000 recordings): 2312-64-10, T = 6, decay .9, hard and subtracting reset, one to ten flips of 13,872
events. Bounds on the first test recordings; "enumeration" and "complete", each recording by itself, on the first
few that "linear" and the attack leave open. And a small network, 4-5-3 with T = 25 and one flip of 100 events,
whose recordings are enumerated and, for comparison, searched. One thread.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from spikecert import (
    LIF,
    CrossEntropy,
    SpikeFlip,
    SpikingNetwork,
    Verdict,
    attack,
    dataset,
    fit,
    load,
    mlp,
    save,
    verify,
)
from spikecert.certify.verifiers import Complete, Enumeration, Verifier

STEPS, SIZES, COUNTS, RESETS = 6, (2312, 64, 10), (1, 2, 5, 10), ("zero", "subtract")
BOUNDS = ("interval", "trains", "linear", "gain")
SMALL_STEPS, SMALL, SMALL_SAMPLES = 25, (4, 5, 3), 15


def trained(reset: str, root: Path, path: Path) -> SpikingNetwork:
    """Return the N-MNIST network from `path`, or train it from seed 0."""
    if not path.exists():
        torch.manual_seed(0)
        layers = mlp(SIZES, num_steps=STEPS, neuron=LIF(decay=0.9, reset=reset)).layers
        network = SpikingNetwork(torch.nn.Flatten(), *layers, num_steps=STEPS, encoding="none")
        samples = dataset("nmnist", root, num_steps=STEPS)
        run = fit(network, samples, CrossEntropy(), epochs=15, batch_size=32, optimizer="adam", learning_rate=1e-3)
        save(run.network, path)
    return load(path)


def statuses(verdicts: Sequence[Verdict]) -> str:
    """Return how many were verified and falsified."""
    counts = Counter(verdict.status for verdict in verdicts)
    return f"{counts['verified']} / {counts['falsified']}"


def each(
    network: SpikingNetwork, inputs: Tensor, labels: Tensor, threat: SpikeFlip, verifier: Verifier, seconds: float
) -> tuple[list[Verdict], float]:
    """Decide each sample by itself; return the verdicts and the mean seconds."""
    started = time.perf_counter()
    pairs = zip(inputs.split(1), labels.split(1), strict=True)
    found = [verify(network, *pair, threat, verifier, timeout=seconds)[0] for pair in pairs]
    return found, (time.perf_counter() - started) / max(1, len(found))


def nmnist(root: Path, cache: Path, arguments: argparse.Namespace) -> None:
    """Print the rows of N-MNIST."""
    test = dataset("nmnist", root, num_steps=STEPS).test
    inputs, labels = test.inputs[: arguments.samples].float(), test.labels[: arguments.samples]
    searches: dict[str, Verifier] = {"enumeration": Enumeration(), "complete": Complete(enumeration=None)}
    columns = ("reset", "flips", "right", "attack leaves", *BOUNDS, "open", *searches)
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for reset in RESETS:
        network = trained(reset, root, cache / f"nmnist-{reset}.safetensors")
        right = int((network(inputs).argmax(1) == labels).sum())
        for count in COUNTS:
            threat = SpikeFlip(count)
            stands = ~attack(network, inputs, labels, threat, "ensemble").success
            cells = [reset, str(count), str(right), str(int(stands.sum()))]
            is_open = stands
            for name in BOUNDS:
                started = time.perf_counter()
                found = verify(network, inputs, labels, threat, name)
                proven = torch.tensor([verdict.status == "verified" for verdict in found])
                milliseconds = 1000 * (time.perf_counter() - started) / len(inputs)
                cells.append(f"{int(proven.sum())} ({milliseconds:.1f} ms)")
                is_open = is_open & ~proven
            left = is_open.nonzero().flatten()
            cells.append(str(len(left)))
            left = left[: arguments.searched]
            for verifier in searches.values():
                found, mean = each(network, inputs[left], labels[left], threat, verifier, arguments.seconds)
                cells.append(f"{statuses(found)} of {len(found)} ({mean:.1f} s)")
            print(f"| {' | '.join(cells)} |", flush=True)


def small(arguments: argparse.Namespace) -> None:
    """Print what enumeration and the search make of a small network over a long time."""
    for reset in RESETS:
        torch.manual_seed(0)
        network = mlp(SMALL, num_steps=SMALL_STEPS, neuron=LIF(decay=0.9, reset=reset), encoding="none").eval()
        inputs = (torch.rand(SMALL_SAMPLES, SMALL_STEPS, SMALL[0]) < 0.3).float()
        labels = network(inputs).argmax(1)
        for verifier in (Enumeration(), Complete(enumeration=None)):
            found, mean = each(network, inputs, labels, SpikeFlip(1), verifier, arguments.seconds)
            name = f"4-5-3, T = 25, reset {reset}, one flip, {verifier.name}"
            print(f"{name}: {statuses(found)} of {len(found)}, {mean * len(found):.2f} s in all", flush=True)


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder with N-MNIST's Train and Test")
    parser.add_argument("--cache", type=Path, help="where networks are kept")
    parser.add_argument("--only", default="small,nmnist")
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--searched", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cache = arguments.cache or Path(tempfile.mkdtemp())
    cache.mkdir(parents=True, exist_ok=True)
    if "small" in arguments.only:
        small(arguments)
    if "nmnist" in arguments.only:
        nmnist(arguments.root, cache, arguments)


if __name__ == "__main__":
    main()
