"""No allowed input escapes the bounds under the readouts "potential", with weights of both signs, and "spikes"."""

import pytest
import torch
from torch import nn

from spikecert.certify import L2, LInf
from spikecert.certify.replay import margins
from spikecert.certify.verifiers import INTERVAL, TRAINS, Gain, Linear, MarginVerifier
from spikecert.models import DLIF, LIF, SpikingNetwork


def network(readout: str, hidden: int, seed: int) -> SpikingNetwork:
    torch.manual_seed(seed)
    last: LIF = LIF(0.6, 0.2)
    if readout == "potential":
        last = DLIF(5, decay=0.6, reset="none")
        last.input_scale.data = torch.tensor([1.0, -1.2, 0.7, -0.9, 0.5])
    layers = [layer for _ in range(hidden) for layer in (nn.Linear(6, 6), LIF(0.9, 0.3))]
    return SpikingNetwork(*layers, nn.Linear(6, 3), last, num_steps=5, readout=readout).eval()


@pytest.mark.parametrize("verifier", [INTERVAL, TRAINS, Linear(), Gain()], ids=lambda v: v.name)
@pytest.mark.parametrize("hidden", [1, 2])
@pytest.mark.parametrize("readout", ["potential", "spikes"])
@pytest.mark.parametrize("threat", [LInf(0.04), L2(0.08)], ids=lambda t: t.norm)
def test_no_input_escapes(verifier: MarginVerifier, hidden: int, readout: str, threat: LInf | L2) -> None:
    generator = torch.Generator().manual_seed(0)
    open_margins = 0
    for seed in range(4):
        net = network(readout, hidden, seed)
        inputs = torch.rand(8, 6, generator=generator)
        with torch.no_grad():
            logits = net(inputs)
            labels = logits.argmax(1)
            lower = verifier.margins(net, inputs, labels, threat)
            proven = verifier.logits(net, inputs, threat)
            for _ in range(60):
                found = net(threat.sample(inputs, generator)).double()
                assert bool((margins(found, labels) >= lower).all())
                assert bool((found >= proven.lower).all())
                assert bool((found <= proven.upper).all())
        open_margins += int((lower < margins(logits.double(), labels) - 1e-3).sum())
    assert open_margins > 0
