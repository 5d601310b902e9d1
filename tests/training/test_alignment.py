"""Where the one-sided gradient of L_MS points, and the size of currents, against closed forms."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from spikecert.models import LIF, SpikingNetwork
from spikecert.training import MSMPPD
from spikecert.training.objectives.alignment import alignment, rms_current
from spikecert.training.perturbations import Perturber


@dataclass(frozen=True)
class Shrink(Perturber):
    """x̃ = factor·x."""

    factor: float

    def perturb(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        return self.factor * inputs


def network(batch_norm: bool = False) -> SpikingNetwork:
    torch.manual_seed(0)
    first: list[nn.Module] = [nn.Linear(3, 5, bias=False), *([nn.BatchNorm1d(5)] if batch_norm else [])]
    return SpikingNetwork(*first, LIF(0.9), nn.Linear(5, 2), num_steps=3).double()


@pytest.mark.parametrize(("factor", "expected"), [(0.5, -1.0), (1.5, 1.0)])
def test_one_layer_of_pixels_has_a_sign_in_closed_form(factor: float, expected: float) -> None:
    """d = (1 − f)·W·x: the true gradient is (1 − f)²·∇, what training follows is −f·(1 − f)·∇."""
    inputs = torch.rand(4, 3, dtype=torch.float64)
    found = alignment(network(), inputs, torch.zeros(4, dtype=torch.long), MSMPPD(perturbation=Shrink(factor)))
    assert found == pytest.approx(expected)


def test_without_a_perturbation_there_is_no_direction() -> None:
    inputs = torch.rand(4, 3, dtype=torch.float64)
    assert alignment(network(), inputs, torch.zeros(4, dtype=torch.long), MSMPPD(perturbation=Shrink(1.0))) is None


def test_the_network_stays_as_it_is() -> None:
    built = network(batch_norm=True).eval()
    before = {name: tensor.clone() for name, tensor in built.state_dict().items()}
    inputs = torch.rand(4, 3, dtype=torch.float64)
    alignment(built, inputs, torch.zeros(4, dtype=torch.long), MSMPPD(perturbation=Shrink(0.5)))
    assert not built.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in built.state_dict().items())
    assert all(parameter.grad is None for parameter in built.parameters())


def test_the_current_is_that_of_the_last_layer_that_fires() -> None:
    torch.manual_seed(0)
    layers = nn.Linear(3, 5), LIF(0.9), nn.Linear(5, 4), LIF(0.9), nn.Linear(4, 2), LIF(0.5, reset="none")
    built = SpikingNetwork(*layers, num_steps=3, readout="potential").double()
    inputs = torch.rand(4, 3, dtype=torch.float64)
    expected = built.trace(inputs).currents[1].detach().square().mean().sqrt()
    assert rms_current(built, inputs) == pytest.approx(float(expected))
