"""How far floating-point arithmetic may stray: what makes a verdict hold for the network as it runs.

With unit roundoff u, a dot product of n terms computed in any order of summation, with or without fused
multiply-add, errs by at most γ_n·Σ|w||x|, γ_n = n·u/(1 − n·u) (Higham, 2002, section 3.1). Each bound is
widened by that error twice over: once for the network's run in its own dtype, and four times for the bound's own
rounding, which is float64's, or float32's where a first look is to be cheap: the same proof, a wider bound.

Why four times is enough, for one affine layer on a box [l, u]: middle m and radius r each take one rounding, and
their products with W and |W| at most γ_n·|W||m| and γ_n·|W||r|, where |m| + r ≤ max(|l|, |u|), the magnitude that
γ is multiplied with. The sums with bias and slack, the two ends and the slack's own products take the rest:
n + 10 roundings at most, of the 4·(n + 2) that are paid. Where only k products may be other than 0, the bound's
own are 0 at the others, too, and k stands for n; for k = 0 only the slack and the two ends round, and 8 are paid.

What a recursion over time may stray by, in the run: potentials v[t] = λ·u[t−1] + x[t], synapses, thresholds.

**One step.** The run computes v̂ = fl(fl(λ̂·û) + x̂) with λ̂ = fl(λ), and after a subtracting reset û = fl(v̂ −
d̂). With |û| ≤ M and |x̂| ≤ X that is at most 3.01u·λM + u·(λM + X) from λ·û + x̂, the reset adds u·(λM + X +
d) and u·d for d̂, and x̂ = fl(â·Î) three roundings of |a·I|. So 8u·(λM + X + δ), δ = max(θ, d), and `smallest`
for what underflows, cover a neuron's step, and 8u·(κM + X) a synapse's, with room for the bound's own rounding
(its unit is part of u).

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

What sums may stray by, in the run and in the bound: of products, of two signals, and over time.

γ_n·Σ|terms| in any order of summation. A weighted sum over time, Σ_t r[t]·x[t], with rows of powers,
takes in run and bound at most 3T + 2 roundings for the powers and the recursion that stands for them and T for the
sum: γ_{4T+8}. Behind an affine layer of n terms those come on top of n.

**Zeros round nothing.** Of the n products of an output let all but k be of an x that is 0, with finite weights.
Then γ_{k+1}·(Σ|w||x| + |b|) bounds what the run strays by, in any order, blocking or padding by zeros, with fused
multiply-adds or without. *Proof:* such a run is a tree: its leaves are the products, the bias and the zeros that
blocks are filled with, its inner nodes are additions. fl(w·0) = 0, fl(a + 0) = a and fma(w, 0, a) = a, up to the
sign of a zero, which no sum tells. So a node rounds only if leaves that may be other than 0 lie below both of its
sides. There are at most k + 1 of them; on its way to the root each meets at most k nodes that round, since every
such node brings in another one, and a product is rounded once before: at most k + 1 factors 1 + δ, |δ| ≤ u
(Higham, 2002, lemma 3.1). ∎ Of a spike's products, w·1, not even that one rounds. `product_error` pays for k + 2,
as for n.

x is 0 where a bound of its modulus is. A step's own bound serves where a layer that fires follows, for that is run
step by step; where none does, a run may take the mean over time before the map: a bound for all steps is due.

What a readout's arithmetic may stray by.

A mean over time of a sum that is bounded already is one division, and its ends a few sums: 16u·|z| cover them. Of
potentials the run's recursion takes 2T + 2 roundings, powers of λ rounded to its dtype T more, and a sum over time
T more: γ_{4T+8}·Σ|row|·max|x|, and what underflows, at most T times in each of T potentials. A maximum never
rounds.
"""

import math
from dataclasses import dataclass
from typing import TypeVar, overload

import torch
from torch import Tensor

from ..models.circuit import Circuit
from ..models.rules import CoupledRecursion, Recursion


@dataclass(frozen=True)
class Rounding:
    """The floating-point type that a network runs in, and the one its bound is computed in, as constants.

    Attributes:
        dtype: of the run.
        bound: of the bound; it must hold the run's numbers exactly.
        whole: whether all numbers are whole, so that none rounds: see models/circuit/lowering.py.
        factor, stray: of what a converted network carries of its source (models/source.py).
    """

    dtype: torch.dtype
    bound: torch.dtype = torch.float64
    whole: bool = False
    factor: float = 1.0
    stray: float = 0.0

    @staticmethod
    def of(circuit: Circuit) -> "Rounding":
        """Return that of a circuit's run, and of its source's."""
        allowed = circuit.allowance
        return Rounding(circuit.dtype, whole=circuit.whole, factor=allowed.factor, stray=allowed.stray)

    @property
    def unit(self) -> float:
        """Return F·u_run + 4·u_bound: the relative error of one operation, in the run and in the bound."""
        if self.whole:
            return 0.0
        return self.factor * torch.finfo(self.dtype).eps / 2 + 4 * torch.finfo(self.bound).eps / 2

    @property
    def smallest(self) -> float:
        """Return an absolute error that covers underflow of one step, flushing to zero included."""
        if self.whole:
            return 0.0
        return 8 * torch.finfo(self.dtype).tiny + 16 * torch.finfo(self.bound).tiny

    @property
    def largest(self) -> float:
        """Return the magnitude above which the run may overflow, or whole numbers no longer be exact."""
        return 2.0**51 if self.whole else torch.finfo(self.dtype).max / 8

    @overload
    def gamma(self, terms: int) -> float: ...
    @overload
    def gamma(self, terms: Tensor) -> Tensor: ...
    def gamma(self, terms: int | Tensor) -> float | Tensor:
        """Return γ_terms for the run and the bound together; of each of many numbers of terms, float64.

        Raises:
            OverflowError: where terms·u ≥ 1/2: nothing can be said of so long a sum.
        """
        product: float | Tensor = (terms + 2) * self.unit
        if not float(product.max() if isinstance(product, Tensor) else product) < 0.5:
            raise OverflowError(f"terms: a sum of {terms} terms in {self.dtype} has no useful error bound")
        return product / (1.0 - product)


def euclidean(values: Tensor, dim: int) -> Tensor:
    """Return at least the Euclidean length along `dim`, up to relative rounding: squares may vanish, so each pays.

    >>> bool(euclidean(torch.tensor([3e-200], dtype=torch.float64), 0) >= 3e-200)
    True
    """
    return (values.square().sum(dim) + values.shape[dim] * torch.finfo(values.dtype).tiny).sqrt()


def above(value: float) -> float:
    """Return `value` moved up by four units in the last place."""
    return value + 4 * math.ulp(value)


def below(value: float) -> float:
    """Return `value` moved down by four units in the last place."""
    return value - 4 * math.ulp(value)


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


def over_time(num_steps: int) -> int:
    """Return 4T + 8, the roundings that a weighted sum over time adds to each of its terms."""
    return 4 * num_steps + 8


def over_rows(num_steps: int) -> int:
    """Return 4T + 4, those of rows and their sum where what is read of it pays for the rest (propagation.py)."""
    return 4 * num_steps + 4


@overload
def product_error(terms: int, rounding: Rounding, further: int = 0) -> float: ...
@overload
def product_error(terms: Tensor, rounding: Rounding, further: int = 0) -> Tensor: ...
def product_error(terms: int | Tensor, rounding: Rounding, further: int = 0) -> float | Tensor:
    """Return γ for an affine output of n = `terms` products, and `further` roundings of a sum over time.

    Only products that may be other than 0 count; outputs that have different numbers of them have a γ each.
    """
    return rounding.gamma(terms + further)


def own_error(terms: int) -> float:
    """Return γ for n = `terms` roundings of a bound's own float64, where the run's are paid elsewhere."""
    return Rounding(torch.float64).gamma(terms)


def lost_products(terms: int, largest: float, reach: float, rounding: Rounding) -> float:
    """Return what underflow may take from n products: of each, of its weight ≤ `largest`, of its x ≤ `reach`."""
    return rounding.smallest * terms * (1.0 + reach + largest)


def widened(exact: Tensor, terms: int, rounding: Rounding) -> Tensor:
    """Return a bound of the run's moduli from the exact Σ|w||x| + |b|."""
    return exact * (1.0 + rounding.gamma(terms + 4))


def sum_magnitude(one: Tensor, other: Tensor, rounding: Rounding) -> Tensor:
    """Return a bound of the run's |x + y|, from those of |x| and |y|."""
    return (one + other) * (1.0 + rounding.gamma(2))


def sum_slack(magnitude: Tensor, num_steps: int, rounding: Rounding) -> Tensor:
    """Return what a sum of two signals adds, at each step and in a sum over time, to each unit of weight."""
    return magnitude * rounding.gamma(num_steps + 2)


def weighted_slack(magnitude: Tensor, num_steps: int, rounding: Rounding, further: int = 0) -> Tensor:
    """Return what a weighted sum over time adds to each unit of weight, for signals up to `magnitude`."""
    return magnitude * rounding.gamma(over_time(num_steps) + further)


def reading_slack(magnitude: Number, rounding: Rounding) -> Number:
    """Return 16u·|z|, what reading a sum over time adds to each end."""
    return 16 * rounding.unit * magnitude


def integration_slack(magnitude: Tensor, weight: Tensor | float, num_steps: int, rounding: Rounding) -> Tensor:
    """Return how far the run's potentials, or their sum, may be from the sums of its own x, Σ|row| = `weight`."""
    return weighted_slack(magnitude * weight, num_steps, rounding) + vanished(num_steps, rounding)


def vanished(num_steps: int, rounding: Rounding) -> float:
    """Return what underflows in T potentials of up to T terms."""
    return rounding.smallest * num_steps**2
