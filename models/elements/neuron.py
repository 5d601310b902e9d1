"""Layers of declared neurons: `Neuron` and `CoupledLIF`, thresholds that adapt, and rests.

Leaky neurons with more numbers w of state, and a floor: `LinearNeuron` as a layer, its constants as buffers.

Leaky neurons whose threshold rises with each spike and decays back: ALIF.

Leaky neurons that rest after each spike, for R steps in which they take nothing in, or that start elsewhere.
"""

from collections.abc import Callable
from typing import Annotated, Any

import torch
from annotated_types import Interval, Le
from torch import Tensor, nn

from ..constants import at_least, nonnegative, real, share, unless_none, whole
from ..dynamics import Dynamics, Surrogate, Triangle
from ..linear_neuron import AXES, MIXING, MOST_OTHERS, MOST_SPIKES, OWN, LinearNeuron, front_axes, parts
from ..rules import Leaky, Rule
from .neurons import FIRING, LEAKY, RESETTING, built, said, said_of, surrogate_of
from .registry import Element, Nonnegative, Positive, Real, Size, UpToOne, Wait, or_none, register
from .varied import ArrayLIF, Constant, DeclaredLIF, alike, array_of, numbers, scalars


class Neuron(ArrayLIF):
    """Neurons of the declaration `LinearNeuron`, which see: further states w, a start and a floor of their own,
    constants of each step, several spikes a step.

    Constants are numbers, or arrays as those of `VariedLIF`; they are buffers, and training leaves them so. Where
    there are several w, arrays of what each has of its own have an axis in front, and those of ρ two.

    Args:
        decay: λ.
        threshold: θ > 0.
        reset_amount: d; None for θ. Nothing of it counts unless the reset subtracts.
        fading: ρ, the share of w that is left a step later; of several w what each (first) takes of each.
        jump: j, what a spike adds to w.
        drive: σ, what the potential adds to w, times v.
        carry: μ, what the potential that was left the step before adds to w.
        drain: γ, what w takes from the potential.
        rise: β, what w adds to the threshold.
        reset_rise: ε, what w adds to what a spike takes.
        reset: "zero", "subtract" or "none".
        fires_at, surrogate: as in `LIF`, of all neurons.
        hearing: η, what the current adds to w, times I.
        others: how many w there are, 0 to 12. Without any, constants of w are not there.
        start: u[0].
        floor: f ≤ 0, below which no potential is left behind a step; None for none.
        steps: T, where λ, θ and d have an axis of T steps in front, or are one number of all; 0: the same at all.
        input_scale: a, T numbers, by which the current of each step is multiplied; None for 1.
        most: N ≥ 1, how often they may fire at a step, each time at a potential d higher; u = v − d·s then.

    Raises:
        ValueError, TypeError: for a constant outside its range, or shapes that do not fit each other.

    >>> Neuron(1.0, reset="subtract", most=3)(torch.tensor([2.5, 4.0, 0.5]).view(3, 1, 1), 3).flatten()
    tensor([2., 3., 2.])
    >>> Neuron(1.0, 1.0, reset="none", floor=-0.5)(torch.tensor([-2.0, 1.0, 1.0]).view(3, 1, 1), 3).flatten()
    tensor([0., 0., 1.])

    References: bittar2022surrogate
    """

    holds = (*AXES, "start", "floor", "steps", "input_scale", "most")

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
        reset: str = "zero",
        fires_at: str = ">=",
        surrogate: Surrogate = Triangle(1.0),  # noqa: B008 (frozen)
        hearing: Constant = 0.0,
        others: int = 0,
        start: float = 0.0,
        floor: float | None = None,
        steps: int = 0,
        input_scale: Constant | None = None,
        most: int = 1,
    ) -> None:
        nn.Module.__init__(self)
        self.shared: Dynamics = Dynamics(1.0, 1.0, reset, fires_at, surrogate)
        self.others: int = whole("others", others)
        self.start: float = real("start", start)
        self.floor: float | None = None if floor is None else real("floor", floor)
        self.steps, self.most = at_least(0)("steps", steps), at_least(1)("most", most)
        amount = threshold if reset_amount is None else reset_amount
        given = (decay, threshold, amount, fading, jump, drive, carry, drain, rise, reset_rise, hearing)
        constants = dict(zip(AXES, given, strict=True))
        arrays = {name: array_of(name, constants[name]) for name in self.names}
        for name, array in _stacked(arrays, self.others, self.steps).items():
            self.register_buffer(name, array)
        self.input_scale: Tensor | None
        self.register_buffer("input_scale", self._scale_of(input_scale))
        if not arrays["decay"].is_meta:  # a file's constants come later
            self.rule(self.steps or 1)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; constants of `shared` that no neuron here reads are refused."""
        if name == "shared" and (value.decay, value.threshold, value.reset_amount) != (1.0, 1.0, None):
            raise ValueError("shared: got a decay, threshold or reset_amount, expected the arrays to be set")
        super().__setattr__(name, value)

    @property
    def names(self) -> tuple[str, ...]:
        """Return which constants there are."""
        return tuple(name for name, axes in AXES.items() if self.others or not axes)

    @property
    def dynamics(self) -> Dynamics:
        """Raise TypeError: what asks for one set of constants can't speak of this layer."""
        told = "expected neurons of a potential alone"
        raise TypeError(f"layer: got a {type(self).__name__}, which may have more numbers of state, {told}")

    @dynamics.setter
    def dynamics(self, constants: Dynamics) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        told = f"a {type(self).__name__} holds its constants as buffers, expected those to be set"
        raise AttributeError(f"dynamics: {told}")

    def rule(self, num_steps: int) -> Rule:
        """Return what this layer does, as plain numbers."""
        constants = {name: numbers(self.get_buffer(name)) for name in self.names}
        return self._declared(num_steps, constants, shape=self.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return how constants are laid out over neurons."""
        return tuple(self.get_buffer("decay").shape[bool(self.steps) :])

    def scale(self, num_steps: int) -> Tensor | None:
        """Return the input scale a, (num_steps,), or None for a = 1."""
        if self.steps and num_steps != self.steps:
            raise ValueError(f"num_steps: got {num_steps}, expected this {type(self).__name__}'s {self.steps}")
        return self.input_scale

    def keep(self, steps: slice) -> None:
        """Leave only the constants of some steps, where each has its own."""
        names = [*OWN, *["input_scale"] * (self.input_scale is not None)] if self.steps else []
        for name in names:
            self.register_buffer(name, self.get_buffer(name)[steps])
        self.steps = len(range(self.steps)[steps])

    def _scale_of(self, given: Constant | None) -> Tensor | None:
        if given is None:
            return None
        scale = array_of("input_scale", given).to(self.get_buffer("decay").dtype)
        if tuple(scale.shape) != (self.steps,):
            raise ValueError(f"input_scale: got shape {tuple(scale.shape)}, expected ({self.steps},): one a step")
        return scale

    def _laid(self, current: Tensor) -> dict[str, Tensor]:
        """Return all constants that there are."""
        arrays = {name: self.get_buffer(name).to(current) for name in self.names}
        return parts(arrays, self.shape, self.others, tuple(current.shape[2:]), self.steps)

    def extra_repr(self) -> str:
        """Return how the constants are laid out, and where they lie."""
        ends = [f"{name}={_ends(getattr(self, name))}" for name in self.names]
        more = {"start": self.start, "floor": self.floor, "steps": self.steps, "most": self.most - 1 and self.most}
        ends += [f"{name}={value}" for name, value in more.items() if value]
        return f"{self.shape}, {', '.join(ends)}, reset={self.reset}"


def kept_axes(name: str, others: int, steps: int) -> tuple[int, ...]:
    """Return the axes that a buffer has before those of neurons: none for a single w."""
    return () if AXES[name] and others < 2 else front_axes(name, others, steps)


def _stacked(arrays: dict[str, Tensor], others: int, steps: int) -> dict[str, Tensor]:
    """Return constants of one dtype, of which a neuron's own axes fit each other; a number is that of each w."""
    pieces: dict[str, Tensor] = {}
    for name, array in arrays.items():
        front = kept_axes(name, others, steps)
        if array.dim() == 0 and front:
            array = array.expand(front[:1])
            array = torch.diag(array) if len(front) == 2 else array
        if tuple(array.shape[: len(front)]) != front:
            raise ValueError(f"{name}: got shape {tuple(array.shape)}, expected {front} and what neurons have")
        parts = array.reshape(-1, *array.shape[len(front) :]) if front else array[None]
        pieces |= {f"{name} {place}": part for place, part in enumerate(parts)}
    found = alike(pieces)
    shape, made = found["decay 0"].shape, dict[str, Tensor]()
    for name in arrays:
        front = kept_axes(name, others, steps)
        own = [part for piece, part in found.items() if piece.split()[0] == name]
        made[name] = torch.stack(own).reshape((*front, *shape))
    return made


def _ends(array: Tensor) -> str:
    return "…".join(dict.fromkeys(f"{float(end):g}" for end in (array.min(), array.max())))


class CoupledLIF(Neuron):
    """A `Neuron` with at least one further state, which subtracts: a constructor, and a name in files.

    Args:
        constants, reset, rest: what `Neuron` takes, in its order or by name.
        others: how many w there are, 1 to 12.

    Raises:
        ValueError, TypeError: as `Neuron`.

    >>> CoupledLIF(1.0, 1.0, fading=1.0, jump=1.0, drain=0.5)(torch.ones(1, 1, 1), num_steps=5).flatten()
    tensor([1., 0., 1., 0., 0.])

    References: bittar2022surrogate
    """

    def __init__(self, *constants: Any, reset: str = "subtract", others: int = 1, **rest: Any) -> None:
        if not 1 <= whole("others", others) <= MOST_OTHERS:
            raise ValueError(f"others: got {others}, expected 1 to {MOST_OTHERS}")
        super().__init__(*constants, reset=reset, others=others, **rest)


def _said(layer: Neuron) -> dict[str, Any]:
    """Return the shape, and what all neurons have in common."""
    common = {"fires_at": layer.shared.fires_at, "surrogate": said_of(layer.surrogate)}
    several = {"others": layer.others} if layer.others > 1 or type(layer) is Neuron else {}
    more = {"steps": layer.steps, "scaled": layer.input_scale is not None, "most": layer.most}
    more |= {} if type(layer) is Neuron else {"start": layer.start, "floor": layer.floor}
    more = {name: value for name, value in more.items() if value != MORE[name][1]}
    return {"shape": layer.shape, **several, **common, **more}


def _built(kind: type[Neuron]) -> Callable[[Any], Neuron]:
    """Return what makes a new layer, whose constants come later."""

    def build(fields: Any) -> Neuron:
        constant = torch.ones((*[fields.steps] * bool(fields.steps), *fields.shape))
        own: dict[str, Any] = {
            name: getattr(fields, name) for name in ("others", "start", "floor", "steps", "most")
        }
        own |= {"input_scale": torch.ones(fields.steps) if fields.scaled else None}
        return kind(
            constant, constant, reset=fields.reset, fires_at=fields.fires_at, surrogate=surrogate_of(fields), **own
        )

    return build


def _shapes(fields: Any) -> dict[str, tuple[int, ...]]:
    """Return the shapes of constants."""
    names = [name for name, axes in AXES.items() if fields.others or not axes]
    scale = {"input_scale": (fields.steps,)} if fields.scaled else {}
    return {name: (*kept_axes(name, fields.others, fields.steps), *fields.shape) for name in names} | scale


def _register(kind: type[Neuron], others: Any, **fields: Any) -> None:
    own = {"shape": tuple[Size, ...], "others": others, **MORE, **fields, **RESETTING}
    rules = (Leaky, LinearNeuron)
    register(Element(kind, rules=rules, fields=own, said=_said, tensors=_shapes, build=_built(kind)))


FLOORED = or_none(Annotated[Real, Le(0)])
MORE: dict[str, Any] = {
    "start": (Real, 0.0),
    "floor": (FLOORED, None),
    "steps": (Wait, 0),
    "scaled": (bool, False),
    "most": (Annotated[int, Interval(ge=1, le=MOST_SPIKES)], 1),
}
"""What a file need not say, and what it is then."""
_register(CoupledLIF, (Annotated[int, Interval(ge=1, le=MOST_OTHERS)], 1))
_register(Neuron, Annotated[int, Interval(ge=0, le=MOST_OTHERS)], start=Real, floor=FLOORED)


class AdaptiveLIF(DeclaredLIF):
    """LIF of an adaptive threshold (ALIF): each spike raises it by β, and what it was raised by decays with ρ.

    a[t] = ρ·a[t−1] + s[t−1], a[1] = 0;  B[t] = θ + β·a[t];  v[t] = λ·u[t−1] + I[t];  s[t] = 1 iff v[t] ≥ B[t].
    u[t] = v[t]·(1 − s[t]) ("zero") or v[t] − d·s[t] ("subtract"), where d is θ or `reset_amount`: not B[t].
    So a spike raises the threshold from the next step on. Gradients go through v and through B.

    Args:
        decay: λ ∈ [0, 1].
        threshold: θ > 0.
        adaptation: β ≥ 0; 0 is a `LIF`, bit by bit.
        threshold_decay: ρ ∈ [0, 1]; 0: only the last step's spike counts, 1: all count for good.
        reset: "zero" or "subtract".
        fires_at, surrogate, reset_amount: as in `LIF`.

    Raises:
        ValueError, TypeError: for a constant outside its range.

    >>> AdaptiveLIF(0.0, adaptation=1.0, threshold_decay=0.5)(torch.full((1, 1, 1), 1.6), num_steps=5).flatten()
    tensor([1., 0., 1., 0., 0.])

    References: bellec2018long
    """

    holds = ("adaptation", "threshold_decay")
    others = 1

    def __init__(
        self,
        decay: float = 0.99,
        threshold: float = 1.0,
        adaptation: float = 1.0,
        threshold_decay: float = 0.9,
        reset: str = "zero",
        fires_at: str = ">=",
        surrogate: Surrogate = Triangle(1.0),  # noqa: B008 (frozen)
        reset_amount: float | None = None,
    ) -> None:
        super().__init__(decay, threshold, reset, fires_at, surrogate, reset_amount)
        self.adaptation: float = adaptation
        self.threshold_decay: float = threshold_decay

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, β and ρ as floats; what is outside their ranges is refused, and so is no reset."""
        if name == "dynamics" and isinstance(value, Dynamics) and value.reset == "none":
            raise ValueError('reset: got "none", expected adaptive neurons to reset to zero or to subtract')
        convert = {"adaptation": nonnegative, "threshold_decay": share}.get(name)
        super().__setattr__(name, value if convert is None else convert(name, value))

    def rule(self, num_steps: int) -> Rule:
        """Return the constants: a further state to which each spike adds 1, and which raises the threshold."""
        own, one = Leaky.of(self.dynamics), {"fading": self.threshold_decay, "jump": 1.0, "rise": self.adaptation}
        one |= {
            "decay": own.decay,
            "threshold": own.threshold,
            "reset_amount": own.drop,
            **dict.fromkeys(MIXING, 0.0),
        }
        called = ("rise", "adaptation"), ("fading", "threshold_decay")
        return self._declared(num_steps, {name: (value,) for name, value in one.items()}, called=called)

    def _laid(self, current: Tensor) -> dict[str, Tensor]:
        """Return the constants of what a spike adds 1 to."""
        d, states = self.dynamics, {"fading": self.threshold_decay, "jump": 1.0, "rise": self.adaptation}
        return scalars(current, decay=d.decay, threshold=d.threshold, reset_amount=d.drop, **states)

    def extra_repr(self) -> str:
        """Return the constants that distinguish this layer."""
        return f"{super().extra_repr()}, adaptation={self.adaptation}, threshold_decay={self.threshold_decay}"


ADAPTING = {**LEAKY, "adaptation": Nonnegative, "threshold_decay": UpToOne}
register(Element(AdaptiveLIF, rules=(Leaky, LinearNeuron), fields=ADAPTING, said=said, build=built(AdaptiveLIF)))


class RefractoryLIF(DeclaredLIF):
    """LIF of a hard reset that rests for R steps behind each spike, and starts from a potential u[0] of its own.

    v[t] = λ·u[t−1] + I[t] and s[t] = 1 iff v[t] ≥ θ where it does not rest; v[t] = 0 and s[t] = 0 where it does;
    u[t] = v[t]·(1 − s[t]). So it goes on from 0 behind its rest, as if nothing had been.

    Args:
        decay: λ ∈ [0, 1].
        threshold: θ > 0.
        rest: R ≥ 0, in steps; None: for good, so that each neuron fires at most once.
        fires_at, surrogate: as in `LIF`.
        start: u[0], of any sign. A reset leaves 0 all the same.

    Raises:
        ValueError, TypeError: for a constant outside its range.

    >>> RefractoryLIF(decay=0.5, rest=2)(torch.full((1, 1, 1), 1.2), num_steps=5).flatten()
    tensor([1., 0., 0., 1., 0.])

    References: pehle2021norse
    """

    holds = ("rest", "start")

    def __init__(
        self,
        decay: float = 0.99,
        threshold: float = 1.0,
        rest: int | None = 1,
        fires_at: str = ">=",
        surrogate: Surrogate = Triangle(1.0),  # noqa: B008 (frozen)
        start: float = 0.0,
    ) -> None:
        super().__init__(decay, threshold, "zero", fires_at, surrogate)
        self.rest: int | None = unless_none(at_least(0))("rest", rest)
        self.start: float = real("start", start)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; constants of another reset than to zero are refused."""
        if name == "dynamics" and isinstance(value, Dynamics) and value.reset != "zero":
            raise ValueError(f"reset: got {value.reset!r}, expected neurons that rest to reset to zero")
        super().__setattr__(name, value)

    def rule(self, num_steps: int) -> Rule:
        """Return the constants: a rest for good lasts all T steps."""
        own = Leaky.of(self.dynamics)
        constants = {"decay": (own.decay,), "threshold": (own.threshold,), "reset_amount": (own.drop,)}
        return self._declared(num_steps, constants)

    def _laid(self, current: Tensor) -> dict[str, Tensor]:
        """Return the constants of the potential."""
        d = self.dynamics
        return scalars(current, decay=d.decay, threshold=d.threshold, reset_amount=d.drop)

    def extra_repr(self) -> str:
        """Return the constants that distinguish this layer."""
        return f"{super().extra_repr()}, rest={self.rest}, start={self.start}"


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


RESTING = {"decay": UpToOne, "threshold": Positive, "rest": or_none(Wait), "start": Real, **FIRING}
register(
    Element(RefractoryLIF, rules=(Leaky, LinearNeuron), fields=RESTING, said=said, build=built(RefractoryLIF))
)
