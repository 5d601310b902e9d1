"""The settings of a layer of neurons that may be exchanged, and what each says where two builds differ in it."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from ...conversion.constants import Constant
from .exchanges import apart, array, equal, exchange_tensors, rounded_apart, weights_apart
from .neurons import NeuronSettings

Apart = tuple[str, str, bool]
"""A kind of `KINDS`, words, and whether roundings alone make the difference."""
CLOSE = 1e-6
"""A share by which a constant may miss the one that a dialect would give it."""


@dataclass(frozen=True)
class NeuronField:
    """One setting, or some that only go together.

    Attributes:
        name: its own.
        parts: the fields of `NeuronSettings` that it is made of.
        differs: yields what differs, once at most.
    """

    name: str
    parts: tuple[str, ...]
    differs: Callable[[NeuronSettings, NeuronSettings, torch.dtype], Iterator[Apart]]

    def exchanged(self, a: NeuronSettings, b: NeuronSettings) -> NeuronSettings:
        """Return B's settings with this one of A's."""
        return replace(b, **{part: getattr(a, part) for part in self.parts})

    def apart(self, a: NeuronSettings, b: NeuronSettings, dtype: torch.dtype) -> list[Apart]:
        """Return what differs: one, or none."""
        return list(self.differs(a, b, dtype))


def _constant(kind: str, sign: str, part: str) -> Callable[..., Iterator[Apart]]:
    def differs(a: NeuronSettings, b: NeuronSettings, dtype: torch.dtype) -> Iterator[Apart]:
        """Yield the difference of a constant."""
        pair = getattr(a, part), getattr(b, part)
        if not equal(*pair, dtype):
            how = _time_constants(*pair) if part == "decay" else ""
            yield kind, f"{apart(sign, *pair)}{how}", rounded_apart(*pair, dtype)

    return differs


def _time_constants(a: Constant, b: Constant) -> str:
    """Return that one is 1 − dt/τ and the other exp(−dt/τ), or that one is a chip's rounding of the other."""
    one, other = array(a), array(b)
    if one.numel() != 1 or other.numel() != 1:
        return ""
    x, y = float(one), float(other)
    for p, q, told in ((x, y, "1 − dt/τ against exp(−dt/τ)"), (y, x, "exp(−dt/τ) against 1 − dt/τ")):
        if abs(math.exp(-(1.0 - p)) - q) <= CLOSE:
            return f": {told}"
    for parts in (4096, 256):
        if round(x * parts) / parts == y:
            return f": rounded to {parts}ths"
    return ""


def _reset(a: NeuronSettings, b: NeuronSettings, dtype: torch.dtype) -> Iterator[Apart]:
    """Yield the difference of what a spike leaves; d/λ in the place of d is a reset behind the leak."""
    if a.reset != b.reset:
        yield "reset", f"{_left(a)} against {_left(b)}", False
    elif (
        a.reset == "subtract" and not (a.amount is None and b.amount is None) and not equal(a.drop, b.drop, dtype)
    ):
        late = [whose for one, other, whose in ((a, b, "B"), (b, a, "A")) if _is_late(one, other)]
        if late:
            words = "d against d/λ" if late[0] == "B" else "d/λ against d"
            yield "order", f"{late[0]} resets behind the leak of the next step ({words})", False
        else:
            yield "reset", apart("d", a.drop, b.drop), rounded_apart(a.drop, b.drop, dtype)


def _is_late(one: NeuronSettings, other: NeuronSettings) -> bool:
    """Return whether another takes d/λ where one takes d, and d of both is the threshold of one."""
    try:
        wanted = array(one.drop) / array(one.decay)
        return bool(((wanted - array(other.drop)).abs() <= CLOSE * wanted.abs()).all()) and bool(
            (array(one.decay) < 1).any()
        )
    except RuntimeError:
        return False


def _left(settings: NeuronSettings) -> str:
    return {"zero": "to zero", "subtract": "by subtraction", "none": "no reset"}.get(
        settings.reset, settings.reset
    )


def _rest(a: NeuronSettings, b: NeuronSettings, dtype: torch.dtype) -> Iterator[Apart]:
    """Yield the difference of rests; one of a single step is a reset to zero behind the leak and the current."""
    if a.rest == b.rest:
        return
    told = [("for good" if each.rest is None else f"{each.rest} steps") for each in (a, b)]
    words = f"rests {told[0]} against {told[1]} behind a spike"
    if {a.rest, b.rest} == {0, 1}:
        late = "A" if a.rest == 1 else "B"
        yield "order", f"{late} resets to zero behind leak and current of the next step ({words})", False
    else:
        yield "reset", words, False


def _start(a: NeuronSettings, b: NeuronSettings, dtype: torch.dtype) -> Iterator[Apart]:
    if a.start != b.start:
        yield "reset", f"starts from {a.start:.6g} against {b.start:.6g}", False


def _ties(a: NeuronSettings, b: NeuronSettings, dtype: torch.dtype) -> Iterator[Apart]:
    if a.fires_at != b.fires_at:
        yield "ties", f"fires at v {a.fires_at} θ against v {b.fires_at} θ", False


def _scale(a: NeuronSettings, b: NeuronSettings, dtype: torch.dtype) -> Iterator[Apart]:
    if not equal(a.scale, b.scale, dtype):
        yield "weight", weights_apart("input_scale", a.scale, b.scale), rounded_apart(a.scale, b.scale, dtype)


def _loop(a: NeuronSettings, b: NeuronSettings, dtype: torch.dtype) -> Iterator[Apart]:
    if (a.feedback is None) != (b.feedback is None):
        hears, deaf = ("A", "B") if b.feedback is None else ("B", "A")
        yield "loop", f"{hears} hears its own spikes, {deaf} does not", False
    elif a.feedback is not None and type(a.feedback) is not type(b.feedback):
        yield "loop", f"hears by {type(a.feedback).__name__} against {type(b.feedback).__name__}", False


def _heard(name: str) -> Callable[..., Iterator[Apart]]:
    def differs(a: NeuronSettings, b: NeuronSettings, dtype: torch.dtype) -> Iterator[Apart]:
        """Yield the difference of the loop's weights or bias."""
        if a.feedback is None or type(a.feedback) is not type(b.feedback):
            return
        one, other = (getattr(each.feedback, name, None) for each in (a, b))
        if not equal(one, other, dtype):
            yield name, weights_apart(f"the loop's {name}", one, other), rounded_apart(one, other, dtype)

    return differs


def _synapse(a: NeuronSettings, b: NeuronSettings, dtype: torch.dtype) -> Iterator[Apart]:
    if a.synapse != b.synapse:
        (k, d), (other, late) = ((each.synapse or (0.0, 0)) for each in (a, b))
        kind = "delay" if k == other else "decay"
        yield kind, f"synapse κ = {k:g}, delay {d} against κ = {other:g}, delay {late}", False


@dataclass(frozen=True)
class HeardField(NeuronField):
    """A tensor of the loop."""

    def exchanged(self, a: NeuronSettings, b: NeuronSettings) -> NeuronSettings:
        """Return B's settings with this tensor of A's loop."""
        assert a.feedback is not None
        found: Any = copy.deepcopy(b.feedback)
        exchange_tensors(found, a.feedback, [self.parts[0]])
        return replace(b, feedback=found)


FIELDS = (
    NeuronField("decay", ("decay",), _constant("decay", "λ", "decay")),
    NeuronField("threshold", ("threshold",), _constant("threshold", "θ", "threshold")),
    NeuronField("reset", ("reset", "amount"), _reset),
    NeuronField("rest", ("rest",), _rest),
    NeuronField("start", ("start",), _start),
    NeuronField("ties", ("fires_at",), _ties),
    NeuronField("adaptation", ("adaptation",), _constant("threshold", "adaptation", "adaptation")),
    NeuronField("threshold_decay", ("threshold_decay",), _constant("threshold", "its decay", "threshold_decay")),
    NeuronField("scale", ("scale",), _scale),
    NeuronField("loop", ("feedback",), _loop),
    HeardField("heard_weight", ("weight",), _heard("weight")),
    HeardField("heard_bias", ("bias",), _heard("bias")),
    NeuronField("synapse", ("synapse",), _synapse),
)
NEURON_FIELDS = {each.name: each for each in FIELDS}
