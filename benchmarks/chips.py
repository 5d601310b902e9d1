"""Builds for chips: what is left of classes and of certificates at 8, 6 and 4 bits, beside the real network.

    python benchmarks/chips.py [--samples 100] [--through]

64-64-64-10, T = 8, λ = .9, on digits, trained for 30 epochs from seed 0, with a hard reset (Loihi, SpiNNaker,
q8.8), with a subtracting one (q8.8), and as Xylo has it: synapses of κ = .5, no biases, spikes counted. Certified
shares by "trains", of the first test digits, at whole radii of the inputs; the real network's at the same radii
over 255 (over 15 for Xylo). CPU seconds, one thread.

With `--through`: the first network for Loihi at few bits, trained plainly and through the chip's weights
(`ChipWeights`), by cross-entropy and by `CertifiedLoss(4/255)`.
"""

import argparse
import time
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from spikecert import (
    LIF,
    CertifiedLoss,
    ChipWeights,
    CrossEntropy,
    LInf,
    SpikingNetwork,
    Synapse,
    dataset,
    fit,
    mlp,
    quantization,
    verify,
)
from spikecert.training import Objective

SIZES, STEPS, DECAY, EPOCHS = (64, 64, 64, 10), 8, 0.9, 30
TARGETS = {"zero": ("loihi", "spinnaker", "q8.8"), "subtract": ("q8.8",), "synapses": ("xylo",)}
BITS = (8, 6, 4)


def radii(levels: int) -> Sequence[int]:
    """Return whole radii: of pixels of 255, or of what Xylo takes."""
    return (1, 2, 4) if levels == 255 else (1,)


def trained(reset: str, objective: Objective | None = None, through: ChipWeights | None = None) -> SpikingNetwork:
    """Return the real network."""
    torch.manual_seed(0)
    network = mlp(SIZES, num_steps=STEPS, neuron=LIF(DECAY, 1.0, "zero" if reset == "synapses" else reset))
    if reset == "synapses":
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(SIZES):
            layers += [nn.Linear(fan_in, fan_out, bias=False), Synapse(0.5), LIF(DECAY, 1.0, "subtract")]
        network = SpikingNetwork(*layers, num_steps=STEPS, readout="spikes")
    settings = {"epochs": EPOCHS, "optimizer": "adam", "learning_rate": 0.005, "through": through}
    return fit(network, dataset("digits"), objective or CrossEntropy(), **settings).network


def certified(network: SpikingNetwork, inputs: Tensor, labels: Tensor, radius: float) -> tuple[int, float]:
    """Return how many samples are verified, and the seconds that it took."""
    started = time.process_time()
    found = verify(network, inputs, labels, LInf(radius), "trains")
    return sum(verdict.status == "verified" for verdict in found), time.process_time() - started


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument(
        "--through", action="store_true", help="networks that are trained through the chip's weights"
    )
    asked = parser.parse_args()
    torch.set_num_threads(1)
    test = dataset("digits").test
    (through if asked.through else table)(test.inputs, test.labels, asked.samples)


def through(inputs: Tensor, labels: Tensor, count: int) -> None:
    """Print what training through few bits is worth."""
    print("| loss | bits | trained | real: correct | build: correct | certified at radius (seconds) |")
    print("|---|---|---|---|---|---|")
    for name, objective in (("cross-entropy", CrossEntropy()), ("certified", CertifiedLoss(4 / 255))):
        for bits in (4, 3, 2):
            for chip in (None, ChipWeights("loihi", bits)):
                real = trained("zero", objective, chip)
                built = quantization(real, "loihi", bits)
                whole = built.whole(inputs)
                right = [
                    float((found.argmax(1) == labels).float().mean())
                    for found in (real(inputs), built.network(whole))
                ]
                proved = told(
                    [(str(r), *certified(built.network, whole[:count], labels[:count], r)) for r in (1, 2, 4)]
                )
                how = "plainly" if chip is None else "through"
                print(f"| {name} | {bits} | {how} | {right[0]:.3f} | {right[1]:.3f} | {proved} |", flush=True)


def table(inputs: Tensor, labels: Tensor, count: int) -> None:
    """Print what is left at 8, 6 and 4 bits."""
    print(
        "| network | bits | correct | class of the real one | spikes that differ | certified at radius (seconds) |"
    )
    print("|---|---|---|---|---|---|")
    for reset, targets in TARGETS.items():
        real = trained(reset)
        right = float((real(inputs).argmax(1) == labels).float().mean())
        for levels in sorted({quantization(real, target).levels for target in targets}, reverse=True):
            asked = [
                (f"{r}/{levels}", *certified(real, inputs[:count], labels[:count], r / levels))
                for r in radii(levels)
            ]
            print(f"| real, {reset} | – | {right:.3f} | – | – | {told(asked)} |")
        for target in targets:
            for bits in BITS:
                built = quantization(real, target, bits)
                whole, both = built.whole(inputs), built.compare(inputs)
                right_too = float((built.network(whole).argmax(1) == labels).float().mean())
                asked = [
                    (str(r), *certified(built.network, whole[:count], labels[:count], r))
                    for r in radii(built.levels)
                ]
                spikes = ", ".join(f"{share:.1%}" for share in both.spikes)
                cells = f"{right_too:.3f} | {both.same_class:.3f} | {spikes} | {told(asked)}"
                print(f"| {target}, {reset} | {bits} | {cells} |")


def told(asked: Sequence[tuple[str, int, float]]) -> str:
    """Return shares at radii."""
    return ", ".join(f"{radius}: {proved} ({seconds:.2f})" for radius, proved, seconds in asked)


if __name__ == "__main__":
    main()
