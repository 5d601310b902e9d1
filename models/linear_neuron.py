"""`LinearNeuron`: what all neurons are that are more than `Leaky`, declared by constants, as plain numbers.

    v[t] = λ·u[t−1] − γ·w[t−1] + I[t],      B[t] = θ + β·w[t−1],      s[t] = 1 iff v[t] ≥ B[t],
    u[t] = v[t] − (d + ε·w[t−1])·s[t]  ("subtract"),   v[t]·(1 − s[t])  ("zero")   or   v[t]  ("none"),
    w[t] = ρ·w[t−1] + μ·u[t−1] + η·I[t] + σ·v[t] + j·s[t],      w[0] = 0.

w is no number, one, or up to twelve: then γ, β, ε, μ, η, σ and j are vectors of as many, and ρ is a matrix.
Besides a neuron may **rest**, silent and at exactly 0, for R steps behind each spike; **start** at a u[0] of its
own; have a **floor** f ≤ 0, when what is left is max(u[t], f); have λ[t], θ[t], d[t] and a[t]·I[t] of **each
step**; and, where it subtracts, fire up to N times **a step**, as if it fired and was reset one by one:

    s[t] = how many of n = 1..N have v[t] ≥ B[t] + (n − 1)·d,      u[t] = v[t] − d·s[t].

Thresholds that rise by spikes (ALIF: β, j), states that take from the potential (adLIF: γ, σ, j), and neurons of
which the raised threshold is also what is taken away (ε = β, d = θ; a step later d = (θ + β·j)/λ, ε = β·ρ/λ) are
such neurons; so is each linear recurrence x[t] = A·x[t−1] + b·I[t] − r·s[t] whose first state is compared with θ
before the reset: a dendrite and a soma that drive each other (TC-LIF), what resonates, spike responses Σ h·I + Σ
g·s of several exponentials. A is λ, −γ, μ and ρ then, b (1, η), r (d, −j).

**What readers go by** is no name of a neuron: `features` says what there is beyond `Leaky`, and a reader lists
those that it answers for. What has none of them *is* `Leaky` (`normal`), whatever layer states it.

**Rounding.** Where numbers do not enter each other (ρ a diagonal in [0, 1], no γ, μ, η, σ, ε) each is a recursion
of its own. Elsewhere no term of a step takes more than 7 + m roundings, with m of w: λ·u reaches w by λ̂, a
product, 1 + m sums, σ̂, a product and two sums, and one more where u[0] is a start of its own; γ_k·w_k by no more,
and ρ·w_k by m + 5; all others, a product d·s among them, by fewer. Several spikes are compared with B + (n − 1)·d,
a product and a sum more than B, and take away N·d at most; of constants a step the greatest of all steps counts,
for what a run strays by grows with each of them. A floor is a maximum, which rounds nothing but f itself: as a
reset it is at most δ = max(θ, N·d, |f|) (certify/rounding.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from math import prod
from typing import Any, ClassVar, TypeGuard

import torch
from torch import Tensor

from .constants import at_least, check_normal, positive, real, settle, share, unless_none, wholes
from .dynamics import FIRES_AT, RESETS
from .rules import (
    FEATURES,
    FLOOR,
    LEAKY,
    RESTS,
    SEVERAL,
    START,
    STATES,
    STEPS,
    VARIED,
    WHOLE,
    CoupledRecursion,
    DeclaredRule,
    Label,
    Leaky,
    Move,
    Number,
    Range,
    Recursion,
    Rule,
    kinds,
    plain,
)
from .validation import check_choice

AXES = {
    "decay": 0,
    "threshold": 0,
    "reset_amount": 0,
    "fading": 2,
    "jump": 1,
    "drive": 1,
    "carry": 1,
    "drain": 1,
    "rise": 1,
    "reset_rise": 1,
    "hearing": 1,
}
"""The constants, and how many axes each has in front where there are several w."""
OWN = ("decay", "threshold", "reset_amount")
"""Those of the potential."""
MIXING = ("drive", "carry", "drain", "reset_rise", "hearing")
"""Those by which numbers enter each other."""
MOST_OTHERS = 12
"""How many w there may be: so many steps a table of what own spikes add may have, each of which is a w."""
MOST_SPIKES = 255
"""Of a step."""
FEW_OTHERS = 3
"""How many w have recursions of their own: `MOST_NUMBERS` of certify/rounding.py, but the potential."""


@dataclass(frozen=True)
class LinearNeuron(DeclaredRule):
    """The neurons of a layer.

    Attributes:
        decay, threshold, reset_amount: λ, θ > 0 and d, flattened, of each step one behind the other where they
            have `steps`; without w λ ∈ [0, 1] and d > 0.
        shape: how constants are laid out: as torch broadcasts it to the features of a sample, () for one of all
            neurons, (n,) for one a neuron, (c, 1, 1) for one a channel of an image.
        reset: "zero", "subtract" or "none", of all neurons.
        fires_at: ">=" or ">", of all neurons.
        others: m, how many w there are.
        fading, jump, drive, carry, drain, rise, reset_rise, hearing: ρ, j, σ, μ, γ, β, ε and η, each flattened,
            (m, m, *shape) or (m, *shape).
        rest: R ≥ 0, of neurons without w that reset to zero.
        start: u[0].
        floor: f ≤ 0, or None.
        steps: T where λ, θ and d are told of each step, of neurons that do not rest; 0: the same at all.
        scale: a, one number a step; None for a = 1.
        most: N, more than 1 only where they subtract an amount above 0 that no w changes.
        called: by what names a layer calls its constants, where these are others.
    """

    first: ClassVar[Label] = (0, 0, 0)

    decay: tuple[float, ...]
    threshold: tuple[float, ...]
    reset_amount: tuple[float, ...]
    shape: tuple[int, ...] = ()
    reset: str = "zero"
    fires_at: str = ">="
    others: int = 0
    fading: tuple[float, ...] = ()
    jump: tuple[float, ...] = ()
    drive: tuple[float, ...] = ()
    carry: tuple[float, ...] = ()
    drain: tuple[float, ...] = ()
    rise: tuple[float, ...] = ()
    reset_rise: tuple[float, ...] = ()
    hearing: tuple[float, ...] = ()
    rest: int = 0
    start: float = 0.0
    floor: float | None = None
    steps: int = 0
    scale: tuple[float, ...] | None = None
    most: int = 1  # pyright: ignore[reportIncompatibleMethodOverride]
    called: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", wholes("shape", self.shape))
        check_choice("reset", self.reset, RESETS)
        check_choice("fires_at", self.fires_at, FIRES_AT)
        settle(self, at_least(0), "rest", "steps")
        settle(self, at_least(1), "most")
        settle(self, real, "start")
        if not 0 <= self.others <= MOST_OTHERS:
            raise ValueError(f"others: got {self.others}, expected 0 to {MOST_OTHERS}")
        alone = {"threshold": positive, **({} if self.others else {"decay": share, "reset_amount": positive})}
        for name, axes in AXES.items():
            values = tuple(alone.get(name, real)(name, value) for value in getattr(self, name))
            object.__setattr__(self, name, values)
            count = prod(self.shape) * prod(front_axes(name, self.others, self.steps))
            if len(values) != count or not (values or axes):
                raise ValueError(f"{name}: got {len(values)} numbers, expected {count}, of shape {self.shape}")
        if self.rest and (self.others or self.reset != "zero"):
            raise ValueError(f"rest: got {self.rest}, expected 0 unless neurons of one number reset to zero")
        self._check_steps()
        settle(self, unless_none(real), "floor")
        if self.floor is not None and self.floor > 0:
            raise ValueError(f"floor: got {self.floor}, expected at most 0, or None")

    def _check_steps(self) -> None:
        if self.scale is not None:
            object.__setattr__(self, "scale", tuple(real("input_scale", a) for a in self.scale))
            if len(self.scale) != self.steps:
                raise ValueError(f"input_scale: got {len(self.scale)} numbers, expected {self.steps}, one a step")
        if self.steps and self.rest:
            raise ValueError(f"rest: got {self.rest}, expected 0 of neurons with constants a step")
        plainly = self.reset == "subtract" and min(self.reset_amount) > 0 and not any(self.reset_rise)
        if self.most > MOST_SPIKES or (self.most > 1 and not plainly):
            told = f'expected 1, or up to {MOST_SPIKES} with reset "subtract", reset_amount > 0 and no reset_rise'
            raise ValueError(f"most: got {self.most}, {told}")

    @property
    def normal(self) -> Rule:
        """Return the same neurons without what moves nothing: as `Leaky` where that is all they are."""
        if self.steps and (same := self._alike) is not None:
            return same
        if self.others and self._still:
            amount = self.reset_amount if self.reset == "subtract" else self.threshold
            if all(0 <= decay <= 1 for decay in self.decay) and all(d > 0 for d in amount):
                none = dict.fromkeys((name for name, axes in AXES.items() if axes), ())
                return replace(self, reset_amount=amount, others=0, **none).normal
        return self if self.features else self.kinds[0]

    @property
    def _alike(self) -> Rule | None:
        """Return the neurons that these are where λ, θ and d are the same at all steps; None if a matters."""
        count = prod(self.shape)
        own = {name: getattr(self, name) for name in OWN}
        if any(values != values[:count] * self.steps for values in own.values()):
            return None
        first = {name: values[:count] for name, values in own.items()}
        found = replace(self, **first, steps=0, scale=None).normal
        if self.scale is None or set(self.scale) == {1.0}:
            return found
        return replace(found, scale=self.scale) if plain(found) else None

    @property
    def _still(self) -> bool:
        """Return whether all w stay 0, exactly, or are few numbers that nothing hears and that stay small."""
        unmoved = not any((*self.jump, *self.drive, *self.carry, *self.hearing))
        small = all(abs(jump) <= 1 for jump in self.jump) and not any(self.rise)
        return unmoved or (small and not self.mixes)

    @cached_property
    def mixes(self) -> bool:
        """Return whether numbers enter each other, or grow, so that none has a recursion of its own."""
        if any(any(getattr(self, name)) for name in MIXING) or not all(0 <= own <= 1 for own in self.decay):
            return True
        fading = torch.tensor(self.fading, dtype=torch.float64).view(self.others, self.others, -1)
        apart = fading * (1.0 - torch.eye(self.others, dtype=torch.float64)[:, :, None])
        grows = bool((fading < 0).any() or (fading > 1).any() or apart.any())
        return grows or any(rise < 0 for rise in self.rise) or self.others > FEW_OTHERS

    @cached_property
    def features(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return what these neurons have beyond `Leaky`."""
        if type(self) is not LinearNeuron:
            return frozenset({f"rule {type(self).__name__}"})
        there = {
            VARIED: not self.others and not self.steps and len(set(self._constants)) > 1,
            RESTS: self.rest > 0,
            START: self.start != 0.0,
            STATES: self.others > 0,
            FLOOR: self.floor is not None,
            STEPS: self.steps > 0,
            SEVERAL: self.most > 1,
        }
        return frozenset(name for name, has in there.items() if has)

    @cached_property
    def kinds(self) -> tuple[Leaky, ...]:
        """Return the potential's rule of each kind of neuron, each once, in the order in which they first come."""
        return tuple(Leaky(*c[:2], self.reset, self.fires_at, c[2]) for c in dict.fromkeys(self._constants))

    @property
    def _constants(self) -> Iterator[tuple[float, float, float]]:
        return zip(self.decay, self.threshold, self.reset_amount, strict=True)

    @property
    def slowest(self) -> float:
        """Return the greatest λ."""
        return max(self.decay)

    def places(self, features: tuple[int, ...]) -> tuple[Tensor, ...]:
        """Return the places of each kind's neurons among the flattened features of a sample.

        Raises:
            ValueError: as `laid`.
        """
        index = {constants: place for place, constants in enumerate(dict.fromkeys(self._constants))}
        which = torch.tensor([index[constants] for constants in self._constants]).view(self.shape)
        which = laid(which, features).flatten()
        return tuple((which == kind).nonzero().flatten() for kind in range(len(self.kinds)))

    def constants(self, like: Tensor) -> tuple[float | Tensor, float | Tensor, float | Tensor]:
        """Return λ, θ and d: as (*features) for signals like (time, batch, *features), one number if of all.

        Of constants a step it is the greatest modulus of each.
        """
        if not self.shape and not self.steps:
            return self.decay[0], self.threshold[0], self.reset_amount[0]
        decay, threshold, drop = (self.laid(like)[name] for name in OWN)
        return decay, threshold, drop

    def laid(self, like: Tensor, t: int | None = None) -> dict[str, Tensor]:
        """Return all constants of each feature, behind the axes of w, for states (labels, batch, *features).

        Of constants a step it is those of step t = 0..T−1; None: the greatest moduli of all steps.
        """
        key = tuple(like.shape[2:]), like.dtype, like.device, t
        if (found := self._known.get(key)) is None:
            arrays = {name: torch.tensor(getattr(self, name), dtype=torch.float64) for name in AXES}
            for name in OWN if self.steps else ():
                each = arrays[name].view(self.steps, -1)
                arrays[name] = each.abs().amax(0) if t is None else each[t]
            own = {name: array.to(like) for name, array in arrays.items()}
            found = parts(own, self.shape, self.others, key[0])
            self._known.clear()
            self._known[key] = found
        return found

    @cached_property
    def _known(self) -> dict[Any, dict[str, Tensor]]:
        """Return what was laid out last."""
        return {}

    def factors(self, num_steps: int) -> tuple[float, ...]:
        """Return a over T steps."""
        return super().factors(num_steps) if self.scale is None else self.scale

    def check(self, dtype: torch.dtype) -> None:
        """Raise ValueError for a constant that is subnormal, or beyond the range, in the dtype of the run."""
        for name in AXES:
            for value in set(getattr(self, name)):
                check_normal(dict(self.called).get(name, name), value, dtype)
        check_normal("start", self.start, dtype)
        check_normal("floor", self.floor or 0.0, dtype)
        for value in self.scale or ():
            check_normal("input_scale", value, dtype)

    def recursion(self, like: Tensor) -> Recursion:
        """Return how each number goes, or by what moduli each enters the others."""
        if self.others and self.mixes:
            return self._mixed({name: of.abs() for name, of in self.laid(like).items()})
        decay, threshold, drop = self.constants(like)
        taken = self.most * torch.as_tensor(drop if self.reset == "subtract" else threshold).abs()
        span = torch.as_tensor(threshold).maximum(taken).clamp_min(abs(self.floor or 0.0))
        highest = threshold + (self.most - 1) * drop
        potential = Number(decay, span if self.shape or self.steps else float(span), start=self.start)
        return Recursion(highest, (potential, *(self._number(i, like) for i in range(self.others))))

    def _number(self, i: int, like: Tensor) -> Number:
        """Return how a w goes by itself, in plain numbers where they are those of all neurons."""
        if not self.shape:
            return Number(self.fading[i * self.others + i], self.most * abs(self.jump[i]), raises=self.rise[i])
        c = self.laid(like)
        return Number(c["fading"][i, i], self.most * c["jump"][i].abs(), raises=c["rise"][i])

    def _mixed(self, c: dict[str, Tensor]) -> CoupledRecursion:
        subtracts = float(self.reset == "subtract")
        potential = (c["decay"], *(c["drain"] + c["reset_rise"] * subtracts))
        rows = zip(c["drive"], c["carry"], c["fading"], strict=True)
        adapted = [(drive * c["decay"] + carry, *(own + drive * c["drain"])) for drive, carry, own in rows]
        taken = c["reset_amount"] * (self.most * subtracts) + abs(self.floor or 0.0)
        numbers = Number(1.0, taken, start=self.start), *(Number(1.0, self.most * jump) for jump in c["jump"])
        heard = (torch.ones_like(c["decay"]), *(c["drive"] + c["hearing"]))
        compared = (c["decay"], *(c["drain"] + c["rise"]))
        roundings = 7 + self.others + (self.start != 0.0)
        highest = c["threshold"] + (self.most - 1) * c["reset_amount"]
        return CoupledRecursion(highest, numbers, (potential, *adapted), heard, compared, roundings)

    def moves(
        self, labels: tuple[Label, ...], state: tuple[Range, ...], current: Range, tie: float | Tensor
    ) -> tuple[Move, ...]:
        """Return v up to B, and v from B + (n − 1)·d on, reset, with what each w becomes; silence at 0 at rest.

        A difference of two sums that both hold w is taken as one sum. What is known of v by itself, and of the sum
        that u or w is, hold both. Of constants a step the labels say which step it is.
        """
        c, (left, *adapted) = self.laid(current.low, labels[0][0] if self.steps else None), state

        def summed(*names: str) -> Range:
            """Return λ·u + I less what these constants make of w."""
            some = [c[name] for name in names if name in self._there]
            taken = zip(adapted, -torch.stack(some).sum(0), strict=True) if some else ()
            return total((left, c["decay"]), *taken) + current

        potential = summed("drain")
        over = summed("drain", "rise") + -c["threshold"]
        raised = [*zip(adapted, c["rise"], strict=True)] if "rise" in self._there else []
        limit = total((Range(c["threshold"], c["threshold"]), 1.0), *raised)
        whole = summed("drain", "reset_rise") if "reset_rise" in self._there else None
        fits = 0 if self.most == 1 else int(((over.high + tie) / c["reset_amount"]).amax().ceil())
        alike = None if "drive" in self._there else self._adapted(c, left, adapted, current, potential)

        def outcome(n: int) -> Move:
            """Return what n spikes leave."""
            known, possible = potential, []
            if n < self.most:
                more = n * c["reset_amount"] + tie if n else tie
                known, possible = known.below(limit.high + more), [over.low <= more]
            if n:
                fewer = (n - 1) * c["reset_amount"] - tie if n > 1 else -tie
                known, possible = known.above(limit.low + fewer), [*possible, over.high >= fewer]
            moved = self._adapted(c, left, adapted, current, known) if alike is None else alike
            after = (w + n * jump if n else w for w, jump in zip(moved, c["jump"], strict=True))
            behind, may = self._behind(n, known, whole, c, adapted), reduce(Tensor.logical_and, possible)
            if self.rest:
                awake = kinds(labels, current.low) == 0
                behind, may = behind.where(awake, known.times(0.0)), may & awake if n else may | ~awake
            return Move(may, (behind, *after))

        return tuple(outcome(n) for n in range(min(self.most, max(fits, 0) + 1) + 1))

    @cached_property
    def _there(self) -> frozenset[str]:
        """Return which constants of w are not 0 everywhere."""
        return frozenset(name for name, axes in AXES.items() if axes and any(getattr(self, name)))

    def _behind(
        self, n: int, fires: Range, whole: Range | None, c: dict[str, Tensor], adapted: list[Range]
    ) -> Range:
        """Return what n spikes leave of potentials, `whole` those that subtract less what each w adds to that."""
        if n and self.reset == "zero":
            return self._floored(fires.times(0.0))
        if n and self.reset == "subtract":
            if whole is not None:
                fires = _both(total((fires, 1.0), *zip(adapted, -c["reset_rise"], strict=True)), whole)
            return self._floored(fires + -n * c["reset_amount"])
        return self._floored(fires)

    def _floored(self, left: Range) -> Range:
        """Return max(u, f)."""
        if self.floor is None:
            return left
        return Range(left.low.clamp_min(self.floor), left.high.clamp_min(self.floor))

    def _adapted(
        self, c: dict[str, Tensor], left: Range, adapted: list[Range], current: Range, potential: Range
    ) -> list[Range]:
        """Return ρ·w + σ·v + μ·u + η·I, for what is known of v, and, where σ is not 0, as one sum."""
        found, given = [], {"drive": potential, "carry": left, "hearing": current}
        for i, own in enumerate(c["fading"]):
            terms = [(signal, c[name][i]) for name, signal in given.items() if name in self._there]
            after, drive = total(*zip(adapted, own, strict=True), *terms), c["drive"][i]
            if "drive" in self._there:
                kept = zip(adapted, own - drive * c["drain"], strict=True)
                driven = (left, drive * c["decay"] + c["carry"][i]), (current, drive + c["hearing"][i])
                after = _both(after, total(*kept, *driven))
            found.append(after)
        return found

    def label(self, label: Label, spike: int, t: int) -> Label:
        """Return how many steps of rest are left, the last spike's step, and how many there were.

        Without w only the step is kept, or only the count where the reset subtracts. Of constants a step the first
        number is t.
        """
        first = t if self.steps else self.rest if spike else max(0, label[0] - 1)
        if not spike:
            return (first, *label[1:])
        if self.others:
            return (first, t, label[2] + spike)
        return (first, label[1] + spike, 0) if self.reset == "subtract" else (first, t, 0)


BEYOND = frozenset(FEATURES) - {LEAKY, WHOLE}
"""What a `LinearNeuron` may have."""


def linear(rule: Rule | None) -> TypeGuard[LinearNeuron]:
    """Return whether neurons are of this declaration, and no plain ones."""
    return rule is not None and rule.features <= BEYOND


def varied(rule: Rule | None) -> TypeGuard[LinearNeuron]:
    """Return whether they have a potential alone, and constants that differ."""
    return rule is not None and rule.features <= {VARIED}


def resting(rule: Rule | None) -> TypeGuard[LinearNeuron]:
    """Return whether they are alike, of a potential alone that is reset to 0, and rest or start elsewhere."""
    return linear(rule) and rule.features <= {RESTS, START} and rule.reset == "zero"


def leaking(rule: Rule | None) -> TypeGuard[Leaky | LinearNeuron]:
    """Return whether neurons are leaky ones of a potential alone, whose constants may differ."""
    return rule is not None and rule.features <= {LEAKY, VARIED}


def laid(constants: Tensor, features: tuple[int, ...]) -> Tensor:
    """Return constants as the features of a sample have them.

    Raises:
        ValueError: where they do not fit: torch would make more neurons of them, or take the batch for features.
    """
    shape = tuple(constants.shape)
    fits = len(shape) <= len(features) and all(
        own in (1, size) for own, size in zip(reversed(shape), reversed(features), strict=False)
    )
    if not fits:
        raise ValueError(f"inputs: got features {tuple(features)}, expected what constants of shape {shape} fit")
    return constants.expand(features)


def front_axes(name: str, others: int, steps: int) -> tuple[int, ...]:
    """Return the axes that a constant has before those of neurons: of w, or of steps where each has its own."""
    return (steps,) if steps and name in OWN else (others,) * AXES[name]


def parts(
    arrays: dict[str, Tensor], shape: tuple[int, ...], others: int, features: tuple[int, ...], steps: int = 0
) -> dict[str, Tensor]:
    """Return the constants of each feature of a sample, behind the axes of w, which are there for one w, too."""
    found, none = dict[str, Tensor](), arrays["decay"].new_zeros(0)
    for name, array in (dict.fromkeys(AXES, none) | arrays).items():
        front = front_axes(name, others, steps)
        each = [laid(part, features) for part in array.reshape(prod(front), *shape)]
        found[name] = torch.stack(each).reshape(*front, *features) if each else array.new_zeros(*front, *features)
    return found


def total(*terms: tuple[Range, float | Tensor]) -> Range:
    """Return the ends of a sum of numbers times factors of any sign."""
    products = [_times(number, torch.as_tensor(factor).to(number.low)) for number, factor in terms]
    return reduce(lambda one, other: one + other, products)


def _times(number: Range, factor: Tensor) -> Range:
    one, other = number.low * factor, number.high * factor
    return Range(one.minimum(other), one.maximum(other))


def _both(one: Range, other: Range) -> Range:
    """Return where two ranges meet, both of which hold a number: at least a point, where rounding parts them."""
    low, high = one.low.maximum(other.low), one.high.minimum(other.high)
    return Range(low.minimum(high), high.maximum(low))
