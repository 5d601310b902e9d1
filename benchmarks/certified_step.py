"""What a step of certified training costs, in plain ones of the same process: counts, windows and intervals.

python -m benchmarks.certified_step
"""

import time
from collections.abc import Mapping
from itertools import product
from statistics import median

import torch
from torch import Tensor

from spikecert.models import LIF, SpikingNetwork, mlp, strided
from spikecert.training import CertifiedLoss, CrossEntropy, Objective, start_firing

ROUNDS, BATCH, STEPS, DECAYS = 7, 256, (4, 8), (1.0, 0.9)
INTERVALS = CertifiedLoss(0.1, "interval", weight=0.8, ramp=0.0)
COUNTS: dict[str, Objective] = {
    "counts": CertifiedLoss(0.1, "prefix", weight=0.8, ramp=0.0),
    "counts, weight 1": CertifiedLoss(0.1, "prefix", weight=1.0, ramp=0.0),
    "intervals": INTERVALS,
}
WINDOWS: dict[str, Objective] = {
    "windows": CertifiedLoss(0.1, "windows", weight=0.8, ramp=0.0),
    "windows, weight 1": CertifiedLoss(0.1, "windows", weight=1.0, ramp=0.0),
    "trains": CertifiedLoss(0.1, "trains", weight=0.8, ramp=0.0),
    "intervals": INTERVALS,
}


def main() -> None:
    """Print the median of the ratios of CPU seconds, one thread."""
    torch.set_num_threads(1)
    images = torch.rand(BATCH, 1, 28, 28)
    for steps, decay in product(STEPS, DECAYS):
        network = strided((1, 28, 28), 10, steps, LIF(decay, reset="subtract"), (16, 32, 128))
        _compare(f"16-32-128, T = {steps}, λ = {decay}, subtracting", network, images, COUNTS)
    for steps in STEPS:
        neuron = LIF(0.9)
        network = strided((1, 28, 28), 10, steps, neuron, (16, 32, 128))
        _compare(f"16-32-128, T = {steps}, λ = 0.9", network, images, WINDOWS)
        dense = mlp((784, 256, 128, 10), steps, neuron)
        _compare(f"784-256-128-10, T = {steps}, λ = 0.9", dense, images.flatten(1), WINDOWS)


def _compare(told: str, network: SpikingNetwork, images: Tensor, objectives: Mapping[str, Objective]) -> None:
    labels = torch.randint(10, (len(images),))
    start_firing(network, images)
    for name, objective in objectives.items():
        pair = (CrossEntropy(), objective)
        rounds = [[_seconds(network, each, images, labels) for each in pair] for _ in range(ROUNDS)]
        ratio = median(certified / plain for plain, certified in rounds[1:])
        print(f"{told}, {name}: {ratio:.1f} plain steps", flush=True)


def _seconds(network: SpikingNetwork, objective: Objective, images: Tensor, labels: Tensor) -> float:
    started = time.process_time()
    objective.loss(network, images, labels, torch.Generator()).total.backward()
    return time.process_time() - started


if __name__ == "__main__":
    main()
