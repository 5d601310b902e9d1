"""How far each dialect of platforms moves the two Braille shapes of NIR's paper, with random weights.

The shapes are those that NIR's repository documents (paper/03_rnn): 12 taxels, 38 recurrent CubaLIF neurons that
reset to zero, with biases, or 55 that subtract, without, then 7 CubaLIF neurons, 256 steps of dt = 1e-4.
Weights and recordings are random: accuracies say nothing, how many trains and answers a dialect moves does. Then
each dialect is planted in a copy, and `differ` is asked which it is.

With --flips N: verdicts of the first N recordings under any one flipped event, in float32, and what they took.

    python benchmarks/dialects.py [--steps 256] [--samples 64] [--unnamed]
    python benchmarks/dialects.py --flips 2
"""

import argparse
import time
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor

from spikecert import SpikeFlip, SpikingNetwork, from_nir, verify
from spikecert.models.differing.builds import Build
from spikecert.models.differing.dialects import DIALECTS, Dialect, fitting, spoken
from spikecert.models.differing.explaining import Judge, by_dialect
from spikecert.models.differing.parting import Partings, corresponding
from spikecert.models.differing.recorded import firing_names

DT = 1e-4
KEPT, SYNAPSE = 0.95, 0.7
"""λ and κ of both layers."""


def graph(hidden: int, bias: bool, reset: str) -> Any:
    """Return a graph of one of the two shapes."""
    draws = np.random.default_rng(0)

    def affine(inputs: int, outputs: int, scale: float) -> Any:
        weight = draws.normal(0, scale / np.sqrt(inputs), (outputs, inputs))
        shift = draws.normal(0, 0.05, outputs) if bias else np.zeros(outputs)
        return nir.Affine(weight, shift) if bias else nir.Linear(weight)

    def neurons(count: int) -> Any:
        one = np.ones(count)
        taus: dict[str, Any] = {"tau_mem": one * DT / (1 - KEPT), "tau_syn": one * DT / (1 - SYNAPSE)}
        gains: dict[str, Any] = {
            "r": one / (1 - KEPT),
            "w_in": one / (1 - SYNAPSE),
        }  # so that λ and κ alone are left
        return nir.CubaLIF(**taus, **gains, v_leak=0 * one, v_reset=0 * one, v_threshold=one)

    nodes = {
        "input": nir.Input({"input": np.array([12])}),
        "fc1": affine(12, hidden, 1.2),
        "lif1": neurons(hidden),
        "rec": affine(hidden, hidden, 0.5),
        "fc2": affine(hidden, 7, 1.0),
        "lif2": neurons(7),
        "output": nir.Output({"output": np.array([7])}),
    }
    edges = [("input", "fc1"), ("fc1", "lif1"), ("lif1", "rec"), ("rec", "lif1"), ("lif1", "fc2")]
    return nir.NIRGraph(nodes, [*edges, ("fc2", "lif2"), ("lif2", "output")], metadata={"reset": reset})


def build(name: str, network: SpikingNetwork) -> Build:
    """Return a network as one of two builds."""
    return Build(name, network, None, firing_names(network), network.num_steps)


def tallied(a: SpikingNetwork, b: SpikingNetwork, inputs: Tensor) -> Partings:
    """Return what differs between two networks."""
    one, other = build("a", a), build("b", b)
    runs = one.record(inputs), other.record(inputs)
    found = Partings(corresponding(*runs), a.num_steps)
    found.add(one, other, *runs)
    return found


def named(network: SpikingNetwork, changed: SpikingNetwork, found: Partings, inputs: Tensor) -> str:
    """Return what the differ says that a network does which only runs as it is."""
    chosen = inputs[found.chosen[:8]]
    judge = Judge(build("b", changed), build("a", network), chosen, found.pairs, 0)
    said = by_dialect(judge, "B", lambda *_: None)
    return said.causes[0].words.removeprefix("B ") if said.mended else "not found"


def row(network: SpikingNetwork, dialect: Dialect, inputs: Tensor, unnamed: bool) -> str | None:
    """Return a line of the table; None for a dialect that changes nothing here."""
    changed = spoken(network, dict.fromkeys(fitting(network, dialect), (dialect,)))
    if changed is None or not fitting(network, dialect):
        return None
    found = tallied(network, changed, inputs)
    share = 100 * sum(found.wrong) / sum(found.counts)
    said = "–" if unnamed else "never shows" if not found.parted else named(network, changed, found, inputs)
    right = "itself" if said == dialect.words else said
    first = "–" if found.first is None else str(found.first[0] + 1)
    words = f"{dialect.kind}: {dialect.words}"
    return f"| {words} | {share:.2f} | {found.parted} | {found.answers} | {first} | {right} |"


def flips(network: SpikingNetwork, inputs: Tensor) -> None:
    """Print verdicts of recordings under any one flipped event."""
    labels = network(inputs).argmax(1)
    for index in range(len(inputs)):
        start, one = time.process_time(), slice(index, index + 1)
        found = verify(network, inputs[one], labels[one], SpikeFlip(1))[0]
        print(
            f"- {found.status} by {found.verifier} ({found.reason}): {time.process_time() - start:.1f} CPU s",
            flush=True,
        )


def main() -> None:
    """Print a table for each shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=256)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--flips", type=int, default=0, help="verify so many recordings, and nothing else")
    parser.add_argument("--unnamed", action="store_true", help="do not ask the differ")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    for hidden, bias, reset in ((38, True, "zero"), (55, False, "subtract")):
        draws = torch.rand(asked.samples, asked.steps, 12, generator=torch.Generator().manual_seed(0))
        inputs = (draws < 0.1).float()
        start = time.process_time()
        network = from_nir(graph(hidden, bias, reset), inputs[:8], asked.steps, DT, "none", silent=True).float()
        read = time.process_time() - start
        rates = ", ".join(f"{float(each.mean()):.3f}" for each in network.trace(inputs).spikes)
        print(
            f"\n12-{hidden}R-7, {reset}, {'with' if bias else 'no'} bias: rates {rates}; read {read:.1f} CPU s\n"
        )
        if asked.flips:
            flips(network, inputs[: asked.flips])
            continue
        print(
            "| dialect, by all layers that it changes | % of spikes | recordings | answers | first step | named |"
        )
        print("|---|---|---|---|---|---|")
        for dialect in DIALECTS:
            line = row(network, dialect, inputs, asked.unnamed)
            if line is not None:
                print(line, flush=True)
        print(f"\n{time.process_time() - start:.0f} CPU s")


if __name__ == "__main__":
    main()
