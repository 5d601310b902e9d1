"""Two networks side by side, module by module: what differs, and the network that has some of it exchanged.

Modules stand for each other by their order: neurons are what both are laid along, other modules between them by
their types. What one network alone has is one setting, to be taken out or put in as a whole.

The settings of a layer of neurons that may be exchanged, and what each says where two builds differ in it.
"""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from ...conversion.populations import Constant
from ...elements.layers import BATCH_NORMS, WEIGHTED, Residual, walk
from ...elements.neurons import LIF
from ...elements.registry import ELEMENTS
from ...elements.synapses import Synapse
from ...networks import SpikingNetwork
from .exchanges import (
    Exchange,
    apart,
    array,
    equal,
    exchange_tensors,
    matches,
    rounded_apart,
    tensors_apart,
    tensors_of,
    weights_apart,
)
from .neurons import NeuronSettings, modules_of, settings_of

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


SHIFT = 1e-5
"""How far from 1 the scale of a batch norm may be that only shifts: its ε is no more."""
Chosen = frozenset[tuple[int | str, ...]]
"""The keys of the settings that are A's."""


class Pair(ABC):
    """Parts of A and B that stand for each other."""

    exchanges: tuple[Exchange, ...]

    @abstractmethod
    def made(self, chosen: Chosen) -> list[nn.Module]:
        """Return B's modules, with A's settings where they are chosen."""


@dataclass(frozen=True, eq=False)
class WholePair(Pair):
    """Modules that are exchanged together; either may be none."""

    a: tuple[nn.Module, ...]
    b: tuple[nn.Module, ...]
    exchanges: tuple[Exchange, ...]

    def made(self, chosen: Chosen) -> list[nn.Module]:
        """Return A's or B's."""
        taken = self.a if any(each.key in chosen for each in self.exchanges) else self.b
        return [copy.deepcopy(module) for module in taken]


@dataclass(frozen=True, eq=False)
class TensorPair(Pair):
    """Two modules of one type and one shape, whose tensors may be exchanged one by one."""

    a: nn.Module
    b: nn.Module
    exchanges: tuple[Exchange, ...]

    def made(self, chosen: Chosen) -> list[nn.Module]:
        """Return B's module with some tensors of A's."""
        found = copy.deepcopy(self.b)
        exchange_tensors(found, self.a, [str(each.key[-1]) for each in self.exchanges if each.key in chosen])
        return [found]


@dataclass(frozen=True, eq=False)
class NeuronPair(Pair):
    """Two layers of neurons, whose settings may be exchanged one by one."""

    a: LIF
    b: LIF
    known: tuple[NeuronSettings, NeuronSettings]
    exchanges: tuple[Exchange, ...]

    def made(self, chosen: Chosen) -> list[nn.Module]:
        """Return neurons of B's settings, and of A's where these are chosen.

        Raises:
            NoSuchNeuron: for settings that nothing runs together.
        """
        taken = [str(each.key[-1]) for each in self.exchanges if each.key in chosen]
        if len(taken) in (0, len(self.exchanges)):
            return [copy.deepcopy(self.a if taken else self.b)]
        a, found = self.known
        for name in taken:
            found = NEURON_FIELDS[name].exchanged(a, found)
        return modules_of(found)


@dataclass(frozen=True, eq=False)
class SumPair(Pair):
    """Two residual sums, part by part."""

    branch: tuple[Pair, ...]
    shortcut: tuple[Pair, ...]

    @property
    def exchanges(self) -> tuple[Exchange, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return those of all parts."""
        return tuple(each for pair in (*self.branch, *self.shortcut) for each in pair.exchanges)

    def made(self, chosen: Chosen) -> list[nn.Module]:
        """Return the sum of parts."""
        return [Residual(made_of(self.branch, chosen), made_of(self.shortcut, chosen))]


@dataclass(frozen=True, eq=False)
class Pairing:
    """A and B side by side."""

    b: SpikingNetwork
    pairs: tuple[Pair, ...]

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Return all settings that differ, in order."""
        return tuple(each for pair in self.pairs for each in pair.exchanges)

    def network(self, chosen: Chosen) -> SpikingNetwork:
        """Return B with A's settings where they are chosen."""
        return rebuilt(self.b, made_of(self.pairs, chosen))


def rebuilt(like: SpikingNetwork, modules: Sequence[nn.Module]) -> SpikingNetwork:
    """Return a network of other modules with one's settings."""
    draws = like.draws if like.encoding == "rate" else None
    made = SpikingNetwork(
        *modules, num_steps=like.num_steps, encoding=like.encoding, readout=like.readout, draws=draws
    )
    made.unconfirmed = like.unconfirmed
    return made.to(like.dtype).to(like.device).train(like.training)


def made_of(pairs: Sequence[Pair], chosen: Chosen) -> list[nn.Module]:
    """Return the modules of pairs in order."""
    return [module for pair in pairs for module in pair.made(chosen)]


def paired(a: SpikingNetwork, b: SpikingNetwork) -> Pairing:
    """Return two networks side by side; weights and constants are compared in the coarser dtype of both."""
    kinds = (a.dtype, b.dtype)
    pairs = _PairWriter(max(kinds, key=lambda kind: torch.finfo(kind).eps), len(b.neurons))
    return Pairing(b, pairs.through(list(a.layers), list(b.layers), "layers", pairs.spiking_last))


@dataclass
class _PairWriter:
    """Pairs modules; `seen` counts B's spiking layers that were passed."""

    dtype: torch.dtype
    total: int
    seen: int = field(default=0)

    @property
    def spiking_last(self) -> int:
        """Return the place of what only the outputs hear of."""
        return self.total

    def through(self, a: list[nn.Module], b: list[nn.Module], path: str, after: int) -> tuple[Pair, ...]:
        """Return pairs of two lists; what stands behind their last neuron changes the layer `after` first."""
        found: list[Pair] = []
        start, other = 0, 0
        for i, j in (*matches(_roles(a), _roles(b)), (len(a), len(b))):
            if start < i or other < j:
                found.append(self._whole(a[start:i], b[other:j], f"{path}.{other}", self._place(b, other, after)))
                self.seen += sum(isinstance(module, LIF) for module in walk(nn.ModuleList(b[other:j])))
            if i < len(a):
                found.append(self._pair(a[i], b[j], f"{path}.{j}", self._place(b, j, after)))
            start, other = i + 1, j + 1
        return tuple(found)

    def _place(self, b: list[nn.Module], index: int, after: int) -> int:
        """Return the spiking layer that the module at an index of B's list changes first."""
        holds = any(isinstance(module, LIF) for module in walk(nn.ModuleList(b[index:])))
        return self.seen if holds else after

    def _pair(self, a: nn.Module, b: nn.Module, name: str, place: int) -> Pair:
        if isinstance(a, Residual) and isinstance(b, Residual):
            # what ends a branch is heard by what comes behind the sum
            behind = self.seen + sum(isinstance(module, LIF) for module in walk(nn.ModuleList([b])))
            branch = self.through(list(a.branch), list(b.branch), f"{name}.branch", behind)
            return SumPair(branch, self.through(list(a.shortcut), list(b.shortcut), f"{name}.shortcut", behind))
        if isinstance(a, LIF) and isinstance(b, LIF):
            self.seen += 1
            return self._neurons(a, b, name, place)
        return self._tensors(a, b, name, place)

    def _neurons(self, a: LIF, b: LIF, name: str, place: int) -> Pair:
        own, other = settings_of(a), settings_of(b)
        if own is None or other is None:
            alike = type(a) is type(b) and repr(a) == repr(b) and not tensors_apart(a, b, self.dtype)
            return self._whole([a], [b], name, place, alike)
        found = [
            Exchange(kind, name, words, place, (name, each.name), rounding)
            for each in NEURON_FIELDS.values()
            for kind, words, rounding in each.apart(own, other, self.dtype)
        ]
        return NeuronPair(a, b, (own, other), tuple(found))

    def _tensors(self, a: nn.Module, b: nn.Module, name: str, place: int) -> Pair:
        same = _told(a) == _told(b)
        shapes = [{key: tuple(tensor.shape) for key, tensor in tensors_of(each).items()} for each in (a, b)]
        if isinstance(a, Synapse) and isinstance(b, Synapse):
            return self._whole([a], [b], name, place, same)
        if not same and not _tensors_alone(a, b, shapes):
            return self._whole([a], [b], name, place)
        found = [
            Exchange(kind, name, words, place, (name, key), rounding)
            for key, kind, words, rounding in tensors_apart(a, b, self.dtype)
        ]
        return TensorPair(a, b, tuple(found))

    def _whole(
        self, a: Sequence[nn.Module], b: Sequence[nn.Module], name: str, place: int, alike: bool = False
    ) -> WholePair:
        kind, words = whole_apart(a, b)
        found = () if alike else (Exchange(kind, name, words, place, (name, "" if a and b else "alone")),)
        return WholePair(tuple(a), tuple(b), found)


def _roles(modules: list[nn.Module]) -> list[str]:
    """Return what each module is, as far as one may stand for another."""
    return ["neurons" if isinstance(module, LIF) else type(module).__name__ for module in modules]


def _told(module: nn.Module) -> dict[str, Any]:
    """Return what a module is made of, its tensors aside."""
    element = ELEMENTS.get(type(module))
    return {"module": repr(module)} if element is None or element.fields is None else element.told(module)


def _tensors_alone(a: nn.Module, b: nn.Module, shapes: list[dict[str, tuple[int, ...]]]) -> bool:
    """Return whether two modules differ in tensors alone: a bias may be missing in one."""
    one, other = ({key: shape for key, shape in each.items() if key != "bias"} for each in shapes)
    bias = "bias" in shapes[0], "bias" in shapes[1]
    rest = [{key: value for key, value in _told(each).items() if key != "bias"} for each in (a, b)]
    return one == other and bias[0] != bias[1] and rest[0] == rest[1]


def whole_apart(a: Sequence[nn.Module], b: Sequence[nn.Module]) -> tuple[str, str]:
    """Return the kind and the words of modules that are exchanged as a whole."""
    modules = (*a, *b)
    words = f"{_named(a)} in A, {_named(b)} in B"
    if all(isinstance(module, Synapse) for module in modules):
        kept = [sorted(module.decay for module in part if module.decay) for part in (a, b)]  # pyright: ignore
        return ("delay" if kept[0] == kept[1] else "decay"), words
    if any(isinstance(module, LIF) for module in modules):
        return "order", words
    return ("bias" if all(map(_shifts, modules)) else "weight"), words


def _shifts(module: nn.Module) -> bool:
    """Return whether a module only adds a constant: a batch norm of scale 1, or a dense layer of the identity."""
    if isinstance(module, BATCH_NORMS):
        assert module.running_var is not None
        scale = torch.rsqrt(module.running_var + module.eps) * (1.0 if module.weight is None else module.weight)
        return bool(((scale - 1.0).abs() <= SHIFT).all())
    weight = tensors_of(module).get("weight") if isinstance(module, WEIGHTED) else None
    if weight is None or weight.dim() != 2 or weight.shape[0] != weight.shape[1]:
        return False
    return torch.equal(weight, torch.eye(len(weight)).to(weight))


def _named(modules: Sequence[nn.Module]) -> str:
    told = [
        str(module).partition("\n")[0] if len(str(module)) < 120 else type(module).__name__ for module in modules
    ]
    return " and ".join(told) or "nothing"
