"""What is paid for rounding where bits are open: each term of it, where that one alone is what it must be."""

import pytest
import torch
from torch import Tensor, nn

from spikecert import LIF, LInf, SpikingNetwork
from spikecert.certify.bits.known import KnownNetwork
from spikecert.certify.bounds.prices.prices import PricedProblem, Specifications
from spikecert.certify.bounds.prices.stages import Staged, staged
from spikecert.certify.rounding import recursion_slack
from spikecert.models.circuit import circuit
from spikecert.models.running.encoding import RateDraws

UNIT = 2.0**-53


def asked(
    hidden: int, steps: int, dtype: torch.dtype, weight: float, bias: float
) -> tuple[Staged, Specifications]:
    """Return what is known of a network of one layer, and its margin; `weight`, `bias`: sizes of the readout's."""
    generator = torch.Generator().manual_seed(0)
    layers = nn.Linear(3, hidden), LIF(0.75, 1.0), nn.Linear(hidden, 2)
    draws = RateDraws(torch.rand(steps, 3, generator=generator, dtype=torch.float64))
    network = SpikingNetwork(*layers, num_steps=steps, encoding="rate", draws=draws)
    for values in network.parameters():
        values.data = torch.randn(values.shape, generator=generator)
    layers[2].weight.data *= weight
    layers[2].bias.data = torch.tensor([bias, -bias])
    x = torch.rand(1, 3, generator=generator, dtype=torch.float64).to(dtype)
    found = staged(circuit(network.to(dtype).eval()), LInf(0.3).enclosure(x))
    assert found is not None
    zero = torch.zeros(1, 2, dtype=torch.float64)
    return found, Specifications.of_margins(torch.tensor([0]), torch.tensor([0]), torch.tensor([1]), zero)


def known_of(found: Staged, specifications: Specifications) -> KnownNetwork:
    known = KnownNetwork.of(found, specifications)
    assert known is not None
    return known


@pytest.mark.parametrize(
    ("hidden", "steps", "weight", "bias"), [(300, 4, 1.0, 0.0), (2, 2, 2.0**-40, 1.0), (300, 4, 2.0**-40, 1.0)]
)
def test_a_row_pays_for_its_sum_of_costs_and_its_constant(hidden: int, steps: int, weight: float, bias: float):
    """γ_n·(Σ|c| + |b|) is what a sum of n terms may lose: the last time b is all, the first time the costs are."""
    found, specifications = asked(hidden, steps, torch.float64, weight, bias)
    known, (_, constant) = known_of(found, specifications), PricedProblem(found, specifications, ()).readout()
    costs = known.costs[0]
    lost = costs.numel() * UNIT * (costs.abs().sum() + constant.abs().flatten()[0])
    assert float(lost) > 0
    assert float(constant.flatten()[0] - known.constant[0]) >= float(lost)


def sizes(found: Staged) -> tuple[Tensor, Tensor, float]:
    """Return the moduli of sums, what the network's own sums lose, and the greatest |a|."""
    stage, chain = found.stages[0], found.stages[0].branches[0].chain
    shape = stage.lower.shape[2:]
    moduli = chain.magnitude(found.source.magnitude()).expand(1, *shape).reshape(-1)
    return moduli, chain.slack.expand(1, *shape).reshape(-1), float(stage.scale.abs().max())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("hidden", "steps"), [(2, 6), (300, 2)])
def test_a_layer_pays_for_its_sums_its_steps_and_those_of_windows(dtype: torch.dtype, hidden: int, steps: int):
    found, specifications = asked(hidden, steps, dtype, 1.0, 0.0)
    (stage,), (layer,) = found.stages, known_of(found, specifications).stages
    moduli, slack, steepest = sizes(found)
    widest = stage.lower.abs().maximum(stage.upper.abs()).amax(0).flatten() * steepest
    run = recursion_slack(widest, stage.rule.decay, stage.rule.span, steps, found.rounding)
    windows = steps * sum(stage.matrix()[0].shape) * UNIT * moduli
    assert bool((windows > 0).all())
    assert bool((layer.widening - (slack * steepest + run) >= windows * steepest).all())
    assert layer.constants.surely > stage.rule.threshold > layer.constants.perhaps
