"""Runs of Xylo's own simulator (xylosim 0.1.3, v1), kept as `xylo_traces.npz`, and compared at length.

    pip install xylosim && python tests/support/xylo_traces.py [--runs 60] [--keep 6]

Each run is a random network of 12-16-5 neurons over 60 steps of 0 to 3 input spikes. Hidden spikes and output
spikes of the simulator are compared with those of an integer network; the first runs are kept for the tests, which
need no simulator.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikecert import Delay, IntegerLIF, SpikingNetwork, WholeInput
from spikecert.models import WholeDecay

TRACES = Path(__file__).with_name("xylo_traces.npz")
SIZES, STEPS = (12, 16, 5), 60


def drawn(seed: int) -> dict[str, np.ndarray]:
    """Return a network and its inputs."""
    random = np.random.default_rng(seed)
    shapes = (SIZES[:2], SIZES[1:])
    weights = [random.integers(-80, 128, shape) * (random.random(shape) < 0.8) for shape in shapes]
    dashes, thresholds = random.integers(1, 6, (2, 2)), random.integers((200, 150), (900, 500))
    inputs = random.poisson(0.5, (STEPS, SIZES[0])).clip(0, 3)
    return {
        "weights_in": weights[0].astype(np.int8),
        "weights_out": weights[1].astype(np.int8),
        "dashes": dashes.astype(np.int8),
        "thresholds": thresholds.astype(np.int16),
        "inputs": inputs.astype(np.uint8),
    }


def simulated(case: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return hidden and output spikes of the simulator, (T, n) each."""
    from xylosim.v1 import XyloLayer, XyloSynapse  # pyright: ignore[reportMissingImports]

    def synapses(weights: np.ndarray) -> list[list[Any]]:
        return [[XyloSynapse(int(post), 0, int(row[post])) for post in np.flatnonzero(row)] for row in weights]

    hidden, outputs = SIZES[1:]
    (mem, syn), (mem_out, syn_out) = case["dashes"].tolist()
    entering, leaving = synapses(case["weights_in"]), synapses(case["weights_out"])  # it keeps pointers alone
    layer = XyloLayer(
        synapses_in=entering,
        synapses_rec=[[] for _ in range(hidden)],
        synapses_out=leaving,
        aliases=[[] for _ in range(hidden)],
        threshold=[int(case["thresholds"][0])] * hidden,
        threshold_out=[int(case["thresholds"][1])] * outputs,
        weight_shift_inp=0,
        weight_shift_rec=0,
        weight_shift_out=0,
        dash_mem=[mem] * hidden,
        dash_mem_out=[mem_out] * outputs,
        dash_syns=[[syn]] * hidden,
        dash_syns_out=[[syn_out]] * outputs,
        name="spikecert",
    )
    out = layer.evolve(case["inputs"].astype(int).tolist())
    return np.array(layer.rec_recurrent_spikes, np.uint8), np.array(out, np.uint8)


def network(case: dict[str, np.ndarray]) -> SpikingNetwork:
    """Return the integer network."""
    layers: list[nn.Module] = [WholeInput(0, 15)]
    for index, name in enumerate(("weights_in", "weights_out")):
        weight, (mem, syn) = torch.from_numpy(case[name].T.astype(np.float64)), case["dashes"][index].tolist()
        dense = nn.Linear(weight.shape[1], weight.shape[0], bias=False).double()
        dense.weight = nn.Parameter(weight)
        constants: dict[str, Any] = {"reset": "subtract", "bits": 16, "current_bits": 16, "most": (31, 1)[index]}
        constants |= {"synapse": WholeDecay("dash", syn), "decays_last": True, "saturating_sums": True}
        layers += [
            dense,
            IntegerLIF(WholeDecay("dash", mem), int(case["thresholds"][index]), **constants),
            Delay(1),
        ]
    return SpikingNetwork(*layers[:-1], num_steps=STEPS, encoding="none", readout="spikes").double().eval()


def spikes(case: dict[str, np.ndarray]) -> tuple[Tensor, Tensor]:
    """Return hidden and output spikes of the integer network, (T, n) each."""
    with torch.no_grad():
        run = network(case).trace(torch.from_numpy(case["inputs"].astype(np.float64))[None])
    return run.spikes[0][:, 0], run.spikes[1][:, 0]


def main() -> None:
    """Compare, and keep the first runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--keep", type=int, default=6)
    asked = parser.parse_args()
    kept: dict[str, np.ndarray] = {}
    steps = several = differing = without = 0
    for seed in range(asked.runs):
        case = drawn(seed)
        hidden, outputs = simulated(case)
        for theirs, ours in zip((hidden, outputs), spikes(case), strict=True):
            known = ~ours.isnan().numpy()  # else a sum left 16 bits, where its order counts
            without += int((~known).sum())
            steps += int(known.sum())
            several += int((theirs[known] > 1).sum())
            differing += int((ours.numpy() != theirs)[known].sum())
        if seed < asked.keep:
            found = case | {"hidden": hidden, "outputs": outputs}
            kept |= {f"{seed}.{name}": value for name, value in found.items()}
    sys.stdout.write(
        f"{steps} neuron steps, {several} with several spikes, {differing} differ; {without} without a number\n"
    )
    np.savez_compressed(TRACES, **kept)  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    main()
