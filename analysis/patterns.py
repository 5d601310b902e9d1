"""How far an input may move before any first-layer spike train changes: exact under direct coding (fact F1).

With a constant current I, v[t] = α_t I + β_t as long as the train is the clean one, so each step is one half-line
for I: v ≥ θ where it fired, v < θ where not. The interval that they leave holds exactly the currents with this
train. An ℓ∞ ball of radius r moves current j by up to r·‖W_j‖₁, an ℓ2 ball by up to r·‖W_j‖₂, and attains it, so
the radius is min_j (distance of I_j to the nearer end)/‖W_j‖.
"""

import math

import torch
from torch import Tensor

from ..models import LIF, SpikingNetwork
from ..models.circuit import leaky_rule
from ..models.constants import at_least
from .operators import INPUT, LayerOperator, layer_operators


def train_interval(current: Tensor, neuron: LIF, num_steps: int) -> tuple[Tensor, Tensor]:
    """Return the ends of the interval of constant currents that fire as `current` does, each of its shape.

    Args:
        current: I, float64.
        neuron: the layer; any reset, firing rule and input scale.
        num_steps: T.

    >>> low, high = train_interval(torch.tensor([0.6], dtype=torch.float64), LIF(0.0), 3)
    >>> low.item(), high.item()
    (-inf, 1.0)
    """
    num_steps = at_least(1)("num_steps", num_steps)
    rule = leaky_rule(neuron, num_steps)
    lower, upper = torch.full_like(current, -math.inf), torch.full_like(current, math.inf)
    slope, offset = torch.zeros_like(current), torch.zeros_like(current)
    for a in rule.factors(num_steps):
        slope, offset = rule.decay * slope + a, rule.decay * offset
        potential = slope * current + offset
        fired = potential >= rule.threshold if rule.fires_at == ">=" else potential > rule.threshold
        edge = (rule.threshold - offset) / slope
        above = fired == (slope > 0)  # the half-line is I above the edge
        lower = torch.where((slope != 0) & above, torch.maximum(lower, edge), lower)
        upper = torch.where((slope != 0) & ~above, torch.minimum(upper, edge), upper)
        if rule.reset == "zero":
            slope, offset = slope * ~fired, offset * ~fired
        elif rule.reset == "subtract":
            offset = offset - rule.drop * fired.to(offset)  # a bool times a float would be float32
    return lower, upper


def pattern_radius(network: SpikingNetwork, inputs: Tensor, norm: str = "linf") -> Tensor:
    """Return the radius of each sample below which no train of the first spiking layer changes, (batch,).

    Exact in real arithmetic for the unclipped ball; computed in float64 and not rounded outward. In the network's
    own precision, currents within its rounding error of a breakpoint may differ.

    Args:
        network: with direct coding.
        inputs: (batch, ...).
        norm: "linf" or "l2", of the input perturbation.

    Raises:
        ValueError: for another encoding or norm.

    References: theorem "l2-margin"
    """
    if network.encoding != "direct":
        raise ValueError(f'network: got encoding {network.encoding!r}, expected "direct"')
    if norm not in ("linf", "l2"):
        raise ValueError(f"norm: got {norm!r}, expected linf or l2")
    first = _first(network, tuple(inputs.shape[1:]))
    assert first.layer is not None
    with torch.no_grad():
        current = network.trace(inputs).currents[0][0].double().flatten(1)
    lower, upper = train_interval(current, first.layer, network.num_steps)
    distance = torch.minimum(current - lower, upper - current)
    rows = row_norms(first, norm)
    reach = torch.where(rows > 0, distance / rows.clamp_min(1e-300), math.inf)
    return reach.amin(1)


def _first(network: SpikingNetwork, shape: tuple[int, ...]) -> LayerOperator:
    first = layer_operators(network, shape, filters=True)[0]
    if first.filters:
        raise ValueError("network: got a synapse before its first neurons, expected a current that is constant")
    if first.rule is None or tuple(first.sources) != (INPUT,):
        raise ValueError("network: got no spiking layer that reads the input alone, expected one")
    return first


def row_norms(operator: LayerOperator, norm: str) -> Tensor:
    """Return the dual norm of each row of the operator: ℓ1 for "linf", ℓ2 for "l2", to rounding."""
    order = 1 if norm == "linf" else 2
    if operator.dense is not None:
        return operator.dense.weight.norm(order, dim=1)
    total = torch.zeros(operator.rows, dtype=torch.float64)
    for unit in torch.eye(operator.columns, dtype=torch.float64).split(256):
        with torch.no_grad():
            total += operator.apply(unit).abs().pow(order).sum(0)
    return total.pow(1.0 / order)
