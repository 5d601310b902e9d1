"""The paper's objective: cross-entropy, clean and perturbed, plus the mean square of the MPPD.

The membrane-potential perturbation dynamics (MPPD) of a layer between a clean and a perturbed run:

    ε[t] = λ·ε[t−1] + d[t],   d[t] = stopgrad(I_clean[t]) − I_perturbed[t],   ε[0] = 0
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...models.constants import settle
from ...models.elements.layers import BATCH_NORMS, walk
from ...models.elements.neurons import LIF
from ...models.networks import SpikingNetwork, Trace
from ...models.validation import check_choice
from ..perturbations import Perturber, SingleStep
from .base import Loss, Objective, Weight, as_share, as_weight, full

NORMS = ("l2", "l1")


LAYERS = ("last", "all")


STATISTICS = ("joint", "separate")


@dataclass(frozen=True)
class MSMPPD(Objective):
    """L = χ·CE(f(x), y) + (1−χ)·CE(f(x̃), y) + ρ·L_MS,  L_MS = mean of ε² over time, batch and neurons.

    Args:
        rho: ρ ≥ 0, the weight of L_MS, or a schedule. ρ = 0 is the ablation: adversarial or noise training alone.
        mix: χ ∈ [0, 1], the share of the clean cross-entropy, or a schedule.
        norm: "l2" (the mean of ε²) or "l1" (the mean of |ε|, the total-variation variant).
        layers: "last" (the last layer that fires, as in the paper) or "all" (the mean over those layers).
        perturbation: what turns x into x̃.
        include_input_scale: d[t] times the layer's input scale a[t]; the authors' code leaves it out.
        two_sided: let the gradient reach I_clean too, without stopgrad.
        batch_statistics: "joint" runs clean and perturbed inputs as one batch, so that batch norm normalises
            both alike and x̃ = x gives L_MS = 0 in training mode too; "separate" runs them one after the other
            as the paper does, where their statistics differ. Without batch norm the two are the same.

    Raises:
        ValueError, TypeError: for a weight outside its range or an unknown choice.

    >>> MSMPPD(rho=0.0).mix
    0.5

    References: ding2024robust
    """

    rho: Weight = 1.0
    mix: Weight = 0.5
    norm: str = "l2"
    layers: str = "last"
    perturbation: Perturber = SingleStep()  # noqa: RUF009 (frozen)
    include_input_scale: bool = False
    two_sided: bool = False
    batch_statistics: str = "joint"

    def __post_init__(self) -> None:
        settle(self, as_weight, "rho")
        settle(self, as_share, "mix")
        check_choice("norm", self.norm, NORMS)
        check_choice("layers", self.layers, LAYERS)
        check_choice("batch_statistics", self.batch_statistics, STATISTICS)
        if not isinstance(self.perturbation, Perturber):
            got = type(self.perturbation).__name__
            raise TypeError(f"perturbation: got {got}, expected a Perturber such as SingleStep()")

    @property
    def attack(self) -> Perturber:
        """Return the perturbation that turns x into x̃."""
        return self.perturbation

    def loss(
        self, network: SpikingNetwork, inputs: Tensor, labels: Tensor, generator: torch.Generator | None
    ) -> Loss:
        """Return the loss, with the terms "clean", "perturbed" (cross-entropies) and, if ρ > 0, "ms_mppd"."""
        perturbed = self.perturbation(network, inputs, labels, generator)
        clean_logits, perturbed_logits, differences = self._run(network, inputs, perturbed)
        clean = cross_entropy(clean_logits, labels)
        noisy = cross_entropy(perturbed_logits, labels)
        mix, rho = full(self.mix), full(self.rho)
        total = mix * clean + (1.0 - mix) * noisy
        terms = {"clean": clean.detach(), "perturbed": noisy.detach()}
        if rho > 0:
            stability = self._stability(network, differences)
            total = total + rho * stability
            terms["ms_mppd"] = stability.detach()
        return Loss(total, terms)

    def stability(self, network: SpikingNetwork, inputs: Tensor, perturbed: Tensor) -> Tensor:
        """Return L_MS between a clean and a perturbed run, without its weight ρ, which must be above 0."""
        return self._stability(network, self._run(network, inputs, perturbed)[2])

    def _run(
        self, network: SpikingNetwork, inputs: Tensor, perturbed: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return clean logits, perturbed logits and, if ρ > 0, d of each layer that is asked for."""
        if self.batch_statistics == "separate" and _uses_batch_statistics(network):
            clean, noisy = self._pass(network, inputs), self._pass(network, perturbed)
            pairs = list(zip(clean.currents, noisy.currents, strict=True))
            return clean.logits, noisy.logits, [self._difference(*pair) for pair in pairs]
        both = self._pass(network, torch.cat((inputs, perturbed)))
        clean_logits, noisy_logits = both.logits.chunk(2)
        return clean_logits, noisy_logits, [self._difference(*pair.chunk(2, 1)) for pair in both.currents]

    def _pass(self, network: SpikingNetwork, inputs: Tensor) -> Trace:
        """Return what is needed of one pass: the logits alone if ρ = 0, else also the currents."""
        if full(self.rho) == 0:
            return Trace((), (), (), network(inputs))
        firing = firing_layers(network)
        currents, logits = network.currents(inputs)
        first = 0 if self.layers == "all" else len(firing) - 1
        return Trace(currents[first : len(firing)], (), (), logits)

    def _difference(self, clean: Tensor, perturbed: Tensor) -> Tensor:
        return (clean if self.two_sided else clean.detach()) - perturbed

    def _stability(self, network: SpikingNetwork, differences: list[Tensor]) -> Tensor:
        """Return L_MS, the mean over the layers asked for."""
        neurons = firing_layers(network)[-len(differences) :]
        values = [self._size(neuron, d) for neuron, d in zip(neurons, differences, strict=True)]
        return torch.stack(values).mean()

    def _size(self, neuron: LIF, difference: Tensor) -> Tensor:
        scale = neuron.scale(len(difference)) if self.include_input_scale else None
        epsilon = simplified_dynamics(difference, neuron.dynamics.decay, scale)
        if self.norm == "l1":
            return epsilon.abs().mean()
        return torch.linalg.vector_norm(epsilon).square() / epsilon.numel()  # the mean of ε² in fewer passes


def simplified_dynamics(drive: Tensor, decay: float, input_scale: Tensor | None = None) -> Tensor:
    """Return ε[t] = λ·ε[t−1] + a[t]·d[t] for a drive d of shape (T, ...), ε[0] = 0.

    One product with the lower-triangular matrix of λ^(t−k)·a[k]: one operation in place of T small ones.

    >>> simplified_dynamics(torch.ones(3, 1), 0.5).flatten()
    tensor([1.0000, 1.5000, 1.7500])
    """
    steps = torch.arange(len(drive), dtype=drive.dtype, device=drive.device)
    powers = torch.pow(decay, (steps[:, None] - steps).clamp_min(0)).tril()
    if input_scale is not None:
        powers = powers * input_scale
    with torch.autocast(drive.device.type, enabled=False):  # ε is a membrane's: it keeps the drive's precision
        return (powers @ drive.flatten(1)).view_as(drive)


def firing_layers(network: SpikingNetwork) -> tuple[LIF, ...]:
    """Return the layers that emit spikes: all spiking layers but a final one that only accumulates.

    Raises:
        ValueError: if there is none.
    """
    neurons = network.neurons[:-1] if network.reads_potentials else network.neurons
    if not neurons:
        raise ValueError("network: got no layer that fires, expected one for the membrane perturbation term")
    return neurons


def _uses_batch_statistics(network: SpikingNetwork) -> bool:
    norms = (m for m in walk(network.layers) if isinstance(m, BATCH_NORMS))
    return any(norm.training for norm in norms)
