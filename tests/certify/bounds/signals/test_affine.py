"""Affine layers on boxes, with weights of either sign: no image escapes, and the ends are attained."""

import pytest
import torch
from torch import nn

from spikecert.certify.bounds.signals.affine import affine_map
from spikecert.certify.bounds.signals.box import Box
from spikecert.certify.bounds.signals.signals import InputSignal, SumSignal
from spikecert.certify.rounding import Rounding
from spikecert.models.linear_maps import linear_map
from support.signals import affine_signal

ROUNDING = Rounding(torch.float64)


def batch_norm(features: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(features).double()
    for statistic, low, high in ((norm.running_mean, -0.5, 0.5), (norm.running_var, 0.1, 2.0)):
        assert statistic is not None
        statistic.uniform_(low, high)
    norm.weight.data = torch.linspace(-1.5, 1.0, features).double()
    norm.bias.data.uniform_(-0.5, 0.5)
    return norm.eval()


LAYERS = {
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 5).double()),
    "conv": lambda: nn.Conv2d(4, 3, 2, stride=2, padding=1).double(),
    "average pool": lambda: nn.AvgPool2d(2),
    "batch norm": lambda: batch_norm(4),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_images_fill_their_box(kind: str):
    torch.manual_seed(0)
    layer = LAYERS[kind]()
    low = torch.randn(2, 4, 3, 3).double()
    signal = InputSignal(Box(low[None], (low + torch.rand_like(low))[None]), 1)
    image = signal
    for part in layer if isinstance(layer, nn.Sequential) else [layer]:
        image = affine_signal(image, part, ROUNDING)
    found, box = image.steps()[0], signal.box[0]
    share = torch.rand(200, *low.shape).double()
    with torch.no_grad():
        images = layer((box.lower + share * (box.upper - box.lower)).flatten(0, 1)).unflatten(0, (200, 2))
        assert bool((images >= found.lower).all())
        assert bool((images <= found.upper).all())
        for flat, end in ((found.lower.flatten(1), -1.0), (found.upper.flatten(1), 1.0)):
            corner = low.new_zeros(2, *low.shape[1:]).requires_grad_()
            with torch.enable_grad():
                (slope,) = torch.autograd.grad(layer(corner).flatten(1)[:, -1].sum(), corner)
            furthest = torch.where(end * slope > 0, box.upper, box.lower)
            torch.testing.assert_close(layer(furthest).flatten(1)[:, -1], flat[:, -1])


def test_a_residual_sum_adds_up_both_parts():
    low = torch.tensor([[0.0, -1.0]]).double()
    source = InputSignal(Box(low[None], low[None] + 1.0), 1)
    double = nn.Linear(2, 2, bias=False).double()
    double.weight.data = torch.tensor([[2.0, 0.0], [0.0, -2.0]]).double()
    found = SumSignal(source, affine_signal(source, double, ROUNDING), ROUNDING).steps()[0]
    torch.testing.assert_close(found.lower, torch.tensor([[0.0, -1.0]]).double())
    torch.testing.assert_close(found.upper, torch.tensor([[3.0, 2.0]]).double())
    assert affine_map(linear_map(double)).terms == 2
