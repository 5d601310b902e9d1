"""Moves of events over many steps: CPU seconds a recording, of verifiers in one run.

    python benchmarks/moves.py [--steps 16,64,128] [--jitter 1,3] [--samples 4] [--verifiers one-move,trains]

784-512-10 with random weights, a first layer behind 1,000 random events a recording; both resets, λ = 1 and .9;
one event may move by up to the jitter. The least of three runs, one thread.
"""

import argparse
import time

import torch
from torch import Tensor, nn

from spikecert import LIF, SpikeShift, SpikingNetwork, Verdict, verify
from spikecert.certify.verifiers.single.single_moves import OneMove

SIZES, EVENTS, RUNS = (784, 512, 10), 1000, 3


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


def measured(
    made: SpikingNetwork, inputs: Tensor, threat: SpikeShift, verifier: str
) -> tuple[float, list[Verdict]]:
    """Return CPU seconds a recording, and the verdicts."""
    with torch.no_grad():
        labels = made(inputs).argmax(1)
    chosen = OneMove() if verifier == "one-move" else verifier
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
    parser.add_argument("--verifiers", default="one-move,trains")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for steps in map(int, arguments.steps.split(",")):
        inputs = recordings(arguments.samples, steps)
        for reset, decay in (("zero", 1.0), ("zero", 0.9), ("subtract", 1.0), ("subtract", 0.9)):
            made = network(steps, reset, decay)
            for jitter in map(int, arguments.jitter.split(",")):
                for verifier in arguments.verifiers.split(","):
                    seconds, verdicts = measured(made, inputs, SpikeShift(jitter, count=1), verifier)
                    told = ", ".join(verdict.status for verdict in verdicts)
                    print(
                        f"T={steps} {reset} {decay:g} δ={jitter} {verifier}: {seconds:.3f} s ({told})", flush=True
                    )


if __name__ == "__main__":
    main()
