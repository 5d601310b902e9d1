"""Exact confidence bounds of a probability."""

from ...models.constants import real, whole


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
