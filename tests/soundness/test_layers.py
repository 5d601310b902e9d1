"""No allowed image escapes the bounds of a network with convolution, pooling, batch norm and a residual sum."""

import pytest
import torch
from torch import nn

from spikecert.certify import L2, LInf
from spikecert.certify.replay import margins
from spikecert.certify.verifiers import INTERVAL, TRAINS, Gain, Linear, MarginVerifier
from spikecert.models import DLIF, LIF, Residual, Share, SpikingNetwork

BOUNDS = [INTERVAL, TRAINS, Linear(), Gain()]


def image_network(sums: str, seed: int) -> SpikingNetwork:
    torch.manual_seed(seed)
    norm = nn.BatchNorm2d(3)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.uniform_(-0.2, 0.2)
    norm.running_var.uniform_(0.1, 0.5)
    scaled = DLIF(4, decay=0.9, threshold=0.2)
    scaled.input_scale.data = torch.tensor([1.0, -0.5, 1.2, 0.8])
    conv = nn.Conv2d(3, 3, 3, padding=1)
    shared = Residual([conv, scaled, Share(0.7)], [Share(-0.4)])
    middle = {"none": [conv, scaled], "sum": [Residual([conv, scaled])], "shares": [shared]}[sums]
    head = [nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, 3)]
    first = [nn.Conv2d(1, 3, 3, stride=2, padding=1), norm, LIF(decay=0.8, threshold=0.3)]
    return SpikingNetwork(*first, *middle, *head, num_steps=4).eval()


@pytest.mark.parametrize("verifier", BOUNDS, ids=lambda v: v.name)
@pytest.mark.parametrize("sums", ["none", "sum", "shares"])
@pytest.mark.parametrize("threat", [LInf(0.02), L2(0.2)], ids=lambda t: t.norm)
def test_no_image_escapes(verifier: MarginVerifier, sums: str, threat: LInf | L2):
    generator = torch.Generator().manual_seed(0)
    proven = 0
    for seed in range(4):
        network = image_network(sums, seed)
        inputs = torch.rand(6, 1, 7, 7, generator=generator)
        with torch.no_grad():
            labels = network(inputs).argmax(1)
            lower = verifier.margins(network, inputs, labels, threat)
            for _ in range(40):
                logits = network(threat.sample(inputs, generator)).double()
                assert bool((margins(logits, labels) >= lower).all())
        proven += int((lower > 0).sum())
    assert proven > 0 or verifier.name == "interval"
