"""Spikes that must and that may be, of neurons that subtract: two runs, each paying for the other's spikes.

With L[t] = Σ_{k≤t} λ^{t−k} I[k] and S[t] = Σ_{k≤t} λ^{t−k} s[k] the potential before reset is
v[t] = L[t] − d·λ·S[t−1] (F9). Let s_low ≤ s ≤ s_high hold up to t − 1. Then S_low ≤ S ≤ S_high there, and

    L_low[t] − d·λ·S_high[t−1]  ≤  v[t]  ≤  L_high[t] − d·λ·S_low[t−1],

which are the potentials of two runs, on I_low and on I_high, each of which subtracts the other's spikes. The ends
of the residue u[t−1] step by step, joined over silent and fired, give v[t] ∈ λ·u[t−1] + I[t] as well; v lies in
both, and so s_low[t] = [v_low ≥ θ] and s_high[t] = [v_high ≥ θ] hold s[t]: by induction, each step. ∎
The two runs remember how much came in; the ends of u where a decided neuron stands. Either is better at times.
"""

import torch
from torch import Tensor

from ...models.dynamics import Dynamics
from ...models.running.compiled import covers, kernel_for
from .compiled_ends import CoupledSpikeEnds
from .firing import after_reset, fire


def coupled_ends(
    low: Tensor, high: Tensor, dynamics: Dynamics, num_steps: int, kernel: str
) -> tuple[Tensor, Tensor]:
    """Return the spikes that must be and those that may be, each (T, batch, ...).

    Args:
        low, high: ends of the currents, (T, batch, ...), or (1, batch, ...) if they are constant.
        dynamics: with a reset that subtracts, of any decay.
        num_steps: T.
        kernel: the neuron's, "eager" or "compiled".
    """
    compiled = kernel_for(kernel, low, None)
    if compiled is None or not covers(dynamics):
        return _run(low, high, dynamics, num_steps)
    found = CoupledSpikeEnds.apply(torch.stack((low, high)), dynamics, num_steps, compiled)
    return found[0], found[1]  # pyright: ignore[reportIndexIssue, reportOptionalSubscript]


def _run(low: Tensor, high: Tensor, dynamics: Dynamics, num_steps: int) -> tuple[Tensor, Tensor]:
    decay, drop = dynamics.decay, dynamics.drop
    own_low = own_high = residue_low = residue_high = torch.zeros_like(low[0])
    must: list[Tensor] = []
    may: list[Tensor] = []
    for least, most in zip(_steps(low, num_steps), _steps(high, num_steps), strict=True):
        own_low, own_high = least + decay * own_low, most + decay * own_high
        below = torch.maximum(own_low, least + decay * residue_low)
        above = torch.minimum(own_high, most + decay * residue_high)
        must.append(fire(below, dynamics))
        may.append(fire(above, dynamics))
        own_low, own_high = own_low - drop * may[-1], own_high - drop * must[-1]
        residue_low, residue_high = after_reset(below, above, must[-1], may[-1], dynamics)
    return torch.stack(must), torch.stack(may)


def _steps(ends: Tensor, num_steps: int) -> tuple[Tensor, ...]:
    return ends.expand(num_steps, *ends.shape[1:]).unbind()
