"""Boxes of currents over time, and the trains of a graph by walking it."""

import itertools

from hypothesis import strategies as st

from spikecert.certify.bounds.trains.train_graph import GraphTrains

Ends = tuple[list[float], list[float]]


def paths(found: GraphTrains) -> set[tuple[int, ...]]:
    """Return all trains of one neuron's graph, the first of the batch."""
    trains = set()
    for train in itertools.product((0, 1), repeat=found.num_steps):
        last, alive = 0, True
        for t, spike in enumerate(train, start=1):
            if spike:
                alive = alive and bool(found.edges[t - 1][last].flatten()[0])
                last = t
        if alive and bool(found.ends[last].flatten()[0]):
            trains.add(train)
    return trains


@st.composite
def boxes(draw: st.DrawFn, most_steps: int = 4) -> Ends:
    """Return a lower and an upper end for each step, some of them equal."""
    steps = draw(st.integers(1, most_steps))
    values = st.floats(-1.5, 1.5, width=32) | st.sampled_from([-0.5, 0.0, 0.5, 1.0])
    low = draw(st.lists(values, min_size=steps, max_size=steps))
    width = draw(st.lists(st.floats(0, 1, width=32) | st.just(0.0), min_size=steps, max_size=steps))
    return low, [a + b for a, b in zip(low, width, strict=True)]
