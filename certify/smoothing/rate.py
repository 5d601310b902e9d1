"""Smoothing by the rate code itself: an ℓ1 certificate for networks that are fed Bernoulli spikes.

Let x ∈ [0,1]^d, let S(x) be n independent draws of a vector of independent spikes, spike i with probability x_i
(n = T·m: T steps a run, m runs averaged for one decision), and let g(x) = argmax_c P[f(S(x)) = c] for a decision
f on all those spikes.

**Theorem.** If P[f(S(x)) = c] ≥ p > ½, then g(x̃) = c for every x̃ ∈ [0,1]^d with ‖x̃ − x‖₁ < 1 − (3/2 − p)^(1/n).

*Proof.* Draw U uniform on [0,1] for each spike, and let x spike where U < x_i and x̃ where U < x̃_i, with the
same U: each has its own distribution. The two differ at one spike with probability |δ_i|, δ = x̃ − x, so all n
vectors agree with probability Π_i (1 − |δ_i|)^n ≥ (1 − ‖δ‖₁)^n for ‖δ‖₁ ≤ 1, since Π(1 − a_i) ≥ 1 − Σa_i for a_i
in [0,1]. Where they agree, f decides alike. So for r = ‖δ‖₁ ≤ 1 and every class k

    |P[f(S(x̃)) = k] − P[f(S(x)) = k]| ≤ 1 − (1 − r)^n =: TV(r).

Hence P[f(S(x̃)) = c] ≥ p − TV(r), which is above ½, and so above every other class, iff TV(r) < p − ½. ∎

TV(r) can't be improved as a function of r alone: for x = (r), x̃ = (0) and the event 'no spike at all' it is
attained. A published certificate takes r itself for TV(r): that holds for a single draw (n = 1) only. With f a
vote of 3 of 4 on one input, x = .9 has p = .9477: r < p − ½ = .448 is claimed, but g changes its class at a
distance of .286.
"""

import math

import torch
from torch import Tensor

from ...models.constants import at_least, real, share
from ...models.networks import SpikingNetwork
from ...models.progress import Progress, silent
from ...models.validation import check_inputs, check_weights
from ..replay import evaluating
from .counting import Counter
from .estimate import Estimator, check_source
from .verdict import SmoothedVerdict


def total_variation(distance: float, draws: int) -> float:
    """Return 1 − (1 − r)^n: how much r in ℓ1 can move any event's probability under n rate-coded draws.

    >>> round(total_variation(0.1, 4), 4)
    0.3439
    """
    distance, draws = real("distance", distance, finite=False), at_least(1)("draws", draws)
    if not distance >= 0:
        raise ValueError(f"distance: got {distance!r}, expected a number of at least 0")
    return 1.0 if distance >= 1 else -math.expm1(draws * math.log1p(-distance))


def rate_radius(probability: float, draws: int) -> float:
    """Return the ℓ1 radius 1 − (3/2 − p)^(1/n) that a class of probability p > ½ is safe in; 0 for p ≤ ½.

    It is rounded down: the total variation at the radius stays within p − ½.

    Args:
        probability: a lower bound p of the class's probability.
        draws: n = T·m, all the Bernoulli vectors that one decision depends on.

    Raises:
        TypeError, ValueError: for a probability outside [0, 1] or draws below 1.

    >>> round(rate_radius(0.9477, 4), 3)
    0.138
    """
    probability, draws = share("probability", probability), at_least(1)("draws", draws)
    if probability <= 0.5:
        return 0.0
    return max(0.0, -math.expm1(math.log(1.5 - probability) / draws) * (1.0 - 1e-12))


def rate_certificate(
    network: SpikingNetwork,
    inputs: Tensor,
    samples: int,
    alpha: float,
    generator: torch.Generator,
    *,
    votes: int = 1,
    selection: int = 100,
    batch_size: int = 1000,
    progress: Progress = silent,
) -> list[SmoothedVerdict]:
    """Certify g(x) = argmax_c P[f(S(x)) = c] in ℓ1, S(x) the rate code of x; this module proves the radius.

    Args:
        network: with encoding "none": it is fed the spikes, (copies, T, ...), in evaluation mode.
        inputs: firing probabilities in [0, 1], (batch, ...) without the axis of time.
        samples: decisions per sample that bound the probability.
        alpha: the probability of being wrong, per sample.
        generator: the spikes; the same seed gives the same verdicts.
        votes: m, runs of T steps whose logits are averaged for one decision. More votes make a class more
            probable and shrink the radius: all T·m draws count.
        selection: decisions per sample that choose the class.
        batch_size: network runs at once.
        progress: called after each batch.

    Returns:
        One `SmoothedVerdict` per sample: "certified" with its class and ℓ1 radius, or "abstained". The radius is
        about other firing probabilities x̃ ∈ [0,1]^d.

    Raises:
        TypeError, ValueError: for arguments that don't fit, one line each.

    References: mukhoty2024certified
    """
    check_source(network, generator)
    _check_rates(network, inputs)
    check_weights(network)
    votes, batch_size = at_least(1)("votes", votes), at_least(1)("batch_size", batch_size)

    def noise(copies: Tensor, source: torch.Generator) -> Tensor:
        return _spikes(copies, network.num_steps, source)

    def radius(probability: float) -> float:
        return rate_radius(probability, network.num_steps * votes)

    words = f"rate code, {network.num_steps} steps × {votes} runs"
    estimator = Estimator(selection, samples, alpha, radius, "l1", words)
    total = len(inputs) * (estimator.selection + estimator.samples)
    with evaluating(network):
        counter = Counter(network, noise, generator, votes, batch_size, total, progress)
        return [estimator.decide(counter, sample) for sample in inputs]


def _spikes(rates: Tensor, num_steps: int, generator: torch.Generator) -> Tensor:
    """Return Bernoulli spikes, (copies, T, ...). In float64: a rate of float32 is then met to 2⁻⁵³."""
    shape = (len(rates), num_steps, *rates.shape[1:])
    drawn = torch.rand(shape, generator=generator, dtype=torch.float64, device=generator.device)
    return (drawn.to(rates.device) < rates.unsqueeze(1).double()).to(rates.dtype)


def _check_rates(network: SpikingNetwork, inputs: Tensor) -> None:
    if network.encoding != "none":
        raise ValueError(f'network: got encoding {network.encoding!r}, expected "none": it is fed spikes')
    if not isinstance(inputs, Tensor):
        raise TypeError(f"inputs: got {type(inputs).__name__}, expected a torch.Tensor")
    if inputs.dim() < 2:
        raise ValueError(f"inputs: got shape {tuple(inputs.shape)}, expected (batch, ...)")
    check_inputs(network, inputs.unsqueeze(1).repeat_interleave(network.num_steps, 1))
    if float(inputs.min()) < 0 or float(inputs.max()) > 1:
        got = f"values from {float(inputs.min()):g} to {float(inputs.max()):g}"
        raise ValueError(f"inputs: got {got}, expected firing probabilities within [0, 1]")
