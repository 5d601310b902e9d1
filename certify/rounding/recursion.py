"""What a recursion over time may stray by, in the run: potentials v[t] = λ·u[t−1] + x[t], synapses, thresholds.

**One step.** The run computes v̂ = fl(fl(λ̂·û) + x̂) with λ̂ = fl(λ), and after a subtracting reset û = fl(v̂ −
d̂). With |û| ≤ M and |x̂| ≤ X that is at most 3.01u·λM + u·(λM + X) from λ·û + x̂, the reset adds u·(λM + X +
d) and u·d for d̂, and x̂ = fl(â·Î) three roundings of |a·I|. So 8u·(λM + X + δ), δ = max(θ, d), and `smallest`
for what underflows, cover a neuron's step, and 8u·(κM + X) a synapse's, with room for the bound's own rounding
(its unit is part of u, see units.py).

**All steps.** |û[t]| ≤ S·(|x| + δ) with S = Σ_{k<T} λ^k. Adding one step's error to each current makes every
rounded run a run of the exact recursion on wider currents.

**A threshold** θ̂ = fl(θ) is compared exactly: both outcomes are taken within 8u·θ of θ.

**A state of several numbers**, z₀ = u the potential and z_i[t] = κ_i·z_i[t−1] + e_i·s[t] or the like: what
enters is 0 or one constant, at most e_i. So z_i is a synapse of its own: the run's ẑ_i[t] is within E_i =
8u·(κ_i·A_i + e_i) + η of κ_i·ẑ_i[t−1] + e_i·s[t], A_i ≥ |ẑ_i| its `filtered_size`. A box that holds the run's own
ẑ[t−1] therefore holds ẑ[t] after the exact step once z_i is widened by E_i; of the potential it is the widened
current that pays, as before, since no reset is larger than δ.

**Its threshold** B = θ + Σ w_i·z_i, w_i ≥ 0, for up to `MOST_NUMBERS` numbers: the run computes B̂ with
3.01u·w_i·A_i + η for each product (ŵ_i, the product, its share of a sum), 1.01u·θ, and a sum for each: within
8u·(θ + Σ w_i·A_i) + η·n of θ + Σ w_i·ẑ_i, with as much room for the bound's own two roundings a number.

**Numbers that enter each other**: a step is a sum of products of constants and numbers, where no term takes more
than n roundings, those of its constants included, and n ≤ 20. With Z_k ≥ |ẑ_k| and X ≥ |x| it is off by at most
E_i = c·(Σ_k w_ik·Z_k + h_i·X + e_i) + nη·(1 + h_i), c = (8n/5)·u, from the exact step of ẑ[t−1], as (1 + u)^n − 1
≤ 1.1n·u; the rest is for the bound's own interval of it. What underflows in the potential, η a product, reaches
z_i times a share of h_i. Z is what iterating |z| ≤ (1 + c)·(W·|z| + h·X + e) + nη·(1 + h) reaches within T steps.
The run's v̂ − B̂ is as far from the exact v − B of ẑ[t−1], so that both outcomes are taken within that of 0. A box
that holds ẑ[t−1] therefore holds ẑ[t] behind the exact step, once each number is widened by its E.

**A source** that strays otherwise spikes as the exact neuron does within e = `stray`·θ of its threshold: ties
are wider by that, and so are breakpoints, as v[k] = I·α_k, α_k ≥ 1. Where currents pay, 2e a step do the same:
a run that is off by d[t], |d[t]| ≤ e, is one whose currents are off by d[t] − λ·d[t−1].

**A first spike** under a constant current: v[k] = I·α_k, α_k = Σ_{i<k} λ^i, with relative error below γ_{4k}. So
it may fall at k iff b_k·(1 − γ) ≤ I ≤ b_{k−1}·(1 + γ), b_k = θ/α_k, up to underflow.
"""

from dataclasses import dataclass
from typing import TypeVar, overload

import torch
from torch import Tensor

from ...models.rules import CoupledRecursion, Recursion
from .units import Rounding

Number = TypeVar("Number", float, Tensor)
MOST_NUMBERS = 4
"""Of a state; the potential is one of them."""


@overload
def step_error(decay: float, before: float, entering: float, rounding: Rounding) -> float: ...
@overload
def step_error(decay: float | Tensor, before: Tensor, entering: float | Tensor, rounding: Rounding) -> Tensor: ...
@overload
def step_error(
    decay: float | Tensor, before: float | Tensor, entering: float | Tensor, rounding: Rounding
) -> float | Tensor: ...
def step_error(
    decay: float | Tensor, before: float | Tensor, entering: float | Tensor, rounding: Rounding
) -> float | Tensor:
    """Return 8u·(λ·M + X), what one step strays by beside underflow, for |û| ≤ M = `before` and X = `entering`."""
    return 8 * rounding.unit * (decay * before + entering)


def tie(threshold: Number, rounding: Rounding) -> Number:
    """Return how far from θ the run, or its source's, may find a potential on the other side of it."""
    return (8 * rounding.unit + rounding.stray) * threshold


def recursion_slack(
    widest: Tensor, decay: float | Tensor, span: float | Tensor, num_steps: int, rounding: Rounding
) -> Tensor:
    """Return what a neuron's recursion may add to each of its currents, (batch, ...).

    Args:
        widest: a bound of |a·I|, and of |v₀| beside it where a potential begins there, (batch, ...).
        decay, span: λ and max(θ, d), of all neurons or one each.
        num_steps: T.
        rounding: the dtypes of the run and of the bound.

    Raises:
        OverflowError: where a potential may overflow.
    """
    steps = power_sum(decay, num_steps)
    largest = widest if isinstance(span, Tensor) else float(widest.max())
    check_potential(steps * (largest + span), rounding)
    share = step_error(decay, steps, 1.0, rounding)
    return widest * share + ((share + 2 * rounding.stray) * span + rounding.smallest)


def power_sum(decay: float | Tensor, num_steps: int) -> float | Tensor:
    """Return S = Σ_{k<T} λ^k."""
    total = decay**0
    for k in range(1, num_steps):
        total = total + decay**k
    return total


def check_potential(reach: float | Tensor, rounding: Rounding, of: str = "a membrane potential") -> None:
    """Raise OverflowError where |v| ≤ `reach` does not keep the run from overflowing."""
    most = float(reach.max()) if isinstance(reach, Tensor) else reach
    if not most <= rounding.largest:
        raise OverflowError(f"{of} may reach {most:.3g}, beyond {rounding.dtype}")


def around(breakpoints: Number, num_steps: int, rounding: Rounding) -> tuple[Number, Number]:
    """Return the ends b·(1 − γ) − η and b·(1 + γ) + η of where the run may have its breakpoints b ≥ 0."""
    slack = rounding.gamma(4 * num_steps + 8) + rounding.stray
    return breakpoints * (1 - slack) - rounding.smallest, breakpoints * (1 + slack) + rounding.smallest


@dataclass(frozen=True)
class StateSlack:
    """What makes every run of a rule a run of its exact recursion.

    Attributes:
        current: what widens each scaled current, (batch, ...).
        numbers: what widens each number of the state at each step; of the potential 0.
        tie: how far from its threshold the run may find a potential on the other side of it.
    """

    current: Tensor
    numbers: tuple[Tensor, ...]
    tie: Tensor


def state_slack(recursion: Recursion, widest: Tensor, num_steps: int, rounding: Rounding) -> StateSlack:
    """Return what the run of a rule may stray by.

    Args:
        recursion: of the rule.
        widest: a bound of |a·I|, (batch, ...).
        num_steps: T.
        rounding: the dtypes of the run and of the bound.

    Raises:
        OverflowError: where a potential, another number or the threshold may overflow.
        ValueError: for more numbers than the proof above is for.
    """
    if isinstance(recursion, CoupledRecursion):
        return _coupled_slack(recursion, widest, num_steps, rounding)
    potential, *others = recursion.numbers
    if len(others) >= MOST_NUMBERS:
        raise ValueError(f"recursion: got {len(others) + 1} numbers, expected at most {MOST_NUMBERS}")
    widest = widest + abs(potential.start)
    current = recursion_slack(widest, potential.decay, potential.entering, num_steps, rounding)
    limit, errors = torch.as_tensor(recursion.threshold).to(widest), [torch.zeros_like(widest[:1])]
    for number in others:
        entering = torch.as_tensor(number.entering).to(widest) + abs(number.start)
        size = filtered_size(entering, power_sum(number.decay, num_steps), num_steps, rounding)
        errors.append(filter_error(number.decay, size, entering, rounding))
        limit = limit + number.raises * size
    check_potential(limit, rounding, "a threshold")
    return StateSlack(current, tuple(errors), tie(limit, rounding) + len(others) * rounding.smallest)


def _coupled_slack(recursion: CoupledRecursion, widest: Tensor, num_steps: int, rounding: Rounding) -> StateSlack:
    """Return what the run of a rule may stray by whose numbers enter each other."""
    unit, least = 1.6 * recursion.roundings * rounding.unit, recursion.roundings * rounding.smallest

    def moduli(weights: tuple[float | Tensor, ...], sizes: list[Tensor], heard: Tensor) -> Tensor:
        """Return a sum of moduli of a step."""
        return sum((size * weight for size, weight in zip(sizes, weights, strict=True)), start=heard)

    def stepped(sizes: list[Tensor]) -> list[Tensor]:
        """Return those of each number behind a step."""
        rows = zip(recursion.weights, recursion.heard, recursion.numbers, strict=True)
        return [moduli(weights, sizes, widest * heard + number.entering) for weights, heard, number in rows]

    sizes = largest = [torch.full_like(widest, abs(number.start)) for number in recursion.numbers]
    lost = [least * (1.0 + heard) for heard in recursion.heard]
    for _ in range(num_steps):
        sizes = [size * (1.0 + unit) + own for size, own in zip(stepped(sizes), lost, strict=True)]
        largest = [before.maximum(size) for before, size in zip(largest, sizes, strict=True)]
    compared = moduli(recursion.compared, largest, widest + recursion.threshold)
    for size in (*largest, compared):
        check_potential(size, rounding)
    errors = tuple(size * unit + own for size, own in zip(stepped(largest), lost, strict=True))
    return StateSlack(
        torch.zeros_like(widest), errors, compared * unit + (least + rounding.stray * recursion.threshold)
    )


def filter_error(decay: float | Tensor, size: Tensor, entering: Tensor, rounding: Rounding) -> Tensor:
    """Return E = 8u·(κM + X) + η: how far one step of a synapse's run may be from κ·î[t−1] + x̂[t−d]."""
    return step_error(decay, size, entering, rounding) + rounding.smallest


def filtered_size(size: Tensor, gain: float | Tensor, num_steps: int, rounding: Rounding) -> Tensor:
    """Return M = (1 + γ_{4T})·S·(X + η) ≥ |î| of a synapse, X = `size`, S = `gain` = Σ_{n<T} κ^n.

    It holds since |î[t]| ≤ (1 + u)³·(κ·|î[t−1]| + X + η).

    Raises:
        OverflowError: where the run may overflow its dtype.
    """
    found = (size + rounding.smallest) * (gain * (1.0 + rounding.gamma(4 * num_steps + 4)))
    check_potential(found, rounding, "a synapse")
    return found
