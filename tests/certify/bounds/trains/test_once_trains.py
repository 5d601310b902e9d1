"""Neurons that fire once, by their steps: against the graph of the same neurons, to the last bit."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert.certify.bounds.signals.box import Box
from spikecert.certify.bounds.signals.signals import InputSignal
from spikecert.certify.bounds.trains.resting import OnceTrains, once_spikes, refractory_spikes, resting_spikes
from spikecert.certify.bounds.trains.train_graph import GraphTrains
from spikecert.certify.rounding import Rounding
from spikecert.models.rules import Leaky
from support.drawn_networks import resting
from support.examples import examples


@examples(200)
@given(
    seed=st.integers(0, 2**31),
    steps=st.integers(1, 6),
    longer=st.integers(0, 1),
    decay=st.sampled_from([1.0, 0.5, 0.9, 0.0]),
    start=st.sampled_from([0.0, 0.25, -0.3, 0.75]),
    width=st.sampled_from([0.0, 0.25, 1.0]),
    bound=st.sampled_from([torch.float64, torch.float32]),
)
def test_they_are_those_of_the_graph(seed, steps, longer, decay, start, width, bound):
    """With currents on a grid, so that potentials meet the threshold, which is on it, too."""
    generator = torch.Generator().manual_seed(seed)
    lower = (torch.randn(steps, 2, 3, generator=generator) * 2).round() / 4
    upper = lower + (torch.rand(lower.shape, generator=generator) * 4).round() * width / 4
    current = InputSignal(Box(lower.to(bound), upper.to(bound)), steps)
    rule, rounding = resting(Leaky(decay, 0.5), steps + longer, start), Rounding(torch.float32, bound)
    graph, once = refractory_spikes(current, rule, rounding), resting_spikes(current, rule, rounding)
    rows = torch.randn(4, steps, generator=generator, dtype=bound)
    sums = torch.cat([torch.ones(steps, steps, dtype=bound).tril(), torch.zeros(1, steps, dtype=bound)])
    signed = torch.cat([sums, -0.3 * sums])
    pairs = [(graph.combine(each), once.combine(each)) for each in (rows, signed)]
    for one, other in ((graph.steps(), once.steps()), *pairs):
        assert torch.equal(one.lower, other.lower)
        assert torch.equal(one.upper, other.upper)
        assert one.lower.dtype == other.lower.dtype == bound
    assert torch.equal(graph.magnitude(), once.magnitude())
    if steps > 1:
        assert isinstance(once, OnceTrains)
        assert isinstance(graph, GraphTrains)


def test_a_rest_that_ends_keeps_its_graph():
    current = InputSignal(Box(torch.zeros(4, 1, 1).double(), torch.ones(4, 1, 1).double()), 4)
    assert isinstance(resting_spikes(current, resting(Leaky(1.0), 3), Rounding(torch.float32)), GraphTrains)


def test_what_may_overflow_is_refused():
    current = InputSignal(Box(torch.zeros(4, 1, 1).double(), torch.full((4, 1, 1), 1e38).double()), 4)
    with pytest.raises(OverflowError, match="a membrane potential may reach"):
        once_spikes(current, resting(Leaky(1.0), 4), Rounding(torch.float32))
