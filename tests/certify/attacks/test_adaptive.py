"""A surrogate that follows the potentials attacks a network alike in every unit of its potentials."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from spikecert.certify import APGD, PGD, Attack, LInf, attack
from spikecert.certify.attacks import AdaptiveArctan
from spikecert.certify.attacks.backward import attack_view
from spikecert.certify.attacks.gradients import differentiate
from spikecert.certify.attacks.losses import LOSSES
from spikecert.models import SpikingNetwork
from support.eager import KERNELS, by

from .conftest import Subject, silent_subject


def in_another_unit(network: SpikingNetwork, unit: float) -> SpikingNetwork:
    """Return the same function: thresholds and the currents of neurons times a power of two."""
    found = copy.deepcopy(network)
    for neuron in found.neurons:
        neuron.dynamics = replace(neuron.dynamics, threshold=unit * neuron.dynamics.threshold)
    for layer in list(found.layers)[:-1]:
        if isinstance(layer, nn.Linear):
            layer.weight.data *= unit
            layer.bias.data *= unit
    return found


@pytest.mark.parametrize("unit", [2.0**-6, 2.0**6, 2.0**20])
@pytest.mark.parametrize("method", [PGD(5, 1, surrogate=AdaptiveArctan()), APGD(8, surrogate=AdaptiveArctan())])
def test_the_unit_of_potentials_changes_nothing(digits: Subject, method: Attack, unit: float):
    there = in_another_unit(digits.network, unit)
    asked = digits.inputs, digits.labels, LInf(0.1), method
    here, other = attack(digits.network, *asked), attack(there, *asked)
    assert torch.equal(here.inputs, other.inputs)
    assert 5 < int(here.success.sum()) < 55


def test_what_a_fixed_width_misses_in_another_unit_it_finds(digits: Subject):
    there = in_another_unit(digits.network, 2.0**6)
    asked = there, digits.inputs, digits.labels, LInf(0.1)
    fixed, adaptive = (attack(*asked, PGD(20, 1, surrogate=s)).success for s in (None, AdaptiveArctan()))
    assert int(adaptive.sum()) >= int(fixed.sum()) + 10
    assert int(attack(*asked, "ensemble-fast").success.sum()) >= int(adaptive.sum())


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_sample_has_its_own_slope(digits: Subject, kernel: str):
    """What else is in the batch changes no more of it than the order of sums does."""
    view = attack_view(digits.network, AdaptiveArctan())
    loss = LOSSES["margin"]
    with by(kernel):
        whole = differentiate(view, digits.inputs, digits.labels, loss).gradient
        pairs = zip(digits.inputs, digits.labels, strict=True)
        alone = [differentiate(view, x[None], y[None], loss).gradient for x, y in pairs]
    assert torch.allclose(whole, torch.cat(alone), rtol=1e-4, atol=1e-6 * float(whole.abs().max()))
    assert bool((whole != 0).flatten(1).any(1).all())


def test_the_slope_is_that_of_an_arctan_of_the_mean_distance():
    distance = torch.tensor([[0.5, -1.5], [0.0, 0.0]])
    slope = AdaptiveArctan(2.0).derivative(distance)
    expected = [1 / (2 * (1 + (math.pi * x / 2) ** 2)) for x in (0.5, -1.5)]
    assert slope[0].tolist() == pytest.approx(expected)
    assert bool(slope.isfinite().all())
    assert distance.tolist() == [[0.5, -1.5], [0.0, 0.0]]
    with pytest.raises(ValueError, match="width: got 0"):
        AdaptiveArctan(0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_potentials_that_are_not_finite_have_no_slope(dtype: torch.dtype):
    """A neuron with a bias of −3e38 falls below all numbers of float32 in two steps."""
    distance = torch.tensor([[-math.inf, 1.0], [math.nan, 1.0], [1e38, -3e38], [0.0, 1e-40]], dtype=dtype)
    slope = AdaptiveArctan().derivative(distance)
    assert bool((slope.isfinite() & (slope >= 0)).all())
    assert slope[0].tolist() == [0.0, 0.0]


def test_silent_neurons_have_a_slope():
    subject = silent_subject()
    found = attack(subject.network, subject.inputs, subject.labels, LInf(0.1), PGD(3, surrogate=AdaptiveArctan()))
    assert bool((found.inputs - subject.inputs).abs().max() <= 0.1 + 1e-6)
    assert not bool(found.success.any())
