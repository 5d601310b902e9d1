"""The stability report: radii against bisection, growth against bounds, figures against their formulas."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from torch import nn

from spikecert.analysis import layer_operators, neuron_gain, pattern_radius, stability
from spikecert.analysis.gains.gain_plots import (
    bode_figure,
    frequency_response,
    growth_figure,
    horizon_figure,
    layer_figure,
    norm_figure,
)
from spikecert.analysis.patterns import row_norms, train_interval
from spikecert.models import DLIF, LIF, SpikingNetwork, mlp
from support.examples import examples


@given(
    current=st.floats(-2, 4),
    decay=st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)),
    reset=st.sampled_from(
        [("zero", None), ("subtract", None), ("subtract", 0.5), ("subtract", 1.6), ("none", None)]
    ),
    fires_at=st.sampled_from([">=", ">"]),
    scale=st.lists(st.floats(-2, 2).filter(lambda a: a == 0 or abs(a) > 1e-3), min_size=1, max_size=6),
)
@examples(300)
def test_the_interval_holds_exactly_the_currents_of_one_train(current, decay, reset, fires_at, scale) -> None:  # type: ignore[no-untyped-def]
    kind, amount = reset
    neuron = DLIF(len(scale), decay, 1.0, kind, fires_at, reset_amount=amount).double()
    neuron.input_scale.data = torch.tensor(scale, dtype=torch.float64)
    point = torch.tensor([current], dtype=torch.float64)
    low, high = (float(end) for end in train_interval(point, neuron, len(scale)))

    def train(value: float) -> list[float]:
        return neuron(torch.full((1, 1, 1), value, dtype=torch.float64), len(scale)).flatten().tolist()

    assert low <= current <= high
    reference = train(current)
    for value in (max(low, -50.0), min(high, 50.0)):
        inside = value + (current - value) * 1e-6
        if abs(value - current) > 1e-5:
            assert train(inside) == reference
    step = 1e-9 * max(1.0, abs(current))
    for end, outside in ((low, low - step * max(1, abs(low))), (high, high + step * max(1, abs(high)))):
        if math.isfinite(end) and abs(end) < 1e6:
            assert train(outside) != reference


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_no_train_changes_inside_the_radius_and_one_does_just_outside(norm: str, reset: str) -> None:
    torch.manual_seed(0)
    net = SpikingNetwork(nn.Linear(5, 7), LIF(0.9, reset=reset), nn.Linear(7, 3), num_steps=6).double()
    weight = net.layers[0].weight.detach()  # type: ignore[union-attr, operator]
    inputs = 2 * torch.rand(12, 5).double()
    radius = pattern_radius(net, inputs, norm)
    spikes = net.trace(inputs).spikes[0]
    directions = torch.cat([weight, -weight])
    directions = directions.sign() if norm == "linf" else directions / directions.norm(dim=1, keepdim=True)
    changed = torch.zeros(12, dtype=torch.bool)
    for direction in directions:
        inside = net.trace(inputs + 0.999999 * radius[:, None] * direction).spikes[0]
        assert torch.equal(inside, spikes)
        outside = net.trace(inputs + 1.000001 * radius[:, None] * direction).spikes[0]
        changed |= (outside != spikes).any(0).any(1)
    assert bool(changed.all())


def test_radius_of_a_convolution_uses_the_real_rows() -> None:
    torch.manual_seed(0)
    net = SpikingNetwork(
        nn.Conv2d(1, 2, 3, padding=1), LIF(), nn.Flatten(), nn.Linear(32, 2), num_steps=4
    ).double()
    rows = row_norms(layer_operators(net, (1, 4, 4))[0], "linf")
    eye = torch.eye(16).double().reshape(16, 1, 4, 4)
    conv = net.layers[0]
    matrix = (conv(eye) - conv(torch.zeros(1, 1, 4, 4).double())).flatten(1).T.detach()
    torch.testing.assert_close(rows, matrix.abs().sum(1))
    assert pattern_radius(net, torch.rand(3, 1, 4, 4).double()).shape == (3,)


def report():
    torch.manual_seed(0)
    net = mlp((8, 12, 10, 3), 6, LIF(0.9, threshold=0.5)).double()
    inputs = torch.rand(40, 8).double()
    moved = {"tiny": inputs + 1e-9, "noise": inputs + 0.1 * torch.randn(40, 8).double(), "same": inputs}
    return net, stability(net, inputs, moved)


def test_growth_stays_below_the_bound_and_the_exact_one_does_where_trains_agree() -> None:
    _, found = report()
    assert len(found.growth) == 6
    broken = False
    for item in found.growth:
        assert bool((item.simplified <= item.gain * (1 + 1e-9)).all())
        assert bool((item.exact[item.agrees] <= item.gain * (1 + 1e-6)).all())
        broken |= bool((item.exact > item.gain).any())
        assert 0.0 <= item.tightness <= 1.0 + 1e-9
    assert all(not bool(item.exact.any()) for item in found.growth if item.source == "same")
    near = torch.tensor([[0.999999999]], dtype=torch.float64)
    jump = SpikingNetwork(nn.Linear(1, 1, bias=False), LIF(0.9), nn.Linear(1, 1), num_steps=3).double()
    jump.layers[0].weight.data.fill_(1.0)  # type: ignore[union-attr, operator]
    (item,) = stability(jump, near, {"up": near + 1e-8}).growth
    assert item.exact.item() > 1e4 * item.gain  # the condition on the trains can't be dropped
    assert not item.agrees.item()


def test_margins_and_the_surrogate_product() -> None:
    net, found = report()
    trace = net.trace(2 * torch.rand(4, 8).double())
    assert [margin.shape for margin in found.margins] == [(40,), (40,)]
    assert bool((found.margins[0] >= 0).all())
    product = found.gains.layers[0].gain * found.gains.layers[1].gain * found.gains.readout.upper  # type: ignore[union-attr]
    assert found.surrogate_product == pytest.approx(product)
    assert trace.logits.shape == (4, 3)


def test_frequency_response_and_figures() -> None:
    omega = np.linspace(0.0, math.pi, 50)
    expected = np.abs(np.exp(1j * omega) / (np.exp(1j * omega) - 0.9))
    np.testing.assert_allclose(frequency_response(0.9, omega), expected, rtol=1e-12)
    assert frequency_response(0.9, omega).max() == pytest.approx(neuron_gain(0.9, math.inf))
    net, found = report()
    figures = (
        bode_figure(),
        layer_figure(layer_operators(net)[0]),
        growth_figure(found),
        horizon_figure(longest=6),
    )
    for figure in (*figures, norm_figure(points=5)):
        assert isinstance(figure, Figure)
        assert figure.axes[0].has_data()
    bounds = [line.get_paths()[0].vertices[0][1] for line in growth_figure(found).axes[0].collections]  # type: ignore[index]
    assert bounds == pytest.approx([item.gain for item in found.growth])


def test_must_raise() -> None:
    net, found = report()
    with pytest.raises(ValueError, match=r"^norm: got 'l1'"):
        pattern_radius(net, torch.rand(1, 8).double(), "l1")
    with pytest.raises(ValueError, match=r"^perturbed: got noise"):
        stability(net, torch.rand(2, 8).double(), {"noise": torch.rand(3, 8).double()})
    with pytest.raises(ValueError, match=r"^network: got encoding 'none'"):
        pattern_radius(mlp((4, 3, 2), 2, encoding="none"), torch.rand(1, 2, 4))
    with pytest.raises(ValueError, match=r"^operator: got readout"):
        layer_figure(layer_operators(net)[-1])
    with pytest.raises(ValueError, match=r"^decay: got 1"):
        frequency_response(1.0, np.zeros(1))
    with pytest.raises(ValueError, match=r"^report: got no measured growth"):
        growth_figure(stability(net, torch.rand(2, 8).double()))
    assert found.radius_l2 is not None
