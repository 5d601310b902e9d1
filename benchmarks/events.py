"""Events that flip or move: what is proved, what is broken, and what is left undecided.

    python benchmarks/events.py --root FOLDER [--samples 100] [--steps 6,10] [--resets zero,subtract]
                                [--bounds interval,trains,linear] [--cache FOLDER]

N-MNIST (1,000 recordings, 100 test ones drawn from seed 0): 2312-64-10, decay .9, trained by cross-entropy. Flips
of 1 to 20 events; jitter of 1 and 2 steps with 1, 5 and all events movable, merged where they meet. Of the samples
that are right: proved by each bound, broken by the attack, left by all of them. One thread.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor

from spikecert import (
    LIF,
    CrossEntropy,
    SpikeFlip,
    SpikeShift,
    SpikingNetwork,
    attack,
    dataset,
    fit,
    load,
    mlp,
    save,
    verify,
)
from spikecert.certify.attacks import SpikeFlips, SpikeShifts

SIZES, RESETS = (2312, 64, 10), ("zero", "subtract")
FLIPS, JITTERS, MOVABLE = (1, 2, 5, 10, 20), (1, 2), (1, 5, None)
Threat = SpikeFlip | SpikeShift


def trained(reset: str, steps: int, root: Path, path: Path) -> SpikingNetwork:
    """Return the network from `path`, or train it from seed 0."""
    if not path.exists():
        torch.manual_seed(0)
        layers = mlp(SIZES, num_steps=steps, neuron=LIF(decay=0.9, reset=reset)).layers
        network = SpikingNetwork(torch.nn.Flatten(), *layers, num_steps=steps, encoding="none")
        samples = dataset("nmnist", root, num_steps=steps)
        run = fit(network, samples, CrossEntropy(), epochs=15, batch_size=32, optimizer="adam", learning_rate=1e-3)
        save(run.network, path)
    return load(path)


def threats() -> dict[str, Threat]:
    """Return the sets by what is printed of them."""
    found: dict[str, Threat] = {f"{count} flips": SpikeFlip(count) for count in FLIPS}
    for jitter in JITTERS:
        for count in MOVABLE:
            found[f"±{jitter}, {count or 'all'} events"] = SpikeShift(jitter, count)
    return found


def row(network: SpikingNetwork, inputs: Tensor, labels: Tensor, threat: Threat, names: list[str]) -> list[str]:
    """Return what each bound proves, with its time, what the attack breaks, and what is left."""
    cells, proven = [], torch.zeros(len(labels), dtype=torch.bool)
    for name in names:
        started = time.perf_counter()
        found = verify(network, inputs, labels, threat, name)
        here = torch.tensor([verdict.status == "verified" for verdict in found])
        cells.append(f"{int(here.sum())} ({1000 * (time.perf_counter() - started) / len(labels):.0f} ms)")
        proven |= here
    method = SpikeFlips() if isinstance(threat, SpikeFlip) else SpikeShifts()
    broken = attack(network, inputs, labels, threat, method).success
    return [*cells, str(int(broken.sum())), str(int((~broken & ~proven).sum()))]


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder with N-MNIST's Train and Test")
    parser.add_argument("--cache", type=Path, help="where networks are kept")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--steps", default="6,10")
    parser.add_argument("--resets", default=",".join(RESETS))
    parser.add_argument("--bounds", default="interval,trains,linear")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cache, names = arguments.cache or Path(tempfile.mkdtemp()), arguments.bounds.split(",")
    cache.mkdir(parents=True, exist_ok=True)
    columns = ("T", "reset", "set", "right", *names, "broken", "left")
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for steps in map(int, arguments.steps.split(",")):
        test = dataset("nmnist", arguments.root, num_steps=steps).test
        order = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[: arguments.samples]
        for reset in arguments.resets.split(","):
            network = trained(reset, steps, arguments.root, cache / f"events-{steps}-{reset}.safetensors")
            inputs, labels = test.inputs[order].float(), test.labels[order]
            right = network(inputs).argmax(1) == labels
            for name, threat in threats().items():
                cells = row(network, inputs[right], labels[right], threat, names)
                print(f"| {' | '.join([str(steps), reset, name, str(int(right.sum())), *cells])} |", flush=True)


if __name__ == "__main__":
    main()
