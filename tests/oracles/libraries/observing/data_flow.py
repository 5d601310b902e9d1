"""Where the signals of a module come from: which layers gave them, and what was done to them since.

While a module runs, `Origins` follows each tensor from layer to layer: through operations that only move values,
through sums and differences of two, and through constants that are added or multiplied. What can't be followed has
no origin; nothing is guessed. `arranging.py` puts what is found in order.

A product of two signals is taken for a gate of spikes, whose sources must be proven to be 0 or 1 (`gates.py`): a·b
is 1 where a + b ≥ 3/2, and a·(1 − b) where a − b ≥ 1/2, so that a gate is a layer of neurons without memory.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .places import place


@dataclass(frozen=True)
class Gave:
    """The output of a layer; of "" the module's input.

    Attributes:
        name: of the layer.
        call: of which call of it, from 0; None for several, or none.
    """

    name: str
    call: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Joined:
    """The sum of two signals."""

    one: "Origin"
    other: "Origin"


@dataclass(frozen=True)
class Adjusted:
    """A signal, and a constant that is added, subtracted, multiplied by or divided by, as in (x − mean)/std.

    Attributes:
        source: the signal.
        operation: "add", "sub", "mul" or "div".
        numbers: one, or one for each channel of images or each feature of vectors.
    """

    source: "Origin"
    operation: str
    numbers: tuple[float, ...]

    def applied(self, signal: Tensor) -> Tensor:
        """Return what becomes of a signal, (T, batch, ...), as the module computes it."""
        if len(self.numbers) == 1:
            return getattr(torch, self.operation)(signal, self.numbers[0])
        constant = torch.tensor(self.numbers, dtype=signal.dtype)
        return getattr(torch, self.operation)(signal, constant.view(-1, 1, 1) if signal.dim() > 3 else constant)


Origin = Gave | Joined | Adjusted
INPUT = Gave("")
ZEROS = ("zeros", "zeros_like", "new_zeros", "zero", "zero_", "_efficientzerotensor")
"""Operations that make zeros, whatever they are given."""
ADJUSTING = ("add", "sub", "mul", "div")
SAME_STEPS = ("view", "_unsafe_view", "clone", "detach", "alias", "_to_copy", "_reshape_alias")
"""Operations that leave each entry of the first axis together where they leave its length."""


@dataclass(frozen=True)
class Gate:
    """The product of two signals, a·b or a·(1 − b), if both are spikes.

    Attributes:
        one, other: a and b.
        inverted: whether b is taken from 1.
        place: the line that multiplies them.
    """

    one: Origin
    other: Origin
    inverted: bool
    place: str = field(default="", compare=False)

    @property
    def current(self) -> Joined:
        """Return a + b, or a − b."""
        return Joined(self.one, negative(self.other) if self.inverted else self.other)

    @property
    def threshold(self) -> float:
        """Return what is halfway between the currents of 0 and of 1, where no rounding leaves a spike open."""
        return 0.5 if self.inverted else 1.5

    @property
    def name(self) -> str:
        """Return what it is called where layers are named."""
        return f"{told(self.one)} AND {'NOT ' if self.inverted else ''}{told(self.other)}"


@dataclass
class Origins:
    """The origins of the tensors of one run, which are kept so that none takes another's place.

    A tensor is known, by its origin; or a constant, if the module held it before the run or it is computed from
    constants alone; or else it is lost. A neuron's state is lost: it depends on the input.
    """

    gates: dict[str, Gate] = field(default_factory=dict)
    _known: dict[int, tuple[Tensor, Origin | None]] = field(default_factory=dict)
    _constants: dict[int, Tensor] = field(default_factory=dict)
    _zeros: dict[int, Tensor] = field(default_factory=dict)
    _sequences: dict[int, tuple[Tensor, str]] = field(default_factory=dict)

    def note(self, tensor: Tensor, origin: Origin | None) -> None:
        """Say where a tensor comes from, or, by None, that it is lost."""
        self._constants.pop(id(tensor), None)
        self._sequences.pop(id(tensor), None)
        self._known[id(tensor)] = tensor, origin

    def note_steps(self, tensor: Tensor, name: str) -> None:
        """Say that a tensor, (T, ...), holds all steps of a layer that was called once, for one input."""
        self.note(tensor, Gave(name))
        self._sequences[id(tensor)] = tensor, name

    def hold(self, tensor: Tensor) -> None:
        """Say that a tensor is a constant."""
        self._constants[id(tensor)] = tensor

    def of(self, tensor: Tensor) -> Origin | None:
        """Return where a tensor comes from, if that is known."""
        _, origin = self._known.get(id(tensor), (None, None))
        return origin

    def is_zero(self, tensor: Tensor) -> bool:
        """Return whether a tensor holds zeros and would for any inputs."""
        return id(tensor) in self._zeros

    def depends(self, tensor: Tensor) -> bool:
        """Return whether a tensor may hold something else for other inputs."""
        return id(tensor) in self._known and not self.is_zero(tensor)

    def hidden(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Any) -> str:
        """Return what an operation does to a signal besides what it is called for, in words; "" for nothing.

        It makes it narrower, so that not all values come through, or writes it to memory of before, which may be
        read and written elsewhere.
        """
        kinds = {tensor.dtype for tensor in tensors_of(args) if id(tensor) in self._known}
        for tensor in tensors_of(made):
            narrow = [kind for kind in kinds if torch.promote_types(kind, tensor.dtype) != tensor.dtype]
            if narrow:
                return f"a cast of {narrow[0]} to {tensor.dtype}"
            written = any(tensor is part for part in tensors_of((args, tuple(kwargs.values()))))
            if kinds and written and id(tensor) not in self._known and id(tensor) not in self._constants:
                return "a copy to a tensor of before"
        return ""

    def follow(self, name: str, moves: bool, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Any) -> None:
        """Say where what an operation made comes from.

        Args:
            name: of the operation.
            moves: whether all that it makes are values that it is given.
            args, kwargs: what it is given.
            made: what it gave.
        """
        self._follow_zeros(name, moves, args, made)
        given = [tensor for tensor in tensors_of((args, tuple(kwargs.values()))) if id(tensor) in self._known]
        if not given:
            if name == "lift_fresh" or all(id(tensor) in self._constants for tensor in tensors_of(args)):
                for tensor in tensors_of(made):
                    self.hold(tensor)
            return
        if "out" in kwargs:
            origin = None
        elif moves:
            origin = _common([self.of(tensor) for tensor in tensors_of(args)])
        else:
            origin = self._computed(name.removesuffix("_"), args, kwargs)
        for tensor in tensors_of(made):
            self.note(tensor, origin)
        self._follow_steps(name, moves, args, made)

    def _follow_steps(self, name: str, moves: bool, args: tuple[Any, ...], made: Any) -> None:
        """Note which step of a sequence was taken, or that what was made is one, too."""
        source, layer = self._sequences.get(id(args[0]) if args else 0, (None, ""))
        if source is None or not moves:
            return
        along = (*args, 0)[1] == 0
        if name == "select" and along:
            self.note(made, Gave(layer, int(args[2]) % len(source)))
        elif name == "unbind" and along:
            for step, tensor in enumerate(made):
                self.note(tensor, Gave(layer, step))
        elif name in SAME_STEPS and len(made) == len(source) and made.dim() > 1:
            self.note_steps(made, layer)

    def _follow_zeros(self, name: str, moves: bool, args: tuple[Any, ...], made: Any) -> None:
        """Note which tensors hold zeros now, and which no longer do."""
        taken = list(tensors_of(args))
        zeros = name in ZEROS or (moves and bool(taken) and all(map(self.is_zero, taken)))
        for tensor in tensors_of(made):
            if zeros:
                self._zeros[id(tensor)] = tensor
            else:
                self._zeros.pop(id(tensor), None)

    def _computed(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Origin | None:
        """Return the origin of two signals, or of a signal and a constant; None for all else."""
        if name == "rsub":
            name, args = "sub", args[::-1]
        elif name == "neg":
            name, args = "mul", (*args, -1.0)
        if name not in ADJUSTING or len(args) != 2 or kwargs.get("alpha", 1) != 1 or "rounding_mode" in kwargs:
            return None
        one, other = args
        origin = self.of(one) if isinstance(one, Tensor) else None
        second = self.of(other) if isinstance(other, Tensor) else None
        if origin is not None and second is not None:
            return self._of_two(name, origin, second)
        if origin is None and second is not None and name in ("add", "mul", "sub"):
            one, other, origin = other, one, negative(second) if name == "sub" else second
            name = "add" if name == "sub" else name
        numbers = self._constant(other, one)
        return None if origin is None or numbers is None else _adjusted(origin, name, numbers)

    def _of_two(self, name: str, one: Origin, other: Origin) -> Origin | None:
        """Return the origin of a sum, a difference or a product of two signals."""
        if name in ("add", "sub"):
            return Joined(one, other if name == "add" else negative(other))
        if name != "mul":
            return None
        if _complemented(one) is not None:
            one, other = other, one
        inner = _complemented(other)
        gate = Gate(one, other if inner is None else inner, inner is not None, place())
        found = {leaf.call for leaf in (*leaves(gate.one), *leaves(gate.other))}
        if len(found) > 1:
            return None
        self.gates[gate.name] = gate
        return Gave(gate.name, found.pop())

    def _constant(self, value: Any, signal: Tensor) -> tuple[float, ...] | None:
        """Return a number, or one for each channel or feature of a signal; None for all else."""
        if isinstance(value, int | float):
            return (float(value),)
        if not isinstance(value, Tensor) or id(value) not in self._constants or value.is_complex():
            return None
        axes = signal.shape[-1:] if signal.dim() < 4 else (signal.shape[-3], 1, 1)
        fits = value.numel() == 1 or (value.shape[-len(axes) :] == axes and value.numel() == math.prod(axes))
        return tuple(value.double().flatten().tolist()) if fits else None


def _common(origins: list[Origin | None]) -> Origin | None:
    """Return the only origin that there is, of no one call where there are several; None for more than one."""
    if len(set(origins)) != 1:
        return None
    first = origins[0]
    several = isinstance(first, Gave) and len({one.call for one in origins if isinstance(one, Gave)}) > 1
    return Gave(first.name) if several else first  # type: ignore[union-attr]


def leaves(origin: Origin) -> Iterator[Gave]:
    """Yield the outputs of layers that a signal is made of."""
    if isinstance(origin, Joined):
        yield from leaves(origin.one)
        yield from leaves(origin.other)
    else:
        yield from leaves(origin.source) if isinstance(origin, Adjusted) else (origin,)


def negative(origin: Origin) -> Origin:
    """Return a signal times −1."""
    return Adjusted(origin, "mul", (-1.0,))


def _complemented(origin: Origin) -> Origin | None:
    """Return s of 1 − s, None for another signal."""
    if not isinstance(origin, Adjusted) or (origin.operation, set(origin.numbers)) != ("add", {1.0}):
        return None
    inner = origin.source
    return inner.source if isinstance(inner, Adjusted) and inner == negative(inner.source) else None


def told(origin: Origin) -> str:
    """Return a signal in words."""
    if isinstance(origin, Joined):
        return f"the sum of {told(origin.one)} and {told(origin.other)}"
    if isinstance(origin, Adjusted):
        return f"{origin.operation} of {told(origin.source)} and a constant"
    return origin.name or "the input"


def _adjusted(origin: Origin, name: str, numbers: tuple[float, ...]) -> Origin:
    """Return a signal and a constant; by one that changes nothing, the signal."""
    nothing = 0.0 if name in ("add", "sub") else 1.0
    return origin if all(number == nothing for number in numbers) else Adjusted(origin, name, numbers)


def tensors_of(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples and lists, themselves and no copies."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors_of(part)


def value(origin: Origin, signal: Callable[[str], Tensor]) -> Tensor | None:
    """Return the signal of an origin, (T or 1, batch, ...); None for a sum of shapes that differ.

    Args:
        origin: of it.
        signal: what a layer gave, by its name.
    """
    if isinstance(origin, Gave):
        return signal(origin.name)
    if isinstance(origin, Adjusted):
        before = value(origin.source, signal)
        return None if before is None else origin.applied(before)
    one, other = value(origin.one, signal), value(origin.other, signal)
    if one is None or other is None or one.shape[1:] != other.shape[1:]:
        return None
    return one + other if len(one) == len(other) or 1 in (len(one), len(other)) else None
