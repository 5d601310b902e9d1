"""Certified samples and time of each verifier, beside the attack ensemble, on digits networks trained here.

    python benchmarks/bounds.py [--samples 100] [--verifiers interval,trains,gain,linear,lirpa]

Networks as in the field's usual comparison: LIF with decay .9, trained with single-step adversarial noise of .05
and cross-entropy on clean and perturbed inputs alike. Times are medians of interleaved repetitions, one thread.
"""

import argparse
import statistics
import time
from dataclasses import dataclass

import torch

from spikecert import LIF, MSMPPD, LInf, SingleStep, SpikingNetwork, attack, dataset, fit, mlp, reconcile, verify

CASES = (
    ((64, 64, 10), 8, (0.01, 0.03, 0.05)),
    ((64, 128, 64, 10), 8, (0.005, 0.01, 0.02)),
    ((64, 64, 32, 10), 4, (0.01, 0.02, 0.03)),
)


@dataclass(frozen=True)
class Options:
    """What to measure."""

    samples: int
    repetitions: int
    verifiers: tuple[str, ...]


def trained(sizes: tuple[int, ...], num_steps: int) -> SpikingNetwork:
    """Train one network, seeded."""
    torch.manual_seed(0)
    network = mlp(sizes, num_steps=num_steps, neuron=LIF(decay=0.9))
    objective = MSMPPD(rho=0.0, perturbation=SingleStep(epsilon=0.05))
    return fit(network, dataset("digits"), objective, epochs=30, optimizer="adam", learning_rate=2e-3).network


def measure(network: SpikingNetwork, epsilon: float, options: Options) -> None:
    """Print one row: what the attack leaves, and verified samples and milliseconds a sample of each verifier."""
    test = dataset("digits").test
    inputs, labels = test.inputs[: options.samples], test.labels[: options.samples]
    threat = LInf(epsilon)
    broken = attack(network, inputs, labels, threat, "ensemble")
    cells = []
    for name, seconds in timed(network, inputs, labels, threat, options).items():
        verdicts = verify(network, inputs, labels, threat, name)
        reconcile(verdicts, broken)
        count = sum(verdict.status == "verified" for verdict in verdicts)
        cells.append(f"{count} ({1000 * seconds / len(inputs):.2f} ms)")
    left = int((~broken.success).sum())
    print(f"| {epsilon} | {left} | {' | '.join(cells)} |", flush=True)


def timed(
    network: SpikingNetwork, inputs: torch.Tensor, labels: torch.Tensor, threat: LInf, options: Options
) -> dict[str, float]:
    """Return each verifier's median seconds, repetitions interleaved so that all meet the same machine."""
    seconds: dict[str, list[float]] = {name: [] for name in options.verifiers}
    for _ in range(options.repetitions):
        for name in options.verifiers:
            started = time.perf_counter()
            verify(network, inputs, labels, threat, name)
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in seconds.items()}


def main() -> None:
    """Measure all cases and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--verifiers", default="interval,trains,gain,linear")
    arguments = parser.parse_args()
    options = Options(arguments.samples, arguments.repetitions, tuple(arguments.verifiers.split(",")))
    torch.set_num_threads(1)
    for sizes, num_steps, epsilons in CASES:
        network = trained(sizes, num_steps)
        print(f"\n{'-'.join(map(str, sizes))}, T={num_steps}, {options.samples} test digits, ℓ∞\n")
        print(f"| ε | ensemble leaves | {' | '.join(options.verifiers)} |")
        print("|---" * (2 + len(options.verifiers)) + "|")
        for epsilon in epsilons:
            measure(network, epsilon, options)


if __name__ == "__main__":
    main()
