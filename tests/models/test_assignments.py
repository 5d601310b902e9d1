"""What is assigned to a neuron or a network later counts in its run, its rule and its file, or is refused."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert.models import (
    DLIF,
    LIF,
    PLIF,
    AdaptiveLIF,
    Arctan,
    OneSpikeLIF,
    RateDraws,
    Recurrent,
    RefractoryLIF,
    SpikingNetwork,
    Synapse,
    VariedLIF,
    network_hash,
)
from spikecert.models.circuit import circuit
from spikecert.models.dynamics import Dynamics
from spikecert.models.files.storage import from_bytes, to_bytes
from support.neurons import Late

STEPS, WIDTH = 4, 3
NEURONS: dict[str, Callable[[], LIF]] = {
    "LIF": lambda: LIF(0.8, 0.4),
    "LIF that subtracts": lambda: LIF(0.8, 0.4, "subtract", reset_amount=0.5),
    "DLIF": lambda: DLIF(STEPS, 0.8, 0.4),
    "PLIF": lambda: PLIF(0.8, 0.4),
    "VariedLIF": lambda: VariedLIF([0.5, 0.8, 0.9], 0.4),
    "VariedLIF that subtracts": lambda: VariedLIF([0.5, 0.8, 0.9], 0.4, "subtract", reset_amount=0.5),
    "RefractoryLIF": lambda: RefractoryLIF(0.8, 0.4),
    "OneSpikeLIF": lambda: OneSpikeLIF(0.8, 0.4),
    "AdaptiveLIF": lambda: AdaptiveLIF(0.8, 0.4, 0.3, 0.7),
    "Recurrent": lambda: Recurrent(LIF(0.8, 0.4), nn.Linear(WIDTH, WIDTH)),
}
CONSTANTS: dict[str, tuple[Any, ...]] = {
    "decay": (0.3, torch.full((WIDTH,), 0.3)),
    "threshold": (0.7, torch.full((WIDTH,), 0.7)),
    "reset": ("none", "subtract"),
    "fires_at": (">",),
    "surrogate": (Arctan(0.5),),
    "reset_amount": (0.6, torch.full((WIDTH,), 0.6)),
    "num_steps": (STEPS + 1,),
    "rest": (3, -1),
    "start": (0.1,),
    "adaptation": (0.6, 1, -0.1, torch.tensor(0.5)),
    "threshold_decay": (0.3, 1, 1.5),
    "input_scale": (nn.Parameter(torch.tensor([0.5, 1.0, 2.0, 1.0])), torch.ones(STEPS)),
    "decay_logit": (nn.Parameter(torch.tensor(0.2)),),
    "neuron": (LIF(0.2), PLIF(0.2), RefractoryLIF(0.2), VariedLIF([0.1, 0.2, 0.3])),
    "feedback": (nn.Linear(WIDTH, WIDTH), nn.BatchNorm1d(WIDTH)),
    "synapse": (Synapse(0.3), nn.Linear(WIDTH, WIDTH)),
}
CHANGES: tuple[dict[str, Any], ...] = (
    *({"decay": 0.3}, {"threshold": 0.7}, {"reset": "none"}, {"fires_at": ">"}, {"surrogate": Arctan(0.5)}),
    *({"reset": "subtract", "reset_amount": 0.6}, {"reset": "zero", "reset_amount": None}),
)
"""What `dynamics`, and `shared` of a VariedLIF, are replaced by."""


def network_of(neuron: LIF) -> SpikingNetwork:
    torch.manual_seed(0)
    network = SpikingNetwork(nn.Linear(2, WIDTH), neuron, nn.Linear(WIDTH, 2), num_steps=STEPS)
    network.layers[0].weight.data.mul_(3.0)  # type: ignore[union-attr, operator]
    return network.eval()


def settle(network: SpikingNetwork, owner: Any, name: str, value: Any) -> str:
    """Assign; return "refused", or "counts" if run, rule and file agree on something else than before."""
    inputs, before = torch.rand(40, 2, generator=torch.Generator().manual_seed(1)), network_hash(network)
    old = network.trace(inputs)
    told = ""
    try:
        setattr(owner, name, value)
    except (AttributeError, TypeError, ValueError) as error:
        told = str(error)
    if told:
        assert "\n" not in told
        assert network_hash(network) == before
        return "refused"
    try:
        again = from_bytes(to_bytes(network))
    except (TypeError, ValueError):
        return "refused"
    assert network_hash(again) == network_hash(network) != before, "ignored"
    one, other = network.trace(inputs), again.trace(inputs)
    assert all(left.equal(right) for left, right in zip(one.potentials, other.potentials, strict=True))
    assert all(left.equal(right) for left, right in zip(one.spikes, other.spikes, strict=True))
    assert one.logits.equal(other.logits)
    rules = [node.rule for node in circuit(network).spiking], [node.rule for node in circuit(again).spiking]
    assert rules[0] == rules[1]
    ran_alike = old.logits.equal(one.logits) and all(
        left.equal(right) for left, right in zip(old.potentials, one.potentials, strict=True)
    )
    return "counts unseen" if ran_alike else "counts"


def test_all_constants_of_all_neurons_are_tried() -> None:
    held = {name for make in NEURONS.values() for name in inspect.signature(type(make())).parameters}
    assert held <= CONSTANTS.keys()


@pytest.mark.parametrize("constant", CONSTANTS)
@pytest.mark.parametrize("name", NEURONS)
def test_a_constant_counts_or_is_refused(name: str, constant: str) -> None:
    for value in CONSTANTS[constant]:
        network = network_of(NEURONS[name]())
        settle(network, network.layers[1], constant, value)


@pytest.mark.parametrize("place", ["dynamics", "shared"])
@pytest.mark.parametrize("name", NEURONS)
def test_constants_that_are_replaced_count_or_are_refused(name: str, place: str) -> None:
    for changes in CHANGES:
        network = network_of(NEURONS[name]())
        neuron: Any = network.layers[1]
        held = getattr(neuron, place, None) if place == "shared" or name[:6] != "Varied" else Dynamics()
        if held is None or all(getattr(held, key) == value for key, value in changes.items()):
            continue
        if "reset" not in changes or changes["reset"] == held.reset or held.reset_amount is None:
            settle(network, neuron, place, replace(held, **changes))


COUNTS = {
    "LIF": {"decay", "threshold", "reset", "fires_at"},
    "DLIF": {"decay", "threshold", "reset"},
    "PLIF": {"threshold", "reset"},
    "RefractoryLIF": {"decay", "threshold"},
    "AdaptiveLIF": {"decay", "threshold"},
    "Recurrent": {"decay", "threshold", "reset"},
}


@pytest.mark.parametrize("name", COUNTS)
def test_what_may_be_replaced_is_no_less_than_before(name: str) -> None:
    for constant in COUNTS[name]:
        network = network_of(NEURONS[name]())
        neuron: Any = network.layers[1]
        changed = replace(neuron.dynamics, **{constant: {"fires_at": ">"}.get(constant, CONSTANTS[constant][0])})
        assert settle(network, neuron, "dynamics", changed) == (
            "counts unseen" if constant == "fires_at" else "counts"
        )


def test_a_learned_decay_is_no_constant_to_be_replaced() -> None:
    neuron = PLIF(0.5)
    with pytest.raises(
        ValueError, match=r"^decay: got 0\.25, expected this PLIF's own, 0\.5, that decay_logit says$"
    ):
        neuron.dynamics = replace(neuron.dynamics, decay=0.25)
    neuron.surrogate = Arctan(0.5)
    neuron.decay_logit.data.fill_(0.3)
    neuron.dynamics = replace(neuron.dynamics, threshold=2.0)
    assert (neuron.dynamics.threshold, neuron.surrogate) == (2.0, Arctan(0.5))


def test_a_neuron_of_anyone_else_holds_what_it_likes() -> None:
    neuron: Any = Late(0.5)
    neuron.decay = nn.Parameter(torch.ones(2))
    assert isinstance(neuron.decay, Tensor)


def networks() -> dict[str, Callable[[], SpikingNetwork]]:
    ends: dict[str, tuple[nn.Module, ...]] = {
        "affine": (),
        "neuron": (LIF(0.8, 0.3),),
        "none": (LIF(reset="none"),),
    }

    def made(*last: nn.Module, **settings: Any) -> Callable[[], SpikingNetwork]:
        def build() -> SpikingNetwork:
            torch.manual_seed(0)
            layers = (nn.Linear(2, WIDTH), LIF(0.8, 0.3), nn.Linear(WIDTH, 2), *last)
            return SpikingNetwork(*layers, num_steps=STEPS, **settings).eval()

        return build

    found = {name: made(*last) for name, last in ends.items()}
    return found | {"rate": made(encoding="rate"), "DLIF last": made(DLIF(STEPS, 0.8, 0.3))}


SETTINGS: dict[str, tuple[Any, ...]] = {
    "num_steps": (STEPS + 1, 0, 2.5, True, "3", torch.tensor(7)),
    "encoding": ("none", "rate", "latency", "later", None),
    "readout": ("mean", "spikes", "potential", "summed", "largest", "first", "other"),
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", networks())
def test_a_setting_of_a_network_counts_or_is_refused(name: str, setting: str) -> None:
    for value in SETTINGS[setting]:
        network = networks()[name]()
        before, digest, told = getattr(network, setting), network_hash(network), ""
        try:
            setattr(network, setting, value)
        except (TypeError, ValueError) as error:
            told = str(error)
        if told:
            assert told.startswith(f"{setting}: ")
            assert (getattr(network, setting), network_hash(network)) == (before, digest)
            continue
        again = from_bytes(to_bytes(network))
        assert (network_hash(network) != digest) == (value != before)
        inputs = torch.rand((3, network.num_steps, 2) if network.timed else (3, 2))
        assert again(inputs).equal(network(inputs))
        assert circuit(network).num_steps == circuit(again).num_steps == network.num_steps


def test_draws_count() -> None:
    network = networks()["rate"]()
    before = network_hash(network)
    network.draws = RateDraws(5)
    assert network_hash(network) != before
