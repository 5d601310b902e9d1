"""Events that flip or move: what is proved, what is broken, and what is left undecided.

    python benchmarks/events.py --root FOLDER [--data nmnist] [--samples 100] [--steps 6,10]
                                [--resets zero,subtract] [--networks dense,conv] [--trainings plain,certified]
                                [--bounds interval,trains,linear] [--cache FOLDER]
                                [--sets "2 flips,5 flips"] [--timeout S]

N-MNIST (1,000 recordings), or with --data digit-events what moved digits of 8×8 pixels make (1,197), 100 test ones
drawn from seed 0, decay .9. Networks: 2312-64-10 (128-64-10), or convolutions of 8 channels (5×5, stride 3) and 16
(3×3, stride 2) before the last layer. Trained by cross-entropy (Adam at .001, 15
epochs), or certified against 5 flips (Adam at .002, 12 epochs). Flips of 1 to 20 events; jitter of 1 and 2 steps
with 1, 5 and all events movable, merged where they meet. Of the samples that are right: proved by each bound, in S
seconds a sample at most, broken by the attack or by one of them, left by all. One thread. A run that was stopped
goes on from the cache.
"""

import argparse
import json
import math
import tempfile
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch
from torch import Tensor, nn

from spikecert import (
    LIF,
    CertifiedEvents,
    CrossEntropy,
    SpikeFlip,
    SpikeShift,
    SpikingNetwork,
    attack,
    dataset,
    fit,
    mlp,
    verify,
)
from spikecert.certify.attacks import SpikeFlips, SpikeShifts
from spikecert.training import Dataset

RESETS, NETWORKS = ("zero", "subtract"), ("dense", "conv")
TRAININGS = {"plain": (CrossEntropy(), 15, 1e-3), "certified": (CertifiedEvents(SpikeFlip(5)), 12, 2e-3)}
FLIPS, JITTERS, MOVABLE = (1, 2, 5, 10, 20), (1, 2), (1, 5, None)
Threat = SpikeFlip | SpikeShift


@dataclass(frozen=True)
class Case:
    """One network and its training."""

    data: str
    shape: str
    steps: int
    reset: str
    training: str

    @property
    def name(self) -> str:
        """Return what its files are called."""
        return f"{self.data}-{self.shape}-{self.steps}-{self.reset}-{self.training}"

    def fresh(self, shape: tuple[int, ...]) -> SpikingNetwork:
        """Return the untrained network for recordings of a shape, from seed 0."""
        torch.manual_seed(0)
        neuron = LIF(decay=0.9, reset=self.reset)
        layers: list[nn.Module] = [
            nn.Flatten(),
            *mlp((math.prod(shape), 64, 10), num_steps=self.steps, neuron=neuron).layers,
        ]
        if self.shape == "conv":
            convolutions = nn.Conv2d(2, 8, 5, stride=3), nn.Conv2d(8, 16, 3, stride=2, padding=1)
            spiking = [layer for each in convolutions for layer in (each, LIF(decay=0.9, reset=self.reset))]
            layers = [*spiking, nn.Flatten(), nn.Linear(16 * (((shape[-1] - 5) // 3 + 2) // 2) ** 2, 10)]
        return SpikingNetwork(*layers, num_steps=self.steps, encoding="none")

    def trained(self, samples: Dataset, cache: Path) -> tuple[SpikingNetwork, float]:
        """Return the trained network and what its epochs took, in seconds; it goes on from the cache."""
        objective, epochs, rate = TRAININGS[self.training]
        settings = {"epochs": epochs, "batch_size": 32, "optimizer": "adam", "learning_rate": rate}
        run = fit(self.fresh(samples.shape), samples, objective, **settings, folder=cache / self.name)
        return run.network, sum(epoch.seconds for epoch in run.history)


def threats() -> dict[str, Threat]:
    """Return the sets by what is printed of them."""
    moves = {f"±{j}: {many or 'all'} events": SpikeShift(j, many) for j, many in product(JITTERS, MOVABLE)}
    return {f"{count} flips": SpikeFlip(count) for count in FLIPS} | moves


def row(asked: tuple[SpikingNetwork, Tensor, Tensor, Threat], options: argparse.Namespace) -> list[str]:
    """Return what each bound proves, with its time, what the attack breaks, and what is left."""
    cells, proven = [], torch.zeros(len(asked[2]), dtype=torch.bool)
    method = SpikeFlips() if isinstance(asked[3], SpikeFlip) else SpikeShifts()
    broken = attack(*asked, method).success
    for name in options.bounds.split(","):
        started = time.perf_counter()
        found = [verdict.status for verdict in verify(*asked, name, options.timeout)]
        here, fails = (torch.tensor([each == status for each in found]) for status in ("verified", "falsified"))
        cells.append(f"{int(here.sum())} ({1000 * (time.perf_counter() - started) / len(proven):.0f} ms)")
        proven, broken = proven | here, broken | fails
    return [*cells, str(int(broken.sum())), str(int((~broken & ~proven).sum()))]


def measured(case: Case, samples: Dataset, cache: Path, chosen: Tensor, options: argparse.Namespace) -> None:
    """Train, then print the rows of each set; those of an earlier run are read."""
    network, seconds = case.trained(samples, cache)
    inputs, labels = samples.test.inputs[chosen].float(), samples.test.labels[chosen]
    right = network(inputs).argmax(1) == labels
    inputs, labels = inputs[right], labels[right]
    print(f"| {case.name}: {len(labels)} of {len(chosen)} right, epochs of {seconds:.0f} s |", flush=True)
    for told in options.sets.split(","):
        path = cache / f"{case.name}-{options.bounds}-{len(chosen)}-{told}-{options.timeout}.json"
        if not path.exists():
            path.write_text(json.dumps(row((network, inputs, labels, threats()[told]), options)), encoding="utf-8")
        print(f"| {' | '.join([told, *json.loads(path.read_text(encoding='utf-8'))])} |", flush=True)


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder with N-MNIST's Train and Test")
    parser.add_argument("--data", default="nmnist", choices=("nmnist", "digit-events"))
    parser.add_argument("--cache", type=Path, help="where networks and rows are kept")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--timeout", type=float)
    lists = "6,10", *map(",".join, (RESETS, NETWORKS, TRAININGS)), "interval,trains,linear", ",".join(threats())
    for name, usual in zip(("steps", "resets", "networks", "trainings", "bounds", "sets"), lists, strict=True):
        parser.add_argument(f"--{name}", default=usual)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cache = arguments.cache or Path(tempfile.mkdtemp())
    cache.mkdir(parents=True, exist_ok=True)
    columns = ("set", *arguments.bounds.split(","), "broken", "left")
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for steps in map(int, arguments.steps.split(",")):
        samples = dataset(arguments.data, arguments.root, num_steps=steps)
        order = torch.randperm(len(samples.test), generator=torch.Generator().manual_seed(0))[: arguments.samples]
        choices = (part.split(",") for part in (arguments.networks, arguments.resets, arguments.trainings))
        for shape, reset, training in product(*choices):
            measured(Case(arguments.data, shape, steps, reset, training), samples, cache, order, arguments)


if __name__ == "__main__":
    main()
