"""Leaky neurons with more numbers w of state, which adapt: to spikes, to the potential, to what comes in.

    v[t] = λ·u[t−1] − γ·w[t−1] + I[t],      B[t] = θ + β·w[t−1],      s[t] = 1 iff v[t] ≥ B[t],
    u[t] = v[t] − (d + ε·w[t−1])·s[t]  ("subtract")   or   v[t]·(1 − s[t])  ("zero"),
    w[t] = ρ·w[t−1] + μ·u[t−1] + η·I[t] + σ·v[t] + j·s[t],      u[0] = w[0] = 0.

w is one number, or up to twelve: then γ, β, ε, μ, η, σ and j are vectors of as many, and ρ is a matrix.

Neurons whose second state takes from the potential (adLIF: γ, σ, j), thresholds that rise by spikes (ALIF: β, j),
and those of which the raised threshold is also what is taken away (ε = β, d = θ; a step later d = (θ + β·j)/λ and
ε = β·ρ/λ) are such neurons; and so is each linear recurrence x[t] = A·x[t−1] + b·I[t] − r·s[t] of two to four
states whose first is compared with θ before the reset: a dendrite and a soma that drive each other (TC-LIF), what
resonates, spike responses Σ h·I + Σ g·s of several exponentials. A is λ, −γ, μ and ρ then, b (1, η), r (d, −j).
"""

from dataclasses import dataclass, replace
from functools import reduce
from math import prod
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval
from torch import Tensor, nn

from ..constants import check_normal, positive, real, whole, wholes
from ..dynamics import FIRES_AT, Dynamics
from ..rules import CoupledRecursion, DeclaredRule, Label, Move, Number, Range, Recursion, Rule
from ..surrogates import Surrogate, Triangle
from ..validation import check_choice
from .fields import Size
from .neurons import RESETTING, Run, said_of, surrogate_of
from .registry import Element, register
from .varied import ArrayLIF, Constant, Fires, alike, array_of, laid

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
"""The constants of a layer, and how many axes each has in front where there are several w."""
MOST_OTHERS = 12
"""How many w there may be: so many steps a table of what own spikes add may have, each of which is a w."""
COUPLED_RESETS = ("subtract", "zero")


class CoupledLIF(ArrayLIF):
    """LIF with more numbers w of state, which raise its threshold, take from its potential, or both.

    Constants are numbers, or arrays as those of `VariedLIF`; they are buffers, and training leaves them so. Where
    there are several w, arrays of what each has of its own have an axis in front, and those of ρ two.

    Args:
        decay: λ.
        threshold: θ > 0.
        reset_amount: d; None for θ. Nothing of it counts where the reset is "zero".
        fading: ρ, the share of w that is left a step later; of several w what each (first) takes of each.
        jump: j, what a spike adds to w.
        drive: σ, what the potential adds to w, times v.
        carry: μ, what the potential that was left the step before adds to w.
        drain: γ, what w takes from the potential.
        rise: β, what w adds to the threshold.
        reset_rise: ε, what w adds to what a spike takes.
        reset: "subtract" or "zero".
        fires_at, surrogate: as in `LIF`, of all neurons.
        hearing: η, what the current adds to w, times I.
        others: how many w there are, 1 to 12.

    Raises:
        ValueError, TypeError: for a constant outside its range, or shapes that do not fit each other.

    >>> CoupledLIF(1.0, 1.0, fading=1.0, jump=1.0, drain=0.5)(torch.ones(1, 1, 1), num_steps=5).flatten()
    tensor([1., 0., 1., 0., 0.])

    References: bittar2022surrogate
    """

    holds = tuple(AXES)

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
        hearing: Constant = 0.0,
        others: int = 1,
    ) -> None:
        nn.Module.__init__(self)
        self.shared: Dynamics = Dynamics(1.0, 1.0, reset, fires_at, surrogate)
        self.others: int = _some("others", others)
        amount = threshold if reset_amount is None else reset_amount
        given = (decay, threshold, amount, fading, jump, drive, carry, drain, rise, reset_rise, hearing)
        arrays = {name: array_of(name, value) for name, value in zip(AXES, given, strict=True)}
        for name, array in _stacked(arrays, self.others).items():
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
        arrays: dict[str, Tensor] = {name: self.get_buffer(name) for name in AXES}
        numbers: dict[str, Any] = {
            name: tuple(array.detach().double().flatten().tolist()) for name, array in arrays.items()
        }
        shape, d = tuple(arrays["decay"].shape), self.shared
        return Coupled(shape, **numbers, reset=d.reset, fires_at=d.fires_at, others=self.others)

    def _go(self, current: Tensor, residue: Tensor | None, steps: int, num_steps: int) -> tuple[Run, Tensor]:
        arrays = {name: self.get_buffer(name).to(current) for name in AXES}
        c, many = _parts(arrays, self.others, current.shape[2:]), range(self.others)
        start = current.new_zeros(1 + self.others, *current.shape[1:]) if residue is None else residue
        left, *adapted = start.unbind()
        potentials, spikes = [], []
        for t in range(steps):
            entering, before = current[t % len(current)], left
            driven = torch.addcmul(entering, before, c["decay"])
            potential = _plus(driven, *zip(adapted, c["drain"], strict=True), sign=-1.0)
            limit = _plus(c["threshold"], *zip(adapted, c["rise"], strict=True))
            spike: Tensor = Fires.apply(potential, limit, self.shared)  # pyright: ignore[reportAssignmentType]
            taken = _plus(c["reset_amount"], *zip(adapted, c["reset_rise"], strict=True))
            subtracts = self.reset == "subtract"
            left = torch.addcmul(potential, spike, taken, value=-1.0) if subtracts else potential * (1.0 - spike)
            heard = {"carry": before, "hearing": entering, "drive": potential, "jump": spike}
            adapted = [
                _plus(
                    adapted[i] * c["fading"][i, i],
                    *((adapted[k], c["fading"][i, k]) for k in many if k != i),
                    *((signal, c[name][i]) for name, signal in heard.items()),
                )
                for i in many
            ]
            potentials.append(potential)
            spikes.append(spike)
        return Run(current, torch.stack(potentials), torch.stack(spikes)), torch.stack((left, *adapted))

    def extra_repr(self) -> str:
        """Return how the constants are laid out, and where they lie."""
        ends = (f"{name}={_ends(getattr(self, name))}" for name in AXES)
        return f"{tuple(self.get_buffer('decay').shape)}, {', '.join(ends)}, reset={self.reset}"


def _some(name: str, others: object) -> int:
    if not 1 <= (found := whole(name, others)) <= MOST_OTHERS:
        raise ValueError(f"{name}: got {found}, expected 1 to {MOST_OTHERS}")
    return found


def _stacked(arrays: dict[str, Tensor], others: int) -> dict[str, Tensor]:
    """Return constants of one dtype, of which a neuron's own axes fit each other; a number is that of each w."""
    pieces: dict[str, Tensor] = {}
    for name, array in arrays.items():
        front = (others,) * AXES[name] if others > 1 else ()
        if array.dim() == 0 and front:
            array = array.expand(others)
            array = torch.diag(array) if AXES[name] == 2 else array
        if tuple(array.shape[: len(front)]) != front:
            raise ValueError(f"{name}: got shape {tuple(array.shape)}, expected {front} and what neurons have")
        parts = array.reshape(-1, *array.shape[len(front) :]) if front else array[None]
        pieces |= {f"{name} {place}": part for place, part in enumerate(parts)}
    found = alike(pieces)
    shape, made = found["decay 0"].shape, dict[str, Tensor]()
    for name in arrays:
        front = [others] * AXES[name] if others > 1 else []
        own = [part for piece, part in found.items() if piece.split()[0] == name]
        made[name] = torch.stack(own).reshape((*front, *shape))
    return made


def _parts(arrays: dict[str, Tensor], others: int, features: tuple[int, ...]) -> dict[str, Tensor]:
    """Return the constants of each feature of a sample, behind the axes of w, which are there for one w, too."""
    shape, found = arrays["decay"].shape, dict[str, Tensor]()
    for name, array in arrays.items():
        each = torch.stack([laid(part, features) for part in array.reshape(-1, *shape)])
        found[name] = each.reshape(*[others] * AXES[name], *features)
    return found


def _plus(start: Tensor, *terms: tuple[Tensor, Tensor], sign: float = 1.0) -> Tensor:
    """Return a sum of products, one by one."""
    return reduce(lambda total, term: torch.addcmul(total, *term, value=sign), terms, start)


def _ends(array: Tensor) -> str:
    return "…".join(dict.fromkeys(f"{float(end):g}" for end in (array.min(), array.max())))


def _check_shared(shared: Dynamics) -> None:
    if shared.reset not in COUPLED_RESETS:
        raise ValueError(f'reset: got {shared.reset!r}, expected "subtract" or "zero"')
    if (shared.decay, shared.threshold, shared.reset_amount) != (1.0, 1.0, None):
        raise ValueError("shared: got a decay, threshold or reset_amount, expected the arrays to be set")


@dataclass(frozen=True)
class Coupled(DeclaredRule):
    """What `CoupledLIF` does: its state is u and each w. Constants as in `Varied`, each flattened.

    **Rounding.** Of a step's terms none takes more than 7 + m roundings, with m of w: λ·u reaches w by λ̂, a
    product, 1 + m sums, σ̂, a product and two sums; γ_k·w_k by no more, and ρ·w_k by m + 5; all others by fewer.
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
    hearing: tuple[float, ...]
    reset: str
    fires_at: str
    others: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", wholes("shape", self.shape))
        check_choice("reset", self.reset, COUPLED_RESETS)
        check_choice("fires_at", self.fires_at, FIRES_AT)
        object.__setattr__(self, "others", _some("others", self.others))
        for name, axes in AXES.items():
            convert, count = (positive if name == "threshold" else real), prod(self.shape) * self.others**axes
            values = tuple(convert(name, value) for value in getattr(self, name))
            object.__setattr__(self, name, values)
            if len(values) != count or not values:
                raise ValueError(f"{name}: got {len(values)} numbers, expected {count}, of shape {self.shape}")

    def check(self, dtype: torch.dtype) -> None:
        """Raise ValueError for a constant that is subnormal, or beyond the range, in the dtype of the run."""
        for name in AXES:
            for value in set(getattr(self, name)):
                check_normal(name, value, dtype)

    def _laid(self, like: Tensor) -> dict[str, Tensor]:
        """Return the constants of each feature of a sample, for states (labels, batch, *features)."""
        arrays = {name: torch.tensor(getattr(self, name), dtype=torch.float64) for name in AXES}
        arrays["decay"] = arrays["decay"].view(self.shape)
        return _parts({name: array.to(like) for name, array in arrays.items()}, self.others, like.shape[2:])

    def recursion(self, like: Tensor) -> Recursion:
        """Return by what moduli each number enters the others."""
        c, subtracts = {name: of.abs() for name, of in self._laid(like).items()}, float(self.reset == "subtract")
        potential = (c["decay"], *(c["drain"] + c["reset_rise"] * subtracts))
        rows = zip(c["drive"], c["carry"], c["fading"], strict=True)
        adapted = [(drive * c["decay"] + carry, *(own + drive * c["drain"])) for drive, carry, own in rows]
        numbers = Number(1.0, c["reset_amount"] * subtracts), *(Number(1.0, jump) for jump in c["jump"])
        heard = (torch.ones_like(c["decay"]), *(c["drive"] + c["hearing"]))
        compared = (c["decay"], *(c["drain"] + c["rise"]))
        return CoupledRecursion(c["threshold"], numbers, (potential, *adapted), heard, compared, 7 + self.others)

    def moves(
        self, labels: tuple[Label, ...], state: tuple[Range, ...], current: Range, tie: float | Tensor
    ) -> tuple[Move, Move]:
        """Return v up to B, and v from B on, reset, each with what each w becomes.

        A difference of two sums that both hold w is taken as one sum. What is known of v by itself, and of the sum
        that u or w is, hold both.
        """
        c, (left, *adapted) = self._laid(current.low), state

        def summed(own: Tensor, each: Tensor) -> Range:
            """Return what is of u and of w."""
            return _sum((left, own), *zip(adapted, each, strict=True))

        potential = summed(c["decay"], -c["drain"]) + current
        over = summed(c["decay"], -c["drain"] - c["rise"]) + current + -c["threshold"]
        limit = _sum(*zip(adapted, c["rise"], strict=True)) + c["threshold"]
        quiet, fires = potential.below(limit.high + tie), potential.above(limit.low - tie)
        behind = fires.times(0.0)
        if self.reset == "subtract":
            whole = summed(c["decay"], -c["drain"] - c["reset_rise"]) + current
            stepwise = _sum((fires, 1.0), *zip(adapted, -c["reset_rise"], strict=True))
            behind = _both(stepwise, whole) + -c["reset_amount"]
        silent, moved = (self._adapted(c, left, adapted, current, known) for known in (quiet, fires))
        after = (w + jump for w, jump in zip(moved, c["jump"], strict=True))
        return Move(over.low <= tie, (quiet, *silent)), Move(over.high >= -tie, (behind, *after))

    def _adapted(
        self, c: dict[str, Tensor], left: Range, adapted: list[Range], current: Range, potential: Range
    ) -> list[Range]:
        """Return ρ·w + σ·v + μ·u + η·I, for what is known of v, and as one sum."""
        found = []
        for own, drive, carry, hearing in zip(c["fading"], c["drive"], c["carry"], c["hearing"], strict=True):
            stepwise = _sum(*zip(adapted, own, strict=True), (potential, drive), (left, carry), (current, hearing))
            kept = zip(adapted, own - drive * c["drain"], strict=True)
            whole = _sum((left, drive * c["decay"] + carry), *kept, (current, drive + hearing))
            found.append(_both(stepwise, whole))
        return found

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
    common = {"fires_at": layer.shared.fires_at, "surrogate": said_of(layer.surrogate)}
    several = {"others": layer.others} if layer.others > 1 else {}
    return {"shape": tuple(layer.get_buffer("decay").shape), **several, **common}


def _built(fields: Any) -> CoupledLIF:
    """Return a new layer, whose constants come later."""
    constant = torch.ones(fields.shape)
    made = CoupledLIF(constant, constant, others=fields.others)
    made.shared = replace(
        made.shared, reset=fields.reset, fires_at=fields.fires_at, surrogate=surrogate_of(fields)
    )
    return made


def _shapes(fields: Any) -> dict[str, tuple[int, ...]]:
    """Return the shapes of constants."""
    return {
        name: (*[fields.others] * (axes if fields.others > 1 else 0), *fields.shape) for name, axes in AXES.items()
    }


register(
    Element(
        CoupledLIF,
        rules=(Coupled,),
        fields={
            "shape": tuple[Size, ...],
            "others": (Annotated[int, Interval(ge=1, le=MOST_OTHERS)], 1),
            **RESETTING,
        },
        said=_said,
        tensors=_shapes,
        build=_built,
    )
)
