"""F2: the graph of trains, against linear-programming feasibility of each of the 2^T trains."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert.certify.bounds.signals.box import Box
from spikecert.certify.bounds.signals.signals import InputSignal
from spikecert.certify.bounds.trains.train_graph import GraphTrains, graph_trains
from spikecert.certify.rounding import Rounding
from spikecert.models import LIF
from spikecert.models.circuit import leaky_rule
from spikecert.testing import neurons
from spikecert.testing.neurons import DECAYS, THRESHOLDS
from support.examples import examples
from support.graphs import Ends, boxes, paths
from support.oracles import feasible_trains


def graph(neuron: LIF, low: list[float], high: list[float], dtype: torch.dtype = torch.float64) -> GraphTrains:
    lower, upper = (torch.tensor(ends, dtype=torch.float64)[:, None] for ends in (low, high))
    return graph_trains(InputSignal(Box(lower, upper), len(low)), leaky_rule(neuron, len(low)), Rounding(dtype))


@examples(80)
@given(boxes(), DECAYS, THRESHOLDS)
def test_paths_are_the_feasible_trains(box: Ends, decay: float, threshold: float):
    neuron = LIF(decay=decay, threshold=threshold)
    found = paths(graph(neuron, *box))
    surely = feasible_trains(neuron.dynamics, *box, slack=-1e-6)
    perhaps = feasible_trains(neuron.dynamics, *box, slack=1e-6)
    assert surely <= found <= perhaps


@examples(100)
@given(st.data())
def test_no_run_escapes_its_graph(data: st.DataObject):
    low, high = data.draw(boxes(6))
    neuron = data.draw(neurons(len(low)))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    found = graph(neuron, low, high, torch.float32)
    trains = paths(found)
    share = torch.rand((len(low), 64, 1), generator=generator)
    share[:, :32] = share[:, :32].round()
    ends = torch.tensor([low, high])[:, :, None, None]
    currents = (ends[0] + share * (ends[1] - ends[0])).minimum(ends[1]).maximum(ends[0])
    with torch.no_grad():
        spikes = neuron(currents, len(low))[:, :, 0]
    assert {tuple(map(int, column)) for column in spikes.T.tolist()} <= trains
    assert bool((spikes >= found.box.lower[:, 0, None]).all())
    assert bool((spikes <= found.box.upper[:, 0, None]).all())


@examples(100)
@given(boxes(), DECAYS, st.integers(0, 2**31))
def test_combinations_are_the_extreme_paths(box: Ends, decay: float, seed: int):
    found = graph(LIF(decay=decay), *box)
    rows = torch.randn((3, len(box[0])), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    trains = torch.tensor(sorted(paths(found)), dtype=torch.float64)
    values = rows @ trains.T
    combined = found.combine(rows)
    torch.testing.assert_close(combined.lower[:, 0], values.amin(1))
    torch.testing.assert_close(combined.upper[:, 0], values.amax(1))
    for weight in (0.25, -3.0):
        counts, counted = weight * trains.sum(1), found.combine(torch.full((1, len(box[0])), weight).double())
        torch.testing.assert_close(counted.lower[:, 0], counts.amin()[None])
        torch.testing.assert_close(counted.upper[:, 0], counts.amax()[None])
    torch.testing.assert_close(found.steps().lower[:, 0], trains.amin(0))
    torch.testing.assert_close(found.steps().upper[:, 0], trains.amax(0))
