"""The complete verifier on networks trained here: decided samples and time; and against a big-M MILP.

    python benchmarks/complete.py [--rows soft,one,deep,fashion,wide,layers,convolutions,milp]
                                  [--verifier complete] [--cache FOLDER] [--cpu] [--samples N]

Networks: LIF with decay .9, trained with single-step adversarial noise of .05 and cross-entropy on clean and
perturbed inputs alike. Each sample is decided by itself, one thread, with the time limit for it alone, in
processor seconds with --cpu. Every counterexample is run again here. With --cache, networks and finished samples
are kept: a killed run goes on.
"""

import argparse
import copy
import itertools
import json
import math
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import torch
from big_m import BIG_M
from torch import Tensor

from spikecert import LIF, MSMPPD, LInf, SingleStep, SpikingNetwork, dataset, fit, load, mlp, save, verify
from spikecert.certify.milp import solver as tree
from spikecert.certify.problem import Problem
from spikecert.certify.verifiers import VERIFIERS, Verifier


@dataclass(frozen=True)
class Case:
    """One row: a network, a radius, how many test samples and how long each may take.

    `sizes` are widths, or (8, 16) for the channels of convolutions (3×3, stride 2) with `kind="convolutions"`.
    """

    sizes: tuple[int, ...]
    num_steps: int
    epsilon: float
    samples: int
    seconds: float = 30.0
    reset: str = "zero"
    data: str = "digits"
    kind: str = "dense"

    @property
    def name(self) -> str:
        """Return the network's name."""
        soft = ", subtracting reset" if self.reset == "subtract" else ""
        told = "-".join(map(str, self.sizes)) + ("" if self.kind == "dense" else f" {self.kind}")
        return f"{self.data} {told}, T={self.num_steps}{soft}"

    def fresh(self) -> SpikingNetwork:
        """Return the untrained network."""
        neuron = LIF(decay=0.9, reset=self.reset)
        if self.kind == "dense":
            dense = mlp(self.sizes, num_steps=self.num_steps, neuron=neuron).layers
            return SpikingNetwork(torch.nn.Flatten(), *dense, num_steps=self.num_steps)
        layers: list[torch.nn.Module] = [torch.nn.Unflatten(1, (1, 8, 8))]
        for channels in itertools.pairwise((1, *self.sizes)):
            layers += [torch.nn.Conv2d(*channels, 3, stride=2, padding=1), copy.deepcopy(neuron)]
        layers += [torch.nn.Flatten(), torch.nn.Linear(4 * self.sizes[-1], 10)]
        return SpikingNetwork(*layers, num_steps=self.num_steps)


ROWS = {
    "soft": [
        Case((64, 32, 10), steps, epsilon, 100, reset="subtract") for steps in (4, 8) for epsilon in (0.03, 0.0625)
    ],
    "one": [Case((64, 64, 10), 8, epsilon, 100) for epsilon in (0.03, 0.05)],
    "deep": [
        Case((64, 64, 32, 10), 4, 0.02, 100),
        Case((64, 32, 32, 10), 8, 0.01, 100),
        Case((64, 128, 64, 10), 8, 0.01, 100),
    ],
    "wider": [Case((64, 128, 64, 10), 8, epsilon, 100) for epsilon in (0.02, 0.03, 0.05)],
    "long": [Case((64, 64, 64, 10), 25, 0.01, 100, reset="subtract")],
    "fashion": [
        Case(sizes, steps, epsilon, 50, 60.0, data="fashion-mnist")
        for sizes, steps in (((784, 64, 10), 4), ((784, 128, 10), 8))
        for epsilon in (0.01, 0.03)
    ],
    "wide": [Case((64, 256, 10), 8, 0.05, 100)],
    "layers": [Case((784, 256, 128, 10), 8, epsilon, 100, 60.0, data="fashion-mnist") for epsilon in (0.01, 0.02)],
    "convolutions": [Case((8, 16), 4, epsilon, 100, kind="convolutions") for epsilon in (0.03, 0.05)],
    "milp": [Case((64, 64, 10), 8, 0.03, 40)],
}


def trained(case: Case, cache: Path) -> SpikingNetwork:
    """Return the row's network: from the cache, or trained from seed 0."""
    path = cache / f"{case.name.replace(', ', '_').replace(' ', '_')}.safetensors"
    if not path.exists():
        torch.manual_seed(0)
        objective = MSMPPD(rho=0.0, perturbation=SingleStep(epsilon=0.05))
        epochs = 30 if case.data == "digits" else 3
        run = fit(case.fresh(), dataset(case.data), objective, epochs=epochs, optimizer="adam", learning_rate=2e-3)
        save(run.network, path)
    return load(path).eval()


def asked(
    network: SpikingNetwork, inputs: Tensor, labels: Tensor, case: Case, verifier: Verifier, cpu: bool
) -> tuple[str, Tensor | None]:
    """Return what is known of a sample after the case's time, and what breaks it."""
    threat = LInf(case.epsilon)
    if not cpu:
        (verdict,) = verify(network, inputs, labels, threat, verifier, timeout=case.seconds)
        return verdict.status, verdict.counterexample
    if int(network(inputs).argmax(1)) != int(labels):
        return "falsified", inputs[0]
    late = time.process_time() + case.seconds
    problem = Problem(network, inputs, labels, threat, stopped=lambda: time.process_time() >= late)
    (verdict,) = verifier.decide(problem)
    return verdict.status, verdict.counterexample


def decided(
    network: SpikingNetwork, case: Case, verifier: Verifier, log: Path, cpu: bool
) -> Iterator[tuple[str, float]]:
    """Yield each sample's status and seconds; those in `log` are not decided again."""
    clock = time.process_time if cpu else time.perf_counter
    lines = log.read_text().splitlines()[: case.samples] if log.exists() else []
    known = [json.loads(line) for line in lines]
    test = dataset(case.data).test
    yield from ((status, seconds) for status, seconds in known)
    with log.open("a") as written:
        for index in range(len(known), case.samples):
            inputs, labels = test.inputs[index : index + 1], test.labels[index : index + 1]
            started = clock()
            status, broken = asked(network, inputs, labels, case, verifier, cpu)
            seconds = clock() - started
            if broken is not None:
                fallen = network(broken[None]).topk(2)
                assert int(fallen.indices[0, 0]) != int(labels) or bool(fallen.values[0, 0] == fallen.values[0, 1])
            print(json.dumps([status, seconds]), file=written, flush=True)
            yield status, seconds


def measure(case: Case, verifier: Verifier, cache: Path, cpu: bool = False) -> float:
    """Print one row; return its total seconds."""
    network = trained(case, cache)
    name = verifier.name + (", processor time" if cpu else "")
    told = f"{case.name}-{case.epsilon}-{name.replace(', ', '-')}"
    log = cache / f"{told.replace(', ', '_').replace(' ', '_')}.jsonl"
    found = list(decided(network, case, verifier, log, cpu))
    counts, times = Counter(status for status, _ in found), [seconds for _, seconds in found]
    cells = [counts["verified"], counts["falsified"], counts["unknown"]]
    times_cells = f"{sum(times):.1f} | {statistics.median(times):.3f} | {max(times):.1f}"
    print(
        f"| {case.name} | {case.epsilon} | {name} | {' | '.join(map(str, cells))} | {times_cells} |",
        flush=True,
    )
    return sum(times)


def believed(case: Case, cache: Path) -> float:
    """Measure big-M as others run it: HiGHS' dual bound is taken for a proof, which "milp" never does."""
    with patch.object(tree.ProgramTree, "proven", lambda asked: math.nextafter(asked.enough, math.inf)):
        return measure(case, BIG_M, cache)


def main() -> None:
    """Measure the rows and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--verifier", default="complete")
    parser.add_argument("--cpu", action="store_true", help="count processor seconds")
    parser.add_argument("--samples", type=int, help="of each row, at most")
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    cache = arguments.cache or Path(tempfile.mkdtemp())
    cache.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    print("| network | ε | verifier | verified | falsified | unknown | s in all | median s | worst s |")
    print("|---" * 9 + "|")
    for name in arguments.rows.split(","):
        for case in ROWS[name]:
            case = replace(case, samples=min(case.samples, arguments.samples or case.samples))
            ours = measure(case, VERIFIERS[arguments.verifier](), cache, arguments.cpu)
            if name == "milp":
                theirs = believed(case, cache)
                print(f"\nbig-M takes {theirs / ours:.0f} times as long in all\n", flush=True)


if __name__ == "__main__":
    main()
