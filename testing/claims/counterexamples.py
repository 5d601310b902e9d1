"""Look for an example against a claim, and make it small."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample
from torch import nn

from ...models.constants import at_least
from ...models.networks import SpikingNetwork
from ..neurons import st
from .near import NearPair, pairs

Claim = Callable[[NearPair], bool]


def counterexample(
    claim: Claim, among: st.SearchStrategy[NearPair] | None = None, examples: int = 200
) -> NearPair | None:
    """Return a small example of which a claim is false, or None where none of the examples is.

    The examples are the same in each run of one program. One that is found shrinks twice: as hypothesis shrinks
    what it drew, and then sample by sample, neuron by neuron and input by input, and its weights to two digits.

    Args:
        claim: of a network and two near inputs; True where it holds. An AssertionError counts as False.
        among: what is tried; None: `pairs()`.
        examples: how many are tried at most.

    >>> counterexample(lambda pair: bool((pair.network(pair.clean) <= 1e6).all()), examples=5) is None
    True
    """
    found = settings(
        max_examples=at_least(1)("examples", examples),
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    try:
        example = find(pairs() if among is None else among, lambda pair: not _holds(claim, pair), settings=found)
    except NoSuchExample:
        return None
    return _shrunk(claim, example)


@torch.no_grad()
def _holds(claim: Claim, pair: NearPair) -> bool:
    try:
        return bool(claim(pair))
    except AssertionError:
        return False


def _shrunk(claim: Claim, pair: NearPair) -> NearPair:
    """Return the pair with all taken away that it is not needed for."""
    smaller = True
    while smaller:
        smaller = False
        for tried in _smaller(pair):
            if not _holds(claim, tried):
                pair, smaller = tried, True
                break
    rounded = _rounded(pair)
    return pair if _holds(claim, rounded) else rounded


def _smaller(pair: NearPair) -> Iterator[NearPair]:
    """Yield the pair with one sample, one neuron, or one input less."""
    if len(pair.clean) > 1:
        for index in range(len(pair.clean)):
            yield replace(pair, clean=pair.clean[index, None], perturbed=pair.perturbed[index, None])
    linear = [layer for layer in pair.network.layers if type(layer) is nn.Linear]
    in_row = len(linear) * 2 in (len(pair.network.layers), len(pair.network.layers) + 1)
    if not in_row or any(tensor.dim() > 0 for layer in pair.network.neurons for tensor in layer.parameters()):
        return
    for index, layer in enumerate(linear[:-1]):
        for unit in range(layer.out_features if layer.out_features > 1 else 0):
            yield replace(pair, network=_without(pair.network, index, unit))
    if pair.perturbation is None or pair.norm in ("linf", "l2"):
        for unit in range(linear[0].in_features if linear[0].in_features > 1 else 0):
            kept = [other for other in range(linear[0].in_features) if other != unit]
            less = replace(pair, clean=pair.clean[..., kept], perturbed=pair.perturbed[..., kept])
            if bool((less.clean != less.perturbed).flatten(1).any(1).all()):
                yield replace(less, network=_without(pair.network, -1, unit))


def _without(network: SpikingNetwork, index: int, unit: int) -> SpikingNetwork:
    """Return a network without one neuron of dense layer `index`; −1: without one input."""
    smaller = copy.deepcopy(network)
    linear = [layer for layer in smaller.layers if type(layer) is nn.Linear]
    after = linear[index + 1]
    kept = [other for other in range(after.in_features) if other != unit]
    after.weight = nn.Parameter(after.weight[:, kept].detach())
    after.in_features -= 1
    if index >= 0:
        before = linear[index]
        before.weight = nn.Parameter(before.weight[kept].detach())
        if before.bias is not None:
            before.bias = nn.Parameter(before.bias[kept].detach())
        before.out_features -= 1
    return smaller


def _rounded(pair: NearPair) -> NearPair:
    network = copy.deepcopy(pair.network)
    for parameter in network.parameters():
        parameter.data = (parameter.data * 100).round() / 100
    return replace(pair, network=network)
