"""What a bound on the edge means: a margin that is proven to be at least 0 is not proven to be positive."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from spikecert.certify import LInf, verify
from spikecert.certify.bounds.propagation import LogitBounds
from spikecert.certify.perturbations import Perturbation
from spikecert.certify.verifiers import TRAINS, MarginVerifier
from spikecert.models import SpikingNetwork, mlp
from spikecert.models.deadline import Expired, never


@dataclass(frozen=True)
class Says(MarginVerifier):
    """Has the same bound for every sample."""

    margin: float
    name: str = "says"

    def margins(
        self,
        network: SpikingNetwork,
        inputs: Tensor,
        labels: Tensor,
        perturbation: Perturbation,
        expired: Expired = never,
    ) -> Tensor:
        return torch.full((len(inputs),), self.margin, dtype=torch.float64)

    def logits(self, network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation) -> LogitBounds:
        return TRAINS.logits(network, inputs, perturbation)


@pytest.mark.parametrize(
    ("margin", "status"), [(5e-324, "verified"), (0.0, "unknown"), (-0.0, "unknown"), (float("nan"), "unknown")]
)
def test_only_a_positive_margin_verifies(margin: float, status: str):
    torch.manual_seed(0)
    network, inputs = mlp((2, 3, 2), num_steps=2).eval(), torch.rand(2, 2)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    found = verify(network, inputs, labels, LInf(0.0), Says(margin))
    assert [verdict.status for verdict in found] == [status, status]
