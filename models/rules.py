"""What a spiking layer does, as plain numbers: the one truth that every reader of a network goes by.

A rule is made when a network becomes a circuit, from the layer as it is then. It holds Python numbers and tuples
only, so it can be a key of a cache, and nothing behind it sees a tensor that changes or a number that wraps.

A `DeclaredRule` says besides what its automaton is: readers that ask for no more answer for every such rule.
Others list the `features` that they answer for: what a rule has beyond `Leaky`, whatever the name of its type.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, TypeGuard

import torch
from torch import Tensor, nn

from .constants import check_normal, positive, real, settle, share
from .dynamics import FIRES_AT, RESETS, Dynamics
from .validation import check_choice

LEAKY, VARIED, RESTS, START, STATES, FLOOR, STEPS, SEVERAL, WHOLE = FEATURES = (
    "plain leaky neurons",
    "varied constants",
    "rests",
    "a start of its own",
    "further states",
    "a floor",
    "constants a step",
    "several spikes a step",
    "whole numbers",
)
"""What a rule may be: the first, or any of the others."""

Label = tuple[int, ...]
"""What is told of a neuron's past: first the one number that `moves` reads, then what only keeps states apart."""


@dataclass(frozen=True)
class Range:
    """Where a number lies, low to high; nowhere where low > high. (labels, batch, ...) each."""

    low: Tensor
    high: Tensor

    def __add__(self, other: "Range | Tensor | float") -> "Range":
        """Return the ends of a sum of independent numbers."""
        low, high = (other.low, other.high) if isinstance(other, Range) else (other, other)
        return Range(self.low + low, self.high + high)

    def times(self, factor: float | Tensor) -> "Range":
        """Return the ends of a product with what is at least 0."""
        return Range(self.low * factor, self.high * factor)

    def below(self, limit: float | Tensor) -> "Range":
        """Return what is at most `limit`."""
        return Range(self.low, self.high.clamp_max(limit))

    def above(self, limit: float | Tensor) -> "Range":
        """Return what is at least `limit`."""
        return Range(self.low.clamp_min(limit), self.high)

    def where(self, chosen: Tensor, other: "Range") -> "Range":
        """Return these ends where they are chosen, and others elsewhere."""
        return Range(torch.where(chosen, self.low, other.low), torch.where(chosen, self.high, other.high))

    @property
    def some(self) -> Tensor:
        """Return where there is any such number."""
        return self.low <= self.high


@dataclass(frozen=True)
class Move:
    """What silence, or a spike, makes of states: where it is possible, and each number's ends behind it."""

    possible: Tensor
    state: tuple[Range, ...]


@dataclass(frozen=True)
class Number:
    """A number of a neuron's state as its rounding goes: z[t] = κ·z[t−1] + what enters.

    Attributes:
        decay: κ ∈ [0, 1].
        entering: the most that enters at a step, or that a reset takes away, besides the layer's current: 0 or one
            constant a step.
        start: z[0].
        raises: what each unit of it adds to the threshold, at least 0; of the potential 0.
    """

    decay: float | Tensor
    entering: float | Tensor
    start: float = 0.0
    raises: float | Tensor = 0.0


@dataclass(frozen=True)
class Recursion:
    """How the run of a rule computes: its threshold θ, and the numbers of its state, the potential first."""

    threshold: float | Tensor
    numbers: tuple[Number, ...]


@dataclass(frozen=True)
class CoupledRecursion(Recursion):
    """How the run of a rule computes whose numbers enter each other, by moduli.

    A step's exact result is at most |z_i[t]| ≤ Σ_k weights[i][k]·|z_k[t−1]| + heard[i]·|x| + entering_i, and what
    is compared, v − B, at most Σ_k compared[k]·|z_k[t−1]| + |x| + θ: sums of products of a few roundings each.
    Of `numbers` the starts and what enters count alone.

    Attributes:
        weights, heard, compared: see above.
        roundings: how many any term of a step takes at most, those of its constants included.
    """

    weights: tuple[tuple[float | Tensor, ...], ...]
    heard: tuple[float | Tensor, ...]
    compared: tuple[float | Tensor, ...]
    roundings: int


@dataclass(frozen=True)
class Rule:
    """How currents become spikes. A reader answers for the rules that it names, and refuses all others.

    Attributes:
        layers: the layer types that run by this rule as they stand; subclasses of them may only set constants.
    """

    layers: ClassVar[tuple[type[nn.Module], ...]] = ()

    @property
    def whole(self) -> bool:
        """Return whether it is of whole numbers, and so of circuits that are whole (`models.circuit.whole`)."""
        return WHOLE in self.features

    @property
    def features(self) -> frozenset[str]:
        """Return what it has beyond `Leaky`; of a rule that says nothing of that, that it is that rule."""
        return frozenset({f"rule {type(self).__name__}"})

    @property
    def most(self) -> int:
        """Return how many spikes a neuron may have at a step."""
        return 1

    def check(self, dtype: torch.dtype) -> None:
        """Raise ValueError for a constant that the dtype of the run does not hold to full precision."""


class DeclaredRule(Rule, ABC):
    """A rule that says what its automaton is: all trains of spikes are the paths of that.

    A neuron's state is a few numbers, the potential first. At each step the potential goes on with the current,
    and silence or a spike follows. States with one label are joined, so labels say what of the past is kept
    apart: the more, the narrower. Their first number is all that `moves` may read, so that labels that have it in
    common can be joined where there are too many.
    """

    first: ClassVar[Label] = (0, 0)
    """The label before the first step."""

    @abstractmethod
    def recursion(self, like: Tensor) -> Recursion:
        """Return how the run computes; constants that differ from neuron to neuron as `like`, (n, batch, ...)."""

    @abstractmethod
    def moves(
        self, labels: tuple[Label, ...], state: tuple[Range, ...], current: Range, tie: float | Tensor
    ) -> tuple[Move, ...]:
        """Return what silence, a spike, and two and more where there are such, make of states under a current.

        Exactly: rounding is paid elsewhere.

        Args:
            labels: K.
            state: the ends of each number, (K, batch, ...).
            current: that enters, a[t]·I[t], (1, batch, ...).
            tie: so far from its threshold a potential may do either.
        """

    def within(
        self,
        labels: tuple[Label, ...],
        state: tuple[Range, ...],
        current: Range,
        tie: float | Tensor,
        potential: Range,
    ) -> tuple[Move, ...]:
        """Return what `moves` does where it is known besides where potentials lie before a reset."""
        return self.moves(labels, state, current, tie)

    @abstractmethod
    def label(self, label: Label, spike: int, t: int) -> Label:
        """Return the label behind step t = 1..T, of so many spikes, of a state with a label."""

    def admit(self, size: Tensor, num_steps: int) -> None:
        """Raise OverflowError where currents whose summands have such moduli, (batch, ...), are not the rule's."""

    def factors(self, num_steps: int) -> tuple[float, ...]:
        """Return a over T steps, what the layer's current is multiplied with."""
        return (1.0,) * num_steps


def kinds(labels: tuple[Label, ...], like: Tensor) -> Tensor:
    """Return the first number of each label, (labels, 1, ...) for states `like`."""
    found = torch.tensor([label[0] for label in labels], device=like.device)
    return found.reshape(-1, *([1] * (like.dim() - 1)))


def leaky_moves(
    potential: Range, threshold: Range | float | Tensor, reset: str, drop: float | Tensor, tie: float | Tensor
) -> tuple[Move, Move]:
    """Return what silence and a spike make of potentials before the reset."""
    least, most = (threshold.low, threshold.high) if isinstance(threshold, Range) else (threshold, threshold)
    quiet, fires = potential.below(most + tie), potential.above(least - tie)
    return Move(quiet.some, (quiet,)), Move(fires.some, (_after_spike(fires, reset, drop),))


def _after_spike(fires: Range, reset: str, drop: float | Tensor) -> Range:
    """Return what a spike leaves of potentials: 0, v − d or v."""
    if reset == "subtract":
        return Range(fires.low - drop, fires.high - drop)
    return fires.times(0.0) if reset == "zero" else fires


def reset_label(reset: str, label: Label, spike: int, t: int) -> Label:
    """Return what is kept apart: how many spikes there were where they subtract, else the step of the last."""
    if not spike:
        return label
    return (0, label[1] + spike) if reset == "subtract" else (0, t)


@dataclass(frozen=True)
class Leaky(DeclaredRule):
    """v[t] = λ·u[t−1] + a[t]·I[t], u[0] = 0; a spike where v[t] ≥ θ (or > θ); then u = v·(1 − s), v − d·s or v.

    Attributes:
        decay: λ ∈ [0, 1].
        threshold: θ > 0.
        reset: "zero", "subtract" or "none".
        fires_at: ">=" or ">".
        drop: d > 0, what "subtract" takes away.
        scale: a, one number a step, or None for a = 1.
    """

    decay: float
    threshold: float = 1.0
    reset: str = "zero"
    fires_at: str = ">="
    drop: float = 1.0
    scale: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        settle(self, share, "decay")
        settle(self, positive, "threshold", "drop")
        check_choice("reset", self.reset, RESETS)
        check_choice("fires_at", self.fires_at, FIRES_AT)
        if self.scale is not None:
            object.__setattr__(self, "scale", tuple(real("input_scale", a) for a in self.scale))

    @staticmethod
    def of(dynamics: Dynamics, scale: Tensor | None = None) -> "Leaky":
        """Return the rule of a layer's constants, which must be plain numbers, and its input scale.

        Raises:
            TypeError: for constants that were replaced by what is no Python float or string.
        """
        _check_plain(dynamics)
        factors = None if scale is None else tuple(scale.detach().double().tolist())
        d = dynamics
        return Leaky(d.decay, d.threshold, d.reset, d.fires_at, d.drop, factors)

    @property
    def features(self) -> frozenset[str]:
        """Return that these are plain: all others are told by what they have beyond them."""
        return frozenset({LEAKY}) if type(self) is Leaky else super().features

    @property
    def kinds(self) -> "tuple[Leaky, ...]":
        """Return this rule, which is that of all neurons of a layer."""
        return (self,)

    @property
    def slowest(self) -> float:
        """Return λ."""
        return self.decay

    def constants(self, like: Tensor) -> tuple[float, float, float]:
        """Return λ, θ and d."""
        return self.decay, self.threshold, self.drop

    @property
    def span(self) -> float:
        """Return max(θ, d), by which bounds of a potential's size and of its rounding grow at each step."""
        return max(self.threshold, self.drop)

    def recursion(self, like: Tensor) -> Recursion:
        """Return the potential's."""
        return Recursion(self.threshold, (Number(self.decay, self.span),))

    def moves(
        self, labels: tuple[Label, ...], state: tuple[Range, ...], current: Range, tie: float | Tensor
    ) -> tuple[Move, Move]:
        """Return v = λ·u + c up to θ, and from θ on, reset."""
        return leaky_moves(state[0].times(self.decay) + current, self.threshold, self.reset, self.drop, tie)

    def label(self, label: Label, spike: int, t: int) -> Label:
        """Return the last spike's step, or a count."""
        return reset_label(self.reset, label, spike, t)

    def factors(self, num_steps: int) -> tuple[float, ...]:
        """Return a over T steps."""
        return super().factors(num_steps) if self.scale is None else self.scale

    @property
    def dynamics(self) -> Dynamics:
        """Return the constants as `simulate` takes them."""
        amount = self.drop if self.reset == "subtract" else None
        return Dynamics(self.decay, self.threshold, self.reset, self.fires_at, reset_amount=amount)

    def scale_like(self, like: Tensor) -> Tensor | None:
        """Return a as a tensor of `like`'s dtype and device, or None for a = 1."""
        return None if self.scale is None else torch.tensor(self.scale, dtype=like.dtype, device=like.device)

    def check(self, dtype: torch.dtype) -> None:
        """Raise ValueError for a constant that is subnormal, or beyond the range, in the dtype of the run."""
        named = {"decay": self.decay, "threshold": self.threshold, "reset_amount": self.drop}
        for name, value in named.items():
            check_normal(name, value, dtype)
        for value in self.scale or ():
            check_normal("input_scale", value, dtype)


def declared(rule: Rule | None) -> TypeGuard[DeclaredRule]:
    """Return whether a rule says what its automaton is."""
    return isinstance(rule, DeclaredRule)


def plain(rule: Rule | None) -> TypeGuard[Leaky]:
    """Return whether a rule is that of plain leaky neurons."""
    return rule is not None and rule.features == {LEAKY}


def _check_plain(dynamics: Dynamics) -> None:
    if type(dynamics) is not Dynamics:
        raise TypeError(f"dynamics: got {type(dynamics).__name__}, expected Dynamics")
    kinds = {"decay": float, "threshold": float, "drop": float, "reset": str, "fires_at": str}
    for name, kind in kinds.items():
        value = getattr(dynamics, name)
        if type(value) is not kind:
            raise TypeError(f"{name}: got {type(value).__name__}, expected a Python {kind.__name__}")
