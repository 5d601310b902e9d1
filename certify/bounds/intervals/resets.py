"""What a spike leaves of a potential of which both ends are known: the join of the interval recursion.

Let v lie in [low, high]; its spike is certain, impossible or open. A decided one leaves the ends of v·(1 − s), of
v − d·s, or of v. An open one may stay silent, with v ≤ θ, or fire, with v ≥ θ, and leaves both cases together:

    hard reset     [min(low, 0), min(high, θ)]
    subtracting    [min(low, max(low, θ) − d), max(min(high, θ), high − d)]

θ is taken at the end that widens: silence is possible up to `surely`, a spike from `perhaps` on. Bounds have hard
spikes, and pay for rounding in these two. Training has spikes with a surrogate's gradient, and both are θ:
gradients go through decided spikes, and through the ends of open ones that move with v.
"""

import torch
from torch import Tensor


def after_reset(potential: Tensor, spikes: Tensor, reset: str, limits: tuple[float, float], drop: float) -> Tensor:
    """Return the ends of what is left, (2, ...).

    Args:
        potential: ends of v, (2, ...).
        spikes: the spikes that must be and those that may be, 0 or 1, (2, ...).
        reset: "zero", "subtract" or "none".
        limits: `surely` and `perhaps`.
        drop: d.
    """
    if reset == "none":
        return potential
    (low, high), (surely, perhaps) = potential, limits
    silent = high.detach().clamp_max(surely)
    if reset == "zero":
        decided, joined = potential * (1.0 - spikes), (low.clamp_max(0.0), silent)
    else:
        decided = torch.add(potential, spikes, alpha=-drop)
        joined = low.clamp(max=low.detach().clamp_min(perhaps) - drop), (high - drop).clamp(min=silent)
    return torch.where(spikes[0] < spikes[1], torch.stack(joined), decided)


def zero_(end: Tensor, spike: Tensor, limit: float) -> None:
    """Make the same of one end of a hard reset, bitwise and in fewer passes, for spikes without gradients.

    A low end is cut by 0 after a possible spike, and else by `perhaps`, which it does not reach anyway; a high end
    by 0 after a certain spike, and else by `surely`, the highest potential that may stay silent.
    """
    torch.minimum(end, torch.add(spike.new_tensor(limit), spike, alpha=-limit), out=end)
