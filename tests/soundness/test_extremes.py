"""Numbers at the ends of a dtype, and layers that read their inputs in unusual ways: no verifier may be misled."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from spikecert import DLIF, L2, LIF, LInf, SpikingNetwork, verify
from spikecert.certify.bounds.prices.price_search import PriceSearch
from spikecert.certify.bounds.prices.prices import Specifications
from spikecert.certify.bounds.prices.stages import staged
from spikecert.certify.bounds.signals.affine import affine_map
from spikecert.certify.bounds.signals.signals import InputSignal
from spikecert.certify.replay import evaluating, margins
from spikecert.certify.verification import bounds
from spikecert.models.circuit import circuit
from spikecert.models.files.description import describe
from spikecert.models.linear_maps import linear_map
from support.examples import by_night

Padding = Literal["circular", "replicate", "reflect"]
SOUND = ("interval", "trains", "linear", "gain", "complete")


def linear(
    weight: Sequence[Sequence[float]], bias: Sequence[float], dtype: torch.dtype = torch.float32
) -> nn.Linear:
    layer = nn.Linear(len(weight[0]), len(weight), dtype=dtype)
    layer.weight.data = torch.tensor(weight, dtype=dtype)
    layer.bias.data = torch.tensor(bias, dtype=dtype)
    return layer


def random_linear(inputs: int, outputs: int, size: float, generator: torch.Generator) -> nn.Linear:
    weight = torch.randn(outputs, inputs, generator=generator, dtype=torch.float64) * size
    bias = torch.randn(outputs, 1, generator=generator, dtype=torch.float64) * size / 2
    return linear(weight.tolist(), bias.flatten().tolist(), torch.float64)


def assert_sound(network: SpikingNetwork, inputs: Tensor, threat: LInf | L2, verifier: str) -> None:
    """Verified samples survive random inputs."""
    labels = network(inputs).argmax(1)
    verdicts = verify(network, inputs, labels, threat, verifier, timeout=2)
    proven = torch.tensor([verdict.status == "verified" for verdict in verdicts])
    generator = torch.Generator().manual_seed(1)
    for _ in range(300):
        found = margins(network(threat.sample(inputs, generator)).detach(), labels)
        assert not bool((proven & (found <= 0)).any())


@pytest.mark.parametrize("verifier", SOUND)
@pytest.mark.parametrize(("size", "seed"), [(1e301, 7), *by_night((1e304, 3))])
def test_sums_that_pass_float64_in_a_bound_prove_nothing(size: float, seed: int, verifier: str) -> None:
    # λ^−(T−1) times such a current is infinite: 0·∞ is NaN, and a NaN must not close a node of the search
    generator = torch.Generator().manual_seed(seed)
    layers = (
        random_linear(2, 5, 1.0, generator),
        LIF(0.9, 0.6),
        random_linear(5, 5, size, generator),
        LIF(0.0101, 0.6 * size),
        random_linear(5, 3, 1.0, generator),
    )
    network = SpikingNetwork(*layers, num_steps=4).eval()
    inputs = torch.rand(6, 2, generator=generator.manual_seed(seed), dtype=torch.float64)
    for epsilon in (0.05, 0.1, 0.2):
        assert_sound(network, inputs, LInf(epsilon), verifier)


def test_prices_beyond_float32_prove_nothing() -> None:
    # the search stores prices in float32, where those of such logits would be infinite
    last, unit = DLIF(6, 0.5, 0.5), 2.462625387274655e114
    last.input_scale.data = torch.tensor(
        [
            -2.7468411922454834,
            0.4540770351886749,
            -0.49720510840415955,
            0.39413076639175415,
            -0.2511316239833832,
            -0.4911912977695465,
        ],
        dtype=torch.float64,
    )
    layers = (
        linear([[-1.0, 2.25]], [0.5], torch.float64),
        LIF(0.0, 0.5),
        linear([[-1.0], [0.75], [-1.0]], [0.25, -0.25, 0.5], torch.float64),
        last,
        linear(
            [[-2.0 * unit, -3.0 * unit, -5.0 * unit], [0.0, 3.0 * unit, 0.0], [-8.0 * unit, unit, -5.0 * unit]],
            [0.0, unit, 2.0 * unit],
            torch.float64,
        ),
    )
    network = SpikingNetwork(*layers, num_steps=6).eval()
    inputs = torch.tensor([[0.9574, 0.2443], [0.7057, 0.6469], [0.4702, 0.134]], dtype=torch.float64)
    assert_sound(network, inputs, LInf(0.25), "complete")


def test_a_bound_that_overflows_is_minus_infinity() -> None:
    layers = (linear([[1.0]], [0.0], torch.float64), LIF(0.9, 0.3), linear([[1e304]], [1e303], torch.float64))
    tail = (LIF(0.0101, 1e304), linear([[1.0], [-1.0]], [0.0, 0.1], torch.float64))
    network = SpikingNetwork(*layers, *tail, num_steps=4).eval()
    stages = staged(circuit(network), LInf(0.3).enclosure(torch.tensor([[0.4]], dtype=torch.float64)))
    assert stages is not None
    asked = Specifications(torch.tensor([0]), torch.tensor([[1.0, -1.0]], dtype=torch.float64))
    assert PriceSearch(2).run(stages, asked).bound.tolist() == [-torch.inf]


@pytest.mark.parametrize("verifier", SOUND)
@pytest.mark.parametrize("size", [1e-165, 1e-300])
def test_lengths_whose_squares_vanish(size: float, verifier: str) -> None:
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        layers = (random_linear(2, 5, size, generator), LIF(0.9, 0.6 * size), random_linear(5, 3, 1.0, generator))
        network = SpikingNetwork(*layers, num_steps=3).eval()
        assert_sound(network, torch.rand(8, 2, generator=generator, dtype=torch.float64), L2(0.3), verifier)


@pytest.mark.parametrize("size", [1e-165, 1e-300])
def test_costs_whose_squares_vanish_still_fall_over_a_ball(size: float) -> None:
    sample, costs = torch.full((1, 2), 0.5, dtype=torch.float64), torch.tensor([[[3.0, -4.0]]]).double() * size
    source = InputSignal(L2(0.1).enclosure(sample), 1)
    value, _ = source.least(costs, torch.tensor([0]))
    assert float(value) <= (-0.5 - 5 * 0.1) * size * (1 - 1e-9)
    steps = source.combine(torch.full((1, 1), size, dtype=torch.float64))
    assert steps.ball is not None
    assert float(steps.ball) >= 0.1 * size


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("mode", ["circular", "replicate", "reflect"])
def test_a_pixel_that_padding_repeats_counts_with_all_its_weights(mode: Padding, size: int) -> None:
    layer = nn.Conv2d(1, 2, (1, 3), padding=(0, 1), padding_mode=mode, bias=False, dtype=torch.float64)
    nn.init.constant_(layer.weight, 1.0)
    network = SpikingNetwork(layer, nn.Flatten(), num_steps=1)
    sample, ball = torch.full((1, 1, 1, size), 0.5, dtype=torch.float64), L2(0.1)
    upper = bounds(network, sample, ball).upper[0]
    for place in range(len(upper)):
        moved = sample.clone().requires_grad_()
        (slope,) = torch.autograd.grad(network(moved)[0, place], moved)
        furthest = sample + slope / slope.norm() * 0.1 * (1 - 1e-12)
        assert bool(ball.contains(furthest, sample))
        assert float(network(furthest)[0, place].detach()) <= float(upper[place])


def test_the_norms_of_a_padded_convolution_are_exact_inside() -> None:
    layer = nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate", bias=False, dtype=torch.float64)
    squares = affine_map(linear_map(layer)).squared(torch.ones(1, 1, 4, 4, dtype=torch.float64))
    assert float(squares[0, 0, 1, 1]) == pytest.approx(float(layer.weight.square().sum().detach()))


def overflowing_potential() -> SpikingNetwork:
    last = DLIF(2, 1e-20, reset="none")
    last.input_scale.data = torch.tensor([1e30, 1.0])
    layers = (linear([[1.0]], [0.0]), LIF(0.5, 0.3), linear([[1e9], [1e10]], [1e9, 1e10]), last)
    return SpikingNetwork(*layers, num_steps=2, readout="potential").eval()


def overflowing_mean() -> SpikingNetwork:
    layers = (linear([[1.0]], [0.0]), LIF(0.5, 0.3), linear([[1e37], [2e37]], [1e37, 1.5e37]), nn.BatchNorm1d(2))
    return SpikingNetwork(*layers, num_steps=64).eval()


@pytest.mark.parametrize("verifier", [*SOUND, "milp", "lirpa"])
@pytest.mark.parametrize("make", [overflowing_potential, overflowing_mean])
def test_a_readout_that_overflows_on_its_way_is_unknown(make: Callable[[], SpikingNetwork], verifier: str) -> None:
    network, sample = make(), torch.tensor([[0.5]])
    assert network(sample).isinf().all()
    (verdict,) = verify(network, sample, torch.tensor([1]), LInf(0.1), verifier)
    assert verdict.status == "unknown"


def potential_that_spikes_overflow() -> SpikingNetwork:
    last = DLIF(2, 1e-20, reset="none")
    last.input_scale.data = torch.tensor([1e30, 1.0])
    layers = (linear([[1.0]], [0.0]), LIF(0.5, 0.3), linear([[1e9], [1e10]], [0.0, 1e8]), last)
    return SpikingNetwork(*layers, num_steps=2, readout="potential").eval()


def mean_that_spikes_overflow() -> SpikingNetwork:
    layers = (linear([[1.0]], [0.0]), LIF(0.5, 0.3), linear([[1e37], [2e37]], [0.0, 1e36]))
    return SpikingNetwork(*layers, nn.BatchNorm1d(2), num_steps=64).eval()


@pytest.mark.parametrize("verifier", [*SOUND, "milp", "lirpa"])
@pytest.mark.parametrize("make", [potential_that_spikes_overflow, mean_that_spikes_overflow])
def test_a_readout_that_overflows_within_the_set_is_not_verified(
    make: Callable[[], SpikingNetwork], verifier: str
) -> None:
    network, sample = make(), torch.tensor([[0.1]])  # silent; from .3 on a spike a step, and no finite logit
    assert network(sample).isfinite().all()
    assert int(network(sample).argmax(1)) == 1
    assert network(torch.tensor([[0.3]])).isinf().any()
    (verdict,) = verify(network, sample, torch.tensor([1]), LInf(0.25), verifier)
    assert verdict.status != "verified"


@pytest.fixture
def flushing() -> Iterator[None]:
    if not torch.set_flush_denormal(True):
        pytest.fail("this processor can't flush subnormals: nothing to test against")
    torch.set_flush_denormal(False)
    yield
    torch.set_flush_denormal(False)


@pytest.mark.usefixtures("flushing")
@pytest.mark.parametrize(("weight", "value"), [(1e-38, 1e37), (1e37, 1e-38)])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("verifier", [*SOUND, "milp"])
def test_products_may_take_subnormal_factors_for_0(verifier: str, batch: int, weight: float, value: float) -> None:
    layers = (linear([[weight]], [0.0]), LIF(0.5, 0.05), linear([[0.0], [1.0]], [0.1, 0.0]))
    network, sample = SpikingNetwork(*layers, num_steps=2).eval(), torch.full((batch, 1), value)
    assert (network(sample)[:, 1] > 0.1).all()
    verdicts = verify(network, sample, torch.ones(batch, dtype=torch.long), LInf(0.0, upper=1e37), verifier)
    assert {verdict.status for verdict in verdicts} == {"unknown"}
    torch.set_flush_denormal(True)
    assert (network(sample)[:, 1] == 0).all()


@pytest.mark.usefixtures("flushing")
def test_a_process_that_flushes_subnormals_is_refused() -> None:
    network = SpikingNetwork(nn.Linear(2, 3), LIF(), nn.Linear(3, 2), num_steps=2)
    torch.set_flush_denormal(True)
    with pytest.raises(ValueError, match="set_flush_denormal"):
        verify(network, torch.rand(1, 2), torch.tensor([0]), LInf(0.1))


def test_what_replaces_a_part_of_the_run_is_refused() -> None:
    class Other(SpikingNetwork):
        def encode(self, inputs: Tensor, generator: torch.Generator | None = None) -> Tensor:
            return super().encode(inputs, generator) * 2

    layers, sample = (nn.Linear(2, 3), LIF(), nn.Linear(3, 2)), torch.rand(1, 2)
    inside = SpikingNetwork(*layers, num_steps=2)
    inside.layers[0].__call__ = lambda x: x
    for network in (Other(*layers, num_steps=2), inside):
        with pytest.raises((TypeError, ValueError), match=r"otherwise|another forward"):
            verify(network, sample, torch.tensor([0]), LInf(0.1))


def test_a_batch_norm_of_sequences_is_refused() -> None:
    # its channels are not the last axis, where the bounds of (batch, channels) look for them
    norm = nn.BatchNorm1d(3)
    assert norm.running_var is not None
    norm.running_var.copy_(torch.tensor([0.01, 1.0, 100.0]))
    network = SpikingNetwork(norm, nn.Flatten(), nn.Linear(9, 3), num_steps=2).eval()
    sample = torch.rand(1, 3, 3)
    for verifier in SOUND:
        with pytest.raises(ValueError, match="BatchNorm1d"):
            verify(network, sample, network(sample).argmax(1), LInf(0.1), verifier)


def test_a_divisor_that_files_do_not_keep_is_refused() -> None:
    network = SpikingNetwork(nn.AvgPool2d(2, divisor_override=-1), nn.Flatten(), nn.Linear(1, 2), num_steps=1)
    with pytest.raises(ValueError, match="divisor_override"):
        describe(network)


def test_a_frozen_layer_keeps_its_mode() -> None:
    norm = nn.BatchNorm1d(3)
    network = SpikingNetwork(nn.Linear(2, 3), norm, LIF(), nn.Linear(3, 2), num_steps=2).train()
    norm.eval()
    with evaluating(network):
        assert not network.training
    assert network.training
    assert not norm.training


def test_a_hook_on_all_modules_is_refused() -> None:
    network, sample = SpikingNetwork(nn.Linear(2, 3), LIF(), nn.Linear(3, 2), num_steps=2), torch.rand(1, 2)
    handle = nn.modules.module.register_module_forward_hook(lambda module, inputs, output: None)
    try:
        with pytest.raises(ValueError, match="hook"):
            verify(network, sample, torch.tensor([0]), LInf(0.1))
    finally:
        handle.remove()
