"""What a step of training that is certified on events costs, against a plain one in the same process.

python -m benchmarks.event_step [counts]

"counts" measures sums over time alone: neurons that count, or forget and subtract, and a layer that hears itself,
on recordings of a task of two pulses.
"""

import sys
import time
from statistics import median

import torch

from spikecert import LIF, CertifiedEvents, CrossEntropy, SpikeFlip, SpikeShift, SpikingNetwork, architecture, mlp
from spikecert.training import Objective, pulses

ROUNDS, BATCH, STEPS, SHAPE, DENSITY = 5, 32, 6, (2, 34, 34), 0.12
OBJECTIVES: dict[str, Objective] = {
    "1 flip": CertifiedEvents(SpikeFlip(1), ramp=0.0),
    "5 flips": CertifiedEvents(SpikeFlip(5), ramp=0.0),
    "20 flips": CertifiedEvents(SpikeFlip(20), ramp=0.0),
    "5 deletions": CertifiedEvents(SpikeFlip(5, "delete"), ramp=0.0),
    "5 moves": CertifiedEvents(SpikeShift(1, 5), ramp=0.0),
    "all move": CertifiedEvents(SpikeShift(1), ramp=0.0),
}


def networks() -> dict[str, SpikingNetwork]:
    """Return a dense and a convolutional network for recordings of N-MNIST's shape."""
    layers = mlp((2312, 64, 10), num_steps=STEPS, neuron=LIF(0.9)).layers
    dense = SpikingNetwork(torch.nn.Flatten(), *layers, num_steps=STEPS, encoding="none")
    first, second = torch.nn.Conv2d(2, 8, 5, stride=3), torch.nn.Conv2d(8, 16, 3, stride=2, padding=1)
    end = torch.nn.Flatten(), torch.nn.Linear(16 * 25, 10)
    return {
        "dense": dense,
        "conv": SpikingNetwork(first, LIF(0.9), second, LIF(0.9), *end, num_steps=STEPS, encoding="none"),
    }


def over_time() -> None:
    """Print the same for sums over time: T = 10, batches of 64, a jitter of one step of all events."""
    data = pulses("delayed-xor")
    events, labels = data.train.inputs[:64].float(), data.train.labels[:64]
    threat = SpikeShift(1, merge="add")
    chosen = [
        ("mlp:64-32", 1.0, {"prefix": "prefix", "interval": "interval"}),
        ("mlp:64-32", 0.9, {"prefix, λ = .9": "prefix", "interval, λ = .9": "interval"}),
        ("recurrent:32", 1.0, {"prefix": "prefix"}),
    ]
    for shape, decay, bounds in chosen:
        layers = architecture(shape, data.shape, data.classes, 10, LIF(decay, reset="subtract")).layers
        network = SpikingNetwork(*layers, num_steps=10, encoding="none")
        for name, kind in bounds.items():
            _paired(f"{shape}, {name}", network, CertifiedEvents(threat, kind, ramp=0.0), events, labels)


def main() -> None:
    """Print the median of the ratios of CPU seconds, one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if sys.argv[1:] == ["counts"]:
        over_time()
        return
    events, labels = (torch.rand(BATCH, STEPS, *SHAPE) < DENSITY).float(), torch.randint(10, (BATCH,))
    for shape, network in networks().items():
        for name, objective in OBJECTIVES.items():
            _paired(f"{shape}, {name}", network, objective, events, labels)


def _paired(
    name: str, network: SpikingNetwork, objective: Objective, events: torch.Tensor, labels: torch.Tensor
) -> None:
    pair = (CrossEntropy(), objective)
    rounds = [[_seconds(network, each, events, labels) for each in pair] for _ in range(ROUNDS)]
    ratio = median(certified / plain for plain, certified in rounds[1:])
    told = 1000 * median(certified for _, certified in rounds[1:])
    print(f"{name}: {told:.0f} ms, {ratio:.1f} plain steps")


def _seconds(network: SpikingNetwork, objective: Objective, events: torch.Tensor, labels: torch.Tensor) -> float:
    started = time.process_time()
    objective.loss(network, events, labels, torch.Generator()).total.backward()
    return time.process_time() - started


if __name__ == "__main__":
    main()
