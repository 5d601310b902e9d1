"""Pairs of builds with one planted difference each: it is named, and the exchange makes all trains equal."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert import AdaptiveLIF, Delay, Recurrent, RefractoryLIF, SpikingNetwork, Synapse, VariedLIF, differ
from spikecert.models import DLIF, LIF
from support.builds import PlainNetwork, loop, maps, network, samples, trained

ONE, TWO, LAST = maps()
HEARD = loop()


def changed(name: str, change: Callable[[Tensor], object], base: SpikingNetwork | None = None) -> SpikingNetwork:
    """Return the trained network with one tensor changed in place."""
    found = copy.deepcopy(trained() if base is None else base)
    with torch.no_grad():
        change(found.get_parameter(name))
    return found


def to_grid(bits: int) -> Callable[[Tensor], object]:
    def change(weight: Tensor) -> None:
        step = float(weight.abs().max()) / (2 ** (bits - 1) - 1)
        weight.copy_((weight / step).round() * step)

    return change


def with_first(neuron: nn.Module, *before: nn.Module) -> SpikingNetwork:
    return network(ONE, *before, neuron, TWO, LIF(0.8), LAST)


def with_second(neuron: nn.Module, *before: nn.Module) -> SpikingNetwork:
    return network(ONE, LIF(0.9), TWO, *before, neuron, LAST)


def scaled(network: SpikingNetwork) -> SpikingNetwork:
    with torch.no_grad():
        network.get_parameter("layers.1.input_scale")[2] = 1.4
    return network


A = trained()
LOOPED = trained(heard=HEARD)
BEHIND = with_first(LIF(0.9), Synapse(0.5))
BEHIND_BIAS = network(ONE, Synapse(0.5), nn.Linear(12, 12), LIF(0.9), TWO, LIF(0.8), LAST)
with torch.no_grad():
    BEHIND_BIAS.get_parameter("layers.2.weight").copy_(torch.eye(12))
    BEHIND_BIAS.get_parameter("layers.2.bias").copy_(BEHIND_BIAS.get_parameter("layers.0.bias"))
    BEHIND_BIAS.get_parameter("layers.0.bias").zero_()
EVEN = torch.round(4 * samples()) / 4
"""Inputs on a grid, on which currents meet thresholds."""
ON_GRID = network(nn.Linear(6, 4, bias=False), LIF(0.5), nn.Linear(4, 2))
with torch.no_grad():
    ON_GRID.get_parameter("layers.0.weight").copy_(torch.ones(4, 6) / torch.tensor([[1.0], [2.0], [2.0], [4.0]]))
OTHER_SIDE = copy.deepcopy(ON_GRID)
OTHER_SIDE.layers[1] = LIF(0.5, fires_at=">")
Case = tuple[SpikingNetwork, SpikingNetwork, str, str]
PLANTED: dict[str, Case] = {
    "one synapse": (A, changed("layers.2.weight", lambda w: w[3, 4].add_(0.8)), "weight", "weight[3, 4]"),
    "a synapse of the readout": (
        trained(),
        changed("layers.4.weight", lambda w: w[1, 2].add_(0.5)),
        "weight",
        "[1, 2]",
    ),
    "8 bits": (A, changed("layers.0.weight", to_grid(8)), "weight", "rounded to 8 bits"),
    "4 bits": (A, changed("layers.2.weight", to_grid(4)), "weight", "rounded to 4 bits"),
    "weights that saturate": (
        trained(),
        changed("layers.0.weight", lambda w: w.clamp_(-0.7, 0.7)),
        "weight",
        "cut",
    ),
    "weights times a factor": (
        trained(),
        changed("layers.2.weight", lambda w: w.mul_(1.1)),
        "weight",
        "times 1.1",
    ),
    "a bias": (A, changed("layers.0.bias", lambda b: b.add_(0.2)), "bias", "12 of 12"),
    "the bias of a neuron": (A, changed("layers.2.bias", lambda b: b[5].add_(0.4)), "bias", "bias[5]"),
    "no bias": (A, with_first(LIF(0.9)), "bias", "missing"),
    "a decay": (A, with_second(LIF(0.7)), "decay", "λ = 0.8 against 0.7"),
    "the decay of a neuron": (A, with_second(VariedLIF([0.8] * 7 + [0.3])), "decay", "λ of neuron 7"),
    "exp for 1 − dt/τ": (A, with_second(LIF(0.8187307530779818)), "decay", "1 − dt/τ against exp(−dt/τ)"),
    "a threshold": (A, with_second(LIF(0.8, 1.3)), "threshold", "θ = 1 against 1.3"),
    "the threshold of a neuron": (
        A,
        with_first(VariedLIF(0.9, [1.0] * 11 + [0.7])),
        "threshold",
        "θ of neuron 11",
    ),
    "an adaptive threshold": (A, with_first(AdaptiveLIF(0.9, 1.0, 0.5)), "threshold", "adaptation"),
    "no reset": (A, with_first(LIF(0.9, reset="none")), "reset", "to zero against no reset"),
    "a reset by subtraction": (A, with_first(LIF(0.9, reset="subtract")), "reset", "by subtraction"),
    "another amount": (trained("subtract"), trained("subtract", reset_amount=0.6), "reset", "d = 1 against 0.6"),
    "a reset to zero from subtraction": (
        trained("subtract"),
        trained(),
        "reset",
        "by subtraction against to zero",
    ),
    "a start": (A, with_first(RefractoryLIF(0.9, rest=0, start=0.5)), "reset", "starts from 0"),
    "a rest": (A, with_first(RefractoryLIF(0.9, rest=3)), "reset", "rests 0 steps against 3"),
    "a late soft reset": (
        trained("subtract"),
        network(ONE, LIF(0.9, reset="subtract", reset_amount=1 / 0.9), TWO, LIF(0.8, reset="subtract"), LAST),
        "order",
        "B resets behind the leak",
    ),
    "a late hard reset": (
        trained(),
        with_first(RefractoryLIF(0.9, rest=1)),
        "order",
        "B resets to zero behind leak",
    ),
    "a delay": (A, with_first(LIF(0.9), Delay(1)), "delay", "delay=1"),
    "a delay of spikes": (A, network(ONE, LIF(0.9), Delay(1), TWO, LIF(0.8), LAST), "delay", "delay=1"),
    "a delay that is gone": (with_first(LIF(0.9), Delay(2)), trained(), "delay", "delay=2"),
    "a loop": (A, LOOPED, "loop", "B hears its own spikes"),
    "a loop that is gone": (LOOPED, trained(), "loop", "A hears its own spikes"),
    "a synapse of the loop": (
        LOOPED,
        changed("layers.1.feedback.weight", lambda w: w[0, 1].add_(2.0), LOOPED),
        "weight",
        "the loop's weight[0, 1]",
    ),
    "the bias of the loop": (
        LOOPED,
        changed("layers.1.feedback.bias", lambda b: b.add_(0.2), LOOPED),
        "bias",
        "the loop's bias",
    ),
    "a synapse's constant": (BEHIND, with_first(LIF(0.9), Synapse(0.7)), "decay", "decay=0.5"),
    "the constant of a loop's synapse": (
        with_first(Recurrent(LIF(0.9), HEARD, Synapse(0.5))),
        with_first(Recurrent(LIF(0.9), HEARD, Synapse(0.7))),
        "decay",
        "κ = 0.5",
    ),
    "a bias behind the synapse": (BEHIND, BEHIND_BIAS, "bias", "Linear(in_features=12"),
    "an input scale": (with_first(DLIF(8, 0.9)), scaled(with_first(DLIF(8, 0.9))), "weight", "input_scale[2]"),
}
BARE: Any = PLANTED["no bias"][1].layers[0]
BARE.bias = None


TWO_SETTINGS = {"a bias behind the synapse"}
"""Differences that are two settings of one kind."""


@pytest.mark.parametrize("name", PLANTED)
def test_the_planted_difference_is_named(name: str) -> None:
    a, b, kind, words = PLANTED[name]
    found = differ(a, b, samples())
    assert not found.same
    assert found.first is not None
    assert found.cause.startswith(f"{kind}: ")
    assert words in found.cause
    assert {part.partition(":")[0] for part in found.cause.split("; and ")} == {kind}
    assert name in TWO_SETTINGS or "; and " not in found.cause
    check_repair(a, found.repaired, samples())


def check_repair(a: SpikingNetwork, repaired: SpikingNetwork | None, inputs: Tensor) -> None:
    """Assert that a repaired build spikes as A, by the runs alone."""
    assert repaired is not None
    one, other = a.trace(inputs), repaired.trace(inputs)
    assert all(map(torch.equal, one.spikes, other.spikes))
    torch.testing.assert_close(one.logits, other.logits)


def test_a_tie_is_named() -> None:
    found = differ(ON_GRID, OTHER_SIDE, EVEN)
    assert found.cause == "ties: layers.1: fires at v >= θ against v > θ"
    assert found.mended
    check_repair(ON_GRID, found.repaired, EVEN)


HAND_WRITTEN = {
    "floor": ({"reset": "subtract"}, {"floor": 0.0}, "saturation", "holds v at 0·θ or above"),
    "ceiling": ({"reset": "subtract"}, {"ceiling": 1.5}, "saturation", "holds v at 1.5·θ or below"),
    "value": ({}, {"value": -0.25}, "reset", "to 0 against -0.25"),
    "late soft": ({"reset": "subtract"}, {"late": True}, "order", "B resets behind the leak"),
    "late hard": ({}, {"late": True}, "order", "B resets to zero behind leak"),
    "loop a step later": ({"heard": HEARD}, {"heard_late": 1}, "loop", "a step later, s[t−2]"),
    "loop without its first bias": ({"heard": HEARD}, {"first_bias": False}, "loop", "no bias at the first step"),
    "a step late": ({}, {"waits": 1}, "delay", "a step late"),
    "exp": ({}, {"decays": (0.9048374180359595, 0.8187307530779818)}, "decay", "exp(−dt/τ)"),
    "no bias": ({}, {"bias": False}, "bias", ""),
}


@pytest.mark.parametrize("name", HAND_WRITTEN)
def test_what_a_module_written_by_hand_does_otherwise_is_named(name: str) -> None:
    """Those that convert are compared by their conversions; the others run as they are."""
    common, habit, kind, words = HAND_WRITTEN[name]
    found = differ(trained(**common), PlainNetwork(**common, **habit), samples())
    assert found.mended
    assert found.cause.startswith(f"{kind}: ")
    assert words in found.cause
    assert {cause.partition(":")[0] for cause in found.cause.split("; and ")} == {kind}
