"""Every neuron, reset, readout and encoding that a network accepts is saved and loaded, bitwise."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert.models import (
    DLIF,
    LIF,
    PLIF,
    AdaptiveLIF,
    OneSpikeLIF,
    Recurrent,
    RefractoryLIF,
    SpikingNetwork,
    Synapse,
    VariedLIF,
)
from spikecert.models.files.description import describe
from spikecert.models.files.storage import from_bytes, save, to_bytes
from spikecert.models.running.encoding import ENCODINGS, READOUTS

STEPS, WIDTH = 4, 3
RESETS = ("zero", "subtract", "none")
ONLY_ZERO = ("RefractoryLIF", "OneSpikeLIF")
NEURONS: dict[str, Callable[[str], LIF]] = {
    "LIF": lambda reset: LIF(0.8, 0.4, reset, ">"),
    "LIF with an amount": lambda reset: LIF(0.8, 0.4, reset, reset_amount=0.5 if reset == "subtract" else None),
    "DLIF": lambda reset: DLIF(STEPS, 0.8, 0.4, reset),
    "PLIF": lambda reset: PLIF(0.8, 0.4, reset),
    "VariedLIF": lambda reset: VariedLIF([0.5, 0.8, 0.9], 0.4, reset),
    "VariedLIF of one kind": lambda reset: VariedLIF(0.8, 0.4, reset),
    "RefractoryLIF": lambda reset: RefractoryLIF(0.8, 0.4, 1, start=0.1),
    "OneSpikeLIF": lambda reset: OneSpikeLIF(0.8, 0.4),
    "AdaptiveLIF": lambda reset: AdaptiveLIF(0.8, 0.4, 0.3, 0.7, reset, ">"),
    "Recurrent": lambda reset: Recurrent(LIF(0.8, 0.4, reset), nn.Linear(WIDTH, WIDTH)),
    "Recurrent DLIF behind a synapse": lambda reset: Recurrent(
        DLIF(STEPS, 0.8, 0.4, reset), nn.Linear(WIDTH, WIDTH), Synapse(0.5, 1)
    ),
}
ROWS = [(name, reset) for name, reset in product(NEURONS, RESETS) if reset == "zero" or name not in ONLY_ZERO]
ROWS.remove(("AdaptiveLIF", "none"))


def random_network(make: Callable[[str], LIF], reset: str, last: bool, **settings: Any) -> SpikingNetwork | None:
    """Return a network of two layers of neurons, or of one before an affine layer; None if it is refused."""
    torch.manual_seed(0)
    ends = [make(reset)] if last else []
    try:
        layers = (nn.Linear(2, WIDTH), make("zero"), Synapse(0.5), nn.Linear(WIDTH, WIDTH), *ends)
        network = SpikingNetwork(*layers, num_steps=STEPS, **settings)
    except ValueError:
        return None
    for name, parameter in network.named_parameters():
        if name.endswith(("input_scale", "decay_logit")):
            parameter.data.add_(torch.rand_like(parameter))
    return network.eval()


def same(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> bool:
    return all(left.equal(right) for left, right in zip(one, other, strict=True))


@pytest.mark.parametrize(("name", "reset"), ROWS)
def test_what_a_network_accepts_is_saved_and_loaded_bitwise(name: str, reset: str) -> None:
    accepted = 0
    for readout, encoding, last in product(READOUTS, ENCODINGS, (True, False)):
        network = random_network(NEURONS[name], reset, last, encoding=encoding, readout=readout)
        if network is None:
            continue
        accepted += 1
        dtype = torch.float64 if encoding in ("none", "latency") else torch.float32
        shape = (5, STEPS, 2) if encoding == "none" else (5, 2)
        network, inputs = network.to(dtype), torch.rand(shape, dtype=dtype)
        again = from_bytes(to_bytes(network))
        told = (readout, encoding, last)
        assert describe(again) == describe(network), told
        ours, theirs = network.trace(inputs), again.trace(inputs)
        assert again(inputs).equal(network(inputs)), told
        assert same((*ours.spikes, *ours.potentials), (*theirs.spikes, *theirs.potentials)), told
    potentials = 3 if reset == "none" and "Recurrent" not in name else 0
    assert accepted == len(ENCODINGS) * (2 + 2 + potentials)


UNREADABLE: dict[str, Callable[[SpikingNetwork], Any]] = {
    "a size that its weights have not": lambda network: setattr(network.layers[0], "in_features", 7),
    "a rest below 0": lambda network: setattr(network.layers[1], "rest", -1),
    "integers": lambda network: network.layers[0].register_buffer("counts", torch.ones(2)),
}


@pytest.mark.parametrize("change", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_no_file_can_hold_is_refused_when_it_is_saved(
    change: Callable[[SpikingNetwork], Any], tmp_path
) -> None:
    network = SpikingNetwork(nn.Linear(2, 3), RefractoryLIF(0.8), nn.Linear(3, 2), num_steps=STEPS)
    change(network)
    with pytest.raises((ValueError, TypeError)) as refused:
        save(network, tmp_path / "network")
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())
