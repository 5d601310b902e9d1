"""Gains for training: their values are the proven ones', their gradients those of finite differences."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert.analysis import gain, layer_operators, pattern_radius, stability
from spikecert.analysis import neuron_gain as proven_neuron_gain
from spikecert.analysis.differentiable import (
    NORM_PAIRS,
    LayerEstimate,
    constant_response,
    end_to_end,
    layer_estimates,
    layer_margins,
    neuron_gain,
    operator_norm,
    row_norms,
)
from spikecert.analysis.differentiable import norms as rows
from spikecert.analysis.gains.neuron_gains import NORMS, constant_gain
from spikecert.analysis.operators import LayerOperator
from spikecert.analysis.patterns import row_norms as proven_row_norms
from spikecert.models import DLIF, LIF, Residual, SpikingNetwork, Triangle, mlp
from support.examples import examples

STEPS = 4


def dense() -> SpikingNetwork:
    built = mlp((5, 6, 4, 3), STEPS, DLIF(STEPS, 0.8, 0.3, surrogate=Triangle(2.0)))
    for neuron in built.neurons:
        assert isinstance(neuron, DLIF)
        neuron.input_scale.data = torch.tensor([1.4, -0.3, 0.8, 1.1])
    return built


def images() -> SpikingNetwork:
    """Convolutions with stride, groups and a folded batch norm; pools in front of weights and behind them."""
    layers = (
        *(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), LIF(0.9, 0.3), nn.AvgPool2d(2)),
        *(nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=2), nn.BatchNorm2d(4, affine=False), LIF(0.5, 0.3)),
        *(nn.Conv2d(4, 3, 2, padding=1), nn.AvgPool2d(2), LIF(0.5, 0.1), nn.Flatten(), nn.Linear(3, 3)),
    )
    built = SpikingNetwork(*layers, num_steps=STEPS)
    with torch.no_grad():
        for layer in built.layers:
            if isinstance(layer, nn.BatchNorm2d):
                assert layer.running_var is not None
                layer.running_var.copy_(torch.linspace(0.3, 2.0, 4))
                if layer.affine:
                    layer.weight.copy_(torch.tensor([1.0, -0.5, 2.0, 0.7]))
    return built


def residual() -> SpikingNetwork:
    """Sums of different signals, of one signal with itself, and a circular convolution."""
    branch: list[nn.Module] = [nn.Conv2d(3, 3, 3, padding=1), LIF(0.9, 0.3), nn.Conv2d(3, 3, 1)]
    positive = nn.Conv2d(3, 3, 3, padding=1)
    layers = (
        *(nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), LIF(0.9, 0.3), Residual(branch), LIF(0.7, 0.4)),
        *(Residual([positive]), LIF(0.5, 0.4)),
        *(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(3, 2)),
    )
    built = SpikingNetwork(*layers, num_steps=STEPS)
    with torch.no_grad():
        positive.weight.abs_()  # sets the greatest singular value of its sum apart
    return built


SHAPES = {dense: (5,), images: (2, 8, 8), residual: (2, 4, 4)}


def made(build: Callable[[], SpikingNetwork]) -> SpikingNetwork:
    torch.manual_seed(3)
    return build().double().eval()


def weight(network: SpikingNetwork, index: int) -> Tensor:
    layer = network.layers[index]
    assert isinstance(layer, nn.Linear)
    return layer.weight


def live(network: SpikingNetwork, shape: tuple[int, ...]) -> tuple[LayerOperator, ...]:
    return layer_operators(network, shape, live=True)


def estimates(
    network: SpikingNetwork, shape: tuple[int, ...], pair: tuple[str, str], **options: Any
) -> tuple[LayerEstimate, ...]:
    return layer_estimates(live(network, shape), STEPS, *pair, **{"iterations": 500, **options})


@examples(60)
@given(
    decay=st.sampled_from([0.0, 0.5, 0.99, 1.0]) | st.floats(0, 1),
    scale=st.lists(st.floats(-2, 2), min_size=1, max_size=9),
    pair=st.tuples(st.sampled_from(NORMS), st.sampled_from(NORMS)),
)
def test_neuron_gains_are_the_proven_ones(decay: float, scale: list[float], pair: tuple[str, str]) -> None:
    factors = torch.tensor(scale, dtype=torch.float64)
    proven = proven_neuron_gain(decay, len(scale), *pair, input_scale=scale)
    assert float(neuron_gain(decay, factors, *pair)) == pytest.approx(proven, rel=1e-9, abs=1e-12)
    rms = constant_gain(decay, len(scale), scale) * len(scale) ** 0.5
    found = float(constant_response(decay, factors))
    assert found <= rms + 1e-12  # the proven one keeps the greatest response of mixed signs
    if all(a >= 0 for a in scale):
        assert found == pytest.approx(rms, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("pair", [(p, q) for p in NORMS for q in NORMS])
def test_a_decay_has_a_gradient(pair: tuple[str, str]) -> None:
    decay = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    scale = torch.tensor([1.0, -0.4, 0.8, 1.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda d, a: neuron_gain(d, a, *pair), (decay, scale))


@pytest.mark.parametrize("pair", NORM_PAIRS)
@pytest.mark.parametrize("build", SHAPES)
def test_layer_gains_are_the_proven_ones(build: Callable[[], SpikingNetwork], pair: tuple[str, str]) -> None:
    """Power iteration is a lower end, near the norm after many steps."""
    network = made(build)
    proven = gain(network, *pair, input_shape=SHAPES[build])
    found = estimates(network, SHAPES[build], pair)
    uppers = [*((layer.operator_norm, layer.neuron_gain) for layer in proven.layers), (proven.readout, 1.0)]
    for layer, (norm, neuron) in zip(found, uppers, strict=True):
        value = float(layer.operator_norm.detach())
        assert norm is not None
        assert norm.lower * (1 - 1e-6) <= value <= norm.upper * (1 + 1e-9)
        assert float(layer.neuron_gain.detach()) == pytest.approx(neuron, rel=1e-9)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("build", SHAPES)
def test_row_norms_are_those_of_the_written_out_matrix(build: Callable[[], SpikingNetwork], order: int) -> None:
    network = made(build)
    fixed = layer_operators(network, SHAPES[build])
    for operator, exact in zip(live(network, SHAPES[build]), fixed, strict=True):
        expected = proven_row_norms(exact, "linf" if order == 1 else "l2")
        torch.testing.assert_close(row_norms(operator, order).detach(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("block", [1, 3])
def test_a_matrix_is_written_out_block_by_block(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last block holds the columns that are left."""
    build = next(iter(SHAPES))
    operator = live(made(build), SHAPES[build])[0]
    whole = torch.cat(list(rows._blocks(operator)))
    monkeypatch.setattr(rows, "_BLOCK", block)
    parts = list(rows._blocks(operator))
    assert len(parts) > 1
    assert torch.cat(parts).equal(whole)


@pytest.mark.parametrize("pair", NORM_PAIRS)
@pytest.mark.parametrize("build", SHAPES)
def test_gradients_are_finite_differences(build: Callable[[], SpikingNetwork], pair: tuple[str, str]) -> None:
    network, generator = made(build), torch.Generator().manual_seed(1)
    parameters = [p for name, p in network.named_parameters() if not name.endswith("bias")]

    vectors: dict[str, Tensor] = {}
    estimates(network, SHAPES[build], pair, vectors=vectors)

    def value() -> Tensor:
        found = estimates(network, SHAPES[build], pair, vectors=vectors, iterations=2)
        return torch.stack([layer.gain for layer in found]).log().sum()

    gradients = torch.autograd.grad(value(), parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        assert gradient is not None
        step = torch.randn(parameter.shape, dtype=torch.float64, generator=generator) * 1e-6
        with torch.no_grad():
            parameter += step
            after = value()
            parameter -= 2 * step
            before = value()
            parameter += step
        expected = float((after - before) / 2)
        assert float((gradient * step).sum()) == pytest.approx(expected, rel=2e-4, abs=1e-12)


def test_a_warm_vector_follows_the_weights() -> None:
    """One iteration a step is enough behind slow weights, where one from a random start is not."""
    network, vectors = made(dense), {}
    generator = torch.Generator().manual_seed(0)
    for step in range(40):
        (operator, *_), exact = live(network, (5,)), torch.linalg.matrix_norm(weight(network, 0), 2)
        found = operator_norm(operator, vectors=vectors)
        assert float((found / exact).detach()) == pytest.approx(1.0, abs=2e-3), step
        with torch.no_grad():
            weight(network, 0).add_(torch.randn(6, 5, dtype=torch.float64, generator=generator), alpha=0.01)
    assert list(vectors) == ["layers.1"]


def test_a_silent_operator_has_norm_zero_and_no_nan() -> None:
    network = made(dense)
    nn.init.zeros_(weight(network, 0))
    operator = live(network, (5,))[0]
    for pair in NORM_PAIRS:
        found = operator_norm(operator, *pair)
        (gradient,) = torch.autograd.grad(found, weight(network, 0))
        assert float(found.detach()) == pytest.approx(0.0, abs=1e-100)
        assert bool(torch.isfinite(gradient).all())


def test_end_to_end_is_the_surrogate_networks_product() -> None:
    network = made(dense)
    found = end_to_end(estimates(network, (5,), ("l2", "l2")))
    report = stability(network, torch.rand(2, 5, dtype=torch.float64))
    assert float(found.detach()) == pytest.approx(report.surrogate_product, rel=1e-6)


def test_end_to_end_joins_residual_signals() -> None:
    """The surrogate network's gain in ℓ∞, against a long-hand recursion."""
    network = made(residual)
    layers = estimates(network, (2, 4, 4), ("linf", "linf"))
    assert [layer.sources for layer in layers] == [(-1,), (0,), (0, 1), (2,), (3,)]
    gains = [float(layer.gain.detach()) for layer in layers]
    first, second = gains[0], gains[0] * gains[1]
    expected = max(first, second) * gains[2] * gains[3] * gains[4]
    assert float(end_to_end(layers, "linf").detach()) == pytest.approx(expected)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("scaled", [False, True])
def test_the_least_margin_of_the_first_layer_is_the_pattern_radius(norm: str, reset: str, scaled: bool) -> None:
    torch.manual_seed(1)
    neuron = DLIF(6, 0.8, 0.4, reset) if scaled else LIF(0.8, 0.4, reset)
    network = mlp((5, 9, 3), 6, neuron).double()
    if scaled:
        network.layers[1].input_scale.data = torch.tensor([1.0, -0.5, 0.0, 2.0, 0.7, 0.3]).double()
    inputs = torch.rand(8, 5, dtype=torch.float64)
    (margins,) = layer_margins(network, live(network, (5,)), network.trace(inputs), norm)
    torch.testing.assert_close(margins.detach().amin((0, 2)), pattern_radius(network, inputs, norm))


@examples(40)
@given(
    norm=st.sampled_from(["l2", "linf"]),
    reset=st.sampled_from(["zero", "subtract", "none"]),
    encoding=st.sampled_from(["direct", "none"]),
    seed=st.integers(0, 2**31),
)
def test_a_smaller_perturbation_crosses_no_threshold(norm: str, reset: str, encoding: str, seed: int) -> None:
    """Soundness of the first layer's margins, under inputs that are constant and ones that vary over time."""
    generator = torch.Generator().manual_seed(seed)
    network = mlp((4, 6, 2), 5, LIF(0.8, 0.4, reset)).double()
    network.encoding = encoding
    with torch.no_grad():
        weight(network, 0).copy_(torch.randn(6, 4, generator=generator))
    inputs = torch.rand((8, 5, 4) if network.timed else (8, 4), dtype=torch.float64, generator=generator)
    trace = network.trace(inputs)
    (margins,) = layer_margins(network, live(network, (4,)), trace, norm)
    least = margins.detach().amin((0, 2))
    moved = torch.randn(inputs.shape, dtype=torch.float64, generator=generator).flatten(1)
    unit = moved.sign() if norm == "linf" else moved / moved.norm(dim=1, keepdim=True)
    shift = (least[:, None] * 0.999 * unit).view_as(inputs)
    assert torch.equal(network.trace(inputs + shift).spikes[0], trace.spikes[0])


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_deeper_margins_divide_by_the_chain(norm: str) -> None:
    """The second layer's reach, long-hand: its row norm, its gain since the last reset, the first layer's gain."""
    network = made(dense)
    inputs = torch.rand(3, 5, dtype=torch.float64)
    trace, first, second = network.trace(inputs), weight(network, 0), weight(network, 2)
    _, margins = layer_margins(network, live(network, (5,)), trace, norm)
    order = 2 if norm == "l2" else torch.inf
    a, decay, slope = torch.tensor([1.4, -0.3, 0.8, 1.1], dtype=torch.float64), 0.8, 0.5
    sums = [torch.stack([a[k] * decay ** (t - k) for k in range(t + 1)]).sum() for t in range(STEPS)]
    response = torch.stack(sums)
    size = slope * response.norm(p=order) * torch.linalg.matrix_norm(first, order)
    rows = second.norm(p=2 if norm == "l2" else 1, dim=1)
    spikes = trace.spikes[1]
    for sample in range(3):
        for j in range(4):
            since = 0
            for t in range(STEPS):
                past = torch.stack([(decay ** (t - k) * a[k]).abs() for k in range(since, t + 1)])
                held = past.norm(p=2 if norm == "l2" else 1)
                distance = (trace.potentials[1][t, sample, j] - 0.3).abs()
                expected = distance / (held * rows[j] * size)
                assert float(margins[t, sample, j].detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
                since = t + 1 if spikes[t, sample, j] else since


def test_an_unknown_pair_of_norms_is_named() -> None:
    with pytest.raises(ValueError, match=r"input_norm, output_norm: got linf→l2, expected one of l2→l2"):
        operator_norm(live(made(dense), (5,))[0], "linf", "l2")
