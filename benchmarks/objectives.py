"""What each objective's training step costs, in CPU time, next to cross-entropy's.

Run `python benchmarks/objectives.py [--repetitions 20]`. 784-512-256-10, T = 8, batch 128, one thread: forward and
backward. Repetitions are interleaved, so that a busy machine slows all rows alike: read the ratios.
"""

import argparse
import statistics
import time

import torch

from spikecert import (
    LIF,
    MSMPPD,
    SIBP,
    CertifiedLoss,
    CrossEntropy,
    GainPenalty,
    GaussianNoise,
    MarginOverGain,
    SingleStep,
    mlp,
)
from spikecert.training import Objective

OBJECTIVES: dict[str, Objective] = {
    "CrossEntropy()": CrossEntropy(),
    "MSMPPD, Gaussian": MSMPPD(perturbation=GaussianNoise()),
    "MSMPPD, single step": MSMPPD(perturbation=SingleStep()),
    "CrossEntropy() + GainPenalty()": CrossEntropy() + GainPenalty(),
    "… end-to-end": CrossEntropy() + GainPenalty(layers="end-to-end"),
    "… linf→linf": CrossEntropy() + GainPenalty(input_norm="linf", output_norm="linf"),
    "CrossEntropy() + MarginOverGain()": CrossEntropy() + MarginOverGain(),
    "… all layers": CrossEntropy() + MarginOverGain(layers="all"),
    "SIBP()": SIBP(),
    'CertifiedLoss(bounds="trains")': CertifiedLoss(bounds="trains"),
}


def seconds(objective: Objective, generator: torch.Generator) -> float:
    """Return the CPU time of one step; power iteration is warm after the first."""
    inputs, labels = torch.rand(128, 784, generator=generator), torch.randint(10, (128,), generator=generator)
    NETWORK.zero_grad()
    start = time.process_time()
    objective.loss(NETWORK, inputs, labels, generator).total.backward()
    return time.process_time() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=20)
    repetitions = parser.parse_args().repetitions
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    times = {name: [seconds(item, generator)] for name, item in OBJECTIVES.items()}
    for _ in range(repetitions):
        for name, item in OBJECTIVES.items():
            times[name].append(seconds(item, generator))
    plain = statistics.median(times["CrossEntropy()"][1:])
    print("| objective | step, ms | × cross-entropy |\n|---|---|---|")
    for name, found in times.items():
        middle = statistics.median(found[1:])
        print(f"| {name} | {1000 * middle:.1f} | {middle / plain:.2f} |")


torch.manual_seed(0)
NETWORK = mlp((784, 512, 256, 10), 8, LIF(0.9))

if __name__ == "__main__":
    main()
