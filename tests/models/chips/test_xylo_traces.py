"""Integer networks have the spikes that Xylo's own simulator had: runs that were kept, spike for spike."""

from contextlib import suppress

import numpy as np
import pytest
import torch

from spikecert import SpikeFlip, bounds
from support.xylo_traces import TRACES, network, spikes

NAMES = ("weights_in", "weights_out", "dashes", "thresholds", "inputs", "hidden", "outputs")


def kept(seed: int) -> dict[str, np.ndarray]:
    """Return a run."""
    with np.load(TRACES) as file:
        return {name: file[f"{seed}.{name}"] for name in NAMES}


@pytest.mark.parametrize("seed", range(6))
def test_a_run_is_the_simulator_s(seed: int):
    case = kept(seed)
    hidden, outputs = spikes(case)
    assert case["hidden"].any()
    assert case["outputs"].any()
    known = ~hidden.isnan().numpy()
    assert known.mean() > 0.9
    assert np.array_equal(hidden.numpy()[known], case["hidden"][known])
    known = ~outputs.isnan().numpy()
    assert np.array_equal(outputs.numpy()[known], case["outputs"][known])


def test_runs_fire_several_times_a_step():
    assert max(kept(seed)["hidden"].max() for seed in range(6)) > 5


def test_bounds_of_a_recording_alone_are_its_counts_or_nothing():
    """Where a part of a sum might be cut, its order would count: bounds say so and give nothing."""
    known = 0
    for seed in range(6):
        case = kept(seed)
        recording = torch.from_numpy(case["inputs"].astype(np.float64)).clamp_max(1.0)[None]
        made = network(case)
        with suppress(OverflowError):
            found = bounds(made, recording, SpikeFlip(0))
            assert torch.allclose(found.lower, made(recording))
            assert torch.allclose(found.upper, made(recording))
            known += 1
    assert known >= 2
