"""Which states a neuron is given at each call: its own start, and then, each in its place, what it gave.

Two states may hold the same values on all that is compared, as where nothing fires, and not on other inputs. So
states are known by what gave them, at which call, and not by their values alone.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from spikecert.models.conversion.refusal import ConversionRefused

from ..neurons import ForeignNeuron
from .data_flow import SAME_STEPS, Origins, tensors_of, told

WORDS = {
    **dict.fromkeys(("mem", "v"), "potential"),
    **dict.fromkeys(("syn", "i"), "current"),
    **dict.fromkeys(("spk", "z", "y"), "spikes"),
    "syn_exc": "exciting current",
    "syn_inh": "inhibiting current",
    "rho": "rest",
}
"""What states of these libraries are."""
POTENTIALS = ("mem", "v")
KEEPS = (*SAME_STEPS, "detach_", "contiguous", "lift_fresh")
"""Operations that leave a state what it is, unless they make it narrower."""


@dataclass(frozen=True)
class GivenState:
    """A state that a neuron is given.

    Attributes:
        value: a copy of it.
        source: the layer that gave it, which of its states it is, and of which call; None for no state.
        fixed: whether it is the same for any inputs.
        told: what it is, if it is no state.
    """

    value: Tensor
    source: tuple[str, str, int] | None
    fixed: bool
    told: str


@dataclass
class Held:
    """The states that layers gave in one run, kept so that no other tensor takes the place of one."""

    _known: dict[int, tuple[Tensor, tuple[str, str, int]]] = field(default_factory=dict)

    def note(self, layer: str, call: int, states: Mapping[str, Tensor]) -> None:
        """Say which states a layer gave in one call."""
        for key, tensor in states.items():
            self._known[id(tensor)] = tensor, (layer, key, call)

    def follow(self, name: str, args: tuple[Any, ...], made: Any) -> None:
        """Say whether what an operation made is a state still."""
        taken = list(tensors_of(args))
        same = name in KEEPS and len(taken) == 1 and isinstance(made, Tensor) and made.dtype == taken[0].dtype
        known = self._known.get(id(taken[0])) if same else None
        for tensor in tensors_of(made):
            self._known.pop(id(tensor), None)
            if known is not None:
                self._known[id(tensor)] = tensor, known[1]

    def given(self, states: Mapping[str, Tensor], origins: Origins) -> dict[str, GivenState]:
        """Return states that a neuron is given."""
        return {
            key: GivenState(
                tensor.detach().clone(),
                self._known.get(id(tensor), (None, None))[1],
                not origins.depends(tensor),
                "" if (origin := origins.of(tensor)) is None else told(origin),
            )
            for key, tensor in states.items()
        }


@lru_cache(None)
def _names(kind: type[nn.Module]) -> tuple[str, ...]:
    """Return what a layer calls its input and its states."""
    parameters = list(inspect.signature(kind.forward).parameters.values())[1:]
    return tuple(each.name for each in parameters if each.kind == each.POSITIONAL_OR_KEYWORD)


def arguments(
    module: nn.Module, given: tuple[Any, ...], named: Mapping[str, Any]
) -> tuple[Any, dict[str, Tensor]]:
    """Return the input of a call, None without one, and its states by name: what it is given, or keeps."""
    names = _names(type(module))
    by_name = dict(zip(names, given, strict=False)) | dict(named)
    first = given[0] if given else by_name.get(names[0]) if names else None
    handed = {key: value for name in names[1:] for key, value in _flat(by_name.get(name), name).items()}
    return first, kept(module) | handed


def results(module: nn.Module, beside: tuple[Any, ...]) -> dict[str, Tensor]:
    """Return the states after a call, by name, of what it gave beside its output."""
    names = _names(type(module))[1:]
    parts = zip(names[max(0, len(names) - len(beside)) :], beside, strict=False)
    return kept(module) | {key: value for name, part in parts for key, value in _flat(part, name).items()}


def kept(module: nn.Module) -> dict[str, Tensor]:
    """Return the states that a neuron, or one in its container, keeps itself."""
    found = {name: module._buffers.get(name) for name in _names(type(module))}
    for part in module.modules():
        found |= getattr(part, "_memories", {})
    return {key: torch.as_tensor(value) for key, value in found.items() if value is not None}


def _flat(value: Any, name: str) -> dict[str, Tensor]:
    """Return the tensors of a state, those of a named tuple by their own names."""
    if isinstance(value, Tensor):
        return {name: value}
    parts: Mapping[str, Any] = value._asdict() if hasattr(value, "_asdict") else {}
    return {key: tensor for part, inner in parts.items() for key, tensor in _flat(inner, part).items()}


def check_states(
    layer: str, neuron: ForeignNeuron, calls: list[tuple[Mapping[str, GivenState], Mapping[str, Tensor]]]
) -> None:
    """Raise unless a neuron is given the state that it starts from, and then always the one that it gave.

    Args:
        layer: its name within the module.
        neuron: its constants.
        calls: for each call the states given and those after it; none given: the neuron's own, or where it keeps
            none its start.
    """
    for call, (given, _) in enumerate(calls):
        if call == 0:
            _check_start(neuron, given)
            continue
        before = calls[call - 1][1]
        if not given and not neuron.keeps:
            neuron.refuse(f"gets a state that it did not give: none at step {call + 1}, so that it starts afresh")
        for key, state in given.items():
            same = key in before and torch.equal(state.value, before[key])
            if state.source != (layer, key, call - 1) or not same:
                raise ConversionRefused(
                    f"{neuron.name}: gets a state that it did not give at step {call + 1}: got "
                    f"{_got(state, layer, (layer, key, call - 1))} where {_belongs(key, call)}"
                )


def _check_start(neuron: ForeignNeuron, given: Mapping[str, GivenState]) -> None:
    for key, state in given.items():
        start = neuron.start if key in POTENTIALS else 0.0
        if not state.fixed or not bool((state.value == start).all()):
            word = WORDS.get(key, key)
            neuron.refuse(f"starts from another state than its own: got another {word} than its first")


def _got(state: GivenState, layer: str, expected: tuple[str, str, int]) -> str:
    """Return what a neuron was given, in words."""
    if state.source is None:
        return f"what {state.told} gives" if state.told else "a constant" if state.fixed else "what was computed"
    giver, key, call = state.source
    whose = "" if giver == layer else f" of {giver}"
    changed = ", changed," if state.source == expected else ""
    return f"the {WORDS.get(key, key)}{whose} of step {call + 1}{changed}"


def _belongs(key: str, call: int) -> str:
    word = WORDS.get(key, key)
    return f"the {word} of step {call} belong{'' if word == 'spikes' else 's'}"
