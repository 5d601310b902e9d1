"""Spiking neurons as modules: LIF, and the paper's DLIF with its learnable input scale."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, TypeGuard

import torch
from torch import Tensor, nn

from ..constants import at_least
from ..dynamics import FIRES_AT, RESETS, SURROGATES, Dynamics, Surrogate, Triangle, surrogate_name
from ..rules import Leaky, Rule
from ..running.membrane import resume, simulate, simulate_spikes
from .registry import ELEMENTS, Element, Positive, Steps, UpToOne, or_none, register

HALVES = (torch.bfloat16, torch.float16)
CONSTANTS = ("decay", "threshold", "reset", "fires_at", "reset_amount", "num_steps")
"""What leaky neurons are made of; others have more, which they hold (`LIF.holds`)."""
FIRING: dict[str, Any] = {
    "fires_at": Literal[*FIRES_AT],
    "surrogate": {"name": Literal[*SURROGATES], "width": Positive},
}
"""What a file says of all neurons."""
RESETTING: dict[str, Any] = {"reset": Literal[*RESETS], **FIRING}
LEAKY = {"decay": UpToOne, "threshold": Positive, **RESETTING, "reset_amount": (or_none(Positive), None)}
"""What it says of leaky ones."""


@dataclass(frozen=True)
class Run:
    """What one spiking layer did: input current I, potentials v before reset and spikes s, (T, batch, ...)."""

    current: Tensor
    potentials: Tensor
    spikes: Tensor


class LIF(nn.Module):
    """Leaky integrate-and-fire layer: v[t] = λ·u[t−1] + I[t], fires at θ, then resets.

    Args:
        decay: λ ∈ [0, 1], the share of the potential that survives a step.
        threshold: θ > 0.
        reset: "zero" (u = v(1−s)), "subtract" (u = v − ds) or "none".
        fires_at: ">=" (v ≥ θ fires) or ">" (v > θ fires).
        surrogate: what stands for ds/dv in the backward pass.
        reset_amount: d > 0, what "subtract" takes away; None for θ.

    Raises:
        ValueError, TypeError: for a constant outside its range.

    >>> LIF(decay=0.5)(torch.full((1, 1, 1), 0.6), num_steps=4).flatten()
    tensor([0., 0., 1., 0.])

    References: ding2024robust
    """

    holds: ClassVar[tuple[str, ...]] = ()
    """The constants that a neuron reads of its attributes of these names, and not of `dynamics`."""
    hears: ClassVar[bool] = False
    """Whether it hears its own spikes of one step before."""

    def __init__(
        self,
        decay: float = 0.99,
        threshold: float = 1.0,
        reset: str = "zero",
        fires_at: str = ">=",
        surrogate: Surrogate = Triangle(1.0),  # noqa: B008 (frozen)
        reset_amount: float | None = None,
    ) -> None:
        super().__init__()
        self.dynamics: Dynamics = Dynamics(decay, threshold, reset, fires_at, surrogate, reset_amount)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; refuse the name of a constant that this neuron holds elsewhere, or not at all."""
        ours = type(self).rule.__module__.startswith(f"{__package__}.")
        if ours and name not in self.holds and (name in CONSTANTS or name in _held()):
            told = f"{name}: is no attribute that a {type(self).__name__} runs by"
            raise AttributeError(f"{told}, expected `dynamics` to be replaced, or a new neuron")
        super().__setattr__(name, value)

    @property
    def surrogate(self) -> Surrogate:
        """Return what stands for ds/dv in the backward pass."""
        return self.dynamics.surrogate

    @surrogate.setter
    def surrogate(self, surrogate: Surrogate) -> None:
        self.dynamics = replace(self.dynamics, surrogate=surrogate)

    @property
    def reset(self) -> str:
        """Return "zero", "subtract" or "none"."""
        return self.dynamics.reset

    @property
    def firing(self) -> "LIF":
        """Return the neurons themselves, of a layer that is more."""
        return self

    @property
    def share(self) -> float | Tensor:
        """Return λ, as a tensor where it is learned."""
        return self.dynamics.decay

    def scale(self, num_steps: int) -> Tensor | None:
        """Return the input scale a, (num_steps,), or None for a = 1."""
        return None

    def keep(self, steps: slice) -> None:
        """Leave only the constants of some steps, where each has its own."""

    def stated(self, num_steps: int) -> "LIF":
        """Return a layer of this library's own that does what this one states, whatever code it runs."""
        d, scale = self.dynamics, self.scale(num_steps)
        constants = (d.decay, d.threshold, d.reset, d.fires_at, d.surrogate, d.reset_amount)
        if scale is None:
            return LIF(*constants)
        plain = DLIF(num_steps, *constants)
        plain.input_scale.data = scale.detach().clone()
        return plain

    def rule(self, num_steps: int) -> Rule:
        """Return what this layer does over `num_steps` steps, as plain numbers: readers go by that."""
        return Leaky.of(self.dynamics, self.scale(num_steps))

    def run(self, current: Tensor, num_steps: int) -> Run:
        """Simulate `num_steps` steps; `current` is (T, batch, ...), or (1, batch, ...) if constant."""
        current = in_full(current)
        potentials, spikes = simulate(current, self.scale(num_steps), self.dynamics, num_steps)
        return Run(current, potentials, spikes)

    def forward(self, current: Tensor, num_steps: int) -> Tensor:
        """Return the spikes, (num_steps, batch, ...)."""
        scale = self.scale(num_steps)
        return simulate_spikes(in_full(current), scale, self.dynamics, num_steps)

    def resume(
        self, current: Tensor, residue: Tensor | None, start: int, steps: int, num_steps: int
    ) -> tuple[Tensor, Tensor]:
        """Return spikes and residue of `steps` steps from `start` on, of T = `num_steps`; as `membrane.resume`."""
        scale = self.scale(num_steps)
        scale = None if scale is None else scale[start : start + steps]
        return resume(in_full(current), scale, residue, self.dynamics, steps)

    def extra_repr(self) -> str:
        """Return the constants that distinguish this layer."""
        d = self.dynamics
        amount = "" if d.reset_amount is None else f", reset_amount={d.reset_amount}"
        return f"decay={d.decay}, threshold={d.threshold}, reset={d.reset}, fires_at={d.fires_at}{amount}"


def fires(layer: object) -> TypeGuard[LIF]:
    """Return whether a layer fires."""
    return isinstance(layer, LIF)


def in_full(current: Tensor) -> Tensor:
    """Return the current in float32 where autocast has made it a half: a membrane sums T steps without loss."""
    if current.dtype in HALVES and torch.is_autocast_enabled(current.device.type):
        return current.float()
    return current


class SteppedLIF(LIF):
    """A neuron that torch's own operations run step by step: a subclass says what they are (`_go`)."""

    def step(self, current: Tensor, residue: Tensor | None, t: int, num_steps: int) -> tuple[Run, Tensor]:
        """Return step t = 0..T−1 of a current, (1, batch, ...), and its state behind it, (numbers, batch, ...)."""
        return self._go(current, residue, t, 1, num_steps)

    def _go(
        self, current: Tensor, residue: Tensor | None, start: int, steps: int, num_steps: int
    ) -> tuple[Run, Tensor]:
        """Return `steps` of T steps from `start` on, behind `residue`, None at the start, and what they leave."""
        raise NotImplementedError

    def run(self, current: Tensor, num_steps: int) -> Run:
        """Simulate `num_steps` steps; `current` is (T, batch, ...), or (1, batch, ...) if constant."""
        return self._go(in_full(current), None, 0, num_steps, num_steps)[0]

    def forward(self, current: Tensor, num_steps: int) -> Tensor:
        """Return the spikes, (num_steps, batch, ...)."""
        return self.run(current, num_steps).spikes

    def resume(
        self, current: Tensor, residue: Tensor | None, start: int, steps: int, num_steps: int
    ) -> tuple[Tensor, Tensor]:
        """Go on as `LIF.resume`; the residue holds the numbers of the state, one behind the other."""
        run, residue = self._go(in_full(current), residue, start, steps, num_steps)
        return run.spikes, residue


class DLIF(LIF):
    """The paper's LIF whose input is scaled step by step: v[t] = λ·u[t−1] + a[t]·I[t].

    a is one learnable vector (T,), shared by the layer's neurons, unconstrained, initialised to ones.

    Args:
        num_steps: T, the length of a.
        decay, threshold, reset, fires_at, surrogate, reset_amount: as in `LIF`.

    References: ding2024robust
    """

    holds = ("input_scale",)

    def __init__(
        self,
        num_steps: int,
        decay: float = 0.99,
        threshold: float = 1.0,
        reset: str = "zero",
        fires_at: str = ">=",
        surrogate: Surrogate = Triangle(1.0),  # noqa: B008 (frozen)
        reset_amount: float | None = None,
    ) -> None:
        super().__init__(decay, threshold, reset, fires_at, surrogate, reset_amount)
        self.input_scale: nn.Parameter = nn.Parameter(torch.ones(at_least(1)("num_steps", num_steps)))

    def scale(self, num_steps: int) -> Tensor:
        """Return the learnable input scale a, (num_steps,)."""
        if num_steps != len(self.input_scale):
            raise ValueError(f"num_steps: got {num_steps}, expected this DLIF's {len(self.input_scale)}")
        return self.input_scale

    def keep(self, steps: slice) -> None:
        """Leave only a of some steps."""
        self.input_scale = nn.Parameter(self.input_scale.detach()[steps])


def _held() -> set[str]:
    """Return the names of constants that neurons hold as attributes."""
    return {name for kind in ELEMENTS if issubclass(kind, LIF) for name in kind.holds}


def said(layer: LIF) -> dict[str, Any]:
    """Return the constants of a neuron as a file says them; the reset amount where it is not the threshold."""
    d = layer.dynamics
    constants = {"decay": d.decay, "threshold": d.threshold, "reset": d.reset, "fires_at": d.fires_at}
    amount = {} if d.reset_amount is None else {"reset_amount": d.reset_amount}
    return {**constants, "surrogate": said_of(d.surrogate), **amount}


def said_of(surrogate: Surrogate) -> dict[str, Any]:
    """Return what a file says of a surrogate."""
    return {"name": surrogate_name(surrogate), "width": surrogate.width}


def surrogate_of(fields: Any) -> Surrogate:
    """Return the surrogate that the fields of a neuron say."""
    return SURROGATES[fields.surrogate.name](fields.surrogate.width)


def built(kind: type[nn.Module]) -> Callable[[Any], nn.Module]:
    """Return what makes a neuron of fields that its constructor takes by their names."""
    return lambda fields: kind(**dict(fields) | {"surrogate": surrogate_of(fields)})


register(Element(LIF, rules=(Leaky,), fields=LEAKY, said=said, build=built(LIF)))
register(
    Element(
        DLIF,
        rules=(Leaky,),
        fields={**LEAKY, "num_steps": Steps},
        said=lambda layer: {**said(layer), "num_steps": len(layer.input_scale)},
        tensors=lambda fields: {"input_scale": (fields.num_steps,)},
        build=built(DLIF),
    )
)
