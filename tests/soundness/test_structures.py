"""Structures that a norm or a gain may misread: what the run does with a layer decides."""

import math

import pytest
import torch
from torch import nn

from spikecert import L2, LIF, LInf, SpikingNetwork, gain, verify
from spikecert.analysis.norms import operator_norm
from spikecert.analysis.operators import layer_operators
from spikecert.certify.verification import bounds

DOUBLE = torch.float64


@pytest.mark.parametrize("threat", [LInf(0.01), L2(0.01)], ids=lambda threat: threat.norm)
def test_a_constant_input_moves_a_layer_without_a_table_at_each_step(threat: LInf | L2) -> None:
    # 64 steps that subtract have more trains than a table holds: the graph's budget is over all steps
    first = nn.Linear(1, 1, bias=False, dtype=DOUBLE)
    nn.init.ones_(first.weight)
    last = nn.Linear(1, 2, dtype=DOUBLE)
    last.weight.data = torch.tensor([[1.0], [0.0]], dtype=DOUBLE)
    last.bias.data = torch.tensor([0.0, 0.005], dtype=DOUBLE)
    network = SpikingNetwork(first, LIF(1.0, reset="subtract"), last, num_steps=64).eval()
    sample, other = torch.tensor([[0.011]], dtype=DOUBLE), torch.tensor([[0.0209]], dtype=DOUBLE)
    assert bool(threat.contains(other, sample))
    label = network(sample).argmax(1)
    assert int(label) == 1
    assert int(network(other).argmax(1)) == 0
    (verdict,) = verify(network, sample, label, threat, "gain")
    assert verdict.status != "verified"


def rows_of_images() -> SpikingNetwork:
    """Return a network that takes the last axis of (2, 1, 2) images, and scales their channels."""
    dense = nn.Linear(2, 2, bias=False, dtype=DOUBLE)
    dense.weight.data = torch.tensor([[1.0, 0.0], [0.0, 0.01]], dtype=DOUBLE)
    norm = nn.BatchNorm2d(2, eps=0.0, affine=False, dtype=DOUBLE)
    assert norm.running_var is not None
    norm.running_var.copy_(torch.tensor([1e4, 1.0]))
    layers = (nn.Flatten(3), dense, norm, LIF(), nn.Flatten(), nn.Linear(4, 2, dtype=DOUBLE))
    return SpikingNetwork(*layers, num_steps=1).eval()


def test_channels_are_not_the_axis_that_a_dense_layer_makes() -> None:
    report = gain(rows_of_images(), input_shape=(2, 1, 2))
    assert report.layers[0].operator_norm.upper >= 1.0  # of the second channel's first pixel


def test_a_norm_of_more_channels_than_a_dense_layer_makes() -> None:
    layers = (nn.Linear(2, 2), nn.BatchNorm2d(3), LIF(), nn.Flatten(), nn.Linear(6, 2))
    gain(SpikingNetwork(nn.Flatten(3), *layers, num_steps=1), input_shape=(3, 1, 2))


def test_a_dense_layer_of_images_acts_on_each_row() -> None:
    dense = nn.Linear(2, 1, bias=False, dtype=DOUBLE)
    nn.init.ones_(dense.weight)
    network = SpikingNetwork(nn.Flatten(3), dense, LIF(), nn.Flatten(), nn.Linear(3, 2, dtype=DOUBLE), num_steps=1)
    first = layer_operators(network, (3, 1, 2))[0]
    assert first.dense is None
    assert operator_norm(first, "linf", "l1").upper >= 6.0
    assert operator_norm(first, "linf", "l2").upper >= 2.0 * math.sqrt(3.0)
    assert operator_norm(first, "l2", "l1").upper >= math.sqrt(6.0)


@pytest.mark.parametrize(
    ("variance", "eps", "weight"),
    [(0.0, 2.1e-45, 3.5e-23), (-1e-5 * (1 - 1e-7), 1e-5, 1e-6), (0.0, 1e-60, 1e-30), (1e-20, 0.0, 1e30)],
)
@pytest.mark.parametrize("verifier", ["interval", "trains", "linear", "gain", "complete", "milp", "lirpa"])
def test_a_variance_that_float32_does_not_hold_is_unknown(
    variance: float, eps: float, weight: float, verifier: str
) -> None:
    norm, last = nn.BatchNorm1d(1, eps=eps), nn.Linear(1, 2)
    assert norm.running_var is not None
    nn.init.constant_(norm.running_var, variance)
    nn.init.constant_(norm.weight, weight)
    last.weight.data, last.bias.data = torch.tensor([[1.0], [0.0]]), torch.tensor([0.0, 0.5])
    network, sample = SpikingNetwork(norm, LIF(0.5, 0.5), last, num_steps=2).eval(), torch.tensor([[0.9]])
    (verdict,) = verify(network, sample, network(sample).argmax(1), LInf(0.001), verifier)
    assert verdict.status == "unknown"


def test_lirpa_takes_a_dense_layer_of_images() -> None:
    layers = (nn.Conv2d(1, 2, 1), nn.Linear(2, 2), LIF(), nn.Flatten(), nn.Linear(4, 2))
    network, sample = SpikingNetwork(*layers, num_steps=2).eval(), torch.full((1, 1, 1, 2), 0.5)
    with torch.no_grad():
        ends, logits = bounds(network, sample, LInf(0.0), "lirpa"), network(sample).double()
    torch.testing.assert_close(torch.stack([ends.lower, ends.upper]), logits.expand(2, -1, -1), rtol=0, atol=1e-5)


def test_lirpa_takes_a_last_layer_without_bias() -> None:
    last = nn.Linear(2, 2, bias=False)
    last.weight.data = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    first = nn.Linear(2, 2)
    nn.init.zeros_(first.weight)
    nn.init.ones_(first.bias)
    network, sample = SpikingNetwork(first, LIF(0.5, 0.5), last, num_steps=2).eval(), torch.full((1, 2), 0.5)
    (verdict,) = verify(network, sample, torch.tensor([0]), LInf(0.01), "lirpa")
    assert verdict.status == "verified"


@pytest.mark.parametrize("steps", [16, 24, 64])
def test_complete_decides_a_constant_input_whose_table_is_too_long(steps: int) -> None:
    # λ = 1 with a subtracting reset: from T = 24 on the first layer is a graph, priced at each step
    first, last = nn.Linear(1, 1, bias=False, dtype=torch.float64), nn.Linear(1, 2, dtype=torch.float64)
    nn.init.ones_(first.weight)
    last.weight.data = torch.tensor([[1.0], [0.0]], dtype=torch.float64)
    last.bias.data = torch.tensor([0.0, 0.28], dtype=torch.float64)
    network = SpikingNetwork(first, LIF(1.0, reset="subtract"), last, num_steps=steps).eval()
    inputs = torch.tensor([[0.05], [0.22], [0.9]], dtype=torch.float64)
    labels = network(inputs).argmax(1)
    for threat in (LInf(0.1), L2(0.1)):
        statuses = [verdict.status for verdict in verify(network, inputs, labels, threat, "complete")]
        assert statuses == ["verified", "falsified", "verified"]
