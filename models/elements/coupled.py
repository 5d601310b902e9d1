"""Leaky neurons with a second number of state that adapts: to spikes, to the potential, or to both.

    v[t] = λ·u[t−1] − γ·w[t−1] + I[t],      B[t] = θ + β·w[t−1],      s[t] = 1 iff v[t] ≥ B[t],
    u[t] = v[t] − (d + ε·w[t−1])·s[t]  ("subtract")   or   v[t]·(1 − s[t])  ("zero"),
    w[t] = ρ·w[t−1] + σ·v[t] + μ·u[t−1] + j·s[t],      u[0] = w[0] = 0.

Neurons whose second state takes from the potential (adLIF: γ, σ, j), thresholds that rise by spikes (ALIF: β, j),
and those of which the raised threshold is also what is taken away (ε = β, d = θ; a step later d = (θ + β·j)/λ and
ε = β·ρ/λ) are such neurons; and so are all of two linear states that a spike moves by constants, as a dendrite and
a soma that drive each other: μ is what those need of which nothing of w is left by itself.
"""

from dataclasses import dataclass, replace
from functools import reduce
from math import prod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..constants import check_normal, positive, real, share, wholes
from ..dynamics import FIRES_AT, Dynamics
from ..rules import CoupledRecursion, DeclaredRule, Label, Move, Number, Range, Recursion, Rule
from ..surrogates import Surrogate, Triangle
from ..validation import check_choice
from .fields import Size
from .neurons import RESETTING, Run, said_of, surrogate_of
from .registry import Element, register
from .varied import ArrayLIF, Constant, Fires, alike, array_of, laid

CHECKS = {
    "decay": share,
    "threshold": positive,
    "reset_amount": real,
    "fading": share,
    "jump": real,
    "drive": real,
    "carry": real,
    "drain": real,
    "rise": real,
    "reset_rise": real,
}
"""The constants of a layer, and what each must be."""
COUPLED_RESETS = ("subtract", "zero")


class CoupledLIF(ArrayLIF):
    """LIF with a second number w of state, which raises its threshold, takes from its potential, or both.

    Constants are numbers, or arrays as those of `VariedLIF`; they are buffers, and training leaves them so.

    Args:
        decay: λ ∈ [0, 1].
        threshold: θ > 0.
        reset_amount: d; None for θ. Nothing of it counts where the reset is "zero".
        fading: ρ ∈ [0, 1], the share of w that is left a step later.
        jump: j, what a spike adds to w.
        drive: σ, what the potential adds to w, times v.
        carry: μ, what the potential that was left the step before adds to w.
        drain: γ, what w takes from the potential.
        rise: β, what w adds to the threshold.
        reset_rise: ε, what w adds to what a spike takes.
        reset: "subtract" or "zero".
        fires_at, surrogate: as in `LIF`, of all neurons.

    Raises:
        ValueError, TypeError: for a constant outside its range, or shapes that do not fit each other.

    >>> CoupledLIF(1.0, 1.0, fading=1.0, jump=1.0, drain=0.5)(torch.ones(1, 1, 1), num_steps=5).flatten()
    tensor([1., 0., 1., 0., 0.])

    References: bittar2022surrogate
    """

    holds = tuple(CHECKS)

    def __init__(
        self,
        decay: Constant = 0.99,
        threshold: Constant = 1.0,
        reset_amount: Constant | None = None,
        fading: Constant = 0.9,
        jump: Constant = 1.0,
        drive: Constant = 0.0,
        carry: Constant = 0.0,
        drain: Constant = 0.0,
        rise: Constant = 0.0,
        reset_rise: Constant = 0.0,
        reset: str = "subtract",
        fires_at: str = ">=",
        surrogate: Surrogate = Triangle(1.0),  # noqa: B008 (frozen)
    ) -> None:
        nn.Module.__init__(self)
        self.shared: Dynamics = Dynamics(1.0, 1.0, reset, fires_at, surrogate)
        amount = threshold if reset_amount is None else reset_amount
        given = (decay, threshold, amount, fading, jump, drive, carry, drain, rise, reset_rise)
        arrays = alike({name: array_of(name, value) for name, value in zip(CHECKS, given, strict=True)})
        for name, array in arrays.items():
            self.register_buffer(name, array)
        if not arrays["decay"].is_meta:  # a file's constants come later
            self.rule(1)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; constants of `shared` that no neuron here reads are refused."""
        if name == "shared":
            _check_shared(value)
        super().__setattr__(name, value)

    @property
    def dynamics(self) -> Dynamics:
        """Raise TypeError: what asks for one set of constants can't speak of this layer."""
        raise TypeError(
            "layer: got a CoupledLIF, whose state is two numbers, expected neurons of a potential alone"
        )

    @dynamics.setter
    def dynamics(self, constants: Dynamics) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        raise AttributeError("dynamics: a CoupledLIF holds its constants as buffers, expected those to be set")

    def rule(self, num_steps: int) -> Rule:
        """Return what this layer does, as plain numbers."""
        arrays: dict[str, Tensor] = {name: self.get_buffer(name) for name in CHECKS}
        numbers: dict[str, Any] = {
            name: tuple(array.detach().double().flatten().tolist()) for name, array in arrays.items()
        }
        shape = tuple(arrays["decay"].shape)
        return Coupled(shape, **numbers, reset=self.shared.reset, fires_at=self.shared.fires_at)

    def _go(self, current: Tensor, residue: Tensor | None, steps: int, num_steps: int) -> tuple[Run, Tensor]:
        c = {name: laid(getattr(self, name), current.shape[2:]).to(current) for name in CHECKS}
        left, adapted = current.new_zeros(2, *current.shape[1:]) if residue is None else residue
        potentials, spikes = [], []
        for t in range(steps):
            before = left
            driven = torch.addcmul(current[t % len(current)], before, c["decay"])
            potential = torch.addcmul(driven, adapted, c["drain"], value=-1.0)
            limit = torch.addcmul(c["threshold"], adapted, c["rise"])
            spike: Tensor = Fires.apply(potential, limit, self.shared)  # pyright: ignore[reportAssignmentType]
            taken = torch.addcmul(c["reset_amount"], adapted, c["reset_rise"])
            subtracts = self.reset == "subtract"
            left = torch.addcmul(potential, spike, taken, value=-1.0) if subtracts else potential * (1.0 - spike)
            followed = torch.addcmul(adapted * c["fading"], before, c["carry"])
            followed = torch.addcmul(followed, potential, c["drive"])
            adapted = torch.addcmul(followed, spike, c["jump"])
            potentials.append(potential)
            spikes.append(spike)
        return Run(current, torch.stack(potentials), torch.stack(spikes)), torch.stack((left, adapted))

    def extra_repr(self) -> str:
        """Return how the constants are laid out, and where they lie."""
        ends = (f"{name}={_ends(getattr(self, name))}" for name in CHECKS)
        return f"{tuple(self.get_buffer('decay').shape)}, {', '.join(ends)}, reset={self.reset}"


def _ends(array: Tensor) -> str:
    return "…".join(dict.fromkeys(f"{float(end):g}" for end in (array.min(), array.max())))


def _check_shared(shared: Dynamics) -> None:
    if shared.reset not in COUPLED_RESETS:
        raise ValueError(f'reset: got {shared.reset!r}, expected "subtract" or "zero"')
    if (shared.decay, shared.threshold, shared.reset_amount) != (1.0, 1.0, None):
        raise ValueError("shared: got a decay, threshold or reset_amount, expected the arrays to be set")


@dataclass(frozen=True)
class Coupled(DeclaredRule):
    """What `CoupledLIF` does: its state is u and w. Constants as in `Varied`, each flattened.

    **Rounding.** Of a step's terms none takes more than ten roundings: λ·u reaches w by λ̂, a product, two sums, σ̂,
    a product and two sums; all others by fewer.
    """

    layers: ClassVar[tuple[type[nn.Module], ...]] = (CoupledLIF,)
    first: ClassVar[Label] = (0, 0, 0)

    shape: tuple[int, ...]
    decay: tuple[float, ...]
    threshold: tuple[float, ...]
    reset_amount: tuple[float, ...]
    fading: tuple[float, ...]
    jump: tuple[float, ...]
    drive: tuple[float, ...]
    carry: tuple[float, ...]
    drain: tuple[float, ...]
    rise: tuple[float, ...]
    reset_rise: tuple[float, ...]
    reset: str
    fires_at: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", wholes("shape", self.shape))
        check_choice("reset", self.reset, COUPLED_RESETS)
        check_choice("fires_at", self.fires_at, FIRES_AT)
        for name, convert in CHECKS.items():
            values = tuple(convert(name, value) for value in getattr(self, name))
            object.__setattr__(self, name, values)
            if len(values) != prod(self.shape) or not values:
                raise ValueError(f"{name}: got {len(values)} numbers, expected as many as shape {self.shape} has")

    def check(self, dtype: torch.dtype) -> None:
        """Raise ValueError for a constant that is subnormal, or beyond the range, in the dtype of the run."""
        for name in CHECKS:
            for value in set(getattr(self, name)):
                check_normal(name, value, dtype)

    def _laid(self, like: Tensor) -> dict[str, Tensor]:
        """Return the constants of each feature of a sample, for states (labels, batch, *features)."""
        return {
            name: laid(torch.tensor(getattr(self, name), dtype=torch.float64).view(self.shape), like.shape[2:]).to(
                like
            )
            for name in CHECKS
        }

    def recursion(self, like: Tensor) -> Recursion:
        """Return by what moduli each number enters the others."""
        c = {name: value.abs() for name, value in self._laid(like).items()}
        subtracts = float(self.reset == "subtract")
        potential = (c["decay"], c["drain"] + c["reset_rise"] * subtracts)
        adapted = (c["drive"] * c["decay"] + c["carry"], c["fading"] + c["drive"] * c["drain"])
        numbers = Number(1.0, c["reset_amount"] * subtracts), Number(1.0, c["jump"])
        compared = (c["decay"], c["drain"] + c["rise"])
        return CoupledRecursion(
            c["threshold"], numbers, (potential, adapted), (torch.ones_like(c["drive"]), c["drive"]), compared
        )

    def moves(
        self, labels: tuple[Label, ...], state: tuple[Range, ...], current: Range, tie: float | Tensor
    ) -> tuple[Move, Move]:
        """Return v up to B, and v from B on, reset, each with what w becomes.

        A difference of two sums that both hold w is taken as one sum. What is known of v by itself, and of the sum
        that u or w is, hold both.
        """
        c, (left, adapted) = self._laid(current.low), state
        potential = _sum((left, c["decay"]), (adapted, -c["drain"])) + current
        over = _sum((left, c["decay"]), (adapted, -c["drain"] - c["rise"])) + current + -c["threshold"]
        limit = _sum((adapted, c["rise"])) + c["threshold"]
        quiet, fires = potential.below(limit.high + tie), potential.above(limit.low - tie)
        behind = fires.times(0.0)
        if self.reset == "subtract":
            whole = _sum((left, c["decay"]), (adapted, -c["drain"] - c["reset_rise"])) + current
            behind = _both(_sum((fires, 1.0), (adapted, -c["reset_rise"])), whole) + -c["reset_amount"]
        silent = Move(over.low <= tie, (quiet, self._adapted(c, left, adapted, current, quiet)))
        after = self._adapted(c, left, adapted, current, fires) + c["jump"]
        return silent, Move(over.high >= -tie, (behind, after))

    def _adapted(
        self, c: dict[str, Tensor], left: Range, adapted: Range, current: Range, potential: Range
    ) -> Range:
        """Return ρ·w + σ·v + μ·u, for what is known of v, and as one sum."""
        stepwise = _sum((adapted, c["fading"]), (potential, c["drive"]), (left, c["carry"]))
        whole = _sum(
            (left, c["drive"] * c["decay"] + c["carry"]),
            (adapted, c["fading"] - c["drive"] * c["drain"]),
            (current, c["drive"]),
        )
        return _both(stepwise, whole)

    def label(self, label: Label, spike: int, t: int) -> Label:
        """Return the last spike's step, and how many there were."""
        return (0, t, label[2] + 1) if spike else label


def _sum(*terms: tuple[Range, float | Tensor]) -> Range:
    """Return the ends of a sum of numbers times factors of any sign."""
    parts = [_times(number, torch.as_tensor(factor).to(number.low)) for number, factor in terms]
    return reduce(lambda one, other: one + other, parts)


def _times(number: Range, factor: Tensor) -> Range:
    low, high = number.low * factor, number.high * factor
    return Range(torch.where(factor < 0, high, low), torch.where(factor < 0, low, high))


def _both(one: Range, other: Range) -> Range:
    """Return where two ranges meet, both of which hold a number: at least a point, where rounding parts them."""
    low, high = one.low.maximum(other.low), one.high.minimum(other.high)
    return Range(low.minimum(high), high.maximum(low))


def _said(layer: CoupledLIF) -> dict[str, Any]:
    """Return the shape, and what all neurons have in common."""
    shape = tuple(layer.get_buffer("decay").shape)
    return {"shape": shape, "fires_at": layer.shared.fires_at, "surrogate": said_of(layer.surrogate)}


def _built(fields: Any) -> CoupledLIF:
    """Return a new layer, whose constants come later."""
    constant = torch.ones(fields.shape)
    made = CoupledLIF(constant, constant)
    made.shared = replace(
        made.shared, reset=fields.reset, fires_at=fields.fires_at, surrogate=surrogate_of(fields)
    )
    return made


register(
    Element(
        CoupledLIF,
        rules=(Coupled,),
        fields={"shape": tuple[Size, ...], **RESETTING},
        said=_said,
        tensors=lambda fields: dict.fromkeys(CHECKS, tuple(fields.shape)),
        build=_built,
    )
)
