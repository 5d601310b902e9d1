"""Builds for chips: what is left of classes and of certificates at 8, 6 and 4 bits, beside the real network.

    python benchmarks/chips.py [--samples 100] [--through | --zoo FOLDER | --events FOLDER]

64-64-64-10, T = 8, λ = .9, on digits, trained for 30 epochs from seed 0, with a hard reset (Loihi, SpiNNaker,
q8.8), with a subtracting one (q8.8), and as Xylo has it: synapses of κ = .5, no biases, spikes counted. Certified
shares by "trains", of the first test digits, at whole radii of the inputs; the real network's at the same radii
over 255 (over 15 for Xylo). CPU seconds, one thread.

With `--through`: the first network for Loihi at few bits, trained plainly and through the chip's weights
(`ChipWeights`), by cross-entropy and by `CertifiedLoss(4/255)`. With `--zoo`: the zoo's networks of MNIST, which
is in the folder, as q8.8. With `--events`: 2312-64-10, T = 6, on N-MNIST, which is in the folder, under 1, 2 and 5
flipped events.
"""

import argparse
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from spikecert import (
    LIF,
    CertifiedLoss,
    CrossEntropy,
    LInf,
    SpikeFlip,
    SpikingNetwork,
    Synapse,
    dataset,
    fit,
    load_zoo,
    mlp,
    verify,
)
from spikecert.certify import Perturbation
from spikecert.models import ChipWeights, quantization
from spikecert.training import Objective, Split

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


def certified(
    network: SpikingNetwork, inputs: Tensor, labels: Tensor, threat: float | Perturbation
) -> tuple[int, float]:
    """Return how many samples are verified, within a radius or a set, and the seconds that it took."""
    started = time.process_time()
    around = threat if isinstance(threat, Perturbation) else LInf(threat)
    found = verify(network, inputs, labels, around, "trains")
    return sum(verdict.status == "verified" for verdict in found), time.process_time() - started


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument(
        "--through", action="store_true", help="networks that are trained through the chip's weights"
    )
    parser.add_argument("--zoo", type=Path, help="folder of MNIST")
    parser.add_argument("--events", type=Path, help="folder of N-MNIST")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.zoo is not None:
        of_zoo(asked.zoo, asked.samples)
    elif asked.events is not None:
        of_events(asked.events, asked.samples)
    else:
        test = dataset("digits").test
        (through if asked.through else table)(test.inputs, test.labels, asked.samples)


def of_zoo(root: Path, count: int) -> None:
    """Print what is left of certified networks."""
    test = dataset("mnist", root).test
    inputs, labels = test.inputs[:count], test.labels[:count]
    print("| network | at | real | bits | build: correct | certified (seconds) |")
    print("|---|---|---|---|---|---|")
    for name, radius in (("mnist-linf-0.1", 25), ("mnist-linf-0.3", 76)):
        real = load_zoo(name)
        known = told([("", *certified(real, inputs, labels, LInf(radius / 255)))])
        for bits in BITS:
            found = built(real, "q8.8", bits, test, count, LInf(radius))
            print(f"| {name} | {radius}/255 | {known} | {bits} | {found}", flush=True)


def of_events(root: Path, count: int) -> None:
    """Print what is left of recordings of events."""
    data = dataset("nmnist", root, num_steps=6)
    print("| reset | target | bits | correct | certified at 1, 2, 5 flips (seconds) |")
    print("|---|---|---|---|---|")
    flips = tuple(SpikeFlip(flipped) for flipped in (1, 2, 5))
    for reset, target in (("zero", "loihi"), ("subtract", "q8.8")):
        torch.manual_seed(0)
        flat, dense = nn.Flatten(), mlp((2312, 64, 10), num_steps=6, neuron=LIF(DECAY, 1.0, reset))
        start = SpikingNetwork(flat, *dense.layers, num_steps=6, encoding="none")
        real = fit(start, data, CrossEntropy(), epochs=15, optimizer="adam", learning_rate=0.002).network
        test = Split(data.test.inputs.float(), data.test.labels)
        inputs, labels = test.inputs[:count], test.labels[:count]
        right = float((real(test.inputs).argmax(1) == test.labels).float().mean())
        known = told([("", *certified(real, inputs, labels, threat)) for threat in flips])
        print(f"| {reset} | real | – | {right:.3f} | {known} |", flush=True)
        for bits in BITS:
            print(f"| | {target} | {bits} | {built(real, target, bits, test, count, *flips)}", flush=True)


def built(real: SpikingNetwork, target: str, bits: int, test: Split, count: int, *sets: Perturbation) -> str:
    """Return how many samples a build has right, and what is certified of it."""
    made = quantization(real, target, bits)
    whole = made.whole(test.inputs)
    right = float((made.network(whole).argmax(1) == test.labels).float().mean())
    shown = told([("", *certified(made.network, whole[:count], test.labels[:count], threat)) for threat in sets])
    return f"{right:.3f} | {shown} |"


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
    return ", ".join(
        f"{radius}{': ' if radius else ''}{proved} ({seconds:.2f})" for radius, proved, seconds in asked
    )


if __name__ == "__main__":
    main()
