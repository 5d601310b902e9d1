"""What platforms mean by the same numbers: a table of settings that are tried where a build only runs as it is.

Each dialect changes a layer of neurons, or the maps in front of it, into what another platform makes of the same
description. It is written for the build whose settings are known, and gives nothing where it changes nothing.
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..conversion.populations import settled
from ..elements.layers import WEIGHTED, Residual
from ..elements.neurons import LIF
from ..elements.synapses import Delay, Synapse
from ..networks import SpikingNetwork
from .settings.neurons import NeuronSettings, NoSuchNeuron, modules_of, settings_of, stated
from .settings.pairing import rebuilt
from .settings.platform import PlatformLIF

Spoken = tuple[list[nn.Module], NeuronSettings]
"""The modules in front of a layer of neurons, behind the last one, and its settings."""


@dataclass(frozen=True)
class Dialect:
    """One entry of the table.

    Attributes:
        kind: one of `KINDS`.
        words: what is done.
        platforms: who does so; "" for many.
        change: makes, of a layer as it is, the layer as it is meant; None where it is the same.
    """

    kind: str
    words: str
    platforms: str
    change: Callable[[list[nn.Module], NeuronSettings], Spoken | None]


def _setting(wanted: Callable[[NeuronSettings], bool], **values: object) -> Callable[..., Spoken | None]:
    """Return a change to values of a neuron, where it is one of those that are wanted."""

    def change(front: list[nn.Module], own: NeuronSettings) -> Spoken | None:
        """Return the changed layer."""
        if not wanted(own) or all(getattr(own, name) == value for name, value in values.items()):
            return None
        return front, replace(own, **values)  # type: ignore[arg-type]

    return change


def _decay(new: Callable[[Tensor], Tensor], gain: bool = False) -> Callable[..., Spoken | None]:
    """Return a change of λ; with a gain the current is scaled as 1 − λ is."""

    def change(front: list[nn.Module], own: NeuronSettings) -> Spoken | None:
        """Return the changed layer."""
        old = torch.as_tensor(own.decay).double()
        made = new(old).clamp(0.0, 1.0)
        if bool((made == old).all()):
            return None
        told = replace(own, decay=settled(made))
        if not gain:
            return front, told
        share = (1.0 - made) / (1.0 - old)
        return None if share.numel() > 1 or not math.isfinite(float(share)) else _scaled(front, told, float(share))

    return change


def _scaled(front: list[nn.Module], own: NeuronSettings, share: float) -> Spoken | None:
    """Return a layer whose current from below is scaled."""
    found, place = copy.deepcopy(front), _weighted(front)
    if place is None:
        return None
    with torch.no_grad():
        for tensor in (found[place].weight, found[place].bias):
            if isinstance(tensor, Tensor):
                tensor *= share
    return found, own


def _decayed_input(front: list[nn.Module], own: NeuronSettings) -> Spoken | None:
    """Return a layer whose current counts by 1 − λ."""
    share = 1.0 - torch.as_tensor(own.decay).double()
    return None if share.numel() > 1 or float(share) in (0.0, 1.0) else _scaled(front, own, float(share))


def _weighted(front: Sequence[nn.Module]) -> int | None:
    """Return the place of the last map with weights."""
    return next((i for i in range(len(front) - 1, -1, -1) if isinstance(front[i], WEIGHTED)), None)


def _late(behind_map: bool) -> Callable[..., Spoken | None]:
    def change(front: list[nn.Module], own: NeuronSettings) -> Spoken | None:
        """Return the layer, a step late: all of its current, or what comes from below without the bias."""
        if behind_map:
            return [*front, Delay(1)], own
        place = _weighted(front)
        return None if place is None or front[place].bias is None else ([Delay(1), *front], own)

    return change


def _sooner(front: list[nn.Module], own: NeuronSettings) -> Spoken | None:
    """Return the layer without the delays in front of it."""
    found: list[nn.Module] = []
    for module in front:
        if isinstance(module, Synapse) and module.delay > 0:
            found += [] if module.decay == 0 else [Synapse(module.decay, 0)]
        else:
            found.append(module)
    own = own if own.synapse is None or not own.synapse[1] else replace(own, synapse=(own.synapse[0], 0))
    return (
        None
        if len(found) == len(front) and all(x is y for x, y in zip(found, front, strict=True))
        else (found, own)
    )


def _without_bias(front: list[nn.Module], own: NeuronSettings) -> Spoken | None:
    """Return the layer without the bias of the map in front."""
    place = _weighted(front)
    if place is None or front[place].bias is None:
        return None
    found: Any = copy.deepcopy(front)
    found[place].bias = None
    return found, own


def _outer_bias(front: list[nn.Module], own: NeuronSettings) -> Spoken | None:
    """Return the layer whose bias enters behind the synapse."""
    place = _weighted(front)
    filtered = own.synapse is not None or (
        place is not None and any(isinstance(m, Synapse) for m in front[place:])
    )
    bare = _without_bias(front, own)
    if bare is None or not filtered or own.bias is not None:
        return None
    assert place is not None
    bias = front[place].bias
    assert isinstance(bias, Tensor)
    shape = (len(bias), *([1] * (front[place].weight.dim() - 2)))  # pyright: ignore
    return bare[0], replace(own, bias=bias.detach().clone().view(shape))


def _inner_bias_of_loop(front: list[nn.Module], own: NeuronSettings) -> Spoken | None:
    """Return the layer whose loop has no bias."""
    if own.feedback is None or getattr(own.feedback, "bias", None) is None:
        return None
    found: Any = copy.deepcopy(own.feedback)
    found.bias = None
    return front, replace(own, feedback=found)


def _leaking_loop(front: list[nn.Module], own: NeuronSettings) -> Spoken | None:
    """Return the layer whose own spikes enter what is left at once, so that they leak before the next step."""
    decay = torch.as_tensor(own.decay if own.synapse is None else own.synapse[0])
    if own.feedback is None or decay.numel() > 1 or float(decay) in (0.0, 1.0):
        return None
    found = copy.deepcopy(own.feedback)
    with torch.no_grad():
        for tensor in found.parameters():
            tensor *= float(decay)
    return front, replace(own, feedback=found)


def _deaf(front: list[nn.Module], own: NeuronSettings) -> Spoken | None:
    return None if own.feedback is None else (front, replace(own, feedback=None))


def _other_tie(front: list[nn.Module], own: NeuronSettings) -> Spoken:
    return front, replace(own, fires_at=">" if own.fires_at == ">=" else ">=")


def _held(end: str, share: float) -> Callable[..., Spoken | None]:
    def change(front: list[nn.Module], own: NeuronSettings) -> Spoken | None:
        """Return the layer whose potential stops at a multiple of its threshold."""
        threshold = torch.as_tensor(own.threshold)
        if threshold.numel() > 1 or getattr(own, end) is not None:
            return None
        return front, replace(own, **{end: share * float(threshold)})  # type: ignore[arg-type]

    return change


def _reset_value(share: float) -> Callable[..., Spoken | None]:
    def change(front: list[nn.Module], own: NeuronSettings) -> Spoken | None:
        """Return the layer that resets to a multiple of its threshold."""
        threshold = torch.as_tensor(own.threshold)
        if threshold.numel() > 1 or own.reset == "none":
            return None
        return front, replace(own, reset="value", amount=None, value=share * float(threshold))

    return change


def _fires(own: NeuronSettings) -> bool:
    return not own.late_reset


def _hears(own: NeuronSettings) -> bool:
    return own.feedback is not None


def _resets(*kinds: str) -> Callable[[NeuronSettings], bool]:
    return lambda own: own.reset in kinds and own.rest == 0


def _parts(count: int) -> Callable[[Tensor], Tensor]:
    return lambda decay: 1.0 - ((1.0 - decay) * count).round() / count


def _power(decay: Tensor) -> Tensor:
    """Return 1 − 2^−k, the nearest."""
    return torch.where(decay < 1, 1.0 - torch.exp2(torch.log2(1.0 - decay).round()), decay)


DIALECTS = (
    Dialect("reset", "resets to zero", "", _setting(_fires, reset="zero", amount=None)),
    Dialect("reset", "resets by subtracting the threshold", "", _setting(_fires, reset="subtract", amount=None)),
    Dialect("reset", "never resets", "", _setting(_fires, reset="none", amount=None)),
    *(
        Dialect("reset", f"resets to {share:g}·θ", "NIR's v_reset, SpikingJelly's v_reset", _reset_value(share))
        for share in (-1.0, -0.5, -0.25, -0.2, -0.1, 0.1, 0.2, 0.25, 0.5)
    ),
    Dialect(
        "order",
        "resets behind the leak of the next step",
        "snnTorch with reset_delay=True",
        _setting(_resets("subtract", "zero"), late_reset=True),
    ),
    Dialect(
        "order",
        "takes off again, a step later, what a reset leaves above θ",
        "snnTorch with reset_delay=False",
        _setting(_resets("subtract"), left_again=True),
    ),
    Dialect("ties", "takes the other side of a tie, ≥ for > or > for ≥", "snnTorch, Norse: >", _other_tie),
    Dialect("delay", "takes its current a step late", "Norse, Lava", _late(True)),
    Dialect("delay", "takes what comes from below a step late, its bias at once", "Lava", _late(False)),
    Dialect("delay", "has no delay in front", "", _sooner),
    Dialect(
        "loop", "hears its own spikes a step later, s[t−2]", "Lava, NIR's loops", _setting(_hears, heard_late=1)
    ),
    Dialect(
        "loop",
        "hears its own spikes in their own step, so that they leak: λ·V·s[t−1] (κ·V with a synapse)",
        "",
        _leaking_loop,
    ),
    Dialect("loop", "hears nothing of itself", "", _deaf),
    Dialect(
        "loop",
        "hears no bias at the first step, when there was no spike",
        "Norse",
        _setting(lambda own: _hears(own) and getattr(own.feedback, "bias", None) is not None, first_bias=False),
    ),
    Dialect(
        "loop",
        "hears itself behind the synapse",
        "",
        _setting(lambda own: _hears(own) and own.synapse is not None, behind_synapse=True),
    ),
    Dialect("bias", "has its bias behind the synapse", "", _outer_bias),
    Dialect("bias", "has no bias", "platforms without biases, Xylo", _without_bias),
    Dialect("bias", "has no bias in its loop", "", _inner_bias_of_loop),
    Dialect("decay", "has λ = exp(−dt/τ) for 1 − dt/τ", "snnTorch", _decay(lambda x: torch.exp(x - 1.0))),
    Dialect("decay", "has λ = 1 − dt/τ for exp(−dt/τ)", "Norse, NIR", _decay(lambda x: 1.0 + torch.log(x))),
    Dialect(
        "decay",
        "has λ = exp(−dt/τ) for 1 − dt/τ, and so its gain",
        "",
        _decay(lambda x: torch.exp(x - 1.0), gain=True),
    ),
    Dialect(
        "decay", "has λ = 1 − dt/τ for exp(−dt/τ), and so its gain", "", _decay(lambda x: 1.0 + torch.log(x), True)
    ),
    Dialect("decay", "rounds λ to 4096ths", "Loihi, Lava", _decay(_parts(4096))),
    Dialect("decay", "rounds λ to 1 − 2^−k", "Xylo", _decay(_power)),
    Dialect("decay", "lets its input decay, too: (1 − λ)·I", "SpikingJelly with decay_input", _decayed_input),
    Dialect("decay", "forgets nothing, λ = 1", "", _decay(torch.ones_like)),
    *(
        Dialect("saturation", f"holds v at {share:g}·θ or above", "sinabs, chips", _held("floor", share))
        for share in (0.0, -1.0, -0.5, -2.0)
    ),
    *(
        Dialect("saturation", f"holds v at {share:g}·θ or below", "chips", _held("ceiling", share))
        for share in (1.0, 1.5, 2.0)
    ),
)
"""The table, in the order in which it is tried."""
Change = dict[str, tuple[Dialect, ...]]
"""What is spoken where: dialects by the names of layers of neurons, in the order in which they are applied."""


def spoken(network: SpikingNetwork, changes: Change, own_elements: bool = False) -> SpikingNetwork | None:
    """Return a network whose layers speak dialects; None where one of these changes nothing, or nothing runs it.

    Args:
        network: whose neurons are changed.
        changes: what is spoken where.
        own_elements: whether what an element states so, but for rounding, runs as that.
    """
    try:
        layers = _spoken(list(network.layers), "layers", changes, own_elements)
        return None if layers is None else rebuilt(network, layers)
    except NoSuchNeuron:
        return None


def fitting(network: SpikingNetwork, dialect: Dialect) -> tuple[str, ...]:
    """Return the names of the layers of neurons in which a dialect changes anything."""
    return tuple(
        name
        for name, front, layer in _fronts(list(network.layers), "layers")
        if (own := settings_of(layer)) is not None and dialect.change(front, own) is not None
    )


def _fronts(layers: list[nn.Module], path: str) -> Iterator[tuple[str, list[nn.Module], LIF]]:
    """Yield each layer of neurons, its name, and what stands in front of it, behind the last one."""
    front: list[nn.Module] = []
    for index, layer in enumerate(layers):
        name = f"{path}.{index}"
        if isinstance(layer, Residual):
            yield from _fronts(list(layer.branch), f"{name}.branch")
            yield from _fronts(list(layer.shortcut), f"{name}.shortcut")
        elif isinstance(layer, LIF):
            yield name, front, layer
        front = [] if isinstance(layer, LIF | Residual) else [*front, layer]


def _spoken(layers: list[nn.Module], path: str, changes: Change, own_elements: bool) -> list[nn.Module] | None:
    found, front = list[nn.Module](), list[nn.Module]()
    for index, layer in enumerate(layers):
        name = f"{path}.{index}"
        if isinstance(layer, Residual):
            parts = [
                _spoken(list(part), f"{name}.{key}", changes, own_elements)
                for key, part in (("branch", layer.branch), ("shortcut", layer.shortcut))
            ]
            if parts[0] is None or parts[1] is None:
                return None
            found, front = [*found, *front, Residual(parts[0], parts[1])], []
        elif isinstance(layer, LIF):
            made = _layer(copy.deepcopy(front), layer, changes.get(name, ()), own_elements)
            if made is None:
                return None
            found, front = [*found, *made], []
        else:
            front.append(layer)
    return [*found, *copy.deepcopy(front)]


def _layer(
    front: list[nn.Module], layer: LIF, dialects: Sequence[Dialect], own_elements: bool
) -> list[nn.Module] | None:
    """Return a layer that speaks dialects, behind what stands in front."""
    own = settings_of(layer) if dialects else None
    if own is None:
        return None if dialects else [*front, copy.deepcopy(layer)]
    for dialect in dialects:
        made = dialect.change(front, own)
        if made is None:
            return None
        front, own = made
    return [*front, *modules_of(stated(own) if own_elements else own)]


def is_stated(network: SpikingNetwork) -> bool:
    """Return whether all of a network's neurons are elements, that can be saved and read."""
    return not any(isinstance(module, PlatformLIF) for module in network.modules())
