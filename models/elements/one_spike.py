"""Neurons that fire at most once."""

from ..surrogates import Surrogate, Triangle
from .refractory import RefractoryLIF


class OneSpikeLIF(RefractoryLIF):
    """LIF that rests for good behind its first spike: what it says is when it fires, if it does.

    v[t] = λ·v[t−1] + I[t], v[0] = u[0]; s[t] = 1 iff v[t] ≥ θ and no step before t has a spike. It runs as
    `RefractoryLIF(rest=None)`, and a file names that.

    Args:
        decay: λ ∈ [0, 1].
        threshold: θ > 0.
        fires_at, surrogate, start: as in `RefractoryLIF`.

    Raises:
        ValueError, TypeError: for a constant outside its range.

    >>> import torch
    >>> OneSpikeLIF(decay=0.5)(torch.full((1, 1, 1), 0.6), num_steps=6).flatten()
    tensor([0., 0., 1., 0., 0., 0.])
    """

    def __init__(
        self,
        decay: float = 0.99,
        threshold: float = 1.0,
        fires_at: str = ">=",
        surrogate: Surrogate = Triangle(1.0),  # noqa: B008 (frozen)
        start: float = 0.0,
    ) -> None:
        super().__init__(decay, threshold, None, fires_at, surrogate, start)
