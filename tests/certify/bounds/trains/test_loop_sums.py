"""What a layer hears of itself is added to its current in float32: that rounding is paid, whatever the signs."""

import pytest
import torch
from torch import nn

from spikecert.certify.bounds.signals.affine import affine_map
from spikecert.certify.bounds.signals.box import Box
from spikecert.certify.bounds.signals.signals import InputSignal
from spikecert.certify.bounds.trains.recurrent import FeedbackLoop
from spikecert.certify.rounding import Rounding
from spikecert.models.linear_maps import linear_map

NEURONS, STEPS = 200, 3


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("other", [1.0, -1.0])
def test_a_sum_of_two_currents_is_paid(sign: float, other: float):
    generator = torch.Generator().manual_seed(0)
    feedback = nn.Linear(NEURONS, NEURONS)
    feedback.weight.data = torch.diag(other * torch.rand(NEURONS, generator=generator))
    feedback.bias.data = 1e-3 * torch.rand(NEURONS, generator=generator)
    x = sign * 100 * torch.rand(STEPS, 1, NEURONS, generator=generator)
    spikes = (torch.rand(STEPS, 1, NEURONS, generator=generator) < 0.7).float()
    below = InputSignal(Box(x.double(), x.double()), STEPS)
    after = FeedbackLoop(below, affine_map(linear_map(feedback)), Rounding(torch.float32)).follow()
    with torch.no_grad():
        runs = x + feedback(spikes)
    weight, bias = feedback.weight.detach().double(), feedback.bias.detach().double()
    exact = x.double() + spikes.double() @ weight.T + bias
    assert float((runs.double() - exact).abs().max()) > 1e-6
    for t in range(STEPS):
        before = spikes[t : t + 1].double()
        box = after(t, Box(before, before)).box
        assert bool((box.lower[0] <= runs[t].double()).all())
        assert bool((runs[t].double() <= box.upper[0]).all())
        assert float((box.upper - box.lower).max()) < 1e-3
