"""What a step of certified training costs, by counts and by intervals, against a plain one in the same process.

python -m benchmarks.certified_step
"""

import time
from itertools import product
from statistics import median

import torch

from spikecert import LIF, CertifiedLoss, CrossEntropy, SpikingNetwork, start_firing, strided
from spikecert.models.kernels import use_kernel
from spikecert.training import Objective

ROUNDS, BATCH, STEPS, DECAYS = 7, 256, (4, 8), (1.0, 0.9)
OBJECTIVES: dict[str, Objective] = {
    "counts": CertifiedLoss(0.1, "prefix", weight=0.8, ramp=0.0),
    "counts, weight 1": CertifiedLoss(0.1, "prefix", weight=1.0, ramp=0.0),
    "intervals": CertifiedLoss(0.1, "interval", weight=0.8, ramp=0.0),
}


def main() -> None:
    """Print the median of the ratios of CPU seconds on 16-32-128, one thread."""
    torch.set_num_threads(1)
    images, labels = torch.rand(BATCH, 1, 28, 28), torch.randint(10, (BATCH,))
    for steps, decay in product(STEPS, DECAYS):
        network = strided((1, 28, 28), 10, steps, LIF(decay, reset="subtract"), (16, 32, 128))
        start_firing(network, images)
        use_kernel(network, "compiled")
        for name, objective in OBJECTIVES.items():
            pair = (CrossEntropy(), objective)
            rounds = [[_seconds(network, each, images, labels) for each in pair] for _ in range(ROUNDS)]
            ratio = median(certified / plain for plain, certified in rounds[1:])
            print(f"T = {steps}, λ = {decay}, {name}: {ratio:.1f} plain steps")


def _seconds(network: SpikingNetwork, objective: Objective, images: torch.Tensor, labels: torch.Tensor) -> float:
    started = time.process_time()
    objective.loss(network, images, labels, torch.Generator()).total.backward()
    return time.process_time() - started


if __name__ == "__main__":
    main()
