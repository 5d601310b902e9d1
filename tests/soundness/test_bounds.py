"""No allowed input escapes a bound and no verified sample falls: by sampling, and by an exact oracle.

Bounds, gains and attacks know the normalisation in front of a network.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spikecert import attack, gain, vgg5
from spikecert.analysis.patterns import pattern_radius
from spikecert.certify import L2, LInf, verify
from spikecert.certify.bounds.prices.narrowing import Narrowing
from spikecert.certify.bounds.prices.price_search import PriceSearch
from spikecert.certify.replay import fails, margins
from spikecert.certify.verification import bounds
from spikecert.certify.verifiers import INTERVAL, TRAINS, Gain, Linear, MarginVerifier
from spikecert.models import LIF, Normalize, SpikingNetwork
from spikecert.testing import Case, cases, points
from support.examples import examples
from support.oracles import line_margin

LINEAR = Linear(PriceSearch(iterations=10), Narrowing(reach=1e9, rounds=2))
BOUNDS = [INTERVAL, TRAINS, LINEAR, Gain()]
EXAMPLES = examples(200)


def check_margins(case: Case, verifier: MarginVerifier, perturbation: LInf | L2, candidates: torch.Tensor) -> None:
    """Run every candidate in the network's own dtype and in float64; none may lie below the bound."""
    lower = verifier.margins(case.network, case.inputs, case.labels, perturbation)
    proven = bounds(case.network, case.inputs, perturbation, verifier)
    for network in (case.network, case.network.double()):
        with torch.no_grad():
            for candidate in candidates:
                logits = network(candidate.to(network.dtype)).double()
                assert bool((margins(logits, case.labels) >= lower).all())
                assert bool((logits >= proven.lower).all())
                assert bool((logits <= proven.upper).all())


@pytest.mark.parametrize("verifier", BOUNDS, ids=lambda v: v.name)
@EXAMPLES
@given(case=cases(), seed=st.integers(0, 2**31))
def test_no_input_of_the_box_escapes(verifier: MarginVerifier, case: Case, seed: int):
    candidates = points(case, 24, torch.Generator().manual_seed(seed))
    check_margins(case, verifier, LInf(case.epsilon), candidates)


@pytest.mark.parametrize("verifier", BOUNDS, ids=lambda v: v.name)
@EXAMPLES
@given(case=cases(), seed=st.integers(0, 2**31))
def test_no_input_of_the_ball_escapes(verifier: MarginVerifier, case: Case, seed: int):
    generator = torch.Generator().manual_seed(seed)
    ball = L2(case.epsilon)
    candidates = torch.stack([ball.sample(case.inputs, generator) for _ in range(24)])
    check_margins(case, verifier, ball, candidates)


@EXAMPLES
@given(case=cases())
def test_each_bound_is_never_looser_than_the_one_before(case: Case):
    threat = LInf(case.epsilon)
    interval = INTERVAL.margins(case.network, case.inputs, case.labels, threat)
    trains = TRAINS.margins(case.network, case.inputs, case.labels, threat)
    linear = LINEAR.margins(case.network, case.inputs, case.labels, threat)
    assert bool((trains >= interval - 1e-9 * (1 + interval.abs())).all())
    assert bool((linear >= trains).all())


def exact_on_a_line(case: Case, verifier: MarginVerifier) -> tuple[torch.Tensor, list[float]]:
    case.network.encoding = "direct"
    inputs = case.inputs.reshape(len(case.inputs), -1)[:, :1]
    with torch.no_grad():
        labels = case.network(inputs).argmax(1)
    proven = verifier.margins(case.network, inputs, labels, LInf(case.epsilon))
    ends = LInf(case.epsilon).enclosure(inputs)
    exact = [
        line_margin(case.network, *line)
        for line in zip(ends.lower[:, 0].tolist(), ends.upper[:, 0].tolist(), labels.tolist(), strict=True)
    ]
    return proven, exact


@pytest.mark.parametrize("verifier", BOUNDS, ids=lambda v: v.name)
@examples(150)
@given(case=cases(features=1, most_layers=3, most_width=4, most_steps=4, dtypes=(torch.float64,)))
def test_bounds_stay_below_the_exact_margin_on_a_line(verifier: MarginVerifier, case: Case):
    proven, exact = exact_on_a_line(case, verifier)
    assert bool((proven <= torch.tensor(exact, dtype=torch.float64) + 1e-9).all())


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(case=cases(features=1, most_layers=3, most_width=4, most_steps=5, dtypes=(torch.float64,)))
def test_ten_thousand_networks_have_no_false_verdict(case: Case):
    for verifier in BOUNDS:
        proven, exact = exact_on_a_line(case, verifier)
        assert bool((proven <= torch.tensor(exact, dtype=torch.float64) + 1e-9).all())


@examples(60)
@given(case=cases())
def test_auto_never_contradicts_the_network(case: Case):
    threat = LInf(case.epsilon)
    candidates = points(case, 24, torch.Generator().manual_seed(1))
    case.network.requires_grad_(False)
    for index, verdict in enumerate(verify(case.network, case.inputs, case.labels, threat)):
        if verdict.status == "falsified":
            assert verdict.counterexample is not None
            logits = case.network(verdict.counterexample[None])
            assert float(margins(logits, case.labels[index : index + 1])) <= 0
            assert bool(threat.contains(verdict.counterexample[None], case.inputs[index : index + 1]))
        if verdict.status == "verified":
            logits = case.network(candidates[:, index])
            assert not bool(fails(logits, case.labels[index].expand(len(candidates)), verdict.ties).any())


THREAT = LInf(0.01)


def small(dtype: torch.dtype = torch.float32) -> SpikingNetwork:
    torch.manual_seed(0)
    layers = (nn.Conv2d(2, 3, 3), LIF(0.9, 0.5), nn.Flatten(), nn.Linear(27, 3))
    return SpikingNetwork(Normalize((0.4, 0.6), (0.2, 0.5)), *layers, num_steps=4).to(dtype).eval()


def folded(network: SpikingNetwork) -> SpikingNetwork:
    """Return the network with the normalisation in the convolution's weights."""
    first, conv, *rest = network.layers
    assert isinstance(first, Normalize)
    assert isinstance(conv, nn.Conv2d)
    plain = nn.Conv2d(2, 3, 3).to(network.dtype)
    scale = 1 / first.running_var.sqrt()  # type: ignore[union-attr]
    plain.weight.data = conv.weight.data * scale[:, None, None]
    shift = (conv.weight.data * (first.running_mean * scale)[:, None, None]).sum((1, 2, 3))  # type: ignore
    plain.bias.data = conv.bias.data - shift  # type: ignore[union-attr]
    return SpikingNetwork(plain, *rest, num_steps=4).eval()


@pytest.mark.parametrize("verifier", [INTERVAL, TRAINS, Linear()], ids=lambda v: v.name)
def test_no_image_escapes(verifier: MarginVerifier) -> None:
    generator = torch.Generator().manual_seed(0)
    network, inputs = small(), torch.rand(16, 2, 5, 5, generator=generator)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
        lower = verifier.margins(network, inputs, labels, THREAT)
        for _ in range(100):
            assert bool((margins(network(THREAT.sample(inputs, generator)).double(), labels) >= lower).all())
    assert bool((lower > 0).any())


def test_it_bounds_as_its_folded_form_does() -> None:
    network = small(torch.float64)
    inputs = torch.rand(16, 2, 5, 5, dtype=torch.float64)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    same = [TRAINS.margins(each, inputs, labels, THREAT) for each in (network, folded(network))]
    torch.testing.assert_close(*same)
    norms = [
        gain(each, input_shape=(2, 5, 5)).layers[0].operator_norm.upper for each in (network, folded(network))
    ]
    assert norms[0] == pytest.approx(norms[1])
    radii = [pattern_radius(each, inputs) for each in (network, folded(network))]
    torch.testing.assert_close(*radii)


def test_an_attack_stays_in_the_pixels_range_and_verdicts_follow() -> None:
    torch.manual_seed(0)
    network = vgg5((3, 8, 8), 4, 3, LIF(0.9, 0.3), width=1 / 32).eval()
    inputs = torch.rand(4, 3, 8, 8)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    found = attack(network, inputs, labels, LInf(8 / 255))
    assert bool((found.inputs >= 0).all() & (found.inputs <= 1).all())
    assert bool(((found.inputs - inputs).abs() <= 8 / 255 + 1e-7).all())
    assert {verdict.status for verdict in verify(network, inputs, labels, LInf(1e-6), "interval")} <= {
        "verified",
        "unknown",
    }
