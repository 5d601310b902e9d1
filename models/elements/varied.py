"""Leaky neurons whose constants differ within a layer: one λ, θ and d a channel, or one a neuron."""

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from ..constants import real
from ..dynamics import Dynamics, Surrogate, Triangle
from ..linear_neuron import AXES, OWN, LinearNeuron, laid
from ..rules import Leaky, Rule, plain
from .neurons import RESETTING, Run, SteppedLIF, said_of, surrogate_of
from .registry import Element, Size, register

Constant = Tensor | float | list[Any] | tuple[Any, ...]
"""One number, or an array of them that is laid out as torch broadcasts it."""


class DeclaredLIF(SteppedLIF):
    """Neurons that run as `models.linear_neuron` says, step by step.

    A kind of them says its constants for a current (`_laid`), without those of terms that it does not have.
    """

    others: int = 0
    start: float = 0.0
    floor: float | None = None
    rest: int | None = 0
    steps: int = 0
    most: int = 1

    @property
    def common(self) -> Dynamics:
        """Return the reset, the comparison and the surrogate of all."""
        return self.dynamics

    def _laid(self, current: Tensor) -> dict[str, Tensor]:
        """Return the constants, broadcastable to features, behind the axes that `front_axes` tells."""
        raise NotImplementedError

    def _declared(self, num_steps: int, constants: dict[str, tuple[float, ...]], **more: Any) -> Rule:
        """Return the rule of these constants and of all else that a run reads."""
        own, factors = self.common, self.scale(num_steps)
        states = {"others": self.others, "rest": num_steps if self.rest is None else self.rest}
        steps = {"steps": self.steps, "scale": None if factors is None else numbers(factors), "most": self.most}
        ends = {"reset": own.reset, "fires_at": own.fires_at, "start": self.start, "floor": self.floor}
        return LinearNeuron(**constants, **states, **steps, **ends, **more).normal

    def _go(
        self, current: Tensor, residue: Tensor | None, start: int, steps: int, num_steps: int
    ) -> tuple[Run, Tensor]:
        c, scale, many = self._laid(current), self.scale(num_steps), range(self.others)
        longest, reset = self._longest(current, num_steps), self.common.reset
        silent = torch.zeros_like(current[0])
        begins = (silent + self.start, *[silent] * (self.others + bool(longest)))
        left, *adapted = begins if residue is None else residue.unbind()
        waits = adapted.pop() if longest else silent
        potentials, spikes = [], []
        for t in range(steps):
            own = c | {name: c[name][start + t] for name in OWN} if self.steps else c
            entering, before = current[t % len(current)], left
            entering = entering if scale is None else entering * scale[start + t]
            driven = torch.addcmul(entering, before, own["decay"])
            potential = _plus(driven, *_terms(adapted, own, "drain"), sign=-1.0)
            potential = torch.where(waits == 0, potential, 0.0) if longest else potential
            taken = _plus(own["reset_amount"], *_terms(adapted, own, "reset_rise"))
            spike = self._fired(potential, _plus(own["threshold"], *_terms(adapted, own, "rise")), taken)
            if longest:
                spike = torch.where(waits == 0, spike, 0.0)
                waits = torch.where(spike.detach() > 0, longest, (waits - 1.0).clamp_min(0.0))
            left = left_behind(potential, spike, taken, reset)
            left = left if self.floor is None else left.clamp_min(self.floor)
            heard = {"carry": before, "hearing": entering, "drive": potential, "jump": spike}
            adapted = [
                _plus(
                    adapted[i] * own["fading"][i, i],
                    *((adapted[k], own["fading"][i, k]) for k in many if k != i),
                    *((signal, own[name][i]) for name, signal in heard.items() if name in own),
                )
                for i in many
            ]
            potentials.append(potential)
            spikes.append(spike)
        after = torch.stack((left, *adapted, *[waits] * bool(longest)))
        return Run(current, torch.stack(potentials), torch.stack(spikes)), after

    def _fired(self, potential: Tensor, limit: Tensor, amount: Tensor) -> Tensor:
        """Return how many spikes there are: how many limits B + (n − 1)·d are reached."""
        if self.most > 1:
            sooner = torch.arange(self.most).to(potential).view(-1, *[1] * potential.dim())
            potential, limit = potential.expand(self.most, *potential.shape), torch.addcmul(limit, sooner, amount)
        fired: Tensor = Fires.apply(potential, limit, self.common)  # pyright: ignore[reportAssignmentType]
        return fired.sum(0) if self.most > 1 else fired

    def _longest(self, current: Tensor, num_steps: int) -> int:
        """Return how many steps a rest may last within T.

        Raises:
            ValueError: where the current's dtype can't count them.
        """
        longest = num_steps if self.rest is None else min(self.rest, num_steps)
        if longest * torch.finfo(current.dtype).eps > 1.0:
            raise ValueError(f"inputs: got {current.dtype}, which can't count rests of {longest} steps")
        return longest


def numbers(array: Tensor) -> tuple[float, ...]:
    """Return an array's entries as plain numbers."""
    return tuple(array.detach().double().flatten().tolist())


def scalars(like: Tensor, **constants: float) -> dict[str, Tensor]:
    """Return numbers that all neurons share, each behind the axes of one w."""
    return {name: like.new_tensor(value).view([1] * AXES[name]) for name, value in constants.items()}


def _terms(adapted: list[Tensor], c: dict[str, Tensor], name: str) -> Iterable[tuple[Tensor, Tensor]]:
    return zip(adapted, c[name], strict=True) if name in c else ()


def _plus(start: Tensor, *terms: tuple[Tensor, Tensor], sign: float = 1.0) -> Tensor:
    """Return a sum of products, one by one."""
    return reduce(lambda total, term: torch.addcmul(total, *term, value=sign), terms, start)


class ArrayLIF(DeclaredLIF):
    """Neurons whose constants are buffers: `shared` holds the reset, the comparison and the surrogate of all."""

    shared: Dynamics
    threshold: Tensor

    @property
    def common(self) -> Dynamics:
        """Return the reset, the comparison and the surrogate of all."""
        return self.shared

    @property
    def surrogate(self) -> Surrogate:
        """Return what stands for ds/dv in the backward pass."""
        return self.shared.surrogate

    @surrogate.setter
    def surrogate(self, surrogate: Surrogate) -> None:
        self.shared = replace(self.shared, surrogate=surrogate)

    @property
    def reset(self) -> str:
        """Return "zero", "subtract" or "none"."""
        return self.shared.reset


class VariedLIF(ArrayLIF):
    """LIF whose decays, thresholds and reset amounts are arrays: one a channel, or one a neuron.

    They are buffers, so they are saved with the weights and follow them to a dtype and a device; training leaves
    them as they are. Constants are laid out as torch broadcasts them to a sample's features: (n,) for the n
    neurons of a dense layer, (c, 1, 1) for the channels of images. Numbers take torch's default dtype.

    Args:
        decay: λ ∈ [0, 1].
        threshold: θ > 0.
        reset, fires_at, surrogate: as in `LIF`, of all neurons.
        reset_amount: d > 0, what "subtract" takes away; None for θ.

    Raises:
        ValueError, TypeError: for a constant outside its range, or shapes that do not fit each other.

    >>> VariedLIF(decay=[0.5, 1.0])(torch.full((1, 1, 2), 0.5), num_steps=3)[:, 0]
    tensor([[0., 0.],
            [0., 1.],
            [0., 0.]])

    References: fang2021incorporating
    """

    holds = ("decay", "threshold", "reset_amount")
    decay: Tensor
    threshold: Tensor
    reset_amount: Tensor | None

    def __init__(
        self,
        decay: Constant = 0.99,
        threshold: Constant = 1.0,
        reset: str = "zero",
        fires_at: str = ">=",
        surrogate: Surrogate = Triangle(1.0),  # noqa: B008 (frozen)
        reset_amount: Constant | None = None,
    ) -> None:
        nn.Module.__init__(self)
        self.shared: Dynamics = Dynamics(1.0, 1.0, reset, fires_at, surrogate)
        _check_shared(self.shared, reset_amount)
        given = {"decay": decay, "threshold": threshold}
        given |= {} if reset_amount is None else {"reset_amount": reset_amount}
        arrays = alike({name: array_of(name, value) for name, value in given.items()})
        for name in ("decay", "threshold", "reset_amount"):
            self.register_buffer(name, arrays.get(name))
        if not self.decay.is_meta:  # a file's constants come later
            self.rule(1)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; numbers of `shared` are refused, and amounts of a reset that takes none."""
        if name == "shared":
            _check_shared(value, self._buffers.get("reset_amount"))
        if name == "reset_amount":
            _check_shared(self.shared, value)
        super().__setattr__(name, value)

    @property
    def constants(self) -> tuple[Tensor, ...]:
        """Return the arrays: λ, θ and, where it is not θ, d."""
        arrays = (self.decay, self.threshold, self.reset_amount)
        return tuple(array for array in arrays if array is not None)

    @property
    def dynamics(self) -> Dynamics:
        """Return the one set of constants of all neurons.

        Raises:
            TypeError: where they differ: what asks for one number can't speak of this layer.
        """
        rule = self.rule(1)
        if not plain(rule):
            raise TypeError("layer: got a VariedLIF whose neurons differ, expected one λ, θ and d for all of them")
        amount = None if self.reset_amount is None else rule.drop
        return replace(self.shared, decay=rule.decay, threshold=rule.threshold, reset_amount=amount)

    @dynamics.setter
    def dynamics(self, constants: Dynamics) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        raise AttributeError("dynamics: a VariedLIF holds its constants as buffers, expected those to be set")

    def rule(self, num_steps: int) -> Rule:
        """Return what this layer does, as plain numbers."""
        drop = self.threshold if self.reset_amount is None else self.reset_amount
        arrays = zip(OWN, (self.decay, self.threshold, drop), strict=True)
        constants = {name: numbers(array) for name, array in arrays}
        return self._declared(num_steps, constants, shape=tuple(self.decay.shape))

    def stated(self, num_steps: int) -> "VariedLIF":
        """Return a layer of the same constants."""
        own = self.shared
        return VariedLIF(self.decay, self.threshold, own.reset, own.fires_at, own.surrogate, self.reset_amount)

    def _laid(self, current: Tensor) -> dict[str, Tensor]:
        """Return λ, θ and d."""
        arrays = [laid(array, current.shape[2:]).to(current) for array in self.constants]
        return dict(zip(OWN, (*arrays, arrays[1]), strict=False))

    def extra_repr(self) -> str:
        """Return how the constants are laid out, and where they lie."""
        ends = ", ".join(
            f"{name}={float(array.min()):g}…{float(array.max()):g}"
            for name, array in zip(("decay", "threshold", "reset_amount"), self.constants, strict=False)
        )
        return f"{tuple(self.decay.shape)}, {ends}, reset={self.reset}, fires_at={self.shared.fires_at}"


def _check_shared(shared: Any, amount: object) -> None:
    """Raise ValueError for constants that a VariedLIF would not read, of all its neurons or as an array."""
    if amount is not None and shared.reset != "subtract":
        raise ValueError(f'reset_amount: got one with reset {shared.reset!r}, expected it with "subtract" only')
    if (shared.decay, shared.threshold, shared.reset_amount) != (1.0, 1.0, None):
        raise ValueError("shared: got a decay, threshold or reset_amount, expected the arrays to be set")


class Fires(torch.autograd.Function):
    """(v, θ) → s, with the surrogate of `dynamics` for ds/dv, and less of it for ds/dθ of thresholds like v."""

    @staticmethod
    def forward(ctx: Any, potential: Tensor, threshold: Tensor, dynamics: Dynamics) -> Tensor:
        """Return 1 where the potential fires."""
        ctx.save_for_backward(potential, threshold)
        ctx.surrogate = dynamics.surrogate
        compare = torch.ge if dynamics.fires_at == ">=" else torch.gt
        return compare(potential, threshold).to(potential.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the gradient times the surrogate's slope, and its opposite where a threshold asks for it."""
        potential, threshold = ctx.saved_tensors
        slope = grad * ctx.surrogate.derivative_(potential - threshold)
        return slope, -slope if ctx.needs_input_grad[1] else None, None


def left_behind(potential: Tensor, spike: Tensor, drop: Tensor, reset: str) -> Tensor:
    """Return the potential after the reset: exactly 0 behind a spike where it is "zero"."""
    if reset == "zero":
        return potential * (1.0 - spike)
    return torch.addcmul(potential, spike, drop, value=-1.0) if reset == "subtract" else potential


def array_of(name: str, value: Constant) -> Tensor:
    """Return a constant as a tensor of its own."""
    if isinstance(value, Tensor) and value.dtype.is_floating_point:
        return value.detach().clone()
    try:
        found = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name}: got {type(value).__name__}, expected numbers in an array") from error
    if found.is_complex() or found.dtype is torch.bool:
        raise TypeError(f"{name}: got {found.dtype}, expected real numbers")
    if not isinstance(value, Tensor) and found.dim() == 0:
        return torch.tensor(real(name, value, finite=False))
    return found.to(torch.get_default_dtype())


def alike(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return arrays of one shape and dtype."""
    try:
        found = torch.broadcast_tensors(*arrays.values())
    except RuntimeError:
        told = ", ".join(f"{name} {tuple(array.shape)}" for name, array in arrays.items())
        raise ValueError(f"constants: got shapes {told}, expected ones that fit each other") from None
    kind = reduce(torch.promote_types, (array.dtype for array in found))
    return dict(zip(arrays, (array.to(kind).clone().contiguous() for array in found), strict=True))


def _said(layer: VariedLIF) -> dict[str, Any]:
    """Return the shape, and what all neurons have in common."""
    amounts = layer.reset_amount is not None
    common = {"fires_at": layer.shared.fires_at, "surrogate": said_of(layer.surrogate)}
    return {"shape": tuple(layer.decay.shape), "amounts": amounts, **common}


def _built(fields: Any) -> VariedLIF:
    """Return a new layer, without lists of as many numbers."""
    constant = torch.ones(fields.shape)
    amount = constant if fields.amounts else None
    return VariedLIF(constant, constant, fields.reset, fields.fires_at, surrogate_of(fields), amount)


register(
    Element(
        VariedLIF,
        rules=(Leaky, LinearNeuron),
        fields={"shape": tuple[Size, ...], "amounts": bool, **RESETTING},
        said=_said,
        tensors=lambda fields: dict.fromkeys(VariedLIF.holds[: 2 + fields.amounts], tuple(fields.shape)),
        build=_built,
    )
)
