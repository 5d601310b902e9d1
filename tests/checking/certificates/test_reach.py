"""Floats for whole layers hold what the kernel finds number by number, and hardly more."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from spikecert.checking import read_network
from spikecert.checking.certificates.short_files import ShortFile
from spikecert.checking.kernel.numbers import ONE
from spikecert.checking.kernel.records import Fields
from spikecert.checking.network.files import read
from spikecert.checking.short import FORMAT

FOLDER = Path(__file__).parents[1] / "proofs-0.1"


@pytest.mark.parametrize("name", ["deep", "dense-float64", "images", "residual", "spikes", "timed"])
def test_floats_hold_the_boxes_of_the_kernel(name):
    """Of currents, at each step and over each window, once all facts of the root are stated."""
    network = read_network(FOLDER / f"{name}.safetensors")
    content = read(FOLDER / f"{name}.proof", FORMAT)
    short = ShortFile.of(content, network)
    made, checker = short.maker, ShortFile.of(content, network).maker.checker
    for line in islice(short.lines(), 2, None):
        word, *fields = line.split()
        if word == "class":
            break
        checker._take(word, Fields(fields))
    assert made.floats is not None
    for place in made.layers:
        node, context = made.nodes.spiking(place), checker.context
        spans, windows = made.floats._asked(place)
        for steps, asked in (
            (made.floats.reach.steps, [context.step(t) for t in range(network.steps)]),
            (windows, [checker._window(place, node.neuron, a, t) for a, t in spans]),
        ):
            found = made.floats.reach.of(node.source, steps)
            exact = np.array([[context.span(node.source, j, each) for each in asked] for j in range(node.width)])
            low, high = exact[..., 0] / ONE, exact[..., 1] / ONE
            assert (found.low <= low).all()
            assert (found.high >= high).all()
            assert max((low - found.low).max(), (found.high - high).max()) < 1e-10
