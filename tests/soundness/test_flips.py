"""Flipped events against all inputs within the budget, listed: no false proof, and sums that are exact."""

from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert.certify import SpikeFlip, verify
from spikecert.certify.bounds.prices.price_search import PriceSearch
from spikecert.certify.bounds.propagation import input_signal
from spikecert.certify.bounds.signals.signals import AffineSignal, Signal
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.rounding import Rounding
from spikecert.certify.verifiers import INTERVAL, TRAINS, Gain, Linear, Lirpa, MarginVerifier
from spikecert.models import LIF, SpikingNetwork, mlp
from spikecert.models.circuit import circuit
from spikecert.testing import EventCase, event_cases
from support.examples import examples
from support.oracles import every_flip, least_margin
from support.signals import affine_signal

LINEAR = Linear(PriceSearch(iterations=10))
BOUNDS = [INTERVAL, TRAINS, LINEAR, Gain()]
STEPS = 3
LAYERS = {
    "dense": (nn.Linear(4, 3), (4,)),
    "conv": (nn.Conv2d(1, 2, 2, padding=1), (1, 2, 2)),
    "conv, strided, in groups": (nn.Conv2d(2, 4, 2, stride=2, padding=1, groups=2), (2, 2, 1)),
    "conv, dilated, padded to the same size": (nn.Conv2d(1, 1, 2, dilation=2, padding="same"), (1, 2, 2)),
    "pool": (nn.AvgPool2d(2, stride=1, padding=1), (1, 2, 2)),
    "batch norm": (nn.BatchNorm2d(2), (2, 2, 1)),
    "transposed": (nn.ConvTranspose2d(2, 2, 2, (2, 1), (1, 0), (1, 0), 2), (2, 2, 1)),
    "upsampling": (nn.Upsample(scale_factor=2), (1, 2, 2)),
}


@dataclass(frozen=True)
class RootBall(SpikeFlip):
    """The same flips, known to bounds only as a ball of radius √count."""

    def enclosure(self, inputs: Tensor) -> Box:
        return replace(super().enclosure(inputs), budget=None)


def check_margins(case: EventCase, verifier: MarginVerifier) -> None:
    lower = verifier.margins(case.network, case.events, case.labels, SpikeFlip(case.count))
    for network in (case.network, case.network.double()):
        for events, label, bound in zip(case.events, case.labels.tolist(), lower.tolist(), strict=True):
            assert bound <= least_margin(network, every_flip(events, case.count), label)


@pytest.mark.parametrize("verifier", BOUNDS, ids=lambda v: v.name)
@examples(150)
@given(case=event_cases())
def test_no_flip_escapes(verifier: MarginVerifier, case: EventCase):
    check_margins(case, verifier)


@examples(25)
@given(case=event_cases(dtypes=(torch.float64,)))
def test_no_flip_escapes_auto_lirpa(case: EventCase):
    check_margins(case, Lirpa())


@examples(60)
@given(case=event_cases())
def test_the_budget_is_never_looser_than_the_ball(case: EventCase):
    for verifier in (INTERVAL, TRAINS):
        budget, ball = (
            verifier.margins(case.network, case.events, case.labels, threat)
            for threat in (SpikeFlip(case.count), RootBall(case.count))
        )
        assert bool((budget >= ball - 1e-9 * (1 + ball.abs())).all())


@examples(40)
@given(case=event_cases())
def test_auto_never_contradicts_the_list(case: EventCase):
    verdicts = verify(case.network, case.events, case.labels, SpikeFlip(case.count))
    for events, label, verdict in zip(case.events, case.labels.tolist(), verdicts, strict=True):
        exact = least_margin(case.network, every_flip(events, case.count), label)
        assert verdict.status != "verified" or exact > 0
        assert verdict.status != "falsified" or exact <= 0


def test_the_budget_proves_what_the_ball_can_not():
    torch.manual_seed(3)
    network = mlp((40, 16, 3), num_steps=4, neuron=LIF(0.8, threshold=0.6), encoding="none").eval()
    events = (torch.rand(40, 4, 40) > 0.8).float()
    with torch.no_grad():
        labels = network(events).argmax(1)
    for name in ("interval", "trains", "linear"):
        budget, ball = (
            {k for k, v in enumerate(verify(network, events, labels, threat, name)) if v.status == "verified"}
            for threat in (SpikeFlip(1), RootBall(1))
        )
        assert ball < budget, name
        for sample in budget:
            assert least_margin(network, every_flip(events[sample], 1), int(labels[sample])) > 0


def first_signal(layer: nn.Module, shape: tuple[int, ...], count: int, seed: int) -> tuple[AffineSignal, Tensor]:
    """Return a layer's signal over flips of random events (2, T, *shape), and the events."""
    network = SpikingNetwork(nn.Linear(1, 1), num_steps=STEPS, encoding="none")
    events = (torch.rand(2, STEPS, *shape, generator=torch.Generator().manual_seed(seed)) > 0.5).double()
    source = input_signal(circuit(network), SpikeFlip(count).enclosure(events))
    return affine_signal(source, layer, Rounding(torch.float64)), events


def prepared(name: str, seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    layer, shape = LAYERS[name]
    generator = torch.Generator().manual_seed(seed)
    for tensor in layer.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(
                torch.rand(tensor.shape, generator=generator)
                + (0.1 if isinstance(layer, nn.BatchNorm2d) else -0.5)
            )
    return layer.double().eval(), shape


@pytest.mark.parametrize("flat", [False, True], ids=["", "behind flatten"])
@pytest.mark.parametrize("name", LAYERS)
@examples(60)
@given(count=st.integers(1, 4), seed=st.integers(0, 2**31))
def test_the_first_layer_is_exact(name: str, flat: bool, count: int, seed: int):
    """Windows of steps with weights of both signs and 0, and each step by itself."""
    layer, shape = prepared(name, seed)
    signal, events = first_signal(layer, shape, count, seed)
    if flat and name == "dense":
        renamed = affine_signal(first_signal(layer, (2, 2), count, seed)[0].source, nn.Flatten(), signal.rounding)
        signal = affine_signal(renamed, layer, signal.rounding)
    rows = torch.tensor([[1.0, -0.5, 0.25], [0.0, 1.0, 0.9], [-1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]).double()
    for sample in range(2):
        moved = every_flip(events[sample], count)
        with torch.no_grad():
            values = layer(moved.flatten(0, 1)).unflatten(0, moved.shape[:2])
        check_exact(signal, sample, rows, torch.einsum("kt,nt...->kn...", rows, values))
        assert torch.allclose(signal.steps().lower[:, sample], values.amin(0), rtol=0, atol=1e-11)
        assert torch.allclose(signal.steps().upper[:, sample], values.amax(0), rtol=0, atol=1e-11)


def check_exact(signal: Signal, sample: int, rows: Tensor, values: Tensor) -> None:
    """Compare `combine` with all values, (rows, inputs, ...): outside of them, by rounding only."""
    box = signal.combine(rows)
    low, high = values.amin(1), values.amax(1)
    assert bool((box.lower[:, sample] <= low).all())
    assert bool((box.upper[:, sample] >= high).all())
    assert torch.allclose(box.lower[:, sample], low, rtol=0, atol=1e-11)
    assert torch.allclose(box.upper[:, sample], high, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(1, 2, 2, padding=1, padding_mode="circular"),
        nn.AvgPool2d(2, padding=1, count_include_pad=False),
        nn.AvgPool2d(2, ceil_mode=True),
    ],
    ids=["circular", "uncounted padding", "ceil"],
)
def test_layers_without_products_fall_back_to_the_ball(layer: nn.Module):
    signal, events = first_signal(layer.double(), (1, 2, 3), 2, 0)
    rows = torch.tensor([[1.0, -0.5, 0.25]]).double()
    box = signal.combine(rows)
    for sample in range(2):
        moved = every_flip(events[sample], 2)
        with torch.no_grad():
            values = torch.einsum(
                "t,nt...->n...", rows[0], layer(moved.flatten(0, 1)).unflatten(0, moved.shape[:2])
            )
        assert bool((box.lower[0, sample] <= values.amin(0)).all())
        assert bool((box.upper[0, sample] >= values.amax(0)).all())


@examples(60)
@given(count=st.integers(1, 4), constant=st.booleans(), seed=st.integers(0, 2**31))
def test_the_least_cost_over_flips_is_exact_and_attained(count: int, constant: bool, seed: int):
    generator = torch.Generator().manual_seed(seed)
    network = SpikingNetwork(nn.Linear(1, 1), num_steps=STEPS, encoding="direct" if constant else "none")
    events = (torch.rand((2, 3) if constant else (2, STEPS, 3), generator=generator) > 0.5).double()
    source = input_signal(circuit(network), SpikeFlip(count).enclosure(events))
    samples = torch.tensor([1, 0, 1])
    costs = torch.randn(STEPS, 3, 3, generator=generator, dtype=torch.float64)
    value, inputs = source.least(costs, samples)
    signal = inputs.expand(STEPS, -1, -1)
    assert torch.allclose(value, (costs * signal).sum((0, 2)))
    for row, sample in enumerate(samples.tolist()):
        moved = every_flip(events[sample], count)
        moved = moved.unsqueeze(1).expand(-1, STEPS, -1) if constant else moved
        assert float(value[row]) == pytest.approx(float((costs[:, row] * moved).sum((1, 2)).min()))
        assert bool((moved == signal[:, row]).flatten(1).all(1).any())
