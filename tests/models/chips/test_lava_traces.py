"""A file of lava-dl comes in with the spikes that lava itself made of it: runs that were kept, spike for spike."""

from pathlib import Path

import numpy as np
import pytest

from support.lava_traces import TRACES, ours


@pytest.mark.parametrize("seed", range(6))
def test_a_run_is_lava_s(seed: int, tmp_path: Path):
    with np.load(TRACES) as file:
        content, events, spikes = (file[f"{seed}.{name}"] for name in ("net", "events", "spikes"))
    path = tmp_path / "kept.net"
    path.write_bytes(content.tobytes())
    found, neurons = ours(path, events)
    assert np.array_equal(found, spikes)
    assert 0 < spikes.mean() < 1
    assert neurons > spikes.shape[1]
