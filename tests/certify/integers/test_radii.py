"""Radii and equivalence of networks of whole numbers, against all their inputs."""

import itertools

import pytest
import torch
from torch import nn

from spikecert import (
    L2,
    LIF,
    LInf,
    SpikeFlip,
    SpikingNetwork,
    StuckNeurons,
    Synapse,
    Tolerance,
    certified_radius,
    dataset,
    equivalent,
    fit,
    output,
    output_range,
    quantize,
    verify,
)
from spikecert.certify.explaining import explain
from spikecert.certify.perturbations import takes_whole
from spikecert.certify.problem import FlipScale, WholeScale, scale, whole_scale
from support.examples import THOROUGH, by_night

TARGETS = ("loihi", "xylo", "q4.4", "spinnaker")
MOST = 15


def build(target: str, seed: int, bits: int = 8) -> SpikingNetwork:
    """Return a chip's build of a small network."""
    torch.manual_seed(seed)
    if target == "xylo":
        first = nn.Linear(2, 6, bias=False), Synapse(0.5), LIF(0.75, 0.3, reset="subtract")
        layers = *first, nn.Linear(6, 3, bias=False), Synapse(0.5), LIF(0.75, 0.3, reset="subtract")
    else:
        layers = nn.Linear(2, 6), LIF(0.75, 0.3), nn.Linear(6, 3)
    network = SpikingNetwork(*layers, num_steps=4)
    with torch.no_grad():
        next(network.parameters()).mul_(2.0)
    return quantize(network, target, bits=bits)


def everything(network: SpikingNetwork) -> torch.Tensor:
    """Return all inputs up to 15, (256, 2)."""
    layer = takes_whole(network)
    assert layer is not None
    ends = range(max(0, layer.least), min(MOST, layer.most) + 1)
    return torch.tensor(list(itertools.product(ends, ends)), dtype=torch.float64)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("seed", [0, *by_night(1, 2)])
def test_radii_are_those_of_a_list_of_all_inputs(target: str, seed: int):
    network = build(target, seed)
    points = everything(network)
    classes = network(points).argmax(1)
    x, y = points[[17, 85, 136, 200]], classes[[17, 85, 136, 200]]
    found = certified_radius(network, x, y, WholeScale(0.0, float(points.max())), "enumeration", timeout=10.0)
    for one, sample, label in zip(found, x, y, strict=True):
        apart = (points - sample).abs().amax(1)[classes != label]
        true = float(apart.min()) if len(apart) else float("inf")
        assert one.lower < true
        assert one.upper >= min(true, points.max())
        if one.counterexample is not None:
            assert network(one.counterexample[None]).argmax(1) != label
            assert float((one.counterexample - sample).abs().max()) <= one.upper


@pytest.mark.parametrize("target", TARGETS)
def test_builds_of_two_widths_are_compared_on_all_inputs(target: str):
    asked = {"equivalent": 0, "different": 0, "unknown": 0}
    for seed in range(4 if THOROUGH else 2):
        a, b = build(target, seed), build(target, seed, bits=4)
        points = everything(a)
        differ = a(points).argmax(1) != b(points).argmax(1)
        x = points[::37]
        for radius in (0.0, 1.0):
            threat = LInf(radius, 0.0, float(points.max()))
            for one, sample in zip(equivalent(a, b, x, threat), x, strict=True):
                near = (points - sample).abs().amax(1) <= radius
                asked[one.status] += 1
                assert not (one.status == "equivalent" and bool(differ[near].any()))
                assert not (one.status == "different" and not bool(differ[near].any()))
                if one.counterexample is not None:
                    assert bool((one.counterexample == one.counterexample.round()).all())
    assert asked["equivalent"] > (10 if THOROUGH else 5)


def test_what_is_not_about_whole_numbers_is_refused():
    network, other = build("loihi", 0), build("xylo", 0)
    taken = takes_whole(network)
    assert taken is not None
    x, y = torch.tensor([[3.0, 4.0]], dtype=torch.float64), torch.tensor([0])
    for asked, told in (
        (
            lambda: whole_scale(scale("l2", 0.0, 1.0), taken),
            'norm: got sets of real inputs, expected "linf"',
        ),
        (lambda: certified_radius(network, x, y, "l2"), 'norm: got sets of real inputs, expected "linf"'),
        (lambda: verify(network, x, y, L2(0.1)), "perturbation: got L2"),
        (lambda: verify(network, x, y, Tolerance(0.01)), "network: got one of whole numbers for Tolerance"),
        (lambda: verify(network, x, y, StuckNeurons(1)), "network: got one of whole numbers for StuckNeurons"),
        (lambda: output_range(network, x, SpikeFlip(1), output[0]), "perturbation: got SpikeFlip, expected LInf"),
        (lambda: fit(network, dataset("digits")), "network: got one of whole numbers, which has no gradients"),
        (
            lambda: explain(network, x[0], 0, scale("linf", 0.0, 15.0), 1.0),
            "network: got one of whole numbers, exp",
        ),
        (lambda: equivalent(network, other, x), "b: takes whole numbers from 0 to 15, expected a's whole"),
    ):
        with pytest.raises(ValueError, match=f"^{told}"):
            asked()
    spread = verify(network, x, y, LInf(1.0, 0.0, 255.0), "trains", workers=1, engine="local")
    assert spread == verify(network, x, y, LInf(1.0), "trains")
    assert isinstance(whole_scale(FlipScale(), taken), FlipScale)
