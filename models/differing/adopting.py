"""What a module that only runs holds, its weights and constants of usual names, given to the known build."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..deadline import Progress
from ..elements.layers import WEIGHTED
from ..networks import SpikingNetwork
from .dialects import DIALECTS, Change, Dialect, Spoken, spoken
from .explaining import Explanation, Judge, by_dialect
from .settings.exchanges import Exchange
from .settings.neurons import NeuronSettings
from .settings.pairing import paired

NAMES = {"decay": ("beta", "decay"), "threshold": ("threshold", "v_threshold")}
"""What libraries call λ and θ."""


def by_adopting(judge: Judge, progress: Progress) -> Explanation | None:
    """Return what explains a module once the known build has its weights and constants.

    None where it holds none, or these bring it no nearer, or not all the way.
    """
    known, other = judge.changed, judge.other
    network = adopted(judge)
    if network is None or known.network is None:
        return None
    if not judge.standing(network, "") > judge.standing(known.network, ""):
        return None
    near = Judge(other, replace(known, network=network), judge.inputs, judge.pairs, judge.side, tried=judge.tried)
    words = f"{known.name.upper()} with the weights and constants of {other.name.upper()}"
    found = None
    if not near.standing(network, words).agrees:
        found = by_dialect(near, other.name.upper(), progress)
        if not found.mended:
            return None
    return _fewest(judge, known.network, network, () if found is None else found.causes)


def _fewest(
    judge: Judge, network: SpikingNetwork, whole: SpikingNetwork, spoken_too: Sequence[Exchange]
) -> Explanation | None:
    """Return which of the module's settings are needed, greedily, beside dialects."""
    pairing, changes = paired(whole, network), _changes(spoken_too)
    left = list(pairing.exchanges)

    def made(taken: Sequence[Exchange]) -> SpikingNetwork | None:
        return spoken(pairing.network(frozenset(each.key for each in taken)), changes)

    for each in pairing.exchanges:
        fewer = [one for one in left if one is not each]
        found = made(fewer)
        left = fewer if found is not None and judge.standing(found, "").agrees else left
    network_of_few = made(left)
    if network_of_few is None:
        return None
    keys = {each.key for each in left}
    told = pairing if judge.side == 1 else paired(network, whole)
    causes = (*(each for each in told.exchanges if each.key in keys), *spoken_too)
    return Explanation(causes, True, network_of_few, tuple(judge.tried))


def _changes(causes: Sequence[Exchange]) -> Change:
    """Return dialects by layers, as causes name them by their words."""
    table, found = {dialect.words: dialect for dialect in DIALECTS}, dict[str, tuple[Dialect, ...]]()
    for cause in causes:
        found[cause.layer] = (*found.get(cause.layer, ()), table[str(cause.key[-1])])
    return found


def adopted(judge: Judge) -> SpikingNetwork | None:
    """Return the known build with what the module holds; None where that does not fit, or is the same."""
    network, source = judge.changed.network, judge.other.source
    assert network is not None
    assert source is not None
    changes: Change = {}
    for pair in judge.pairs:
        name, part = (
            build.layers[pair[side]]
            for build, side in ((judge.changed, judge.side), (judge.other, 1 - judge.side))
        )
        held = _held(source.module.get_submodule(part))
        changes |= {name: (_holding(held),)} if held else {}
    found = spoken(_with_weights(network, source.module), changes)
    return None if found is None or not paired(network, found).exchanges else found


def _held(part: nn.Module) -> dict[str, float]:
    """Return λ and θ of a part of a module, as far as it calls them by usual names."""
    found = {}
    for setting, names in NAMES.items():
        value: Any = next((getattr(part, name) for name in names if hasattr(part, name)), None)
        value = value.detach() if isinstance(value, Tensor) else value
        plain = isinstance(value, float | int | Tensor) and not isinstance(value, bool)
        if plain and torch.as_tensor(value).numel() == 1:
            number = float(value)
            found |= {setting: number} if number > 0 and (setting != "decay" or number <= 1) else {}
    return found


def _holding(held: dict[str, float]) -> Dialect:
    def change(front: list[nn.Module], own: NeuronSettings) -> Spoken:
        """Return the layer with other constants."""
        return front, replace(own, **held)  # type: ignore[arg-type]

    return Dialect("decay", "has constants of its own", "", change)


def _with_weights(network: SpikingNetwork, module: nn.Module) -> SpikingNetwork:
    """Return a network with the weights of a module's layers, in order; with its own where these do not fit."""
    found = copy.deepcopy(network)
    own, others = ([part for part in each.modules() if isinstance(part, WEIGHTED)] for each in (found, module))
    shapes = [[tuple(tensor.shape) for part in parts for tensor in part.parameters()] for parts in (own, others)]
    if shapes[0] == shapes[1]:
        pairs = [zip(x.parameters(), y.parameters(), strict=True) for x, y in zip(own, others, strict=True)]
        with torch.no_grad():
            for x, y in (each for pair in pairs for each in pair):
                x.copy_(y)
    return found
