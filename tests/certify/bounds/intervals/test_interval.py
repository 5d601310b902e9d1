"""The per-step baseline: no run of any neuron escapes it, whatever the reset."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert.certify.bounds.intervals.interval import interval_spikes
from spikecert.certify.bounds.signals.box import Box
from spikecert.certify.bounds.signals.signals import InputSignal
from spikecert.certify.rounding import Rounding
from spikecert.models.circuit import leaky_rule
from spikecert.testing import neurons
from spikecert.testing.neurons import RESETS
from support.examples import examples
from support.graphs import boxes


@examples(400)
@given(data=st.data(), reset=RESETS)
def test_no_run_escapes_its_intervals(data: st.DataObject, reset: str):
    low, high = data.draw(boxes(6))
    neuron = data.draw(neurons(len(low), reset=reset))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    ends = torch.tensor([low, high])[:, :, None, None]
    share = torch.rand((len(low), 256, 1), generator=generator)
    share[:, :128] = share[:, :128].round()
    currents = (ends[0] + share * (ends[1] - ends[0])).minimum(ends[1]).maximum(ends[0])
    signal = InputSignal(Box(ends[0].double(), ends[1].double()), len(low))
    found = interval_spikes(signal, leaky_rule(neuron, len(low)), Rounding(torch.float32))
    with torch.no_grad():
        spikes = neuron(currents, len(low))
    assert bool((spikes >= found.box.lower).all())
    assert bool((spikes <= found.box.upper).all())
