"""A layer of neurons as settings that can be exchanged one by one, and back as the modules that run them."""

import copy
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from ...conversion.populations import Constant, settled
from ...dynamics import Surrogate
from ...elements.learned_decay import PLIF
from ...elements.neuron import AdaptiveLIF, RefractoryLIF
from ...elements.neurons import DLIF, LIF
from ...elements.recurrent import Recurrent
from ...elements.registry import ELEMENTS
from ...elements.synapses import Synapse
from ...elements.varied import VariedLIF
from .platform import PlatformLIF, PlatformSettings

STATED = (LIF, DLIF, PLIF, VariedLIF, RefractoryLIF, AdaptiveLIF)
"""Types whose settings are known; subclasses that only set constants go by them."""


CODE = ("run", "forward", "rule", "_go")


class NoSuchNeuron(ValueError):
    """Settings that no module runs together."""


@dataclass(frozen=True, eq=False)
class NeuronSettings:
    """What a layer of neurons runs by; `None` for what it does not have.

    Attributes:
        decay, threshold, reset, amount, fires_at: as of `LIF` and `VariedLIF`; reset may be "value", to `value`.
        scale: of a `DLIF`.
        rest, start: of a `RefractoryLIF`.
        adaptation, threshold_decay: of an `AdaptiveLIF`.
        feedback, synapse: of a `Recurrent`, the synapse as κ and d.
        late_reset, left_again, floor, ceiling, heard_late, first_bias, behind_synapse, bias: of a `PlatformLIF`.
        surrogate: for gradients alone.
    """

    decay: Constant
    threshold: Constant
    reset: str
    amount: Constant | None
    fires_at: str
    surrogate: Surrogate
    scale: Tensor | None = None
    rest: int | None = 0
    start: float = 0.0
    adaptation: float = 0.0
    threshold_decay: float = 0.0
    feedback: nn.Module | None = None
    synapse: tuple[float, int] | None = None
    late_reset: bool = False
    left_again: bool = False
    floor: float | None = None
    ceiling: float | None = None
    heard_late: int = 0
    first_bias: bool = True
    behind_synapse: bool = False
    bias: Tensor | None = None
    value: float = 0.0

    @property
    def drop(self) -> Constant:
        """Return what subtracting takes away."""
        return self.threshold if self.amount is None else self.amount

    @property
    def of_platform(self) -> bool:
        """Return whether no element states it."""
        extra = (
            self.late_reset,
            self.left_again,
            self.heard_late,
            not self.first_bias,
            self.behind_synapse,
            self.reset == "value",
        )
        return any(extra) or any(each is not None for each in (self.floor, self.ceiling, self.bias))


def settings_of(layer: LIF) -> NeuronSettings | None:
    """Return the settings of a layer, None for one whose settings are not known."""
    if isinstance(layer, Recurrent):
        own = settings_of(layer.neuron)
        known = None if layer.synapse is None else (layer.synapse.decay, layer.synapse.delay)
        return None if own is None else replace(own, feedback=layer.feedback, synapse=known)
    owner = next((kind for kind in type(layer).__mro__ if kind in ELEMENTS), None)
    if owner not in STATED or any(getattr(type(layer), name, 0) is not getattr(owner, name, 0) for name in CODE):
        return None
    if isinstance(layer, VariedLIF):
        decay, threshold, *amount = (settled(array.detach().double()) for array in layer.constants)
        shared = layer.shared
        drop = amount[0] if amount else None
        return NeuronSettings(decay, threshold, shared.reset, drop, shared.fires_at, shared.surrogate)
    d = layer.dynamics
    own = NeuronSettings(d.decay, d.threshold, d.reset, d.reset_amount, d.fires_at, d.surrogate)
    if isinstance(layer, RefractoryLIF):
        return replace(own, rest=layer.rest, start=layer.start)
    if isinstance(layer, AdaptiveLIF):
        return replace(own, adaptation=layer.adaptation, threshold_decay=layer.threshold_decay)
    return replace(own, scale=layer.input_scale.detach()) if isinstance(layer, DLIF) else own


def modules_of(settings: NeuronSettings) -> list[nn.Module]:
    """Return modules that run by settings, this library's own elements where there are some.

    Raises:
        NoSuchNeuron: for settings that nothing runs together.
    """
    s = settings
    if s.of_platform:
        return [_platform(s)]
    neuron = _neuron(s)
    if s.feedback is None:
        return [neuron] if s.synapse is None else [Synapse(*s.synapse), neuron]
    synapse = None if s.synapse is None else Synapse(*s.synapse)
    try:
        return [Recurrent(neuron, copy.deepcopy(s.feedback), synapse)]
    except TypeError as error:
        raise NoSuchNeuron(str(error)) from error


def stated(settings: NeuronSettings) -> NeuronSettings:
    """Return settings of own elements that do the same but for rounding, for what only a platform says so.

    A reset that comes late takes d away behind the leak: d/λ before it. A late reset to zero forgets the current
    of the step behind a spike, too: that is a rest of one step.
    """
    s = settings
    if not s.late_reset:
        return s
    if s.reset == "subtract" and bool((torch.as_tensor(s.decay) > 0).all()):
        return replace(s, late_reset=False, amount=settled(torch.as_tensor(s.drop / s.decay).double()))
    if s.reset == "zero" and s.rest == 0:
        return replace(s, late_reset=False, rest=1)
    return replace(s, late_reset=s.reset != "none")


def _neuron(s: NeuronSettings) -> LIF:
    constants = {"fires_at": s.fires_at, "surrogate": s.surrogate}
    leaky = constants | {"reset": s.reset, "reset_amount": s.amount if s.reset == "subtract" else None}
    own = {
        "rest": s.rest != 0 or s.start != 0.0,
        "adaptation": s.adaptation != 0.0,
        "scale": s.scale is not None,
        "varied": any(isinstance(each, Tensor) for each in (s.decay, s.threshold, leaky["reset_amount"])),
    }
    if sum(own.values()) > 1 or (own["rest"] and s.reset != "zero"):
        raise NoSuchNeuron(
            f"settings: got {', '.join(name for name in own if own[name])} in one, which nothing runs"
        )
    try:
        if own["varied"]:
            return VariedLIF(s.decay, s.threshold, **leaky)  # pyright: ignore[reportArgumentType]
        plain: Any = (s.decay, s.threshold)
        if own["rest"]:
            return RefractoryLIF(*plain, rest=s.rest, start=s.start, **constants)
        if own["adaptation"]:
            return AdaptiveLIF(*plain, adaptation=s.adaptation, threshold_decay=s.threshold_decay, **leaky)
        if s.scale is None:
            return LIF(*plain, **leaky)
        found = DLIF(len(s.scale), *plain, **leaky)
        found.input_scale.data = s.scale.clone()
        return found
    except (TypeError, ValueError) as error:
        raise NoSuchNeuron(str(error)) from error


def _platform(s: NeuronSettings) -> PlatformLIF:
    if s.scale is not None or s.rest != 0 or s.start or s.adaptation:
        raise NoSuchNeuron("settings: got a scale, a rest, a start or an adaptation of a platform's neurons")
    same = {each.name for each in fields(PlatformSettings)} - {"drop", "strict"}
    known = PlatformSettings(drop=s.drop, strict=s.fires_at == ">", **{name: getattr(s, name) for name in same})
    return PlatformLIF(known, copy.deepcopy(s.feedback), s.bias)
