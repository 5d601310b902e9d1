"""Moves of events over many steps: CPU seconds a recording, of verifiers in one run.

    python benchmarks/moves.py [--steps 16,64,128] [--jitter 1,3] [--samples 4] [--verifiers one-change,trains]
                               [--movable 1,all]

784-512-10 with random weights, a first layer behind 1,000 random events a recording; both resets, λ = 1 and .9;
one event may move by up to the jitter, or each one. The least of three runs, one thread. With --latency the images
of MNIST, one event a pixel above .2, and 300 steps of training: shares that are verified mean something there.
"""

import argparse
import time
from collections import Counter
from itertools import product
from pathlib import Path

import torch
from torch import Tensor, nn

from spikecert import LIF, SpikeShift, SpikingNetwork, Verdict, dataset, verify
from spikecert.certify.verifiers.enumeration import OneChange

SIZES, EVENTS, RUNS, TRAINED = (784, 512, 10), 1000, 3, 300


def network(steps: int, reset: str, decay: float) -> SpikingNetwork:
    """Return a network of random weights."""
    torch.manual_seed(0)
    first, last = nn.Linear(SIZES[0], SIZES[1]), nn.Linear(SIZES[1], SIZES[2])
    return SpikingNetwork(first, LIF(decay, 1.0, reset), last, num_steps=steps, encoding="none").eval()


def recordings(count: int, steps: int) -> Tensor:
    """Return events (count, T, features) at random places."""
    generator = torch.Generator().manual_seed(1)
    found = torch.zeros(count, steps * SIZES[0])
    for each in found:
        each[torch.randperm(len(each), generator=generator)[:EVENTS]] = 1.0
    return found.view(count, steps, SIZES[0])


def latencies(images: Tensor, steps: int) -> Tensor:
    """Return one event a pixel above .2, the brighter the sooner, (batch, T, features)."""
    flat = images.flatten(1).float()
    places = ((1.0 - flat) * (steps - 1)).round().long()
    return torch.zeros(len(flat), steps, flat.shape[1]).scatter_(1, places[:, None], (flat > 0.2).float()[:, None])


def trained(made: SpikingNetwork, root: Path, count: int) -> Tensor:
    """Train a network on latencies; return test recordings that it has right."""
    data, first, last = dataset("mnist", root), made.layers[0], made.layers[2]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    first.weight.data *= 2.0 if made.neurons[0].dynamics.decay == 1.0 else 3.0
    last.weight.data *= 4.0
    generator, optimizer = torch.Generator().manual_seed(0), torch.optim.Adam(made.parameters(), 1e-3)
    for _ in range(TRAINED):
        chosen = torch.randint(12_000, (64,), generator=generator)
        logits = made(latencies(data.train.inputs[chosen], made.num_steps))
        optimizer.zero_grad()
        nn.functional.cross_entropy(3.0 * logits, data.train.labels[chosen]).backward()
        optimizer.step()
    inputs = latencies(data.test.inputs[: 2 * count], made.num_steps)
    with torch.no_grad():
        right = made(inputs).argmax(1) == data.test.labels[: 2 * count]
    return inputs[right][:count]


def measured(
    made: SpikingNetwork, inputs: Tensor, threat: SpikeShift, verifier: str
) -> tuple[float, list[Verdict]]:
    """Return CPU seconds a recording, and the verdicts."""
    with torch.no_grad():
        labels = made(inputs).argmax(1)
    chosen = OneChange() if verifier == "one-change" else verifier
    best, verdicts = float("inf"), list[Verdict]()
    for _ in range(RUNS):
        started = time.process_time()
        verdicts = list(verify(made, inputs, labels, threat, chosen))
        best = min(best, (time.process_time() - started) / len(inputs))
    return best, verdicts


def main() -> None:
    """Measure and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", default="16,64,128")
    parser.add_argument("--jitter", default="1,3")
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--movable", default="1")
    parser.add_argument("--latency", metavar="FOLDER", help="folder with MNIST's IDX files")
    parser.add_argument("--verifiers", default="one-change,trains")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for steps in map(int, arguments.steps.split(",")):
        inputs = recordings(arguments.samples, steps)
        for reset, decay in (("zero", 1.0), ("zero", 0.9), ("subtract", 1.0), ("subtract", 0.9)):
            made = network(steps, reset, decay)
            if arguments.latency:
                inputs = trained(made, Path(arguments.latency), arguments.samples)
            choices = (each.split(",") for each in (arguments.jitter, arguments.movable, arguments.verifiers))
            for jitter, movable, verifier in product(*choices):
                threat = SpikeShift(int(jitter), count=None if movable == "all" else int(movable))
                seconds, verdicts = measured(made, inputs, threat, verifier)
                told = ", ".join(f"{n} {status}" for status, n in Counter(v.status for v in verdicts).items())
                print(
                    f"T={steps} {reset} {decay:g} δ={jitter} {movable} {verifier}: {seconds:.3f} s ({told})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
