"""Every neuron, reset, readout and encoding that a network accepts is saved and loaded, bitwise.

Each surrogate is the derivative of a step of height one, with the greatest slope that it names.
"""

import math
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
    Arctan,
    OneSpikeLIF,
    Recurrent,
    RefractoryLIF,
    Sigmoid,
    SpikingNetwork,
    Surrogate,
    Synapse,
    Triangle,
    VariedLIF,
)
from spikecert.models.files.checkpoints import from_bytes, save, to_bytes
from spikecert.models.files.description import describe
from spikecert.models.running.encoding import ENCODINGS
from spikecert.models.running.readouts import READOUTS
from spikecert.models.surrogates import SURROGATES, surrogate_name

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


CASES = [kind(width) for kind in SURROGATES.values() for width in (0.25, 1.0, 2.0)]


@pytest.mark.parametrize("surrogate", CASES, ids=str)
def test_it_integrates_to_one_and_peaks_at_the_threshold(surrogate: Surrogate) -> None:
    distance = torch.linspace(-2000, 2000, 800_001, dtype=torch.float64)
    slope = surrogate.derivative(distance)
    assert float(torch.trapezoid(slope, distance)) == pytest.approx(1.0, abs=2e-3)
    assert float(slope.max()) == float(slope[len(slope) // 2]) == pytest.approx(surrogate.steepest)
    torch.testing.assert_close(slope, slope.flip(0), rtol=1e-9, atol=1e-12)
    assert bool((slope >= 0).all())


@pytest.mark.parametrize(
    ("surrogate", "smooth"),
    [
        (Sigmoid(0.3), lambda x: torch.sigmoid(x / 0.3)),
        (Arctan(0.7), lambda x: torch.atan(math.pi * x / 0.7) / math.pi),
    ],
    ids=["sigmoid", "arctan"],
)
def test_smooth_ones_are_the_derivative_of_their_step(surrogate: Surrogate, smooth: object) -> None:
    x = torch.linspace(-2, 2, 101, dtype=torch.float64, requires_grad=True)
    (derivative,) = torch.autograd.grad(smooth(x).sum(), x)  # type: ignore[operator]
    torch.testing.assert_close(surrogate.derivative(x.detach()), derivative)


def test_triangle_has_the_papers_values() -> None:
    values = Triangle(0.5).derivative(torch.tensor([-0.5, -0.25, 0.0, 0.25, 0.6]))
    assert values.tolist() == [0.0, 1.0, 2.0, 1.0, 0.0]


@pytest.mark.parametrize("surrogate", CASES, ids=str)
def test_the_argument_is_left_alone(surrogate: Surrogate) -> None:
    distance = torch.linspace(-1, 1, 7)
    before = distance.clone()
    surrogate.derivative(distance)
    assert torch.equal(distance, before)


def test_the_table_names_every_surrogate() -> None:
    assert {surrogate_name(kind()) for kind in SURROGATES.values()} == set(SURROGATES)
