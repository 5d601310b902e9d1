"""Membrane-potential perturbation dynamics (MPPD): what the difference of two runs does, exactly and simplified.

    exact       ϑ[t] = v[t] − ṽ[t] = λϑ[t−1] + a[t]·WΔs[t] − r[t],   ϑ[0] = 0
    simplified  ε[t] = λε[t−1] + w[t],  ε[0] = 0
    reset term  r[t] = λ(v[t−1]s[t−1] − ṽ[t−1]s̃[t−1])               reset "zero"
                r[t] = λd(s[t−1] − s̃[t−1])                          reset "subtract"
                r[t] = 0                                            reset "none"

where w[t] = a[t]·WΔs[t] as in the paper's equation, or WΔs[t] as its authors' program has it. Every gain of
`analysis` is about ε. It holds for ϑ only while both runs spike alike.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..models import SpikingNetwork, Trace
from ..models.circuit import leaky_rules
from ..models.constants import real
from ..models.rules import Leaky
from ..models.validation import check_inputs, check_repeatable, check_weights


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
