"""Probabilistic certificates, kept apart from `verify`: of a smoothed classifier, with a confidence.

Count what a network says of many noisy copies of each sample, in batches.

What randomized smoothing says of a sample.

From votes to verdicts: select a class, bound its probability, turn the bound into a radius.

Randomized smoothing with Gaussian noise: an ℓ2 certificate for any network.

Smoothing by the rate code itself: an ℓ1 certificate for networks that are fed Bernoulli spikes.

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
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..models.constants import at_least, positive, real, settle, share, whole
from ..models.deadline import Progress, silent
from ..models.networks import SpikingNetwork, check_network
from ..models.validation import check_inputs, check_rivals, check_weights
from .perturbations.base import normal
from .replay import evaluating


def lower_confidence_bound(successes: int, samples: int, alpha: float) -> float:
    """Return the Clopper–Pearson lower bound of a probability p.

    The greatest p with P[Binomial(samples, p) ≥ successes] ≤ α: with probability at least 1 − α over the
    samples it lies at or below the true probability. It is rounded down until the binomial tail confirms it.

    Args:
        successes: how often the event happened.
        samples: how often it could have.
        alpha: the probability of being wrong, in (0, 1).

    >>> round(lower_confidence_bound(100, 100, 0.001), 4)
    0.9333

    References: clopper1934use
    """
    from scipy.stats import beta, binom  # imported here: scipy takes half a second

    successes, samples, alpha = whole("successes", successes), whole("samples", samples), real("alpha", alpha)
    if not 0 <= successes <= samples:
        raise ValueError(f"successes: got {successes}, expected 0 to {samples}")
    if successes == 0:
        return 0.0
    bound = float(beta.ppf(alpha, successes, samples - successes + 1))
    step = 1e-15
    while bound > 0 and binom.sf(successes - 1, samples, bound) > alpha:
        bound, step = bound * (1.0 - step), min(2.0 * step, 0.5)
    return bound


Noise = Callable[[Tensor, torch.Generator], Tensor]
"""Takes copies (copies, ...) of one sample, returns what the network is run on."""


@dataclass
class Counter:
    """Counts votes, and reports how many draws are done.

    Attributes:
        network: in evaluation mode.
        noise: draws the network's inputs.
        votes: network runs whose logits are averaged for one decision.
        batch_size: network runs at once, at most (at least one decision's).
        total: decisions in all, for `progress`.
    """

    network: SpikingNetwork
    noise: Noise
    generator: torch.Generator
    votes: int = 1
    batch_size: int = 1000
    total: int = 0
    progress: Progress = silent
    done: int = field(default=0, init=False)

    @torch.no_grad()
    def count(self, sample: Tensor, decisions: int) -> Tensor:
        """Return how many decisions fall on each class, (classes,); a tie between logits counts for none."""
        counts: Tensor | int = 0
        most = max(1, self.batch_size // self.votes)
        for size in [min(most, decisions - start) for start in range(0, decisions, most)]:
            copies = sample.expand(size * self.votes, *sample.shape)
            logits = self.network(self.noise(copies, self.generator)).unflatten(0, (size, self.votes)).mean(1)
            check_rivals(logits.shape[1])
            greatest = logits == logits.amax(1, keepdim=True)
            counts = counts + (greatest & (greatest.sum(1, keepdim=True) == 1)).sum(0)  # the single greatest
            self.done += size
            self.progress("smooth", self.done, self.total)
        assert isinstance(counts, Tensor)
        return counts


STATUSES = ("certified", "abstained")


@dataclass(frozen=True)
class SmoothedVerdict:
    """One sample's probabilistic verdict: about a smoothed classifier, and wrong with probability up to `alpha`.

    It is no `Verdict`: nothing is verified about the network itself, and no sample is falsified.

    Attributes:
        status: "certified" (the smoothed classifier says `prediction` on the whole ball of `radius`) or
            "abstained".
        prediction: the certified class, or None.
        radius: of the ball around the sample, in `norm`; 0 if abstained.
        norm: "l2" or "l1".
        probability: the lower confidence bound of the class's probability that the radius follows from.
        alpha: the probability, over the draws, with which a statement like this is wrong.
        samples: how many draws the bound was computed from.
        noise: what was drawn, in words.

    Raises:
        ValueError: for a status without what it needs.
    """

    status: str
    prediction: int | None
    radius: float
    norm: str
    probability: float
    alpha: float
    samples: int
    noise: str

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status: got {self.status!r}, expected one of {', '.join(STATUSES)}")
        certified = self.status == "certified"
        if certified != (self.prediction is not None):
            raise ValueError(f"prediction: got {self.prediction!r}, which does not fit {self.status!r}")
        if not (self.radius > 0 if certified else self.radius == 0):
            raise ValueError(f"radius: got {self.radius!r}, which does not fit {self.status!r}")


def probability(name: str, value: object) -> float:
    """Return a number in (0, 1) as a Python float."""
    found = real(name, value, finite=False)
    if not 0.0 < found < 1.0:
        raise ValueError(f"{name}: got {found!r}, expected a probability between 0 and 1")
    return found


@dataclass(frozen=True)
class Estimator:
    """How a certificate is estimated.

    Attributes:
        selection: draws that choose the class; samples: further draws that bound its probability.
        alpha: the probability of being wrong, per sample.
        radius: from a lower bound of the class's probability (above ½) to the certified radius.
        norm, noise: for the verdict.
    """

    selection: int
    samples: int
    alpha: float
    radius: Callable[[float], float]
    norm: str
    noise: str

    def __post_init__(self) -> None:
        settle(self, at_least(1), "selection", "samples")
        settle(self, probability, "alpha")

    def decide(self, counter: Counter, sample: Tensor) -> SmoothedVerdict:
        """Return one sample's verdict: Cohen et al.'s CERTIFY.

        The class is chosen on draws of its own: a class chosen on the draws that bound it would be favoured.
        """
        label = int(counter.count(sample, self.selection).argmax())
        hits = int(counter.count(sample, self.samples)[label])
        bound = lower_confidence_bound(hits, self.samples, self.alpha)
        radius = self.radius(bound) if bound > 0.5 else 0.0
        certified = radius > 0.0
        return SmoothedVerdict(
            "certified" if certified else "abstained",
            label if certified else None,
            radius,
            self.norm,
            bound,
            self.alpha,
            self.samples,
            self.noise,
        )


def check_source(network: SpikingNetwork, generator: torch.Generator) -> None:
    """Raise TypeError unless these are a network and a source of draws."""
    check_network(network)
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator: got {type(generator).__name__}, expected a torch.Generator")


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
