"""How far an input may move before any first-layer spike train changes: exact under direct coding (fact F1).

With a constant current I, v[t] = α_t I + β_t as long as the train is the clean one, so each step is one half-line
for I: v ≥ θ where it fired, v < θ where not. The interval that they leave holds exactly the currents with this
train. An ℓ∞ ball of radius r moves current j by up to r·‖W_j‖₁, an ℓ2 ball by up to r·‖W_j‖₂, and attains it, so
the radius is min_j (distance of I_j to the nearer end)/‖W_j‖.

Membrane-potential perturbation dynamics (MPPD): what the difference of two runs does, exactly and simplified.

    exact       ϑ[t] = v[t] − ṽ[t] = λϑ[t−1] + a[t]·WΔs[t] − r[t],   ϑ[0] = 0
    simplified  ε[t] = λε[t−1] + w[t],  ε[0] = 0
    reset term  r[t] = λ(v[t−1]s[t−1] − ṽ[t−1]s̃[t−1])               reset "zero"
                r[t] = λd(s[t−1] − s̃[t−1])                          reset "subtract"
                r[t] = 0                                            reset "none"

where w[t] = a[t]·WΔs[t] as in the paper's equation, or WΔs[t] as its authors' program has it. Every gain of
`analysis` is about ε. It holds for ϑ only while both runs spike alike.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..models import LIF, SpikingNetwork, Trace
from ..models.circuit import leaky_rule, leaky_rules
from ..models.constants import at_least, real
from ..models.networks import check_network
from ..models.rules import Leaky
from ..models.validation import check_inputs, check_repeatable, check_weights
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


@dataclass(frozen=True)
class Perturbation:
    """The perturbation of every spiking layer k between a clean and a perturbed run; time is the first axis.

    Attributes:
        exact: ϑ = v − ṽ per spiking layer, (T, batch, ...).
        simplified: ε per spiking layer.
        reset_term: r per spiking layer, what the simplification drops.
        drive: a[t]·WΔs[t] per spiking layer, with the input scale, whatever `include_input_scale` says.
        decays: λ per spiking layer.
        include_input_scale: whether w[t] in ε is a[t]·WΔs[t] (the paper) or WΔs[t] (its authors' program).
    """

    exact: tuple[Tensor, ...]
    simplified: tuple[Tensor, ...]
    reset_term: tuple[Tensor, ...]
    drive: tuple[Tensor, ...]
    decays: tuple[float, ...]
    include_input_scale: bool

    def identity_error(self) -> float:
        """Return max |ϑ[t] − (λϑ[t−1] + a[t]WΔs[t] − r[t])|: rounding only, for every reset."""
        layers = zip(self.exact, self.drive, self.reset_term, self.decays, strict=True)
        return max((_identity_error(*layer) for layer in layers), default=0.0)


def mppd(
    network: SpikingNetwork, clean: Tensor, perturbed: Tensor, include_input_scale: bool = False
) -> Perturbation:
    """Return the perturbation dynamics of each spiking layer between two runs of `network`.

    Args:
        network: any network; it runs in the mode (train or eval) that it is in, in evaluation mode under a rate
            code, so that both runs meet the same draws.
        clean: inputs, (batch, ...), or (batch, T, ...) with encoding "none".
        perturbed: inputs of the same shape.
        include_input_scale: False: w = WΔs, as the paper's authors train; True: w = a·WΔs, as the paper writes.
            The same for LIF, whose a is 1.

    Returns:
        A `Perturbation`; differentiable where the network is.

    Raises:
        TypeError, ValueError: for inputs that don't fit the network or each other, or NaN anywhere.

    References: ding2024robust, theorem "perturbation-identity"

    >>> from spikecert.models import mlp
    >>> x = torch.rand(5, 4)
    >>> mppd(mlp((4, 3, 2)), x, x).simplified[0].abs().max().item()
    0.0
    """
    check_network(network)
    check_weights(network)
    check_repeatable(network)
    check_inputs(network, clean)
    check_inputs(network, perturbed)
    if clean.shape != perturbed.shape:
        raise ValueError(f"perturbed: got shape {tuple(perturbed.shape)}, expected {tuple(clean.shape)}")
    return trace_mppd(network, network.trace(clean), network.trace(perturbed), include_input_scale)


def trace_mppd(
    network: SpikingNetwork, clean: Trace, perturbed: Trace, include_input_scale: bool = False
) -> Perturbation:
    """Return what `mppd` does, from two traces of `network` that exist already."""
    layers = range(len(network.neurons))
    drives = [_drive(network, k, clean.currents[k] - perturbed.currents[k], True) for k in layers]
    inputs = [_drive(network, k, clean.currents[k] - perturbed.currents[k], include_input_scale) for k in layers]
    rules = leaky_rules(network)
    decays = tuple(rule.decay for rule in rules)
    return Perturbation(
        exact=tuple(clean.potentials[k] - perturbed.potentials[k] for k in layers),
        simplified=tuple(leaky_sum(inputs[k], decays[k]) for k in layers),
        reset_term=tuple(_reset_term(rules[k], k, clean, perturbed) for k in layers),
        drive=tuple(drives),
        decays=decays,
        include_input_scale=include_input_scale,
    )


def leaky_sum(drive: Tensor, decay: float) -> Tensor:
    """Return ε with ε[t] = λε[t−1] + w[t], ε[0] = 0, for w (T, ...).

    >>> leaky_sum(torch.ones(3), 0.5)
    tensor([1.0000, 1.5000, 1.7500])
    """
    decay, state, states = real("decay", decay), torch.zeros_like(drive[0]), []
    for step in drive:
        state = decay * state + step
        states.append(state)
    return torch.stack(states)


def _drive(network: SpikingNetwork, layer: int, difference: Tensor, scaled: bool) -> Tensor:
    scale = network.neurons[layer].scale(network.num_steps)
    if scale is None or not scaled:
        return difference
    return difference * scale.reshape(-1, *[1] * (difference.dim() - 1))


def _reset_term(rule: Leaky, layer: int, clean: Trace, perturbed: Trace) -> Tensor:
    removed = {
        "zero": lambda run: run.potentials[layer] * run.spikes[layer],
        "subtract": lambda run: rule.drop * run.spikes[layer],
        "none": lambda run: torch.zeros_like(run.potentials[layer]),
    }[rule.reset]
    difference = rule.decay * (removed(clean) - removed(perturbed))
    return torch.cat([torch.zeros_like(difference[:1]), difference[:-1]])


def _identity_error(exact: Tensor, drive: Tensor, reset_term: Tensor, decay: float) -> float:
    previous = torch.cat([torch.zeros_like(exact[:1]), exact[:-1]])
    return float((exact - (decay * previous + drive - reset_term)).detach().abs().max())
