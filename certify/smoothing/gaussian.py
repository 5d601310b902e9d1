"""Randomized smoothing with Gaussian noise: an ℓ2 certificate for any network."""

import torch
from torch import Tensor

from ...models.constants import at_least, positive
from ...models.networks import SpikingNetwork
from ...models.progress import Progress, silent
from ...models.validation import check_inputs, check_weights
from ..perturbations.shapes import normal
from ..replay import evaluating
from .counting import Counter
from .estimate import Estimator, check_source
from .verdict import SmoothedVerdict


def smooth(
    network: SpikingNetwork,
    inputs: Tensor,
    sigma: float,
    samples: int,
    alpha: float,
    generator: torch.Generator,
    *,
    selection: int = 100,
    batch_size: int = 1000,
    progress: Progress = silent,
) -> list[SmoothedVerdict]:
    """Certify the smoothed classifier g(x) = argmax_c P[f(x + σn) = c], n standard normal, in ℓ2.

    If P[f(x + σn) = c] ≥ p > ½, then g(x̃) = c for every ‖x̃ − x‖₂ < σ·Φ⁻¹(p). p is a Clopper–Pearson lower
    bound from `samples` draws; a class that `selection` other draws chose. The certificate is about g, not about
    f, holds per sample with probability at least 1 − α over the draws, and takes the noise as real-valued:
    noisy inputs are rounded to the network's dtype, and they are not clipped, so the network sees inputs outside
    [0, 1]. A tie between logits votes for no class.

    Args:
        network: any spiking network, taken in evaluation mode.
        inputs: (batch, ...).
        sigma: the noise's standard deviation σ > 0, in the units of the inputs.
        samples: draws per sample that bound the probability.
        alpha: the probability of being wrong, per sample.
        generator: the noise; the same seed gives the same verdicts.
        selection: draws per sample that choose the class.
        batch_size: noisy copies at once.
        progress: called after each batch.

    Returns:
        One `SmoothedVerdict` per sample: "certified" with its class and ℓ2 radius, or "abstained".

    Raises:
        TypeError, ValueError: for arguments that don't fit, one line each.

    References: cohen2019certified
    """
    from scipy.stats import norm  # imported here: scipy takes half a second

    check_source(network, generator)
    check_inputs(network, inputs)
    check_weights(network)
    sigma, batch_size = positive("sigma", sigma), at_least(1)("batch_size", batch_size)

    def noise(copies: Tensor, source: torch.Generator) -> Tensor:
        return copies + sigma * normal(copies, source)

    def radius(probability: float) -> float:
        """σ·Φ⁻¹(p), a little less than scipy's value: its quantile is accurate to a relative 1e-14 or so."""
        return sigma * float(norm.ppf(min(probability, 1.0 - 2.0**-53))) * (1.0 - 1e-12)

    estimator = Estimator(selection, samples, alpha, radius, "l2", f"Gaussian, standard deviation {sigma:g}")
    total = len(inputs) * (estimator.selection + estimator.samples)
    with evaluating(network):
        counter = Counter(network, noise, generator, 1, batch_size, total, progress)
        return [estimator.decide(counter, sample) for sample in inputs]
