"""Floats for whole layers hold what the kernel finds number by number, and hardly more.

The units of a step meet the greatest weights of each row, as often as each entry has units.
"""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikecert.checking import read_network
from spikecert.checking.certificates.trials import ShortFile
from spikecert.checking.kernel.numbers import ONE
from spikecert.checking.kernel.records import Fields
from spikecert.checking.network.files import read
from spikecert.checking.numbers.ranks import Ranks
from spikecert.checking.numbers.sparse import Matrix
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


ENTRIES = st.lists(st.integers(-3, 3), min_size=12, max_size=12)


@given(ENTRIES, st.lists(st.integers(0, 3), min_size=8, max_size=8), st.integers(0, 1), st.integers(1, 5))
def test_the_greatest_weights_that_units_meet_are_first(entries, counts, step, most):
    weights, marks = np.array(entries, dtype=object).reshape(3, 4), np.array(counts).reshape(4, 2)
    row, column = np.nonzero(weights)
    ranks = Ranks.of(Matrix((3, 4), row, column, weights[row, column], 0))
    for side, sign in ((ranks.above, 1), (ranks.below, -1)):
        met = [
            sorted((w * sign for w, n in zip(line, marks[:, step], strict=True) for _ in range(n) if w * sign > 0))
            for line in weights
        ]
        found = side.greatest("marks", marks, step, most)
        assert [[w for w in line if w] for line in found] == [line[::-1][:most] for line in met]
        totals = side.totals("all", marks).ints[:, step]
        assert list(totals) == [sum(line) for line in met]
