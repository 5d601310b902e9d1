"""Draws of a module that are taken out, so that its spikes are given: fresh numbers, and code of its own.

Code that fires where `torch.rand_like(x) * f <= x` of its own input x sends, in a step, a spike with probability
min(max(x/f, 0), 1), each pixel by itself: a rate code whose draws are f·u. (u is a multiple of 2⁻²⁴ there, and
of 2⁻⁵³ here; at u·f = x, which `<=` counts, and in roundings of u·f the two differ once in 2²⁴ draws.) With
`abs(x)` and `sign(x)` it sends −1 below 0, which no rate code does: for inputs from 0 on the two are the same.

Which tensors are what is followed by identity while the module runs: x, and it in other rows; a draw, and f times
it; their comparison, and what that is as a number. Anything else that is made of these is refused, and so is a
draw of another shape, or one that is compared twice. So all that the module gives is a function of its events.

A module that draws the spikes of its input by code of its own, as a function of them.
"""

import math
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal, NoReturn

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from ..conversion.refusal import ConversionRefused
from ..conversion.sources import DrawnSource, Source, run_once
from ..running.encoding import RateDraws
from .tracing import copied
from .watching import line_here

aten = torch.ops.aten
DRAWING = ("rand", "rand_like")
"""Fresh numbers, uniform on [0, 1)."""
MOVING = ("view", "_unsafe_view", "clone", "detach", "alias", "_to_copy", "lift_fresh")
"""What gives the same numbers, in the same order."""
SIZED = ("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full", "device")
"""What reads no number of a tensor, but how many there are and where."""
SIGNED = "draws spikes with the sign of the input; expected encoding='rate', which asks about inputs from 0 on"


@dataclass(frozen=True)
class Role:
    """What a tensor is.

    Attributes:
        kind: x, |x| or sign(x); f·u; where a spike is, as truth values or as numbers, in
            the latter case without the sign that |x| has taken.
        factor: f.
        number: of a draw, or the step of a spike.
        signed: whether that is of |x|.
    """

    kind: Literal["input", "size", "sign", "draw", "hit", "unsigned"]
    factor: float = 1.0
    number: int = 0
    signed: bool = False


class DrawnEvents(TorchDispatchMode):
    """Follows what a module draws and compares with its input while it is entered.

    Args:
        x: what the module is given; where events are given its values are not read.
        events: those of each step, (T, batch, ...), in place of draws; None: the module draws.

    Attributes:
        found: the events of each step so far.
        drawn: what was drawn so far.
        factor: f, None before a draw is compared.
        signed: whether they have the sign of the input.
        place: the line of the first comparison.
        refused: why the module is none of these, "" where it is.
    """

    def __init__(self, x: Tensor, events: Tensor | None = None) -> None:
        super().__init__()
        self.x, self.events = x, events
        self.roles: Any = WeakTensorKeyDictionary()
        self.roles[x] = Role("input")
        self.found: list[Tensor] = []
        self.drawn: list[Tensor] = []
        self.spent: set[int] = set()
        self.factor: float | None = None
        self.signed, self.place, self.refused = False, "", ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, or put what was given in the place of its result."""
        name, kwargs = func.__name__.split(".")[0], kwargs or {}
        if name in DRAWING:
            return self._drawn(func, args, kwargs)
        leaves = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        known = [self.roles.get(leaf) for leaf in leaves]
        if not any(known) or name in SIZED:
            return func(*args, **kwargs)
        match [name, *known]:
            case [_, Role("input")] if name in MOVING:
                return self._moved(func, args, kwargs)
            case ["abs" | "sign" | "sgn", Role("input")] if not kwargs:
                return self._made(func, args, Role("size" if name == "abs" else "sign"))
            case ["mul", Role("draw") as draw] if isinstance(args[1], int | float) and 0 < args[1] < math.inf:
                return self._made(func, args, replace(draw, factor=draw.factor * args[1]))
            case ["le" | "lt", Role("draw") as draw, Role("input" | "size") as other]:
                return self._compared(func, args, draw, other)
            case ["ge" | "gt", Role("input" | "size") as other, Role("draw") as draw]:
                return self._compared(func, args, draw, other)
            case ["_to_copy", Role("hit") as hit] if kwargs.get("dtype") == self.x.dtype:
                return self._numbers(func, args, kwargs, hit)
            case ["mul", Role("hit" | "unsigned") as hit, Role("sign")] | ["mul", Role("sign"), Role() as hit]:
                return self._turned(args, hit)
            case ["detach" | "clone" | "alias", Role() as same]:
                return self._made(func, args, same, kwargs)
            case _:
                return self._refuse(f"{name} of what it draws, or of its input besides")

    def _refuse(self, why: str) -> NoReturn:
        self.refused = self.refused or f"{line_here()}: draws random numbers: {why}"
        raise ConversionRefused(self.refused)

    def _drawn(self, func: Any, args: Any, kwargs: Any) -> Tensor:
        """Return a draw, or memory in its place."""
        if self.events is None:
            found = func(*args, **kwargs)
        else:
            sizes = list(args[0]) if func.__name__.startswith("rand.") else list(args[0].shape)
            found = aten.full.default(sizes, 0.5, dtype=self.x.dtype)
        if found.dtype != self.x.dtype or kwargs.get("generator") is not None:
            self._refuse("numbers of another type, or of a generator")
        self.roles[found] = Role("draw", number=len(self.drawn))
        self.drawn.append(found)
        return found

    def _moved(self, func: Any, args: Any, kwargs: Any) -> Tensor:
        """Return the input in other rows; each sample has its own."""
        found = func(*args, **kwargs)
        if found.dtype != self.x.dtype or not found.dim() or len(found) != len(self.x):
            self._refuse("its input is cast, or has another batch")
        self.roles[found] = Role("input")
        return found

    def _made(self, func: Any, args: Any, role: Role, kwargs: Any = None) -> Tensor:
        """Return what an operation gives, known by its role; with given events nothing reads its values."""
        found = func(*args, **(kwargs or {})) if self.events is None else aten.clone.default(args[0])
        self.roles[found] = role
        return found

    def _compared(self, func: Any, args: Any, draw: Role, other: Role) -> Tensor:
        """Return where a step's spikes are."""
        if draw.number in self.spent:
            self._refuse("compares them twice")
        if args[0].shape != args[1].shape:
            self._refuse("of another shape than its input")
        if self.factor not in (None, draw.factor):
            self._refuse(f"times {self.factor:g} at a step, and times {draw.factor:g} at another")
        signed = other.kind == "size"
        if self.found and signed != self.signed:
            self._refuse("with the sign of the input at some steps only")
        self.factor, self.signed, self.place = draw.factor, signed, self.place or line_here()
        self.spent.add(draw.number)
        if self.events is None:
            found = func(*args)
            events = found.reshape(self.x.shape).to(self.x)
            self.found.append(events * self.x.sign() if signed else events)
        else:
            found = aten.full.default(list(args[0].shape), False, dtype=torch.bool)
            if len(self.found) == len(self.events):
                self._refuse(f"at more than {len(self.events)} steps")
            self.found.append(aten.select.int(self.events, 0, len(self.found)))
        self.roles[found] = Role("hit", number=len(self.found) - 1, signed=signed)
        return found

    def _numbers(self, func: Any, args: Any, kwargs: Any, hit: Role) -> Tensor:
        """Return spikes as numbers: the events, or what is none before it has its sign."""
        if not hit.signed:
            return self._event(hit.number, args[0].shape)
        found = func(*args, **kwargs)
        self.roles[found] = replace(hit, kind="unsigned")
        return found

    def _turned(self, args: Any, hit: Role) -> Tensor:
        """Return the events of what was none before it had its sign."""
        if not hit.signed or args[0].shape != args[1].shape:
            self._refuse("takes the sign of the input where its size was not compared")
        return self._event(hit.number, args[0].shape)

    def _event(self, step: int, shape: torch.Size) -> Tensor:
        return aten.view.default(self.found[step], list(shape))


class DrivenByEvents(nn.Module):
    """A module as a function of the events that it drew, (T, batch, ...); its input is no number."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.inner = copied(source).module
        self.how = {"num_steps": source.num_steps, "output": source.output, "stateful": source.stateful}

    def forward(self, events: Tensor) -> tuple[Tensor, ...]:
        """Return what the module gives of events.

        Raises:
            ConversionRefused: where it draws at fewer steps, or does something else with its input.
        """
        x = torch.full_like(events[0], torch.nan)
        following = DrawnEvents(x, events)
        found = self.run(x, following)
        if len(following.found) != len(events):
            raise ConversionRefused("module: does not draw once at each step; expected that")
        return found

    def run(self, x: Tensor, following: DrawnEvents) -> tuple[Tensor, ...]:
        """Run the module, and follow what it draws."""
        with following:
            found = run_once(Source(self.inner, False, **self.how), x)
        if following.refused:
            raise ConversionRefused(following.refused)
        return found


@dataclass(frozen=True)
class OwnDrawnSource(DrawnSource):
    """A module that draws by code of its own, as a function of events.

    Attributes:
        signed: whether its events have the sign of the input.
        drawn: what a run drew.
    """

    signed: bool = False
    drawn: tuple[Tensor, ...] = ()

    def check(self, inputs: Tensor) -> None:
        """Raise unless the module, as it draws on inputs, is that function of its events."""
        if self.signed and bool((inputs < 0).any()):
            raise ConversionRefused(f"{self.name}: {SIGNED}; got some down to {float(inputs.min()):g}")
        following, seed = DrawnEvents(inputs), torch.initial_seed()
        with torch.no_grad():
            expected = _fresh(self.source).run(inputs, following)
            found = _fresh(self.source)(torch.stack(following.found))
        drawn = [*self.drawn, *following.drawn]
        again = any(torch.equal(one, other) for one, other in combinations(drawn, 2))
        if again or torch.initial_seed() != seed:
            raise ConversionRefused(f"{self.name}: draws the same numbers again, expected fresh ones at each step")
        if not all(torch.equal(one, other) for one, other in zip(expected, found, strict=True)):
            raise ConversionRefused("module: is no function of the events that it draws of its input alone")


def _fresh(source: Source) -> DrivenByEvents:
    """Return a copy from its first states."""
    module = copied(source).module
    assert isinstance(module, DrivenByEvents)
    return module


def own_drawn_source(source: Source, inputs: Tensor, draws: Tensor | int) -> DrawnSource | None:
    """Return a module that draws as a function of its events; None where it draws otherwise.

    Args:
        source: the module; `rates`, whether it is asked about inputs from 0 on.
        inputs: some of its inputs.
        draws: those of a network, (T, ...), which may be of fewer steps, as what comes last may be of no use; or
            the seed of new ones.

    Raises:
        ConversionRefused: for events with signs where that is not so.
    """
    made, following = Source(DrivenByEvents(source).eval(), True, ending=source.ending), DrawnEvents(inputs)
    try:
        with torch.no_grad():
            _fresh(made).run(inputs, following)
    except ConversionRefused:
        return None
    steps, factor = len(following.found), following.factor
    if factor is None:
        return None
    if following.signed and not source.rates:
        raise ConversionRefused(f"{following.place}: {SIGNED}")
    if isinstance(draws, int):
        own = RateDraws(draws)
        given = own if factor == 1.0 else RateDraws(own.thresholds(steps, tuple(inputs.shape[1:])) * factor)
    else:
        given = RateDraws(torch.cat([draws, draws[-1:].expand(max(0, steps - len(draws)), *draws.shape[1:])]))
    return OwnDrawnSource(following.place, made, given, steps, following.signed, tuple(following.drawn))
