"""Twelve things that are said of spiking networks, and are false: each is refuted within 200 examples.

A claim holds of a network and two near inputs. They are mutants of the kit: what it does not refute it would not
find in a user's own code either.
"""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from spikecert import LIF, gain
from spikecert.certify import LInf
from spikecert.models.networks import SpikingNetwork
from spikecert.testing import NearPair, check_gain_bound, counterexample, networks, pairs
from support.examples import by_night

MOST = 200
PLAIN = {"encodings": ("direct",), "dtypes": (torch.float64,)}


def spikes(network: SpikingNetwork, batch: Tensor) -> list[Tensor]:
    return [train.transpose(0, 1).flatten(2) for train in network.trace(batch).spikes]


def counts(network: SpikingNetwork, batch: Tensor) -> Tensor:
    """Spikes of each neuron of the last spiking layer, (batch, neurons)."""
    return spikes(network, batch)[-1].sum(1)


def classes(network: SpikingNetwork, batch: Tensor) -> Tensor:
    return network(batch).argmax(1)


def gain_bounds_membranes(pair: NearPair) -> bool:
    """The gain of the simplified dynamics bounds how far membranes move, also where spikes change."""
    first = [
        pair.network.trace(batch).potentials[0].transpose(0, 1).flatten(1)
        for batch in (pair.clean, pair.perturbed)
    ]
    moved = (first[0] - first[1]).norm(dim=1)
    steps = 1 if pair.network.timed else pair.network.num_steps
    size = (pair.perturbed - pair.clean).flatten(1).norm(dim=1) * math.sqrt(steps)
    return bool((moved <= gain(pair.network, input_shape=pair.clean.shape[1:]).layers[0].gain * size + 1e-9).all())


def nonnegative_weights_make_counts_monotone(pair: NearPair) -> bool:
    """With weights of 0 or more, more input never means fewer spikes."""
    return bool((counts(pair.network, pair.clean) <= counts(pair.network, pair.perturbed)).all())


def quoted_gain(pair: NearPair) -> bool:
    """√(1/(1−λ))·‖W‖ bounds the ℓ2 gain of the simplified dynamics."""
    decay = pair.network.neurons[0].dynamics.decay
    quoted = math.sqrt(1 / (1 - decay)) * gain(pair.network).layers[0].operator_norm.upper
    check_gain_bound(pair.network, pair.clean, pair.perturbed, [quoted])
    return True


def corners_are_worst(pair: NearPair) -> bool:
    """What all corners of a box keep, the box keeps: no output inside is below those of all corners."""
    assert isinstance(pair.perturbation, LInf)
    box = pair.perturbation.enclosure(pair.clean)
    width = pair.clean.shape[-1]
    picks = torch.tensor([[index >> bit & 1 for bit in range(width)] for index in range(2**width)])
    corners = [pair.network(torch.where(pick.bool(), box.upper, box.lower).to(pair.clean)) for pick in picks]
    generator = torch.Generator().manual_seed(0)
    inside = [pair.network(pair.perturbation.sample(pair.clean, generator)) for _ in range(20)]
    least = torch.stack(corners).amin(0)
    return all(bool((found >= least - 1e-9).all()) for found in [*inside, pair.network(pair.perturbed)])


def nothing_happens_between(pair: NearPair) -> bool:
    """A neuron that has one train at two inputs has it at all inputs between."""
    one, two = (spikes(pair.network, batch)[-1] for batch in (pair.clean, pair.perturbed))
    same = (one == two).all(1)
    for share in torch.linspace(0.0, 1.0, 17)[1:-1].tolist():
        between = spikes(pair.network, torch.lerp(pair.clean, pair.perturbed, share))[-1]
        if bool(((between != one).any(1) & same).any()):
            return False
    return True


def twice(network: SpikingNetwork) -> SpikingNetwork:
    longer = copy.deepcopy(network)
    longer.num_steps = 2 * network.num_steps
    return longer


def more_steps_keep_the_class(pair: NearPair) -> bool:
    """A class that is clear after T steps is still the class after 2T."""
    logits = pair.network(pair.clean)
    clear = logits.topk(2, 1).values.diff(dim=1).abs().flatten() > 0.1
    return bool((~clear | (logits.argmax(1) == classes(twice(pair.network), pair.clean))).all())


def spikes_are_lipschitz(pair: NearPair) -> bool:
    """Rates of spikes move by no more than ‖W‖/θ times what inputs move by."""
    rates = [train[0].mean(1) for train in (spikes(pair.network, x) for x in (pair.clean, pair.perturbed))]
    norm = gain(pair.network).layers[0].operator_norm.upper
    size = (pair.perturbed - pair.clean).flatten(1).norm(dim=1)
    return bool(
        (
            (rates[0] - rates[1]).norm(dim=1) <= norm / pair.network.neurons[0].dynamics.threshold * size + 1e-9
        ).all()
    )


def changed(network: SpikingNetwork, **constants: Any) -> SpikingNetwork:
    """The network with other constants in all of its neurons."""
    other = copy.deepcopy(network)
    for index, layer in enumerate(other.layers):
        if isinstance(layer, LIF):
            d = layer.dynamics
            known = {"decay": d.decay, "threshold": d.threshold, "reset": d.reset, "fires_at": d.fires_at}
            other.layers[index] = LIF(**(known | constants))
    return other


def a_higher_threshold_means_fewer_spikes(pair: NearPair) -> bool:
    """Raising all thresholds by a tenth never adds a spike to the count of a neuron."""
    theta = pair.network.neurons[0].dynamics.threshold
    return bool(
        (
            counts(changed(pair.network, threshold=1.1 * theta), pair.clean) <= counts(pair.network, pair.clean)
        ).all()
    )


def a_leak_means_fewer_spikes(pair: NearPair) -> bool:
    """Leaking more never adds a spike to the count of a neuron."""
    decay = pair.network.neurons[0].dynamics.decay
    return bool(
        (counts(changed(pair.network, decay=decay / 2), pair.clean) <= counts(pair.network, pair.clean)).all()
    )


def leaks_forget(pair: NearPair) -> bool:
    """Where inputs have become equal, the distance of membranes falls by λ at each step."""
    longer = [torch.cat([batch, pair.clean.expand_as(batch)], 1) for batch in (pair.clean, pair.perturbed)]
    one, two = (twice(pair.network).trace(batch).potentials[0] for batch in longer)
    distance = (one - two).flatten(2).norm(dim=2)[pair.network.num_steps - 1 :]
    return bool((distance[1:] <= pair.network.neurons[0].dynamics.decay * distance[:-1] + 1e-9).all())


def rates_are_relu(pair: NearPair) -> bool:
    """A neuron's rate is min(1, max(0, I/θ)) of a constant current I, to one spike."""
    trace = pair.network.trace(pair.clean)
    current, theta = trace.currents[0][0], pair.network.neurons[0].dynamics.threshold
    rate = (current / theta).clamp(0, 1)
    return bool(((trace.spikes[0].sum(0) - rate * pair.network.num_steps).abs() <= 1).all())


def order_does_not_matter(pair: NearPair) -> bool:
    """Rates carry all: a recording played backwards has the same class."""
    return bool((classes(pair.network, pair.clean) == classes(pair.network, pair.clean.flip(1))).all())


def gain_bounds_what_it_says(pair: NearPair) -> bool:
    """True: the simplified dynamics everywhere, and membranes where no spike of their layer changes."""
    check_gain_bound(pair.network, pair.clean, pair.perturbed)
    return True


def without_resets_more_is_more(pair: NearPair) -> bool:
    """True: where nothing resets and no weight is negative, more input never takes a spike away."""
    fired = zip(spikes(pair.network, pair.clean), spikes(pair.network, pair.perturbed), strict=True)
    return all(bool((less <= more).all()) for less, more in fired)


def leaky(reset: str = "zero", **wanted: Any) -> st.SearchStrategy[SpikingNetwork]:
    return networks(neuron=LIF(0.5, reset=reset), **wanted)


FOLKLORE: dict[Callable[[NearPair], bool], st.SearchStrategy[NearPair]] = {
    gain_bounds_membranes: pairs(networks=networks(**PLAIN), norms=("linf", "l2")),
    nonnegative_weights_make_counts_monotone: pairs(networks=networks(**PLAIN), ordered=True, nonnegative=True),
    quoted_gain: pairs(networks=leaky(most_layers=1, **PLAIN)),
    corners_are_worst: pairs(networks=networks(features=3, **PLAIN), norms=("linf",)),
    nothing_happens_between: pairs(networks=networks(**PLAIN), norms=("linf",), batch=64, most=1.0),
    more_steps_keep_the_class: pairs(networks=leaky(**PLAIN)),
    spikes_are_lipschitz: pairs(networks=networks(**PLAIN)),
    a_higher_threshold_means_fewer_spikes: pairs(networks=leaky(**PLAIN)),
    a_leak_means_fewer_spikes: pairs(networks=leaky(**PLAIN)),
    leaks_forget: pairs(networks=leaky(encodings=("none",), dtypes=(torch.float64,))),
    rates_are_relu: pairs(networks=leaky(reset="subtract", **PLAIN)),
    order_does_not_matter: pairs(networks=leaky(encodings=("none",)), events=True, norms=("l0",)),
}  # fmt: skip


TRUE: dict[Callable[[NearPair], bool], st.SearchStrategy[NearPair]] = {
    gain_bounds_what_it_says: pairs(networks=networks(**PLAIN), norms=("linf", "l2")),
    without_resets_more_is_more: pairs(networks=leaky(reset="none", **PLAIN), ordered=True, nonnegative=True),
}


LONG = (nothing_happens_between, gain_bounds_membranes)
EACH = [*(claim for claim in FOLKLORE if claim not in LONG), *by_night(*LONG)]


@pytest.mark.parametrize("claim", TRUE, ids=lambda claim: claim.__name__)
def test_what_is_true_is_not(claim: Callable[[NearPair], bool]) -> None:
    assert counterexample(claim, TRUE[claim], MOST) is None


@pytest.mark.parametrize("claim", EACH, ids=lambda claim: claim.__name__)
def test_folklore_is_refuted(claim: Callable[[NearPair], bool]) -> None:
    found = counterexample(claim, FOLKLORE[claim], MOST)
    assert found is not None
    assert len(found.clean) == 1
    again: dict[str, Any] = {}
    exec(found.code, again)
    said = NearPair(again["network"], again["clean"], again["perturbed"], found.norm, again.get("perturbation"))
    assert not holds(claim, said)


def holds(claim: Callable[[NearPair], bool], pair: NearPair) -> bool:
    try:
        with torch.no_grad():
            return claim(pair)
    except AssertionError:
        return False
